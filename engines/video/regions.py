"""The three parts of a portrait that are generated: two eyes with their brows, and the mouth.

A portrait moves little elsewhere before its head turns, so nothing else is. Each region is a
square around fixed points of the portrait's own mesh, brought to `SIDE` pixels, whatever the size
of the picture; the person's left eye is mirrored, so that the networks see one kind of eye.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from core import BROW_LEFT, BROW_RIGHT, F32, LID_LEFT, LID_RIGHT, U8
from face import CHIN, OUTER_CANTHAL_MM

SIDE: Final = 96
"Pixels of a canonical region: about what the eyes have in a picture of 512."
REGIONS: Final = ("eye_left", "eye_right", "mouth")
MIRRORED: Final = (True, False, False)
EYE_MM: Final = 27.0
"Half the side of an eye's region: lids, lashes and the brow at its highest."
MOUTH_MM: Final = 49.0
"Half the side of the mouth's region: the chin stays inside at a full drop of the jaw."
FEATHER: Final = 0.16
"Of the side: the border over which a region fades into the portrait."
LIPS: Final = (13, 14)


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Where the regions of one portrait are, in pixels of one picture size."""

    centres: F32
    "float32 ``[3, 2]``: x, y."
    halves: F32
    "float32 ``[3]``: half the side."

    @classmethod
    def of(cls, mesh: F32, scale: float = 1.0) -> Regions:
        """The regions of a portrait.

        Args:
            mesh: float32 ``[478, 3]``: the portrait's own mesh, in its own pose.
            scale: Pixels of the picture to a pixel of the mesh.
        """
        xy = mesh[:, :2]
        # Outer corners in three dimensions: a turned head is not a smaller one.
        mm = float(np.linalg.norm(mesh[263] - mesh[33])) / OUTER_CANTHAL_MM
        centres = []
        for lid, brow in ((LID_LEFT, BROW_LEFT), (LID_RIGHT, BROW_RIGHT)):
            eye = xy[[lid[0], lid[8]]].mean(axis=0)
            # A third of the way up to the brow, whose raising needs room above it.
            centres.append(eye + 0.4 * (xy[list(brow)].mean(axis=0) - eye))
        lips = xy[list(LIPS)].mean(axis=0)
        centres.append(lips + 0.4 * (xy[CHIN] - lips))
        halves = np.array([EYE_MM, EYE_MM, MOUTH_MM], np.float32) * mm
        return cls(np.array(centres, np.float32) * scale, (halves * scale).astype(np.float32))

    def to_region(self, points: F32) -> F32:
        """Points of the picture, float32 ``[..., 2]``, in each region: ``[3, ..., 2]``.

        Coordinates run from -1 to 1 across a region, mirrored where the region is.
        """
        shape = (3,) + (1,) * (points.ndim - 1)
        out: F32 = (points[None] - self.centres.reshape(*shape, 2)) / self.halves.reshape(*shape, 1)
        out[np.array(MIRRORED), ..., 0] *= -1
        return out

    def cut(self, frame: U8, side: int = SIDE) -> U8:
        """The regions of a picture, uint8 ``[H, W, 3]`` to ``[3, side, side, 3]``."""
        out = np.empty((3, side, side, 3), np.uint8)
        for k in range(3):
            cv2.warpAffine(
                frame, self.from_region(k, side), (side, side), out[k],
                cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE,
            )  # fmt: skip
        return out

    def paste(self, crops: U8, frame: U8) -> U8:
        """Put regions back into a picture, in place, fading at their borders.

        Args:
            crops: uint8 ``[3, side, side, 3]``, as `cut` gives them.
            frame: uint8 ``[H, W, 3]``, contiguous; changed and returned.
        """
        side = crops.shape[1]
        mask = feather(side)
        height, width = frame.shape[:2]
        for k in range(3):
            x, y = self.centres[k]
            half = float(self.halves[k])
            left, top = max(int(x - half), 0), max(int(y - half), 0)
            right, bottom = min(int(x + half) + 1, width), min(int(y + half) + 1, height)
            if right <= left or bottom <= top:
                continue
            shift = np.array([[0, 0, left], [0, 0, top]], np.float64)
            matrix = self.from_region(k, side) - shift
            size = (right - left, bottom - top)
            part = cv2.warpAffine(crops[k], matrix, size, flags=cv2.INTER_LINEAR)
            weight = cv2.warpAffine(mask, matrix, size, flags=cv2.INTER_LINEAR)[..., None]
            under = frame[top:bottom, left:right]
            under[:] = (under + weight * (part.astype(np.float32) - under) + 0.5).astype(np.uint8)
        return frame

    def from_region(self, k: int, side: int) -> F32:
        """Affine map ``[2, 3]`` from a region's pixels to the picture's, centres at integers."""
        step = 2 * float(self.halves[k]) / side
        across = -step if MIRRORED[k] else step
        x, y = self.centres[k]
        middle = (side - 1) / 2
        return np.array([[across, 0, x - across * middle], [0, step, y - step * middle]])


def feather(side: int) -> F32:
    """Weight of a region's pixels in the picture, float32 ``[side, side]``."""
    edge = np.minimum(np.arange(side) + 0.5, side - np.arange(side) - 0.5) / (FEATHER * side)
    ramp = np.clip(edge, 0, 1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    weight: F32 = np.outer(ramp, ramp).astype(np.float32)
    return weight
