// A minimal viewer for tests and benchmarks, independent of the page: POST session, WHEP, socket.
// Times are performance.now() milliseconds.
window.openViewer = async ({ portrait, codec, sound } = {}) => {
  const post = await fetch("/v1/sessions", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(portrait ? { portrait } : {}),
  });
  if (post.status !== 201) throw new Error(`session: ${post.status} ${await post.text()}`);
  const session = await post.json();
  const auth = { Authorization: `Bearer ${session.token}` };

  const events = [];
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(
    `${scheme}://${location.host}${session.control}?token=${session.token}`,
  );
  socket.onmessage = (m) => {
    events.push({ at: performance.now(), ...JSON.parse(m.data) });
    if (events.length > 5000) events.shift();
  };
  await new Promise((done, failed) => { socket.onopen = done; socket.onerror = failed; });

  const pc = new RTCPeerConnection();
  const video = document.createElement("video");
  video.muted = !sound;
  video.autoplay = true;
  video.playsInline = true;
  document.body.append(video);
  const stream = new MediaStream();
  video.srcObject = stream;
  pc.ontrack = (e) => {
    if ("jitterBufferTarget" in e.receiver) e.receiver.jitterBufferTarget = 0; // as the page does
    stream.addTrack(e.track);
  };
  const line = pc.addTransceiver("video", { direction: "recvonly" });
  pc.addTransceiver("audio", { direction: "recvonly" });
  if (codec) {
    const all = RTCRtpReceiver.getCapabilities("video").codecs;
    const wanted = all.filter((c) => [`video/${codec}`, "video/rtx"].includes(c.mimeType.toLowerCase()));
    line.setCodecPreferences(wanted);
  }
  await pc.setLocalDescription();
  const answer = await fetch(session.whep, {
    method: "POST",
    headers: { "Content-Type": "application/sdp", ...auth },
    body: pc.localDescription.sdp,
  });
  if (answer.status !== 201) throw new Error(`whep: ${answer.status} ${await answer.text()}`);
  const resource = new URL(answer.headers.get("Location"), location.href).href;
  const sdp = await answer.text();
  const answered = performance.now();
  const viewer = { session, auth, socket, events, pc, video, resource, answered, frames: [] };

  // Every presented frame: when, and how bright and how changed the mouth region is.
  const canvas = new OffscreenCanvas(96, 96);
  const ink = canvas.getContext("2d", { willReadFrequently: true });
  let last = null;
  const each = (now, meta) => {
    const frame = { at: meta.expectedDisplayTime, seen: performance.now(), mouth: 0, all: 0 };
    if (viewer.look) {
      const { x, y, w, h } = viewer.look; // fractions of the picture
      const [vw, vh] = [video.videoWidth, video.videoHeight];
      ink.drawImage(video, x * vw, y * vh, w * vw, h * vh, 0, 0, 96, 96);
      const data = ink.getImageData(0, 0, 96, 96).data;
      let change = 0;
      if (last) for (let i = 1; i < data.length; i += 4) change += Math.abs(data[i] - last[i]);
      frame.mouth = (change / (data.length / 4));
      last = data;
    }
    if (viewer.frames.length === 0) viewer.firstFrameMs = performance.now() - answered;
    viewer.frames.push(frame);
    if (viewer.frames.length > 20000) viewer.frames.shift();
    if (!viewer.closed) video.requestVideoFrameCallback(each);
  };
  video.requestVideoFrameCallback(each);
  await pc.setRemoteDescription({ type: "answer", sdp });

  viewer.send = (message) => socket.send(JSON.stringify(message));
  viewer.stats = async () => {
    const found = {};
    for (const s of (await pc.getStats()).values()) {
      if (s.type === "inbound-rtp") found[s.kind] = s;
      if (s.type === "codec") found[s.mimeType] = true;
    }
    return found;
  };
  viewer.close = async () => {
    viewer.closed = true;
    socket.close();
    const gone = await fetch(resource, { method: "DELETE", headers: auth });
    pc.close();
    await fetch(`/v1/sessions/${session.id}`, { method: "DELETE", headers: auth });
    video.remove();
    return gone.status;
  };
  return viewer;
};

// A voice that glides between vowels in syllables, which the audio encoder takes for speech;
// float32 at 16 kHz.
window.vowel = (seconds, level = 0.3) => {
  const n = Math.round(seconds * 16000);
  const out = new Float32Array(n);
  let phase = 0;
  let peak = 0;
  for (let i = 0; i < n; i++) {
    const t = i / 16000;
    const turn = (hertz, at) => Math.sin(2 * Math.PI * hertz * t + at);
    const pitch = 120 + 25 * turn(0.9, 0);
    phase += (2 * Math.PI * pitch) / 16000;
    const sweep = 0.5 + 0.5 * turn(2.2, -1.2);
    const formants = [[300 + 500 * sweep, 70, 1], [1900 - 800 * sweep, 110, 0.6]];
    let s = 0;
    for (let k = 1; k < 34; k++) {
      const gain = formants.reduce((sum, [f, w, g]) => sum + g / (1 + ((k * pitch - f) / w) ** 2), 0.01);
      s += (gain / k ** 0.4) * Math.sin(k * phase);
    }
    out[i] = s * (0.35 + 0.65 * Math.max(0, turn(4, 0.4)));
    peak = Math.max(peak, Math.abs(out[i]));
  }
  return out.map((s) => (level * s) / peak);
};

// Streams float32 16 kHz sound to the control socket in real time, 20 ms at a time.
window.speak = async (viewer, sound) => {
  const pcm = new Int16Array(sound.length);
  for (let i = 0; i < sound.length; i++) pcm[i] = Math.round(sound[i] * 32767);
  const began = performance.now();
  for (let at = 0; at < pcm.length; at += 320) {
    viewer.socket.send(pcm.slice(at, at + 320).buffer);
    const wait = began + (at + 320) / 16 - performance.now();
    if (wait > 0) await new Promise((done) => setTimeout(done, wait));
  }
  viewer.send({ id: "end", type: "audio_end" });
  return began;
};
