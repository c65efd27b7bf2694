/** Sound files the avatar speaks: chosen or dropped, sent, and named while they are heard. */

import { write } from "./dom.js";

export class SoundFiles {
  /** In order: `{cause, name, sent, started, session?, seconds?}`. */
  #items = [];
  #count = 0;
  #sending = Promise.resolve();

  /**
   * @param {HTMLElement} root the element `#composer`
   * @param {{avatar: import("./saccade.js").Saccade, stage: import("./stage.js").Stage,
   *   toasts: import("./toasts.js").Toasts, shown: HTMLElement}} parts `shown` takes the name
   */
  constructor(root, { avatar, stage, toasts, shown }) {
    this.avatar = avatar;
    this.stage = stage;
    this.toasts = toasts;
    this.shown = shown;
    this.button = root.querySelector("#file");
    this.input = root.querySelector("input[type=file]");
    this.button.addEventListener("click", () => this.choose());
    this.input.addEventListener("change", () => {
      for (const file of this.input.files) this.speak(file);
      this.input.value = "";
    });
  }

  choose() {
    this.input.click();
  }

  /** Have a file spoken, after those that were chosen before it. @param {File} file */
  speak(file) {
    this.stage.offerSound();
    const item = { cause: `f${++this.#count}`, name: file.name || "Sound", sent: false, started: false };
    this.#items.push(item);
    this.#show();
    this.#sending = this.#sending.then(() => this.#send(item, file));
  }

  async #send(item, file) {
    try {
      item.session = this.avatar.session?.id;
      const answer = await this.avatar.speak(file, { cause: item.cause });
      item.sent = true;
      item.seconds = answer.seconds;
      for (const warning of answer.warnings) this.toasts.notice(`${item.name}: ${warning}`);
      this.#show();
    } catch (error) {
      this.toasts.error(`${item.name}: ${error.message}`);
      this.#drop((i) => i === item);
    }
  }

  /** Follow the events that a file causes. */
  handle({ type, phase, cause, detail }) {
    const item = this.#items.find((i) => i.cause === cause);
    if (type === "interrupted") this.#drop((i) => i.sent || i.started);
    if (!item) return;
    if (type === "speech" && phase === "started") {
      item.started = true;
      this.#show();
    } else if (type === "speech" && phase === "ended") this.#drop((i) => i === item);
    else if (type === "error") {
      this.toasts.error(`${item.name}: ${detail}`);
      this.#drop((i) => i === item);
    }
  }

  /** Follow the avatar's state: an end that was missed is one. @param {string} state */
  setState(state) {
    if (state !== "speaking") this.#drop((i) => i.started);
  }

  /** A session knows nothing of what another was sent. @param {string} id */
  keepOnly(id) {
    this.#drop((i) => i.session && i.session !== id);
  }

  #drop(condition) {
    this.#items = this.#items.filter((i) => !condition(i));
    this.#show();
  }

  #show() {
    const item = this.#items.find((i) => i.started) ?? this.#items[0];
    this.shown.hidden = !item;
    this.button.setAttribute("aria-busy", String(this.#items.some((i) => !i.sent)));
    if (!item) return write(this.shown.firstElementChild, "");
    const { name, seconds, started, sent } = item;
    const rest = this.#items.length - 1;
    const facts = [
      seconds && length(seconds),
      !started && (sent ? "waiting" : "sending"),
      rest && `${rest} more`,
    ];
    write(this.shown.firstElementChild, name);
    write(this.shown.lastElementChild, facts.filter(Boolean).join(", "));
  }
}

/** Minutes and seconds. */
function length(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}
