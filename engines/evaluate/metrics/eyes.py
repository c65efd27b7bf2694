"""Eye-LMD and gaze error: are the points of the eye region where the truth has them?

Source: CogPortrait section 4.1 names Eye-LMD, the eye-region landmark distance on MediaPipe's
mesh (Lugaresi et al. 2019), without its normaliser. MediaPipe's coordinates are shares of the
picture, and pictures there are face crops, so the unit here is the side of a face crop, whatever
the framing of the clip (`face_crop`).
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from core import F32, KEYPOINTS, MESH_POINTS
from face import CHIN, FOREHEAD

Bools: TypeAlias = npt.NDArray[np.bool_]
F64: TypeAlias = npt.NDArray[np.float64]
Unit: TypeAlias = Literal["crop", "interocular"]

FACE_SHARE: Final = 0.6
"Of the side of a face crop, forehead to chin (free: a head with some room around it)."
EYE_CORNERS: Final = (33, 263)
"Outer corners; their distance is the interocular distance of landmark benchmarks (300-W, 2013)."
RIGID: Final = (
    168, 6, 197, 195, 5,  # bridge of the nose, from between the eyes down
    127, 356, 234, 454, 162, 389,  # temples, down to the ears
    21, 251, 54, 284, 103, 332, 67, 297, 109, 338, 10,  # forehead, along the hair
)  # fmt: skip
"""Points that the skull carries along: no lid, brow or jaw moves them much. The middle of the
forehead and the space between the brows are left out, as AU1 and AU4 move them."""


def eye_lmd(made: F32, truth: F32, *, unit: Unit = "crop") -> float:
    """Mean distance of the 62 eye-region points, over frames in which both faces were seen.

    ``mean_t mean_k |p̂_k(t) - p_k(t)|₂ / u`` over `core.KEYPOINTS`, in x and y; the unit u is that
    of the truth. A constant offset of the whole face counts.

    Args:
        made: float32 ``[T, 478, 3]``, pixels; rows of NaN are frames without a face.
        truth: float32 ``[T, 478, 3]``, pixels of the same picture.
        unit: ``crop``: the side of a face crop (`face_crop`). ``interocular``: the distance of
            the outer eye corners, as benchmarks of landmarks have it.

    Returns:
        Units, at least 0; NaN where no frame shows both.
    """
    made, truth = _both(made, truth)
    if not len(truth):
        return float("nan")
    return _distance(made[:, list(KEYPOINTS)], truth[:, list(KEYPOINTS)]) / _side(truth, unit)


def eye_lmd_aligned(made: F32, truth: F32, *, unit: Unit = "crop") -> float:
    """`eye_lmd` with the head taken out: what lids, brows and irises do by themselves.

    Every made frame first goes through the similarity transform (turn, scale and shift in three
    dimensions) that brings its `RIGID` points nearest to the truth's. Then x and y are compared.

    Source: Umeyama 1991, IEEE TPAMI 13(4), equations 40-42.
    """
    made, truth = _both(made, truth)
    if not len(truth):
        return float("nan")
    side = _side(truth, unit)
    turn, shift = similarity(made[:, list(RIGID)], truth[:, list(RIGID)])
    moved = made[:, list(KEYPOINTS)].astype(np.float64) @ turn.swapaxes(1, 2) + shift[:, None]
    return _distance(moved, truth[:, list(KEYPOINTS)]) / side


def gaze_error(made: F32, truth: F32, *, leave_out: Bools | None = None) -> float:
    """Mean angle between two gaze directions, degrees; NaN where there is nothing to compare.

    A direction (left, down) is the unit vector ``(sin l cos d, sin d, cos l cos d)``.

    Args:
        made: float32 ``[T, 2]``, degrees to the person's left and downwards; NaN is unseen.
        truth: float32 ``[T, 2]``.
        leave_out: bool ``[T]``: frames that do not count. No tracker sees an eye behind its lid.
    """
    if made.shape != truth.shape or made.ndim != 2 or made.shape[1] != 2:
        raise ValueError(f"expected [T, 2] twice, got {list(made.shape)}, {list(truth.shape)}")
    counts = np.isfinite(made).all(axis=1) & np.isfinite(truth).all(axis=1)
    if leave_out is not None:
        counts &= ~leave_out
    if not counts.any():
        return float("nan")
    a, b = _directions(made[counts]), _directions(truth[counts])
    # Not the arc cosine: it loses the angles that matter, those near 0.
    across = np.linalg.norm(np.cross(a, b), axis=1)
    return float(np.degrees(np.arctan2(across, (a * b).sum(axis=1))).mean())


def face_crop(mesh: F32) -> float:
    """Side of the face crop in which a face is `FACE_SHARE` of the side, pixels.

    Args:
        mesh: float32 ``[T, 478, 3]``; the median of forehead to chin over the seen frames counts,
            as nodding shortens it in the picture.
    """
    height = np.linalg.norm(mesh[:, CHIN, :2] - mesh[:, FOREHEAD, :2], axis=1)
    return max(float(np.nanmedian(height)) / FACE_SHARE, 1e-6)


def interocular(mesh: F32) -> float:
    """Distance of the outer eye corners in x and y, pixels: the median over the seen frames."""
    right, left = (mesh[:, i, :2] for i in EYE_CORNERS)
    return max(float(np.nanmedian(np.linalg.norm(left - right, axis=1))), 1e-6)


def similarity(points: F32, onto: F32) -> tuple[F64, F64]:
    """The similarity transforms that bring points nearest to others, frame by frame.

    Args:
        points: float32 ``[T, n, 3]``, finite.
        onto: float32 ``[T, n, 3]``, finite.

    Returns:
        float64 ``[T, 3, 3]``, turn times scale, and ``[T, 3]``, shift.

    Source: Umeyama 1991, IEEE TPAMI 13(4), equations 40-42.
    """
    x, y = points.astype(np.float64), onto.astype(np.float64)
    mean_x, mean_y = x.mean(axis=1), y.mean(axis=1)
    x, y = x - mean_x[:, None], y - mean_y[:, None]
    u, d, vt = np.linalg.svd(y.swapaxes(1, 2) @ x)
    sign = np.ones((len(x), 3))
    sign[:, 2] = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0, -1, 1)  # never a mirror image
    spread = np.maximum((x * x).sum(axis=(1, 2)), 1e-12)
    scale = (d * sign).sum(axis=1) / spread
    turn = (u * sign[:, None]) @ vt * scale[:, None, None]
    return turn, mean_y - (turn @ mean_x[..., None])[..., 0]


def _both(made: F32, truth: F32) -> tuple[F32, F32]:
    if made.shape != truth.shape or made.shape[1:] != (MESH_POINTS, 3):
        raise ValueError(
            f"expected [T, {MESH_POINTS}, 3] twice, got {list(made.shape)}, {list(truth.shape)}"
        )
    seen = np.isfinite(made).all(axis=(1, 2)) & np.isfinite(truth).all(axis=(1, 2))
    return made[seen], truth[seen]


def _side(truth: F32, unit: Unit) -> float:
    return face_crop(truth) if unit == "crop" else interocular(truth)


def _distance(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    return float(np.linalg.norm(a[..., :2].astype(np.float64) - b[..., :2], axis=-1).mean())


def _directions(gaze: F32) -> F64:
    left, down = np.radians(gaze.astype(np.float64)).T
    return np.stack([np.sin(left) * np.cos(down), np.sin(down), np.cos(left) * np.cos(down)], 1)
