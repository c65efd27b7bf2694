/** What the page remembers between visits. Works without storage too (private windows). */

const KEY = "saccade";

function load() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

const values = load();

/** @param {string} name @param {*} [fallback] */
export function recall(name, fallback) {
  return values[name] ?? fallback;
}

/** @param {string} name @param {*} value undefined forgets it */
export function remember(name, value) {
  values[name] = value;
  try {
    localStorage.setItem(KEY, JSON.stringify(values));
  } catch {
    // Storage is full or forbidden: the choice lasts until the page is closed.
  }
}
