/**
 * What the connection test tries, one function each.
 *
 * Each returns `{state, text, value?, fix?, facts?}`: `state` is ok, warn (something will not work),
 * bad (no pictures) or skip; `text` says what was found, `fix` what to do, `facts` are details;
 * `nothing`: skipped because there is nothing to test.
 */

import { Problem, read, request, resolve } from "./api.js";
import { within } from "./timing.js";
import { hasTurn } from "./turn.js";
import { iceServersOf, learnIceServers, WhepPlayer } from "./whep.js";

export { relay } from "./turn.js";

const SOCKET_MS = 5000;
const UDP_MS = 8000;
const PICTURE_MS = 12000;
const ECHOES = 5;

export function page() {
  if (window.isSecureContext) {
    const text = location.protocol === "https:" ? "The page came over HTTPS." : "This machine itself counts as secure.";
    return { state: "ok", text };
  }
  return {
    state: "warn",
    text: "The page came over plain HTTP: the browser keeps the microphone from it. Watching and typing work.",
    fix: `open https://${location.host} if the server has it. Its operator sets tls_certificate and tls_key, or puts a proxy with HTTPS in front.`,
  };
}

export function browser() {
  if (!window.RTCPeerConnection) {
    return {
      state: "bad",
      text: "This browser has no WebRTC, or it is switched off.",
      fix: "open the page in a current Firefox, Chrome, Edge or Safari, and see that no extension or policy turns WebRTC off.",
    };
  }
  const names = (kind) =>
    (RTCRtpReceiver.getCapabilities?.(kind)?.codecs ?? []).map((c) => c.mimeType.split("/")[1]);
  const video = [...new Set(names("video"))].filter((name) => /^(VP8|H264)$/i.test(name));
  const known = names("video").length > 0;
  if (known && (!video.length || !names("audio").some((name) => /^opus$/i.test(name)))) {
    return {
      state: "bad",
      text: "This browser can not decode what the server sends: VP8 or H.264, and Opus.",
      fix: "use another browser.",
    };
  }
  return { state: "ok", text: "WebRTC is there.", value: video.join(", ") };
}

export async function server() {
  const began = performance.now();
  try {
    const { ready } = await read("readyz");
    const ms = Math.round(performance.now() - began);
    return { state: ready ? "ok" : "warn", text: "The server answers and is ready.", value: `${ms} ms` };
  } catch (error) {
    if (error.status !== 503) {
      return { state: "bad", text: error.message, fix: "see that the server runs and that this address is its own." };
    }
    return { state: "warn", text: "The server answers and still prepares; pictures come in a moment.", fix: "wait for half a minute and test again." };
  }
}

/** The server accepts a socket anywhere and then says that nothing is there: enough to know. */
export async function socket() {
  const url = resolve("v1/check/socket");
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const began = performance.now();
  const opened = new Promise((done, fail) => {
    const probe = new WebSocket(url);
    probe.onopen = () => done(probe);
    probe.onclose = probe.onerror = () => fail(new Error("it was refused"));
  });
  try {
    const probe = await within(SOCKET_MS, opened, "nothing came back");
    const ms = Math.round(performance.now() - began);
    probe.close();
    return { state: "ok", text: "WebSockets get through.", value: `${ms} ms` };
  } catch (error) {
    return {
      state: "bad",
      text: `A WebSocket does not get through (${error.message}): commands, text and events need it.`,
      fix: "a proxy before the server must pass the Upgrade and Connection headers on (docs/deploy.md shows how); some company networks and virus scanners block WebSockets, HTTPS often helps.",
    };
  }
}

/** A data channel that echoes, by the ports and addresses that media use; takes no place. */
export async function udp() {
  let pc;
  let told = [];
  let relays = false;
  try {
    const options = await request("OPTIONS", "v1/check");
    const iceServers = iceServersOf(options.headers.get("Link"), []);
    relays = hasTurn(iceServers);
    pc = new RTCPeerConnection({ iceServers });
    const channel = pc.createDataChannel("check", { ordered: false, maxRetransmits: 0 });
    const began = performance.now();
    await pc.setLocalDescription(await pc.createOffer());
    await gathered(pc, iceServers.length ? 2000 : 300);
    const body = pc.localDescription.sdp;
    const answer = await request("POST", "v1/check", { body, type: "application/sdp" });
    const sdp = await answer.text();
    told = addressesOf(sdp);
    await pc.setRemoteDescription({ type: "answer", sdp });
    await within(UDP_MS, opened(pc, channel), "nothing came back");
    const connected = Math.round(performance.now() - began);
    const trips = await echoes(channel);
    const pair = await selectedPair(pc);
    const facts = { "Server told": told.join(", "), "Way taken": pair ?? "unknown", "Connected after": `${connected} ms` };
    const lost = ECHOES - trips.length;
    const value = trips.length ? `${Math.min(...trips).toFixed(1)} ms there and back` : undefined;
    if (lost > ECHOES / 2) {
      return { state: "warn", text: `Packets get through, but ${lost} of ${ECHOES} were lost.`, value, facts, fix: "try a cable or another network; pictures will stutter on this one." };
    }
    const relayed = pair?.includes("relay");
    const text = relayed ? "Media get through by a TURN relay; the direct way is closed." : "Media packets get through, there and back.";
    return { state: "ok", text, value, facts };
  } catch (error) {
    if (error.status === 503) {
      return { state: "skip", text: `Not tested: ${error.message}`, fix: "test again in some seconds." };
    }
    if (error instanceof Problem) return { state: "bad", text: error.message, fix: "see the server's log." };
    return {
      state: "bad",
      text: "Media can not get through: nothing comes back over UDP from the addresses that the server told.",
      facts: { "Server told": told.join(", ") || "no address" },
      fix: `try another network (company firewalls often block UDP). Operators: are these addresses reachable from here? If not, set stream.advertised_hosts; open the ports of stream.udp_ports; or ${relays ? "see why the TURN server does not help either, below" : "add a TURN server (docs/deploy.md)"}.`,
    };
  } finally {
    pc?.close();
  }
}

