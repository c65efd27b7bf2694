"""Generated regions back into the picture, and the picture onto the turning head.

Regions are generated in the portrait's own pose. Pasted there, they turn with the head: the whole
picture is warped by the field the puppet uses (`engines.warp.turn_head`), so eyes and mouth stay
part of the face around them. Where a region is as in the portrait, the portrait itself is shown:
it has more pixels, so skin keeps its pores. The picture is kept at twice its size, where a bilinear
sample is nearly as sharp as a cubic one in the picture itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numba as nb
import numpy as np
import numpy.typing as npt

from core import F32, U8, Portrait
from engines import warp
from engines.puppet import bounded_pose
from engines.rig import Rig, build_rig
from engines.video.regions import Regions, feather
from face import rotation

SHIFT_LIMIT: Final = 0.08
"Of the picture's side: further, neck and background smear (free)."
SCALE_LIMIT: Final = (0.85, 1.18)
SAME, OTHER = 3.0, 12.0
"""Grey levels, of means over 4 by 4 pixels, by which a region differs from the portrait's own: up
to the first the portrait is shown, from the second on the region alone (free)."""
CELLS: Final = 24
"A side of those means."
COARSE: Final = 0.6
"Pixels of the frame to one of a region, below which regions are made smaller first (free)."
_2d, _3d, _u8 = nb.float32[:, ::1], nb.float32[:, :, ::1], nb.uint8[:, :, ::1]
_NO_MAP: Final = np.empty(0, np.float32)
"The source's x and y lie in one array."


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Where the head is, against the portrait."""

    pose: F32
    "float32 ``[3]``: pitch, yaw, roll in degrees, as in `core.CHANNELS`."
    shift: F32
    "float32 ``[2]``: x, y in pixels of the frame."
    scale: float = 1.0
    "Above 1 where it came nearer; about the same point at which it turns."

    @classmethod
    def turned(cls, pose: F32) -> Head:
        """A head that turns where it is."""
        return cls(np.asarray(pose, np.float32), np.zeros(2, np.float32))

    def bounded(self, size: int) -> Head:
        """Within what a single picture can bear; numbers that are not finite count as rest."""
        pose = bounded_pose(np.nan_to_num(self.pose, posinf=0, neginf=0))
        most = SHIFT_LIMIT * size
        shift = np.clip(np.nan_to_num(self.shift, posinf=0, neginf=0), -most, most)
        scale = float(np.clip(self.scale, *SCALE_LIMIT)) if np.isfinite(self.scale) else 1.0
        return Head(pose.astype(np.float32), shift.astype(np.float32), scale)


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where one region goes in the double-size picture."""

    box: tuple[slice, slice]
    side: int
    "Pixels of the region to paste; below its own where a small frame would skip some."
    matrix: npt.NDArray[np.float64]
    "``[2, 3]``: those pixels to the box's."
    coarse: npt.NDArray[np.float64]
    "``[2, 3]``: the region's `CELLS` to the box's pixels."
    weight: F32
    "float32 ``[h, w]``: share of the region."
    under: U8
    "The portrait in the box."

    @property
    def corner(self) -> tuple[int, int]:
        """Top and left of the box."""
        return self.box[0].start, self.box[1].start


def scaled(points: F32, portrait: Portrait, size: int) -> F32:
    """Points of the portrait's crop, float32 ``[..., 2 or 3]``, in a frame of another size.

    Centres of pixels are whole numbers in both, as in `engines.rig.build_rig`.
    """
    factor = np.float32(size / portrait.size)
    out: F32 = np.asarray(points, np.float32) * factor
    out[..., :2] += (factor - 1) / 2
    return out


def regions_of(portrait: Portrait, size: int) -> Regions:
    """The regions of a portrait in frames of one size."""
    return Regions.of(scaled(portrait.mesh, portrait, size))


class PortraitCanvas:
    """Frames of one portrait at one size. Owns its buffers: one canvas a session."""

    def __init__(self, portrait: Portrait, size: int = 512, rig: Rig | None = None) -> None:
        """Args:
            portrait: Whose picture it is.
            size: Side of the frames, pixels; 128 to 1024.
            rig: The portrait's at this size, where it is at hand; shared, not changed.

        Raises:
            ValueError: Another size.
        """
        rig = rig or build_rig(portrait, size)
        self.size = size
        self.picture: Final = rig.crop
        "uint8 ``[size, size, 3]``: the portrait."
        self.regions: Final = regions_of(portrait, size)
        self.reference: Final = regions_of(portrait, portrait.size).cut(portrait.crop)
        "uint8 ``[3, SIDE, SIDE, 3]``: its regions at their best, whatever the size of the frames."
        self._depth, self._weight, self._pivot = rig.depth, rig.weight, rig.face.pivot
        self._step = size / (rig.depth.shape[0] - 1)
        self._field = np.zeros((*rig.depth.shape, 2), np.float32)
        self._undo = np.zeros_like(self._field)
        self._wide = _doubled(rig.crop)
        self._places = _places(self.regions, self._wide, self.reference.shape[1])
        self._means = [_means(crop) for crop in self.reference]
        self._row = np.zeros(self._field.shape[1:], np.float32)
        self._source = np.zeros((size, size, 2), np.float32)

    @property
    def pivot(self) -> F32:
        """float32 ``[3]``: where the head turns, pixels of the frame."""
        return self._pivot

    def render(self, crops: U8, head: Head | None = None, out: U8 | None = None) -> U8:
        """One frame.

        Args:
            crops: uint8 ``[3, side, side, 3]``, as `Regions.cut` gives them (``side`` as
                ``reference`` has it).
            head: Clamped to what a single picture can bear; None is the portrait's own.
            out: uint8 ``[size, size, 3]``, written and returned; None for a new one.

        Raises:
            ValueError: Other shapes.
        """
        if crops.shape != self.reference.shape or crops.dtype != np.uint8:
            raise ValueError(f"crops: expected uint8 {list(self.reference.shape)}")
        if out is None:
            out = np.empty_like(self.picture)
        elif out.shape != self.picture.shape or out.dtype != np.uint8:
            raise ValueError(f"out: expected uint8 {list(self.picture.shape)}")
        self._paste(crops)
        if head is None or not self._turn(head.bounded(self.size)):
            side = (self.size, self.size)
            cv2.resize(self._wide, side, out, interpolation=cv2.INTER_NEAREST)  # even samples
            return out
        how = (cv2.INTER_LINEAR, out, cv2.BORDER_REFLECT_101)
        cv2.remap(self._wide, self._source, _NO_MAP, *how)
        return out

    def _paste(self, crops: U8) -> None:
        for place in self._places:
            self._wide[place.box] = place.under
        for crop, own, place in zip(crops, self._means, self._places, strict=True):
            changed = _changed(_means(crop), own)
            height, width = place.weight.shape
            if place.side != len(crop):
                crop = cv2.resize(crop, (place.side,) * 2, interpolation=cv2.INTER_AREA)
            part = cv2.warpAffine(
                crop, place.matrix, (width, height),
                flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
            )  # fmt: skip
            share = cv2.warpAffine(
                changed, place.coarse, (width, height),
                flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE,
            )  # fmt: skip
            _blend(part, np.asarray(share, np.float32), place.weight, *place.corner, self._wide)

    def _turn(self, head: Head) -> bool:
        """Find where each pixel of the frame is in the double-size picture; False at rest."""
        if not head.pose.any() and not head.shift.any() and head.scale == 1:
            return False
        turn = (rotation(head.pose) * np.float32(head.scale)).astype(np.float32)
        warp.turn_head(self._depth, self._weight, self._pivot, turn, self._step, self._field)
        if head.shift.any():
            self._field += self._weight[..., None] * head.shift
        warp.invert(self._field, self._step, self._undo)
        _find(self._undo, self._step, self._row, self._source)
        return True


@warp.kernel(nb.void(_u8, _2d, _2d, nb.int64, nb.int64, _u8))
def _blend(part: Any, share: Any, weight: Any, top: Any, left: Any, out: Any) -> None:
    """Lay ``part`` ``[h, w, 3]`` over a box of ``out``, as strong as ``share`` times ``weight``."""
    for y in range(part.shape[0]):
        for x in range(part.shape[1]):
            strength = np.int32(share[y, x] * weight[y, x] * np.float32(256) + np.float32(0.5))
            if strength > 0:
                for k in range(3):
                    under = np.int32(out[top + y, left + x, k])
                    moved = (np.int32(part[y, x, k]) - under) * strength + np.int32(128)
                    out[top + y, left + x, k] = np.uint8(under + (moved >> np.int32(8)))


@warp.kernel(nb.void(_3d, nb.float32, _2d, _3d))
def _find(undo: Any, step: Any, row: Any, source: Any) -> None:
    """Where each pixel of a frame is in the double-size picture.

    Args:
        undo: ``[n, n, 2]``: displacement towards the picture, at nodes ``step`` pixels apart.
        step: Pixels between nodes.
        row: ``[n, 2]`` scratch.
        source: ``[size, size, 2]``, written.
    """
    last = undo.shape[0] - 2
    two, near = np.float32(2), np.float32(1) / step
    for y in range(source.shape[0]):
        at = np.float32(y) * near
        top = min(int(at), last)
        part = at - np.float32(top)
        for i in range(last + 2):
            for k in range(2):
                here = undo[top, i, k]
                row[i, k] = two * (here + part * (undo[top + 1, i, k] - here))
        for x in range(source.shape[1]):
            at = np.float32(x) * near
            left = min(int(at), last)
            part = at - np.float32(left)
            for k in range(2):
                here = row[left, k]
                moved = here + part * (row[left + 1, k] - here)
                source[y, x, k] = moved + two * np.float32(y if k else x)


def _means(crop: U8) -> U8:
    return np.asarray(cv2.resize(crop, (CELLS, CELLS), interpolation=cv2.INTER_AREA), np.uint8)


def _changed(means: U8, own: U8) -> F32:
    """How much of a region to show, float32 ``[CELLS, CELLS]`` in [0, 1]."""
    # What is next to a change has changed: half a lid would be worse than soft skin.
    apart = cv2.dilate(cv2.absdiff(means, own).max(axis=2), np.ones((3, 3), np.uint8))
    ramp = np.clip((apart.astype(np.float32) - SAME) / (OTHER - SAME), 0, 1)
    return np.asarray(cv2.blur(ramp, (3, 3)), np.float32)


def _doubled(picture: U8) -> U8:
    """A picture at twice its size; even samples are its own."""
    side = 2 * picture.shape[0]
    matrix = np.array([[2, 0, 0], [0, 2, 0]], np.float64)
    double = cv2.warpAffine(
        picture, matrix, (side, side), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE
    )
    double[::2, ::2] = picture
    return np.ascontiguousarray(double, np.uint8)


def _places(regions: Regions, wide: U8, side: int) -> list[_Place]:
    """Where the regions go. Where they overlap, each fades into the ones before."""
    double = Regions(regions.centres * 2, regions.halves * 2)
    return [_place(double, k, wide, side) for k in range(3)]


def _place(regions: Regions, k: int, wide: U8, side: int) -> _Place:
    height, width = wide.shape[:2]
    x, y = (float(v) for v in regions.centres[k])
    half = float(regions.halves[k])
    left, top = int(np.clip(x - half, 0, width - 1)), int(np.clip(y - half, 0, height - 1))
    right = int(np.clip(x + half + 1, left + 1, width))
    bottom = int(np.clip(y + half + 1, top + 1, height))
    if half < COARSE * side:
        side = max(round(half), 2)
    matrix, coarse = (np.array(regions.from_region(k, n), np.float64) for n in (side, CELLS))
    matrix[:, 2] -= (left, top)
    coarse[:, 2] -= (left, top)
    weight = cv2.warpAffine(
        feather(side), matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR
    )
    weight = np.asarray(weight, np.float32).reshape(bottom - top, right - left)
    box = (slice(top, bottom), slice(left, right))
    under = np.ascontiguousarray(wide[box])
    return _Place(box, side, matrix, coarse, weight, under)
