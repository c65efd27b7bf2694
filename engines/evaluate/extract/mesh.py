"""Lids, brows, gaze and head from where MediaPipe's mesh points lie: no scores, no download.

The mesh is brought into the head's own frame by a rigid fit of points that no muscle moves, at a
scale where the outer eye corners of a mean face are 90 mm apart; what is left is measured in
millimetres and put on a scale of 0-1 by fixed numbers. Nothing is taken off for a person: a
`Neutral` of the same extractor does that.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from core import (
    BROW_LEFT,
    BROW_RIGHT,
    CHANNEL,
    F32,
    IRIS_LEFT,
    IRIS_RIGHT,
    LID_LEFT,
    LID_RIGHT,
    MESH_POINTS,
    U8,
)
from engines.evaluate.extract.angles import F64, bridged, gaze_angles, head_angles
from engines.evaluate.track import AUS, Bools, FaceTrack
from engines.landmarks import quiet, undrawn

MIDLINE: Final = {
    10: (-54.2, -23.4), 168: (-3.0, -23.2), 6: (5.3, -26.9), 197: (13.1, -31.4),
    195: (20.3, -36.1), 5: (28.1, -41.2),
}  # fmt: skip
"Rigid points between the halves of the face: down and back, mm."
HALVES: Final = {
    (33, 263): (45.0, 0.0, 0.0), (133, 362): (17.3, 2.4, -5.4), (127, 356): (67.6, 1.6, 50.3),
    (234, 454): (67.0, 15.9, 56.4), (162, 389): (66.7, -13.4, 38.4), (21, 251): (64.1, -25.3, 24.1),
    (54, 284): (58.8, -36.5, 10.7), (103, 332): (49.7, -45.3, -2.9),
    (67, 297): (35.2, -51.0, -14.7), (109, 338): (19.2, -53.7, -21.6),
}  # fmt: skip
"""The person's right and left rigid point: outwards, down and back, mm. The mean of the mesh on
pictures of ten synthetic people and their mirror images, aligned to each other (Gower 1975,
generalised Procrustes); points scatter about it by 1 mm."""

OPENING: Final = ((160, 144), (159, 145), (158, 153)), ((387, 373), (386, 374), (385, 380))
"Upper and lower lid, three times: the person's right and left eye."
EYEBALL_MM: Final = 12.0
"Radius of the eyeball (Bekerman et al. 2014: axial diameter 22 to 24.8)."
IRIS_MM: Final = 11.7
"Visible iris diameter (Ruefer et al. 2005: 11.7 ± 0.4): the ruler in the eye."
REACH_MM: Final = float(np.sqrt(EYEBALL_MM**2 - (IRIS_MM / 2) ** 2))
"From the centre of the eyeball to the plane of the iris."
SUNK_MM: Final = 5.0
"How far the centre of the eyeball lies behind the line of the eye corners (free)."
FARTHEST: Final = 0.98
"Sine of the largest eye rotation: beyond it an iris point is off."
SHUT_MM: Final = 3.0
"Opening of the lids below which the iris is a guess."

# Where 0 lies on the scale of each measure and how many millimetres make 1. Wide enough that no
# face reaches either end, so that nothing is cut off before a neutral is taken off (free).
WIDEST_MM: Final = 14.0
"Opening of the lids: AU45 is 0 and AU5 is 1 here; where they touch it is the other way round."
INNER_MM: Final = (4.0, 20.0)
"AU1: height of the inner brow over the line of the eyes, less a share of the outer one."
OUTER_MM: Final = (8.0, 20.0)
"AU2: height of the outer brow."
LOW_MM: Final = (-30.0, 20.0)
"AU4: depth of the inner and middle brow. How near the brows are to each other adds nothing."
TIGHT_MM: Final = (-6.0, 8.0)
"AU7: height of the lower lid over the corners of the eye."
OUTER_IN_INNER: Final = 0.35
"Share of a rise of the outer brow that the inner one makes along with it, on rendered AU2."
AROUND: Final = 2
"Frames on either side of closed lids in which the lower lid moves with the upper one."


class MeshExtractor:
    """An `Extractor` that needs nothing but the mediapipe package.

    AU6 is not measured and always 0: the mesh hardly follows cheeks.
    """

    name = "mesh geometry"

    def __init__(self) -> None:
        # Imported here: it costs half a second.
        with undrawn():
            from mediapipe.python.solutions.face_mesh import FaceMesh as Mesh

        with quiet():
            self._mesh: Any = Mesh(static_image_mode=True, refine_landmarks=True, max_num_faces=1)
            self._mesh.process(np.zeros((64, 64, 3), np.uint8))  # the models load with it

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the graph; idempotent."""
        if self._mesh is not None:
            self._mesh.close()
        self._mesh = None

    def track(self, frames: U8) -> FaceTrack:
        """Measure every frame, uint8 ``[T, H, W, 3]`` RGB."""
        mesh = np.full((len(frames), MESH_POINTS, 3), np.nan, np.float32)
        for i, frame in enumerate(frames):
            height, width = frame.shape[:2]
            for face in self._mesh.process(np.ascontiguousarray(frame)).multi_face_landmarks or ():
                points = np.array([(p.x, p.y, p.z) for p in face.landmark], np.float32)
                mesh[i] = points * np.array([width, height, width], np.float32)
        return measure(self.name, mesh)


