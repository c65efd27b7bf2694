/**
 * Which media time is on the screen right now.
 *
 * The server publishes events when it plans, a little before the frames they belong to are
 * presented. The events that travelled fastest tell how its clock stands to ours; from there it is
 * the server's lead, the way of the picture, and the browser's jitter buffer back to what one sees.
 */

const PTS_PER_MS = 16;
/** Between planning a window and presenting its end: two frames of lead and one of window. */
const DEFAULT_LEAD_MS = 120;
/** Encoding there and drawing here, which nothing measures. */
const CODING_MS = 40;
/** Samples considered: the fastest of the last few seconds, so that a moved clock is followed. */
const WINDOW_MS = 4000;
/** Larger errors are jumps of the server's clock; smaller ones are slewed away. */
const JUMP_MS = 400;

export class MediaClock {
  #samples = [];
  #offset = null;
  /** Network, jitter buffer and decoding, ms, from `getStats`. */
  delayMs = 40;
  /** The server's lead, ms. */
  leadMs = DEFAULT_LEAD_MS;

  /** @param {number} pts end of what the server had planned when the event left */
  observe(pts, now = performance.now()) {
    this.#samples.push({ now, offset: pts / PTS_PER_MS - now });
    while (this.#samples[0].now < now - WINDOW_MS) this.#samples.shift();
    const target = Math.max(...this.#samples.map((s) => s.offset));
    if (this.#offset === null || Math.abs(target - this.#offset) > JUMP_MS) this.#offset = target;
    else this.#offset += (target - this.#offset) * 0.1;
  }

  /** pts on the screen at `now`, or null before the first event. */
  at(now = performance.now()) {
    if (this.#offset === null) return null;
    return (now + this.#offset - this.leadMs - this.delayMs - CODING_MS) * PTS_PER_MS;
  }

  reset() {
    this.#samples = [];
    this.#offset = null;
  }
}
