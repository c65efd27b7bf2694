"""Encoders: what goes in comes out of a decoder, at the size asked for, with keys on demand."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc.codecs import get_decoder
from aiortc.codecs.h264 import h264_depayload
from aiortc.codecs.vpx import vp8_depayload
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from stream.codecs import H264, SETTLE_DOWN, SETTLE_UP, Rate, Vp8, encoder_for
from stream.settings import StreamSettings


def codec(kind: str) -> RTCRtpCodecParameters:
    return RTCRtpCodecParameters(mimeType=kind, clockRate=90_000, payloadType=96)


def picture(k: int, size: int = 128) -> av.VideoFrame:
    """A soft disc that moves over a gradient."""
    y, x = np.mgrid[:size, :size]
    disc = 120 * np.exp(-((x - size / 2 - 10 * np.sin(k / 5)) ** 2 + (y - size / 2) ** 2) / 400)
    rgb = np.stack([disc + 60, x * 150 / size, y * 150 / size], axis=-1).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
    frame.pts, frame.time_base = 1_000_000 + k * 3600, Fraction(1, 90_000)
    return frame


def stream_of(payloads: list[bytes], kind: str) -> bytes:
    depayload = vp8_depayload if kind == "video/VP8" else h264_depayload
    return b"".join(depayload(payload) for payload in payloads)


def is_key(data: bytes, kind: str) -> bool:
    if kind == "video/VP8":
        return not data[0] & 1  # RFC 6386 section 9.1
    return any(data[i : i + 3] == b"\0\0\1" and data[i + 3] & 31 == 5 for i in range(len(data) - 3))


@pytest.mark.parametrize("kind", ["video/VP8", "video/H264"])
def test_pictures_survive_and_key_frames_come_on_demand(kind: str) -> None:
    encoder = encoder_for(codec(kind), StreamSettings())
    decoder = get_decoder(codec(kind))
    keys, errors = [], []
    for k in range(30):
        frame = picture(k)
        payloads, timestamp = encoder.encode(frame, k in (0, 17))
        assert timestamp == 1_000_000 + k * 3600
        assert max(map(len, payloads)) <= 1300  # fits into one UDP packet on any path
        data = stream_of(payloads, kind)
        if is_key(data, kind):
            keys.append(k)
        (seen,) = decoder.decode(JitterFrame(data, timestamp))
        assert isinstance(seen, av.VideoFrame)
        wanted = frame.to_ndarray(format="rgb24").astype(float)
        errors.append(np.abs(seen.to_ndarray(format="rgb24") - wanted).mean())
    assert keys == [0, 17]
    assert max(errors[5:]) < 4


@pytest.mark.parametrize("make", [Vp8, H264])
def test_the_bit_rate_is_kept(make: type[Vp8] | type[H264]) -> None:
    rng = np.random.default_rng(0)
    encoder = make(StreamSettings(bitrate=400_000, min_bitrate=100_000))
    sent = 0
    for k in range(75):
        smooth = picture(k, 256).to_ndarray(format="rgb24") // 2
        noisy = (smooth + rng.integers(0, 60, smooth.shape)).astype(np.uint8)
        frame = av.VideoFrame.from_ndarray(noisy, format="rgb24")
        frame.pts, frame.time_base = k * 3600, Fraction(1, 90_000)
        payloads, _ = encoder.encode(frame, k == 0)
        sent += 8 * sum(map(len, payloads)) if k >= 25 else 0
    assert 200_000 < sent / 2 < 600_000


def test_a_new_size_is_followed() -> None:
    encoder, decoder = Vp8(StreamSettings()), get_decoder(codec("video/VP8"))
    for k, size in enumerate((128, 64)):
        payloads, at = encoder.encode(picture(k, size))
        (seen,) = decoder.decode(JitterFrame(stream_of(payloads, "video/VP8"), at))
        assert isinstance(seen, av.VideoFrame) and (seen.width, seen.height) == (size, size)


def test_speech_survives_and_keeps_its_time() -> None:
    opus = RTCRtpCodecParameters(
        mimeType="audio/opus", clockRate=48_000, channels=2, payloadType=96
    )
    encoder, decoder = encoder_for(opus, StreamSettings()), get_decoder(opus)
    wave = (8000 * np.sin(2 * np.pi * 300 * np.arange(48_000) / 48_000)).astype(np.int16)
    heard, size = [], 0
    for k in range(50):
        frame = av.AudioFrame.from_ndarray(wave[None, 960 * k : 960 * k + 960], layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 777 + 960 * k, Fraction(1, 48_000)
        (packet,), timestamp = encoder.encode(frame)
        assert timestamp == 777 + 960 * k
        size += len(packet)
        for seen in decoder.decode(JitterFrame(packet, timestamp)):
            assert isinstance(seen, av.AudioFrame)
            heard.append(seen.to_ndarray())
    samples = np.concatenate(heard, axis=1).ravel().astype(float)
    assert np.sqrt((samples[9600:] ** 2).mean()) == pytest.approx(8000 / np.sqrt(2), rel=0.1)
    assert size * 8 < 60_000


def test_a_rate_changes_seldom_and_sooner_down_than_up() -> None:
    rate = Rate(StreamSettings(bitrate=1_000_000, max_bitrate=2_000_000), now=0.0)
    rate.ask(1_100_000)
    assert not rate.due(1000.0)  # not worth a key frame
    rate.ask(500_000)
    assert not rate.due(SETTLE_DOWN - 0.1)
    assert rate.due(SETTLE_DOWN) and rate.used == 500_000
    assert not rate.due(SETTLE_DOWN + 0.1)
    rate.ask(99_000_000)
    assert not rate.due(SETTLE_DOWN + SETTLE_UP - 0.1)
    assert rate.due(SETTLE_DOWN + SETTLE_UP) and rate.used == 2_000_000
