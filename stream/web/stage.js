/**
 * The picture: two videos of which one is shown, so that one avatar hands over to the next without
 * a black frame; a still of the last picture while nothing plays; and the sound.
 */

import { recall, remember } from "./prefs.js";
import { fade } from "./motion.js";
import { firstFrame, play } from "./playing.js";

const GLOW = 48;

export class Stage {
  #videos;
  #shown = null;
  #muted = true;
  #ducked = false;
  #soundWanted = recall("sound", false);
  #overlay;
  #countdown = 0;

  /** @param {HTMLElement} root the element `.stage-frame` */
  constructor(root) {
    this.root = root;
    this.#videos = [...root.querySelectorAll("video")];
    this.still = root.querySelector(".still");
    this.poster = root.querySelector(".poster");
    this.glow = root.querySelector(".glow");
    this.#overlay = root.querySelector(".progress");
    this.unmute = root.querySelector("#unmute");
    this.sound = root.querySelector("#sound");
    this.unmute.addEventListener("click", () => this.setSound(true));
    this.sound.addEventListener("click", () => this.toggleSound());
    this.#showSound();
  }

  /** Show who is coming, until there is a picture. */
  setPoster(url, name) {
    for (const video of this.#videos) video.setAttribute("aria-label", `Live avatar: ${name}`);
    if (this.poster.getAttribute("src") === url) return;
    this.poster.onload = () => this.#drawGlow();
    this.poster.src = url;
  }

  /**
   * Show a player.
   * @param {import("./whep.js").WhepPlayer} player
   * @returns {Promise<number>} ms from the answer to the first picture on the screen
   */
  async attach(player) {
    const video = this.#videos.find((v) => v !== this.#shown);
    video.srcObject = player.stream;
    video.muted = true;
    play(video);
    const at = await firstFrame(video);
    if (video.srcObject === player.stream) this.#show(video);
    return at - player.answeredAt;
  }

  /** Keep the last picture on the screen while nothing plays. */
  freeze() {
    const video = this.#shown;
    if (!video?.videoWidth || !this.still.hidden) return; // A still is better than what failed.
    this.still.width = video.videoWidth;
    this.still.height = video.videoHeight;
    this.still.getContext("2d").drawImage(video, 0, 0);
    this.still.hidden = false;
  }

  /** What is happening before and between pictures; null clears it. */
  progress(text, { retryInMs = 0, failed = false } = {}) {
    clearInterval(this.#countdown);
    this.#overlay.hidden = !text;
    this.#overlay.classList.toggle("failed", failed);
    this.root.dataset.busy = text && !failed ? "true" : "false";
    const words = this.#overlay.querySelector(".progress-text");
    if (!text) return;
    words.textContent = text;
    const wait = this.#overlay.querySelector(".progress-wait");
    wait.textContent = "";
    if (retryInMs < 1500) return;
    const until = performance.now() + retryInMs;
    const tick = () => {
      const left = Math.ceil((until - performance.now()) / 1000);
      wait.textContent = left > 0 ? `Trying again in ${left} s` : "Trying again …";
    };
    tick();
    this.#countdown = setInterval(tick, 500);
  }

  /** Sound on or off, as the viewer wants it. */
  async setSound(on, { keep = true } = {}) {
    this.#soundWanted = on;
    if (keep) remember("sound", on);
    await this.#applySound();
  }

  toggleSound() {
    if (!this.#ducked) this.setSound(this.#muted);
  }

  /** Sound on unless the viewer has switched it off: call it from a click or a key. */
  offerSound() {
    if (this.#muted && recall("sound") !== false) this.setSound(true, { keep: false });
  }

  /** Silence the avatar while the microphone drives it, whatever the viewer chose. */
  duck(on) {
    this.#ducked = on;
    this.#applySound();
  }

  #show(video) {
    const before = this.#shown;
    this.#shown = video;
    for (const v of this.#videos) {
      v.classList.toggle("shown", v === video);
      if (v === video) v.dataset.testid = "video";
      else delete v.dataset.testid;
      v.setAttribute("aria-hidden", String(v !== video));
    }
    this.root.dataset.playing = "true";
    this.still.hidden = true;
    this.#applySound();
    if (before && before !== video) {
      const faded = before.srcObject;
      before.muted = true;
      setTimeout(() => {
        if (before.srcObject === faded) before.srcObject = null;
      }, fade() + 50);
    }
  }

  async #applySound() {
    const video = this.#shown;
    if (!video) return;
    const muted = !this.#soundWanted || this.#ducked;
    video.muted = muted;
    if (!muted && !(await play(video))) {
      video.muted = true; // The browser wants a click first; the picture must not stop for it.
      play(video);
      this.#soundWanted = false;
    }
    this.#muted = video.muted;
    this.#showSound();
  }

  #showSound() {
    const on = this.#soundWanted && !this.#ducked;
    this.unmute.hidden = this.#soundWanted || recall("sound") === false;
    this.sound.hidden = !this.unmute.hidden;
    this.sound.setAttribute("aria-pressed", String(on));
    this.sound.title = on ? "Sound is on" : "Sound is off";
    this.sound.disabled = this.#ducked;
    this.root.dataset.sound = on ? "on" : "off";
  }

  /** A soft light of the portrait's own colours around the picture, drawn once. */
  #drawGlow() {
    const context = this.glow.getContext("2d");
    this.glow.width = this.glow.height = GLOW;
    context.drawImage(this.poster, 0, 0, 6, 6);
    context.drawImage(this.glow, 0, 0, 6, 6, 0, 0, GLOW, GLOW);
    const fall = context.createRadialGradient(GLOW / 2, GLOW / 2, GLOW * 0.2, GLOW / 2, GLOW / 2, GLOW / 2);
    fall.addColorStop(0, "rgb(0 0 0 / 1)");
    fall.addColorStop(1, "rgb(0 0 0 / 0)");
    context.globalCompositeOperation = "destination-in";
    context.fillStyle = fall;
    context.fillRect(0, 0, GLOW, GLOW);
  }
}
