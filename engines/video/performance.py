"""What a portrait is to do, as the generator is told it: keypoints in its own pose, and a head.

Controls say so directly. Keypoints measured in a video have the head's turn, place and nearness in
them; these are taken out again, to be put back with the picture (`engines.video.render_frames`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from core import (
    F32,
    KEYPOINT_SLICES,
    KEYPOINTS,
    MOUTH_CHANNELS,
    POSE_SLICE,
    ControlTrack,
    KeypointTrack,
    Portrait,
)
from engines.video.regions import Regions
from engines.video.render_frames import Head
from face import FaceModel, rotation

_SIDES: Final = ("left", "right")
_CORNERS: Final = {
    side: [KEYPOINT_SLICES[f"lid_{side}"].start + k for k in (0, 8)] for side in _SIDES
}
"The corners of each eye's lids among the keypoints: expressions do not move them."
_ALL_CORNERS: Final = [k for corners in _CORNERS.values() for k in corners]
_NO_DEPTH: Final = 0.2
"Smallest determinant of a turned face's plane; a profile has none (free)."


@dataclass(frozen=True, slots=True, eq=False)
class Performance:
    """T video frames of what to do, beside the sound."""

    points: F32
    "float32 ``[T, 62, 2]``: keypoints in the portrait's own pose, pixels of its crop."
    felt: F32
    "float32 ``[T, 9]``: the mouth that the expression asks for beside speech."
    heads: tuple[Head, ...]
    "T heads, their shifts in pixels of the frames."

    def __post_init__(self) -> None:
        count = len(self.heads)
        for name, shape in (
            ("points", (count, len(KEYPOINTS), 2)),
            ("felt", (count, len(MOUTH_CHANNELS))),
        ):
            array: F32 = getattr(self, name)
            if array.shape != shape or not np.isfinite(array).all():
                raise ValueError(f"{name}: expected finite {list(shape)}, got {list(array.shape)}")

    def __len__(self) -> int:
        return len(self.heads)


def from_controls(
    portrait: Portrait, controls: ControlTrack, mouth: F32, felt: F32 | None = None
) -> Performance:
    """Play controls.

    Args:
        portrait: Who does it.
        controls: T rows; their pose is the head's.
        mouth: float32 ``[T, 9]``: the whole mouth, of speech and expression: it moves the face a
            little as far up as the eyes.
        felt: float32 ``[T, 9]``: the expression's share of it; None is none.
    """
    points = FaceModel.from_mesh(portrait.mesh).deform(controls.values, mouth)
    heads = tuple(Head.turned(pose) for pose in controls.values[:, POSE_SLICE])
    still = np.zeros((len(controls), len(MOUTH_CHANNELS)), np.float32)
    felt = still if felt is None else felt
    return Performance(np.ascontiguousarray(points[:, list(KEYPOINTS), :2]), felt, heads)


def from_keypoints(
    portrait: Portrait, keypoints: KeypointTrack, pose: F32, size: int
) -> Performance:
    """Do what was measured.

    Place and nearness of the head come from the corners of the lids. What is left of the head in
    the keypoints (the pose is measured, too) is taken out for each eye by its own corners.

    Args:
        portrait: Who does it.
        keypoints: T rows, pixels of the portrait's crop.
        pose: float32 ``[T, 3]``: pitch, yaw, roll against the portrait, degrees.
        size: Of the frames, pixels.
    """
    face = FaceModel.from_mesh(portrait.mesh)
    rest = face.neutral[list(KEYPOINTS)] - face.pivot
    turns = rotation(pose)[:, :2]
    turned = rest @ turns.swapaxes(1, 2)
    seen = keypoints.points - face.pivot[:2]
    scale, shift = _placed(turned[:, _ALL_CORNERS], seen[:, _ALL_CORNERS])
    flat = (seen - shift[:, None]) / scale[:, None, None] - rest[:, 2, None] * turns[:, None, :, 2]
    points = (flat @ _inverse(turns[..., :2]).swapaxes(1, 2)).astype(np.float32)
    for side in _SIDES:
        corners = _CORNERS[side]
        away = (rest[corners, :2] - points[:, corners]).mean(axis=1, keepdims=True)
        for part in ("lid", "brow", "iris"):
            points[:, KEYPOINT_SLICES[f"{part}_{side}"]] += away
    shift = shift * np.float32(size / portrait.size)
    heads = tuple(
        Head(row, moved, float(near)) for row, moved, near in zip(pose, shift, scale, strict=True)
    )
    felt = np.zeros((len(heads), len(MOUTH_CHANNELS)), np.float32)
    return Performance(points + face.pivot[:2], felt, heads)


def in_regions(points: F32, portrait: Portrait) -> F32:
    """Keypoints ``[..., 62, 2]`` of the crop in region coordinates, ``[..., 3, 62, 2]``."""
    inside = Regions.of(portrait.mesh).to_region(points)
    return np.ascontiguousarray(np.moveaxis(inside, 0, -3), np.float32)


def _placed(model: F32, seen: F32) -> tuple[F32, F32]:
    """Scale ``[T]`` and shift ``[T, 2]`` that bring points ``[T, n, 2]`` to where they are seen."""
    centre, goal = model.mean(axis=1), seen.mean(axis=1)
    size = np.linalg.norm(model - centre[:, None], axis=-1).mean(axis=1)
    spread = np.linalg.norm(seen - goal[:, None], axis=-1).mean(axis=1)
    scale = (spread / np.maximum(size, 1e-6)).astype(np.float32)
    scale = np.maximum(scale, np.float32(1e-3))
    return scale, (goal - scale[:, None] * centre).astype(np.float32)


def _inverse(planes: F32) -> F32:
    """Inverses ``[T, 2, 2]`` of how the face's plane is seen; of a profile, as if less turned."""
    a, b, c, d = (planes[:, i, j] for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)))
    det = np.maximum(a * d - b * c, _NO_DEPTH)
    rows = np.stack([np.stack([d, -b], -1), np.stack([-c, a], -1)], -2)
    out: F32 = (rows / det[:, None, None]).astype(np.float32)
    return out
