/** The control socket of a session: commands out, events in, PCM16 as binary frames. */

import { Problem, resolve } from "./api.js";
import { sleep } from "./timing.js";

/** A command unanswered for this long has failed. */
const ANSWER_MS = 10000;
/** Microphone audio waiting to be sent beyond this is dropped: late speech is worse than a gap. */
const BACKLOG_BYTES = 16000;

export class ControlSocket {
  #socket;
  #waiting = new Map();
  #count = 0;
  #closed = false;
  #opened;

  /**
   * @param {{control: string, token: string}} session
   * @param {{onEvent: (event: object) => void, onLost: () => void}} handlers `onLost` is called
   *   once when the socket closes by itself
   */
  constructor({ control, token }, { onEvent, onLost }) {
    const url = resolve(control);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    url.searchParams.set("token", token);
    this.#socket = new WebSocket(url);
    this.#socket.binaryType = "arraybuffer";
    this.#opened = new Promise((done) => (this.#socket.onopen = () => done(true)));
    this.#socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      onEvent(event);
      this.#settle(event);
    };
    this.#socket.onclose = () => {
      for (const done of this.#waiting.values()) done(new Problem("The connection was lost."));
      this.#waiting.clear();
      if (!this.#closed) onLost();
      this.#closed = true;
    };
  }

  get isOpen() {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  /**
   * Send a command; waits a moment for a socket that is still opening.
   * @returns {Promise<string>} its id, once it was accepted
   * @throws {Problem}
   */
  async send(type, fields = {}) {
    await Promise.race([this.#opened, sleep(4000)]);
    if (!this.isOpen) throw new Problem("There is no connection to the avatar right now.");
    const id = `m${++this.#count}`;
    this.#socket.send(JSON.stringify({ id, type, ...fields }));
    return new Promise((done, fail) => {
      const finish = (problem) => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        if (problem) fail(problem);
        else done(id);
      };
      const late = () => finish(new Problem("The server did not answer in time."));
      const timer = setTimeout(late, ANSWER_MS);
      this.#waiting.set(id, finish);
    });
  }

  /** Send PCM16 at once, or not at all. @param {ArrayBuffer} pcm */
  sendAudio(pcm) {
    if (this.isOpen && this.#socket.bufferedAmount < BACKLOG_BYTES) this.#socket.send(pcm);
  }

  /** Close. Closing twice is fine. */
  close() {
    this.#closed = true;
    this.#socket.close(1000);
  }

  /** Let the command that caused `event` know how it went. */
  #settle(event) {
    const done = this.#waiting.get(event.cause);
    if (!done) return;
    if (event.type === "ok" || event.type === "understood") done(null);
    if (event.type === "error") done(Problem.from(event));
  }
}
