/** One session: its player, its control socket, and all that brings them back when they fail. */

import { passes, read, request, resolve } from "./api.js";
import { ControlSocket } from "./control.js";
import { forgetSession } from "./resume.js";
import { Backoff, isAbort, waitForRetry } from "./timing.js";
import { refreshIceServers, WhepPlayer } from "./whep.js";

/** How long a lost connection is tried again when the server ends no session by itself. */
const GRACE_S = 60;

export class Link {
  #stop = new AbortController();
  #mediaBackoff = new Backoff();
  #controlBackoff = new Backoff();
  #creating = Promise.resolve();
  #ending = Promise.resolve();
  #lostAt = null;
  #saidFarewell = false;

  /** @param {import("./call.js").Call} call */
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

  /** How long, in ms, the server keeps the session while nobody watches. */
  get graceMs() {
    return (this.session?.expires_in ?? GRACE_S) * 1000;
  }

  /**
   * Create the session, then connect picture and control side by side.
   * @param {object | null} [kept] a session that this tab had before: gone on with if it lives
   */
  async open(kept = null) {
    const player = this.#newPlayer();
    this.#creating = this.#find(kept);
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
    if (gone && this.session) this.#forget(this.session);
    if (gone) this.session = null;
    if (!this.session) return;
    const { url, token } = this.session;
    this.#forget(this.session);
    this.session = null;
    const ended = request("DELETE", url, { token, keepalive: true });
    this.#ending = ended.catch(() => {}); // It ends by itself without viewers.
  }

  /**
   * Tell the server that the page goes away, for good or to be loaded again; once.
   * @param {number} after how long the session waits for it to come back, seconds
   */
  farewell(after) {
    if (!this.session || this.#saidFarewell) return;
    const { url, token } = this.session;
    request("DELETE", `${url}?after=${after}`, { token, keepalive: true }).catch(() => {});
    this.#saidFarewell = true;
  }

  /** Close what goes away with the page. */
  leave() {
    this.#stop.abort();
    this.player?.close({ leaving: true });
    this.control?.close();
  }

  #forget(session) {
    forgetSession(this.call.view.keep, session);
  }

  /** The network came back, or the page woke up. */
  wake(options) {
    this.player?.wake(options);
  }

  /** Resolves when a closed link takes no place on the server any more; never rejects. */
  async ended() {
    await this.#creating.catch(() => {});
    await this.#ending;
  }

  /** The first picture is on the screen. */
  played() {
    this.#mediaBackoff.reset();
    this.#lostAt = null;
  }

  /** Connect the picture again: it froze, or its connection is gone. */
  async restartMedia(reason) {
    if (this.signal.aborted) return;
    this.call.onLost(this);
    this.player?.close();
    this.#lostAt ??= Date.now();
    if (Date.now() - this.#lostAt > this.graceMs) {
      this.call.onGivenUp(this, reason);
      return;
    }
    this.call.onPhase("reconnecting", reason);
    try {
      await waitForRetry(this.#mediaBackoff.next(), this.signal);
      await refreshIceServers(this.call.view.base);
      this.signal.throwIfAborted();
      const player = this.#newPlayer();
      await player.prepare();
      await this.#connect(player);
    } catch (error) {
      this.#mediaFailed(error);
    }
  }

  #newPlayer() {
    this.player = new WhepPlayer((reason) => this.restartMedia(reason), this.call.view.base);
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

  async #find(kept) {
    if (kept && (await this.#resume(kept))) return;
    await this.#create();
  }

  /** Whether a session of before still lives; waits while the server is away. */
  async #resume(kept) {
    const backoff = new Backoff();
    const until = Date.now() + (kept.expires_in ?? GRACE_S) * 1000;
    while (Date.now() < until) {
      try {
        await read(kept.url, { token: kept.token, signal: this.signal });
        this.session = kept;
        return true;
      } catch (error) {
        this.signal.throwIfAborted();
        if (!passes(error)) break;
        const ms = backoff.next();
        this.call.onPhase("waiting", error.message, ms, error);
        await waitForRetry(ms, this.signal);
      }
    }
    this.#forget(kept);
    return false;
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
      json.ticket = this.call.ticket;
      try {
        this.session = await this.#post(json);
        this.call.ticket = undefined;
        if (this.signal.aborted) this.close();
        else this.call.onSession(this);
        return;
      } catch (error) {
        this.signal.throwIfAborted();
        if (error.status === 404 && json.portrait) {
          gone = json.portrait; // Then the server's own default.
          continue;
        }
        if (!passes(error)) throw error;
        this.call.ticket = error.ticket ?? this.call.ticket;
        if (error.status === 503 && this.call.makeRoom(this)) continue;
        const ms = error.retryAfter ? error.retryAfter * 1000 : backoff.next();
        this.call.onPhase("waiting", error.message, ms, error);
        await waitForRetry(ms, this.signal);
      }
    }
  }

  /** @returns {Promise<object>} the new session, its addresses whole */
  async #post(json) {
    const { base } = this.call.view;
    const answer = await request("POST", resolve("v1/sessions", base), { json });
    const made = await answer.json();
    const [url, whep, control] = [`v1/sessions/${made.id}`, made.whep, made.control].map(
      (path) => resolve(path, base).href,
    );
    return { ...made, url, whep, control };
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
      const { url, token } = this.session;
      await read(url, { token, signal: this.signal });
      this.#openControl();
    } catch (error) {
      if (isAbort(error) || this.signal.aborted) return;
      if (error.status === 404 || error.status === 401) this.call.onGone(this);
      else this.#controlLost();
    }
  }
}
