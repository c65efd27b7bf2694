"""A portrait made ready for the puppet: everything that does not change from frame to frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from core import F32, I32, U8, Portrait
from engines.edges import lips_meet, snap_closed, snap_lower_lids, snap_open
from engines.eyeball import EyeLayer, build_eye
from engines.glasses import glasses_share
from engines.head import build_head
from engines.mouth_interior import MouthLayer, build_mouth
from face import FIELDS, FaceModel, Slit

NODES = 257
"Nodes per side of the expression grid: one in two pixels at 512."
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
BROWS = ("AU1_L", "AU1_R", "AU2_L", "AU2_R", "AU4")
SKIN, EYE_LEFT, EYE_RIGHT, MOUTH, SKIN_LOWER = 1, 2, 3, 4, 5


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """Displacement fields on the grid, each cut to where it is not zero."""

    boxes: I32
    "int32 ``[K, 6]``: y0, y1, x0, x1 (nodes), offset into ``data``, 1 where the sides differ."
    data: F32
    "Flat: per field ``[y1 - y0, x1 - x0, 2]`` pixels; the lower side after the upper."


@dataclass(frozen=True, slots=True, eq=False)
class Rig:
    """A portrait ready to render at one size. Immutable, shared by all its puppets."""

    size: int
    face: FaceModel
    "In pixels of this size."
    crop: U8
    "uint8 ``[size, size, 3]`` RGB."
    wide: npt.NDArray[np.uint64]
    "uint64 ``[2 size, 2 size]``: the crop at twice the size, channels at bits 0, 21 and 42."
    fields: Fields
    zones: npt.NDArray[np.uint8]
    "uint8 ``[NODES, NODES]``: as `engines.paint.paint` reads it."
    eyes: tuple[EyeLayer, EyeLayer]
    mouth: MouthLayer
    layers: F32
    """float32 ``[3, 4, h, w, 4]``: the four textures of both eyes and the mouth, padded to one
    size: one array, as passing many to a kernel costs more than painting with them."""
    slits: F32
    "float32 ``[3, 13]``: left eye, right eye, mouth, as `engines.paint` reads them."
    depth: F32
    weight: F32
    closed: bool
    "Whether the lips meet in the portrait."

    @property
    def step(self) -> float:
        """Pixels between nodes of the expression grid."""
        return self.size / (NODES - 1)


def build_rig(portrait: Portrait, size: int = 512) -> Rig:
    """Prepare a portrait; takes a fraction of a second.

    Args:
        portrait: The portrait.
        size: side of the rendered frames, pixels; 128 to 1024.

    Raises:
        ValueError: for another size.
    """
    if not 128 <= size <= 1024:
        raise ValueError(f"size: expected 128 to 1024, got {size}")
    scale = size / portrait.size
    crop = np.array(portrait.crop)
    if scale != 1:
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        crop = np.asarray(cv2.resize(crop, (size, size), interpolation=how), np.uint8)
    # Pixel centres are integers, so scaling goes about -0.5 (cv2.resize's convention).
    mesh = np.array(portrait.mesh)
    mesh[:, :2] = (mesh[:, :2] + 0.5) * scale - 0.5
    mesh[:, 2] *= scale
    face = FaceModel.from_mesh(mesh)
    closed = lips_meet(face.mouth)
    snap = snap_closed if closed else snap_open
    mesh = snap_lower_lids(crop, snap(crop, mesh, face.mouth), face.eyes)
    face = FaceModel.from_mesh(mesh)
    crop = np.ascontiguousarray(crop, np.uint8)
    eyes = (build_eye(crop, face, 0), build_eye(crop, face, 1))
    mouth = build_mouth(crop, face.mouth, closed, _tooth(crop, face, eyes), _lip(crop, face))
    fields, zones = _fields(face, size, 1 - 0.75 * glasses_share(crop, face))
    depth, weight = build_head(face, crop)
    slits = np.stack([_pack(slit) for slit in (*face.eyes, face.mouth)])
    return Rig(
        size,
        face,
        crop,
        _wide(crop),
        fields,
        zones,
        eyes,
        mouth,
        _stack(eyes, mouth),
        slits,
        depth,
        weight,
        closed,
    )


def _wide(crop: U8) -> npt.NDArray[np.uint64]:
    """The crop at twice the size (even samples are its own), one word a pixel."""
    side = crop.shape[0] * 2
    matrix = np.array([[2, 0, 0], [0, 2, 0]], np.float32)
    double = cv2.warpAffine(
        crop, matrix, (side, side), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE
    )
    double[::2, ::2] = crop
    red, green, blue = (double[..., i].astype(np.uint64) for i in range(3))
    return np.ascontiguousarray(red | green << np.uint64(21) | blue << np.uint64(42))


def _stack(eyes: tuple[EyeLayer, EyeLayer], mouth: MouthLayer) -> F32:
    groups = [(eye.white, eye.iris, eye.glint, eye.rest) for eye in eyes]
    groups.append((mouth.upper, mouth.lower, mouth.tongue, mouth.rest))
    height, width = np.max([group[0].shape[:2] for group in groups], axis=0)
    layers = np.zeros((3, 4, height, width, 4), np.float32)
    for i, group in enumerate(groups):
        for k, texture in enumerate(group):
            layers[i, k, : texture.shape[0], : texture.shape[1]] = texture
    return layers


def _pack(slit: Slit) -> F32:
    return np.array([*slit.centre, *slit.axis, slit.half, *slit.upper, *slit.lower], np.float32)


def _tooth(crop: U8, face: FaceModel, eyes: tuple[EyeLayer, EyeLayer]) -> F32:
    """A tooth in the portrait's light: as bright as the white of its eyes, a little warmer."""
    whites = np.concatenate([eye.white[..., :3].reshape(-1, 3) for eye in eyes])
    white = np.percentile(whites, 70, axis=0)
    cheeks = [face.neutral[i, :2] for i in (50, 280, 4, 151)]
    skin = np.stack([_mean_at(crop, point, face.mm * 3) for point in cheeks]).max(0)
    level = max(float(white @ LUMA), 0.9 * float(skin @ LUMA))
    tint = white / max(float(white @ LUMA), 1.0)
    colour = level * 1.06 * (0.6 * np.array([1.05, 1.0, 0.90]) + 0.4 * tint)
    return np.asarray(np.clip(colour, 60, 238), np.float32)


