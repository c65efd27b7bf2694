/** A plan of `GET /v1/sessions/{id}/plans` in plain words. */

import { exchangeItem } from "./agents.js";
import { capital, el } from "./dom.js";
import { because, byModel, channel, part, plannedBy, rule } from "./words.js";

const PTS_PER_S = 16000;

const MENDED =
  "The physiological critic found what no face does, and put it right before it was shown:";
const EMBEDDED =
  "The embedded planner: each state has its stages, it draws which come next and how strong they" +
  " are. No language model took part.";
const FAILED =
  "The embedded planner plays: a language model was asked, but what it answered could not be used.";

/**
 * @param {object} plan
 * @param {object | undefined} before the plan that was played before it
 * @param {(label: string) => string} title of a label
 * @returns {HTMLElement[]}
 */
export function explain(plan, before, title) {
  const stages = plan.events.map((event) => stage(event, plan, before));
  return [
    el("p", {}, summary(plan, title)),
    section("What it shows", el("ol.stages", {}, ...stages)),
    section("What was mended", ...mended(plan)),
    section("Who planned it", ...planners(plan)),
  ];
}

function summary(plan, title) {
  const { length } = plan.events;
  const reason = because(plan, title, plan.instruction);
  const seconds = ((plan.end - plan.start) / PTS_PER_S).toFixed(1);
  const stages = length === 1 ? "one stage" : `${length} stages`;
  return `Because of: ${reason}. ${capital(seconds)} seconds in ${stages}.`;
}

function section(title, ...content) {
  return el("section", {}, el("h4", {}, title), ...content);
}

// --- stages ------------------------------------------------------------------------------------

function stage(event, plan, before) {
  const ranges = Object.entries(event.controls).map(([key, span]) => range(channel(key, span)));
  if (event.look) ranges.unshift(range(gaze(event.look)));
  return el(
    "li",
    {},
    el("p.stage-head", {}, el("strong", {}, capital(event.semantics)), when(event, plan)),
    ranges.length > 0
      ? el("ul.ranges", {}, ...ranges)
      : el("p", {}, "Brows, lids and head are at rest."),
    origin(event, plan, before),
  );
}

/** Where a stage keeps its eyes: "up and to a side, 17 to 22°". */
function gaze({ where, degrees }) {
  if (where === "viewer") return { what: "eyes", how: "on the viewer" };
  const way = where
    .split("_")
    .map((word) => (word === "up" || word === "down" ? word : `to ${word === "side" ? "a" : "the"} ${word}`))
    .join(" and ");
  const [low, high] = degrees.map((value) => Math.round(value));
  return { what: "eyes", how: `${way}, ${low === high ? low : `${low} to ${high}`}°` };
}

function when({ start, end }, plan) {
  return el("span.took", {}, `${since(plan, start)}–${since(plan, end)} s`);
}

const since = (plan, pts) => ((pts - plan.start) / PTS_PER_S).toFixed(1);

function range({ what, how, low, high }) {
  if (low === undefined) return el("li", {}, el("span", {}, what), el("span.how", {}, how));
  const gauge = el("i.gauge", { "aria-hidden": "true" });
  gauge.style.setProperty("--low", String(low));
  gauge.style.setProperty("--high", String(high));
  const percent = `${Math.round(low * 100)} to ${Math.round(high * 100)} %`;
  return el("li", { title: percent }, el("span", {}, what), gauge, el("span.how", {}, how));
}

/** Where the fine motion of a stage comes from. */
function origin(event, plan, before) {
  const earlier = event === plan.events[0] && goneOnFrom(before, event);
  const prototype = event.prototype ?? (earlier && earlier.prototype);
  if (!prototype) {
    const text = earlier
      ? "Goes on from the plan before, and so does its fine motion."
      : "No recording was used: its motion is made up from measured rules.";
    return el("p.origin", {}, text);
  }
  const { name, source, kind, distance } = prototype;
  const recorded = kind === "recorded";
  const words = recorded ? "as it was recorded" : "made from published measurements";
  return el(
    "div.origin",
    {},
    el("p", {}, el("span.tag", { "data-kind": kind }, kind), ` Fine motion ${words}: ${name}`),
    el(
      "div.source",
      {},
      `${Number(distance).toFixed(2)} away from what is asked for (0: the same)`,
      el("details", {}, el("summary", {}, "Source"), el("p", {}, source)),
    ),
  );
}

/** The stage of the plan `before` that `event` is the rest of, if it is. */
const goneOnFrom = (before, { start, semantics }) =>
  before?.events.find((e) => e.semantics === semantics && e.start < start && start <= e.end);

// --- the critic --------------------------------------------------------------------------------

function mended({ repaired, ...plan }) {
  if (!repaired.length) return [el("p", {}, "Nothing: all of it is what eyes and heads can do.")];
  const items = [...group(repaired)].map(([name, found]) => {
    const times = found.map((v) => `${since(plan, v.start)} s`);
    const parts = [...new Set(found.flatMap((v) => v.channels).map(part))];
    return el(
      "li",
      {},
      el("strong", {}, capital(rule(name))),
      el("span.took", {}, `at ${several(times)}`),
      el("span.source", {}, parts.join(", ")),
    );
  });
  return [el("p", {}, MENDED), el("ul.mended", {}, ...items)];
}

function group(found) {
  const groups = new Map();
  for (const one of found) groups.set(one.rule, [...(groups.get(one.rule) ?? []), one]);
  return groups;
}

function several(times) {
  const told = times.slice(0, 3).join(", ");
  return times.length > 3 ? `${told} and ${times.length - 3} more` : told;
}

// --- the planners ------------------------------------------------------------------------------

function planners({ source, exchanges }) {
  const embedded = !byModel(source);
  if (!exchanges.length) return [el("p", {}, embedded ? EMBEDDED : `A ${plannedBy(source)}.`)];
  const text = embedded ? FAILED : `A ${plannedBy(source)}, in these steps:`;
  return [el("p", {}, text), el("ol.exchanges", {}, ...exchanges.map(exchangeItem))];
}
