/** What is planned for the chunk that plays and the one after it, as `score` events tell it. */

const KEEP_PTS = 4 * 16000;
const MOST = 16;

export class Score {
  #plans = [];
  /** Grows whenever something changes. */
  version = 0;

  /**
   * Take a plan: it replaces whatever was planned before for the time from its start on.
   * @param {{index: number, start: number, end: number, label: string, state: string,
   *   source: string, events: {start: number, end: number, semantics: string}[]}} plan
   */
  add(plan) {
    this.#plans = this.#plans.filter((p) => p.index !== plan.index);
    this.#plans.push(plan);
    this.#plans.sort((a, b) => a.index - b.index);
    this.#plans.splice(0, this.#plans.length - MOST);
    this.version++;
  }

  /** Drop what is long over. */
  prune(now) {
    const kept = this.#plans.filter((p) => p.end > now - KEEP_PTS);
    if (kept.length === this.#plans.length) return;
    this.#plans = kept;
    this.version++;
  }

  clear() {
    this.#plans = [];
    this.version++;
  }

  /** The plans that are or will be played, by time; each ends where a later one took over. */
  get plans() {
    const shown = [];
    let limit = Infinity;
    for (const plan of [...this.#plans].reverse()) {
      const end = Math.min(plan.end, limit);
      limit = Math.min(limit, plan.start);
      if (end > plan.start) shown.unshift({ ...plan, end, events: clip(plan.events, end) });
    }
    return shown;
  }

  /** Stages by time. One that goes on from plan to plan is one. */
  get stages() {
    const stages = [];
    for (const { events, ...plan } of this.plans) {
      for (const event of events) {
        const last = stages.at(-1);
        const goesOn = last?.end === event.start && last.semantics === event.semantics;
        if (goesOn && last.plan.label === plan.label) last.end = event.end;
        else stages.push({ ...event, plan });
      }
    }
    return stages;
  }

  /** The plan and the event of it that are on the screen at `now`, or null. */
  at(now) {
    const plan = this.plans.find((p) => p.start <= now && now < p.end);
    const event = plan?.events.find((e) => e.start <= now && now < e.end);
    return event ? { plan, event } : null;
  }
}

function clip(events, end) {
  return events.filter((e) => e.start < end).map((e) => ({ ...e, end: Math.min(e.end, end) }));
}
