/** What the connection measures, once a second: rate, delay, losses, codec, the server's side. */

const POLL_MS = 1000;
/** Connected, but nothing arrives for this many polls: the picture is lost. */
const STALLED_POLLS = 6;

export class Readout {
  #before = null;
  #quiet = 0;
  #summary = {};

  /**
   * @param {HTMLElement} root the `<dl>`
   * @param {{call: import("./call.js").Call, clock: import("./clock.js").MediaClock,
   *   quality: import("./quality.js").Quality}} parts
   */
  constructor(root, { call, clock, quality }) {
    this.root = root;
    this.call = call;
    this.clock = clock;
    this.quality = quality;
    this.server = {};
    setInterval(() => this.#poll(), POLL_MS);
  }

  /** The latest numbers. */
  get summary() {
    return { ...this.#summary, server: this.server, quality: this.quality.level };
  }

  /** @param {object} event the server's `stats` */
  setServer(event) {
    this.server = event;
    if (event.lead_ms !== undefined) this.clock.leadMs = event.lead_ms + 40;
  }

  async #poll() {
    const pc = this.call.player?.pc;
    if (!pc || pc.connectionState !== "connected") {
      this.#before = null;
      this.#quiet = 0;
      this.quality.show(null);
      this.#write({});
      return;
    }
    const report = await pc.getStats().catch(() => null); // Closed under our hands.
    if (!report) return;
    const now = digest(report);
    const before = this.#before?.pc === pc ? this.#before.now : null;
    this.#before = { pc, now };
    if (!before) return;
    this.#summary = compare(before, now);
    this.clock.delayMs = this.#summary.delayMs ?? 40;
    // A hidden page is not painted, and what is not painted is not measured.
    if (!document.hidden) this.quality.show({ ...this.#summary, server: this.server });
    this.#watch(now.bytes > before.bytes);
    this.#write(this.#summary);
  }

  #watch(moving) {
    this.#quiet = moving ? 0 : this.#quiet + 1;
    if (this.#quiet < STALLED_POLLS) return;
    this.#quiet = 0;
    this.call.stalled();
  }

  #write(s) {
    const server = this.server;
    const late = server.late_ms ?? server.late;
    const ms = (x) => (x === undefined ? "–" : `${Math.round(x)} ms`);
    this.#set("fps", s.fps === undefined ? "–" : s.fps.toFixed(0));
    this.#set("delay", ms(s.delayMs));
    this.#set("rtt", ms(s.rttMs));
    this.#set("bitrate", s.kbps === undefined ? "–" : rate(s.kbps));
    this.#set("codec", s.codec ? `${s.codec} ${s.height ?? ""}`.trim() : "–");
    this.#set("lost", s.dropped === undefined ? "–" : `${s.dropped} / ${s.freezes}`);
    this.#set("render", ms(server.render_ms));
    this.#set("level", server.level || "–");
    this.#set("late", ms(late));
  }

  #set(name, text) {
    const cell = this.root.querySelector(`[data-stat="${name}"]`);
    if (cell.textContent !== text) cell.textContent = text;
  }
}

/** The few numbers we use out of a stats report. */
function digest(report) {
  const out = { at: performance.now(), bytes: 0, freezes: 0, dropped: 0 };
  for (const s of report.values()) {
    if (s.type === "inbound-rtp" && s.kind === "video") {
      out.bytes += s.bytesReceived ?? 0;
      out.video = s;
      out.codec = report.get(s.codecId)?.mimeType?.split("/")[1];
    }
    if (s.type === "inbound-rtp" && s.kind === "audio") {
      out.bytes += s.bytesReceived ?? 0;
      out.audio = s;
    }
    if (s.type === "candidate-pair" && s.nominated && s.state === "succeeded") {
      if (s.currentRoundTripTime !== undefined) out.rttMs = s.currentRoundTripTime * 1000;
    }
  }
  return out;
}

/** What happened between two digests. */
function compare(a, b) {
  const seconds = (b.at - a.at) / 1000;
  const v = b.video ?? {};
  const u = a.video ?? {};
  const delta = (name) => (v[name] ?? 0) - (u[name] ?? 0);
  const emitted = delta("jitterBufferEmittedCount");
  const bufferMs = emitted > 0 ? (delta("jitterBufferDelay") / emitted) * 1000 : undefined;
  const lost = delta("packetsLost");
  const packets = lost + delta("packetsReceived");
  const heard = (name) => (b.audio?.[name] ?? 0) - (a.audio?.[name] ?? 0);
  const samples = heard("totalSamplesReceived");
  const patched = heard("concealedSamples") - heard("silentConcealedSamples");
  const decoded = delta("framesDecoded");
  const decodeMs = decoded > 0 ? (delta("totalDecodeTime") / decoded) * 1000 : 0;
  return {
    fps: v.framesPerSecond ?? decoded / seconds,
    bufferMs,
    rttMs: b.rttMs,
    delayMs: bufferMs === undefined ? undefined : bufferMs + decodeMs + (b.rttMs ?? 0) / 2,
    kbps: ((b.bytes - a.bytes) * 8) / 1000 / seconds,
    codec: b.codec,
    height: v.frameHeight,
    dropped: v.framesDropped ?? 0,
    freezes: v.freezeCount ?? 0,
    lost: v.packetsLost ?? 0,
    lostShare: packets > 0 ? lost / packets : undefined,
    patchedShare: samples > 0 ? patched / samples : undefined,
    frozenShare: delta("totalFreezesDuration") / seconds,
  };
}

const rate = (kbps) => (kbps >= 1000 ? `${(kbps / 1000).toFixed(1)} Mb/s` : `${Math.round(kbps)} kb/s`);
