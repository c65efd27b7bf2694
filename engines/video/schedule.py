"""Flow times, Euler steps and seeded noise. No torch: training and run time share the numbers.

A latent at time σ is ``(1 - σ) x0 + σ ε``; its velocity is ``ε - x0``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Final, TypeVar

import numpy as np

from core import F32, LATENT_FRAMES, WINDOW_FRAMES
from engines.video.guidance import CELLS
from engines.video.regions import REGIONS

WINDOW: Final = WINDOW_FRAMES // LATENT_FRAMES
"Latent frames made at once."
STEPS: Final = 40
"Of the reference sampler (CogPortrait section 4.1)."
SHIFT: Final = 2.5
"Few tokens want a small one (free, 2 to 3)."

X = TypeVar("X", bound=Any)


def shifted(u: float, shift: float = SHIFT) -> float:
    """``s u / (1 + (s - 1) u)``: moves times in [0, 1] towards noise.

    Source: Esser et al. 2024, "Scaling Rectified Flow Transformers", arXiv 2403.03206, section 5.3.
    """
    return shift * u / (1 + (shift - 1) * u)


def flow_times(steps: int = STEPS, shift: float = SHIFT) -> list[float]:
    """``steps + 1`` falling times from 1 to 0.

    Raises:
        ValueError: No step, or a shift that is not above 0.
    """
    if steps < 1 or not shift > 0:
        raise ValueError(f"expected steps >= 1 and shift > 0, got {steps} and {shift}")
    return [shifted(1 - i / steps, shift) for i in range(steps + 1)]


def progress(sigma: float, shift: float = SHIFT) -> float:
    """The share of the steps that are made when a sampler comes to ``sigma``; see `flow_times`."""
    return 1 - sigma / (shift - (shift - 1) * sigma)


def euler(velocity: Callable[[X, float, float], X], x: X, times: Sequence[float]) -> X:
    """Integrate ``dx/dσ = v`` from noise (σ = 1) to latents (σ = 0).

    Args:
        velocity: ``v(x, σ, ρ)``, ρ in [0, 1) the share of steps already made. Guidance is inside.
        x: Noise: an array or a tensor.
        times: N + 1 falling times.
    """
    for i, (now, after) in enumerate(pairwise(times)):
        x = x + (after - now) * velocity(x, now, i / (len(times) - 1))
    return x


def window_noise(seed: int, window: int, channels: int) -> F32:
    """Noise of one window, float32 ``[2, 3, channels, 6, 6]``: the same however it is reached."""
    rng = np.random.default_rng([seed, window])
    shape = (WINDOW, len(REGIONS), channels, CELLS, CELLS)
    return rng.standard_normal(shape, np.float32)
