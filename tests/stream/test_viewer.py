"""A viewer that is no browser: aiortc against the real server."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError
from websockets.asyncio.client import connect

from core import F32
from runtime.portraits import PortraitStore
from stream.impaired import Relay
from tests.runtime.test_session import vowel
from tests.stream.conftest import Live, serving


class Viewer:
    """One connected peer: its tracks, and the resource that ends it."""

    def __init__(self, pc: RTCPeerConnection, resource: str, answered: float) -> None:
        self.pc = pc
        self.resource = resource
        self.answered = answered
        self.tracks: dict[str, Any] = {}

    async def frames(self, kind: str, count: int) -> list[Any]:
        """The next ``count`` decoded frames of a kind."""
        async with asyncio.timeout(10):
            return [await self.tracks[kind].recv() for _ in range(count)]


@asynccontextmanager
async def viewer(
    live: Live,
    session: dict[str, str],
    *,
    microphone: Any = None,
    codec: str = "VP8",
    direction: str = "recvonly",
    sound: bool = True,
    relay: Relay | None = None,
) -> AsyncIterator[Viewer]:
    pc = RTCPeerConnection()
    try:
        line = pc.addTransceiver("video", direction=direction)
        known = RTCRtpReceiver.getCapabilities("video")
        assert known is not None
        line.setCodecPreferences([c for c in known.codecs if c.name.upper() in (codec, "RTX")])
        if microphone is not None:
            pc.addTrack(microphone)
        elif sound:
            pc.addTransceiver("audio", direction="recvonly")
        seen = Viewer(pc, "", 0.0)
        pc.on("track", lambda track: seen.tracks.__setitem__(track.kind, track))
        await pc.setLocalDescription(await pc.createOffer())
        offer = str(pc.localDescription.sdp)
        answer = await live.http.post(
            session["whep"],
            headers={"Content-Type": "application/sdp"} | live.auth(session),
            content=offer if relay is None else relay.offer(offer),
        )
        assert answer.status_code == 201, answer.text
        seen.resource, seen.answered = answer.headers["location"], time.monotonic()
        sdp = answer.text if relay is None else relay.answer(answer.text)
        await pc.setRemoteDescription(RTCSessionDescription(sdp, "answer"))
        yield seen
    finally:
        await pc.close()


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_a_viewer_sees_moving_frames_and_hears_sound(live: Live, codec: str) -> None:
    session = await live.session(seed=3)
    async with viewer(live, session, codec=codec) as seen:
        video = await seen.frames("video", 40)
        pictures = [f.to_ndarray(format="rgb24").astype(float) for f in video[10:]]
        assert pictures[0].shape == (256, 256, 3)
        assert pictures[0].std() > 20  # a face, not a grey field
        moved = [np.abs(a - b).mean() for a, b in zip(pictures, pictures[1:], strict=False)]
        assert np.mean(np.array(moved) > 0.01) > 0.8
        steps = np.diff([f.pts for f in video])
        assert (steps % 3600 == 0).all() and np.median(steps) == 3600
        sound = await seen.frames("audio", 10)
        assert {f.sample_rate for f in sound} == {48_000}


async def test_speech_is_heard_and_moves_the_mouth(live: Live) -> None:
    session = await live.session(seed=3)
    pcm = (vowel(1.0) * 32767).astype("<i2").tobytes()
    base = live.base.replace("http", "ws")
    async with (
        viewer(live, session) as seen,
        connect(f"{base}{session['control']}?token={session['token']}") as socket,
    ):
        quiet = await seen.frames("audio", 20)
        assert loudness(quiet) < 1e-3
        await socket.send(pcm)
        await socket.send('{"type": "audio_end"}')
        heard = await seen.frames("audio", 75)
        assert loudness(heard) > 0.05
        kinds = []
        async with asyncio.timeout(5):
            while "ended" not in kinds:
                event = json.loads(await socket.recv())
                if event["type"] == "speech":
                    kinds.append(event["phase"])
        assert kinds == ["started", "ended"]


def loudness(frames: list[av.AudioFrame]) -> float:
    samples = np.concatenate([f.to_ndarray().ravel() for f in frames]).astype(float) / 32768
    return float(np.sqrt((samples**2).mean()))


class Vowels(AudioStreamTrack):
    """A microphone into which somebody sings."""

    def __init__(self) -> None:
        super().__init__()
        self._sound = (vowel(60.0)[: 16_000 * 10] * 32767).astype(np.int16).repeat(3)
        self._at = 0

    @property
    def sent(self) -> int:
        """Samples until now, at 16 kHz."""
        return self._at // 3

    async def recv(self) -> av.AudioFrame:
        await asyncio.sleep(0.02)
        part = self._sound[self._at : self._at + 960]
        if len(part) < 960:
            raise MediaStreamError
        frame = av.AudioFrame.from_ndarray(part[None], format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48_000, self._at
        frame.time_base = Fraction(1, 48_000)
        self._at += 960
        return frame


async def test_a_viewer_s_microphone_drives_the_avatar_until_it_leaves(live: Live) -> None:
    session = await live.session()
    living = live.sessions.get(session["id"])
    async with viewer(live, session, microphone=Vowels()) as seen:
        heard = await seen.frames("audio", 100)
        assert loudness(heard[50:]) > 0.015
        assert living.state == "speaking"
        await live.http.delete(seen.resource, headers=live.auth(session))
    async with asyncio.timeout(3):
        while living.state == "speaking":  # noqa: ASYNC110 - polled from outside
            await asyncio.sleep(0.05)


async def test_a_second_microphone_does_not_talk_into_the_first(live: Live) -> None:
    session = await live.session()
    pushed: list[int] = []
    living = live.sessions.get(session["id"])
    push = living.push_audio

    def counted(samples: F32, cause: str | None = None, *, live: bool = False) -> None:
        pushed.append(len(samples))
        push(samples, cause, live=live)

    living.push_audio = counted  # type: ignore[method-assign]
    microphone = Vowels()
    async with (
        viewer(live, session, microphone=microphone) as first,
        viewer(live, session, microphone=Vowels()) as second,
    ):
        await asyncio.gather(first.frames("audio", 10), second.frames("audio", 10))
        pushed.clear()
        began = microphone.sent
        await first.frames("audio", 50)
        said = microphone.sent - began  # some of it is on its way, as was some of before
    assert 0.6 * said < sum(pushed) < 1.5 * said


async def test_who_wants_only_the_picture_gets_it(live: Live) -> None:
    session = await live.session()
    async with viewer(live, session, sound=False) as seen:
        await seen.frames("video", 20)
        assert set(seen.tracks) == {"video"}


async def test_a_stall_of_the_session_does_not_freeze_a_silent_viewer(live: Live) -> None:
    session = await live.session()
    async with viewer(live, session, sound=False) as seen:
        await seen.frames("video", 5)
        time.sleep(0.6)  # noqa: ASYNC251 - the whole server stands still
        before = time.monotonic()
        await seen.frames("video", 25)
        assert time.monotonic() - before < 3


async def test_a_camera_is_not_asked_for(live: Live) -> None:
    """Pictures nobody looks at would only fill a queue."""
    session = await live.session()
    async with viewer(live, session, direction="sendrecv") as seen:
        await seen.frames("video", 3)
        directions = {t.kind: t.currentDirection for t in seen.pc.getTransceivers()}
        assert directions == {"video": "recvonly", "audio": "recvonly"}


def open_files() -> int:
    """File descriptors of this process, sockets among them."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def gone(live: Live, session: dict[str, str]) -> None:
    """Wait until the server noticed that the viewer left."""
    async with asyncio.timeout(12):
        while live.sessions.get(session["id"]).viewers:  # noqa: ASYNC110 - polled from outside
            await asyncio.sleep(0.05)


