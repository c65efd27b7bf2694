"""Image file → `Portrait`: one face, framed head-and-shoulders, with its lifted mesh."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np

from core import F32, U8, Portrait, PortraitRejected
from engines.images import decode_image
from engines.landmarks import FaceMesh, extent

ENROL_VERSION: Final = 1
"Raise it when framing or landmarks change: ids and caches change with it."
CROP: Final = 512
FACE_SHARE: Final = 0.45
"Chin to forehead of the mesh, as a share of the crop: room for hair above and shoulders below."
MAX_SHARE: Final = 0.6
"The tightest framing, for pictures that end close to the head."
FACE_CENTRE: Final = 0.53
SHIFTS: Final = (-0.08, -0.04, 0.0, 0.04, 0.08)
"How far the face may leave its place in the crop, as shares of its side."
MIN_FACE: Final = 128
"Source pixels: less has no eyelashes, irises or teeth to animate."
MAX_YAW: Final = 40.0
"Degrees: beyond it one eye is hidden and the far cheek has no texture."
CHIN, FOREHEAD, SIDE_RIGHT, SIDE_LEFT = 152, 10, 234, 454


def portrait_id(data: bytes) -> str:
    """The id an image gets: a hash of its bytes and of `ENROL_VERSION`."""
    return hashlib.sha256(b"saccade-%d:" % ENROL_VERSION + data).hexdigest()[:20]


def enrol(data: bytes, name: str, *, choose: Literal["largest", "only"] = "largest") -> Portrait:
    """Make a portrait of an image file.

    Args:
        data: The file (see `decode_image`).
        name: Shown to users.
        choose: With several faces, take the ``largest`` and say so, or insist on an ``only`` one.

    Raises:
        PortraitRejected: ``reason`` is not-an-image, truncated, too-large, no-face, several-faces,
            face-too-small or extreme-profile.
    """
    rgb = decode_image(data)
    with FaceMesh() as meshes:
        faces = meshes.detect(rgb)
        if not faces:
            raise PortraitRejected(
                "No face was found; use a picture with one face that looks towards the camera.",
                reason="no-face",
            )
        warnings = _choose(faces, choose, rgb.shape[1])
        face = faces[0]
        _check(face)
        crop, shift, scale = _frame(rgb, face)
        mesh = meshes.refine(crop)
        if mesh is None:  # the detector can miss a face it has seen: keep what it saw then
            mesh = (face - np.array([*shift, 0], np.float32)) * np.float32(scale)
    warnings += _warnings(rgb, face, mesh)
    extra = {"warnings": warnings, "source": [rgb.shape[1], rgb.shape[0]], "faces": len(faces)}
    return Portrait(portrait_id(data), name, crop, np.ascontiguousarray(mesh), extra)


def _choose(faces: list[F32], choose: str, width: int) -> list[str]:
    if len(faces) == 1:
        return []
    if choose == "only":
        raise PortraitRejected(
            f"{len(faces)} faces were found; crop the picture to one person.",
            reason="several-faces",
            faces=len(faces),
        )
    at = float(faces[0][:, 0].mean()) / width
    where = "at the left" if at < 0.4 else "at the right" if at > 0.6 else "in the middle"
    return [f"{len(faces)} faces were found; the largest one, {where}, was taken."]


def _check(face: F32) -> None:
    """Refuse what can not be animated well."""
    size = extent(face)
    if size < MIN_FACE:
        raise PortraitRejected(
            f"The face is only {size:.0f} pixels high; at least {MIN_FACE} are needed."
            " Use a larger picture, or one taken from closer.",
            reason="face-too-small",
            pixels=round(size),
        )
    yaw = abs(head_yaw(face))
    if yaw > MAX_YAW:
        raise PortraitRejected(
            f"The head is turned away by about {yaw:.0f}°; up to {MAX_YAW:.0f}° works."
            " Use a picture that shows both eyes.",
            reason="extreme-profile",
            degrees=round(yaw),
        )


def head_yaw(mesh: F32) -> float:
    """Degrees the head is turned; positive towards the person's left. From the lifted mesh."""
    across = mesh[SIDE_LEFT] - mesh[SIDE_RIGHT]
    return float(np.degrees(np.arctan2(across[2], np.hypot(across[0], across[1]))))


def _place(width: int, height: int, face: F32) -> tuple[F32, float]:
    """Origin and side of the crop, source pixels.

    A picture that ends close to the head is framed tighter and shifted a little, because real
    pixels beat any invented border.
    """
    tall = float(np.linalg.norm(face[CHIN, :2] - face[FOREHEAD, :2]))
    tall = max(tall, 0.9 * extent(face))
    centre = (face[:, :2].min(0) + face[:, :2].max(0)) / 2
    best: tuple[float, F32, float] | None = None
    for share in np.linspace(FACE_SHARE, MAX_SHARE, 10):
        side = tall / float(share)
        for dx in SHIFTS:
            for dy in SHIFTS:
                origin = centre - np.array([0.5 + dx, FACE_CENTRE + dy]) * side
                seen = np.minimum(origin + side, (width, height)) - np.maximum(origin, 0)
                outside = 1 - float(np.prod(np.clip(seen, 0, None))) / side**2
                cost = 4 * outside + (float(share) - FACE_SHARE) + dx * dx * 20 + dy * dy * 10
                if best is None or cost < best[0]:
                    best = cost, origin.astype(np.float32), side
    assert best is not None
    return best[1], best[2]


