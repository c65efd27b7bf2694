/** Learning one face's features on the server: a button, then a bar, then what was gained. */

import { read, request } from "./api.js";

const POLL_MS = 1500;

export class Adapt {
  #id = null;
  #timer = 0;
  #watched = new Set();

  /**
   * @param {HTMLElement} root
   * @param {import("./toasts.js").Toasts} toasts
   */
  constructor(root, toasts) {
    this.root = root;
    this.toasts = toasts;
    this.button = root.querySelector("button");
    this.bar = root.querySelector("progress");
    this.text = root.querySelector(".aside");
    this.button.addEventListener("click", () => this.#ask());
  }

  /** Follow a portrait; what another one learns goes on. */
  show(portrait) {
    this.#id = portrait.id;
    this.root.hidden = true;
    this.#look();
  }

  async #look() {
    clearTimeout(this.#timer);
    const id = this.#id;
    let now;
    try {
      now = await read(this.#path(id));
    } catch {
      return; // deleted meanwhile, or the server is away: both are told elsewhere
    }
    if (id === this.#id) this.#draw(id, now);
  }

  async #ask() {
    try {
      const answer = await request("POST", this.#path(this.#id));
      this.#draw(this.#id, await answer.json());
    } catch (error) {
      this.toasts.error(error);
    }
  }

  #draw(id, { state, done, note, gain_db: gain, problem }) {
    const busy = state === "waiting" || state === "running";
    this.root.hidden = Boolean(problem) && state !== "done";
    this.button.hidden = busy || state === "done";
    this.bar.hidden = !busy;
    this.bar.value = done;
    this.text.textContent = {
      none: "",
      waiting: "Waits for its turn",
      running: `${Math.round(100 * done)} %`,
      done: `Sharpened: ${gain > 0 ? "+" : ""}${gain} dB`,
      failed: "Did not work; try again",
    }[state];
    this.text.title = note;
    if (busy) {
      this.#watched.add(id);
      this.#timer = setTimeout(() => this.#look(), POLL_MS);
    } else if (this.#watched.delete(id) && state === "done") {
      this.toasts.notice("This face is sharper now. Choose it again to see it.");
    }
  }

  #path(id) {
    return `v1/portraits/${id}/adaptation`;
  }
}
