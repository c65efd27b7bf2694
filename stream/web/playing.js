/** A video element and its first picture. */

/** True when it plays; false when the browser does not allow it (yet). */
export async function play(video) {
  try {
    await video.play();
    return true;
  } catch {
    return false;
  }
}

/** When (`performance.now()`) the first picture of `video` is presented. */
export function firstFrame(video) {
  return new Promise((done) => {
    const presented = video.requestVideoFrameCallback?.bind(video);
    presented?.(done);
    const onTime = () => {
      if (presented && !document.hidden) return; // Nothing is presented in a hidden page.
      video.removeEventListener("timeupdate", onTime);
      done(performance.now());
    };
    video.addEventListener("timeupdate", onTime);
  });
}

/** Shows players on one video, with sound where the browser allows it. */
export class VideoSurface {
  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.video = video;
  }

  /** @returns {Promise<number>} ms from the answer to the first picture on the screen */
  async attach(player) {
    const { video } = this;
    video.playsInline = true;
    video.srcObject = player.stream;
    const shown = firstFrame(video);
    if (!(await play(video)) && video.srcObject === player.stream) {
      video.muted = true; // Sound needs a click first; the picture must not wait for it.
      play(video);
    }
    return (await shown) - player.answeredAt;
  }

  /** A video keeps its last picture by itself. */
  freeze() {}

  clear() {
    this.video.srcObject = null;
  }
}
