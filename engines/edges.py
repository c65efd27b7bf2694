"""Where exactly lips and lids end in a picture.

The mesh is a few pixels off there. Lips that take some of their neighbour along look torn when
they part, and a lower lid that holds a sliver of iris never closes.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from core import F32, LID_LEFT, LID_RIGHT, U8
from face import LIP_LOWER_INNER, LIP_UPPER_INNER, Slit

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def lips_meet(slit: Slit) -> bool:
    """Whether there is hardly a gap between the inner edges of the lips."""
    s = np.linspace(-0.6, 0.6, 25, dtype=np.float32)
    gap = float(slit.gap(s).mean()) / slit.half
    return gap < 0.055


def snap_closed(crop: U8, mesh: F32, slit: Slit) -> F32:
    """Move both inner lip edges onto the dark line between closed lips.

    The line is the darkest smooth path near the mesh's own.

    Args:
        crop: uint8 ``[S, S, 3]``.
        mesh: float32 ``[478, 3]``, pixels of ``crop``.
        slit: the mesh's inner lips.

    Returns:
        float32 ``[478, 3]``: the mesh with its inner lip points moved.
    """
    s, offsets = _grid(slit)
    middle = (slit.edge(s, True) + slit.edge(s, False)) / 2
    grey = (crop.astype(np.float32) @ LUMA).astype(np.float32)
    grey = np.asarray(cv2.GaussianBlur(grey, (0, 0), _blur(slit)), np.float32)
    cost = _sample(grey, slit, s, middle, offsets)
    cost = cost / max(float(np.ptp(cost)), 1.0) + 0.25 * (offsets[:, None] / offsets[-1]) ** 2
    line = middle + offsets[_cheapest(cost, 0.10)] * _taper(s)
    fitted = _fit(slit, s, line, line)
    snapped = mesh.copy()
    for ring in (LIP_UPPER_INNER, LIP_LOWER_INNER):
        at, _ = slit.frame(mesh[list(ring), :2])
        snapped[list(ring), :2] = _points(slit, at, fitted.edge(at, True))
    return snapped


def snap_open(crop: U8, mesh: F32, slit: Slit) -> F32:
    """Move the inner lip edges of a parted mouth to where red lip meets teeth or dark.

    Arguments and result as for `snap_closed`.
    """
    s, offsets = _grid(slit)
    rgb = cv2.GaussianBlur(crop.astype(np.float32), (0, 0), _blur(slit))
    redness = (rgb[..., 0] - rgb[..., 1]) / (rgb.sum(-1) + 40)
    edges = [_best_edge(redness, slit, s, offsets, upper) for upper in (True, False)]
    fitted = _fit(slit, s, edges[0], np.maximum(edges[1], edges[0]))
    snapped = mesh.copy()
    for ring, upper in ((LIP_UPPER_INNER, True), (LIP_LOWER_INNER, False)):
        at, _ = slit.frame(mesh[list(ring), :2])
        snapped[list(ring), :2] = _points(slit, at, fitted.edge(at, upper))
    return snapped


def snap_lower_lids(crop: U8, mesh: F32, eyes: tuple[Slit, Slit]) -> F32:
    """Move the lower lids' edges to where white or iris turns into skin.

    Skin is warmer than what it borders on, except for brown irises; there the edge follows its
    neighbours. Arguments and result as for `snap_closed`, with both eyes' slits.
    """
    snapped = mesh.copy()
    for slit, ring in zip(eyes, (LID_LEFT[1:8], LID_RIGHT[1:8]), strict=True):
        s, offsets = _grid(slit, 0.22)
        rgb = cv2.GaussianBlur(crop.astype(np.float32), (0, 0), _blur(slit))
        warmth = (rgb[..., 0] - rgb[..., 2]) / (rgb.sum(-1) + 40)
        edge = _best_edge(warmth, slit, s, offsets, False)
        edge = np.clip(edge, slit.edge(s, False) - 0.03 * slit.half, None)
        fitted = _fit(slit, s, slit.edge(s, True), edge)
        at, _ = slit.frame(mesh[list(ring), :2])
        snapped[list(ring), :2] = _points(slit, at, fitted.edge(at, False))
    return snapped


def _best_edge(feature: F32, slit: Slit, s: F32, offsets: F32, upper: bool) -> F32:
    """``t`` of the path near an edge of ``slit`` where ``feature`` rises most going outwards."""
    edge = slit.edge(s, upper)
    inwards = 1.0 if upper else -1.0
    window = _sample(feature.astype(np.float32), slit, s, edge, offsets)
    step = max(len(offsets) // 12, 1)
    contrast = np.zeros_like(window)
    contrast[step:-step] = inwards * (window[: -2 * step] - window[2 * step :])
    cost = -contrast / max(float(contrast.max()), 0.02)
    cost = cost + 0.6 * (offsets[:, None] / offsets[-1]) ** 2
    # The two edges stay on their own sides of the middle of the gap.
    crossed = inwards * offsets[:, None] * _taper(s)[None] > 0.42 * slit.gap(s)[None]
    found: F32 = edge + offsets[_cheapest(cost + 4.0 * crossed, 0.12)] * _taper(s)
    return found


def _grid(slit: Slit, share: float = 0.13) -> tuple[F32, F32]:
    """Columns (s) and offsets from an edge (pixels) to search, up to a share of the half width."""
    s = np.linspace(-0.96, 0.96, 61, dtype=np.float32)
    reach = share * slit.half
    return s, np.linspace(-reach, reach, 41, dtype=np.float32)


def _taper(s: F32) -> F32:
    """The corners stay."""
    return np.asarray(np.sqrt(np.maximum(1 - s * s, 0)), np.float32)


def _blur(slit: Slit) -> float:
    return max(0.012 * slit.half, 0.4)


def _sample(image: F32, slit: Slit, s: F32, edge: F32, offsets: F32) -> F32:
    """``image`` at offsets from an edge, float32 ``[offsets, columns]``."""
    t = edge[None] + offsets[:, None] * _taper(s)[None]
    along = s[None] * slit.half
    x = slit.centre[0] + slit.axis[0] * along + slit.down[0] * t
    y = slit.centre[1] + slit.axis[1] * along + slit.down[1] * t
    at = x.astype(np.float32), y.astype(np.float32)
    return np.asarray(cv2.remap(image, *at, cv2.INTER_LINEAR), np.float32)


def _fit(slit: Slit, s: F32, upper: F32, lower: F32) -> Slit:
    reach = slit.axis * slit.half
    corners = np.stack([slit.centre - reach, slit.centre + reach])
    return Slit.fit(corners, _points(slit, s, upper), _points(slit, s, lower))


def _points(slit: Slit, s: F32, t: F32) -> F32:
    points = slit.centre + s[:, None] * slit.half * slit.axis + t[:, None] * slit.down
    return np.asarray(points, np.float32)


def _cheapest(cost: F32, stiffness: float) -> npt.NDArray[np.intp]:
    """Row per column of the path of least cost, paying ``stiffness`` per row of change."""
    rows, columns = cost.shape
    change = stiffness * np.abs(np.arange(rows)[:, None] - np.arange(rows)[None])
    total, came = cost[:, 0], np.zeros((rows, columns), np.intp)
    for column in range(1, columns):
        options = total[None] + change
        came[:, column] = options.argmin(1)
        total = options.min(1) + cost[:, column]
    path = np.zeros(columns, np.intp)
    path[-1] = total.argmin()
    for column in range(columns - 1, 0, -1):
        path[column - 1] = came[path[column], column]
    return path
