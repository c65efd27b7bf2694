"""Frames, and the sound they were made from, as an MP4 to look at."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from core import F32, FPS, SAMPLE_RATE, U8, WIRE_SAMPLE_RATE
from engines.resample import resample


def write_film(path: Path, frames: Iterable[U8], samples: F32 | None = None) -> int:
    """Write H.264 (4:2:0, 25 frames a second) and, with sound, AAC; both begin at 0.

    Args:
        path: The file.
        frames: uint8 RGB ``[H, W, 3]``, all of one, even, size.
        samples: float32 ``[N]``, 16 kHz mono.

    Returns:
        The number of frames.
    """
    count = 0
    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        stream: VideoStream | None = None
        sound: AudioStream | None = None
        if samples is not None:
            sound = container.add_stream(
                "aac", rate=WIRE_SAMPLE_RATE, layout="mono", bit_rate=128_000
            )
        for pixels in frames:
            if stream is None:
                stream = container.add_stream("libx264", rate=FPS, options={"crf": "18"})
                stream.height, stream.width = pixels.shape[:2]
                stream.pix_fmt = "yuv420p"
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = count, Fraction(1, FPS)
            container.mux(stream.encode(frame))
            count += 1
        if stream is not None:
            container.mux(stream.encode())
        if sound is not None and samples is not None:
            _write_sound(container, sound, samples)
    return count


def _write_sound(
    container: av.container.OutputContainer, stream: AudioStream, samples: F32
) -> None:
    rate = WIRE_SAMPLE_RATE
    wide = resample(samples, SAMPLE_RATE, rate)
    for at in range(0, len(wide), rate):
        frame = av.AudioFrame.from_ndarray(wide[None, at : at + rate], "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())
