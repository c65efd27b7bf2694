"""The Python client keeps its session when connections are lost, and its frames their time."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import av
import httpx
import numpy as np
import pytest

from core import F32, SAMPLE_RATE, SAMPLES_PER_FRAME, Unavailable, VideoFrame
from runtime.portraits import PortraitStore
from runtime.settings import RuntimeSettings
from stream import client_media
from stream.client import Avatar, connect
from stream.client_http import pauses
from stream.client_inbox import Inbox
from stream.client_media import Timed, sounds
from stream.impaired import Relay
from stream.probe_mark import beep
from stream.probe_reader import read_number
from stream.sender import MediaSender
from tests.stream.conftest import Live, serving
from tests.stream.test_gather import HERE, stun_server

ONE = RuntimeSettings(size=256, max_sessions=1)
TOLD = {"hello", "ok", "link"}
"What is told of connections and commands; the rest is of the avatar."


class Through(httpx.AsyncHTTPTransport):
    """HTTP as usual, but media go through a relay."""

    def __init__(self, relay: Relay) -> None:
        super().__init__()
        self._relay = relay
        self.offers = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "POST" or not request.url.path.endswith("/whep"):
            return await super().handle_async_request(request)
        self.offers += 1
        offer = self._relay.offer((await request.aread()).decode())
        headers = {k: v for k, v in request.headers.items() if k != "content-length"}
        sent = httpx.Request("POST", request.url, headers=headers, content=offer)
        answer = await super().handle_async_request(sent)
        sdp = (await answer.aread()).decode()
        if answer.status_code == 201:
            sdp = self._relay.answer(sdp)
        headers = {k: v for k, v in answer.headers.items() if k != "content-length"}
        return httpx.Response(answer.status_code, headers=headers, content=sdp)


class Refusing(httpx.AsyncHTTPTransport):
    """HTTP as usual, but some offers after the first one are refused."""

    def __init__(self, refusals: int) -> None:
        super().__init__()
        self.offers, self._refusals = 0, refusals

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path.endswith("/whep"):
            self.offers += 1
            if 1 < self.offers <= 1 + self._refusals:
                return httpx.Response(503, json={"detail": "All viewers' places are taken."})
        return await super().handle_async_request(request)


class Patches(httpx.AsyncHTTPTransport):
    """HTTP as usual; notes what is trickled, and the answers."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await super().handle_async_request(request)
        if request.method == "PATCH":
            self.seen.append((request.content.decode(), answer.status_code))
        return answer


class Watcher:
    """Takes all pictures, and notes when they came."""

    def __init__(self, avatar: Avatar) -> None:
        self.came: list[tuple[float, VideoFrame]] = []
        self._task = asyncio.create_task(self._take(avatar))

    async def _take(self, avatar: Avatar) -> None:
        async for frame in avatar.video():
            self.came.append((time.monotonic(), frame))

    async def more(self, count: int) -> None:
        """Wait for so many from now on."""
        until = len(self.came) + count
        async with asyncio.timeout(20):
            while len(self.came) < until:
                assert not self._task.done(), "the pictures ended"
                await asyncio.sleep(0.02)

    def stop(self) -> None:
        self._task.cancel()


@asynccontextmanager
async def watched(avatar: Avatar) -> AsyncIterator[Watcher]:
    watcher = Watcher(avatar)
    try:
        yield watcher
    finally:
        watcher.stop()


