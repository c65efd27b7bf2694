"""Eye-aware classifier-free guidance: how strongly the conditions pull, over time and place.

``Ω = w_t(ρ) G + w_bg (1 - G)`` and ``v = v_u + Ω ⊙ (v_c - v_u)``. The unconditional velocity v_u
drops keypoints, felt mouth, text and audio; reference and context stay. So it knows who is there
and what was, and guidance strengthens what is asked for, not the person. No torch here: the run
time needs the same numbers.

Source: CogPortrait section 3.4, equations 4 and 5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from core import F32, KEYPOINT_SLICES, KEYPOINTS, LATENT_FRAMES
from engines.video.regions import REGIONS

CELLS: Final = 6
"Latent cells along a side of a region."
FRAME: Final = len(REGIONS) * CELLS * CELLS
"Tokens of a latent frame: region by region, row by row."


@dataclass(frozen=True, slots=True)
class Guidance:
    """The knobs of equation 4 and 5; the defaults are the paper's (section 4.1)."""

    high: float = 8.0
    low: float = 4.0
    alpha: float = 0.25
    gamma: float = 0.55
    kappa: float = 1.0
    "Width of the Gaussian in eye distances; infinite guides the whole picture alike."
    background: float = 1.0

    def __post_init__(self) -> None:
        numbers = (self.high, self.low, self.alpha, self.gamma, self.background)
        if not all(map(math.isfinite, numbers)) or not self.kappa > 0:
            raise ValueError(f"guidance: expected finite numbers and kappa above 0, got {self}")
        if not 0 <= self.alpha <= self.gamma <= 1:
            raise ValueError(f"guidance: expected 0 <= alpha <= gamma <= 1, got {self}")

    def weight(self, rho: float) -> float:
        """``w_t``: the weight at the eyes when a share ``rho`` in [0, 1] of the steps is made."""
        if rho < self.alpha:
            return self.high
        if rho >= self.gamma:
            return self.low
        fallen = (rho - self.alpha) / (self.gamma - self.alpha)
        return self.high + (self.low - self.high) * fallen


PAPER: Final = Guidance()
EYE_AWARE: Final = Guidance(high=3.0, low=2.0)
"""What our own network wants: at the paper's weights irises turn black and brows double
(docs/training.md)."""
UNGUIDED: Final = Guidance(high=1.0, low=1.0)
"Ω is 1 everywhere: the conditional velocity alone, in a single pass."


def fixed(weight: float = EYE_AWARE.low) -> Guidance:
    """Ablation: one weight everywhere and always (3.5 beside the paper's 8 and 4: Table 3)."""
    return Guidance(high=weight, low=weight, kappa=math.inf)


def temporal_only(guidance: Guidance) -> Guidance:
    """Ablation: the schedule over the steps, the same everywhere."""
    return Guidance(
        guidance.high, guidance.low, guidance.alpha, guidance.gamma, math.inf, guidance.background
    )


def spatial_only(guidance: Guidance, weight: float = EYE_AWARE.low) -> Guidance:
    """Ablation: the eyes' map with one weight at all steps, as `fixed`."""
    return Guidance(
        weight, weight, guidance.alpha, guidance.gamma, guidance.kappa, guidance.background
    )


def eye_map(points: F32, kappa: float = 1.0) -> F32:
    """``G`` of every token: equation 4.

    Evaluated in each region's own coordinates. A region is the picture moved, scaled and perhaps
    mirrored, all of which leave ``‖p - c_eye‖ / d_eye`` as it is, so this is the Gaussian of the
    picture; and the keypoints of both eyes are known in every region.

    Args:
        points: float32 ``[T, 3, 62, 2]``: keypoints in region coordinates, a row a video frame.
        kappa: Width in eye distances.

    Returns:
        float32 ``[T / 4, 3, 6, 6]``; centre and distance are means over the four frames (free).
    """
    if points.ndim != 4 or points.shape[1:] != (len(REGIONS), len(KEYPOINTS), 2):
        raise ValueError(f"points: expected [T, 3, {len(KEYPOINTS)}, 2], got {points.shape}")
    count = len(points) // LATENT_FRAMES
    pupils = points[: count * LATENT_FRAMES, :, [_LEFT_PUPIL, _RIGHT_PUPIL]].astype(np.float64)
    pupils = pupils.reshape(count, LATENT_FRAMES, len(REGIONS), 2, 2).mean(axis=1)
    centre = pupils.mean(axis=2)
    distance = np.linalg.norm(pupils[:, :, 0] - pupils[:, :, 1], axis=-1)
    spread = 2 * (kappa * np.maximum(distance, 1e-6)) ** 2
    along = (np.arange(CELLS) + 0.5) * (2 / CELLS) - 1
    away = (along - centre[..., 0, None])[..., None, :] ** 2
    away = away + (along - centre[..., 1, None])[..., :, None] ** 2
    gauss: F32 = np.exp(-away / spread[..., None, None]).astype(np.float32)
    return gauss


def omega(guidance: Guidance, gauss: F32, rho: float) -> F32:
    """``Ω`` of every token at progress ``rho``: equation 5, the shape of ``gauss``."""
    near = np.asarray(gauss, np.float32)
    out: F32 = guidance.weight(rho) * near + guidance.background * (1 - near)
    return out.astype(np.float32)


def pull_of(guidance: Guidance, gauss: F32) -> F32:
    """What a student is told of guidance: ``Ω`` at its highest and at its lowest weight.

    Both stay the same at all steps: a student's step may cross the fall between them.

    Args:
        guidance: Whose alpha and gamma are the student's own.
        gauss: ``G``, any shape.

    Returns:
        The shape of ``gauss`` and 2.
    """
    return np.stack([omega(guidance, gauss, 0.0), omega(guidance, gauss, 1.0)], -1)


def needs_both(guidance: Guidance) -> bool:
    """Whether any Ω differs from 1, so that the unconditional velocity is needed at all."""
    one = {guidance.high, guidance.low} == {1.0}
    return not (one and (guidance.background == 1.0 or math.isinf(guidance.kappa)))


_LEFT_PUPIL: Final = KEYPOINT_SLICES["iris_left"].start
_RIGHT_PUPIL: Final = KEYPOINT_SLICES["iris_right"].start
