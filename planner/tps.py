"""Thin-plate splines: the smoothest map of the plane that takes given points to given points.

Source: Bookstein 1989, Principal warps, IEEE Trans PAMI 11(6).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core import F32
from planner.motion import F64


@dataclass(frozen=True, slots=True, eq=False)
class ThinPlateSpline:
    """A fitted spline. Build it with `fit`."""

    sources: F64
    "float64 ``[n, 2]``: the points it was fitted at, normalised."
    centre: F64
    scale: float
    weights: F64
    "float64 ``[n, 2]``: how far each point bends the plane."
    affine: F64
    "float64 ``[3, 2]``: offset, then the linear part."

    @classmethod
    def fit(cls, sources: F32, targets: F32, *, regularisation: float = 1e-3) -> ThinPlateSpline:
        """The spline from ``sources`` to ``targets``.

        Args:
            sources: float32 ``[n, 2]``, n >= 3.
            targets: float32 ``[n, 2]``.
            regularisation: 0 passes through every target; larger values bend less and tolerate
                noise and coinciding points. Independent of the unit of the coordinates.

        Raises:
            ValueError: for other shapes or too few points.
        """
        if sources.ndim != 2 or sources.shape[1] != 2 or sources.shape != targets.shape:
            raise ValueError(f"expected two [n, 2], got {sources.shape} and {targets.shape}")
        if len(sources) < 3:
            raise ValueError(f"a plane needs 3 points, got {len(sources)}")
        x, y = sources.astype(np.float64), targets.astype(np.float64)
        centre = x.mean(0)
        scale = max(float(np.sqrt(((x - centre) ** 2).sum(1).mean())), 1e-9)
        x = (x - centre) / scale
        n = len(x)
        plane = np.concatenate([np.ones((n, 1)), x], 1)
        system = np.zeros((n + 3, n + 3))
        system[:n, :n] = _kernel(x, x) + regularisation * np.eye(n)
        system[:n, n:] = plane
        system[n:, :n] = plane.T
        right = np.concatenate([y, np.zeros((3, 2))])
        # lstsq: points on a line leave the affine part open, and any answer will do.
        solution = np.linalg.lstsq(system, right, rcond=1e-12)[0]
        return cls(x, centre, scale, solution[:n], solution[n:])

    def __call__(self, points: F32) -> F32:
        """``points`` mapped: float32 ``[..., 2]`` to the same shape."""
        x = (points.reshape(-1, 2).astype(np.float64) - self.centre) / self.scale
        mapped = self.affine[0] + x @ self.affine[1:] + _kernel(x, self.sources) @ self.weights
        out: F32 = mapped.reshape(points.shape).astype(np.float32)
        return out


def _kernel(a: F64, b: F64) -> F64:
    """``r² log r²`` between all of ``a`` and ``b``."""
    squared = ((a[:, None] - b[None]) ** 2).sum(-1)
    out: F64 = squared * np.log(np.maximum(squared, 1e-300))
    return out
