"""Tracks: `recv()` takes from the session's feed, waits until it is due, converts."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction
from typing import Final

import av
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from core import SAMPLE_RATE, VIDEO_CLOCK, WIRE_SAMPLE_RATE
from engines.resample import Resampler
from runtime.media import FeedClosed, MediaFeed
from stream.pacer import Pacer

VIDEO_BASE: Final = Fraction(1, VIDEO_CLOCK)
AUDIO_BASE: Final = Fraction(1, WIRE_SAMPLE_RATE)
PACKET: Final = WIRE_SAMPLE_RATE // 50
"Samples in one 20 ms Opus frame."


class VideoTrack(MediaStreamTrack):
    """The picture. Late frames are skipped, so a stall is never followed by a burst."""

    kind = "video"

    def __init__(self, feed: MediaFeed, pacer: Pacer) -> None:
        super().__init__()
        self._feed = feed
        self._pacer = pacer
        self.skipped = 0

    async def recv(self) -> av.VideoFrame:
        """The next frame, when it is due. Raises MediaStreamError at the end."""
        while True:
            try:
                frame = await self._feed.video()
            except FeedClosed:
                self.stop()
                raise MediaStreamError from None
            wait = self._pacer.video_wait(frame.pts, time.monotonic())
            if wait is None:
                self.skipped += 1
                continue
            if wait > 0:
                await asyncio.sleep(wait)
            picture = av.VideoFrame.from_ndarray(frame.pixels, format="rgb24")
            picture.pts = frame.pts * VIDEO_CLOCK // SAMPLE_RATE
            picture.time_base = VIDEO_BASE
            return picture


class AudioTrack(MediaStreamTrack):
    """The voice, in 20 ms packets at 48 kHz."""

    kind = "audio"

    def __init__(self, feed: MediaFeed, pacer: Pacer) -> None:
        super().__init__()
        self._feed = feed
        self._pacer = pacer
        self._resampler = Resampler(SAMPLE_RATE, WIRE_SAMPLE_RATE)
        self._ready = np.zeros(0, np.float32)
        self._pts: int | None = None  # of self._ready[0], at 48 kHz

    async def recv(self) -> av.AudioFrame:
        """The next 20 ms, when they are due. Raises MediaStreamError at the end."""
        while len(self._ready) < PACKET:
            try:
                chunk = await self._feed.audio()
            except FeedClosed:
                self.stop()
                raise MediaStreamError from None
            ratio = WIRE_SAMPLE_RATE // SAMPLE_RATE
            if self._pts is None:
                self._pts = chunk.pts * ratio
            self._ready = np.concatenate([self._ready, self._resampler.push(chunk.samples)])
        assert self._pts is not None
        pts, self._pts = self._pts, self._pts + PACKET
        samples, self._ready = self._ready[:PACKET], self._ready[PACKET:]
        wait = self._pacer.audio_wait(pts * SAMPLE_RATE // WIRE_SAMPLE_RATE, time.monotonic())
        if wait > 0:
            await asyncio.sleep(wait)
        pcm = np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        packet = av.AudioFrame.from_ndarray(pcm[None, :], format="s16", layout="mono")
        packet.sample_rate = WIRE_SAMPLE_RATE
        packet.pts = pts
        packet.time_base = AUDIO_BASE
        return packet
