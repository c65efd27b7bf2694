"""PSNR and SSIM: pictures held against the truth's, pixel by pixel."""

from __future__ import annotations

from typing import Final, TypeAlias

import cv2
import numpy as np

from core import F32, KEYPOINTS, U8
from engines.evaluate.metrics.eyes import EYE_CORNERS

Box: TypeAlias = tuple[int, int, int, int]
"Left, top, right, bottom; the last two are outside."

ROUNDING: Final = 1 / 12
"""Variance of the rounding to 8 bits: no error can be told from less, so equal pictures have
58.9 dB rather than infinitely many."""
WINDOW: Final = 11
"Side of the Gaussian window, pixels (Wang et al. 2004)."
SIGMA: Final = 1.5
C1: Final = (0.01 * 255) ** 2
C2: Final = (0.03 * 255) ** 2
EYE_ROOM: Final = 0.15
"Room around the points of the eye region, in distances of the outer eye corners (free)."


def psnr(made: U8, truth: U8, *, box: Box | None = None, mask: U8 | None = None) -> float:
    """``10 log10(255² / MSE)`` over all channels, dB; at most 58.9 (see `ROUNDING`).

    Args:
        made: uint8 ``[H, W, 3]``.
        truth: uint8 ``[H, W, 3]``.
        box: Only what lies within.
        mask: uint8 ``[H, W]``: only where it is not 0 (of the box, where both are given).

    Returns:
        NaN where box and mask leave nothing.
    """
    _same(made, truth)
    if box is not None:
        made, truth = _cut(made, box), _cut(truth, box)
        mask = None if mask is None else _cut(mask, box)
    count = truth[..., 0].size if mask is None else cv2.countNonZero(mask)
    if not count:
        return float("nan")
    # A copy: OpenCV takes no views whose rows do not touch for a mask.
    where = None if mask is None else np.ascontiguousarray(mask)
    error = float(cv2.norm(made, truth, cv2.NORM_L2SQR, where)) / (count * truth.shape[2])
    return float(10 * np.log10(255**2 / max(error, ROUNDING)))


def ssim(made: U8, truth: U8) -> float:
    """Mean structural similarity of the luma (BT.601), in [-1, 1].

    ``(2 μx μy + C1)(2 σxy + C2) / ((μx² + μy² + C1)(σx² + σy² + C2))`` with a Gaussian window of
    11 × 11 and σ 1.5, K = (0.01, 0.03), over places where the whole window lies in the picture.

    Source: Wang, Bovik, Sheikh & Simoncelli 2004, IEEE Trans Image Processing 13(4), eq. 13.

    Args:
        made: uint8 ``[H, W, 3]`` RGB, 11 pixels a side at least.
        truth: uint8 ``[H, W, 3]``.
    """
    _same(made, truth)
    if min(truth.shape[:2]) < WINDOW:
        raise ValueError(f"expected at least {WINDOW} pixels a side, got {list(truth.shape)}")
    x, y = _luma(made), _luma(truth)
    mean_x, mean_y = _blurred(x), _blurred(y)
    both, of_x, of_y = mean_x * mean_y, mean_x * mean_x, mean_y * mean_y
    # σx² and σy² are only ever added: one blur does for both.
    spread = _blurred(x * x + y * y) - of_x - of_y
    shared = _blurred(x * y) - both
    similar = (2 * both + C1) * (2 * shared + C2) / ((of_x + of_y + C1) * (spread + C2))
    return float(_inside(similar).mean(dtype=np.float64))


def eye_box(mesh: F32, size: int) -> Box | None:
    """Box around eyes and brows in a picture of ``size`` a side; None where it is empty.

    Args:
        mesh: float32 ``[478, 3]``, pixels; NaN is a face that was not seen.
        size: Pixels.
    """
    points = mesh[list(KEYPOINTS), :2]
    if not np.isfinite(points).all():
        return None
    right, left = mesh[list(EYE_CORNERS), :2]
    return _box(points, EYE_ROOM * float(np.linalg.norm(left - right)), size)


def face_box(mesh: F32, size: int) -> Box | None:
    """Box around the whole mesh in all frames that show it; None where none does.

    Args:
        mesh: float32 ``[T, 478, 3]``, pixels; rows of NaN are frames without a face.
        size: Pixels.
    """
    points = mesh[np.isfinite(mesh).all(axis=(1, 2))][..., :2].reshape(-1, 2)
    return _box(points, 0.0, size) if len(points) else None


def _box(points: F32, room: float, size: int) -> Box | None:
    low = np.clip(np.floor(points.min(axis=0) - room), 0, size).astype(int)
    high = np.clip(np.ceil(points.max(axis=0) + room), 0, size).astype(int)
    if (high <= low).any():
        return None
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _cut(picture: U8, box: Box) -> U8:
    left, top, right, bottom = box
    return picture[top:bottom, left:right]


def _same(made: U8, truth: U8) -> None:
    if made.shape != truth.shape or made.ndim != 3 or made.dtype != truth.dtype:
        raise ValueError(f"expected [H, W, 3] twice, got {list(made.shape)}, {list(truth.shape)}")


def _luma(picture: U8) -> F32:
    luma: F32 = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return luma


def _blurred(picture: F32) -> F32:
    return np.asarray(cv2.GaussianBlur(picture, (WINDOW, WINDOW), SIGMA), np.float32)


def _inside(picture: F32) -> F32:
    edge = WINDOW // 2
    return picture[edge:-edge, edge:-edge]
