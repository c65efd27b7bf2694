"""Head pose error: does the head turn as the truth's does?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core import F32
from face import rotation


@dataclass(frozen=True, slots=True)
class PoseError:
    """Degrees; NaN where there is nothing to compare."""

    angle: float
    "Mean geodesic angle between the rotations."
    pitch: float
    "Mean absolute difference of one angle; so the other two."
    yaw: float
    roll: float


def pose_error(made: F32, truth: F32) -> PoseError:
    """Mean difference of two heads, each against the first frame in which both were seen.

    With ``Q(t) = R(t) R(0)ᵀ`` of either side the angle is that of ``Q̂(t) Q(t)ᵀ``, the geodesic
    distance on SO(3) (Huynh 2009, J Math Imaging Vis 35(2), Φ6), taken from
    ``2 arcsin(|Q̂ - Q|_F / √8)``, which keeps small angles exact. How the face is held in the
    first frame, where a tracker sees every face a little askew, drops out.

    Args:
        made: float32 ``[T, 3]``: pitch, yaw, roll, degrees, as `core.CHANNELS`; NaN is unseen.
        truth: float32 ``[T, 3]``.
    """
    if made.shape != truth.shape or made.ndim != 2 or made.shape[1] != 3:
        raise ValueError(f"expected [T, 3] twice, got {list(made.shape)}, {list(truth.shape)}")
    seen = np.isfinite(made).all(axis=1) & np.isfinite(truth).all(axis=1)
    if seen.sum() < 2:
        return PoseError(*[float("nan")] * 4)
    made, truth = made[seen], truth[seen]
    a, b = rotation(made).astype(np.float64), rotation(truth).astype(np.float64)
    a, b = a[1:] @ a[0].T, b[1:] @ b[0].T
    chord = np.linalg.norm(a - b, axis=(1, 2)) / np.sqrt(8)
    angle = np.degrees(2 * np.arcsin(np.clip(chord, 0, 1))).mean()
    axes = np.abs((made[1:] - made[0]) - (truth[1:] - truth[0])).mean(axis=0)
    return PoseError(float(angle), *(float(x) for x in axes))
