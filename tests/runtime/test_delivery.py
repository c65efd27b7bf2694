"""What leaves reaches the viewers, and how long commands took is counted of what they get."""

from __future__ import annotations

import numpy as np
import pytest

from core import (
    CHANNELS,
    FPS,
    MOUTH,
    SAMPLES_PER_FRAME,
    AudioChunk,
    ControlTrack,
    MouthTrack,
    VideoFrame,
)
from runtime.delivery import Delivery
from runtime.session_clock import SessionClock
from runtime.stats import Stats
from runtime.timeline import SOUND_AHEAD, Timeline
from runtime.window import Window

AHEAD = 0.08


def window(start: int, frames: int) -> Window:
    mouth = MouthTrack(np.zeros((frames, len(MOUTH)), np.float32))
    return Window(
        start=start,
        controls=ControlTrack(np.zeros((frames, len(CHANNELS)), np.float32)),
        mouth=mouth,
        audio=AudioChunk(
            np.zeros(frames * SAMPLES_PER_FRAME, np.float32), start * SAMPLES_PER_FRAME
        ),
        felt=mouth,
        tokens=np.zeros((2 * frames, 256), np.float32),
        label="idle",
        instruction="",
    )


@pytest.fixture
def clock() -> SessionClock:
    return SessionClock(lambda: AHEAD, 100.0)


@pytest.fixture
def delivery(clock: SessionClock) -> Delivery:
    """Ten frames wait, the picture of the sixth is not there."""
    timeline, made = Timeline(AHEAD), window(0, 10)
    timeline.add(made, "made")
    for frame in range(10):
        timeline.show(made, frame, None if frame == 5 else np.full((2, 2, 3), frame, np.uint8))
    return Delivery(timeline, clock, Stats())


async def test_each_viewer_gets_all_that_is_due_and_what_is_held_is_counted(
    delivery: Delivery, clock: SessionClock
) -> None:
    async with delivery.watch() as one, delivery.watch() as other:
        assert delivery.viewers == 2
        delivery.leave(clock.presented(0) - AHEAD)
        assert [(await feed.video()).pts for feed in (one, other)] == [0, 0]
        delivery.leave(clock.presented(5))
        assert (await one.video()).pts == SAMPLES_PER_FRAME and (await one.audio()).pts == 0
    assert delivery._stats.frames == 7 and delivery._stats.held == 1
    assert delivery.viewers == 0


async def test_a_command_has_taken_until_the_first_frame_that_shows_it_is_presented(
    delivery: Delivery, clock: SessionClock
) -> None:
    async with delivery.watch():
        asked = clock.presented(0)
        delivery.reactions.expect(5, asked)  # which is left out: the sixth shows it
        delivery.hushes.expect(2, asked)
        delivery.leave(clock.presented(9))
    stats = delivery._stats
    assert stats.hush.total == pytest.approx(9 / FPS), "it left so late"
    assert stats.reaction.total == pytest.approx(9 / FPS)
    assert sum(stats.reaction.counts) == sum(stats.hush.counts) == 1


def test_without_viewers_nothing_is_counted_or_awaited(
    delivery: Delivery, clock: SessionClock
) -> None:
    delivery.reactions.expect(3, 100.0)
    delivery.leave(clock.presented(9))
    delivery.reactions.left(9, 200.0)
    assert not delivery._stats.frames and not sum(delivery._stats.reaction.counts)


async def test_an_overlay_changes_what_leaves(delivery: Delivery, clock: SessionClock) -> None:
    def marked(
        audio: AudioChunk | None, video: VideoFrame | None
    ) -> tuple[AudioChunk | None, VideoFrame | None]:
        seen = video and VideoFrame(video.pixels + np.uint8(100), video.pts)
        return audio and AudioChunk(audio.samples + np.float32(0.5), audio.pts), seen

    async with delivery.watch() as feed:
        delivery.overlay = marked
        delivery.leave(clock.presented(0))
        assert (await feed.video()).pixels.max() == 100
        assert (await feed.audio()).samples.max() == np.float32(0.5)


def test_what_leaves_next_is_told_in_monotonic_time(
    delivery: Delivery, clock: SessionClock
) -> None:
    assert delivery.leaves() == pytest.approx(clock.epoch - AHEAD)
    delivery.leave(clock.epoch - AHEAD)
    assert delivery.leaves() == pytest.approx(clock.presented(1) - AHEAD)
    delivery.leave(clock.presented(1) - AHEAD)
    assert delivery.leaves() == pytest.approx(clock.epoch - SOUND_AHEAD)
    delivery.leave(clock.presented(20))
    assert delivery.leaves() is None
