/**
 * The session of this tab, kept over a reload. Gone with the tab; works without storage too, then a
 * reload begins anew.
 */

const KEY = "saccade.session";

/** @returns {object | null} what `keepSession` was last given in this tab */
export function keptSession() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    return null;
  }
}

/** @param {{id: string, token: string, whep: string, control: string}} session */
export function keepSession(session) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(session));
  } catch {
    // Storage is forbidden.
  }
}

/** Forget it, unless another one has been kept since. @param {string} id */
export function forgetSession(id) {
  if (keptSession()?.id !== id) return;
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // Storage is forbidden.
  }
}
