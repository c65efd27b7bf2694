/** What a connection measures, once a second; and whether anything arrives at all. */

const POLL_MS = 1000;
/** Connected, but nothing arrives for this many polls: the picture is lost. */
const STALLED_POLLS = 6;

export class Meter {
  #before = null;
  #quiet = 0;
  #timer;

  /**
   * @param {{peer: () => RTCPeerConnection | undefined, onMeasured: (summary: object | null) => void,
   *   onStalled: () => void}} handlers `onMeasured` is given null while nothing is connected
   */
  constructor(handlers) {
    this.handlers = handlers;
    this.#timer = setInterval(() => this.#poll(), POLL_MS);
  }

  close() {
    clearInterval(this.#timer);
  }

  async #poll() {
    const pc = this.handlers.peer();
    if (!pc || pc.connectionState !== "connected") {
      this.#before = null;
      this.#quiet = 0;
      this.handlers.onMeasured(null);
      return;
    }
    const report = await pc.getStats().catch(() => null); // Closed under our hands.
    if (!report) return;
    const now = digest(report);
    const before = this.#before?.pc === pc ? this.#before.now : null;
    this.#before = { pc, now };
    if (!before) return;
    this.handlers.onMeasured(compare(before, now));
    this.#watch(now.bytes > before.bytes);
  }

  #watch(moving) {
    this.#quiet = moving ? 0 : this.#quiet + 1;
    if (this.#quiet < STALLED_POLLS) return;
    this.#quiet = 0;
    this.handlers.onStalled();
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
