"""Tracks: exact timestamps, gaps that stay gaps, nothing after the end."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from core import SAMPLE_RATE, SAMPLES_PER_FRAME, AudioChunk, VideoFrame
from runtime.media import MediaFeed, MediaHub
from stream.pacer import Pacer
from stream.tracks import AudioTrack, VideoTrack


def tone(start: int, count: int) -> AudioChunk:
    t = np.arange(start, start + count) / SAMPLE_RATE
    return AudioChunk(np.asarray(0.5 * np.sin(2 * np.pi * 440 * t), np.float32), start)


def due_now(frame: int = 0) -> Pacer:
    """A pacer for which the given frame is due now."""
    epoch = time.monotonic() - frame * 0.04
    return Pacer(lambda: epoch, wall=0.0, now=0.0)


def offer(feed: MediaFeed, frames: range) -> None:
    for k in frames:
        pts = k * SAMPLES_PER_FRAME
        video = VideoFrame(np.full((16, 16, 3), k, np.uint8), pts)
        feed.put(tone(pts, SAMPLES_PER_FRAME), video)


async def test_sound_keeps_its_shape_and_its_time() -> None:
    async with MediaHub().watch() as feed:
        offer(feed, range(100, 110))
        track = AudioTrack(feed, due_now(100))
        packets = [await track.recv() for _ in range(19)]  # the resampler keeps a little back
    assert [p.pts for p in packets] == [100 * 1920 + 960 * i for i in range(19)]
    heard = np.concatenate([p.to_ndarray()[0] for p in packets]) / 32767
    t = (100 * 1920 + np.arange(len(heard))) / 48_000
    wanted = 0.5 * np.sin(2 * np.pi * 440 * t)
    assert np.abs(heard - wanted)[480:].max() < 2e-3


async def test_sound_that_was_lost_leaves_a_gap_instead_of_a_shift() -> None:
    async with MediaHub().watch() as feed:
        offer(feed, range(0, 3))
        offer(feed, range(10, 13))
        track = AudioTrack(feed, due_now())
        pts = [(await track.recv()).pts for _ in range(9)]
    assert pts[:5] == [960 * i for i in range(5)]
    assert pts[5:] == [10 * 1920 + 960 * i for i in range(4)]


async def test_what_waited_while_connecting_is_skipped() -> None:
    async with MediaHub().watch() as feed:
        offer(feed, range(0, 25))
        pacer = due_now(24)
        sound = await AudioTrack(feed, pacer).recv()
        picture = await VideoTrack(feed, pacer).recv()
    assert sound.pts is not None and sound.pts >= 22 * 1920
    assert picture.pts is not None and picture.pts >= 21 * 3600


async def test_pictures_carry_their_pixels_and_leave_when_due() -> None:
    async with MediaHub().watch() as feed:
        offer(feed, range(0, 3))
        track = VideoTrack(feed, due_now())
        began = time.monotonic()
        frames = [await track.recv() for _ in range(3)]
    assert time.monotonic() - began == pytest.approx(0.08, abs=0.03)
    assert [f.pts for f in frames] == [0, 3600, 7200]
    assert [int(f.to_ndarray(format="rgb24")[0, 0, 0]) for f in frames] == [0, 1, 2]


async def test_a_stall_is_followed_by_no_burst() -> None:
    async with MediaHub().watch() as feed:
        track = VideoTrack(feed, due_now(20))
        offer(feed, range(15, 21))  # five frames late at once: 200 ms … 0 ms
        left = []
        for _ in range(3):
            await track.recv()
            left.append(time.monotonic())
    assert min(np.diff(left)) >= 0.015
    assert track._pacer.skipped >= 2


async def test_tracks_end_with_the_session() -> None:
    hub = MediaHub()
    async with hub.watch() as feed:
        pacer = due_now()
        waiting = [
            asyncio.create_task(AudioTrack(feed, pacer).recv()),
            asyncio.create_task(VideoTrack(feed, pacer).recv()),
        ]
        await asyncio.sleep(0)
        hub.close()
        for task in waiting:
            with pytest.raises(MediaStreamError):
                await task
