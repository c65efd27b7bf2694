"""Sessions and scheduler in real time: paced, fair, bounded, and gone when closed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import numpy as np
import numpy.typing as npt
import pytest

from core import U8, Busy, NotFound, Portrait
from runtime.media import FeedClosed
from runtime.portraits import PortraitStore
from runtime.renderer import Renderer
from runtime.session import Session
from runtime.sessions import Full, Sessions
from runtime.settings import RuntimeSettings
from runtime.timeline import PIECE
from runtime.window import Window
from tests.runtime.test_session import Flat

pytestmark = pytest.mark.realtime


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> PortraitStore:
    return PortraitStore(tmp_path_factory.mktemp("portraits"), limit=10)


@pytest.fixture
async def sessions(store: PortraitStore) -> AsyncIterator[Sessions]:
    async with Sessions(store, None, RuntimeSettings(size=256)) as made:
        yield made


async def frames(session: Session, count: int) -> list[float]:
    """Arrival times of ``count`` frames."""
    at = []
    async with session.watch() as feed:
        for _ in range(count):
            await feed.video()
            at.append(time.monotonic())
    return at


async def test_two_real_sessions_run_in_real_time(sessions: Sessions) -> None:
    pair = [await sessions.create(seed=i) for i in range(2)]
    for session in pair:
        await frames(session, 5)
    before = [s.pts for s in pair]
    began = time.monotonic()
    await asyncio.gather(*(frames(s, 50) for s in pair))
    took = time.monotonic() - began
    assert 1.6 < took < 3.5  # a machine that is slow gets it late, and nobody gets it early
    for session, start in zip(pair, before, strict=True):
        assert (session.pts - start) / 16_000 == pytest.approx(took, abs=0.4)


async def test_places_are_counted_while_they_are_being_made(sessions: Sessions) -> None:
    results = await asyncio.gather(*(sessions.create() for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(r, Session) for r in results) == 2
    refused = [r for r in results if isinstance(r, Busy)]
    assert len(refused) == 2 and refused[0].facts["retry_after"] > 0


async def test_a_renderer_that_can_not_be_built_takes_no_place(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(portrait: Portrait) -> Renderer:
        raise MemoryError("no memory left on the device")

    with monkeypatch.context() as patch:
        patch.setattr(sessions._renderers, "make", broken)
        for _ in range(3):
            with pytest.raises(MemoryError):
                await sessions.create()
    assert len([await sessions.create() for _ in range(2)]) == 2


async def test_a_caller_that_is_cancelled_while_it_waits_takes_no_place(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = sessions._renderers.make

    def slow(portrait: Portrait) -> Renderer:
        time.sleep(0.2)
        return make(portrait)

    await sessions.close((await sessions.create()).id)  # its portrait is there
    monkeypatch.setattr(sessions._renderers, "make", slow)
    creating = [asyncio.create_task(sessions.create()) for _ in range(2)]
    await asyncio.sleep(0.05)
    with pytest.raises(Busy):
        await sessions.create()
    for task in creating:
        task.cancel()
    await asyncio.gather(*creating, return_exceptions=True)
    assert sessions.list() == []
    assert len([await sessions.create() for _ in range(2)]) == 2


async def test_an_unknown_portrait_takes_no_place(sessions: Sessions) -> None:
    with pytest.raises(NotFound):
        await sessions.create(portrait="0" * 16)
    assert len([await sessions.create() for _ in range(2)]) == 2


async def test_closing_ends_the_feeds_and_forgets_the_session(sessions: Sessions) -> None:
    session = await sessions.create()
    async with session.watch() as feed:
        await feed.video()
        await sessions.close(session.id)
        with pytest.raises(FeedClosed):
            while True:
                await feed.video()
    with pytest.raises(NotFound):
        sessions.get(session.id)


class Broken(Flat):
    def quick(self, window: Window, first: int) -> list[U8]:
        raise ZeroDivisionError("a renderer with a bug")


class Slow(Flat):
    """Stalls once for 800 ms, then is fast again."""

    def __init__(self) -> None:
        self.calls = 0

    def quick(self, window: Window, first: int) -> list[U8]:
        self.calls += 1
        if self.calls == 10:
            time.sleep(0.8)
        return [np.zeros((8, 8, 3), np.uint8)]


class LateEights(Flat):
    """Needs most of a window's time for a window, like a generator."""

    window_frames = 8
    lead_ms = 300

    def render(self, window: Window, deadline: float) -> list[U8]:
        time.sleep(0.25)
        return self.quick(window, window.start)