def _frame(rgb: U8, face: F32) -> tuple[U8, F32, float]:
    """Cut the crop; returns it with the origin (source pixels) and the scale of the cut."""
    origin, side = _place(rgb.shape[1], rgb.shape[0], face)
    scale = CROP / side
    source = rgb
    if scale < 0.5:  # area-average first: one affine step would alias
        factor = 2 * scale
        source = np.asarray(
            cv2.resize(rgb, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8
        )
        origin_s, scale_s = origin * factor, 0.5
    else:
        origin_s, scale_s = origin, scale
    padded, pad = _extend(source, origin_s, CROP / scale_s)
    matrix = np.array(
        [
            [scale_s, 0, -(origin_s[0] + pad) * scale_s],
            [0, scale_s, -(origin_s[1] + pad) * scale_s],
        ]
    )
    flags = cv2.INTER_LANCZOS4 if scale_s > 1 else cv2.INTER_LINEAR
    if 0.5 <= scale_s < 1:
        padded = np.asarray(cv2.GaussianBlur(padded, (0, 0), 0.35 / scale_s), np.uint8)
    crop = cv2.warpAffine(
        padded, matrix, (CROP, CROP), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(crop, np.uint8), origin.astype(np.float32), float(scale)


def _extend(source: U8, origin: F32, side: float) -> tuple[U8, int]:
    """Continue the picture where the crop leaves it: edge colours that blur with the distance."""
    height, width = source.shape[:2]
    outside = max(-origin[0], -origin[1], origin[0] + side - width, origin[1] + side - height)
    pad = int(np.ceil(max(0.0, float(outside)))) + 2
    big = np.asarray(cv2.copyMakeBorder(source, pad, pad, pad, pad, cv2.BORDER_REPLICATE), np.uint8)
    if pad <= 2:
        return big, pad
    soft = cv2.GaussianBlur(big, (0, 0), side / 24)
    inside = np.zeros(big.shape[:2], np.uint8)
    inside[pad : pad + height, pad : pad + width] = 1
    distance = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
    blend = np.clip(distance / (side / 20), 0, 1)[..., None]
    return np.asarray(big * (1 - blend) + soft * blend, np.uint8), pad


def _warnings(rgb: U8, face: F32, mesh: F32) -> list[str]:
    """What will look less good, in words for the user."""
    found = []
    eyes = (("right", 159, 145, (33, 133)), ("left", 386, 374, (263, 362)))
    for name, top, bottom, corners in eyes:
        wide = float(np.linalg.norm(mesh[corners[0], :2] - mesh[corners[1], :2])) + 1e-6
        if np.linalg.norm(mesh[top, :2] - mesh[bottom, :2]) / wide < 0.13:
            found.append(f"The {name} eye seems closed; open eyes give a livelier avatar.")
    gap, width = mesh[13, :2] - mesh[14, :2], mesh[61, :2] - mesh[291, :2]
    lips = float(np.linalg.norm(gap) / np.linalg.norm(width))
    if lips > 0.35:
        found.append("The mouth is wide open; a closed mouth or a light smile works better.")
    tilt = float(np.degrees(np.arctan2(*(mesh[263, :2] - mesh[33, :2])[::-1])))
    if abs(tilt) > 25:
        found.append(f"The head is tilted by about {abs(tilt):.0f}°.")
    low, high = face[:, :2].min(0), face[:, :2].max(0)
    if low.min() < 0 or high[0] > rgb.shape[1] or high[1] > rgb.shape[0]:
        found.append("The face is cut by the edge of the picture.")
    return found


def save_portrait(portrait: Portrait, path: Path) -> None:
    """Write a portrait as npz, atomically: a reader sees all of it or nothing."""
    note = {"id": portrait.id, "name": portrait.name, "extra": portrait.extra}
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(
                file, crop=portrait.crop, mesh=portrait.mesh, note=np.array(json.dumps(note))
            )
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load_portrait(path: Path) -> Portrait:
    """Read what `save_portrait` wrote.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or of another kind.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            note = json.loads(str(stored["note"]))
            return Portrait(note["id"], note["name"], stored["crop"], stored["mesh"], note["extra"])
    except FileNotFoundError:
        raise
    except (zipfile.BadZipFile, KeyError, EOFError, ValueError, OSError) as error:
        raise ValueError(f"{path} is not a portrait: {error}") from error