async def until(avatar: Avatar, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async with asyncio.timeout(20):
        async for event in avatar.events():
            if fits(event):
                return event
    raise AssertionError("the events ended")


def link(phase: str) -> Callable[[dict[str, Any]], bool]:
    return lambda event: event["type"] == "link" and event["phase"] == phase


async def test_frames_of_both_tracks_carry_the_session_s_time(store: PortraitStore) -> None:
    """The number burnt into a picture is its moment; beeps begin with the session's seconds."""
    async with serving(store, probe=True) as live, await connect(live.base) as avatar:
        await asyncio.sleep(1.0)  # session time is not the viewer's
        async with asyncio.timeout(20):
            numbers = []
            async for frame in avatar.video():
                luma = np.ascontiguousarray(frame.pixels.mean(axis=2).astype(np.uint8))
                assert frame.seconds == frame.pts / SAMPLE_RATE
                numbers.append((read_number(luma), frame.pts / SAMPLES_PER_FRAME))
                if len(numbers) == 10:
                    break
            parts: list[F32] = []
            start = due = None
            async for chunk in avatar.sound():
                if chunk.pts != due:  # the machine was busy: begin anew
                    parts, start = [], chunk.pts
                parts.append(chunk.samples)
                due = chunk.end
                if sum(map(len, parts)) >= 1.1 * SAMPLE_RATE:
                    break
        assert all(number == moment for number, moment in numbers), numbers
        assert start is not None
        found = np.correlate(np.concatenate(parts), beep(SAMPLE_RATE), "valid")
        at = start + int(found.argmax())
        off = (at + SAMPLE_RATE // 2) % SAMPLE_RATE - SAMPLE_RATE // 2
        assert abs(off) <= 0.002 * SAMPLE_RATE


async def test_media_that_the_server_cuts_come_back_on_the_same_session(live: Live) -> None:
    async with await connect(live.base) as avatar, watched(avatar) as seen:
        await seen.more(10)
        before, session = seen.came[-1][1], avatar.session["id"]
        assert avatar._link._media is not None and avatar._link._media._resource is not None
        await live.http.delete(avatar._link._media._resource, headers=avatar.auth)
        lost = await until(avatar, link("reconnecting"))
        assert lost["session"] == session and "media" in lost["detail"]
        assert (await until(avatar, link("live")))["session"] == session
        await seen.more(10)
        assert avatar.session["id"] == session and live.sessions.get(session).viewers == 1
        after = [frame.pts for at, frame in seen.came if frame.pts > before.pts]
        assert len(after) >= 10 and all(b > a for a, b in pairwise(after))
        assert abs(after[-1] - live.sessions.get(session).pts) < 3 * SAMPLE_RATE


async def test_a_refused_offer_is_made_again_before_all_is_said_to_be_well(live: Live) -> None:
    refusing = Refusing(2)
    async with await connect(live.base, transport=refusing) as avatar, watched(avatar) as seen:
        await seen.more(3)
        assert avatar._link._media is not None and avatar._link._media._resource is not None
        await live.http.delete(avatar._link._media._resource, headers=avatar.auth)
        await until(avatar, link("live"))
        assert refusing.offers == 4
        await seen.more(5)


async def test_a_lost_control_socket_is_opened_again_and_commands_wait(live: Live) -> None:
    async with await connect(live.base, media=False) as avatar:
        await avatar.send("audio_start", rate=48_000)
        assert avatar._link._control is not None and avatar._link._control._socket is not None
        avatar._link._control._socket.transport.abort()  # no goodbye
        await avatar._link._control.closed.wait()
        await avatar.audio_end()  # waits
        told = [(event["type"], event["cause"]) async for event in some(avatar, 7, TOLD)]
        assert told[:3] == [("hello", None), ("ok", "c1"), ("link", None)]
        assert sorted(told[3:], key=str) == [
            ("hello", None), ("link", None), ("ok", "c1"), ("ok", "c2")
        ], "the format of the sound is told again"  # fmt: skip
        assert len(live.sessions.list()) == 1


async def some(avatar: Avatar, count: int, types: set[str]) -> AsyncIterator[dict[str, Any]]:
    async with asyncio.timeout(10):
        async for event in avatar.events():
            if event["type"] not in types:
                continue
            yield event
            count -= 1
            if not count:
                return


async def test_a_cut_network_is_noticed_and_the_session_goes_on(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_media, "SILENT", 1.0)
    async with Relay() as relay:
        through = Through(relay)
        async with await connect(live.base, transport=through) as avatar, watched(avatar) as seen:
            await seen.more(5)
            session, before = avatar.session["id"], seen.came[-1][1].pts
            relay.cut = True
            lost = await until(avatar, link("reconnecting"))
            assert "network" in lost["detail"]
            relay.cut = False
            await until(avatar, link("live"))
            await seen.more(5)
            assert through.offers >= 2 and avatar.session["id"] == session
            assert seen.came[-1][1].pts > before + SAMPLE_RATE // 2
            assert live.sessions.get(session).viewers == 1


async def test_pictures_are_back_soon_after_a_short_cut(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a second is lost, and nothing of it resent, as after longer cuts: a key frame is asked
    for, and nothing older waited for. aiortc's receiver alone stands for many seconds then."""

    async def never(sender: MediaSender, sequence_number: int) -> None:
        """As when its history does not reach back so far."""

    monkeypatch.setattr(MediaSender, "_retransmit", never)
    async with Relay(delay=0.02) as relay:
        through = Through(relay)
        async with await connect(live.base, transport=through) as avatar, watched(avatar) as seen:
            await seen.more(25)
            relay.cut = True
            await asyncio.sleep(0.5)
            relay.cut = False
            healed = time.monotonic()
            await seen.more(10)
            after = [at for at, _ in seen.came if at > healed + 0.05]
            assert after[0] - healed < 2.0
            assert seen.came[-1][1].pixels.std() > 20
            assert through.offers == 1 and relay.lost > 20


async def test_a_session_that_went_with_its_server_is_begun_anew(store: PortraitStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    async with serving(store, ONE, port=port) as live:
        avatar = await connect(live.base, patience=60, label="social_engagement")
        before = avatar.session["id"]
        seen = Watcher(avatar)
        await seen.more(3)
    async with serving(store, ONE, port=port) as live, avatar:
        found = await until(avatar, link("live"))
        assert found["session"] != before
        await seen.more(3)
        assert [s.id for s in live.sessions.list()] == [avatar.session["id"]]
        assert seen.came[-1][1].pts < 30 * SAMPLE_RATE
    seen.stop()
    assert live.sessions.list() == []


async def test_patience_ends(store: PortraitStore, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(store, ONE) as live:
        avatar = await connect(live.base, media=False, patience=0.5)
    async with asyncio.timeout(10), avatar:
        with pytest.raises(Unavailable):
            async for _ in avatar.events():
                pass
        with pytest.raises(Unavailable, match="connect again"):
            await avatar.say("Is anybody there?")


async def test_who_left_is_no_loss(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is begun anew when the session ended as sessions do."""
    async with await connect(live.base) as avatar, watched(avatar) as seen:
        await seen.more(3)
        await live.sessions.close(avatar.session["id"])
        async with asyncio.timeout(10):
            kinds = [event["type"] async for event in avatar.events()]
        assert "link" not in kinds
        assert live.sessions.list() == []


async def test_servers_of_the_answer_are_asked_and_trickled(store: PortraitStore) -> None:
    async with stun_server("198.51.100.7") as (_, address):
        told = (f"stun:{HERE}:{address[1]}",)
        async with serving(store, ice_servers=told) as live:
            patches = Patches()
            async with await connect(live.base, transport=patches) as avatar:
                async with watched(avatar) as seen:
                    await seen.more(3)
            ((body, status),) = patches.seen
            assert "198.51.100.7" in body and "srflx" in body and status == 204


async def test_pauses_grow_and_are_bounded() -> None:
    some = [pause for pause, _ in zip(pauses(), range(12), strict=False)]
    assert some[0] == 0 and 0 < some[1] <= 0.25 and 2 <= some[-1] <= 4


def a_frame(loud: float) -> av.AudioFrame:
    samples = np.full((1, 960), round(loud * 32767), np.int16)
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
    frame.sample_rate = 48_000
    return frame


async def test_sound_has_its_time_after_gaps_and_nothing_twice() -> None:
    inbox: Inbox[Timed] = Inbox(50)
    for pts in (320, 640, 640, 960, 64_000, 64_320, 0, 320):  # a repeat, a gap, another session
        inbox.put((a_frame(0.5), pts))
    inbox.end()
    chunks = [chunk async for chunk in sounds(inbox)]
    starts = [b.pts for a, b in pairwise(chunks) if b.pts != a.end]
    assert chunks[0].pts == 320 and starts == [64_000, 0]
    assert sum(len(chunk.samples) for chunk in chunks) >= 7 * 320 - 3 * 20


async def test_an_inbox_tells_why_it_ended() -> None:
    inbox: Inbox[int] = Inbox(3)
    inbox.put(1)
    inbox.end(Unavailable("gone"))
    inbox.end()
    taken = []
    with pytest.raises(Unavailable, match="gone"):
        async for item in inbox.items():
            taken.append(item)
    assert taken == [1]
