"""Sound files: what is read, what is refused and why. The files are made here."""

from __future__ import annotations

import io
import struct
import wave
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import F32, SAMPLE_RATE
from engines.audio_file import AudioRejected, decode_audio

CODED = [
    ("wav", "pcm_u8"), ("wav", "pcm_s16le"), ("wav", "pcm_s24le"), ("wav", "pcm_s32le"),
    ("wav", "pcm_f32le"), ("wav", "pcm_f64le"), ("flac", "flac"), ("mp3", "libmp3lame"),
    ("ogg", "libopus"), ("ipod", "aac"), ("adts", "aac"), ("webm", "libopus"),
    ("aiff", "pcm_s16be"), ("wav", "adpcm_ms"),
]  # fmt: skip
TOLD_IF_CUT = [c for c in CODED if c[0] in ("wav", "flac", "mp3", "ogg", "webm", "aiff")]


def tone(rate: int, seconds: float = 1.5) -> F32:
    t = np.arange(round(rate * seconds)) / rate
    return np.asarray(0.4 * np.sin(2 * np.pi * 220 * t), np.float32)


def encoded(
    form: str, codec: str, rate: int = 48_000, layout: str = "mono", sound: F32 | None = None
) -> bytes:
    """``sound`` (float32 ``[N]``, in every channel) as a file."""
    file = io.BytesIO()
    sound = tone(rate) if sound is None else sound
    with av.open(file, "w", format=form) as container:
        stream: Any = container.add_stream(codec, rate=rate, layout=layout)
        context = stream.codec_context
        planes = np.tile(sound, (len(context.layout.channels), 1))
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
        frame.sample_rate = rate
        fitted = av.AudioResampler(context.format, layout, rate, context.frame_size or None)
        for part in [*fitted.resample(frame), *fitted.resample(None), None]:
            for packet in stream.encode(part):
                container.mux(packet)
    return file.getvalue()


def raw_wav(samples: bytes, *, rate: int, bits: int, tag: int = 1, channels: int = 1) -> bytes:
    """A WAV file with a header of our own making."""
    size = channels * bits // 8
    form = struct.pack("<HHIIHH", tag, channels, rate, rate * size, size, bits)
    chunks = b"WAVEfmt " + struct.pack("<I", 16) + form
    chunks += b"data" + struct.pack("<I", len(samples)) + samples
    return b"RIFF" + struct.pack("<I", len(chunks)) + chunks


@pytest.mark.parametrize("layout", ["mono", "stereo"])
@pytest.mark.parametrize(("form", "codec"), CODED)
def test_every_format_sounds_as_it_should(form: str, codec: str, layout: str) -> None:
    recording = decode_audio(encoded(form, codec, layout=layout), limit=10)
    assert recording.warnings == ()
    assert recording.seconds == pytest.approx(1.5, abs=0.06)
    assert recording.samples.dtype == np.float32
    middle = recording.samples[4_000:20_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert spectrum.argmax() == pytest.approx(220, abs=2)  # one second: a bin a hertz
    assert np.abs(middle).max() == pytest.approx(0.4, abs=0.05)  # two channels are not louder


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 22_050, 44_100, 96_000, 192_000])
def test_any_rate(rate: int) -> None:
    recording = decode_audio(encoded("wav", "pcm_s24le", rate), limit=10)
    wanted = tone(SAMPLE_RATE)
    assert len(recording.samples) == pytest.approx(len(wanted), abs=2)
    middle = slice(1_000, -1_000)
    assert recording.samples[: len(wanted)][middle] == pytest.approx(wanted[middle], abs=0.01)


