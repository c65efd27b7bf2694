/** What was asked of the agents of a language model and what they answered, for people. */

import { capital, el } from "./dom.js";

const ROLES = {
  analysis: ["Analysis", "what is said, and why"],
  planning: ["Planning", "which stages, and when"],
  composition: ["Composition", "how much of what in each stage"],
  critic: ["Critic", "whether it fits what was meant"],
  reflection: ["Reflection", "how the last plan turned out"],
};
const DECISIONS = {
  approve: "Approved.",
  revise_composition: "Sent back to composition.",
  revise_planning: "Sent back to planning.",
};
const ASPECTS = {
  semantic_consistency: "shows what is meant",
  event_order: "order makes sense",
  instruction_satisfaction: "does what was asked",
};

/** One question and its answer. @param {object} exchange as in `GET …/plans` */
export function exchangeItem({ role, source, seconds, reasoning, request, answer, error }) {
  const [title, purpose] = ROLES[role] ?? [capital(String(role)), ""];
  return el(
    "li.exchange",
    { "data-role": String(role) },
    el(
      "p.exchange-head",
      {},
      el("strong", {}, title),
      el("span", {}, purpose),
      el("span.took", {}, `${source}, ${Number(seconds).toFixed(1)} s`),
    ),
    error && el("p.warn", {}, `It could not be used. ${said(error)}`),
    reasoning && el("blockquote", {}, el("span.tag", {}, "thought"), String(reasoning)),
    ...answered(role, answer ?? {}),
    raw("What it was asked", request),
    raw("What it answered", answer),
  );
}

/** An error without the kind that programs know it by (`timeout: …`). */
const said = (error) => capital(String(error).replace(/^\w+: /, ""));

/** The gist of an answer. */
function answered(role, answer) {
  if (role === "planning") return [list(entries(answer.events).map(planned))];
  if (role === "composition") {
    const count = entries(answer.events).length;
    return [count > 0 && el("p", {}, `Ranges for ${count} ${count === 1 ? "stage" : "stages"}.`)];
  }
  if (role === "critic") {
    const judged = Object.entries(ASPECTS).filter(([key]) => answer[key]);
    const yes = (key) => (answer[key] === "pass" ? "yes" : "no");
    const verdicts = judged.map(([key, words]) => `${words}: ${yes(key)}`);
    const advice = entries(answer.revisions).map((r) => String(r.advice));
    return [line(DECISIONS[answer.decision]), line(verdicts.join(", ")), list(advice)];
  }
  if (role === "analysis") {
    const { emotion, intent } = answer;
    return [line(emotion && `Emotion: ${emotion}`), line(intent && `Intent: ${intent}`)];
  }
  return [line(answer.advice)];
}

const planned = (event) => `${seconds(event.start)}–${seconds(event.end)} s: ${event.semantics}`;
const seconds = (value) => Number(value).toFixed(1);
const entries = (value) => (Array.isArray(value) ? value : []);
const line = (text) => text && el("p", {}, String(text));
const item = (text) => el("li", {}, text);
const list = (lines) => lines.length > 0 && el("ul", {}, ...lines.map(item));

/** The JSON itself, folded away. */
function raw(title, value) {
  if (!value || !Object.keys(value).length) return null;
  const text = JSON.stringify(value, null, 2);
  return el("details", {}, el("summary", {}, title), el("pre", { tabindex: "0" }, text));
}
