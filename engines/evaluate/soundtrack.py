"""The sound of a span of a video, on the clock of its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.error import FFmpegError

from core import F32, SAMPLE_RATE
from engines.evaluate.video import SAFE, SEEK_FROM
from engines.resample import MAX_RATE, MIN_RATE, resample, sanitise

MARGIN: Final = 0.05
"Seconds decoded around the span: what a filter or a codec needs to start."
SLACK: Final = 0.02
"Seconds by which time stamps may jitter before they count as a gap."
ODD_RATE: Final = 48_000
"Hz that sound of a rate beyond our own resampler is brought to first."


def soundtrack(path: Path, start: float, seconds: float) -> F32 | None:
    """The first sound track between two times of the file's own clock.

    Args:
        path: A file whose sound may be missing, damaged, or shorter than its pictures.
        start: Seconds on the clock of the file's time stamps.
        seconds: Length of the span.

    Returns:
        float32 ``[round(16,000 × seconds)]``, 16 kHz mono in [-1, 1], silence where there is no
        sound; None where there is none at all.
    """
    first, total = start - MARGIN, seconds + 2 * MARGIN
    out: F32 | None = None
    rate = 0
    at = 0
    for time, now, piece in _pieces(path, first, first + total):
        if out is None:
            rate = now
            out = np.zeros(round(total * rate), np.float32)
        if now != rate:  # a track that changes its rate half-way: what came before is kept
            break
        place = round((time - first) * rate)
        if abs(place - at) > SLACK * rate:
            at = place
        low, high = max(at, 0), min(at + len(piece), len(out))
        if low < high:
            out[low:high] = piece[low - at : high - at]
        at += len(piece)
    if out is None:
        return None
    sound = sanitise(resample(sanitise(out), rate, SAMPLE_RATE))
    skip, count = round(MARGIN * SAMPLE_RATE), round(seconds * SAMPLE_RATE)
    return np.ascontiguousarray(sound[skip : skip + count])


def _pieces(path: Path, first: float, last: float) -> Iterator[tuple[float, int, F32]]:
    """Time, rate and mono samples of each decoded frame that touches the span."""
    try:
        with av.open(str(path), options=SAFE) as container:
            if not container.streams.audio:
                return
            stream = container.streams.audio[0]
            if first > SEEK_FROM:
                container.seek(int(1e6 * (first - 1)))
            to_float: av.AudioResampler | None = None
            form: tuple[str, str, int] | None = None
            for frame in _frames(container, stream):
                if frame.time is None:
                    continue
                if frame.time > last:
                    return
                now = (frame.format.name, frame.layout.name, frame.sample_rate)
                rate = now[2] if MIN_RATE <= now[2] <= MAX_RATE else ODD_RATE
                if now != form:
                    to_float, form = av.AudioResampler("fltp", frame.layout, rate), now
                assert to_float is not None
                time = frame.time
                for part in to_float.resample(frame):
                    # The mean is ours: FFmpeg's mix makes equal channels 3 dB louder.
                    samples = part.to_ndarray().mean(axis=0, dtype=np.float32)
                    yield time, rate, samples
                    time += len(samples) / rate
    except (FFmpegError, OSError, ValueError):  # damaged sound is no sound from there on
        return


def _frames(container: Any, stream: Any) -> Iterator[av.AudioFrame]:
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except FFmpegError:
            continue
