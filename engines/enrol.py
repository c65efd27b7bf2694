"""Image file → `Portrait`: one face, framed head-and-shoulders, with its lifted mesh."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from core import F32, U8, Portrait, PortraitRejected
from engines.framing import CROP, cut, place
from engines.images import decode_image, image_size
from engines.landmarks import FaceMesh, extent

ENROL_VERSION: Final = 2
"Raise it when framing or landmarks change: ids and caches change with it."
MIN_FACE: Final = 128
"Pixels as sent: less has no eyelashes, irises or teeth to animate."
SOFT_FACE: Final = 160
"Pixels as sent: less looks soft."
MAX_YAW: Final = 40.0
"Degrees: beyond it one eye is hidden and the far cheek has no texture."
MAX_TILT: Final = 20.0
"Degrees of roll that are still no reason for a warning."
MAX_MADE_UP: Final = 0.12
"Share of the crop outside of the picture that is still no reason for a warning."
CLOSED: Final = 0.16
"Height over width of the opening between lids: closed, or so nearly that the iris hardly shows."
AGAPE: Final = 0.35
"Height over width of an open mouth that is worth a warning."
UNSTEADY: Final = 0.011
"Scatter of the measurements (see `FaceMesh.refine`) that hardly any upright face reaches."
IMAGINED: Final = 0.03
"Scatter beyond which there is no face."
SIDE_RIGHT, SIDE_LEFT = 234, 454
EYE_RIGHT, EYE_LEFT = 33, 263
"Outer corners, the person's own sides."


def portrait_id(data: bytes) -> str:
    """The id an image gets: a hash of its bytes and of `ENROL_VERSION`."""
    return hashlib.sha256(b"saccade-%d:" % ENROL_VERSION + data).hexdigest()[:20]


def enrol(
    data: bytes,
    name: str,
    *,
    choose: Literal["largest", "only"] = "largest",
    meshes: FaceMesh | None = None,
) -> Portrait:
    """Make a portrait of an image file.

    Args:
        data: The file (see `decode_image`).
        name: Shown to users.
        choose: With several faces, take the ``largest`` and say so, or insist on an ``only`` one.
        meshes: Who finds faces; by default one is opened and closed for this portrait.

    Raises:
        PortraitRejected: ``reason`` is not-an-image, truncated, too-large, no-face, several-faces,
            face-too-small or extreme-profile.
    """
    rgb = decode_image(data)
    source = max(image_size(data))
    with FaceMesh() if meshes is None else contextlib.nullcontext(meshes) as meshes:
        found = _find(rgb, meshes)
        _check_size(found, source)
        shot = _shoot(data, found, source, meshes)
        if shot.scatter > UNSTEADY:
            # The mesh fits an upright face even to one that stands on its head, but badly.
            turned = _turned(rgb, found.turns + 2, meshes)
            other = turned and _shoot(data, turned, source, meshes)
            if turned and other and other.scatter < shot.scatter / 2:
                found, shot = turned, other
    _check_face(shot)
    warnings = _choose(found, choose) + _warnings(found, shot, source)
    extra = {"warnings": warnings, "faces": len(found.faces), "face_pixels": found.pixels(source)}
    return Portrait(portrait_id(data), name, shot.crop, shot.mesh, extra)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The faces of a picture that was turned until they are upright."""

    rgb: U8
    faces: list[F32]
    "At least one; the largest first."
    turns: int
    "Quarter turns, counterclockwise, that it took."

    def pixels(self, source: int) -> int:
        """Size of the largest face in the file, whose longer side is ``source``."""
        return round(extent(self.faces[0]) * source / max(self.rgb.shape))


@dataclass(frozen=True, slots=True, eq=False)
class _Shot:
    """One face, cut out and measured."""

    crop: U8
    mesh: F32
    scatter: float
    "See `FaceMesh.refine`."
    made_up: float
    "Share of the crop that lies outside of the picture."


def _find(rgb: U8, meshes: FaceMesh) -> _Found:
    """The faces, upright: scans and old cameras leave pictures on their side without saying so."""
    faces = meshes.detect(rgb)
    turns = round(head_roll(faces[0]) / 90) % 4 if faces else 0
    for attempt in (turns,) if faces else (1, 3, 2):
        if attempt and (turned := _turned(rgb, attempt, meshes)):
            return turned
    if faces:
        return _Found(rgb, faces, 0)
    raise _no_face()


def _turned(rgb: U8, turns: int, meshes: FaceMesh) -> _Found | None:
    """The picture turned by so many quarters, if there is an upright face in it then."""
    turned = np.ascontiguousarray(np.rot90(rgb, turns))
    faces = meshes.detect(turned, thorough=False)
    return _Found(turned, faces, turns % 4) if faces and abs(head_roll(faces[0])) < 45 else None


