/** The microphone as a stream of PCM16 blocks. */

import { within } from "./timing.js";

const REFUSALS = {
  NotAllowedError:
    "The browser refused the microphone. Allow it in the address bar or the system settings, then try again.",
  NotFoundError: "There is no microphone. Plug one in, then try again.",
  NotReadableError: "The microphone is in use by another program. Close that one, then try again.",
};

/** Firefox runs no audio without something to play on, and does not say so. */
const START_MS = 3000;
const SILENT = "the browser has no sound output. Connect loudspeakers or headphones, then try again.";

export class Microphone {
  #context = null;
  #stream = null;

  /**
   * @param {{onBlock: (pcm: ArrayBuffer, level: number) => void, onEnded: () => void}} handlers
   *   blocks are 20 ms at 16 kHz, with their RMS level; `onEnded` tells of a device that went away
   */
  constructor(handlers) {
    this.handlers = handlers;
  }

  get isOn() {
    return this.#stream !== null;
  }

  /** Ask for the microphone and start. @throws {Error} with a message fit to show */
  async start() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new Error(
        "Browsers give the microphone only to pages on https or on localhost. Open this page there.",
      );
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({
        audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
    } catch (error) {
      throw new Error(REFUSALS[error.name] ?? `The microphone did not start: ${error.message}`);
    }
    try {
      await this.#connect(stream);
    } catch (error) {
      for (const track of stream.getTracks()) track.stop();
      this.stop();
      throw new Error(`The microphone did not start: ${error.message}`);
    }
  }

  async #connect(stream) {
    const context = (this.#context = new AudioContext({ latencyHint: "interactive" }));
    await context.audioWorklet.addModule(new URL("microphone-worklet.js", import.meta.url));
    const worklet = new AudioWorkletNode(context, "microphone", { numberOfOutputs: 0 });
    worklet.port.onmessage = ({ data }) => {
      if (this.isOn) this.handlers.onBlock(data.pcm, data.level);
    };
    context.createMediaStreamSource(stream).connect(worklet);
    await within(START_MS, context.resume(), SILENT);
    stream.getAudioTracks()[0].onended = () => {
      this.stop();
      this.handlers.onEnded();
    };
    this.#stream = stream;
  }

  /** Stop and let the device go. Stopping twice is fine. */
  stop() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#context?.close();
    this.#stream = this.#context = null;
  }
}
