/**
 * The strip chart: what eyes, lids, brows and head did in the last seconds, do now, and are planned
 * to do. Time is media time (pts), so that the line "now" stands where the picture is.
 */

import { LANES } from "./lanes.js";
import { isMotionReduced } from "./motion.js";

const SAMPLES_PER_FRAME = 640;
const PTS_PER_S = 16000;
const CHANNELS = 17;
/** Frames kept: power of two, about 20 s. */
const RING = 512;
const FUTURE_S = 2;
/** Drawn at most this often; with reduced motion it moves in steps. */
const FRAME_MS = 1000 / 25;
const STEP_MS = 500;

/** Custom properties `--chart-…` of the style sheet. */
const COLORS = [
  "text", "muted", "line", "surface", "accent",
  "gaze", "left", "right", "au1", "au2", "au4", "head",
];
/** Space above the lanes, height of the time axis below them, width of their names. */
const TOP = 2;
const BOTTOM = 18;
const NAMES = 64;

export class Strip {
  #values = new Float32Array(RING * CHANNELS);
  #frames = new Int32Array(RING).fill(-1);
  #last = -1;
  #scales = LANES.map((lane) => lane.floor ?? 1);
  #colors = {};
  #drawnAt = 0;
  #visible = true;
  #size = { width: 0, height: 0 };

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{clock: import("./clock.js").MediaClock, plan: import("./plan.js").Plan}} parts
   */
  constructor(canvas, { clock, plan }) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.clock = clock;
    this.plan = plan;
    this.paused = false;
    this.#readColors();
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.#readColors());
    new ResizeObserver(() => this.#resize()).observe(canvas);
    new IntersectionObserver(([e]) => (this.#visible = e.isIntersecting)).observe(canvas);
    requestAnimationFrame((now) => this.#tick(now));
  }

  /** Take a run of control rows. @param {number} pts of the first @param {number[][]} rows */
  add(pts, rows) {
    const first = Math.round(pts / SAMPLES_PER_FRAME);
    rows.forEach((row, i) => {
      const slot = (first + i) % RING;
      this.#frames[slot] = first + i;
      this.#values.set(row, slot * CHANNELS);
    });
    this.#last = first + rows.length - 1;
  }

  /** Forget everything: another session, another time. */
  clear() {
    this.#frames.fill(-1);
    this.#last = -1;
  }

  #readColors() {
    const style = getComputedStyle(this.canvas);
    for (const name of COLORS) this.#colors[name] = style.getPropertyValue(`--chart-${name}`).trim();
    this.#colors.font = style.fontFamily;
    this.#drawnAt = 0;
  }

  #resize() {
    const scale = devicePixelRatio || 1;
    const { clientWidth: width, clientHeight: height } = this.canvas;
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
    this.#size = { width, height };
    this.#drawnAt = 0;
  }

  #tick(now) {
    requestAnimationFrame((next) => this.#tick(next));
    const step = isMotionReduced() ? STEP_MS : FRAME_MS - 4;
    if (this.paused || !this.#visible || now - this.#drawnAt < step) return;
    this.#drawnAt = now;
    this.#draw(this.clock.at(now));
  }

  #draw(now) {
    const { context: g } = this;
    const { width, height } = this.#size;
    if (!width) return;
    const view = this.#view(now);
    g.clearRect(0, 0, width, height);
    this.#drawTime(view);
    LANES.forEach((lane, i) => this.#drawLane(lane, i, view));
    if (now !== null) {
      g.save();
      g.beginPath();
      g.rect(view.x0, 0, view.x1 - view.x0, height);
      g.clip();
      this.#drawPlan(view);
      g.restore();
    }
    this.#drawNow(view);
  }

  /** The mapping of media time to pixels for this frame. */
  #view(now) {
    const { width, height } = this.#size;
    const past = width >= 480 ? 8 : 6;
    const x0 = NAMES;
    const x1 = width;
    const perSecond = (x1 - x0) / (past + FUTURE_S);
    const t = now ?? 0;
    const lane = (height - TOP - BOTTOM) / LANES.length;
    return {
      now: t, x0, x1, past, perSecond, lane, live: now !== null,
      nowX: x0 + past * perSecond,
      x: (pts) => x0 + (past + (pts - t) / PTS_PER_S) * perSecond,
      first: Math.floor((t - past * PTS_PER_S) / SAMPLES_PER_FRAME) - 1,
    };
  }

  #drawTime({ x0, x1, nowX, perSecond, past }) {
    const { context: g } = this;
    const { height } = this.#size;
    const colors = this.#colors;
    g.fillStyle = colors.surface;
    g.fillRect(nowX, TOP, x1 - nowX, height - TOP - BOTTOM);
    g.font = `10.5px ${colors.font}`;
    g.textAlign = "center";
    g.textBaseline = "alphabetic";
    g.fillStyle = colors.muted;
    for (let s = -past + 1; s < FUTURE_S; s++) {
      if (s === 0 || (s < 0 && s % 2)) continue;
      g.fillText(s > 0 ? `+${s} s` : `−${-s} s`, nowX + s * perSecond, height - 4);
    }
    g.strokeStyle = colors.line;
    g.lineWidth = 1;
    g.beginPath();
    for (let s = -past; s <= FUTURE_S; s++) {
      const x = Math.round(nowX + s * perSecond) + 0.5;
      if (x < x0 || x > x1) continue;
      g.moveTo(x, height - BOTTOM);
      g.lineTo(x, height - BOTTOM + 3);
    }
    g.stroke();
  }

  #drawLane(lane, index, view) {
    const { context: g } = this;
    const colors = this.#colors;
    const top = TOP + index * view.lane;
    const [low, high] = this.#range(lane, index, view);
    const y = (value) => top + 5 + (view.lane - 10) * (1 - (value - low) / (high - low));
    g.strokeStyle = colors.line;
    g.lineWidth = 1;
    g.beginPath();
    const rest = Math.round(y(0)) + 0.5;
    g.moveTo(view.x0, rest);
    g.lineTo(view.x1, rest);
    g.stroke();
    this.#drawNames(lane, top, view, high);
    for (const trace of lane.traces) this.#drawTrace(trace, y, view);
  }

  #drawNames(lane, top, view, high) {
    const { context: g } = this;
    const colors = this.#colors;
    const keys = lane.traces.filter((t) => t.key).reverse();
    g.textAlign = "left";
    g.textBaseline = "middle";
    g.font = `500 11px ${colors.font}`;
    g.fillStyle = colors.text;
    g.fillText(lane.title, 0, top + view.lane / 2);
    const besideTitle = g.measureText(`${lane.title} `).width + 3;
    g.font = `9.5px ${colors.font}`;
    let keyX = besideTitle;
    for (const { key, color } of lane.ends.length ? keys : []) {
      g.fillStyle = colors[color];
      g.fillText(key, keyX, top + view.lane / 2);
      keyX += 8;
    }
    g.textAlign = "right";
    g.fillStyle = colors.muted;
    if (lane.ends.length) {
      g.fillText(lane.ends[0], view.x0 - 6, top + 9);
      g.fillText(lane.ends[1], view.x0 - 6, top + view.lane - 8);
    } else {
      keys.forEach(({ key, color }, i) => {
        g.fillStyle = colors[color];
        g.fillText(key, view.x0 - 6, top + 9 + (i * (view.lane - 17)) / (keys.length - 1));
      });
    }
    if (lane.unit && Math.round(high) > lane.floor) {
      g.fillStyle = colors.muted;
      g.fillText(`±${Math.round(high)}${lane.unit}`, view.x1 - 2, top + 9);
    }
  }

  /** A fixed range, or one that grows at once with the movement and shrinks slowly after it. */
  #range(lane, index, view) {
    if (lane.fixed) return lane.fixed;
    let most = lane.floor;
    this.#each(view, (v) => {
      for (const { of } of lane.traces) most = Math.max(most, Math.abs(of(v)) * 1.1);
    });
    const scale = this.#scales[index];
    this.#scales[index] = most > scale ? scale + (most - scale) * 0.3 : scale + (most - scale) * 0.02;
    return [-this.#scales[index], this.#scales[index]];
  }

  #drawTrace({ color, of }, y, view) {
    const { context: g } = this;
    g.save();
    g.beginPath();
    g.rect(view.x0, 0, view.x1 - view.x0, this.#size.height);
    g.clip();
    g.strokeStyle = this.#colors[color];
    g.lineWidth = 1.6;
    g.lineJoin = "round";
    g.beginPath();
    let joined = false;
    this.#each(
      view,
      (v, frame) => {
        const x = view.x(frame * SAMPLES_PER_FRAME);
        if (joined) g.lineTo(x, y(of(v)));
        else g.moveTo(x, y(of(v)));
        joined = true;
      },
      () => (joined = false),
    );
    g.stroke();
    g.restore();
  }

  /** Visit the rows in view; `gap` is called where some are missing. */
  #each({ first, live }, visit, gap = () => {}) {
    if (!live || this.#last < 0) return;
    for (let frame = Math.max(0, first, this.#last - RING + 1); frame <= this.#last; frame++) {
      const slot = frame % RING;
      if (this.#frames[slot] !== frame) gap();
      else visit((channel) => this.#values[slot * CHANNELS + channel], frame);
    }
  }

  /** Actions: a band in the lanes they move. What they are called is said in the score. */
  #drawPlan(view) {
    for (const action of this.plan.actions) {
      if (view.x(action.end) < view.x0 || view.x(action.start) > view.x1) continue;
      const ahead = action.start > view.now;
      LANES.forEach((lane, i) => {
        if (lane.name === action.lane) this.#drawBand(action, i, view, ahead);
      });
    }
  }

  #drawBand(action, index, view, ahead) {
    const { context: g } = this;
    const x = view.x(action.start);
    const w = Math.max(2.5, view.x(action.end) - x);
    const y = TOP + index * view.lane + 2;
    g.fillStyle = this.#colors.accent;
    g.globalAlpha = (ahead ? 0.22 : 0.1) / (action.minor ? 2 : 1);
    g.beginPath();
    if (g.roundRect) g.roundRect(x, y, w, view.lane - 4, 3);
    else g.rect(x, y, w, view.lane - 4);
    g.fill();
    g.globalAlpha = 1;
  }

  #drawNow({ nowX }) {
    const { context: g } = this;
    const { height } = this.#size;
    const colors = this.#colors;
    g.strokeStyle = colors.text;
    g.lineWidth = 1;
    g.beginPath();
    g.moveTo(Math.round(nowX) + 0.5, TOP);
    g.lineTo(Math.round(nowX) + 0.5, height - BOTTOM + 3);
    g.stroke();
    g.font = `500 10.5px ${colors.font}`;
    g.textAlign = "center";
    g.textBaseline = "alphabetic";
    g.fillStyle = colors.text;
    g.fillText("now", nowX, height - 4);
  }
}
