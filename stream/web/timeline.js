/**
 * The score as a timeline that moves under a fixed play head: the stages of the plan that plays and
 * of the next one, the movements announced on top of them, and in words what happens now and why.
 */

import { capital, el, write } from "./dom.js";
import { isMotionReduced } from "./motion.js";
import { because, byModel, plannedBy } from "./words.js";

const PTS_PER_S = 16000;
/** Seconds in view, and the share of them that has passed. */
const VIEW_S = 7;
const PAST = 0.15;
const AXIS_S = 2;
/** Moved at most this often; with reduced motion in steps. */
const FRAME_MS = 1000 / 25;
const STEP_MS = 500;
/** Widest line of a stage's label, and the space around it; as in the style sheet, px. */
const LABEL_PX = 150;
const LABEL_GAP = 14;
/** Narrower stages show no label. */
const LEAST_PX = 52;
/** Rows of marks below the stages, and what keeps two labels apart, px. */
const ROWS = 2;
const GAP = 8;
const CAPTIONS = { past: "last plan", now: "this plan", next: "next plan" };

export class Timeline {
  #drawn = "";
  #origin = 0;
  #stages = [];
  #pinned = [];
  #perSecond = 1;
  #width = 0;
  #movedAt = 0;
  #visible = true;
  #pen = document.createElement("canvas").getContext("2d");

