/**
 * A WHEP player: draft-ietf-wish-whep over the resource model of RFC 9725.
 *
 * The offer is made and candidates are gathered while the session is still being created
 * (`prepare`), so that little is left to do once there is an address to send it to. Candidates
 * that come later go by PATCH (RFC 8840 fragments). When the network changes, ICE is restarted: the
 * same peer by another way (RFC 9725 section 4.3.3).
 */

import { HOME, request, resolve } from "./api.js";

/** Candidates of the machine itself arrive within a few milliseconds; more are trickled. */
const GATHER_MS = 120;
/** How long a restart of ICE may take before all is begun anew. */
const RESTART_MS = 3000;
/** No connection after this long is a failure. */
const CONNECT_MS = 12000;
/** How long the server may take to hear of the end before the connection ends anyway. */
const GOODBYE_MS = 500;

/** How long logins of TURN servers are good at least; the server's `turn_ttl` is longer. */
const LOGIN_MS = 60_000;

/** Ice servers each server has named in `Link` headers, and when; used from the next connection on. */
const knownIceServers = new Map();

function iceServersAt(base) {
  return knownIceServers.get(base)?.servers ?? [];
}

/** Ask for them ahead of the first connection. Never rejects: without them many connect as well. */
export async function learnIceServers(base = HOME) {
  try {
    learn(base, await request("OPTIONS", resolve("v1/check", base)));
  } catch {
    // The answer to the first offer tells them too.
  }
}

/** Learn them again when logins among them may have expired since. Never rejects. */
export async function refreshIceServers(base) {
  const known = knownIceServers.get(base);
  if (!known?.servers.some(({ username }) => username)) return;
  if (performance.now() - known.at > LOGIN_MS) await learnIceServers(base);
}

function learn(base, answer) {
  const servers = iceServersOf(answer.headers.get("Link"), iceServersAt(base));
  knownIceServers.set(base, { servers, at: performance.now() });
}

export class WhepPlayer {
  #resource = null;
  #etag = "*";
  #token = "";
  #late = [];
  #timers = new Set();
  #closed = false;
  #restarting = false;

  /**
   * @param {(reason: string) => void} onFailure called when the connection is lost
   * @param {string} [base] address of the server
   */
  constructor(onFailure, base = HOME) {
    this.onFailure = onFailure;
    this.base = base;
    this.stream = new MediaStream();
    /** `performance.now()` when the answer had arrived. */
    this.answeredAt = 0;
    /** How often another way to the same peer was found. */
    this.restarts = 0;
    const iceServers = iceServersAt(base);
    this.pc = new RTCPeerConnection({ iceServers, bundlePolicy: "max-bundle" });
    this.pc.addTransceiver("video", { direction: "recvonly" });
    this.pc.addTransceiver("audio", { direction: "recvonly" });
    this.pc.ontrack = ({ track, receiver }) => {
      // A conversation wants the shortest buffer the network allows; browsers add some by default.
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
      this.stream.addTrack(track);
      this.#followGoodbye(receiver.transport);
    };
    this.pc.onicecandidate = ({ candidate }) => this.#trickle(candidate);
    this.pc.onconnectionstatechange = () => this.#follow();
  }

  /** Make the offer and gather candidates for a moment. */
  async prepare() {
    await this.pc.setLocalDescription(await this.pc.createOffer());
    await this.#gathered();
  }

