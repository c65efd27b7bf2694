"""New people out of two or three: shape and texture apart.

The shape is a weighted mean of meshes. Each picture is warped to it, triangle by triangle. Coarse
colour is a weighted mean of the pictures; fine texture is one parent's for the eyes and perhaps
another's for the mouth, since the mean of two skins is no skin. What lies outside of the face may
show ghosts: only the eyes and the mouth are used (`engines.video.regions`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from core import (
    F32,
    I32,
    IRIS_LEFT,
    IRIS_RIGHT,
    LID_LEFT,
    LID_RIGHT,
    MESH_POINTS,
    U8,
    Portrait,
)
from engines.video.data.people import Likeness

COARSE_MM: Final = 7.0
"Blur that parts colour from texture, mm: wider than a lip, whose edge is one parent's (free)."
FACE: Final = (10, 152, 234, 454)
"Forehead, chin and cheeks, which meshes are laid over each other by."
BORDER: Final = 8
"Points on each side of the picture that do not move."


def alike(a: Likeness, b: Likeness) -> bool:
    """Whether a mixture of two faces looks like one (free limits, by eye)."""
    return (
        abs(a.yaw - b.yaw) < 9
        and abs(a.pitch - b.pitch) < 9
        and abs(a.lips - b.lips) < 0.07
        and abs(a.smile - b.smile) < 0.09
        and abs(a.eyes - b.eyes) < 0.11
        and max(a.glasses, b.glasses) < 0.3
        and abs(a.skin - b.skin) < 0.22
    )


def morph(parents: Sequence[Portrait], name: str, rng: np.random.Generator) -> Portrait:
    """A new person.

    Args:
        parents: Two or three portraits of one size; `alike` in pairs.
        name: Of the new one.
        rng: All that is chosen.
    """
    size = parents[0].size
    meshes = [_aligned(p.mesh, parents[0].mesh) for p in parents]
    shape_weights = rng.dirichlet(np.full(len(parents), 2.0)).astype(np.float32)
    mesh = np.einsum("k,knd->nd", shape_weights, np.stack(meshes)).astype(np.float32)
    label, triangles = _triangulate(mesh, size)
    faces = [
        _warp(p.crop, own, mesh, label, triangles)
        for p, own in zip(parents, (p.mesh for p in parents), strict=True)
    ]
    eyes, mouth = (int(rng.integers(len(parents))) for _ in range(2))
    for iris, lids in ((IRIS_LEFT, LID_LEFT), (IRIS_RIGHT, LID_RIGHT)):
        mesh[list(iris)] = _carried(parents[eyes].mesh, mesh, iris, lids)
    weights = rng.dirichlet(np.full(len(parents), 1.0)).astype(np.float32)
    # The parent whose texture is taken has a part in the colour, or its edges lie on another's.
    weights[eyes] += 0.5
    weights[mouth] += 0.5
    return Portrait(name, name, _mix(faces, weights / weights.sum(), eyes, mouth, mesh), mesh)


def _aligned(mesh: F32, onto: F32) -> F32:
    """A mesh scaled and moved so that its face lies where another does."""
    a, b = mesh[list(FACE)], onto[list(FACE)]
    centre, scale = a.mean(axis=0), np.linalg.norm(b[0] - b[1]) / np.linalg.norm(a[0] - a[1])
    moved: F32 = ((mesh - centre) * scale + b.mean(axis=0)).astype(np.float32)
    moved[:, 2] = mesh[:, 2] * scale
    return moved


def _carried(own: F32, mesh: F32, iris: Sequence[int], lids: Sequence[int]) -> F32:
    """An iris where its eye went: by the affine map that fits its lids best."""
    rim, ring = own[list(lids), :2], mesh[list(lids), :2]
    design = np.concatenate([rim, np.ones((len(rim), 1), np.float32)], axis=1)
    fit = np.linalg.lstsq(design, ring, rcond=None)[0]
    points = own[list(iris)].copy()
    points[:, :2] = np.concatenate([points[:, :2], np.ones((len(points), 1))], axis=1) @ fit
    points[:, 2] = mesh[list(iris), 2]
    return points


def _mix(faces: list[F32], weights: F32, eyes: int, mouth: int, mesh: F32) -> U8:
    """Coarse colour of all, fine texture of one above the nose's tip and of another below."""
    size = faces[0].shape[0]
    sigma = COARSE_MM * float(np.linalg.norm(mesh[263] - mesh[33])) / 90
    coarse = [cv2.GaussianBlur(face, (0, 0), sigma) for face in faces]
    colour = np.einsum("k,khwc->hwc", weights, np.stack(coarse))
    if eyes == mouth:
        fine = faces[eyes] - coarse[eyes]
    else:
        y = np.arange(size, dtype=np.float32)[:, None, None]
        top, bottom = mesh[5, 1], mesh[2, 1]
        share = np.clip((y - top) / max(float(bottom - top), 1.0), 0, 1)
        share = share * share * (3 - 2 * share)
        fine = (1 - share) * (faces[eyes] - coarse[eyes]) + share * (faces[mouth] - coarse[mouth])
    mixed: U8 = np.clip(colour + fine + 0.5, 0, 255).astype(np.uint8)
    return mixed


