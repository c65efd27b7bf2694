"""Tracks: `recv()` takes from the session's feed, converts, waits until it is due."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction
from typing import Final

import av
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from core import F32, SAMPLE_RATE, VIDEO_CLOCK, WIRE_SAMPLE_RATE, AudioChunk
from engines.resample import Resampler
from runtime.media import FeedClosed, MediaFeed
from stream.pacer import Pacer

VIDEO_BASE: Final = Fraction(1, VIDEO_CLOCK)
AUDIO_BASE: Final = Fraction(1, WIRE_SAMPLE_RATE)
RATIO: Final = WIRE_SAMPLE_RATE // SAMPLE_RATE
PACKET: Final = WIRE_SAMPLE_RATE // 50
"Samples in one 20 ms Opus frame."


class VideoTrack(MediaStreamTrack):
    """The picture. Late frames are skipped, so a stall is never followed by a burst."""

    kind = "video"

    def __init__(self, feed: MediaFeed, pacer: Pacer) -> None:
        super().__init__()
        self._feed = feed
        self._pacer = pacer

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
                continue
            leaves = time.monotonic() + wait
            picture = av.VideoFrame.from_ndarray(frame.pixels, format="rgb24")  # 0.1 ms at 512
            picture.pts = frame.pts * VIDEO_CLOCK // SAMPLE_RATE
            picture.time_base = VIDEO_BASE
            await asyncio.sleep(leaves - time.monotonic())
            return picture


class AudioTrack(MediaStreamTrack):
    """The voice, in 20 ms packets at 48 kHz.

    Timestamps are those of the media, also over a gap: sound that was never taken (a viewer that
    stalled) leaves a gap on the wire too, instead of shifting all that follows against the picture.
    """

    kind = "audio"

    def __init__(self, feed: MediaFeed, pacer: Pacer) -> None:
        super().__init__()
        self._feed = feed
        self._pacer = pacer
        self._resampler = Resampler(SAMPLE_RATE, WIRE_SAMPLE_RATE)
        self._expected: int | None = None  # pts of the next chunk
        self._ready: F32 = np.zeros(0, np.float32)
        self._pts = 0  # of self._ready[0], at 48 kHz

    async def recv(self) -> av.AudioFrame:
        """The next 20 ms, when they are due. Raises MediaStreamError at the end."""
        while True:
            while len(self._ready) < PACKET:
                await self._more()
            pts, samples = self._pts, self._ready[:PACKET]
            self._pts, self._ready = pts + PACKET, self._ready[PACKET:]
            wait = self._pacer.audio_wait(pts // RATIO, time.monotonic())
            if wait is not None:
                break
        await asyncio.sleep(wait)
        pcm = np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        packet = av.AudioFrame.from_ndarray(pcm[None, :], format="s16", layout="mono")
        packet.sample_rate = WIRE_SAMPLE_RATE
        packet.pts = pts
        packet.time_base = AUDIO_BASE
        return packet

    async def _more(self) -> None:
        try:
            chunk = await self._feed.audio()
        except FeedClosed:
            self.stop()
            raise MediaStreamError from None
        if chunk.pts != self._expected:
            self._restart(chunk)
        self._expected = chunk.end
        self._ready = np.concatenate([self._ready, self._resampler.push(chunk.samples)])

    def _restart(self, chunk: AudioChunk) -> None:
        self._resampler = Resampler(SAMPLE_RATE, WIRE_SAMPLE_RATE)
        self._ready = self._ready[:0]
        self._pts = chunk.pts * RATIO
