"""How the whole picture follows a turning head: a depth and a weight for every part of it."""

from __future__ import annotations

import cv2
import numpy as np

from core import F32, U8
from engines.eyeball import fill
from face import CHIN, FOREHEAD, TEMPLES, FaceModel

NODES = 65
"Grid nodes per side: one in eight pixels at 512."


def build_head(face: FaceModel, crop: U8) -> tuple[F32, F32]:
    """Depth (pixels away from the camera) and share of the head's turn at the grid's nodes.

    The face has the depth of its mesh; around it hair and neck fall back to the depth of the
    temples. Hair above and beside the face turns with it, neck and shoulders ever less, and the
    border of the picture not at all, so that the background never shows a seam. Only where hair
    leaves the picture at the top it goes on moving (the painter mirrors what lies above).

    Args:
        face: in pixels of ``crop``.
        crop: uint8 ``[S, S, 3]``.

    Returns:
        Two float32 ``[NODES, NODES]``.
    """
    size = crop.shape[0]
    step = size / (NODES - 1)
    grid = np.arange(NODES, dtype=np.float32) * step
    x, y = np.meshgrid(grid, grid)
    mesh = face.neutral[:468]
    total, count = np.zeros((NODES, NODES), np.float32), np.zeros((NODES, NODES), np.float32)
    nodes = np.clip(np.rint(mesh[:, :2] / step).astype(int), 0, NODES - 1)
    np.add.at(total, (nodes[:, 1], nodes[:, 0]), mesh[:, 2])
    np.add.at(count, (nodes[:, 1], nodes[:, 0]), 1.0)
    mean = np.repeat((total / np.maximum(count, 1))[..., None], 3, axis=2)
    depth = cv2.GaussianBlur(fill(mean, np.minimum(count, 1))[..., 0], (0, 0), 1.2)

    top, chin = mesh[FOREHEAD, :2], mesh[CHIN, :2]
    up = (top - chin) / max(float(np.hypot(*(top - chin))), 1e-3)
    side = np.array([-up[1], up[0]], np.float32)
    centre = (top + chin) / 2
    tall = float(np.hypot(*(top - chin))) / 2
    temples = mesh[list(TEMPLES)]
    wide = max(float(np.hypot(*(temples[1, :2] - temples[0, :2]))) / 2, 1e-3)
    dx, dy = x - centre[0], y - centre[1]
    u = (dx * side[0] + dy * side[1]) / wide
    v = (dx * up[0] + dy * up[1]) / tall
    rho = np.sqrt(u * u + np.where(v > 0, v / 1.25, v) ** 2)
    back = float(temples[:, 2].mean())
    behind = _smooth(rho, 0.95, 1.6)
    depth = depth * (1 - behind) + back * behind

    weight = 1 - _smooth(rho, 1.35, 2.6)
    weight = weight * (1 - _smooth(-v, 0.85, 2.1))  # the neck bends, the shoulders stay
    edge = np.minimum(np.minimum(x, size - x), size - y) / size
    weight = weight * _smooth(edge, 0.0, 0.14)
    free = _hair_cut(crop, x, y, u, v)
    weight = weight * (free + (1 - free) * _smooth(y / size, 0.0, 0.14))
    return np.ascontiguousarray(depth, np.float32), np.ascontiguousarray(weight, np.float32)


def _hair_cut(crop: U8, x: F32, y: F32, u: F32, v: F32) -> float:
    """1 where the top of the picture above the head looks like hair, 0 where like background."""
    size = crop.shape[0]
    rgb = cv2.remap(crop, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    rgb = cv2.GaussianBlur(rgb, (0, 0), 1.0).astype(np.float32)
    top = y < 0.02 * size
    parts = (
        top & (np.abs(u) < 0.6),
        (v > 1.45) & (v < 1.8) & (np.abs(u) < 0.6) & ~top,
        (np.abs(x / size - 0.5) > 0.44) & (y < 0.12 * size),
    )
    if not all(part.any() for part in parts):
        return 1.0
    above, hair, behind = (np.median(rgb[part], axis=0) for part in parts)
    to_hair = float(np.linalg.norm(above - hair))
    to_background = float(np.linalg.norm(above - behind))
    likeness = np.array(to_background / (to_background + to_hair + 1), np.float32)
    return float(_smooth(likeness, 0.5, 0.7))


def _smooth(x: F32, low: float, high: float) -> F32:
    x = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(x * x * (3 - 2 * x), np.float32)
