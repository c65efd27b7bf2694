/**
 * One avatar on the page: the link that plays and, while another portrait is on its way, the link
 * that will take over when its first picture is there.
 */

import { passes, Problem } from "./api.js";
import { Link } from "./link.js";
import { keepSession, keptSession } from "./resume.js";
import { isAbort, sleep } from "./timing.js";

/** Events kept for a link that does not play yet: about ten seconds of them. */
const HELD_EVENTS = 200;
/** A page that goes may be one that is loaded again: a kept session waits for it, seconds. */
const FAREWELL_S = 4;
/** How long a change of mind waits for the session it replaces to be gone. */
const PLACE_MS = 4000;

export class Call {
  #current = null;
  #next = null;
  /** Resolves when no abandoned link holds a place on the server. */
  #place = Promise.resolve();

  /**
   * @param {{
   *   base: string,
   *   keep: string | null,
   *   phase: (phase: string, detail?: string, ms?: number, problem?: Problem) => void,
   *   attach: (player: import("./whep.js").WhepPlayer) => Promise<number>,
   *   freeze: () => void,
   *   live: (firstFrameMs: number) => void,
   *   event: (event: object) => void,
   *   choice: () => object,
   *   failed: (problem: Problem) => void,
   * }} view `attach` shows a player and resolves, when its first picture is on the screen, with
   *   the milliseconds since the answer; `freeze` keeps the last picture while nothing plays;
   *   `choice` is what a new session should be like; `base` is where the server is; under the name
   *   `keep` this tab keeps its session over a reload
   */
  constructor(view) {
    this.view = view;
    /** Our turn among those who wait for a place. */
    this.ticket = undefined;
  }

  get session() {
    return this.#current?.session ?? this.#next?.session ?? null;
  }

  get player() {
    return this.#current?.player ?? this.#next?.player ?? null;
  }

  /**
   * Begin, or change over to another portrait; what plays goes on until the new one does.
   * @param {{resume?: boolean}} [options] `resume`: go on with the session this tab had, if it lives
   */
  async start({ resume = false } = {}) {
    const before = this.#next;
    const link = new Link(this);
    this.#next = link;
    this.onPhase(this.#current ? "changing" : "starting");
    before?.close();
    this.#place = Promise.all([this.#place, before?.ended()]);
    await Promise.race([this.#place, sleep(PLACE_MS)]);
    if (link.signal.aborted) return;
    try {
      await link.open(resume ? keptSession(this.view.keep, this.view.base) : null);
    } catch (error) {
      if (isAbort(error) || link.signal.aborted) return;
      if (link.session && error instanceof Problem && passes(error)) {
        link.restartMedia(error.message);
        return;
      }
      link.close();
      if (this.#next === link) this.#next = null;
      this.view.failed(error instanceof Problem ? error : new Problem(error.message));
    }
  }

  /**
   * Send a command to the avatar.
   * @returns {Promise<string>} its id, which the events that it causes carry, once it is accepted
   * @throws {Problem}
   */
  async send(type, fields) {
    const control = this.#current?.control ?? this.#next?.control;
    if (!control) throw new Problem("The avatar is not there yet. Wait a moment and try again.");
    return control.send(type, fields);
  }

  sendAudio(pcm) {
    (this.#current ?? this.#next)?.control?.sendAudio(pcm);
  }

  /** The picture has stopped arriving. */
  stalled() {
    this.#current?.restartMedia("the picture stopped");
  }

  /** It is over. @returns {Promise<void>} resolves when the server has its place back */
  async stop() {
    const links = [this.#next, this.#current].filter(Boolean);
    this.#next = this.#current = null;
    for (const link of links) link.close();
    await Promise.all([this.#place, ...links.map((link) => link.ended())]);
  }

  /** The page is going away: what plays can be gone on with if it is kept, what was to come can not. */
  farewell() {
    const after = this.view.keep ? FAREWELL_S : 0;
    this.#current?.farewell(after);
    this.#next?.farewell(this.#current ? 0 : after);
  }

  /** Say farewell if that was cut short, and close all. */
  leave() {
    this.farewell();
    this.#current?.leave();
    this.#next?.leave();
    this.#next = this.#current = null;
  }

  /** @param {{changed?: boolean}} [options] `changed`: the network is another one */
  wake(options) {
    this.#current?.wake(options);
    this.#next?.wake(options);
  }

  // --- what links report -------------------------------------------------------------------

  onPhase(phase, detail, ms, problem) {
    this.view.phase(phase, detail, ms, problem);
  }

  /** Every place is taken, one of them by what we are about to replace: give that up. */
  makeRoom(link) {
    if (link !== this.#next || !this.#current) return false;
    this.view.freeze();
    this.#current.close();
    this.#current = null;
    return true;
  }

  /** A picture is about to go: keep the last one while another is fetched. */
  onLost(link) {
    if (link === this.#current) this.view.freeze();
  }

  async onMedia(link, player) {
    const ms = await this.view.attach(player);
    if (link.signal.aborted || link.player !== player) return;
    link.played();
    if (link === this.#next) {
      this.#current?.close();
      this.#current = link;
      this.#next = null;
    }
    keepSession(this.view.keep, link.session);
    this.view.live(ms);
    for (const event of link.held.splice(0)) this.view.event(event);
  }

  /** A reload should come back to what is seen, or to what was about to be. */
  onSession(link) {
    if (!this.#current) keepSession(this.view.keep, link.session);
  }

  /** All tries were in vain. */
  onGivenUp(link, reason) {
    const seconds = Math.round(link.graceMs / 1000);
    link.close();
    if (link === this.#current) this.#current = null;
    if (link === this.#next) this.#next = null;
    if (this.#current || this.#next) return;
    const told = `The connection could not be brought back within ${seconds} s: ${reason}.`;
    this.view.failed(new Problem(`${told} Begin anew, or test the connection.`));
  }

  /** Events of a link that is to take over wait until it does. */
  onEvent(link, event) {
    if (link === this.#current || !this.#current) this.view.event(event);
    else if (link.held.length < HELD_EVENTS) link.held.push(event);
  }

  /** The session is no more: make another like it. */
  onGone(link) {
    this.onLost(link);
    link.close({ gone: true });
    if (link === this.#current) {
      this.#current = null;
    } else if (link !== this.#next) {
      return;
    }
    if (this.#next && this.#next !== link) return;
    this.#next = null;
    this.start();
  }
}
