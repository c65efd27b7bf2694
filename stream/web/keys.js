/** Keyboard shortcuts. Single keys can be switched off (WCAG 2.1.4). */

import { recall, remember } from "./prefs.js";

/** @param {Record<string, () => void>} actions by key @param {{escape: () => boolean}} options */
export function listen(actions, { escape }) {
  let enabled = recall("shortcuts", true);
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    const { target } = event;
    if (event.key === "Escape") {
      if (!escape() && isTyping(target)) target.blur();
      return;
    }
    if (!enabled || isTyping(target)) return;
    const action = actions[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    action();
  });
  const box = document.querySelector("#shortcuts-enabled");
  box.checked = enabled;
  box.addEventListener("change", () => {
    enabled = box.checked;
    remember("shortcuts", enabled);
  });
}

function isTyping(target) {
  return target.matches?.("textarea, input:not([type=radio], [type=checkbox])") ?? false;
}
