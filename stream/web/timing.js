/** Waiting, with a way out. */

/** Resolve after `ms`; reject with an AbortError when `signal` fires first. */
export function sleep(ms, signal) {
  return new Promise((done, fail) => {
    const abort = () => {
      clearTimeout(timer);
      fail(new DOMException("stopped", "AbortError"));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      done();
    }, ms);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}

/** Reject with `message` when `promise` takes longer than `ms`. */
export function within(ms, promise, message) {
  let timer;
  const late = new Promise((_, fail) => (timer = setTimeout(() => fail(new Error(message)), ms)));
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Exponential backoff with jitter, so that many pages do not come back in step. */
export class Backoff {
  #tries = 0;

  /** Milliseconds to wait before the next try: about 0.4, 0.8, 1.6 … at most 8 s. */
  next() {
    const ms = Math.min(8000, 400 * 2 ** this.#tries++);
    return ms * (0.75 + Math.random() / 2);
  }

  reset() {
    this.#tries = 0;
  }
}

/** Wait like `sleep`, but come back early when the network does. */
export async function waitForRetry(ms, signal) {
  const early = new AbortController();
  const wake = () => early.abort();
  addEventListener("online", wake, { once: true });
  try {
    await sleep(ms, AbortSignal.any ? AbortSignal.any([early.signal, signal]) : signal);
  } catch (error) {
    if (signal.aborted || error.name !== "AbortError") throw error;
  } finally {
    removeEventListener("online", wake);
  }
}

/** Call `f` once, `ms` after the last of a burst of calls. */
export function debounce(f, ms) {
  let timer = 0;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(f, ms, ...args);
  };
}

/** True for the error of an operation that was stopped on purpose. */
export const isAbort = (error) => error?.name === "AbortError";
