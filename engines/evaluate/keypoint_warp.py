"""The bare warp: a portrait bent by a thin-plate spline until its keypoints are where they should.

Knows nothing of eyes: lids that close squeeze the iris, and gaze drags the lids along. It is what
a generator must be better than.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from core import F32, KEYPOINTS, U8, KeypointTrack, Portrait
from engines.rig import build_rig

GRID: Final = 33
"Nodes a side at which the spline is evaluated; between them it is nearly linear."
BORDER: Final = 5
"Anchors a side along the picture's border, which stays where it is."
STIFFNESS: Final = 1e-3
"Regularisation, of coordinates in shares of the picture: neighbours a pixel apart may disagree."
F64 = npt.NDArray[np.float64]


class KeypointWarp:
    """Warps one portrait. Immutable but for numpy's own caches."""

    def __init__(self, portrait: Portrait, size: int) -> None:
        """Args:
        portrait: Whose picture is bent.
        size: Side of the frames, pixels.
        """
        self.size = size
        self._picture = build_rig(portrait, size).crop
        self._scale = 1 / portrait.size
        self._rest = portrait.mesh[list(KEYPOINTS), :2].astype(np.float64) * self._scale
        edge = np.linspace(0, 1, BORDER)
        self._border = np.array([(x, y) for x in edge for y in edge if {x, y} & {0.0, 1.0}])
        nodes = np.linspace(0, 1, GRID)
        self._nodes = np.stack(np.meshgrid(nodes, nodes), axis=-1).reshape(-1, 2)
        # Where the centres of pixels lie among the nodes.
        at = ((np.arange(size) + 0.5) / size * (GRID - 1)).astype(np.float32)
        self._across, self._down = np.meshgrid(at, at)

    def render(self, keypoints: KeypointTrack) -> U8:
        """Frames uint8 RGB ``[T, S, S, 3]`` with their keypoints at ``[T, 62, 2]``."""
        out = np.empty((len(keypoints), self.size, self.size, 3), np.uint8)
        goal = np.concatenate([self._rest, self._border])
        for points, frame in zip(keypoints.points, out, strict=True):
            moved = np.concatenate([points.astype(np.float64) * self._scale, self._border])
            # Backwards: where each pixel of the frame comes from.
            source = _spline(moved, goal, self._nodes).reshape(GRID, GRID, 2) * self.size - 0.5
            flow = cv2.remap(source.astype(np.float32), self._across, self._down, cv2.INTER_LINEAR)
            x, y = (np.ascontiguousarray(flow[..., k]) for k in (0, 1))
            cv2.remap(self._picture, x, y, cv2.INTER_LINEAR, frame, cv2.BORDER_REPLICATE)
        return out


def _spline(sources: F64, targets: F64, at: F64) -> F32:
    """The thin-plate spline from ``sources`` to ``targets`` (Bookstein 1989) at ``at`` [n, 2]."""
    n = len(sources)
    plane = np.concatenate([np.ones((n, 1)), sources], axis=1)
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = _kernel(sources, sources) + STIFFNESS * np.eye(n)
    system[:n, n:], system[n:, :n] = plane, plane.T
    weights = np.linalg.lstsq(system, np.concatenate([targets, np.zeros((3, 2))]), rcond=1e-12)[0]
    bent = _kernel(at, sources) @ weights[:n]
    mapped: F32 = bent + weights[n] + at @ weights[n + 1 :]
    return mapped


def _kernel(a: F64, b: F64) -> F64:
    squared = ((a[:, None] - b[None]) ** 2).sum(-1)
    out: F64 = squared * np.log(np.maximum(squared, 1e-300))
    return out
