"""A minute of media is a minute on the wire, whatever rate pictures come at and however long."""

from __future__ import annotations

import asyncio
import time

import av
import numpy as np
import pytest

from core import FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, VIDEO_CLOCK, WIRE_SAMPLE_RATE, AudioChunk
from core import VideoFrame as Picture
from stream.bandwidth import Rung
from stream.broadcast import OPUS_DELAY, Sound
from stream.pacer import NTP_UNIX, Pacer
from stream.rendition import Rendition
from stream.settings import StreamSettings
from tests.stream.test_sender import stage

MINUTE = 60
HOURS = 8 * 3600


@pytest.mark.parametrize("fps", [12.5, 20, 25, 30])
def test_a_minute_of_pictures_is_a_minute_at_any_rate(fps: float) -> None:
    """No slow motion: timestamps are the media's, not a count of pictures."""
    pacer, now = Pacer(lambda: 0.0, wall=0.0, now=0.0), -0.08
    rendition = Rendition("video/VP8", Rung.FULL, StreamSettings())
    grey = av.VideoFrame.from_ndarray(np.full((48, 32), 99, np.uint8), format="gray")
    picture = grey.reformat(format="yuv420p")
    stamps, left = [], []
    for k in range(round(MINUTE * fps) + 1):
        pts = round(k * SAMPLE_RATE / fps)
        stamps.append(rendition.encode(picture, pts, k == 0, 300_000).timestamp)
        wait = pacer.encoded_wait(pts, now)
        now += wait
        left.append(now)
    assert stamps[-1] - stamps[0] == MINUTE * VIDEO_CLOCK
    assert left[-1] - left[0] == pytest.approx(MINUTE, abs=1e-6)
    assert np.abs(np.array(stamps) / VIDEO_CLOCK - np.array(left)).max() < 1e-4


def test_a_minute_of_sound_is_a_minute() -> None:
    sound = Sound()
    piece = np.zeros(SAMPLE_RATE // 50, np.float32)
    stamps = [
        packet.timestamp
        for pts in range(0, MINUTE * SAMPLE_RATE, len(piece))
        for packet in sound.push(AudioChunk(piece, pts))
    ]
    assert len(stamps) in (50 * MINUTE - 1, 50 * MINUTE)  # the filter holds some samples back
    assert stamps[-1] - stamps[0] == (len(stamps) - 1) * WIRE_SAMPLE_RATE // 50


async def test_after_eight_hours_lips_and_voice_are_where_they_were() -> None:
    """A picture and a sound of one moment, read by the reports of both tracks: 5 ms/h would be
    40 ms by then, and RTP's 32 bits have not wrapped in sound but have in neither."""
    async with stage() as on:
        _, sound = await on.sender("audio")
        _, picture = await on.sender("video")
        await asyncio.sleep(0)
        first = HOURS * FPS
        on.show.epoch = epoch = time.monotonic() + 0.15 - HOURS
        for k in range(first, first + 8):
            await asyncio.sleep(max(0.0, epoch + k / FPS - 0.08 - time.monotonic()))
            pts = k * SAMPLES_PER_FRAME
            grey = np.full((64, 64, 3), k % 200, np.uint8)
            on.show.hub.publish(
                AudioChunk(np.zeros(SAMPLES_PER_FRAME, np.float32), pts), Picture(grey, pts)
            )
        async with asyncio.timeout(3):
            await sound.reported.wait()
            await picture.reported.wait()
        heard = sound.presented(0, WIRE_SAMPLE_RATE) + OPUS_DELAY / WIRE_SAMPLE_RATE
        seen = picture.presented(0, VIDEO_CLOCK)
        assert seen == pytest.approx(heard, abs=1e-3)
        wall = time.time() - time.monotonic() + epoch + HOURS
        assert seen - NTP_UNIX == pytest.approx(wall, abs=2e-3)
        left = picture.packets[0][0]
        assert 0 <= left - (epoch + HOURS) + 1e-3 < 0.2, "and it left when it was due"