async def test_delete_ends_the_peer_at_once(live: Live) -> None:
    session = await live.session()
    async with viewer(live, session) as seen:
        await seen.frames("video", 3)
        answer = await live.http.delete(seen.resource, headers=live.auth(session))
        assert answer.status_code == 200
        assert live.sessions.get(session["id"]).viewers == 0


async def test_ending_the_session_ends_its_viewers(live: Live) -> None:
    session = await live.session()
    async with viewer(live, session) as seen:
        await seen.frames("video", 3)
        where = f"/v1/sessions/{session['id']}"
        assert (await live.http.delete(where, headers=live.auth(session))).status_code == 204
        with pytest.raises((MediaStreamError, TimeoutError)):
            await seen.frames("video", 100)


async def test_viewers_come_back_to_a_living_session(live: Live) -> None:
    session = await live.session()
    for _ in range(2):
        async with viewer(live, session) as seen:
            first = (await seen.frames("video", 3))[-1]
            assert first.width == 256
            await live.http.delete(seen.resource, headers=live.auth(session))
    assert live.sessions.get(session["id"]).state == "idle"


async def test_a_viewer_whose_network_vanishes_is_noticed(live: Live) -> None:
    session = await live.session()
    async with viewer(live, session) as seen:
        await seen.frames("video", 3)
        connection = seen.pc.getTransceivers()[0].receiver.transport.transport._connection
        for protocol in connection._protocols:
            protocol.transport.abort()  # no goodbye: the socket is just gone
        await gone(live, session)