def _lip(crop: U8, face: FaceModel) -> F32:
    points = [face.neutral[i, :2] for i in (15, 85, 315, 11)]
    return np.asarray(
        np.median([_mean_at(crop, point, face.mm * 2) for point in points], axis=0), np.float32
    )


def _mean_at(crop: U8, point: F32, radius: float) -> F32:
    size = crop.shape[0]
    r = max(int(radius), 1)
    x, y = (int(np.clip(v, r, size - r - 1)) for v in point)
    return np.asarray(crop[y - r : y + r + 1, x - r : x + r + 1].mean((0, 1)), np.float32)


def _fields(face: FaceModel, size: int, brows: float) -> tuple[Fields, npt.NDArray[np.uint8]]:
    grid = np.arange(NODES, dtype=np.float32) * (size / (NODES - 1))
    xy = np.stack(np.meshgrid(grid, grid), -1).reshape(-1, 2)
    yes = np.ones(len(xy), bool)
    upper = face.fields(xy, yes, yes).reshape(len(FIELDS), NODES, NODES, 2)
    lower = face.fields(xy, ~yes, ~yes).reshape(len(FIELDS), NODES, NODES, 2)
    boxes, data, at = [], [], 0
    moves, splits = np.zeros((2, NODES, NODES), bool)
    edge = np.minimum(np.arange(NODES), np.arange(NODES)[::-1])
    calm = np.clip(np.minimum(edge[:, None], edge[None]) / 12, 0, 1)[..., None]
    for name, up, low in zip(FIELDS, upper, lower, strict=True):
        share = calm * (brows if name in BROWS else 1.0)
        up, low = up * share, low * share
        mask = (np.abs(up).max(-1) > 0.01) | (np.abs(low).max(-1) > 0.01)
        moves |= mask
        splits |= np.abs(up - low).max(-1) > 0.005
        rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if not len(rows):
            boxes.append((0, 0, 0, 0, at, 0))
            continue
        y0, y1, x0, x1 = rows[0], rows[-1] + 1, cols[0], cols[-1] + 1
        split = not np.array_equal(up, low)
        boxes.append((y0, y1, x0, x1, at, int(split)))
        parts = (up, low) if split else (up,)
        for part in parts:
            data.append(part[y0:y1, x0:x1].ravel())
            at += data[-1].size
    packed = Fields(np.array(boxes, np.int32), np.concatenate(data).astype(np.float32))
    return packed, _zones(face, xy, moves, splits)


def _zones(
    face: FaceModel, xy: F32, moves: npt.NDArray[np.bool_], splits: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Which painter each node needs.

    Wherever the two sides differ, the painter of the nearest slit decides between them. Fields
    carry pixels beyond the nodes where they start, so both areas are grown.
    """
    zones = cv2.dilate(moves.astype(np.uint8), np.ones((25, 25), np.uint8)) * np.uint8(SKIN)
    splits = cv2.dilate(splits.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)
    half = face.mouth.half
    distance = []
    for slit in (*face.eyes, face.mouth):
        s, t = slit.frame(xy)
        distance.append(np.hypot(np.maximum(np.abs(s) - 1, 0) * slit.half, t))
    nearest = np.argmin(distance, axis=0).reshape(NODES, NODES)
    zones[splits] = (nearest[splits] + EYE_LEFT).astype(np.uint8)
    # Where no opening of the mouth can reach, one side alone is right.
    s, t = (
        v.reshape(NODES, NODES) / k for v, k in zip(face.mouth.frame(xy), (1, half), strict=True)
    )
    lips = zones == MOUTH
    zones[lips & ((t > 1.5) | ((np.abs(s) > 1.6) & (t > 0)))] = SKIN_LOWER
    zones[lips & ((t < -0.8) | ((np.abs(s) > 1.6) & (t <= 0)))] = SKIN
    return np.ascontiguousarray(zones)