def measure(name: str, mesh: F32) -> FaceTrack:
    """Controls out of mesh points alone.

    Args:
        name: Of the extractor.
        mesh: float32 ``[T, 478, 3]``, pixels, z away from the camera; NaN where nothing was seen.
    """
    seen = np.isfinite(mesh).all(axis=(1, 2))
    aus = np.full((len(mesh), AUS), np.nan, np.float32)
    gaze = np.full((len(mesh), 2), np.nan, np.float32)
    pose = np.full((len(mesh), 3), np.nan, np.float32)
    if seen.any():
        points = mesh[seen].astype(np.float64)
        head, turns, scale = _into_head(points)
        openings = np.stack([_opening(head, side) for side in (0, 1)], axis=1)
        units = _units(head, openings)
        open_eyes = openings > SHUT_MM
        looks = gaze_angles(_looks(points, turns, scale, open_eyes))
        every = np.ones(len(points), bool)
        gaze[seen] = bridged(looks, open_eyes.any(axis=1), every)
        shut = np.convolve(~open_eyes.all(axis=1), np.ones(2 * AROUND + 1))[AROUND:-AROUND]
        tight = [CHANNEL["AU7"]]
        units[:, tight] = bridged(units[:, tight], shut < 0.5, every)
        aus[seen] = units
        pose[seen] = head_angles(turns)
    return FaceTrack(name, seen, mesh, aus, gaze, pose)


def _rigid() -> tuple[list[int], F64]:
    """Mesh indices and places of the rigid points, float64 ``[N, 3]``, mm."""
    ids = [*MIDLINE, *(i for pair in HALVES for i in pair)]
    middle = [(0.0, down, back) for down, back in MIDLINE.values()]
    sides = [(sign * x, y, z) for x, y, z in HALVES.values() for sign in (-1, 1)]
    return ids, np.array(middle + sides)


def _into_head(points: F64) -> tuple[F64, F64, F64]:
    """Points in the head's frame, mm, float64 ``[T, 478, 3]``; its rotation; pixels per mm.

    Source: Umeyama 1991, "Least-squares estimation of transformation parameters".
    """
    ids, places = _rigid()
    wanted = places - places.mean(axis=0)
    centre = points[:, ids].mean(axis=1, keepdims=True)
    found = points[:, ids] - centre
    u, sizes, vt = np.linalg.svd(np.einsum("tni,nj->tij", found, wanted))
    sizes[:, 2] *= np.sign(np.linalg.det(u @ vt))
    u[:, :, 2] *= np.sign(np.linalg.det(u @ vt))[:, None]
    turns = u @ vt
    scale = np.maximum(sizes.sum(axis=1) / np.square(wanted).sum(), 1e-9)
    head = np.einsum("tni,tij->tnj", points - centre, turns) / scale[:, None, None]
    return head + places.mean(axis=0), turns, scale


