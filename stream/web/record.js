/** The record button: the server records, the file is saved here when the recording has ended. */

import { Problem, request } from "./api.js";
import { sleep } from "./timing.js";

const IDLE = "Record";
const TICK_MS = 1000;
/** How often, and how long apart, a file is asked for that is just being finished. */
const TRIES = 10;
const TRY_MS = 300;

export class Recorder {
  /** What is being recorded: where it is, its session's token, since when. */
  #running = null;
  #timer = 0;

  /** @param {HTMLButtonElement} button */
  constructor(button, { avatar, toasts }) {
    this.button = button;
    this.avatar = avatar;
    this.toasts = toasts;
    button.addEventListener("click", () => this.#press());
  }

  /** Follow the session: a recording may end without being told to. */
  handle(event) {
    const running = this.#running;
    if (event.type === "hello") {
      this.button.hidden = false;
      if (running && running.session !== this.avatar.session?.id) this.#save();
    } else if (event.type === "recording" && event.id === running?.id) {
      if (event.state === "recording") return;
      if (event.reason !== "stopped") this.toasts.notice(`The recording ended: ${event.reason}.`);
      this.#save();
    }
  }

  async #press() {
    this.button.disabled = true;
    try {
      if (this.#running) await this.#stop();
      else await this.#start();
    } catch (error) {
      if (error.status === 404) this.#show(null);
      this.toasts.error(error);
    } finally {
      this.button.disabled = false;
    }
  }

  async #start() {
    const { id: session, token } = this.avatar.session ?? {};
    if (!session) throw new Problem("The avatar is not there yet. Wait a moment and try again.");
    const answer = await request("POST", `v1/sessions/${session}/recordings`, { token });
    const { id } = await answer.json();
    const path = `v1/sessions/${session}/recordings/${id}`;
    this.#show({ id, session, token, path, since: performance.now() });
  }

  async #stop() {
    const { path, token } = this.#running;
    await request("DELETE", path, { token });
    await this.#save();
  }

  /** Fetch the file and hand it to the browser, once. */
  async #save() {
    const running = this.#running;
    if (!running) return;
    this.#show(null);
    try {
      const file = await this.#fetch(running);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(file);
      link.download = `saccade-${running.id}.mp4`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    } catch (error) {
      this.toasts.error(error);
    }
  }

  async #fetch({ path, token }) {
    for (let left = TRIES; ; left--) {
      try {
        return await (await request("GET", `${path}/file`, { token })).blob();
      } catch (error) {
        if (error.status !== 409 || !left) throw error;
        await sleep(TRY_MS);
      }
    }
  }

  #show(running) {
    this.#running = running;
    clearInterval(this.#timer);
    this.button.setAttribute("aria-pressed", String(running !== null));
    this.button.title = IDLE;
    if (!running) return;
    const tell = () => {
      const seconds = Math.floor((performance.now() - running.since) / 1000);
      const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
      this.button.title = `Stop and save the recording (${clock})`;
    };
    tell();
    this.#timer = setInterval(tell, TICK_MS);
  }
}
