"""MediaPipe's Face Landmarker: blend shape scores of a network, and the turn of the head.

Every frame is looked at on its own: the task's video mode smooths over time, which makes a blink
of six frames last ten and comes to rest late (docs/evaluation.md has the numbers).

Source of the scores: Grishchenko et al. 2022, "Blendshapes GHUM" (MediaPipe).
"""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import numpy as np

from core import CHANNEL, F32, MESH_POINTS, U8, Unavailable
from engines.evaluate.extract.angles import F64, bridged, head_angles
from engines.evaluate.track import AUS, FaceTrack
from engines.landmarks import quiet, undrawn

VARIABLE: Final = "SACCADE_FACE_LANDMARKER"
FILE: Final = "face_landmarker.task"
URL: Final = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/float16/1/"
    + FILE
)
SHA256: Final = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
LARGEST: Final = 64 << 20
"Bytes a download may have."

LOOK_DEGREES: Final = (33.0, 25.0, 30.0)
"""Degrees of eye rotation at a look score of 1, sideways, up, down: the slope between the look
scores and the eye angles that ARKit records side by side (see docs/library.md)."""
WIDE_GAIN: Final = 6.0
"eyeWide hardly passes 0.13 on acted surprise; this brings it near 1 (free)."
SHUT: Final = 0.4
"Blink score beyond which the look scores are guesses: they read a falling lid as a look down."


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What the network itself said, frame by frame."""

    names: tuple[str, ...]
    "The 52 blend shapes, in the network's order."
    values: F32
    "float32 ``[T, 52]`` in [0, 1]; NaN where no face was seen."


def find_landmarker(path: Path | None = None) -> Path:
    """The model file: ``path``, or what SACCADE_FACE_LANDMARKER names, or the downloaded one.

    Raises:
        Unavailable: There is none; the message says how to get it.
    """
    named = path or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    found = named or _cache()
    if found.is_file():
        return found
    if named:
        raise Unavailable(f"There is no face landmarker at {named}.")
    raise Unavailable(
        f"The face landmarker is not here. Download {URL} and name the file by an option or by"
        f" {VARIABLE}, let --download fetch it, or take the extractor 'mesh', which needs none."
    )


def download_landmarker() -> Path:
    """Fetch the model from Google's public address into the cache (3.8 MB); only when asked to.

    Raises:
        Unavailable: It can not be fetched, or is not the file it should be.
    """
    target = _cache()
    try:
        with urllib.request.urlopen(URL, timeout=60) as reply:
            data = reply.read(LARGEST)
        if hashlib.sha256(data).hexdigest() != SHA256:
            raise Unavailable(f"What {URL} sent is not the model expected (its SHA-256 differs).")
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_suffix(".partial")
        partial.write_bytes(data)
        partial.replace(target)
    except (urllib.error.URLError, OSError) as error:
        raise Unavailable(f"{URL} can not be fetched: {error}.") from error
    return target


def _cache() -> Path:
    return Path("~/.cache/saccade").expanduser() / FILE


class Landmarker:
    """An `Extractor`. AU6 is the squint under a smile, as cheekSquint never fires; the inner brow
    has one score for both sides."""

    name = "face landmarker"

    def __init__(self, model: Path) -> None:
        """Raises Unavailable when the file is no such model."""
        # Imported here: it costs half a second.
        with undrawn():
            from mediapipe import Image, ImageFormat
            from mediapipe.tasks.python.core.base_options import BaseOptions
            from mediapipe.tasks.python.vision import FaceLandmarker, FaceLandmarkerOptions

        try:
            options: Any = FaceLandmarkerOptions(
                BaseOptions(model_asset_buffer=model.read_bytes()),
                output_face_blendshapes=True,
                output_facial_transformation_matrixes=True,
            )
            with quiet():
                self._task: Any = FaceLandmarker.create_from_options(options)
                blank = np.zeros((64, 64, 3), np.uint8)
                self._task.detect(Image(image_format=ImageFormat.SRGB, data=blank))
        except (OSError, ValueError, RuntimeError) as error:
            raise Unavailable(f"{model} is no face landmarker: {error}.") from error
        self._image: Callable[[U8], Any] = lambda rgb: Image(
            image_format=ImageFormat.SRGB, data=np.ascontiguousarray(rgb)
        )

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
        """Free the network; idempotent."""
        if self._task is not None:
            self._task.close()
        self._task = None

    def track(self, frames: U8) -> FaceTrack:
        """Measure every frame, uint8 ``[T, H, W, 3]`` RGB."""
        return self.scores(frames)[0]

    def scores(self, frames: U8) -> tuple[FaceTrack, Scores]:
        """The same, and the scores it is made of."""
        count = len(frames)
        mesh = np.full((count, MESH_POINTS, 3), np.nan, np.float32)
        turns = np.full((count, 3, 3), np.nan)
        rows: list[dict[str, float]] = []
        for i, frame in enumerate(frames):
            found = self._task.detect(self._image(frame))
            rows.append({})
            if found.face_landmarks and found.face_blendshapes:
                height, width = frame.shape[:2]
                points = np.array([(p.x, p.y, p.z) for p in found.face_landmarks[0]], np.float32)
                mesh[i] = points * np.array([width, height, width], np.float32)
                turns[i] = _turn(found.facial_transformation_matrixes[0])
                rows[i] = {c.category_name: c.score for c in found.face_blendshapes[0]}
        seen = np.array([bool(row) for row in rows], bool)
        names = tuple(next((row for row in rows if row), {}))
        values = np.array([[row.get(name, np.nan) for name in names] for row in rows], np.float32)
        scores = Scores(names, values.reshape(count, len(names)))
        aus, gaze = _controls(scores, count)
        lids = aus[:, CHANNEL["AU45_L"] : CHANNEL["AU45_R"] + 1]
        gaze = bridged(gaze, lids.max(axis=1) < SHUT, seen)
        return FaceTrack(self.name, seen, mesh, aus, gaze, head_angles(turns)), scores


def _turn(matrix: Any) -> F64:
    """The head's rotation out of the task's matrix, whose y points up and z to the camera."""
    flip = np.array([1.0, -1.0, -1.0])
    linear = np.asarray(matrix, np.float64)[:3, :3]
    u, _, vt = np.linalg.svd(linear)  # the nearest rotation: the matrix carries a scale
    turn: F64 = flip[:, None] * (u @ vt) * flip
    return turn


def _controls(scores: Scores, count: int) -> tuple[F32, F32]:
    """Action units float32 ``[T, 10]`` and gaze in degrees, float32 ``[T, 2]``."""
    table: Mapping[str, F32] = dict(zip(scores.names, scores.values.T, strict=True))
    unseen = np.full(count, np.nan, np.float32)

    def of(name: str) -> F32:
        return table.get(name, unseen)

    def both(name: str) -> F32:
        mean: F32 = (of(name + "Left") + of(name + "Right")) / 2
        return mean

    smile, squint = both("mouthSmile"), both("eyeSquint")
    units = {
        "AU1_L": of("browInnerUp"), "AU1_R": of("browInnerUp"),
        "AU2_L": of("browOuterUpLeft"), "AU2_R": of("browOuterUpRight"),
        "AU4": both("browDown"), "AU5": np.minimum(WIDE_GAIN * both("eyeWide"), 1),
        # A squint under a smile is the cheek's (Duchenne), any other the lid's.
        "AU6": squint * smile, "AU7": squint * (1 - smile),
        "AU45_L": of("eyeBlinkLeft"), "AU45_R": of("eyeBlinkRight"),
    }  # fmt: skip
    aus = np.zeros((count, AUS), np.float32)
    for name, value in units.items():
        aus[:, CHANNEL[name]] = value
    side, up, down = LOOK_DEGREES
    left = (of("eyeLookOutLeft") + of("eyeLookInRight")) / 2
    right = (of("eyeLookInLeft") + of("eyeLookOutRight")) / 2
    below = down * both("eyeLookDown") - up * both("eyeLookUp")
    return aus, np.stack([side * (left - right), below], axis=1).astype(np.float32)