async def test_one_session_s_failure_touches_no_other(sessions: Sessions) -> None:
    good, bad = await sessions.create(), await sessions.create()
    bad.renderer = Broken()
    async with bad.watch() as feed:
        with pytest.raises(FeedClosed):
            await feed.video()
    await frames(good, 10)
    assert [s.id for s in sessions.list()] == [good.id]
    assert sessions.ends == {"failed": 1}
    assert await sessions.create(), "its place is free"


async def sound(session: Session, count: int) -> tuple[list[int], npt.NDArray[np.float64]]:
    """pts and arrival times of ``count`` chunks."""
    arrived: list[tuple[int, float]] = []
    async with session.watch() as feed:
        while len(arrived) < count:
            chunk = await feed.audio()
            arrived.append((chunk.pts, time.monotonic()))
    pts, at = zip(*arrived, strict=True)
    return list(pts), np.array(at)


async def test_a_stalled_renderer_holds_the_picture_and_audio_goes_on(sessions: Sessions) -> None:
    session = await sessions.create()
    session.renderer = Slow()
    watching = asyncio.create_task(frames(session, 20))
    pts, at = await sound(session, 100)
    assert all(b - a == PIECE for a, b in zip(pts, pts[1:], strict=False))
    assert np.diff(at).max() < 0.3
    shown = np.array(await watching)
    assert np.diff(shown).max() > 0.6
    assert session.stats.held >= 15 and session.stats.stalls == 0


async def test_after_a_stall_of_the_process_there_is_no_burst(sessions: Sessions) -> None:
    session = await sessions.create()
    listening = asyncio.create_task(sound(session, 80))
    await asyncio.sleep(0.5)
    time.sleep(0.8)  # noqa: ASYNC251 - just that
    pts, at = await listening
    assert all(b - a == PIECE for a, b in zip(pts, pts[1:], strict=False))
    stall = int(np.argmax(np.diff(at)))
    assert np.diff(at)[stall] > 0.6
    after = at[stall + 1 :] - at[stall + 1]
    for window in range(1, 20):  # never more than the frames that had been planned
        assert (after < window * 0.04).sum() <= 2 * (window + 4)
    assert session.stats.stalls == 1


async def test_a_clock_that_jumps_moves_the_session_and_tears_nothing(
    store: PortraitStore, caplog: pytest.LogCaptureFixture
) -> None:
    """A laptop that slept: what was to be shown meanwhile is not sent afterwards."""
    ahead = [0.0]
    async with Sessions(
        store, None, RuntimeSettings(size=256), clock=lambda: time.monotonic() + ahead[0]
    ) as sessions:
        pair = [await sessions.create(seed=i) for i in range(2)]
        listening = [asyncio.create_task(sound(session, 100)) for session in pair]
        await asyncio.sleep(0.6)
        ahead[0] = 3600.0
        for session, task in zip(pair, listening, strict=True):
            pts, at = await task
            assert all(b - a == PIECE for a, b in zip(pts, pts[1:], strict=False))
            # Neither at once nor in an hour; a machine that is slow may stall by itself.
            assert 49 * 0.04 - 0.3 < at[-1] - at[0] < 6
            moves = [vars(r) for r in caplog.records if r.msg == "clock moved"]
            far = [m["late_ms"] > 3_000_000 for m in moves if m["session"] == session.id]
            assert sum(far) == 1 and len(far) == session.stats.stalls