async def test_a_session_that_ends_while_a_viewer_connects_frees_it(live: Live) -> None:
    session = await live.session()
    pc = RTCPeerConnection()
    pc.addTransceiver("video", direction="recvonly")
    await pc.setLocalDescription(await pc.createOffer())
    headers = {"Content-Type": "application/sdp"} | live.auth(session)
    sdp = str(pc.localDescription.sdp)
    answer = await live.http.post(session["whep"], headers=headers, content=sdp)
    assert answer.status_code == 201
    await live.http.delete(f"/v1/sessions/{session['id']}", headers=live.auth(session))
    async with asyncio.timeout(1):
        while True:
            if "saccade_viewers 0.0" in (await live.http.get("/metrics")).text:
                break
            await asyncio.sleep(0.02)
    await pc.close()


async def test_a_server_that_stops_says_goodbye(store: PortraitStore) -> None:
    before = asyncio.all_tasks()
    async with serving(store) as live:
        session = await live.session()
        async with viewer(live, session) as seen:
            await seen.frames("video", 3)
            await live.stop()
            with pytest.raises((MediaStreamError, TimeoutError)):
                await seen.frames("video", 1000)
    await asyncio.sleep(0.1)
    assert asyncio.all_tasks() <= before


async def test_connecting_and_leaving_leaves_nothing_behind(live: Live) -> None:
    async def once() -> None:
        session = await live.session()
        async with viewer(live, session) as seen:
            await seen.frames("audio", 1)
            await live.http.delete(seen.resource, headers=live.auth(session))
        await live.http.delete(f"/v1/sessions/{session['id']}", headers=live.auth(session))

    await once()
    await asyncio.sleep(0.5)
    before, sockets = len(asyncio.all_tasks()), open_files()
    for _ in range(12):
        await once()
    await asyncio.sleep(1.0)
    assert len(asyncio.all_tasks()) <= before + 2
    assert open_files() <= sockets + 2
    assert live.sessions.list() == []
    metrics: httpx.Response = await live.http.get("/metrics")
    assert "saccade_viewers 0.0" in metrics.text


async def number(live: Live, name: str) -> float:
    """A metric."""
    lines = (await live.http.get("/metrics")).text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


async def test_viewers_share_an_encoder_and_one_that_joins_is_not_kept_waiting(live: Live) -> None:
    session = await live.session()
    async with viewer(live, session) as first:
        await first.frames("video", 20)
        living = live.sessions.get(session["id"])
        assert living.viewers == 1 and await number(live, "saccade_renditions") == 1
        async with viewer(live, session) as second:
            picture = (await second.frames("video", 1))[0]
            assert time.monotonic() - second.answered < 2
            assert picture.to_ndarray(format="rgb24").std() > 20
            assert living.viewers == 2 and await number(live, "saccade_renditions") == 1
            assert await number(live, "saccade_keyframes_total") >= 2
            await asyncio.gather(*(v.frames("video", 10) for v in (first, second)))
        assert 0 < await number(live, "saccade_encode_seconds") < 0.1
        await live.http.delete(second.resource, headers=live.auth(session))
        await first.frames("video", 5)
    async with asyncio.timeout(12):
        while await number(live, "saccade_renditions"):  # noqa: ASYNC110 - polled
            await asyncio.sleep(0.05)


@pytest.mark.realtime
async def test_a_viewer_comes_back_within_a_second_after_a_cut(live: Live) -> None:
    """Half a second of everything lost: what is missing is resent or a key frame is sent."""
    session = await live.session()
    async with Relay(delay=0.02) as relay, viewer(live, session, relay=relay) as seen:
        await seen.frames("video", 25)
        relay.cut = True
        await asyncio.sleep(0.5)
        relay.cut = False
        healed = time.monotonic()
        pictures = await seen.frames("video", 8)
        assert time.monotonic() - healed < 1.0
        assert pictures[-1].to_ndarray(format="rgb24").std() > 20
        assert relay.lost > 20
