/** The movements in words: what the eyes will do, do, and have just done, with the reason. */

import { write } from "./dom.js";

const SHOWN = 4;
const PTS_PER_S = 16000;

export class ActionList {
  #rows = new Map();

  /** @param {HTMLElement} list an `<ol>` */
  constructor(list) {
    this.list = list;
    this.template = list.querySelector("template");
    this.empty = list.querySelector(".empty");
  }

  /** @param {import("./plan.js").Plan} plan @param {number} now pts on the screen */
  update(plan, now) {
    const told = plan.told(SHOWN);
    this.empty.hidden = told.length > 0;
    const rows = told.map((action) => this.#row(action, now));
    for (const [key, row] of this.#rows) {
      if (told.some((a) => a.key === key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    rows.forEach((row, i) => {
      if (this.list.querySelectorAll("li.action")[i] !== row) {
        this.list.insertBefore(row, this.list.querySelectorAll("li.action")[i] ?? null);
      }
    });
  }

  #row(action, now) {
    let row = this.#rows.get(action.key);
    if (!row) {
      row = this.template.content.firstElementChild.cloneNode(true);
      this.#rows.set(action.key, row);
    }
    write(row.querySelector(".what"), action.title);
    write(row.querySelector(".why"), action.reason);
    const when = action.start > now ? "next" : action.end > now ? "now" : "past";
    if (row.dataset.when !== when) row.dataset.when = when;
    write(row.querySelector(".time"), words(when, action, now));
    return row;
  }
}

function words(when, action, now) {
  if (when === "now") return "now";
  const seconds = Math.abs((when === "next" ? action.start : action.end) - now) / PTS_PER_S;
  if (when === "next") return `in ${seconds.toFixed(1)} s`;
  return seconds < 1 ? "just now" : `${Math.round(seconds)} s ago`;
}
