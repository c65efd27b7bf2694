"""A case's pictures and sound, as everything that measures wants them.

Whatever a clip's frame rate, size, turn or pixel format is, what leaves this module is square
RGB at exactly 25 frames a second, framed like an enrolled portrait on the first frame and held
there, and 16 kHz mono sound of the same span.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from core import F32, FPS, U8, Portrait
from engines.enrol import IMAGINED, MAX_YAW, head_roll, head_yaw
from engines.evaluate.soundtrack import soundtrack
from engines.evaluate.video import Picture, Video
from engines.evaluate.video import Skipped as Skipped  # part of what this module offers
from engines.framing import CROP, cut, place
from engines.landmarks import FaceMesh, extent

MIN_FACE: Final = 80
"Pixels of a face as filmed: of an eye less than ten pixels wide nothing can be told (free)."
LOOK_SIDE: Final = 1280
"Pixels of the longer side in which the face is looked for."
OVERSAMPLED: Final = 2 * CROP
"Pixels of the crop's side beyond which a clip is made smaller as it is decoded."
FALLEN: Final = 60.0
"Degrees of roll beyond which a head lies, or was filmed on its side."
SILENT_DBFS: Final = -60.0
LONGEST_FILM: Final = 60 * FPS
"Frames `read_film` takes where it is not told."


@dataclass(frozen=True, slots=True, eq=False)
class Footage:
    """One case, decoded and framed."""

    frames: U8
    "uint8 ``[T, S, S, 3]`` RGB at 25 frames a second."
    samples: F32 | None
    "float32 ``[640 T]``, 16 kHz mono; None where the clip has no sound."
    portrait: Portrait | None
    "The first frame, framed and measured as at enrolment; None where it was not asked for."
    notes: tuple[str, ...] = ()
    "What is unusual about the clip and did not keep it from being used."


def read_footage(
    path: Path,
    *,
    start: float = 0.0,
    frames: int,
    size: int = 256,
    portrait: bool = True,
    meshes: FaceMesh | None = None,
) -> Footage:
    """Decode a span of a clip.

    Args:
        path: The clip.
        start: Seconds after its first picture.
        frames: How many, at 25 a second.
        size: Side of the frames, pixels, at most 512.
        portrait: Whether the first frame is also made a portrait.
        meshes: Who finds faces; by default one is opened and closed for this clip.

    Raises:
        Skipped: It can not be decoded, is too short, or shows no usable face at the beginning.
    """
    out = np.empty((frames, size, size, 3), np.uint8)
    made = 0
    notes: list[str] = []
    person: Portrait | None = None
    with Video(path) as video, _finder(meshes) as finder:
        last: U8 | None = None
        for crop, face in _crops(video, start, frames, finder, notes):
            if portrait and not made:
                person = _portrait(crop, face, path.stem, finder)
            out[made] = out[made - 1] if crop is last else _shrunk(crop, size)
            last, made = crop, made + 1
        if made < frames:
            broken = " and breaks off" if video.damaged else ""
            raise Skipped(f"it is too short{broken}: {made} of {frames} frames")
        notes = [*video.notes(), *notes]
        begin = video.origin + start
    samples = soundtrack(path, begin, frames / FPS)
    return Footage(out, samples, person, (*notes, *_sound_notes(samples)))


def framed(path: Path, *, frames: int, size: int, meshes: FaceMesh | None = None) -> Iterator[U8]:
    """A clip's frames as `read_footage` has them, one by one: for clips too long to hold.

    Args:
        path: The clip.
        frames: At most so many, at 25 a second.
        size: Side of the frames, pixels, at most 512.
        meshes: As for `read_footage`.

    Raises:
        Skipped: It can not be decoded, or shows no usable face at the beginning.
    """
    with Video(path) as video, _finder(meshes) as finder:
        for crop, _ in _crops(video, 0.0, frames, finder, []):
            yield _shrunk(crop, size)


def read_film(path: Path, frames: int | None, size: int, *, notes: list[str] | None = None) -> U8:
    """Decode a video that another program made of a case: framed already.

    Args:
        path: The video.
        frames: How many are wanted, at 25 a second; None for all, a minute at most.
        size: Side of what is returned. Pictures that are not square lose their longer ends.
        notes: Where remarks are added.

    Returns:
        uint8 ``[T, size, size, 3]``; T is less than ``frames`` where the video is shorter.

    Raises:
        Skipped: It can not be decoded.
    """
    out: list[U8] = []
    told: set[str] = set()
    with Video(path) as video:
        last: Picture | None = None
        for picture in video.pictures(0.0, LONGEST_FILM if frames is None else frames):
            if picture is last:
                out.append(out[-1])
                continue
            rgb = picture.rgb(2 * size / min(picture.size))
            side = min(rgb.shape[:2])
            if max(rgb.shape[:2]) > side:
                told.add("not square: the middle was taken")
            top, left = (rgb.shape[0] - side) // 2, (rgb.shape[1] - side) // 2
            out.append(_shrunk(rgb[top : top + side, left : left + side], size))
            last = picture
        if not out:
            raise Skipped("it has no picture that can be decoded")
        if notes is not None:
            notes += [*video.notes(), *sorted(told)]
    return np.stack(out)


def seconds_of(path: Path) -> float:
    """How long the pictures of a clip last, from its packets, nothing decoded.

    Raises:
        Skipped: It is no video.
    """
    with Video(path) as video:
        return video.seconds()


@dataclass(frozen=True, slots=True)
class _Lens:
    """Which square of the pictures is kept, once they are made smaller by ``scale``."""

    scale: float
    left: int
    top: int
    side: int

    def crop(self, picture: Picture) -> U8:
        """uint8 ``[512, 512, 3]``."""
        return cut(picture.rgb(self.scale), self.left, self.top, self.side)[0]


def _finder(meshes: FaceMesh | None) -> contextlib.AbstractContextManager[FaceMesh]:
    return FaceMesh() if meshes is None else contextlib.nullcontext(meshes)


def _crops(
    video: Video, start: float, frames: int, meshes: FaceMesh, notes: list[str]
) -> Iterator[tuple[U8, F32]]:
    """Crops, uint8 ``[512, 512, 3]``, and the face in the first one.

    A picture that is shown for longer is given again as the same object.
    """
    last: Picture | None = None
    lens: _Lens | None = None
    for picture in video.pictures(start, frames):
        if lens is None:
            lens, face = _aim(picture, meshes, notes)
        if picture is not last:
            crop = lens.crop(picture)
        last = picture
        yield crop, face


def _aim(picture: Picture, meshes: FaceMesh, notes: list[str]) -> tuple[_Lens, F32]:
    """Find the face; where the crop lies, and the face in it, float32 ``[478, 3]``."""
    width, height = picture.size
    look = min(1.0, LOOK_SIDE / max(width, height))
    faces = meshes.detect(picture.rgb(look))
    if not faces:
        raise Skipped("no face is seen in its first frame")
    if len(faces) > 1:
        notes.append(f"{len(faces)} faces: the largest was taken")
    face = faces[0] / np.float32(look)
    if (pixels := round(extent(face))) < MIN_FACE:
        raise Skipped(f"the face is only {pixels} pixels high; at least {MIN_FACE} are needed")
    if abs(head_roll(face)) > FALLEN:
        raise Skipped("the face does not stand upright in its first frame")
    scale = min(1.0, OVERSAMPLED / place(width, height, face)[2])
    face = face * np.float32(scale)
    left, top, side = place(round(width * scale), round(height * scale), face)
    inside = (face - np.array([left, top, 0], np.float32)) * np.float32(CROP / side)
    return _Lens(scale, left, top, side), inside


def _portrait(crop: U8, face: F32, name: str, meshes: FaceMesh) -> Portrait:
    mesh, scatter = meshes.refine(crop, face)
    if scatter > IMAGINED:
        raise Skipped("no face is seen clearly in its first frame")
    if (yaw := abs(head_yaw(mesh))) > MAX_YAW:
        raise Skipped(f"the head is turned away by about {yaw:.0f}° in its first frame")
    id = hashlib.sha256(b"saccade-footage:" + crop.tobytes()).hexdigest()[:20]
    return Portrait(id, name, crop, np.ascontiguousarray(mesh))


def _shrunk(rgb: U8, size: int) -> U8:
    if rgb.shape[0] == size:
        return np.ascontiguousarray(rgb)
    way = cv2.INTER_AREA if size < rgb.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(rgb, (size, size), interpolation=way), np.uint8)


def _sound_notes(samples: F32 | None) -> tuple[str, ...]:
    if samples is None:
        return ("no sound",)
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return ("silent",) if 10 * np.log10(power + 1e-12) < SILENT_DBFS else ()
