"""The Python client against a real server: what it says is heard, what it is told it raises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
import pytest

from core import SAMPLES_PER_FRAME, Busy, Conflict, InvalidInput, NotAllowed, NotFound, Unavailable
from runtime.portraits import PortraitStore
from runtime.settings import RuntimeSettings
from stream.bench import babble
from stream.client import Avatar, connect
from stream.client_command import saving, speak
from stream.client_http import error_of, ice_servers
from stream.client_inbox import Inbox
from stream.ice import link_header
from stream.settings import StreamSettings
from tests.stream.conftest import Live, serving

T = TypeVar("T")
ONE = RuntimeSettings(size=256, max_sessions=1, idle_timeout=2.0)


async def event(avatar: Avatar, cause: str | None, **wanted: object) -> dict[str, object]:
    async with asyncio.timeout(10):
        async for found in avatar.events():
            if cause in (None, found["cause"]) and wanted.items() <= found.items():
                return found
    raise AssertionError(f"the events ended without {wanted}")


async def test_pictures_sound_and_events_of_streamed_speech(live: Live) -> None:
    async with await connect(live.base, seed=3) as avatar:
        assert len(live.sessions.list()) == 1
        pictures = [frame async for frame in first(avatar.video(), 20)]
        assert pictures[0].pixels.shape == (256, 256, 3) and pictures[0].pixels.std() > 20
        steps = [b.pts - a.pts for a, b in pairwise(pictures)]
        assert min(steps) > 0 and steps.count(SAMPLES_PER_FRAME) > len(steps) // 2
        pcm = (babble(0.6) * 20_000).astype("<i2").tobytes()
        started = await avatar.audio_start(turn=avatar.turn)
        await avatar.audio(pcm)
        await avatar.audio_end()
        await event(avatar, started, type="speech", phase="started")
        loud = 0.0
        last = -1
        async with asyncio.timeout(5):
            async for chunk in avatar.sound():
                assert chunk.pts >= last
                last = chunk.end
                loud = max(loud, float(np.abs(chunk.samples).max()))
                if loud > 0.05:
                    break
        cut = await avatar.interrupt()
        await event(avatar, cut, type="interrupted")
        assert avatar.turn == 1
        with pytest.raises(Conflict, match="turn 0"):
            await avatar.say("Of before.", turn=0)
        with pytest.raises(InvalidInput, match="nosuch"):
            await avatar.behave(label="nosuch")
        await avatar.behave(instruction="look left")
    assert live.sessions.list() == [], "its place is free"
    with pytest.raises(Unavailable):
        await avatar.say("too late")


async def first(items: AsyncIterator[T], count: int) -> AsyncIterator[T]:
    async with asyncio.timeout(10):
        async for item in items:
            yield item
            count -= 1
            if not count:
                return


async def test_a_full_server_is_waited_for_in_line(store: PortraitStore) -> None:
    async with serving(store, ONE) as live:
        await live.session()
        with pytest.raises(Busy) as refused:
            await connect(live.base, wait=0, media=False)
        assert refused.value.code == "full" and refused.value.facts["position"] == 1
        waiting = asyncio.create_task(connect(live.base, wait=30, media=False))
        await asyncio.sleep(0.3)
        assert not waiting.done()
        async with await waiting as avatar:
            assert [s.id for s in live.sessions.list()] == [avatar.session["id"]]


async def test_joining_leaves_the_session_alive(live: Live) -> None:
    async with await connect(live.base, media=False) as avatar:
        mine = avatar.session
        async with await connect(live.base, media=False, join=(mine["id"], mine["token"])) as guest:
            assert (await event(guest, None, type="hello"))["session"]
        await avatar.attend("listening")
        with pytest.raises(NotAllowed, match="token"):
            await connect(live.base, join=(mine["id"], "wrong"))
        with pytest.raises(NotFound):
            await connect(live.base, join=("nosuch", "wrong"))
        await live.sessions.close(mine["id"])
        async with asyncio.timeout(5):
            assert [e async for e in avatar.events()], "the events end with the session"


async def test_failures_are_the_errors_they_were(live: Live) -> None:
    with pytest.raises(NotFound):
        await connect(live.base, portrait="nosuch")
    with pytest.raises(InvalidInput, match="eyes"):
        await connect(live.base, eyes=9)
    with pytest.raises(Unavailable, match="No server"):
        await connect("http://127.0.0.1:9")
    assert live.sessions.list() == []
    odd = error_of(
        {"type": "urn:saccade:audio-rejected", "status": 422, "detail": "x", "reason": "y"}
    )
    assert isinstance(odd, InvalidInput) and odd.code == "audio-rejected"
    assert odd.facts == {"reason": "y"}


def test_ice_servers_are_those_the_server_tells() -> None:
    told = StreamSettings(ice_servers=("stun:a.example", 'turn:b.example an\\n s"e,c;r<e>t'))
    found = ice_servers(link_header(told))
    assert [(s.urls, s.username, s.credential) for s in found] == [
        ("stun:a.example", None, None),
        ("turn:b.example", "an\\n", 's"e,c;r<e>t'),
    ]


async def test_what_nobody_takes_is_bounded_and_the_newest_stays() -> None:
    inbox: Inbox[int] = Inbox(3)
    for item in range(10):
        inbox.put(item)
    inbox.end()
    assert [item async for item in inbox.items()] == [7, 8, 9]


@pytest.mark.realtime
async def test_what_comes_is_saved_as_a_file(live: Live, tmp_path: Path) -> None:
    path = tmp_path / "saved.mp4"
    async with await connect(live.base) as avatar, saving(avatar, path):
        await avatar.audio((babble(1.0) * 20_000).astype("<i2").tobytes())
        await asyncio.sleep(2)
    with av.open(str(path)) as file:
        pictures = sum(1 for _ in file.decode(video=0))
    with av.open(str(path)) as file:
        sound = np.concatenate([f.to_ndarray().ravel() for f in file.decode(audio=0)])
    assert pictures >= 25 and np.abs(sound).max() > 0.05
    assert abs(len(sound) / 48_000 - pictures / 25) < 0.1


async def test_saving_fails_with_whatever_error_it_met(live: Live, tmp_path: Path) -> None:
    """Not with a file that lacks the rest in silence. What fails meanwhile comes first."""
    async with await connect(live.base) as avatar:
        with pytest.raises(AttributeError, match="to_ndarray"):
            async with saving(avatar, tmp_path / "odd.mp4"):
                avatar._link.frames["video"].put(("no frame", 0))
                await asyncio.sleep(0.2)
        with pytest.raises(OSError, match="No space left"):
            async with saving(avatar, Path("/dev/full")):
                await asyncio.sleep(0.3)
        with pytest.raises(Conflict):
            async with saving(avatar, tmp_path / "late.mp4"):
                avatar._link.frames["video"].put(("no frame", 0))
                await avatar.say("Of another turn.", turn=7)


async def test_the_command_says_what_is_missing(live: Live, tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="voice"):
        await speak(live.base, "There is no voice here.", tmp_path / "none.mp4")
    assert live.sessions.list() == []
