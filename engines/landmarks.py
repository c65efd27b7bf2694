"""Faces in a picture: MediaPipe's face mesh with irises, also where faces are small."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from types import ModuleType, TracebackType
from typing import Any, Final, TypeAlias

import cv2
import numpy as np

from core import F32, MESH_POINTS, U8

Box: TypeAlias = tuple[int, int, int, int]
"Left, top, right, bottom in pixels."

MAX_FACES: Final = 6
CONFIDENCE: Final = 0.4
SAME_FACE: Final = 0.3
"Two boxes that overlap more than this (intersection over union) are one face found twice."
MARGIN: Final = 0.6
"Surroundings kept around a detected box, as a share of it: the mesh wants the whole head."
TILE_LEVELS: Final = (2, 4)
"Tiles per side (they overlap by half) where no face is found in the whole picture."
MIN_TILE: Final = 256
"Pixels: the detector scales what it gets to 192, so smaller tiles show it nothing new."
VIEWS: Final = (
    (1.00, 0.000, 0.000), (1.04, 0.012, -0.008), (0.96, -0.010, 0.010), (1.08, -0.016, 0.006),
    (0.92, 0.008, 0.018), (1.02, -0.018, -0.014), (0.98, 0.014, 0.004),
)  # fmt: skip
"""Scales and shifts (as shares of the side) at which one face is measured: on portraits a
point moves by 0.8 px of 512 from view to view, an eyelid by 0.7; the median of seven by a third."""
NOISE: Final = re.compile(
    rb"[IWE]\d{4} |INFO: Created TensorFlow Lite|WARNING: All log messages before absl"
)
"What MediaPipe's native code writes to standard error while it starts; it can not be told to stop."


class FaceMesh:
    """Owns MediaPipe's graphs. Not thread-safe. Opening costs about 0.1 s and 60 MB."""

    def __init__(self) -> None:
        # Imported here: it costs half a second and only enrolment needs it.
        with undrawn():
            from mediapipe.python.solutions.face_detection import FaceDetection
            from mediapipe.python.solutions.face_mesh import FaceMesh as Mesh

        with quiet():
            self._mesh: Any = Mesh(
                static_image_mode=True,
                refine_landmarks=True,
                max_num_faces=MAX_FACES,
                min_detection_confidence=CONFIDENCE,
            )
            # Model 1 sees faces up to 5 m away, which the mesh's own short-range one misses.
            self._far: Any = FaceDetection(model_selection=1, min_detection_confidence=CONFIDENCE)
            blank = np.zeros((64, 64, 3), np.uint8)
            self._mesh.process(blank)  # the models load with the first picture
            self._far.process(blank)

    def __enter__(self) -> FaceMesh:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the graphs; idempotent. Nothing else may be called afterwards."""
        for graph in (self._mesh, self._far):
            if graph._graph is not None:
                graph.close()

    def detect(self, rgb: U8, *, thorough: bool = True) -> list[F32]:
        """All faces of a picture, largest first.

        Args:
            rgb: uint8 ``[H, W, 3]``.
            thorough: Where no face is seen, look again at the picture piece by piece.

        Returns:
            float32 ``[478, 3]`` each: x, y in pixels of the picture, z at the same scale as x.
        """
        height, width = rgb.shape[:2]
        found = self._meshes(rgb) + self._look(rgb, (0, 0, width, height))
        for count in TILE_LEVELS:
            if found or not thorough or min(height, width) < count * MIN_TILE:
                break
            for tile in _tiles(width, height, count):
                found += self._look(rgb, tile)
        return _distinct([self._closer(rgb, mesh) for mesh in _distinct(found)])

    def refine(self, crop: U8, expected: F32) -> tuple[F32, float]:
        """Measure one face again, several times, in a crop made around it.

        Args:
            crop: uint8 ``[S, S, 3]``.
            expected: float32 ``[478, 3]``, about where the face is: others are passed over.

        Returns:
            The median of the measurements, float32 ``[478, 3]``, and how far they scatter, as a
            share of the face: about 0.003 where a face is, 0.05 where one is imagined into a
            pattern or into an upside-down face. ``expected`` and infinity if most find nothing.
        """
        measured = []
        for scale, dx, dy in VIEWS:
            mesh = self._measure(crop, expected, scale, dx, dy)
            if mesh is not None:
                measured.append(mesh)
        if 2 * len(measured) <= len(VIEWS):
            return expected, float("inf")
        meshes = np.stack(measured)
        middle = np.asarray(np.median(meshes, axis=0), np.float32)
        strayed = np.square((meshes - middle)[..., :2]).sum(-1)
        return middle, float(np.sqrt(strayed.mean())) / extent(middle)

    def _measure(self, crop: U8, expected: F32, scale: float, dx: float, dy: float) -> F32 | None:
        """One of the `VIEWS`, in pixels of ``crop``."""
        side = crop.shape[0]
        shift = np.array([dx, dy], np.float32) * side + side / 2 * (1 - scale)
        view = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        seen = cv2.warpAffine(
            crop, view, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        for mesh in self._meshes(np.asarray(seen, np.uint8)):
            mesh = (mesh - np.array([*shift, 0], np.float32)) / np.float32(scale)
            if overlap(mesh, expected) > SAME_FACE:
                return np.asarray(mesh, np.float32)
        return None

    def _closer(self, rgb: U8, face: F32) -> F32:
        """A face that was small in what was looked at can be off by a third; look closer."""
        height, width = rgb.shape[:2]
        grow = MARGIN * extent(face)
        left, top = np.maximum(face[:, :2].min(0) - grow, 0).astype(int)
        right, bottom = np.minimum(face[:, :2].max(0) + grow, (width, height)).astype(int)
        crop = np.ascontiguousarray(rgb[top:bottom, left:right])
        if min(crop.shape[:2]) < 32:
            return face
        meshes = [mesh + np.array([left, top, 0], np.float32) for mesh in self._meshes(crop)]
        best = max(meshes, key=lambda mesh: overlap(mesh, face), default=face)
        return best if overlap(best, face) > SAME_FACE else face

    def _look(self, rgb: U8, part: Box) -> list[F32]:
        """Full-range detection in a part of the picture, then the mesh in each face's crop."""
        found = []
        left, top, right, bottom = part
        for box in self._candidates(np.ascontiguousarray(rgb[top:bottom, left:right])):
            at = np.array([left + box[0], top + box[1], 0], np.float32)
            crop = rgb[top + box[1] : top + box[3], left + box[0] : left + box[2]]
            found += [mesh + at for mesh in self._meshes(np.ascontiguousarray(crop))]
        return found

    def _candidates(self, rgb: U8) -> Iterator[Box]:
        """Boxes with margins where the full-range detector sees a face."""
        height, width = rgb.shape[:2]
        for detection in self._far.process(rgb).detections or []:
            box = detection.location_data.relative_bounding_box
            grow = MARGIN * max(box.width * width, box.height * height)
            left, top = int(box.xmin * width - grow), int(box.ymin * height - grow)
            right = int((box.xmin + box.width) * width + grow)
            bottom = int((box.ymin + box.height) * height + grow)
            left, top = max(0, left), max(0, top)
            right, bottom = min(width, right), min(height, bottom)
            if right - left >= 32 and bottom - top >= 32:
                yield left, top, right, bottom

    def _meshes(self, rgb: U8) -> list[F32]:
        height, width = rgb.shape[:2]
        scale = np.array([width, height, width], np.float32)  # MediaPipe scales z like x
        faces = []
        for face in self._mesh.process(rgb).multi_face_landmarks or []:
            mesh = np.array([(p.x, p.y, p.z) for p in face.landmark], np.float32) * scale
            if mesh.shape == (MESH_POINTS, 3) and np.isfinite(mesh).all():
                faces.append(mesh)
        return faces