  /**
   * @param {HTMLElement} root
   * @param {{clock: import("./clock.js").MediaClock, score: import("./score.js").Score,
   *   plan: import("./plan.js").Plan, context: () => {title: (label: string) => string,
   *   instruction: string}}} parts
   */
  constructor(root, { clock, score, plan, context }) {
    this.clock = clock;
    this.score = score;
    this.plan = plan;
    this.context = context;
    this.paused = false;
    this.what = root.querySelector(".now-what");
    this.why = root.querySelector(".now-why");
    this.by = root.querySelector(".now-by");
    this.view = root.querySelector(".score-view");
    this.track = root.querySelector(".score-track");
    this.list = root.querySelector(".score-stages");
    this.plans = root.querySelector(".score-plans");
    this.marks = root.querySelector(".score-marks");
    this.axis = root.querySelector(".score-axis");
    this.empty = root.querySelector(".score-empty");
    this.#pen.font = `12px ${getComputedStyle(root).fontFamily}`;
    new ResizeObserver(() => this.#resize()).observe(this.view);
    new IntersectionObserver(([e]) => (this.#visible = e.isIntersecting)).observe(this.view);
    requestAnimationFrame((now) => this.#tick(now));
  }

  /** Say what happens at `now` (pts) and why. */
  tell(now) {
    const playing = this.score.at(now);
    if (!playing) return;
    const { title, instruction } = this.context();
    write(this.what, capital(playing.event.semantics));
    write(this.why, `because: ${because(playing.plan, title, instruction)}`);
    write(this.by, `planned by: ${plannedBy(playing.plan.source)}`);
  }

  /** Forget what is shown: another session. */
  clear() {
    for (const line of [this.what, this.why, this.by]) write(line, "");
  }

  #resize() {
    this.#width = this.view.clientWidth;
    this.#perSecond = this.#width / VIEW_S;
    this.view.style.setProperty("--now", `${Math.round(PAST * this.#width)}px`);
    const labels = [];
    for (let s = 0; s < VIEW_S * (1 - PAST) - 0.5; s += AXIS_S) {
      const label = el("span", {}, s ? `+${s} s` : "now");
      label.style.left = `${PAST * this.#width + s * this.#perSecond}px`;
      labels.push(label);
    }
    this.axis.replaceChildren(...labels);
    this.#drawn = "";
  }

  #tick(time) {
    requestAnimationFrame((next) => this.#tick(next));
    const step = isMotionReduced() ? STEP_MS : FRAME_MS - 4;
    if (this.paused || !this.#visible || !this.#width || time - this.#movedAt < step) return;
    const now = this.clock.at(time);
    if (now === null) return;
    this.#movedAt = time;
    const drawn = `${this.score.version} ${this.plan.version}`;
    if (drawn !== this.#drawn) this.#rebuild(now);
    this.#drawn = drawn;
    this.#move(now);
  }

  // --- what is on it ---------------------------------------------------------------------------

  #rebuild(now) {
    const plans = this.score.plans;
    this.#origin = plans[0]?.start ?? now;
    this.#pinned = [];
    this.#stages = this.score.stages.map((stage) => ({ stage, item: this.#stage(stage) }));
    this.list.replaceChildren(...this.#stages.map((s) => s.item));
    this.plans.replaceChildren(...plans.map((p) => this.#plan(p)));
    this.marks.replaceChildren(...this.#lay([...this.plan.actions].filter((a) => a.told)));
    this.empty.hidden = plans.length > 0;
  }

  #stage(stage) {
    const narrow = this.#x(stage.end) - this.#x(stage.start) < LEAST_PX;
    const text = el("span", narrow ? { class: "hidden" } : {}, stage.semantics);
    const item = el("li", { "data-label": stage.plan.label, title: stage.semantics }, text);
    this.#place(item, stage);
    const { width } = this.#pen.measureText(stage.semantics);
    const line = width / Math.ceil(width / LABEL_PX); // Lines break at words: some are longer.
    this.#pinned.push({ ...stage, text, least: line + 2 * LABEL_GAP });
    return item;
  }

  /** The ground that the stages of one plan lie on. */
  #plan(plan) {
    const text = el("span");
    const ground = el("div", {}, text);
    this.#place(ground, plan);
    const by = byModel(plan.source) ? ", by a language model" : "";
    this.#pinned.push({ ...plan, text, least: 60, by });
    return ground;
  }

  /** Movements, each in the first row where its label covers no other; else without one. */
  #lay(actions) {
    const free = new Array(ROWS).fill(-Infinity);
    return actions
      .sort((a, b) => a.start - b.start)
      .map((action) => {
        const x = this.#x(action.start);
        const row = free.findIndex((from) => x >= from);
        const label = row < 0 ? "" : action.label;
        const mark = el("span.move", { "data-lane": action.lane }, label);
        this.#place(mark, action);
        mark.style.setProperty("--row", String(Math.max(row, 0)));
        const width = Math.max(this.#x(action.end) - x, this.#pen.measureText(label).width);
        if (row >= 0) free[row] = x + width + GAP;
        return mark;
      });
  }

  #place(element, { start, end }) {
    element.style.left = `${this.#x(start)}px`;
    element.style.width = `${Math.max(3, this.#x(end) - this.#x(start))}px`;
  }

  #x(pts) {
    return ((pts - this.#origin) / PTS_PER_S) * this.#perSecond;
  }

  // --- moving ----------------------------------------------------------------------------------

  #move(now) {
    const head = this.#x(now);
    const left = head - PAST * this.#width;
    this.track.style.transform = `translateX(${(-left).toFixed(2)}px)`;
    for (const { start, end, text, least, by } of this.#pinned) {
      // A label stays in view, or beside the play head, for as long as what it names is there.
      const room = this.#x(end) - this.#x(start) - least;
      const hidden = (by === undefined ? left : head) - this.#x(start);
      const shift = Math.max(0, Math.min(hidden, room));
      text.style.transform = shift ? `translateX(${shift.toFixed(1)}px)` : "";
      if (by !== undefined) write(text, CAPTIONS[when(start, end, now)] + by);
    }
    for (const { stage, item } of this.#stages) {
      const is = when(stage.start, stage.end, now);
      if (is === "now") item.style.setProperty("--played", `${head - this.#x(stage.start)}px`);
      if (item.dataset.when === is) continue;
      item.dataset.when = is;
      if (is === "now") item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    }
  }
}

const when = (start, end, now) => (start > now ? "next" : end > now ? "now" : "past");
