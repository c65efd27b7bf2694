/**
 * The client: one avatar of a Saccade server in a web page. This file is the public surface, its
 * types are in `saccade.d.ts`, and docs/clients.md tells how to use it; what it imports is internal.
 */

import { HOME, Problem, read, request } from "./api.js";
import { Call } from "./call.js";
import { Meter } from "./meter.js";
import { Microphone } from "./microphone.js";
import { VideoSurface } from "./playing.js";
import { sleep } from "./timing.js";
import { learnIceServers } from "./whep.js";

export { Problem };

/** How long the first connection waits to be told the ICE servers. */
const ICE_MS = 1500;
const MICROPHONE = { rate: 16000, channels: 1, live: true };

export class Saccade {
  #handlers = new Map();
  #call;
  #surface;
  #wanted;
  #learnt;
  #microphone;
  #starting = false;
  #phase = "closed";
  #waiting = [];
  #meter = null;
  #listening = null;
  #turn = 0;

  /** @param {import("./saccade.js").Options} options */
  constructor({ video, surface, base = HOME, session = {}, keep = null }) {
    if (!video && !surface) throw new TypeError("Give a video element to show the avatar on.");
    const home = new URL(base, document.baseURI).href;
    this.base = home.endsWith("/") ? home : `${home}/`;
    this.keep = keep;
    this.#surface = surface ?? new VideoSurface(video);
    this.#wanted = session;
    this.#learnt = learnIceServers(this.base);
    this.#call = new Call({
      base: this.base,
      keep,
      attach: (player) => this.#surface.attach(player),
      freeze: () => this.#surface.freeze(),
      choice: () => ({ ...this.#now() }),
      phase: (phase, detail, ms, problem) => this.#follow(phase, { detail, retryInMs: ms, problem }),
      live: (firstFrameMs) => this.#follow("live", { firstFrameMs }),
      failed: (problem) => this.#follow("failed", { detail: problem.message, problem }),
      event: (event) => this.#hear(event),
    });
    this.#microphone = new Microphone({
      onBlock: (pcm, level) => {
        this.sendAudio(pcm);
        this.#tell({ type: "level", level });
      },
      onEnded: () => {
        const problem = new Problem("The microphone was unplugged.", { code: "microphone" });
        this.#tell({ type: "microphone", on: false, problem });
      },
    });
  }

  /** How to reach the session that plays or is on its way, or null. */
  get session() {
    return this.#call.session;
  }

  get phase() {
    return this.#phase;
  }

  get stream() {
    return this.#call.player?.stream ?? null;
  }

  /** How often the connection found another way to the same session. */
  get restarts() {
    return this.#call.player?.restarts ?? 0;
  }

  /** Counts interruptions, anybody's. */
  get turn() {
    return this.#turn;
  }

  get microphoneIsOn() {
    return this.#microphone.isOn;
  }

  on(type, handler) {
    const handlers = this.#handlers.get(type) ?? new Set();
    this.#handlers.set(type, handlers.add(handler));
    return () => handlers.delete(handler);
  }

  async connect({ session, resume = Boolean(this.keep) } = {}) {
    if (session) this.#wanted = typeof session === "function" ? session : { ...this.#now(), ...session };
    this.#listen();
    const live = new Promise((done, fail) => this.#waiting.push({ done, fail }));
    live.catch(() => {}); // Whoever awaits it is told all the same.
    await Promise.race([this.#learnt, sleep(ICE_MS)]);
    if (this.#listening) this.#call.start({ resume });
    return live;
  }

  async close() {
    this.#listening?.abort();
    this.#listening = null;
    this.#meter?.close();
    this.#microphone.stop();
    const stopped = this.#call.stop();
    this.#surface.clear?.();
    if (this.#phase !== "closed") this.#follow("closed", {});
    await stopped;
  }

  say(text, { turn } = {}) {
    return this.send("say", { text, turn });
  }

  async behave(fields) {
    const id = this.session ? await this.send("behave", fields) : "";
    if (typeof this.#wanted !== "function") this.#wanted = { ...this.#wanted, ...fields };
    return id; // What was refused is not asked for again.
  }

  attend(state) {
    return this.send("state", { state });
  }

  interrupt() {
    return this.send("interrupt");
  }

  send(type, fields) {
    return this.#call.send(type, fields);
  }

  sendAudio(pcm) {
    this.#call.sendAudio(pcm);
  }

  async speak(file, { cause, turn } = {}) {
    const { url, token } = this.#reached();
    const path = new URL(`${url}/speech`);
    if (cause) path.searchParams.set("cause", cause);
    if (turn !== undefined) path.searchParams.set("turn", turn);
    const type = file.type || "application/octet-stream";
    return (await request("POST", path, { body: file, type, token })).json();
  }

  async plans() {
    const { url, token } = this.#reached();
    return (await read(`${url}/plans`, { token })).plans;
  }

  async startMicrophone() {
    if (this.#starting || this.#microphone.isOn) return;
    this.#starting = true;
    try {
      await this.#microphone.start();
    } catch (error) {
      throw new Problem(error.message, { code: "microphone" });
    } finally {
      this.#starting = false;
    }
    this.#tell({ type: "microphone", on: true });
    await this.send("audio_start", MICROPHONE);
  }

  async stopMicrophone() {
    if (!this.#microphone.isOn) return;
    this.#microphone.stop();
    this.#tell({ type: "microphone", on: false });
    await this.send("audio_end");
  }

  // --- inside ---------------------------------------------------------------------------------

  #now() {
    return typeof this.#wanted === "function" ? this.#wanted() : this.#wanted;
  }

  #reached() {
    if (this.session) return this.session;
    throw new Problem("The avatar is not there yet. Wait a moment and try again.");
  }

  #hear(event) {
    if (event.type === "hello") this.#turn = event.session.turn;
    if (event.type === "interrupted") this.#turn = event.turn;
    if (event.type === "hello" && this.#microphone.isOn) this.#announceMicrophone();
    this.#tell(event);
    this.#tell(event, "event");
  }

  /** A new session does not know yet what the binary frames are. */
  async #announceMicrophone() {
    try {
      await this.send("audio_start", MICROPHONE);
    } catch (problem) {
      if (this.#microphone.isOn) this.#tell({ type: "microphone", on: true, problem });
    }
  }

  #follow(phase, facts) {
    this.#phase = phase;
    const { problem } = facts;
    this.#tell({ type: "link", phase, ...facts, position: problem?.position, etaS: problem?.etaS });
    if (!["live", "failed", "closed"].includes(phase)) return;
    for (const { done, fail } of this.#waiting.splice(0)) {
      if (phase === "live") done();
      else fail(problem ?? new DOMException("closed", "AbortError"));
    }
  }

  #tell(event, type = event.type) {
    for (const handler of [...(this.#handlers.get(type) ?? [])]) {
      try {
        handler(event);
      } catch (error) {
        reportError(error); // One that fails does not keep the others from being told.
      }
    }
  }

  /** Follow the page and the network, as long as we are not closed. */
  #listen() {
    if (this.#listening) return;
    this.#listening = new AbortController();
    const { signal } = this.#listening;
    const again = () => this.#call.start({ resume: Boolean(this.keep) });
    // While a tab is closed Firefox ends the script that it finds running, without a word, and goes
    // on with the next listener (its setting dom.ipc.cancel_content_js_when_navigating).
    addEventListener("pagehide", () => this.#call.farewell(), { signal });
    addEventListener("pagehide", () => this.#call.leave(), { signal });
    addEventListener("pageshow", (event) => event.persisted && again(), { signal });
    const online = () => (this.#phase === "failed" ? again() : this.#call.wake({ changed: true }));
    addEventListener("online", online, { signal });
    navigator.connection?.addEventListener?.("change", () => this.#call.wake(), { signal });
    const seen = () => document.hidden || this.#call.wake();
    document.addEventListener("visibilitychange", seen, { signal });
    this.#meter = new Meter({
      peer: () => this.#call.player?.pc,
      onMeasured: (summary) => this.#tell({ type: "measured", summary }),
      onStalled: () => this.#call.stalled(),
    });
  }
}
