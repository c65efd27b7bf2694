"""Mel-frequency cepstra, in the variant SyncNet was trained with."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from core import F32, SAMPLE_RATE

WINDOW: Final = SAMPLE_RATE // 40
"Samples: 25 ms."
HOP: Final = SAMPLE_RATE // 100
"Samples: 10 ms."
CEPSTRA: Final = 13
_TRANSFORM: Final = 512
_FILTERS: Final = 26
_EMPHASIS: Final = 0.97
_LIFTER: Final = 22
_FULL_SCALE: Final = 32_768.0
_TINY: Final = float(np.finfo(np.float64).eps)
_Doubles = npt.NDArray[np.float64]


def mfcc(samples: F32) -> F32:
    """Cepstra of every 10 ms of a sound.

    Pre-emphasis 0.97, rectangular windows of 25 ms, 26 triangular filters evenly spaced in mel to
    8 kHz, logarithm, orthonormal DCT, sine lifter of 22; the first cepstrum is replaced by the
    logarithm of the window's energy, at the scale of 16-bit samples.

    Args:
        samples: float32 ``[N]`` in [-1, 1] at 16 kHz; what is missing of the last window is zero.

    Returns:
        float32 ``[T, 13]``; no row for an empty sound.

    Source: Davis & Mermelstein 1980, IEEE Trans ASSP 28(4); lifter and energy as in the HTK Book
    (Young et al.), section 5.
    """
    if samples.ndim != 1:
        raise ValueError(f"samples: expected [N], got {list(samples.shape)}")
    if not len(samples):
        return np.zeros((0, CEPSTRA), np.float32)
    sound = samples.astype(np.float64) * _FULL_SCALE
    sound = np.append(sound[:1], sound[1:] - _EMPHASIS * sound[:-1])
    count = 1 + max(0, -(-(len(sound) - WINDOW) // HOP))
    sound = np.pad(sound, (0, (count - 1) * HOP + WINDOW - len(sound) + HOP))
    windows = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP][:count]
    power = np.square(np.abs(np.fft.rfft(windows, _TRANSFORM))) / _TRANSFORM
    bands = np.log(np.maximum(power @ _filters().T, _TINY))
    out = bands @ _cosines().T
    out *= 1 + _LIFTER / 2 * np.sin(np.pi * np.arange(CEPSTRA) / _LIFTER)
    out[:, 0] = np.log(np.maximum(power.sum(axis=1), _TINY))
    return np.asarray(out, np.float32)


@lru_cache(maxsize=1)
def _filters() -> _Doubles:
    """Triangles over the bins of the spectrum, ``[26, 257]``."""
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, top, _FILTERS + 2) / 2595) - 1)
    edges = np.floor((_TRANSFORM + 1) * hertz / SAMPLE_RATE)[:, None]
    bins = np.arange(_TRANSFORM // 2 + 1)
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles: _Doubles = np.clip(np.minimum(rising, falling), 0, None)
    triangles.setflags(write=False)
    return triangles


@lru_cache(maxsize=1)
def _cosines() -> _Doubles:
    """Orthonormal DCT of the second kind, ``[13, 26]``."""
    angle = np.pi / _FILTERS * np.outer(np.arange(CEPSTRA), np.arange(_FILTERS) + 0.5)
    out: _Doubles = np.sqrt(2 / _FILTERS) * np.cos(angle)
    out[0] /= np.sqrt(2)
    out.setflags(write=False)
    return out
