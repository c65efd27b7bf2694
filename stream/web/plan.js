/** The planned actions that are still worth showing, and how they are called. */

import { capital } from "./dom.js";

const KEEP_PTS = 12 * 16000;
const MOST = 200;
/** Degrees; smaller saccades are drawn but not told. */
const TOLD_SACCADE = 4;

/** Why, for actions whose `why` says what. */
const REASONS = { instruction: "as instructed" };

/** Which lane of the strip chart an action moves. */
const LANES = [
  [/blink|wink|lid|squint/, "lids"],
  [/glance|saccade|gaze|look|avert|scan/, "gaze"],
  [/nod|pitch/, "nod"],
  [/shake|turn|tilt|posture|head|yaw|roll/, "turn"],
  [/accent|brow|flash|frown/, "brows"],
];

export class Plan {
  #actions = new Map();
  /** Grows whenever something changes. */
  version = 0;

  /** Take the `actions` of a `plan` event; an amount of 0 withdraws what was announced before. */
  add(actions) {
    for (const action of actions) {
      const key = `${action.kind}@${action.start}`;
      if (action.amount === 0) this.#actions.delete(key);
      else this.#actions.set(key, { ...action, key, ...describe(action) });
    }
    while (this.#actions.size > MOST) this.#actions.delete(this.#actions.keys().next().value);
    this.version++;
  }

  /** Drop what is long over. */
  prune(now) {
    for (const [key, action] of this.#actions) {
      if (action.end >= now - KEEP_PTS) continue;
      this.#actions.delete(key);
      this.version++;
    }
  }

  clear() {
    this.#actions.clear();
    this.version++;
  }

  get actions() {
    return this.#actions.values();
  }

  /** The `count` newest worth telling, latest first. */
  told(count) {
    const worth = [...this.actions].filter((a) => a.told);
    return worth.sort((a, b) => b.start - a.start).slice(0, count);
  }
}

/** How an action is shown: its lane, a label for the chart, a title and a reason for the list. */
function describe({ kind, amount, why = "" }) {
  const words = kind.replaceAll("_", " ");
  const lane = LANES.find(([pattern]) => pattern.test(kind))?.[1] ?? "plan";
  const named = lane === "plan" && why; // An instruction is known by what it does.
  const minor = /saccade/.test(kind) && Math.abs(amount) < TOLD_SACCADE;
  return {
    lane,
    label: named ? why : words,
    title: capital(named ? why : words),
    reason: named ? (REASONS[kind] ?? words) : why,
    minor,
    told: !minor && kind !== "stage", // Stages are what the score is made of.
  };
}
