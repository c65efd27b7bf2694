/** “Why?”: opens an explanation of the plan that plays, and of those before and after it. */

import { el, write } from "./dom.js";
import { explain } from "./explain.js";

const PTS_PER_S = 16000;

export class Why {
  #shown = null;
  #asked = 0;

  /**
   * @param {HTMLElement} root
   * @param {{button: HTMLButtonElement, load: () => Promise<object[]>,
   *   clock: import("./clock.js").MediaClock, title: (label: string) => string}} parts
   *   `load` fetches the plans, newest first
   */
  constructor(root, { button, load, clock, title }) {
    this.root = root;
    this.button = button;
    this.load = load;
    this.clock = clock;
    this.title = title;
    this.status = root.querySelector(".why-status");
    this.body = root.querySelector(".why-body");
    button.addEventListener("click", () => this.toggle());
    for (const way of root.querySelectorAll("[data-way]")) {
      way.addEventListener("click", () => this.#show(way.dataset.way));
    }
    for (const inside of [root, button]) {
      inside.addEventListener("keydown", (event) => {
        if (event.key !== "Escape" || root.hidden) return;
        event.preventDefault(); // It closes this, and interrupts nothing.
        this.toggle();
        button.focus();
      });
    }
  }

  toggle() {
    this.root.hidden = !this.root.hidden;
    this.button.setAttribute("aria-expanded", String(!this.root.hidden));
    if (!this.root.hidden) this.#show("now");
  }

  /** Say how the explained plan stands to what plays. @param {number} now pts on the screen */
  tell(now) {
    const plan = this.#shown;
    if (!plan || this.root.hidden) return;
    const away = (pts) => `${Math.max(1, Math.round(Math.abs(pts - now) / PTS_PER_S))} s`;
    let text = "This plan plays now.";
    if (plan.start > now) text = `This plan is next, in ${away(plan.start)}.`;
    else if (plan.status === "cut") text = "This plan was cut short by something new.";
    else if (plan.end <= now) text = `This plan was played ${away(plan.end)} ago.`;
    write(this.status, text);
  }

  /** Another session: what is explained is no more. */
  clear() {
    this.#shown = null;
    this.body.replaceChildren();
    if (!this.root.hidden) this.#show("now");
  }

  /** @param {string} way before, now or after */
  async #show(way) {
    const asked = ++this.#asked;
    this.root.setAttribute("aria-busy", "true");
    try {
      const plans = (await this.load()).sort((a, b) => a.start - b.start || a.index - b.index);
      if (asked !== this.#asked) return;
      const at = choose(plans, way, this.#shown, this.clock.at() ?? 0);
      if (at < 0) this.body.replaceChildren(el("p", {}, "There is no plan yet."));
      else this.#explain(plans[at], plans[at - 1], at, plans.length);
    } catch (problem) {
      if (asked === this.#asked) this.body.replaceChildren(el("p.warn", {}, problem.message));
    } finally {
      if (asked === this.#asked) this.root.setAttribute("aria-busy", "false");
    }
  }

  #explain(plan, before, at, count) {
    this.#shown = plan;
    this.body.replaceChildren(...explain(plan, before, this.title));
    // Not `disabled`, which would take the focus away from under the finger.
    for (const [way, none] of [["before", at === 0], ["after", at === count - 1]]) {
      this.root.querySelector(`[data-way=${way}]`).setAttribute("aria-disabled", String(none));
    }
    this.tell(this.clock.at() ?? plan.start);
  }
}

/** Which of `plans` (by time) to explain; -1 for none. */
function choose(plans, way, shown, now) {
  const playing = plans.findLastIndex((p) => p.start <= now);
  const at = shown ? plans.findIndex((p) => p.index === shown.index) : -1;
  if (way === "now" || !shown) return playing < 0 ? plans.length - 1 : playing;
  if (way === "before") return at < 0 ? 0 : Math.max(0, at - 1);
  return at < 0 ? plans.findIndex((p) => p.start >= shown.end) : Math.min(plans.length - 1, at + 1);
}
