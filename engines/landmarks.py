"""Faces in a picture: MediaPipe's face mesh with irises, also where faces are small."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Final

import numpy as np

from core import F32, MESH_POINTS, U8

MAX_FACES: Final = 6
CONFIDENCE: Final = 0.4
SAME_FACE: Final = 0.3
"Two boxes that overlap more than this (intersection over union) are one face found twice."
MARGIN: Final = 0.6
"Surroundings kept around a detected box, as a share of it: the mesh wants the whole head."


class FaceMesh:
    """Owns MediaPipe's graphs. Not thread-safe; open one per thread (`with`, a few ms)."""

    def __init__(self) -> None:
        # Imported here: it costs most of a second and only enrolment needs it.
        from mediapipe.python.solutions.face_detection import FaceDetection
        from mediapipe.python.solutions.face_mesh import FaceMesh as Mesh

        options = {"static_image_mode": True, "refine_landmarks": True}
        self._many: Any = Mesh(
            max_num_faces=MAX_FACES, min_detection_confidence=CONFIDENCE, **options
        )
        self._one: Any = Mesh(max_num_faces=1, min_detection_confidence=CONFIDENCE, **options)
        # Model 1 sees faces up to 5 m away, which the mesh's own short-range detector misses.
        self._far: Any = FaceDetection(model_selection=1, min_detection_confidence=CONFIDENCE)

    def __enter__(self) -> FaceMesh:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for graph in (self._many, self._one, self._far):
            graph.close()

    def detect(self, rgb: U8) -> list[F32]:
        """All faces of uint8 ``[H, W, 3]``, largest first.

        Returns:
            float32 ``[478, 3]`` each: x, y in pixels of the picture, z at the same scale as x.
        """
        found = _meshes(self._many.process(rgb), rgb)
        for left, top, right, bottom in self._candidates(rgb):
            crop = np.ascontiguousarray(rgb[top:bottom, left:right])
            for mesh in _meshes(self._one.process(crop), crop):
                mesh += np.array([left, top, 0], np.float32)
                found.append(mesh)
        found.sort(key=lambda mesh: -extent(mesh))
        kept: list[F32] = []
        for mesh in found:
            if all(_overlap(mesh, other) < SAME_FACE for other in kept):
                kept.append(mesh)
        return kept

    def refine(self, crop: U8) -> F32 | None:
        """The one face of a crop made around it, or None."""
        meshes = _meshes(self._one.process(crop), crop)
        return meshes[0] if meshes else None

    def _candidates(self, rgb: U8) -> Iterator[tuple[int, int, int, int]]:
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


def extent(mesh: F32) -> float:
    """The longer side of the face's bounding box, pixels."""
    return float(np.ptp(mesh[:, :2], axis=0).max())


def _meshes(result: Any, rgb: U8) -> list[F32]:
    height, width = rgb.shape[:2]
    scale = np.array([width, height, width], np.float32)  # MediaPipe scales z like x
    faces = []
    for face in result.multi_face_landmarks or []:
        mesh = np.array([(p.x, p.y, p.z) for p in face.landmark], np.float32) * scale
        if mesh.shape == (MESH_POINTS, 3) and np.isfinite(mesh).all():
            faces.append(mesh)
    return faces


def _overlap(a: F32, b: F32) -> float:
    low = np.maximum(a[:, :2].min(0), b[:, :2].min(0))
    high = np.minimum(a[:, :2].max(0), b[:, :2].max(0))
    shared = float(np.prod(np.clip(high - low, 0, None)))
    areas = float(np.prod(np.ptp(a[:, :2], axis=0)) + np.prod(np.ptp(b[:, :2], axis=0)))
    return shared / max(areas - shared, 1e-6)
