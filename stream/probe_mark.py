"""What the probe burns into a stream: the frame's number, and once a second a flash and a beep.

The number is the frame's media time, so whoever reads it from a decoded picture knows which moment
it shows, whatever the timestamps around it say. It is 24 bits and a check sum, in squares of a
thirty-second of the picture: large enough to survive VP8 at 200 kbit/s. The beep begins with the
sample that the flash's picture begins with.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from core import F32, FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, U8, AudioChunk, VideoFrame

ROWS, COLUMNS = 4, 8
ID_BITS: Final = 24
"Frames: 186 hours."
FLASH: Final = 4
"Side of the patch that flashes, squares."
BEEP_HZ: Final = 2000
BEEP_SECONDS: Final = 0.010
LOUD: Final = 0.5


def unit(height: int) -> int:
    """Side of a square, pixels, in a picture of that height."""
    return max(2, height // 32)


def overlay(
    audio: AudioChunk | None, video: VideoFrame | None
) -> tuple[AudioChunk | None, VideoFrame | None]:
    """What leaves a session, marked. Neither is changed in place."""
    if video is not None:
        frame = video.pts // SAMPLES_PER_FRAME
        video = VideoFrame(marked(video.pixels, frame), video.pts)
    if audio is not None and not audio.pts % SAMPLE_RATE:
        samples = audio.samples.copy()
        tone = beep(SAMPLE_RATE)
        samples[: len(tone)] = np.clip(samples[: len(tone)] + tone, -1, 1)
        audio = AudioChunk(samples, audio.pts)
    return audio, video


def marked(pixels: U8, frame: int) -> U8:
    """A copy of a uint8 ``[H, W, 3]`` picture with its number, and the flash once a second."""
    out = pixels.copy()
    u = unit(len(out))
    out[: (ROWS + 2) * u, : (COLUMNS + FLASH + 3) * u] = 0
    squares = np.where(bits(frame).reshape(ROWS, COLUMNS), 255, 0).astype(np.uint8)
    grid = squares.repeat(u, 0).repeat(u, 1)
    out[u : (ROWS + 1) * u, u : (COLUMNS + 1) * u] = grid[:, :, None]
    if not frame % FPS:
        left = (COLUMNS + 2) * u
        out[u : (FLASH + 1) * u, left : left + FLASH * u] = 255
    return out


def beep(rate: int) -> F32:
    """The sound of a second's start at ``rate`` Hz, float32: a tone that swells and fades."""
    count = round(BEEP_SECONDS * rate)
    t = np.arange(count) / rate
    swell = np.sin(np.pi * np.arange(count) / count) ** 2
    return np.asarray(LOUD * swell * np.sin(2 * np.pi * BEEP_HZ * t), np.float32)


def bits(frame: int) -> U8:
    """Number and check sum, uint8 ``[32]`` of 0 and 1, most significant first."""
    whole = frame % (1 << ID_BITS)
    word = whole << 8 | crc8(whole.to_bytes(ID_BITS // 8, "big"))
    return np.array([word >> i & 1 for i in reversed(range(ROWS * COLUMNS))], np.uint8)


def crc8(data: bytes) -> int:
    """CRC-8 with polynomial x⁸ + x² + x + 1, complemented so that plain black is no number."""
    value = 0
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = (value << 1 ^ 0x07) & 0xFF if value & 0x80 else value << 1
    return value ^ 0xFF
