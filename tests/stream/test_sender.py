"""The sender: reports follow the media clock, key frames come on demand but not in storms."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest
from aiortc import MediaStreamTrack
from aiortc.codecs.base import Encoder
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpparameters import (
    RTCRtcpParameters,
    RTCRtpCodecParameters,
    RTCRtpSendParameters,
)
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpSrPacket,
    RtpPacket,
    pack_remb_fci,
)

import stream.sender
from core import SAMPLES_PER_FRAME, VIDEO_CLOCK, WIRE_SAMPLE_RATE, AudioChunk, VideoFrame
from runtime.media import MediaHub
from stream.pacer import NTP_UNIX, Pacer
from stream.sender import KEY_GAP, MediaSender
from stream.settings import StreamSettings
from stream.tracks import AudioTrack, VideoTrack

VP8 = RTCRtpCodecParameters(mimeType="video/VP8", clockRate=VIDEO_CLOCK, payloadType=96)
OPUS = RTCRtpCodecParameters(
    mimeType="audio/opus", clockRate=WIRE_SAMPLE_RATE, channels=2, payloadType=97
)


class Wire:
    """A transport that keeps what is sent: RTP timestamps in order, and the sender reports."""

    state = "connected"

    def __init__(self) -> None:
        self.timestamps: list[int] = []
        self.reports: list[RtcpSrPacket] = []
        self.reported = asyncio.Event()

    def _register_rtp_sender(self, sender: Any, parameters: Any) -> None: ...

    def _unregister_rtp_sender(self, sender: Any) -> None: ...

    async def _send_rtp(self, data: bytes) -> None:
        if 200 <= data[1] <= 206:
            self.reports += [p for p in RtcpPacket.parse(data) if isinstance(p, RtcpSrPacket)]
            if self.reports:
                self.reported.set()
            return
        timestamp = RtpPacket.parse(data).timestamp
        if timestamp not in self.timestamps[-1:]:
            self.timestamps.append(timestamp)

    def presented(self, index: int, rate: int) -> float:
        """NTP seconds at which a receiver takes packet ``index`` to belong."""
        info = self.reports[-1].sender_info
        ticks = (self.timestamps[index] - info.rtp_timestamp + (1 << 31)) % (1 << 32) - (1 << 31)
        return info.ntp_timestamp / (1 << 32) + ticks / rate


@asynccontextmanager
async def sending(
    track: MediaStreamTrack, codec: RTCRtpCodecParameters, pacer: Pacer
) -> AsyncIterator[tuple[MediaSender, Wire]]:
    wire = Wire()
    with ThreadPoolExecutor(1) as pool:
        sender = MediaSender(track, wire, pacer=pacer, pool=pool, settings=StreamSettings())
        parameters = RTCRtpSendParameters(codecs=[codec], rtcp=RTCRtcpParameters(cname="test"))
        await sender.send(parameters)
        try:
            yield sender, wire
        finally:
            await sender.stop()


def moment(k: int) -> tuple[AudioChunk, VideoFrame]:
    pts = k * SAMPLES_PER_FRAME
    pixels = np.full((64, 64, 3), k % 256, np.uint8)
    return AudioChunk(np.zeros(SAMPLES_PER_FRAME, np.float32), pts), VideoFrame(pixels, pts)


async def test_lips_and_voice_map_to_one_clock_however_late_the_picture_starts() -> None:
    """A receiver aligns tracks by sender reports; a late first frame must not shift them."""
    hub = MediaHub()
    epoch = time.monotonic() + 0.02
    pacer = Pacer(lambda: epoch, wall=time.time(), now=time.monotonic())
    late = 10  # frames without a picture
    async with (
        hub.watch() as feed,
        sending(AudioTrack(feed, pacer), OPUS, pacer) as (_, sound),
        sending(VideoTrack(feed, pacer), VP8, pacer) as (_, picture),
    ):
        for k in range(40):
            chunk, frame = moment(k)
            hub.publish(chunk, frame if k >= late else None)
            await asyncio.sleep(max(0.0, epoch + k * 0.04 - 0.02 - time.monotonic()))
        async with asyncio.timeout(2):
            await sound.reported.wait()
            await picture.reported.wait()
    heard = sound.presented(0, WIRE_SAMPLE_RATE)
    seen = picture.presented(0, VIDEO_CLOCK)
    assert seen - heard == pytest.approx(late * 0.04, abs=1e-3)
    began = time.time() - (time.monotonic() - epoch)
    assert heard - NTP_UNIX == pytest.approx(began, abs=0.05)
    steps = np.diff(picture.timestamps) % (1 << 32)
    assert (steps % 3600 == 0).all() and np.median(steps) == 3600
    assert set(np.diff(sound.timestamps) % (1 << 32)) == {960}


class Steady(MediaStreamTrack):
    """A picture every 20 ms, ``count`` of them."""

    kind = "video"

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count

    async def recv(self) -> av.VideoFrame:
        if not self.left:
            raise MediaStreamError
        self.left -= 1
        await asyncio.sleep(0.02)
        frame = av.VideoFrame(16, 16, "yuv420p")
        frame.pts, frame.time_base = self.left * 1800, Fraction(1, VIDEO_CLOCK)
        return frame


class Noting(Encoder):
    """Encodes nothing and notes when a key frame was asked for."""

    target_bitrate = 1

    def __init__(self) -> None:
        self.keys: list[float] = []

    def encode(self, frame: Any, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        if force_keyframe:
            self.keys.append(time.monotonic())
        return [b"x"], frame.pts

    def pack(self, packet: Any) -> tuple[list[bytes], int]:
        raise NotImplementedError


async def test_a_storm_of_picture_losses_gives_two_key_frames_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = Noting()
    monkeypatch.setattr(stream.sender, "encoder_for", lambda codec, settings: encoder)
    now = time.monotonic()
    pacer = Pacer(lambda: now, wall=time.time(), now=now)
    track = Steady(80)
    async with sending(track, VP8, pacer) as (sender, _):
        while track.left:
            sender._send_keyframe()
            await asyncio.sleep(0.01)
    assert len(encoder.keys) >= 3  # the first frame is one, and the requests are not lost
    gaps = np.diff(encoder.keys)
    assert gaps.min() >= KEY_GAP - 0.005 and gaps.max() < KEY_GAP + 0.2


async def test_the_receiver_s_bit_rate_reaches_the_encoder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    encoder = Noting()
    monkeypatch.setattr(stream.sender, "encoder_for", lambda codec, settings: encoder)
    now = time.monotonic()
    pacer = Pacer(lambda: now, wall=time.time(), now=now)
    async with sending(Steady(5), VP8, pacer) as (sender, wire):
        while not wire.timestamps:  # noqa: ASYNC110 - polled from outside
            await asyncio.sleep(0.01)
        fci = pack_remb_fci(640_000, [sender._ssrc])
        remb = RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=0, fci=fci)
        await sender._handle_rtcp_packet(remb)
    assert encoder.target_bitrate == 640_000
