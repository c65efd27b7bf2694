/** Puts the page together. Parts know nothing of each other; what happens where is decided here. */

import { ActionList } from "./actions.js";
import { Problem, read, refusal } from "./api.js";
import { BehaviourPanel } from "./behaviour.js";
import { MediaClock } from "./clock.js";
import { Composer } from "./composer.js";
import { acceptDrops } from "./drops.js";
import { listen } from "./keys.js";
import { Plan } from "./plan.js";
import { Portraits } from "./portraits.js";
import { recall, remember } from "./prefs.js";
import { Quality } from "./quality.js";
import { Readout } from "./readout.js";
import { Recorder } from "./record.js";
import { Saccade } from "./saccade.js";
import { Score } from "./score.js";
import { SoundFiles } from "./sounds.js";
import { Stage } from "./stage.js";
import { Strip } from "./strip.js";
import { Timeline } from "./timeline.js";
import { Backoff, sleep } from "./timing.js";
import { Toasts } from "./toasts.js";
import { Why } from "./why.js";

const $ = (selector) => document.querySelector(selector);
const STATES = { idle: "Idle", listening: "Listening", thinking: "Thinking", speaking: "Speaking" };
const MOST_EVENTS = 1000;
const LIST_MS = 250;
/** How long a trouble of the server that has passed is told. */
const NOTE_MS = 10000;

const toasts = new Toasts($("#toasts"));
const stage = new Stage($(".stage-frame"));
const clock = new MediaClock();
const plan = new Plan();
const score = new Score();
const strip = new Strip($("#chart"), { clock, plan });
const actions = new ActionList($("#actions"));

let portrait = recall("portrait");
let avatarState = "idle";
let sessionShown = null;
let phase = "loading";
let firstFrameMs = null;
const events = [];

const avatar = new Saccade({
  surface: stage,
  keep: "saccade.session",
  session: () => ({
    portrait,
    label: behaviour.label,
    instruction: behaviour.instruction || undefined,
    eyes: behaviour.eyes,
  }),
});
avatar.on("link", showLink);
avatar.on("event", handleEvent);
avatar.on("measured", ({ summary }) => readout.show(summary));
const quality = new Quality($("#quality"), $("#quality-note"));
const readout = new Readout($("#stats"), { clock, quality });
const behaviour = new BehaviourPanel($(".direct"), (fields) => refusal(avatar.behave(fields)), toasts);
const composer = new Composer($("#composer"), { avatar, stage, toasts });
const sounds = new SoundFiles($("#composer"), { avatar, stage, toasts, shown: $("#spoken-file") });
const recorder = new Recorder($("#record"), { avatar, toasts });
const portraits = new Portraits($("#portraits"), { toasts, choose: changePortrait });
const title = (label) => behaviour.titleOf(label);
const timeline = new Timeline($("#score"), {
  clock,
  score,
  plan,
  context: () => ({ title, instruction: behaviour.instruction }),
});
const why = new Why($("#why"), { button: $("#why-open"), load: () => avatar.plans(), clock, title });

// --- what the server tells --------------------------------------------------------------------

const handlers = {
  hello(event) {
    const session = event.session ?? event;
    if (session.id !== sessionShown) {
      sessionShown = session.id;
      clock.reset();
      plan.clear();
      score.clear();
      strip.clear();
      timeline.clear();
      why.clear();
      sounds.keepOnly(session.id);
      $("#planner-note").textContent = "";
    }
    seedScore(session.id);
    behaviour.show(session);
    showPortrait(session.portrait?.id ?? session.portrait);
    showState(session.state ?? "idle");
  },
  state: (event) => showState(event.state),
  plan: (event) => plan.add(event.actions ?? []),
  score: (event) => score.add(event),
  controls(event) {
    clock.observe(event.pts + event.values.length * 640);
    strip.add(event.pts, event.values);
  },
  understood: (event) => behaviour.understood(event.unknown ?? []),
  stats: (event) => readout.setServer(event),
  error(event) {
    if (!event.cause) toasts.error(Problem.from(event)); // Otherwise who asked shows it.
  },
  degraded(event) {
    if (event.reason === "planner") showPlannerTrouble(event.detail);
    else showServerTrouble(event);
  },
  expiring(event) {
    const seconds = Math.round(event.in_s);
    const next = event.reason === "drain" ? "The server is about to stop." : "Another one begins by itself.";
    toasts.notice(`This session ends in ${seconds} s. ${next}`);
  },
};

function handleEvent(event) {
  events.push(event);
  if (events.length > MOST_EVENTS) events.splice(0, events.length - MOST_EVENTS);
  handlers[event.type]?.(event);
  sounds.handle(event);
  recorder.handle(event);
}

function showState(state) {
  avatarState = state;
  stage.root.dataset.state = state;
  $("#state-text").textContent = STATES[state] ?? state;
  composer.setState(state);
  sounds.setState(state);
}

// --- the plan, and what goes wrong with it ----------------------------------------------------

/** What was planned before this page was listening. */
async function seedScore(id) {
  const plans = await avatar.plans().catch(() => []); // Then the next `score` event shows the rest.
  if (id !== sessionShown) return;
  for (const known of plans) score.add(known);
}

/** @param {string} detail what is wrong, empty when it is over */
function showPlannerTrouble(detail) {
  const told = detail && `Planner: ${detail} The embedded planner plays on.`;
  $("#planner-note").textContent = told;
}

