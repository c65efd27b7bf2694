/**
 * Microphone samples → blocks of PCM16 at 16 kHz, on the audio thread.
 *
 * Resampling is a windowed sinc (Blackman, 16 zero crossings a side) evaluated at exact positions:
 * output n sits at n * sourceRate / 16000 of the input, however many blocks that spans.
 * Source: J. O. Smith, "Digital Audio Resampling", https://ccrma.stanford.edu/~jos/resample/.
 */

const RATE = 16000;
/** 20 ms. */
const BLOCK = 320;
const CROSSINGS = 16;
/** Kernel values between two zero crossings; linear interpolation does the rest. */
const STEPS = 256;
/** Pass band edge as a share of the lower Nyquist frequency. */
const EDGE = 0.94;

class Resampler {
  #history = new Float32Array(0);
  #position = 0;

  constructor(from, to) {
    this.step = from / to;
    this.scale = EDGE * Math.min(1, to / from);
    this.reach = Math.ceil(CROSSINGS / this.scale);
    this.kernel = new Float32Array(CROSSINGS * STEPS + 2);
    for (let i = 0; i < CROSSINGS * STEPS; i++) {
      const x = i / STEPS;
      const sinc = x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
      const t = x / CROSSINGS;
      this.kernel[i] = sinc * (0.42 + 0.5 * Math.cos(Math.PI * t) + 0.08 * Math.cos(2 * Math.PI * t));
    }
    this.#history = new Float32Array(this.reach);
    this.#position = this.reach;
  }

  /** @param {Float32Array} samples @param {(sample: number) => void} emit */
  push(samples, emit) {
    const input = new Float32Array(this.#history.length + samples.length);
    input.set(this.#history);
    input.set(samples, this.#history.length);
    while (this.#position + this.reach < input.length) {
      emit(this.#at(input, this.#position));
      this.#position += this.step;
    }
    const drop = Math.max(0, Math.floor(this.#position) - this.reach);
    this.#history = input.slice(drop);
    this.#position -= drop;
  }

  #at(input, position) {
    const centre = Math.floor(position);
    let sum = 0;
    for (let i = centre - this.reach + 1; i <= centre + this.reach; i++) {
      const x = Math.abs(position - i) * this.scale * STEPS;
      const k = Math.floor(x);
      if (k >= CROSSINGS * STEPS) continue;
      const weight = this.kernel[k] + (this.kernel[k + 1] - this.kernel[k]) * (x - k);
      sum += input[i] * weight;
    }
    return sum * this.scale;
  }
}

class Microphone extends AudioWorkletProcessor {
  constructor() {
    super();
    this.resampler = new Resampler(sampleRate, RATE);
    this.block = new Int16Array(BLOCK);
    this.filled = 0;
    this.energy = 0;
  }

  process([channels]) {
    if (!channels.length) return true;
    this.resampler.push(mixDown(channels), (sample) => this.#put(sample));
    return true;
  }

  #put(sample) {
    const value = Math.max(-1, Math.min(1, sample));
    this.energy += value * value;
    this.block[this.filled++] = Math.round(value * 32767);
    if (this.filled < BLOCK) return;
    const level = Math.sqrt(this.energy / BLOCK);
    const pcm = this.block.buffer;
    this.port.postMessage({ pcm, level }, [pcm]);
    this.block = new Int16Array(BLOCK);
    this.filled = 0;
    this.energy = 0;
  }
}

function mixDown(channels) {
  if (channels.length === 1) return channels[0];
  const mono = new Float32Array(channels[0].length);
  for (const channel of channels) channel.forEach((x, i) => (mono[i] += x / channels.length));
  return mono;
}

registerProcessor("microphone", Microphone);
