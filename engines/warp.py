"""Compiled kernels for displacement fields: sum them, invert them, turn a head.

All release the GIL, allocate nothing and are compiled on import (their signatures are explicit;
numba caches the machine code). Coordinates are pixels of the output, centres at integers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba as nb
import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])
_f = nb.float32
_1d, _2d, _3d = nb.float32[::1], nb.float32[:, ::1], nb.float32[:, :, ::1]


def kernel(signature: Any, **options: Any) -> Callable[[Function], Function]:
    """Compile a function for one signature, GIL released, machine code cached on disk."""
    compiled: Callable[[Function], Function] = nb.njit(
        signature, nogil=True, cache=True, fastmath=True, error_model="numpy", **options
    )
    return compiled


@kernel(nb.void(_1d, nb.int32[:, ::1], _1d, _3d, _3d))
def sum_fields(weights: Any, boxes: Any, data: Any, upper: Any, lower: Any) -> None:
    """Weighted sum of displacement fields, for both sides of the slits.

    Args:
        weights: ``[K]``.
        boxes: ``[K, 6]``: y0, y1, x0, x1 in grid nodes, offset into ``data``, 1 where the two
            sides differ (the data of the lower side then follows that of the upper one).
        data: flat; each field is ``[y1 - y0, x1 - x0, 2]``.
        upper, lower: ``[gh, gw, 2]``, written.
    """
    upper[:] = 0
    lower[:] = 0
    for k in range(len(weights)):
        w = weights[k]
        if abs(w) < 1e-6:
            continue
        y0, y1, x0, x1, at, split = boxes[k]
        n = 2 * (x1 - x0)
        other = n * (y1 - y0) if split else 0
        for y in range(y0, y1):
            for i in range(n):
                x = x0 + (i >> 1)
                upper[y, x, i & 1] += w * data[at + i]
                lower[y, x, i & 1] += w * data[at + other + i]
            at += n


@kernel(nb.void(_3d, _f, _3d))
def invert(forward: Any, step: Any, inverse: Any) -> None:
    """The displacement that undoes a smooth one: q + forward(q) = p for q = p + inverse(p).

    Newton's method on the grid, each node starting from its left neighbour's answer.

    Args:
        forward: ``[gh, gw, 2]`` pixels, at nodes ``step`` pixels apart; must not fold.
        step: pixels between nodes.
        inverse: ``[gh, gw, 2]``, written.
    """
    gh, gw = forward.shape[:2]
    one = np.float32(1)
    for gy in range(gh):
        dx, dy = np.float32(0), np.float32(0)
        for gx in range(gw):
            if dx == 0 and dy == 0 and forward[gy, gx, 0] == 0 and forward[gy, gx, 1] == 0:
                inverse[gy, gx, 0] = 0
                inverse[gy, gx, 1] = 0
                continue
            for _ in range(6):
                x = min(max(gx + dx / step, np.float32(0)), np.float32(gw - 1.001))
                y = min(max(gy + dy / step, np.float32(0)), np.float32(gh - 1.001))
                ix, iy = int(x), int(y)
                a, b = x - np.float32(ix), y - np.float32(iy)
                f00x, f01x = forward[iy, ix, 0], forward[iy, ix + 1, 0]
                f10x, f11x = forward[iy + 1, ix, 0], forward[iy + 1, ix + 1, 0]
                f00y, f01y = forward[iy, ix, 1], forward[iy, ix + 1, 1]
                f10y, f11y = forward[iy + 1, ix, 1], forward[iy + 1, ix + 1, 1]
                topx, botx = f00x + a * (f01x - f00x), f10x + a * (f11x - f10x)
                topy, boty = f00y + a * (f01y - f00y), f10y + a * (f11y - f10y)
                ex = dx + topx + b * (botx - topx)
                ey = dy + topy + b * (boty - topy)
                if ex * ex + ey * ey < 1e-4:
                    break
                jxx = one + ((one - b) * (f01x - f00x) + b * (f11x - f10x)) / step
                jyx = ((one - b) * (f01y - f00y) + b * (f11y - f10y)) / step
                jxy = (botx - topx) / step
                jyy = one + (boty - topy) / step
                det = max(jxx * jyy - jxy * jyx, np.float32(0.25))
                dx -= (jyy * ex - jxy * ey) / det
                dy -= (jxx * ey - jyx * ex) / det
            if dx * dx + dy * dy < 1e-6:
                dx, dy = np.float32(0), np.float32(0)
            inverse[gy, gx, 0] = dx
            inverse[gy, gx, 1] = dy


@kernel(nb.void(_2d, _2d, _1d, _2d, _f, _3d))
def turn_head(depth: Any, weight: Any, pivot: Any, turn: Any, step: Any, forward: Any) -> None:
    """Displacement of the picture when the head turns.

    Args:
        depth, weight: ``[gh, gw]``: pixels away from the camera; share of the turn in [0, 1].
        pivot: ``[3]``.  turn: ``[3, 3]`` rotation.
        step: pixels between nodes.
        forward: ``[gh, gw, 2]``, written.
    """
    gh, gw = depth.shape
    for gy in range(gh):
        for gx in range(gw):
            w = weight[gy, gx]
            x = np.float32(gx) * step - pivot[0]
            y = np.float32(gy) * step - pivot[1]
            z = depth[gy, gx] - pivot[2]
            forward[gy, gx, 0] = w * (turn[0, 0] * x + turn[0, 1] * y + turn[0, 2] * z - x)
            forward[gy, gx, 1] = w * (turn[1, 0] * x + turn[1, 1] * y + turn[1, 2] * z - y)
