/** Shows what the connection measures: rate, delay, losses, codec, the server's side. */

export class Readout {
  #summary = {};

  /**
   * @param {HTMLElement} root the `<dl>`
   * @param {{clock: import("./clock.js").MediaClock,
   *   quality: import("./quality.js").Quality}} parts
   */
  constructor(root, { clock, quality }) {
    this.root = root;
    this.clock = clock;
    this.quality = quality;
    this.server = {};
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

  /** @param {object | null} summary what `meter.js` measures; null while nothing is connected */
  show(summary) {
    this.#write(summary ?? {});
    if (!summary) {
      this.quality.show(null);
      return;
    }
    this.#summary = summary;
    this.clock.delayMs = summary.delayMs ?? 40;
    // A hidden page is not painted, and what is not painted is not measured.
    if (!document.hidden) this.quality.show({ ...summary, server: this.server });
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

const rate = (kbps) => (kbps >= 1000 ? `${(kbps / 1000).toFixed(1)} Mb/s` : `${Math.round(kbps)} kb/s`);