def _opening(head: F64, side: int) -> F64:
    """Distance of the lids, mm, float64 ``[T]``; side 0 is the person's left."""
    upper, lower = np.array(OPENING[1 - side]).T
    gap: F64 = np.linalg.norm((head[:, lower] - head[:, upper]).mean(axis=1)[:, 1:], axis=1)
    return gap


def _units(head: F64, openings: F64) -> F32:
    """Action units, float32 ``[T, 10]``, from points in the head's frame."""
    out = np.zeros((len(head), AUS), np.float32)
    low, tight = [], []
    for side, (brow, lid) in enumerate(((BROW_LEFT, LID_LEFT), (BROW_RIGHT, LID_RIGHT))):
        height = -head[:, list(brow), 1]
        inner = height[:, [3, 4, 8, 9]].mean(axis=1)
        middle = height[:, [2, 7]].mean(axis=1)
        outer = height[:, [0, 1, 5, 6]].mean(axis=1)
        letter = "LR"[side]
        out[:, CHANNEL[f"AU1_{letter}"]] = _share(inner - OUTER_IN_INNER * outer, INNER_MM)
        out[:, CHANNEL[f"AU2_{letter}"]] = _share(outer, OUTER_MM)
        out[:, CHANNEL[f"AU45_{letter}"]] = np.clip(1 - openings[:, side] / WIDEST_MM, 0, 1)
        corners = head[:, [lid[0], lid[8]], 1].mean(axis=1)
        lower = head[:, [pair[1] for pair in OPENING[1 - side]], 1].mean(axis=1)
        low.append(-(inner + middle) / 2)
        tight.append(corners - lower)
    out[:, CHANNEL["AU4"]] = _share(np.mean(low, axis=0), LOW_MM)
    out[:, CHANNEL["AU5"]] = np.clip(openings.mean(axis=1) / WIDEST_MM, 0, 1)
    out[:, CHANNEL["AU7"]] = _share(np.mean(tight, axis=0), TIGHT_MM)
    return out


def _share(mm: F64, scale: tuple[float, float]) -> F64:
    share: F64 = np.clip((mm - scale[0]) / scale[1], 0, 1)
    return share


def _looks(points: F64, turns: F64, scale: F64, open_eyes: Bools) -> F64:
    """Where the eyes look in the head's frame, float64 ``[T, 3]``, mean of those that are open.

    The eyeball's centre lies behind the middle of its corners; the iris is on a sphere about it.
    Only where the iris lies in the picture is used: its depth in the mesh means nothing.
    """
    both = []
    for iris, lid in ((IRIS_LEFT, LID_LEFT), (IRIS_RIGHT, LID_RIGHT)):
        rim = points[:, iris[1:], :2] - points[:, iris[:1], :2]
        across = 2 * np.linalg.norm(rim, axis=2).mean(axis=1)
        # An iris does not grow: its size against the head is that of the whole clip.
        unit = np.maximum(float(np.median(across / scale)) * scale / IRIS_MM, 1e-9)
        corners = points[:, [lid[0], lid[8]], :2].mean(axis=1)
        centre = corners + SUNK_MM * unit[:, None] * turns[:, :2, 2]
        off = (points[:, iris[0], :2] - centre) / unit[:, None] / REACH_MM
        far = np.linalg.norm(off, axis=1, keepdims=True)
        off *= np.minimum(far, FARTHEST) / np.maximum(far, 1e-9)
        ahead = -np.sqrt(1 - np.square(off).sum(axis=1, keepdims=True))
        both.append(np.einsum("ti,tij->tj", np.concatenate([off, ahead], axis=1), turns))
    weights = np.where(open_eyes.any(axis=1, keepdims=True), open_eyes, True).astype(np.float64)
    looks: F64 = np.einsum("etj,te->tj", np.stack(both), weights)
    return looks