@pytest.mark.parametrize(("form", "codec"), TOLD_IF_CUT)
def test_a_file_cut_off_plays_what_is_there_and_says_so(form: str, codec: str) -> None:
    data = encoded(form, codec, sound=tone(48_000, 4.0))
    recording = decode_audio(data[: len(data) * 6 // 10], limit=10)
    assert 0.5 < recording.seconds < 3.2
    assert len(recording.warnings) == 1 and "ends early" in recording.warnings[0]


def test_a_movie_without_its_index_is_refused() -> None:
    data = encoded("ipod", "aac")
    with pytest.raises(AudioRejected, match="cut off") as caught:
        decode_audio(data[: len(data) // 2], limit=10)
    assert caught.value.facts["reason"] == "not-audio"


def test_an_odd_byte_at_the_end_is_no_sample() -> None:
    data = encoded("wav", "pcm_s16le", SAMPLE_RATE)
    assert len(decode_audio(data[:-1001], limit=10).samples) == 24_000 - 501


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_streamed_wav_file_that_does_not_know_its_length_is_whole(size: int) -> None:
    data = bytearray(encoded("wav", "pcm_s16le", SAMPLE_RATE))
    at = data.index(b"data") + 4
    data[4:8] = data[at : at + 4] = struct.pack("<I", size)
    recording = decode_audio(bytes(data), limit=10)
    assert (len(recording.samples), recording.warnings) == (24_000, ())


def test_an_offset_is_taken_off_and_told() -> None:
    data = encoded("wav", "pcm_s16le", SAMPLE_RATE, sound=tone(SAMPLE_RATE) + np.float32(0.25))
    recording = decode_audio(data, limit=10)
    assert abs(float(recording.samples.mean())) < 1e-4
    assert "offset of +0.250" in recording.warnings[0]


def test_a_clipped_file_stays_within_bounds() -> None:
    loud = np.asarray(5 * tone(SAMPLE_RATE), "<f4").tobytes()
    recording = decode_audio(raw_wav(loud, rate=SAMPLE_RATE, bits=32, tag=3), limit=10)
    assert np.abs(recording.samples).max() == 1.0


def silence(level: float = 0.0) -> bytes:
    return encoded("wav", "pcm_f32le", sound=np.full(48_000, level, np.float32))


def not_a_number(what: float) -> bytes:
    samples = tone(48_000).astype("<f4")
    samples[30_000] = what
    return raw_wav(samples.tobytes(), rate=48_000, bits=32, tag=3)


def only_pictures() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream: Any = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        for part in (picture, None):
            for packet in stream.encode(part):
                container.mux(packet)
    return file.getvalue()


PLAYLIST = b"#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n"
REFUSED = [
    (b"", "empty"),
    (b"hello", "not-audio"),
    (b"\xff\xd8\xff\xe0" + bytes(200), "not-audio"),
    (b"\x89PNG\r\n\x1a\n" + bytes(200), "not-audio"),
    (PLAYLIST, "not-audio"),
    (b"ffconcat version 1.0\nfile /etc/passwd\n", "not-audio"),
    (b"RIFF", "not-audio"),
    (b"RIFF\x24\x00\x00\x00WAVE", "not-audio"),
    (b"fLaC" + bytes(50), "not-audio"),
    (b"OggS" + bytes(50), "not-audio"),
    (b"ID3\x04" + bytes(50), "not-audio"),
    (b"\x00\x00\x00\x18ftypM4A " + bytes(50), "not-audio"),
    (silence(), "silent"),
    (silence(0.3), "silent"),
    (not_a_number(np.nan), "not-a-number"),
    (not_a_number(np.inf), "not-a-number"),
    (encoded("wav", "pcm_s16le", sound=tone(48_000, 2.2)), "too-long"),
    (raw_wav(b"", rate=16_000, bits=16), "no-sound"),
    (only_pictures(), "no-sound"),
    (raw_wav(bytes(8_000), rate=1, bits=16), "rate"),
    (raw_wav(bytes(8_000), rate=2**30, bits=16), "rate"),
]


@pytest.mark.parametrize(("data", "reason"), REFUSED)
def test_what_can_not_be_spoken_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(AudioRejected) as caught:
        decode_audio(data, limit=2)
    assert caught.value.facts["reason"] == reason


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from([("wav", "pcm_s16le"), ("flac", "flac"), ("mp3", "libmp3lame")]),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=30),
    st.floats(0, 1),
)
def test_damage_is_survived_or_refused(
    coded: tuple[str, str], hits: list[tuple[float, int]], kept: float
) -> None:
    data = bytearray(encoded(*coded, sound=tone(48_000, 0.3)))
    for where, value in hits:
        data[round(where * (len(data) - 1))] = value
    try:
        recording = decode_audio(bytes(data[: round(kept * len(data))]), limit=60)
    except AudioRejected:
        return
    assert np.isfinite(recording.samples).all()
    assert 0 < np.abs(recording.samples).max() <= 1.0


def test_the_standard_library_s_own_files_are_read() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(3)
        out.setframerate(44_100)
        values = np.asarray(tone(44_100) * (2**23 - 1), "<i4")
        stereo = np.repeat(values[:, None], 2, axis=1)
        out.writeframes(stereo.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    recording = decode_audio(file.getvalue(), limit=10)
    assert len(recording.samples) == pytest.approx(24_000, abs=2)
    assert np.abs(recording.samples).max() == pytest.approx(0.4, abs=0.01)
