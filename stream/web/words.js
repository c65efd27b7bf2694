/** Names of the wire in plain words. Left and right are the portrait's own. */

import { GAZE_DEGREES } from "./lanes.js";

/** Characters of an instruction that are quoted. */
const MOST_QUOTED = 40;

/** What a channel at 1 looks like. Keys may carry a side (`AU1_L`, `AU1_one`, `yaw?`). */
const CHANNELS = {
  AU1: "Inner brows raised",
  AU2: "Outer brows raised",
  AU4: "Brows lowered and knit",
  AU5: "Upper lids raised",
  AU6: "Cheeks raised",
  AU7: "Lids narrowed",
  AU45: "Lids lowered",
  gaze_left: "Eyes turned left",
  gaze_right: "Eyes turned right",
  gaze_up: "Eyes turned up",
  gaze_down: "Eyes turned down",
  jaw: "Mouth open",
  wide: "Mouth widened",
  pucker: "Lips rounded",
  press: "Lips pressed together",
  smile: "Mouth corners up",
  upper_lip: "Upper lip raised",
  lower_lip: "Lower lip lowered",
  tuck: "Lower lip tucked in",
  tongue: "Tongue tip shown",
};
const SIDES = { L: "left", R: "right", one: "on the livelier side", other: "on the other side" };
/** Where the head goes for more, for less, and for nearly nothing. */
const POSE = {
  pitch: ["Head lowered", "Head raised", "Head level"],
  yaw: ["Head turned left", "Head turned right", "Head facing forward"],
  roll: ["Head tilted left", "Head tilted right", "Head upright"],
  "yaw?": ["Head turned with the gaze", "Head turned against the gaze", "Head facing forward"],
  "roll?": ["Head tilted with the gaze", "Head tilted against the gaze", "Head upright"],
};
const GAZE = {
  gaze_left: GAZE_DEGREES.side,
  gaze_right: GAZE_DEGREES.side,
  gaze_up: GAZE_DEGREES.up,
  gaze_down: GAZE_DEGREES.down,
};
const PARTS = [
  [/^AU[124](_|$)/, "brow"],
  [/^AU(5|7|45)/, "lid"],
  [/^AU6/, "cheeks"],
  [/^gaze/, "eyes"],
  [/^(pitch|yaw|roll)/, "head"],
];
/** What the rules of the physiological critic forbid. */
const RULES = {
  "finite": "Values that are no numbers",
  "range": "More than the face can do",
  "pose-range": "The head turned too far",
  "head-speed": "The head moved too fast",
  "head-acceleration": "The head moved with a jolt",
  "unit-speed": "The face changed faster than its muscles can",
  "unit-twitch": "A muscle of the face twitched",
  "unit-shake": "The face trembled faster than muscles can",
  "head-shake": "The head shook faster than necks can",
  "lid-shake": "The lids fluttered faster than lids can",
  "eye-shake": "The eyes trembled faster than eyes can",
  "saccade-rate": "The eyes jumped too often",
  "eyes-ride": "The eyes rode along with a fast head instead of holding their target",
  "opposed-units": "Muscles that work against each other both pulled",
  "lids": "The lids rose and closed at once",
  "lid-follows-gaze": "The eyes were wide open while looking down",
  "lid-opening-speed": "The lids opened too fast",
  "blink-duration": "A blink was too short",
  "blink-opens-slower": "A blink opened faster than it closed",
  "blink-sides": "The lids blinked too differently",
  "blink-gap": "Two blinks followed too closely",
  "wink-duration": "A wink was too short",
  "stare": "The eyes went without a blink for too long",
  "gaze-both-ways": "The eyes were to look two ways at once",
  "saccade-speed": "The eyes jumped faster than eyes can",
  "saccade-gap": "Two eye movements followed too closely",
  "gaze-glides": "The eyes glided with nothing to follow",
  "eyes-far-out": "The eyes stayed too far to the side",
  "frozen": "Eyes and head stood quite still",
};
/** From how much on an expression is called what. */
const AMOUNTS = [[0.8, "fully"], [0.55, "strongly"], [0.3, "clearly"], [0.12, "slightly"]];

const SOURCES = {
  embedded: "embedded planner",
  endpoint: "language model (endpoint)",
  local: "language model (local)",
};
const CONVERSATION = {
  idle: "at ease",
  listening: "listening",
  thinking: "thinking of what to say",
  speaking: "speaking",
};

/**
 * A channel's range.
 * @returns {{what: string, how: string, low?: number, high?: number}} `low` and `high` in [0, 1]
 *   for what can be drawn as a share of the most
 */
export function channel(key, [low, high]) {
  const pose = POSE[key];
  if (pose) {
    const [more, less, none] = pose;
    if (low >= 0 && high > 0) return { what: more, how: degrees(low, high) };
    if (high <= 0 && low < 0) return { what: less, how: degrees(-high, -low) };
    return { what: none, how: `within ${degrees(Math.max(-low, high))}` };
  }
  if (GAZE[key]) {
    return { what: CHANNELS[key], how: degrees(low * GAZE[key], high * GAZE[key]), low, high };
  }
  return { what: channelName(key), how: amount((low + high) / 2), low, high };
}

function channelName(key) {
  if (CHANNELS[key]) return CHANNELS[key];
  const [name, side] = key.split("_");
  const words = CHANNELS[name] ?? key;
  return SIDES[side] ? `${words}, ${SIDES[side]}` : words;
}

/** The part of the face that a channel moves. */
export function part(key) {
  const [, name] = PARTS.find(([pattern]) => pattern.test(key)) ?? [null, key];
  const side = SIDES[key.split("_")[1]];
  return side && name !== "eyes" ? `${side} ${name}` : name;
}

/** Who plans. */
export const plannedBy = (source) => SOURCES[source] ?? source;
export const byModel = (source) => source !== "embedded";

/** Why a plan is as it is. @param {(label: string) => string} title @param {string} instruction */
export function because({ label, state }, title, instruction) {
  const talk = CONVERSATION[state] ?? state;
  const felt = state === "idle" ? title(label) : `${title(label)}, while ${talk}`;
  const reason = label === "idle" ? talk : felt;
  return instruction ? `${reason}, and your instruction “${shorten(instruction)}”` : reason;
}

/** A rule of the physiological critic. */
export function rule(name) {
  return RULES[name] ?? name.replaceAll("-", " ");
}

function shorten(text) {
  return text.length > MOST_QUOTED ? `${text.slice(0, MOST_QUOTED).trimEnd()}…` : text;
}

function amount(value) {
  return AMOUNTS.find(([from]) => value >= from)?.[1] ?? "a trace";
}

function degrees(low, high = low) {
  const [a, b] = [Math.round(low), Math.round(high)];
  return a === b ? `${b}°` : `${a}–${b}°`;
}
