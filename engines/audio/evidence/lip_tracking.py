"""How far apart somebody's lips are in a video: MediaPipe's mesh, in the box of the largest face.

A frame stands for the time it is shown; the middle of that time is where its value is put.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.error import FFmpegError

from core import F32, FPS, MESH_POINTS, U8, InvalidInput
from engines.landmarks import FaceMesh, extent

F64: TypeAlias = npt.NDArray[np.float64]

LIPS: Final = (13, 14)
"Middle of the inner edge of the upper and lower lip."
EYE_CORNERS: Final = (33, 263)
"Outer corners: lip opening is measured in their distance, which no turn of the head changes."
VERSION: Final = 1
"Raised when what is measured changes: older tracks are then made again."
GROW: Final = 0.8
"Room around the first face for it to move in, as a share of it."
MAX_SIDE: Final = 640
"Pixels; larger pictures show the mesh nothing new."
LOST: Final = 12
"Frames without a face after which it is looked for in the whole picture again."
MAX_FRAMES: Final = 20_000
SHARE: Final = 0.5
"Of the frames, at least this share has to show a face."


@dataclass(frozen=True, slots=True, eq=False)
class Lips:
    """How far apart somebody's lips are over a clip."""

    times: F64
    "float64 ``[N]``, seconds: the middle of each frame."
    opening: F32
    "float32 ``[N]``, of the distance between the outer eye corners; NaN where no face is seen."


def lips_of(path: Path, cache: Path) -> Lips:
    """The lips of a clip, tracked now or before.

    Raises:
        InvalidInput: It can not be read, or shows no face most of the time.
    """
    try:
        key = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    except OSError as error:
        raise InvalidInput(f"it can not be read: {error.strerror}") from error
    kept = cache / f"{path.stem}-{key}-v{VERSION}.npz"
    try:
        # Opened here: numpy leaves a damaged file open.
        with kept.open("rb") as file, np.load(file) as data:
            lips = Lips(data["times"], data["opening"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # missing or damaged
        lips = track(path)
        cache.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(".partial")
        with partial.open("wb") as out:
            np.savez(out, times=lips.times, opening=lips.opening)
        partial.replace(kept)
    seen = np.isfinite(lips.opening)
    if not len(seen) or seen.mean() < SHARE:
        raise InvalidInput(f"a face is seen in {seen.sum()} of {len(seen)} frames")
    return lips


def track(path: Path) -> Lips:
    """Follow the lips of the largest face through a video.

    Raises:
        InvalidInput: It has no picture that can be decoded.
    """
    times: list[float] = []
    opening: list[float] = []
    with _Tracker() as tracker:
        for time, picture in _frames(path):
            mesh = tracker.follow(picture)
            times.append(time)
            opening.append(float("nan") if mesh is None else _opening(mesh))
    return Lips(np.array(times), np.array(opening, np.float32))


def _opening(mesh: F32) -> float:
    upper, lower, left, right = mesh[[*LIPS, *EYE_CORNERS]]
    return float(np.linalg.norm(lower - upper) / max(float(np.linalg.norm(right - left)), 1e-6))


class _Tracker:
    """MediaPipe's mesh as it follows one face, in a box around where that was first found."""

    def __init__(self) -> None:
        self._finder = FaceMesh()
        self._mesh: Any = None
        self._box = (0, 0, 0, 0)
        self._lost = LOST

    def __enter__(self) -> _Tracker:
        return self

    def __exit__(self, *_: object) -> None:
        self._forget()
        self._finder.close()

    def follow(self, picture: U8) -> F32 | None:
        """The face in the next frame, float32 ``[478, 3]``, or None."""
        if self._lost >= LOST and not self._find(picture):
            return None
        left, top, right, bottom = self._box
        crop = np.ascontiguousarray(picture[top:bottom, left:right])
        faces = self._mesh.process(crop).multi_face_landmarks or []
        scale = np.array([right - left, bottom - top, right - left], np.float32)
        if faces:
            mesh = np.array([(p.x, p.y, p.z) for p in faces[0].landmark], np.float32) * scale
            if mesh.shape == (MESH_POINTS, 3) and np.isfinite(mesh).all():
                self._lost = 0
                return np.asarray(mesh, np.float32)
        self._lost += 1
        return None

    def _find(self, picture: U8) -> bool:
        faces = self._finder.detect(picture)
        if not faces:
            return False
        height, width = picture.shape[:2]
        room = GROW * extent(faces[0])
        left, top = np.maximum(faces[0][:, :2].min(axis=0) - room, 0).astype(int)
        right, bottom = np.minimum(faces[0][:, :2].max(axis=0) + room, (width, height)).astype(int)
        if min(right - left, bottom - top) < 16:
            return False
        self._forget()
        self._box = int(left), int(top), int(right), int(bottom)
        from mediapipe.python.solutions.face_mesh import FaceMesh as Mesh

        self._mesh = Mesh(static_image_mode=False, refine_landmarks=True, max_num_faces=1)
        self._lost = 0
        return True

    def _forget(self) -> None:
        if self._mesh is not None:
            self._mesh.close()
        self._mesh = None


def _frames(path: Path) -> Iterator[tuple[float, U8]]:
    """Middle of its time, seconds, and RGB of every frame; a broken end gives what came before."""
    made = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InvalidInput("it has no picture")
            held: tuple[float, U8] | None = None
            length = 1 / FPS
            for frame in container.decode(video=0):
                if frame.time is None or made >= MAX_FRAMES:
                    continue
                if held is not None and frame.time > held[0]:
                    length = frame.time - held[0]
                    yield held[0] + length / 2, held[1]
                made += 1
                held = frame.time, _scaled(frame.to_ndarray(format="rgb24"))
            if held is not None:
                yield held[0] + length / 2, held[1]
    except (FFmpegError, OSError) as error:
        if not made:
            raise InvalidInput(f"it can not be decoded: {error}") from error
    if not made:
        raise InvalidInput("it has no picture that can be decoded")


def _scaled(picture: npt.NDArray[Any]) -> U8:
    scale = MAX_SIDE / max(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(picture, np.uint8)
