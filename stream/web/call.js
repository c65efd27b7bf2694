/**
 * One avatar on the page: its session, its player, its control socket, and all that brings them
 * back when they fail.
 *
 * A `Link` is one session. A `Call` holds the link that plays and, while another portrait is on its
 * way, the link that will take over when its first picture is there.
 */

import { Problem, read, request } from "./api.js";
import { ControlSocket } from "./control.js";
import { Backoff, isAbort, sleep, waitForRetry } from "./timing.js";
import { WhepPlayer } from "./whep.js";

/** Events kept for a link that does not play yet: about ten seconds of them. */
const HELD_EVENTS = 200;
/** How long a change of mind waits for the session it replaces to be gone. */
const PLACE_MS = 4000;

class Link {
  #stop = new AbortController();
  #mediaBackoff = new Backoff();
  #controlBackoff = new Backoff();
  #creating = Promise.resolve();
  #ending = Promise.resolve();

  /** @param {Call} call */
  constructor(call) {
    this.call = call;
    this.session = null;
    this.player = null;
    this.control = null;
    /** Events that came while another link still played. */
    this.held = [];
  }

  get signal() {
    return this.#stop.signal;
  }

  /** Create the session, then connect picture and control side by side. */
  async open() {
    const player = this.#newPlayer();
    this.#creating = this.#create();
    await Promise.all([this.#creating, player.prepare()]);
    if (this.signal.aborted) return;
    this.#openControl();
    await this.#connect(player);
  }

  /**
   * End everything, here and on the server. Closing twice is fine.
   * @param {{gone?: boolean}} [options] `gone`: the server has ended it already
   */
  close({ gone = false } = {}) {
    this.#stop.abort();
    this.player?.close({ gone: true }); // Its peer ends with the session.
    this.control?.close();
    if (gone) this.session = null;
    if (!this.session) return;
    const { id, token } = this.session;
    this.session = null;
    const ended = request("DELETE", `v1/sessions/${id}`, { token, keepalive: true });
    this.#ending = ended.catch(() => {}); // It ends by itself without viewers.
  }

  /** Resolves when a closed link takes no place on the server any more; never rejects. */
  async ended() {
    await this.#creating.catch(() => {});
    await this.#ending;
  }

  /** The first picture is on the screen. */
  played() {
    this.#mediaBackoff.reset();
  }

  /** Connect the picture again: it froze, or its connection is gone. */
  async restartMedia(reason) {
    if (this.signal.aborted) return;
    this.call.onLost(this);
    this.player?.close();
    this.call.onPhase("reconnecting", reason);
    try {
      await waitForRetry(this.#mediaBackoff.next(), this.signal);
      const player = this.#newPlayer();
      await player.prepare();
      await this.#connect(player);
    } catch (error) {
      this.#mediaFailed(error);
    }
  }

  #newPlayer() {
    this.player = new WhepPlayer((reason) => this.restartMedia(reason));
    return this.player;
  }

  async #connect(player) {
    this.call.onPhase("connecting");
    await player.connect(this.session.whep, this.session.token, this.signal);
    if (!this.signal.aborted) this.call.onMedia(this, player);
  }

  #mediaFailed(error) {
    if (isAbort(error) || this.signal.aborted) return;
    if (error.status === 404 || error.status === 401) this.call.onGone(this);
    else this.restartMedia(error.message);
  }

