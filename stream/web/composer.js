/** Talking to and through the avatar: the say box, interrupt, the microphone. */

import { refusal } from "./api.js";

/** After the microphone is off, its last words are still on their way back to the speaker. */
const TAIL_MS = 600;

export class Composer {
  #state = "idle";
  #tail = 0;

  /**
   * @param {HTMLFormElement} form
   * @param {{avatar: import("./saccade.js").Saccade, stage: import("./stage.js").Stage,
   *   toasts: import("./toasts.js").Toasts}} parts
   */
  constructor(form, { avatar, stage, toasts }) {
    this.avatar = avatar;
    this.stage = stage;
    this.toasts = toasts;
    this.input = form.querySelector("#say");
    this.stop = form.querySelector("#interrupt");
    this.mic = form.querySelector("#mic");
    this.hint = document.querySelector("#composer-hint");
    this.micHint = document.querySelector("#microphone-hint");
    avatar.on("microphone", ({ on, problem }) => {
      if (on) this.#micIsOn();
      else this.#micIsOff();
      if (problem) this.toasts.error(problem);
    });
    avatar.on("level", ({ level }) => this.#showLevel(level));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.say();
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.say();
    });
    this.input.addEventListener("input", () => this.#fit());
    this.stop.addEventListener("click", () => this.interrupt());
    this.mic.addEventListener("click", () => this.toggleMicrophone());
  }

  /** Follow the avatar's state. @param {string} state */
  setState(state) {
    this.#state = state;
    const busy = state === "speaking" || state === "thinking";
    if (!busy && document.activeElement === this.stop) this.input.focus();
    this.stop.disabled = !busy;
  }

  /** Speak what is in the box. */
  async say() {
    const text = this.input.value.trim();
    if (!text) return;
    this.stage.offerSound();
    this.input.value = "";
    this.#fit();
    const problem = await refusal(this.avatar.say(text));
    if (!problem) return;
    this.toasts.error(problem);
    if (!this.input.value) this.input.value = text; // Refused words are not lost.
    this.#fit();
  }

  async interrupt() {
    const problem = await refusal(this.avatar.interrupt());
    if (problem) this.toasts.error(problem);
  }

  /** Esc: true when there was something to stop. */
  escape() {
    if (this.stop.disabled) return false;
    this.interrupt();
    return true;
  }

  async toggleMicrophone() {
    const { avatar } = this;
    const problem = await refusal(
      avatar.microphoneIsOn ? avatar.stopMicrophone() : avatar.startMicrophone(),
    );
    if (problem) this.toasts.error(problem);
  }

  #showLevel(level) {
    const shown = Math.min(1, Math.sqrt(level) * 2.2);
    this.mic.style.setProperty("--level", shown.toFixed(2));
  }

  #micIsOn() {
    clearTimeout(this.#tail);
    this.stage.duck(true); // Hearing oneself a moment later is unbearable, and would feed back.
    this.mic.setAttribute("aria-pressed", "true");
    this.mic.title = "Microphone is on (M)";
    this.#showHint(this.micHint);
  }

  #micIsOff() {
    this.#tail = setTimeout(() => this.stage.duck(false), TAIL_MS);
    this.mic.setAttribute("aria-pressed", "false");
    this.mic.title = "Speak through the avatar (M)";
    this.mic.style.removeProperty("--level");
    this.#showHint(this.hint);
  }

  #showHint(hint) {
    for (const h of [this.hint, this.micHint]) h.hidden = h !== hint;
  }

  /** As tall as its text, within limits. */
  #fit() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight, 160)}px`;
  }
}
