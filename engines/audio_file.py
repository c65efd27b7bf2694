"""A sound file that somebody sent → 16 kHz mono, or a clear reason why not.

Files come from strangers: the format is told from the first bytes and no other reader is tried
(playlists and the like could make FFmpeg open files and addresses here), and nothing is decoded
beyond a given length.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
from av.error import FFmpegError

from core import F32, SAMPLE_RATE, InvalidInput
from engines.resample import sanitise

FORMATS: Final = "WAV, FLAC, MP3, Ogg, Opus, M4A, AAC, WebM or AIFF"
RATES: Final = (4_000, 768_000)
"Hz. Below, one frame of a file could unfold to hundreds of MB."
OFFSET: Final = 1e-3
"A mean beyond this is a fault of the recording, and would be heard as a click at either end."
SILENT_PEAK: Final = 10 ** (-70 / 20)
LOST_SECONDS: Final = 0.1
"A file this much shorter than it says has lost its end; codecs round by less."
UNKNOWN_LENGTH: Final = 0x7FFF0000
"A WAV file whose header says more was streamed, and did not know its length."


class AudioRejected(InvalidInput):
    """Sound that can not be spoken: ``facts["reason"]`` says why."""

    code = "audio-rejected"


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """A whole file, decoded."""

    samples: F32
    "float32 ``[N]``, 16 kHz mono in [-1, 1], finite."
    warnings: tuple[str, ...] = ()
    "What was wrong with the file and did not keep it from being used, in words."

    @property
    def seconds(self) -> float:
        """How long it sounds."""
        return len(self.samples) / SAMPLE_RATE


def decode_audio(data: bytes, *, limit: float) -> Recording:
    """Decode a file's first sound track, its channels mixed. Blocks for some ms a second of sound.

    Args:
        data: The file.
        limit: Longest sound taken, seconds.

    Raises:
        AudioRejected: ``reason`` is one of ``empty``, ``not-audio``, ``no-sound``, ``rate``,
            ``too-long``, ``not-a-number`` and ``silent``.
    """
    if not data:
        raise AudioRejected(f"The file is empty. Send {FORMATS}.", reason="empty")
    kind = _kind(data)
    if kind is None:
        raise AudioRejected(f"This is not a sound file. Send {FORMATS}.", reason="not-audio")
    try:
        with av.open(io.BytesIO(data), format=kind) as container:
            sound, damaged, promised = _decode(container, limit)
    except FFmpegError as error:
        raise AudioRejected(
            f"The {kind.upper()} file is damaged or cut off, and no sound can be read from it: "
            f"{error.strerror}. Send it again, or export it anew.",
            reason="not-audio",
        ) from None
    seconds = len(sound) / SAMPLE_RATE
    warnings = []
    if damaged or _cut_off(kind, data, seconds, promised):
        warnings.append(f"The file is damaged or ends early: only {seconds:.1f} s of it play.")
    offset = float(sound.mean(dtype=np.float64))
    if abs(offset) > OFFSET:
        sound = sound - np.float32(offset)
        warnings.append(f"The file has a constant offset of {offset:+.3f}, which was taken off.")
    if np.abs(sound).max() < SILENT_PEAK:
        raise AudioRejected("The file holds nothing but silence.", reason="silent")
    return Recording(sanitise(sound), tuple(warnings))


def _kind(data: bytes) -> str | None:
    """FFmpeg's name of the file's format, from its first bytes."""
    head = data[:12]
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:] == b"WAVE":
        return "wav"
    if head[:4] == b"FORM" and head[8:] in (b"AIFF", b"AIFC"):
        return "aiff"
    if head[4:8] == b"ftyp":
        return "mp4"
    for magic, kind in (
        (b"fLaC", "flac"),
        (b"OggS", "ogg"),
        (b"\x1aE\xdf\xa3", "matroska"),
        (b"ID3", "mp3"),
    ):
        if head.startswith(magic):
            return kind
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:  # MPEG's frame sync
        return "aac" if head[1] & 0x06 == 0 else "mp3"  # layer 0 is ADTS
    return None


def _decode(container: Any, limit: float) -> tuple[F32, bool, float]:
    """The sound, whether some of it could not be decoded, and the seconds that were promised."""
    if not container.streams.audio:
        raise AudioRejected("The file has no sound track.", reason="no-sound")
    stream = container.streams.audio[0]
    parts: list[F32] = []
    count, damaged = 0, False
    for part in _resampled(_frames(container, stream)):
        if part is None:
            damaged = True
            continue
        if not np.isfinite(part).all():
            raise AudioRejected(
                "The file holds samples that are not numbers (NaN or infinity). Export it anew.",
                reason="not-a-number",
            )
        parts.append(part)
        count += len(part)
        if count > limit * SAMPLE_RATE:
            raise AudioRejected(
                f"The file is longer than {limit:g} s. Send it in parts.",
                reason="too-long",
                limit=limit,
            )
    if not count:
        raise AudioRejected(
            "The file's sound track is empty or can not be read.", reason="no-sound"
        )
    promised = 0.0
    if stream.duration is not None:
        promised = float(stream.duration * stream.time_base)
    elif container.duration is not None:
        promised = container.duration / 1e6
    return np.concatenate(parts), damaged, promised


def _frames(container: Any, stream: Any) -> Iterator[av.AudioFrame | None]:
    """All frames in order; None stands for what could not be decoded."""
    try:
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except FFmpegError:
                yield None
    except FFmpegError:
        yield None


def _resampled(frames: Iterator[av.AudioFrame | None]) -> Iterator[F32 | None]:
    """Frames of any kind, which may change on the way → runs of 16 kHz mono.

    libswresample turns two channels into one 3 dB louder where the samples are floating, so it is
    left the rate and the sample format, and the mean of the channels is taken here.
    """
    resampler: av.AudioResampler | None = None
    form: tuple[str, str, int] | None = None
    for frame in frames:
        if frame is None:
            yield None
            continue
        now = (frame.format.name, frame.layout.name, frame.sample_rate)
        if now != form:
            if not RATES[0] <= frame.sample_rate <= RATES[1]:
                raise AudioRejected(
                    f"A sample rate of {frame.sample_rate} Hz is not supported:"
                    f" use {RATES[0]} to {RATES[1]} Hz.",
                    reason="rate",
                )
            yield from _pieces(resampler, None)
            resampler = av.AudioResampler("fltp", frame.layout, SAMPLE_RATE)
            form = now
        yield from _pieces(resampler, frame)
    yield from _pieces(resampler, None)


def _pieces(resampler: av.AudioResampler | None, frame: av.AudioFrame | None) -> Iterator[F32]:
    """What ``frame`` settles, or with None, what is left."""
    for piece in resampler.resample(frame) if resampler else ():
        planes: Any = piece.to_ndarray()
        yield planes.mean(axis=0, dtype=np.float32)


def _cut_off(kind: str, data: bytes, seconds: float, promised: float) -> bool:
    """Whether the file's end is missing, as far as its format can tell.

    Source: RFC 3533 section 6 (Ogg's flag of the last page).
    """
    if kind == "wav":
        size = int.from_bytes(data[4:8], "little" if data[:4] == b"RIFF" else "big")
        return data[:4] != b"RF64" and len(data) + 1 < 8 + size < UNKNOWN_LENGTH
    if kind == "ogg":
        page = data[data.rfind(b"OggS") :]
        table = page[27 : 27 + page[26]] if len(page) > 26 else b""
        whole = 27 + len(table) + sum(table) <= len(page)
        return not (whole and page[5] & 0x04)
    counted = kind != "mp3" or b"Xing" in data[:4_096] or b"Info" in data[:4_096]
    return kind != "aac" and counted and promised - seconds > LOST_SECONDS