  /**
   * Offer, and take the answer.
   * @param {string} path the session's `whep`
   * @throws {import("./api.js").Problem}
   */
  async connect(path, token, signal) {
    this.#token = token;
    this.#late = [];
    const body = this.pc.localDescription.sdp;
    const answer = await request("POST", path, { body, type: "application/sdp", token, signal });
    const sdp = await answer.text();
    this.answeredAt = performance.now();
    const where = answer.headers.get("Location") ?? path;
    this.#resource = where.startsWith("/") ? resolve(where, this.base) : new URL(where, answer.url);
    this.#etag = answer.headers.get("ETag") ?? "*";
    learn(this.base, answer);
    if (this.#closed) return this.#delete();
    this.#later(CONNECT_MS, () => this.pc.connectionState !== "connected", "no connection");
    await this.pc.setRemoteDescription({ type: "answer", sdp });
    this.#sendLate();
  }

  /** The network may be another one, or the page was asleep: look for a way if there is need. */
  wake({ changed = false } = {}) {
    if (changed || this.pc.connectionState === "disconnected") this.#restart();
    else if (this.pc.connectionState === "failed") this.#fail("the connection failed");
  }

  /**
   * End it, here and (unless it is `gone`) on the server. Closing twice is fine.
   *
   * The server hears of it first: the peer's own goodbye is often faster than a request, which then
   * finds nothing left to delete. A page that is `leaving` can not wait for it, and does both.
   */
  close({ gone = false, leaving = false } = {}) {
    if (this.#closed) return;
    this.#closed = true;
    if (gone) this.#resource = null;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const track of this.stream.getTracks()) track.enabled = false;
    const told = this.#delete();
    if (leaving) return this.pc.close();
    const late = new Promise((done) => setTimeout(done, GOODBYE_MS));
    Promise.race([told, late]).finally(() => this.pc.close());
  }

  /** Resolves in any case: the server notices by itself when this does not get through. */
  async #delete() {
    const ended = this.#resource;
    this.#resource = null;
    if (!ended) return;
    await request("DELETE", ended, { token: this.#token, keepalive: true }).catch(() => {});
  }

  #trickle(candidate) {
    this.#late.push(candidate?.candidate ? candidate : null);
    if (this.#resource && !this.#restarting) this.#sendLate();
  }

  #gathered() {
    return new Promise((done) => {
      this.pc.onicegatheringstatechange = () => {
        if (this.pc.iceGatheringState === "complete") done();
      };
      setTimeout(done, GATHER_MS);
    });
  }

  async #restart() {
    if (this.#closed || this.#restarting || !this.#resource || !this.pc.currentRemoteDescription) return;
    this.#restarting = true;
    this.#later(RESTART_MS, () => this.pc.connectionState !== "connected", "the network was lost");
    try {
      await refreshIceServers(this.base);
      this.pc.setConfiguration({ ...this.pc.getConfiguration(), iceServers: iceServersAt(this.base) });
      await this.pc.setLocalDescription(await this.pc.createOffer({ iceRestart: true }));
      await this.#gathered();
      this.#late = [];
      const { sdp } = this.pc.localDescription;
      const found = [...sdp.matchAll(/^a=(candidate:.*?)\s*$/gm)].map(([, candidate]) => ({ candidate }));
      const answer = await request("PATCH", this.#resource, {
        body: sdpFragment(sdp, found),
        type: "application/trickle-ice-sdpfrag",
        token: this.#token,
        headers: { "If-Match": "*" },
      });
      this.#etag = answer.headers.get("ETag") ?? "*";
      const before = this.pc.currentRemoteDescription.sdp;
      const after = restartedAnswer(before, await answer.text());
      await this.pc.setRemoteDescription({ type: "answer", sdp: after });
      this.restarts += 1;
      this.#restarting = false;
      this.#sendLate();
    } catch {
      this.#fail("the connection was lost"); // A new offer to the same session may do better.
    } finally {
      this.#restarting = false;
    }
  }

  #sendLate() {
    const late = this.#late.splice(0);
    if (!late.some(Boolean) || this.#closed) return;
    const fragment = sdpFragment(this.pc.localDescription.sdp, late);
    const sent = request("PATCH", this.#resource, {
      body: fragment,
      type: "application/trickle-ice-sdpfrag",
      token: this.#token,
      headers: { "If-Match": this.#etag },
    });
    sent.catch(() => {}); // The candidates of the offer usually do; a failure shows by itself.
  }

  #follow() {
    const { connectionState } = this.pc;
    if (connectionState === "failed") this.#fail("the connection failed");
    if (connectionState === "disconnected") this.#restart();
  }

  /** A server that ends a peer says so by DTLS, which does not count as a failed connection. */
  #followGoodbye(transport) {
    if (!transport) return;
    transport.onstatechange = () => {
      if (["closed", "failed"].includes(transport.state)) this.#fail("the server ended the connection");
    };
  }

  #later(ms, stillBad, reason) {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (stillBad()) this.#fail(reason);
    }, ms);
    this.#timers.add(timer);
  }

  #fail(reason) {
    if (!this.#closed) this.onFailure(reason); // Whoever listens closes it, in their own time.
  }
}

/** RFC 8840 section 9: credentials, the media section, its candidates. */
function sdpFragment(sdp, candidates) {
  const line = (name) => sdp.match(new RegExp(`^a=${name}:.*$`, "m"))?.[0].trim();
  const media = sdp.match(/^m=.*$/m)?.[0].trim();
  const lines = [line("ice-ufrag"), line("ice-pwd"), media, line("mid")];
  for (const c of candidates) lines.push(c ? `a=${c.candidate}` : "a=end-of-candidates");
  return `${lines.filter(Boolean).join("\r\n")}\r\n`;
}

/** The answer as it would be after a restart: other credentials and candidates, all else stays. */
function restartedAnswer(sdp, fragment) {
  const line = (name) => fragment.match(new RegExp(`^a=${name}:.*$`, "m"))[0].trim();
  const candidates = (fragment.match(/^a=(candidate:.*|end-of-candidates).*$/gm) ?? []).map((l) => l.trim());
  let told = false;
  const lines = sdp.split("\r\n").flatMap((old) => {
    if (/^a=(candidate:|end-of-candidates)/.test(old)) return [];
    if (old.startsWith("a=ice-ufrag:")) return [line("ice-ufrag")];
    if (!old.startsWith("a=ice-pwd:")) return [old];
    const added = told ? [] : candidates; // Bundled: the first section's are for all.
    told = true;
    return [line("ice-pwd"), ...added];
  });
  return lines.join("\r\n");
}

/**
 * `<turn:host>; rel="ice-server"; username="u"; credential="c"` (RFC 9725 section 4.6).
 * @param {string | null} link
 * @param {RTCIceServer[]} fallback when it names none
 */
export function iceServersOf(link, fallback) {
  const servers = [];
  const entries = (link ?? "").matchAll(/<([^>]+)>((?:\s*;\s*[\w-]+="(?:[^"\\]|\\.)*")*)/g);
  for (const [, urls, rest] of entries) {
    const parameters = {};
    for (const [, name, value] of rest.matchAll(/([\w-]+)="((?:[^"\\]|\\.)*)"/g)) {
      parameters[name] = value.replace(/\\(.)/g, "$1"); // A quoted-string (RFC 9110 section 5.6.4).
    }
    const { rel, username, credential } = parameters;
    if (rel !== "ice-server") continue;
    servers.push(username === undefined ? { urls } : { urls, username, credential });
  }
  return servers.length ? servers : fallback;
}