def _border(size: int) -> F32:
    steps = np.linspace(0, size - 1, BORDER + 1, dtype=np.float32)[:-1]
    edge = np.float32(size - 1)
    zero, full = np.zeros_like(steps), np.full_like(steps, edge)
    sides = ((steps, zero), (full, steps), (edge - steps, full), (zero, edge - steps))
    return np.concatenate([np.stack(side, axis=1) for side in sides])


def _points(mesh: F32, size: int) -> F32:
    """Mesh and border, float32 ``[n, 2]``; irises are left out: lids and gaze would cross."""
    return np.concatenate([mesh[: MESH_POINTS - 10, :2], _border(size)])


def _triangulate(mesh: F32, size: int) -> tuple[I32, I32]:
    """Triangle of each pixel, int32 ``[size, size]``, and their corners, int32 ``[n, 3]``."""
    points = np.clip(_points(mesh, size), 0, size - 1)
    plane = cv2.Subdiv2D((0, 0, size, size))
    # Points that fall together get one number there: the first of them stands for all.
    numbers: dict[int, int] = {}
    for i, (x, y) in enumerate(points):
        numbers.setdefault(plane.insert((float(x), float(y))), i)
    corners = []
    for x0, y0, x1, y1, x2, y2 in plane.getTriangleList():
        at = [numbers.get(plane.findNearest((float(x), float(y)))[0]) for x, y in
              ((x0, y0), (x1, y1), (x2, y2))]  # fmt: skip
        if None not in at:
            corners.append(at)
    triangles = np.array(corners, np.int32)
    label = np.zeros((size, size), np.int32)
    # Sixteenths of a pixel: rounded corners would let slivers cover their neighbours.
    for i, triangle in enumerate(triangles):
        cv2.fillConvexPoly(
            label, np.round(points[triangle] * 16).astype(np.int32), (i,), cv2.LINE_8, 4
        )
    return label, triangles


def _warp(crop: U8, own: F32, mesh: F32, label: I32, triangles: I32) -> F32:
    """A picture brought to another shape, float32 ``[S, S, 3]``."""
    size = crop.shape[0]
    target = _points(mesh, size)[triangles].astype(np.float64)
    source = _points(own, size)[triangles].astype(np.float64)
    ones = np.ones((len(triangles), 3, 1))
    matrix = np.concatenate([target, ones], axis=2)
    flat = np.abs(np.linalg.det(matrix)) < 1e-3
    matrix[flat] = np.eye(3)
    source[flat] = 0
    affine = np.linalg.solve(matrix, source)  # [n, 3, 2]
    near = _nearest_sound(flat)
    affine = affine[near].astype(np.float32)[label]
    y, x = np.mgrid[:size, :size].astype(np.float32)
    at = affine[..., 0, :] * x[..., None] + affine[..., 1, :] * y[..., None] + affine[..., 2, :]
    # Creases between triangles of very different stretch are smoothed away.
    at = cv2.GaussianBlur(at, (0, 0), 1.2)
    return np.asarray(
        cv2.remap(
            crop.astype(np.float32), at[..., 0], at[..., 1], cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.float32,
    )  # fmt: skip


def _nearest_sound(flat: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """For each triangle the nearest in number that has an area: itself, mostly."""
    sound = np.flatnonzero(~flat)
    numbers = np.arange(len(flat))
    right = np.clip(np.searchsorted(sound, numbers), 0, len(sound) - 1)
    nearest: npt.NDArray[np.int64] = sound[right]
    return nearest