/** A session, its first picture, and its end. @param {HTMLVideoElement} video */
export async function pictures(video) {
  let session;
  let player;
  try {
    session = await (await request("POST", "v1/sessions", { json: {} })).json();
    await learnIceServers();
    player = new WhepPlayer(() => {});
    await player.prepare();
    await player.connect(session.whep, session.token);
    video.srcObject = player.stream;
    video.muted = true;
    video.play().catch(() => {});
    const at = await within(PICTURE_MS, firstPicture(video), "none came");
    video.hidden = false;
    await new Promise((done) => setTimeout(done, 1500)); // Until there is something to count.
    const facts = await streamFacts(player.pc);
    const ms = Math.round(at - player.answeredAt);
    return { state: "ok", text: "A picture came, so long after the answer.", value: `${ms} ms`, facts };
  } catch (error) {
    if (error.status === 503) {
      return { state: "skip", text: "Not tested: every place on the server is taken right now. The other tests need none.", fix: "test again later." };
    }
    return { state: "bad", text: `No picture: ${error.message}.`.replace("..", "."), fix: "when UDP is fine above, see the server's log." };
  } finally {
    if (video.videoWidth) freeze(video);
    player?.close({ gone: Boolean(session) }); // It ends with its session.
    if (session) {
      request("DELETE", `v1/sessions/${session.id}`, { token: session.token, keepalive: true }).catch(() => {});
    }
  }
}

export async function microphone() {
  if (!navigator.mediaDevices?.getUserMedia) {
    return { state: "warn", text: "The browser gives this page no microphone. Watching and typing need none.", fix: "use HTTPS, see above." };
  }
  const status = await navigator.permissions?.query({ name: "microphone" }).catch(() => null);
  if (status?.state === "denied") {
    return { state: "warn", text: "The microphone is blocked for this page. Watching and typing need none.", fix: "allow it in the site settings, left of the address." };
  }
  const devices = await navigator.mediaDevices.enumerateDevices().catch(() => []);
  if (devices.length && !devices.some((d) => d.kind === "audioinput")) {
    return { state: "warn", text: "This device has no microphone. Watching and typing need none." };
  }
  const asked = status?.state === "granted" ? "It is allowed." : "The browser will ask when it is first used.";
  return { state: "ok", text: `${asked} No camera is ever used.` };
}

// --- helpers ----------------------------------------------------------------------------------

function gathered(pc, ms) {
  return new Promise((done) => {
    pc.onicegatheringstatechange = () => pc.iceGatheringState === "complete" && done();
    setTimeout(done, ms);
  });
}

function opened(pc, channel) {
  return new Promise((done, fail) => {
    channel.onopen = done;
    pc.onconnectionstatechange = () => pc.connectionState === "failed" && fail(new Error("no way was found"));
  });
}

/** Round-trip times in ms of those that came back. */
async function echoes(channel) {
  const trips = [];
  channel.onmessage = ({ data }) => trips.push(performance.now() - Number(data));
  for (let i = 0; i < ECHOES; i++) {
    channel.send(String(performance.now()));
    await new Promise((done) => setTimeout(done, 100));
  }
  await new Promise((done) => setTimeout(done, 200));
  return trips;
}

function addressesOf(sdp) {
  const found = [...sdp.matchAll(/^a=candidate:\S+ \d+ \S+ \d+ (\S+) (\d+) typ (\w+)/gm)];
  return [...new Set(found.map(([, host, port, type]) => `${host}:${port} (${type})`))];
}

async function selectedPair(pc) {
  const stats = await pc.getStats();
  const all = [...stats.values()];
  const transport = all.find((s) => s.type === "transport" && s.selectedCandidatePairId);
  const pair =
    stats.get(transport?.selectedCandidatePairId) ??
    all.find((s) => s.type === "candidate-pair" && s.nominated && s.state === "succeeded");
  if (!pair) return null;
  const local = stats.get(pair.localCandidateId);
  const remote = stats.get(pair.remoteCandidateId);
  const side = (c) => `${c?.address ?? "hidden"}:${c?.port ?? "?"} (${c?.candidateType ?? "?"})`;
  return `${side(local)} → ${side(remote)}, ${local?.protocol ?? "udp"}`;
}

async function streamFacts(pc) {
  const stats = await pc.getStats();
  const inbound = [...stats.values()].filter((s) => s.type === "inbound-rtp");
  const codec = (kind) => {
    const s = inbound.find((one) => one.kind === kind);
    return stats.get(s?.codecId)?.mimeType?.split("/")[1];
  };
  const video = inbound.find((s) => s.kind === "video");
  return {
    Codecs: [codec("video"), codec("audio")].filter(Boolean).join(", ") || "unknown",
    Picture: video?.frameWidth ? `${video.frameWidth} × ${video.frameHeight}, ${Math.round(video.framesPerSecond ?? 0)} a second` : "unknown",
    "Packets lost": `${video?.packetsLost ?? 0} of ${(video?.packetsReceived ?? 0) + (video?.packetsLost ?? 0)}`,
    "Way taken": (await selectedPair(pc)) ?? "unknown",
  };
}

function firstPicture(video) {
  return new Promise((done) => {
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback((now) => done(now));
    else video.addEventListener("timeupdate", () => done(performance.now()), { once: true });
  });
}

/** Keep the last picture when the stream ends. */
function freeze(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  video.poster = canvas.toDataURL("image/jpeg", 0.85);
  video.srcObject = null;
}