  /**
   * POST the session; waits and tries again while the server is full or away. The request is
   * never cut short: a session whose name did not arrive could not be ended.
   */
  async #create() {
    const backoff = new Backoff();
    let gone = null;
    for (;;) {
      const json = this.call.view.choice(); // Asked anew: it may change while we wait.
      if (json.portrait === gone) json.portrait = undefined;
      try {
        this.session = await (await request("POST", "v1/sessions", { json })).json();
        if (this.signal.aborted) this.close();
        return;
      } catch (error) {
        this.signal.throwIfAborted();
        if (error.status === 404 && json.portrait) {
          gone = json.portrait; // Then the server's own default.
          continue;
        }
        if (error.status && error.status < 500) throw error;
        if (error.status === 503 && this.call.makeRoom(this)) continue;
        const ms = error.retryAfter ? error.retryAfter * 1000 : backoff.next();
        this.call.onPhase("waiting", error.message, ms);
        await waitForRetry(ms, this.signal);
      }
    }
  }

  #openControl() {
    const control = new ControlSocket(this.session, {
      onEvent: (event) => {
        if (event.type === "hello") this.#controlBackoff.reset();
        if (!this.signal.aborted) this.call.onEvent(this, event);
      },
      onLost: () => this.#controlLost(),
    });
    this.control = control;
  }

  /** The socket dropped: ask whether the session lives, then open another or give up on it. */
  async #controlLost() {
    try {
      await waitForRetry(this.#controlBackoff.next(), this.signal);
      const { id, token } = this.session;
      await read(`v1/sessions/${id}`, { token, signal: this.signal });
      this.#openControl();
    } catch (error) {
      if (isAbort(error) || this.signal.aborted) return;
      if (error.status === 404 || error.status === 401) this.call.onGone(this);
      else this.#controlLost();
    }
  }
}

export class Call {
  #current = null;
  #next = null;
  /** Resolves when no abandoned link holds a place on the server. */
  #place = Promise.resolve();

  /**
   * @param {{
   *   phase: (phase: string, detail?: string, ms?: number) => void,
   *   attach: (player: WhepPlayer) => Promise<number>,
   *   freeze: () => void,
   *   live: (link: {session: object}, firstFrameMs: number) => void,
   *   event: (event: object) => void,
   *   choice: () => object,
   *   failed: (problem: Problem) => void,
   * }} view `attach` shows a player and resolves, when its first picture is on the screen, with
   *   the milliseconds since the answer; `freeze` keeps the last picture while nothing plays;
   *   `choice` is what a new session should be like
   */
  constructor(view) {
    this.view = view;
  }

  get session() {
    return this.#current?.session ?? this.#next?.session ?? null;
  }

  get player() {
    return this.#current?.player ?? this.#next?.player ?? null;
  }

  /** Begin, or change over to another portrait; what plays goes on until the new one does. */
  async start() {
    const before = this.#next;
    const link = new Link(this);
    this.#next = link;
    this.onPhase(this.#current ? "changing" : "starting");
    before?.close();
    this.#place = Promise.all([this.#place, before?.ended()]);
    await Promise.race([this.#place, sleep(PLACE_MS)]);
    if (link.signal.aborted) return;
    try {
      await link.open();
    } catch (error) {
      if (isAbort(error) || link.signal.aborted) return;
      if (link.session && (error.status === 0 || error.status >= 500)) {
        link.restartMedia(error.message);
        return;
      }
      link.close();
      if (this.#next === link) this.#next = null;
      this.view.failed(error instanceof Problem ? error : new Problem(error.message));
    }
  }

  /** Change what the eyes mean; before there is a session, the next one will begin so. */
  async behave(fields) {
    return this.session ? this.send("behave", fields) : null;
  }

  /** Send a command to the avatar. @returns {Promise<Problem | null>} never rejects */
  async send(type, fields) {
    const control = this.#current?.control ?? this.#next?.control;
    if (!control) return new Problem("The avatar is not there yet. Wait a moment and try again.");
    return control.send(type, fields);
  }

  sendAudio(pcm) {
    (this.#current ?? this.#next)?.control?.sendAudio(pcm);
  }

  /** The picture has stopped arriving. */
  stalled() {
    this.#current?.restartMedia("the picture stopped");
  }

  /** End it all; the page is going away. */
  close() {
    this.#next?.close();
    this.#current?.close();
    this.#next = this.#current = null;
  }

  // --- what links report -------------------------------------------------------------------

  onPhase(phase, detail, ms) {
    this.view.phase(phase, detail, ms);
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
    this.onPhase("live");
    this.view.live(link, ms);
    for (const event of link.held.splice(0)) this.view.event(event);
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
