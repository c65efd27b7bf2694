/** How good the connection is, and what is wrong with it, from what `getStats` told of a second. */

/** A bad second is shown this long (polls), so that nothing flickers. */
const SHOWN_POLLS = 4;

const LEVELS = ["good", "fair", "poor"];

/**
 * What is measured, from where on it is fair and poor, and what to say. Delays are felt in a
 * conversation from about 150 ms on (ITU-T G.114); 25 pictures a second are sent.
 */
const RULES = [
  { of: (s) => s.rttMs, fair: 150, poor: 400, say: (x) => `${x.toFixed(0)} ms round trip` },
  { of: (s) => s.bufferMs, fair: 150, poor: 400, say: (x) => `${x.toFixed(0)} ms wait in the buffer` },
  { of: (s) => s.lostShare, fair: 0.02, poor: 0.08, say: (x) => `${percent(x)} of the packets are lost` },
  { of: (s) => s.patchedShare, fair: 0.03, poor: 0.15, say: (x) => `${percent(x)} of the sound is missing` },
  { of: (s) => s.frozenShare, fair: 0.05, poor: 0.4, say: () => "the picture freezes" },
  { of: missing, fair: 0.2, poor: 0.5, say: (x, s) => blame(s) },
];

/**
 * @param {object} s what `readout.js` compares: rttMs, bufferMs, lostShare, patchedShare,
 *   frozenShare, fps, and the server's `stats` as `server`; what is undefined is not judged
 * @returns {{level: "good" | "fair" | "poor", reasons: string[]}} the worst reason first
 */
export function judge(s) {
  const found = [];
  for (const { of, fair, poor, say } of RULES) {
    const value = of(s);
    if (!Number.isFinite(value) || value < fair) continue;
    found.push({ rank: value < poor ? 1 : 2, text: say(value, s) });
  }
  found.sort((a, b) => b.rank - a.rank);
  return { level: LEVELS[found[0]?.rank ?? 0], reasons: found.map((f) => f.text) };
}

/** Shows the worst of the last seconds. */
export class Quality {
  #last = [];

  /** @param {HTMLElement} sign three bars @param {HTMLElement} note says what is wrong */
  constructor(sign, note) {
    this.sign = sign;
    this.note = note;
    this.level = null;
  }

  /** @param {object | null} measured what `judge` takes; null while nothing is connected */
  show(measured) {
    if (!measured) {
      this.#last = [];
      this.level = null;
      this.sign.hidden = true;
      this.note.textContent = "";
      return;
    }
    this.#last = [...this.#last.slice(1 - SHOWN_POLLS), judge(measured)];
    const rank = (found) => LEVELS.indexOf(found.level);
    const worst = this.#last.reduce((a, b) => (rank(b) >= rank(a) ? b : a));
    const told = worst.reasons.join(", ");
    this.level = worst.level;
    this.sign.hidden = false;
    this.sign.dataset.level = worst.level;
    const text = told ? `Connection ${worst.level}: ${told}` : `Connection ${worst.level}`;
    this.sign.title = text;
    this.sign.setAttribute("aria-label", text);
    const sentence = told && `${told[0].toUpperCase()}${told.slice(1)}.`;
    if (this.note.textContent !== sentence) this.note.textContent = sentence;
  }
}

const percent = (share) => `${(100 * share).toFixed(0)} %`;

/** Share of the 25 pictures a second that are not shown. */
function missing(s) {
  return s.fps === undefined ? undefined : 1 - s.fps / 25;
}

/** Few pictures: because few are made, or because they do not get here. */
function blame(s) {
  const few = `only ${s.fps.toFixed(0)} pictures a second arrive`;
  return s.server?.fps < 20 ? `${few}: the server is busy` : few;
}
