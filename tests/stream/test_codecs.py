"""Encoders: what goes in comes out of a decoder, at the rate asked for, with keys on demand."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from aiortc.codecs import get_decoder
from aiortc.codecs.h264 import h264_depayload
from aiortc.codecs.vpx import VpxPayloadDescriptor, vp8_depayload
from aiortc.jitterbuffer import JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters

from stream.codecs import Bits, Opus, Vp8, video_encoder, vp8_payload
from stream.settings import StreamSettings

BOTH = pytest.mark.parametrize("kind", ["video/VP8", "video/H264"])


def codec(kind: str) -> RTCRtpCodecParameters:
    return RTCRtpCodecParameters(mimeType=kind, clockRate=90_000, payloadType=96)


def picture(k: int, size: int = 128, noise: int = 0) -> av.VideoFrame:
    """A soft disc that moves over a gradient."""
    y, x = np.mgrid[:size, :size]
    disc = 120 * np.exp(-((x - size / 2 - 10 * np.sin(k / 5)) ** 2 + (y - size / 2) ** 2) / 400)
    rgb = np.stack([disc + 60, x * 120 / size, y * 120 / size], axis=-1)
    if noise:
        rgb = rgb + np.random.default_rng(k).integers(0, noise, rgb.shape)
    frame = av.VideoFrame.from_ndarray(rgb.clip(0, 255).astype(np.uint8), format="rgb24")
    yuv = frame.reformat(format="yuv420p")
    yuv.pts, yuv.time_base = 1_000_000 + k * 3600, Fraction(1, 90_000)
    return yuv


def payloads_of(bits: Bits, kind: str) -> list[bytes]:
    if kind == "video/H264":
        return list(bits.parts)
    return [vp8_payload(part, index == 0, 77) for index, part in enumerate(bits.parts)]


def stream_of(payloads: list[bytes], kind: str) -> bytes:
    depayload = vp8_depayload if kind == "video/VP8" else h264_depayload
    return b"".join(depayload(payload) for payload in payloads)


def is_key(data: bytes, kind: str) -> bool:
    if kind == "video/VP8":
        return not data[0] & 1  # RFC 6386 section 9.1
    return any(data[i : i + 3] == b"\0\0\1" and data[i + 3] & 31 == 5 for i in range(len(data) - 3))


@BOTH
def test_pictures_survive_and_key_frames_come_on_demand(kind: str) -> None:
    encoder = video_encoder(kind, StreamSettings())
    decoder = get_decoder(codec(kind))
    keys, errors = [], []
    for k in range(30):
        frame = picture(k)
        bits = encoder.encode(frame, k in (0, 17))
        payloads = payloads_of(bits, kind)
        assert max(map(len, payloads)) <= 1300  # fits into one UDP packet on any path
        data = stream_of(payloads, kind)
        assert is_key(data, kind) == bits.key
        if bits.key:
            keys.append(k)
        (seen,) = decoder.decode(JitterFrame(data, k * 3600))
        assert isinstance(seen, av.VideoFrame)
        wanted = frame.to_ndarray(format="rgb24").astype(float)
        errors.append(np.abs(seen.to_ndarray(format="rgb24") - wanted).mean())
    assert keys == [0, 17]
    assert max(errors[5:]) < 4


@BOTH
def test_the_bit_rate_goes_down_and_up_in_the_same_encoder_without_a_key_frame(kind: str) -> None:
    """aiortc opens a new encoder for each step of an estimate, which costs a key frame each."""
    settings = StreamSettings(bitrate=1_200_000, min_bitrate=100_000)
    encoder = video_encoder(kind, settings)
    opened, sizes = None, []
    for k in range(150):
        encoder.bitrate = 300_000 if 50 <= k < 100 else 1_200_000
        bits = encoder.encode(picture(k, 192, noise=60), k == 0)
        opened = opened or encoder._context
        assert encoder._context is opened and bits.key == (k == 0)
        sizes.append(bits.size)
    rates = [sum(sizes[at : at + 25]) for at in (25, 75, 125)]
    for rate, wanted in zip(rates, (1_200_000, 300_000, 1_200_000), strict=True):
        assert 0.65 * wanted < rate < 1.2 * wanted, rates


@BOTH
def test_a_storm_of_key_frames_keeps_the_bit_rate_bounded(kind: str) -> None:
    encoder = video_encoder(kind, StreamSettings(bitrate=600_000))
    sizes = [encoder.encode(picture(k, 192, noise=30), k % 13 == 0).size for k in range(100)]
    assert sum(sizes[25:]) / 3 < 1.3 * 600_000


@BOTH
def test_a_new_size_is_followed(kind: str) -> None:
    encoder, decoder = video_encoder(kind, StreamSettings()), get_decoder(codec(kind))
    for k, size in enumerate((128, 64)):
        bits = encoder.encode(picture(k, size), False)
        assert bits.key
        data = stream_of(payloads_of(bits, kind), kind)
        (seen,) = decoder.decode(JitterFrame(data, k * 3600))
        assert isinstance(seen, av.VideoFrame) and (seen.width, seen.height) == (size, size)


@pytest.mark.parametrize("number", [0, 1, 255, 256, (1 << 15) - 1])
def test_vp8_payloads_are_numbered_and_say_where_a_picture_begins(number: int) -> None:
    for first in (True, False):
        descriptor, rest = VpxPayloadDescriptor.parse(vp8_payload(b"abc", first, number))
        assert descriptor.picture_id == number and rest == b"abc"
        assert descriptor.partition_start == int(first) and descriptor.partition_id == 0


def test_an_unknown_codec_is_an_error() -> None:
    with pytest.raises(ValueError, match="AV1"):
        video_encoder("video/AV1", StreamSettings())


def test_an_encoder_that_was_never_told_keeps_the_usual_rate() -> None:
    assert Vp8(StreamSettings(bitrate=700_000)).bitrate == 700_000


def test_speech_survives_and_most_packets_repeat_the_one_before() -> None:
    opus = RTCRtpCodecParameters(
        mimeType="audio/opus", clockRate=48_000, channels=2, payloadType=96
    )
    encoder, decoder = Opus(), get_decoder(opus)
    time = np.arange(96_000) / 48_000
    voice = np.sin(2 * np.pi * 140 * time + 3 * np.sin(2 * np.pi * 5 * time))
    wave = (8000 * voice * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * time))).astype(np.int16)
    heard, size, repeated = [], 0, 0
    for k in range(100):
        frame = av.AudioFrame.from_ndarray(wave[None, 960 * k : 960 * k + 960], layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 777 + 960 * k, Fraction(1, 48_000)
        packet = encoder.encode(frame)
        size += len(packet)
        assert not packet[0] & 4, "mono (RFC 6716 section 3.1)"
        # SILK and hybrid frames begin with a bit for activity and one for a repetition (4.2.3).
        repeated += packet[0] >> 3 < 16 and bool(packet[1] & 0x40)
        for seen in decoder.decode(JitterFrame(packet, 777 + 960 * k)):
            assert isinstance(seen, av.AudioFrame)
            heard.append(seen.to_ndarray())
    samples = np.concatenate(heard, axis=1).ravel().astype(float)
    assert np.sqrt((samples[9600:] ** 2).mean()) == pytest.approx(
        np.sqrt((wave.astype(float) ** 2).mean()), rel=0.15
    )
    assert size * 8 / 2 < 60_000
    assert repeated > 50
