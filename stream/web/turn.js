/** Whether TURN servers let this browser in, by an allocation at each: for the connection test. */

import { request } from "./api.js";
import { iceServersOf } from "./whep.js";

const ANSWER_MS = 5000;
/** Of `icecandidateerror`: the server could not be reached at all. */
const UNREACHABLE = 701;

/** Whether any of the servers is one. */
export function hasTurn(iceServers) {
  return iceServers.some(isTurn);
}

function isTurn({ urls }) {
  return urls.startsWith("turn");
}

/** See `checks.js`. */
export async function relay() {
  const options = await request("OPTIONS", "v1/check");
  const servers = iceServersOf(options.headers.get("Link"), []).filter(isTurn);
  if (!servers.length) {
    return { state: "skip", nothing: true, text: "The server names no TURN server. Viewers in networks that let no UDP out need one." };
  }
  const tried = await Promise.all(servers.map(allocate));
  const facts = Object.fromEntries(tried.map((one, at) => [servers[at].urls, one.address ?? one.why]));
  const failed = tried.filter(({ address }) => !address);
  if (!failed.length) {
    const ms = Math.min(...tried.map((one) => one.ms));
    return { state: "ok", text: "A TURN relay is there for networks that let no UDP out.", value: `${ms} ms`, facts };
  }
  const all = failed.length === servers.length;
  const text = `${all ? "No" : "Not every"} TURN server relays: ${failed[0].why}. Viewers in networks that let no UDP out need one.`;
  return { state: "warn", text, fix: failed[0].fix, facts };
}

/** @returns {Promise<{address?: string, ms?: number, why?: string, fix?: string}>} */
async function allocate(server) {
  const began = performance.now();
  const pc = new RTCPeerConnection({ iceServers: [server], iceTransportPolicy: "relay" });
  let refused = null;
  let timer;
  try {
    const outcome = new Promise((done) => {
      timer = setTimeout(() => done(refusal(refused)), ANSWER_MS);
      pc.onicecandidateerror = (error) => {
        if (refused === null || refused.errorCode === UNREACHABLE) refused = error;
      };
      pc.onicecandidate = ({ candidate }) => {
        const ms = Math.round(performance.now() - began);
        if (candidate?.candidate) done({ address: `${candidate.address}:${candidate.port}`, ms });
        else if (!candidate) done(refusal(refused));
      };
    });
    pc.createDataChannel("relay");
    await pc.setLocalDescription(await pc.createOffer());
    return await outcome;
  } finally {
    clearTimeout(timer);
    pc.close();
  }
}

/** What went wrong, and whose it is to mend. */
function refusal(error) {
  if (error?.errorCode === 401) {
    return {
      why: "the login is refused (401)",
      fix: "operators: is stream.turn_secret the TURN server's own secret (coturn: static-auth-secret), are the clocks of both machines right, and is stream.turn_ttl long enough?",
    };
  }
  if (error && error.errorCode !== UNREACHABLE) {
    return { why: `it refuses (${error.errorCode} ${error.errorText})`, fix: "operators: see the TURN server's log." };
  }
  return {
    why: "it can not be reached from here",
    fix: "operators: is the address in stream.ice_servers right, and its port open? A TURN server on TCP or TLS port 443 is reached from most networks.",
  };
}
