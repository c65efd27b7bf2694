"""Neither track waits for the other, and what was said of their common clock holds at once."""

from __future__ import annotations

import asyncio
import time
from typing import Literal

import numpy as np
import pytest

from core import FPS, SAMPLES_PER_FRAME, VIDEO_CLOCK, WIRE_SAMPLE_RATE, AudioChunk, VideoFrame
from stream.pacer import NTP_UNIX
from tests.stream.test_sender import Stage, stage

pytestmark = pytest.mark.realtime
LATE = 0.1
"Seconds that a busy machine may take; a barrier would take for ever."


async def show(on: Stage, first: int, last: int, kinds: tuple[str, ...]) -> None:
    """Publish frames when a session would."""
    for k in range(first, last):
        await asyncio.sleep(max(0.0, on.show.epoch + k / FPS - 0.08 - time.monotonic()))
        pts = k * SAMPLES_PER_FRAME
        sound = AudioChunk(np.zeros(SAMPLES_PER_FRAME, np.float32), pts)
        picture = VideoFrame(np.full((64, 64, 3), 20 * (k % 9), np.uint8), pts)
        on.show.hub.publish(
            sound if "audio" in kinds else None, picture if "video" in kinds else None
        )


@pytest.mark.parametrize("comes", ["audio", "video"])
async def test_a_track_whose_other_one_never_comes_starts_anyway(
    comes: Literal["audio", "video"],
) -> None:
    """A viewer of both, and a producer of one: it leaves when it is due, from the first frame."""
    async with stage() as on:
        wires = {kind: (await on.sender(kind))[1] for kind in ("audio", "video")}
        await asyncio.sleep(0)
        on.show.epoch = epoch = time.monotonic() + 0.1
        await show(on, 0, 10, (comes,))
        await asyncio.sleep(0.15)
    wire = wires.pop(comes)
    assert not next(iter(wires.values())).packets
    rate = VIDEO_CLOCK if comes == "video" else WIRE_SAMPLE_RATE
    stamps = np.array(wire.timestamps)
    assert len(stamps) >= (10 if comes == "video" else 19)
    firsts = [next(at for at, p in wire.packets if p.timestamp == stamp) for stamp in stamps]
    due = epoch + (stamps - stamps[0]) / rate
    assert np.median(np.abs(np.array(firsts) - due)) < LATE


async def test_a_clock_that_moves_is_reported_before_the_next_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """aiortc's own report comes up to a second and a half later: until then lips would be off."""
    monkeypatch.setattr("aiortc.rtcrtpsender.random.random", lambda: 60.0)  # never, here
    async with stage() as on:
        wires = [(await on.sender(kind))[1] for kind in ("audio", "video")]
        await asyncio.sleep(0)
        on.show.epoch = time.monotonic() + 0.1
        await show(on, 0, 6, ("audio", "video"))
        await asyncio.sleep(0.12)
        assert [len(wire.reports) for wire in wires] == [1, 1]
        on.show.epoch += 0.2
        await show(on, 6, 10, ("audio", "video"))
        await asyncio.sleep(0.12)
        assert [len(wire.reports) for wire in wires] == [2, 2]
        for wire, rate in zip(wires, (WIRE_SAMPLE_RATE, VIDEO_CLOCK), strict=True):
            left = wire.packets[-1][0] - time.monotonic() + time.time() + NTP_UNIX
            assert wire.presented(-1, rate) == pytest.approx(left, abs=0.06)
