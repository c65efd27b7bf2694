"""Where in a film mouth and eyes are, so that a judge can be shown them large."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from core import BROW_LEFT, BROW_RIGHT, F32, LID_LEFT, LID_RIGHT, U8
from engines.landmarks import FaceMesh
from face import CHIN, LIP_CORNERS, LIP_LOWER_INNER, LIP_UPPER_INNER

Part: TypeAlias = Literal["mouth", "eyes", "whole"]
EVERY: Final = 5
"Of the film's pictures the face is measured in one in so many: 0.4 s apart (free)."
MOST: Final = 24
"Pictures measured at most."
ROOM: Final = {"mouth": 1.9, "eyes": 1.3, "whole": 1.0}
"Width of the box in widths of the part."
TALL: Final = {"mouth": 0.8, "eyes": 0.5, "whole": 1.0}
"Height of the box in widths of the box."
GUESS: Final = {"mouth": (0.5, 0.66, 0.40), "eyes": (0.5, 0.44, 0.50)}
"""Middle and width of the box in shares of the picture where no face is found: about where they
are in a head-and-shoulders crop (free)."""
_POINTS: Final[dict[str, list[int]]] = {
    "mouth": [*LIP_CORNERS, *LIP_UPPER_INNER, *LIP_LOWER_INNER],
    "eyes": [*LID_LEFT, *LID_RIGHT, *BROW_LEFT, *BROW_RIGHT],
}


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """How a face moves through a film: a few pictures measured, the others in between."""

    at: npt.NDArray[np.int64]
    "int64 ``[K]``: numbers of pictures, increasing."
    meshes: F32
    "float32 ``[K, 478, 3]``."


def follow(pictures: Sequence[U8], mesh: FaceMesh) -> Course | None:
    """Measure the face in some of the pictures; None where it is seen in none of them."""
    count = min(MOST, max(2, len(pictures) // EVERY + 1))
    at, meshes = [], []
    for k in dict.fromkeys(np.linspace(0, len(pictures) - 1, count).round().astype(int).tolist()):
        faces = mesh.detect(pictures[k], thorough=False)
        if faces:
            at.append(k)
            meshes.append(faces[0])
    return Course(np.array(at), np.stack(meshes)) if at else None


def crops(pictures: Sequence[U8], course: Course | None, part: Part, width: int) -> list[U8]:
    """A part of every picture, the box going along with the face, its size held.

    Args:
        pictures: uint8 RGB ``[H, W, 3]``, all of one size.
        course: Where the face is.
        part: What is cut out.
        width: Of what is returned, pixels.

    Returns:
        uint8 ``[round(width × TALL), width, 3]`` each.
    """
    high, wide = pictures[0].shape[:2]
    if part == "whole":
        tall = max(1, round(width * high / wide))
        return [
            np.asarray(cv2.resize(p, (width, tall), interpolation=cv2.INTER_AREA), np.uint8)
            for p in pictures
        ]
    centres, side = _box(course, part, len(pictures), (wide, high))
    tall = round(width * TALL[part])
    scale = width / side
    out = []
    for picture, (x, y) in zip(pictures, centres, strict=True):
        view = np.array([[scale, 0, width / 2 - scale * x], [0, scale, tall / 2 - scale * y]])
        crop = cv2.warpAffine(
            picture, view, (width, tall), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        out.append(np.asarray(crop, np.uint8))
    return out


def _box(
    course: Course | None, part: str, count: int, size: tuple[int, int]
) -> tuple[npt.NDArray[np.float64], float]:
    """Middles ``[count, 2]`` and the width of the boxes, pixels."""
    if course is None:
        x, y, share = GUESS[part]
        middle = np.array([x * size[0], y * size[1]])
        return np.tile(middle, (count, 1)), share * size[0]
    points = course.meshes[:, _POINTS[part], :2].astype(np.float64)
    # The widest: of a head that turns away the part looks narrower than it is.
    side = ROOM[part] * float(np.ptp(points[..., 0], axis=1).max())
    middles = (points.min(axis=1) + points.max(axis=1)) / 2
    if part == "mouth":
        # Half-way to the chin there is room for a jaw that drops; the box holds on to corners,
        # so that it does not go up and down with the lower lip.
        corners = course.meshes[:, list(LIP_CORNERS), :2].mean(axis=1)
        middles = corners + 0.2 * (course.meshes[:, CHIN, :2] - corners)
    every = np.arange(count)
    return np.stack([np.interp(every, course.at, middles[:, k]) for k in (0, 1)], axis=1), side