async def test_a_viewer_that_takes_nothing_costs_nobody_else_a_frame(sessions: Sessions) -> None:
    session = await sessions.create()
    async with session.watch() as idle:
        shown = np.array(await frames(session, 60))
        assert np.diff(shown).max() < 0.25
        assert idle.dropped > 30
        assert len(idle._video) <= 6 and len(idle._audio) <= 50


async def test_the_first_picture_does_not_wait_for_a_window(sessions: Sessions) -> None:
    """Whoever comes in the middle of a window sees the quick pictures of it."""
    session = await sessions.create()
    session.renderer = LateEights()
    for wait in (0.5, 0.57, 0.64, 0.71):  # at any moment of a window, none being rendered
        await asyncio.sleep(wait)
        came = time.monotonic()
        (first,) = await frames(session, 1)
        assert first - came < 0.2


async def test_sessions_without_viewers_expire(store: PortraitStore) -> None:
    settings = RuntimeSettings(size=256, idle_timeout=2.0, warn_before=1.0)
    async with Sessions(store, None, settings) as sessions:
        session = await sessions.create()
        async with session.subscribe() as events:
            told = [event async for event in events]
        assert "idle" in [event.data["reason"] for event in told if event.type == "expiring"]
        assert not sessions.list() and sessions.ends == {"idle": 1}


async def test_a_session_ends_at_its_greatest_length_though_it_is_watched(
    store: PortraitStore,
) -> None:
    settings = RuntimeSettings(size=256, session_ttl=2.0, warn_before=1.5)
    async with Sessions(store, None, settings) as sessions:
        session = await sessions.create()
        began = time.monotonic()
        async with session.watch(), session.subscribe() as events:
            warned = [e.data async for e in events if e.type == "expiring"]
        assert 1.5 < time.monotonic() - began < 4
        assert warned and warned[0]["reason"] == "ttl" and 0 < warned[0]["in_s"] <= 1.5
        assert sessions.ends == {"ttl": 1} and await sessions.create()


async def test_the_machine_is_measured_before_the_first_viewer(sessions: Sessions) -> None:
    async with asyncio.timeout(30):
        while not sessions.ready:  # noqa: ASYNC110 - readiness is a flag
            await asyncio.sleep(0.05)
    found = sessions.capacity
    assert found.measured is not None and found.measured >= 1
    assert found.places == min(2, found.measured) and found.full_quality is None


async def test_a_small_machine_admits_what_it_carries(store: PortraitStore) -> None:
    settings = RuntimeSettings(size=256, max_sessions=0, capacity_share=1e-6)
    async with Sessions(store, None, settings) as sessions:
        async with asyncio.timeout(30):
            while not sessions.ready:  # noqa: ASYNC110 - readiness is a flag
                await asyncio.sleep(0.05)
        await sessions.create()
        with pytest.raises(Full) as caught:
            await sessions.create()
        assert caught.value.facts["position"] == 1 and caught.value.facts["eta_s"] > 0


async def test_a_session_that_ends_by_itself_while_all_are_closed_is_no_error(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await sessions.create(), await sessions.create()
    close = first.close

    async def meanwhile() -> None:
        await sessions.close(second.id, "idle")
        await close()

    monkeypatch.setattr(first, "close", meanwhile)
    await sessions.close_all("drain")
    assert sessions.list() == [] and sessions.ends == {"drain": 1, "idle": 1}


async def test_many_sessions_leave_nothing_behind(sessions: Sessions) -> None:
    before = len(asyncio.all_tasks())
    for _ in range(25):
        session = await sessions.create()
        async with session.watch() as feed:
            await feed.audio()
        await sessions.close(session.id)
    await asyncio.sleep(0.1)
    assert len(asyncio.all_tasks()) <= before + 1
