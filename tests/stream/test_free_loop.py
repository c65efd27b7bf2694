"""What takes long runs in threads: all sessions' sound leaves from the one event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from core import U8, InvalidInput
from runtime.renderer import PuppetRenderer
from runtime.window import Window
from stream.rendition import encode_all
from tests.stream.conftest import Live
from tests.stream.test_viewer import viewer

pytestmark = pytest.mark.realtime
LONG = 0.6
"Seconds that the work takes here; a busy machine holds the loop up a little itself."
HELD = 0.4


@asynccontextmanager
async def free() -> AsyncIterator[None]:
    """Fails when the event loop stood still meanwhile."""
    longest = 0.0

    async def pulse() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)

    beating = asyncio.create_task(pulse())
    await asyncio.sleep(0.02)
    began = time.monotonic()
    try:
        yield
        await asyncio.sleep(0.02)
    finally:
        beating.cancel()
    assert time.monotonic() - began >= LONG, "it did take long"
    assert longest < HELD


def slow(work: Callable[..., Any]) -> Callable[..., Any]:
    """The same, after a while."""

    def slowed(*given: Any, **named: Any) -> Any:
        time.sleep(LONG)
        return work(*given, **named)

    return slowed


async def test_the_loop_is_free_while_a_session_is_made(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live.sessions._renderers, "make", slow(live.sessions._renderers.make))
    async with free():
        await live.session()


async def test_the_loop_is_free_while_a_portrait_is_enrolled(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(data: bytes, name: str) -> None:
        raise InvalidInput("No face.")

    monkeypatch.setattr(live.sessions.portraits, "add", slow(refused))
    async with free():
        assert (await live.http.post("/v1/portraits", content=b"x")).status_code == 422


async def test_the_loop_is_free_while_a_sound_file_is_decoded(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(data: bytes, limit: float) -> None:
        raise InvalidInput("No sound.")

    monkeypatch.setattr("stream.api_speech.decode_audio", slow(refused))
    session = await live.session()
    where = f"/v1/sessions/{session['id']}/speech"
    async with free():
        answer = await live.http.post(where, headers=live.auth(session), content=b"x")
        assert answer.status_code == 422


async def test_the_loop_is_free_while_pictures_are_rendered(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick, times = PuppetRenderer.quick, iter([LONG])

    def stalls(self: PuppetRenderer, window: Window, first: int) -> Iterator[U8]:
        time.sleep(next(times, 0))
        return iter(list(quick(self, window, first)))

    session = await live.session()
    monkeypatch.setattr(PuppetRenderer, "quick", stalls)
    async with free(), viewer(live, session) as seen:
        await seen.frames("video", 10)


async def test_the_loop_is_free_while_pictures_are_encoded(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, LONG])

    def stalls(*given: Any) -> Any:
        time.sleep(next(times, 0))
        return encode_all(*given)

    monkeypatch.setattr("stream.broadcast.encode_all", stalls)
    session = await live.session()
    async with free(), viewer(live, session) as seen:
        await seen.frames("video", 10)
