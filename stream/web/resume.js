/**
 * The session of this tab, kept over a reload under a name; without a name none is kept. Gone with
 * the tab; works without storage too, then a reload begins anew.
 */

/** @returns {object | null} what `keepSession` was last given in this tab */
export function keptSession(name) {
  try {
    return name ? JSON.parse(sessionStorage.getItem(name)) : null;
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
export function forgetSession(name, id) {
  if (keptSession(name)?.id !== id) return;
  try {
    sessionStorage.removeItem(name);
  } catch {
    // Storage is forbidden.
  }
}
