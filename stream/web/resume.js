/**
 * The session of this tab, kept over a reload under a name; without a name none is kept. Gone with
 * the tab; works without storage too, then a reload begins anew.
 */

/**
 * @param {string} base address of the server; two of them may share an origin, and this storage
 * @returns {object | null} what `keepSession` was last given in this tab
 */
export function keptSession(name, base) {
  try {
    const kept = name ? JSON.parse(sessionStorage.getItem(name)) : null;
    return kept?.url.startsWith(base) ? kept : null;
  } catch {
    return null;
  }
}

/** @param {{id: string, token: string, whep: string, control: string}} session */
export function keepSession(name, session) {
  try {
    if (name) sessionStorage.setItem(name, JSON.stringify(session));
  } catch {
    // Storage is forbidden.
  }
}

/** Forget it, unless another one has been kept since. */
export function forgetSession(name, { id, url }) {
  if (keptSession(name, url)?.id !== id) return;
  try {
    sessionStorage.removeItem(name);
  } catch {
    // Storage is forbidden.
  }
}