def extent(mesh: F32) -> float:
    """The longer side of the face's bounding box, pixels."""
    return float(np.ptp(mesh[:, :2], axis=0).max())


def overlap(a: F32, b: F32) -> float:
    """Intersection over union of two meshes' bounding boxes."""
    low = np.maximum(a[:, :2].min(0), b[:, :2].min(0))
    high = np.minimum(a[:, :2].max(0), b[:, :2].max(0))
    shared = float(np.prod(np.clip(high - low, 0, None)))
    areas = float(np.prod(np.ptp(a[:, :2], axis=0)) + np.prod(np.ptp(b[:, :2], axis=0)))
    return shared / max(areas - shared, 1e-6)


def _distinct(found: list[F32]) -> list[F32]:
    """Largest first, each face once."""
    kept: list[F32] = []
    for mesh in sorted(found, key=extent, reverse=True):
        if all(overlap(mesh, other) < SAME_FACE for other in kept):
            kept.append(mesh)
    return kept


def _tiles(width: int, height: int, count: int) -> Iterator[Box]:
    """``count`` tiles along the shorter side, square, overlapping by half."""
    side = min(width, height) // count
    for top in _starts(height, side):
        for left in _starts(width, side):
            yield left, top, left + side, top + side


def _starts(length: int, side: int) -> list[int]:
    steps = max(1, round(2 * (length - side) / side))
    return [round(i * (length - side) / steps) for i in range(steps + 1)]


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
    """MediaPipe is imported without matplotlib: a second of a core and 30 MB, to draw what nobody
    asks it to draw. Where it is loaded already, nothing changes; afterwards it can be, whole."""
    names = [] if "matplotlib" in sys.modules else ["matplotlib", "matplotlib.pyplot"]
    for name in names:
        sys.modules[name] = ModuleType(name)
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the native start-up noise off standard error; what others write there still comes."""
    try:
        kept = os.dup(2)
    except OSError:  # no standard error, nothing to keep clean
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            for line in held:
                if not NOISE.match(line):
                    os.write(2, line)