let noteTimer = 0;
function showServerTrouble({ reason, shift_ms: shift, detail, level, restored }) {
  const told = {
    stall: `The server fell behind; the picture waited for ${shift} ms.`,
    load: restored
      ? "The server keeps up again."
      : `The server can not keep up; pictures are simpler for now (${level}).`,
  };
  const note = $("#server-note");
  note.textContent = told[reason] ?? detail ?? `The server is degraded: ${reason}.`;
  clearTimeout(noteTimer);
  noteTimer = setTimeout(() => (note.textContent = ""), NOTE_MS);
}

// --- getting there ----------------------------------------------------------------------------

const PHASES = {
  starting: "Preparing the portrait",
  connecting: "Connecting",
  reconnecting: "The connection was lost. Reconnecting",
};

/** What the client tells of its connection. */
function showLink({ phase: next, detail, retryInMs, problem, firstFrameMs: ms, position, etaS }) {
  if (next === "live") {
    firstFrameMs ??= ms;
    handle.lastFirstFrameMs = ms;
  }
  if (position) showPhase(next, turn(position, etaS));
  else showPhase(next, detail, retryInMs);
  if (next === "failed") toasts.error(problem);
}

/** Where in the line we are. @param {number} [seconds] how long it may take */
function turn(position, seconds) {
  const long = seconds >= 90 ? `${Math.round(seconds / 60)}\u00a0min` : `${Math.ceil(seconds)}\u00a0s`;
  const about = seconds === undefined ? "" : `, about ${long}`;
  return `Every place is taken. You are number ${position} in line${about}.`;
}

function showPhase(next, detail, ms = 0) {
  phase = next;
  const changingOver = stage.root.dataset.playing && (next === "changing" || next === "connecting");
  stage.root.dataset.phase = next;
  $("#link-text").textContent =
    { live: "Live", failed: "Off", waiting: "Waiting" }[next] ?? "Connecting";
  $("#link").dataset.phase = next;
  if (next === "live") stage.progress(null);
  else if (next === "failed" || next === "waiting") {
    stage.progress(detail, { retryInMs: ms, failed: next === "failed" });
  } else if (!changingOver) stage.progress(PHASES[next] ?? "One moment");
  else stage.root.dataset.busy = "true";
}

function showPortrait(id) {
  const shown = portraits.byId(id);
  if (!shown) return;
  portrait = id;
  portraits.show(id);
  stage.setPoster(shown.thumbnail, shown.name);
}

function changePortrait(chosen) {
  remember("portrait", chosen.id);
  if (chosen.id === portrait && phase === "live") return;
  portrait = chosen.id;
  stage.setPoster(chosen.thumbnail, chosen.name);
  begin({ resume: false });
}

/** Begin, or change over; `showLink` tells how it goes. */
function begin(options) {
  refusal(avatar.connect(options));
}

/** Lists first: they are quick, and tell whether the server is there. */
async function load() {
  const backoff = new Backoff();
  for (;;) {
    try {
      const [labels] = await Promise.all([read("v1/labels"), portraits.load()]);
      behaviour.load(labels);
      return;
    } catch (error) {
      const ms = error.retryAfter ? error.retryAfter * 1000 : backoff.next();
      showPhase("waiting", error.message, ms);
      await sleep(ms);
    }
  }
}

async function main() {
  if (!window.RTCPeerConnection) {
    showPhase("failed", "This browser has no WebRTC. Open the page in a current browser.");
    return;
  }
  showPhase("starting");
  await load();
  showPortrait(portraits.byId(portrait) ? portrait : portraits.first?.id);
  begin();
}

// --- the page itself --------------------------------------------------------------------------

listen(
  {
    "/": () => composer.input.focus(),
    i: () => behaviour.input.focus(),
    m: () => composer.toggleMicrophone(),
    f: () => sounds.choose(),
    s: () => stage.toggleSound(),
    p: () => portraits.focus(),
    e: () => behaviour.focus(),
    w: () => why.toggle(),
    "?": () => $("#help").showModal(),
  },
  { escape: () => composer.escape() },
);
acceptDrops($("#drop"), {
  picture: (file) => portraits.upload(file),
  sound: (file) => sounds.speak(file),
});
$("#help-open").addEventListener("click", () => $("#help").showModal());
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close(); // The backdrop belongs to the dialog.
  });
}
$("#retry").addEventListener("click", () => begin({ resume: false }));
$("#chart-pause").addEventListener("click", ({ currentTarget: button }) => {
  strip.paused = timeline.paused = !strip.paused;
  button.setAttribute("aria-pressed", String(strip.paused));
  button.title = strip.paused ? "Let the charts run" : "Hold the charts";
});
setInterval(() => {
  const now = clock.at();
  if (now === null || document.hidden) return;
  why.tell(now);
  if (strip.paused) return;
  plan.prune(now);
  score.prune(now);
  actions.update(plan, now);
  timeline.tell(now);
}, LIST_MS);

/** For end-to-end tests and the curious. */
const handle = {
  get state() {
    return avatarState;
  },
  get phase() {
    return phase;
  },
  /** ms from the first SDP answer to the first picture on the screen. */
  get firstFrameMs() {
    return firstFrameMs;
  },
  lastFirstFrameMs: null,
  get session() {
    return avatar.session;
  },
  get clock() {
    return clock.at();
  },
  events,
  stats: () => readout.summary,
  /** How often the picture's connection found another way. */
  get restarts() {
    return avatar.restarts;
  },
};
window.saccade = handle;

main();
