"""What the augmentations share: levels, mixing at a ratio, convolution, equalising.

Nothing here moves sound in time: label times stay true through every one of these functions.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from math import log10
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from core import F32, SAMPLE_RATE

LEVEL_FRAME: Final = 320
"Samples over which a level is taken: 20 ms."
ACTIVE_DB: Final = 30.0
"Frames this far below the loudest are pauses and do not count towards a level."
QUIETEST_DB: Final = -60.0
"A signal below this counts as this loud when noise is set against it, so that silence gets some."
EQUALISER_TAPS: Final = 1_023
"Length of an equaliser: curves are followed to about 30 Hz."


def level(samples: F32) -> float:
    """RMS of the active 20-ms frames of ``[N]``, dBFS; -inf for silence and for no samples.

    Pauses do not count, so that a ratio set against it holds where there is speech.
    """
    whole = len(samples) // LEVEL_FRAME * LEVEL_FRAME
    frames = samples[:whole].reshape(-1, LEVEL_FRAME) if whole else samples.reshape(1, -1)
    if not frames.size:
        return -np.inf
    power = np.einsum("fn,fn->f", frames, frames) / frames.shape[1]
    loudest = float(power.max())
    if loudest < 1e-16:
        return -np.inf
    return 10.0 * log10(float(power[power >= loudest * 10.0 ** (-ACTIVE_DB / 10.0)].mean()))


def at_level(samples: F32, db: float) -> F32:
    """The samples ``[N]`` scaled to a level in dBFS; silence stays silent. Not clipped."""
    now = level(samples)
    if now == -np.inf:
        return samples
    return samples * np.float32(10.0 ** ((db - now) / 20.0))


def mix(samples: F32, noise: F32, snr_db: float) -> F32:
    """Noise added to speech, both ``[N]``, at a ratio of their active levels.

    A sum that would clip is made quieter as a whole, so that the ratio is kept. Returns ``[N]``.
    """
    speech_db = max(level(samples), QUIETEST_DB)
    return within(samples + at_level(noise, speech_db - snr_db))


def within(samples: F32) -> F32:
    """The samples ``[N]``, made quieter if needed so that none leaves [-1, 1]."""
    peak = float(np.abs(samples).max(initial=0.0))
    return samples / np.float32(peak) if peak > 1.0 else samples


def fit(samples: npt.NDArray[Any], length: int) -> F32:
    """The first ``length`` samples as float32, with silence after them where they are fewer."""
    out = np.zeros(length, np.float32)
    out[: len(samples)] = samples[:length]
    return out


@lru_cache(maxsize=256)
def fft_length(least: int) -> int:
    """The smallest 2^a · 3^b · 5^c that is at least ``least``: lengths at which an FFT is fast."""
    best = 1 << max(least - 1, 1).bit_length()
    fives = 1
    while fives < best:
        odd = fives
        while odd < best:
            best = min(best, odd << max(-(-least // odd) - 1, 0).bit_length())
            odd *= 3
        fives *= 5
    return best


def convolve(samples: F32, response: F32) -> F32:
    """``samples`` ``[N]`` through a filter ``[L]``: float32 ``[N + L - 1]``, by FFT in blocks.

    Overlap-add; the memory needed beyond the result is a small multiple of N and L.
    """
    if not len(samples) or not len(response):
        return np.zeros(max(len(samples) + len(response) - 1, 0), np.float32)
    tail = len(response) - 1
    size = fft_length(min(max(4 * len(response), 4_096), len(samples) + tail))
    step = size - tail
    blocks = -(-len(samples) // step)
    padded = fit(samples, blocks * step).reshape(blocks, step)
    made = np.fft.irfft(np.fft.rfft(padded, size) * np.fft.rfft(response, size), size)
    out = np.zeros(blocks * step + tail, np.float32)
    for i, block in enumerate(made):
        out[i * step : i * step + size] += block
    return out[: len(samples) + tail]


def equalise(samples: F32, curve: Callable[[npt.NDArray[np.float64]], Any]) -> F32:
    """``samples`` ``[N]`` through a symmetric filter, so that no frequency is delayed.

    Args:
        samples: Sound at 16 kHz.
        curve: Frequencies in Hz (float64, 0 to 8,000) → gains of the same shape.

    Returns:
        float32 ``[N]``; it may leave [-1, 1] where the curve lifts.
    """
    frequencies = np.fft.rfftfreq(EQUALISER_TAPS, 1.0 / SAMPLE_RATE)
    taps = np.fft.fftshift(np.fft.irfft(curve(frequencies), EQUALISER_TAPS))
    taps *= np.hanning(EQUALISER_TAPS + 2)[1:-1]
    centre = EQUALISER_TAPS // 2
    return convolve(samples, taps.astype(np.float32))[centre : centre + len(samples)]