def _shoot(data: bytes, found: _Found, source: int, meshes: FaceMesh) -> _Shot:
    """Frame, cut and measure the largest face."""
    rgb, face = found.rgb, found.faces[0]
    left, top, side = place(rgb.shape[1], rgb.shape[0], face)
    if side < CROP and max(rgb.shape) < source:  # a second look, at the detail that is there
        larger = decode_image(data, max_side=int(np.ceil(max(rgb.shape) * CROP / side)))
        face = face * np.float32(max(larger.shape) / max(rgb.shape))
        rgb = np.ascontiguousarray(np.rot90(larger, found.turns))
        left, top, side = place(rgb.shape[1], rgb.shape[0], face)
    crop, made_up = cut(rgb, left, top, side)
    expected = (face - np.array([left, top, 0], np.float32)) * np.float32(CROP / side)
    mesh, scatter = meshes.refine(crop, expected)
    return _Shot(crop, np.ascontiguousarray(mesh), scatter, made_up)


def _no_face() -> PortraitRejected:
    return PortraitRejected(
        "No face was found; use a picture with one face that looks towards the camera.",
        reason="no-face",
    )


def _check_size(found: _Found, source: int) -> None:
    pixels = found.pixels(source)
    if pixels < MIN_FACE:
        raise PortraitRejected(
            f"The face is only {pixels} pixels high; at least {MIN_FACE} are needed."
            " Use a larger picture, or one taken from closer.",
            reason="face-too-small",
            pixels=pixels,
        )


def _check_face(shot: _Shot) -> None:
    yaw = abs(head_yaw(shot.mesh))
    if yaw > MAX_YAW:
        raise PortraitRejected(
            f"The head is turned away by about {yaw:.0f}°; up to {MAX_YAW:.0f}° works."
            " Use a picture that shows both eyes.",
            reason="extreme-profile",
            degrees=round(yaw),
        )
    if shot.scatter > IMAGINED:
        raise _no_face()


def _choose(found: _Found, choose: str) -> list[str]:
    count = len(found.faces)
    if count == 1:
        return []
    if choose == "only":
        raise PortraitRejected(
            f"{count} faces were found; crop the picture to one person.",
            reason="several-faces",
            faces=count,
        )
    at = float(found.faces[0][:, 0].mean()) / found.rgb.shape[1]
    where = "at the left" if at < 0.4 else "at the right" if at > 0.6 else "in the middle"
    return [f"{count} faces were found; the largest one, {where}, was taken."]


def head_yaw(mesh: F32) -> float:
    """Degrees the head is turned; positive towards the person's left. From the lifted mesh."""
    across = mesh[SIDE_LEFT] - mesh[SIDE_RIGHT]
    return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))


def head_roll(mesh: F32) -> float:
    """Degrees the line of the eyes is turned clockwise in the picture, in (-180, 180]."""
    across = mesh[EYE_LEFT] - mesh[EYE_RIGHT]
    return float(np.degrees(np.arctan2(across[1], across[0])))


def eye_openings(mesh: F32) -> dict[str, float]:
    """Height over width of the opening between the lids of the person's right and left eye."""
    lids = {
        "right": ((160, 144), (159, 145), (158, 153), 33, 133),
        "left": ((387, 373), (386, 374), (385, 380), 263, 362),
    }
    flat = mesh[:, :2]
    openings = {}
    for side, (*pairs, outer, inner) in lids.items():
        heights = [float(np.linalg.norm(flat[a] - flat[b])) for a, b in pairs]
        openings[side] = float(np.mean(heights) / np.linalg.norm(flat[outer] - flat[inner]))
    return openings


def _warnings(found: _Found, shot: _Shot, source: int) -> list[str]:
    """What was done, or will look less good, in words for the user."""
    told, mesh, pixels = [], shot.mesh, found.pixels(source)
    if found.turns:
        told.append("The picture did not stand upright and was turned.")
    if pixels < SOFT_FACE:
        told.append(f"The face is only {pixels} pixels high; a larger picture looks sharper.")
    closed = [side for side, opening in eye_openings(mesh).items() if opening < CLOSED]
    if closed:
        eyes = "eyes seem" if len(closed) == 2 else f"{closed[0]} eye seems"
        told.append(f"The {eyes} closed or nearly so; open eyes give a livelier avatar.")
    lips, corners = mesh[13, :2] - mesh[14, :2], mesh[61, :2] - mesh[291, :2]
    if np.linalg.norm(lips) > AGAPE * np.linalg.norm(corners):
        told.append("The mouth is wide open; a closed mouth or a light smile works better.")
    tilt = abs(head_roll(mesh))
    if tilt > MAX_TILT:
        told.append(f"The head is tilted by about {tilt:.0f}°; an upright one moves better.")
    if _is_cut(found.faces[0], found.rgb.shape[1], found.rgb.shape[0]):
        told.append("The face is cut by the edge of the picture; show the whole head.")
    elif shot.made_up > MAX_MADE_UP:
        told.append("The picture ends close to the head; leave more room around it.")
    return told


def _is_cut(face: F32, width: int, height: int) -> bool:
    slack = 0.02 * extent(face)  # the mesh itself is not surer than that
    low, high = face[:, :2].min(0), face[:, :2].max(0)
    return bool(low.min() < -slack or high[0] > width + slack or high[1] > height + slack)
