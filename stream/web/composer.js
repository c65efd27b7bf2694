/** Talking to and through the avatar: the say box, interrupt, the microphone. */

import { Microphone } from "./microphone.js";

/** After the microphone is off, its last words are still on their way back to the speaker. */
const TAIL_MS = 600;

export class Composer {
  #state = "idle";
  #tail = 0;
  #starting = false;

  /**
   * @param {HTMLFormElement} form
   * @param {{call: import("./call.js").Call, stage: import("./stage.js").Stage,
   *   toasts: import("./toasts.js").Toasts}} parts
   */
  constructor(form, { call, stage, toasts }) {
    this.call = call;
    this.stage = stage;
    this.toasts = toasts;
    this.input = form.querySelector("#say");
    this.stop = form.querySelector("#interrupt");
    this.mic = form.querySelector("#mic");
    this.hint = document.querySelector("#composer-hint");
    this.micHint = document.querySelector("#microphone-hint");
    this.microphone = new Microphone({
      onBlock: (pcm, level) => this.#hear(pcm, level),
      onEnded: () => {
        this.#micIsOff();
        this.toasts.error("The microphone was unplugged.");
      },
    });
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
    const problem = await this.call.send("say", { text });
    if (!problem) return;
    this.toasts.error(problem);
    if (!this.input.value) this.input.value = text; // Refused words are not lost.
    this.#fit();
  }

  async interrupt() {
    const problem = await this.call.send("interrupt");
    if (problem) this.toasts.error(problem);
  }

  /** Esc: true when there was something to stop. */
  escape() {
    if (this.stop.disabled) return false;
    this.interrupt();
    return true;
  }

  async toggleMicrophone() {
    if (this.#starting) return;
    if (this.microphone.isOn) {
      this.microphone.stop();
      this.#micIsOff();
      const problem = await this.call.send("audio_end");
      if (problem) this.toasts.error(problem);
      return;
    }
    this.#starting = true;
    try {
      await this.microphone.start();
      this.#micIsOn();
      await this.announceMicrophone();
    } catch (error) {
      this.toasts.error(error);
    } finally {
      this.#starting = false;
    }
  }

  /** Tell a (new) session what the binary frames will be. */
  async announceMicrophone() {
    if (!this.microphone.isOn) return;
    const format = { rate: 16000, channels: 1, live: true };
    const problem = await this.call.send("audio_start", format);
    if (problem) this.toasts.error(problem);
  }

  #hear(pcm, level) {
    this.call.sendAudio(pcm);
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
