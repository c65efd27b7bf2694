"""The eyeball behind the lids, taken from the portrait: white, iris and glint.

The white stays with the head (its shading comes from the lids and the light); the iris turns with
the eye; the glint is the light's mirror image on the cornea and moves about half as far.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core import F32, IRIS_LEFT, IRIS_RIGHT, U8
from face import IRIS_MM, LIMBUS_DEPTH_MM, FaceModel, Slit

GLINT_FOLLOW = 0.5
"Travel of the corneal reflex over that of the pupil: the cornea's centre of curvature lies about 5.5 mm in front of the eye's centre of rotation, the iris plane 10.5 mm."  # noqa: E501


@dataclass(frozen=True, slots=True, eq=False)
class EyeLayer:
    """One eye's textures, on a patch around it. All float32 ``[h, w, 4]``, colours 0..255."""

    white: F32
    iris: F32
    "Colour times coverage, coverage; at its place in the portrait."
    glint: F32
    origin: tuple[int, int]
    "x, y of the patch's first pixel."
    centre: F32
    "Iris centre, pixels."
    mm: float
    "Pixels per millimetre at this eye."
    shadow: float
    "Reach of the upper lid's shadow, pixels."

    def state(self, angles: F32, out: F32) -> None:
        """Fill the 13 numbers `engines.warp.eye_colour` reads.

        Args:
            angles: rotation in radians: to image right, downwards.
            out: float32 ``[13]``, written.
        """
        depth = LIMBUS_DEPTH_MM * self.mm
        h, v = float(angles[0]), float(angles[1])
        # The disc's axes after turning: pitch first, then yaw, as in face.rotation.
        axes = np.array([[np.cos(h), -np.sin(h) * np.sin(v)], [0.0, np.cos(v)]])
        shift = (depth * np.sin(h) * np.cos(v), depth * np.sin(v))
        out[0:2] = self.origin
        out[2:4] = self.centre
        out[4:6] = shift
        out[6:10] = np.linalg.inv(axes).ravel()
        out[10] = self.shadow
        out[11:13] = GLINT_FOLLOW * np.asarray(shift)


def build_eye(picture: U8, face: FaceModel, eye: int) -> EyeLayer:
    """Take one eye apart.

    Args:
        picture: uint8 ``[S, S, 3]``, the portrait at the size of ``face``.
        face: The face, in pixels of ``picture``.
        eye: 0 for the person's left eye, 1 for the right.
    """
    slit, mm = face.eyes[eye], face.iris_mm[eye]
    centre = face.neutral[(IRIS_LEFT, IRIS_RIGHT)[eye][0], :2].astype(np.float32)
    radius = 0.5 * IRIS_MM * mm
    crop, origin = _cut(picture, slit, radius)
    h, w = crop.shape[:2]
    xy = np.stack(np.meshgrid(np.arange(w), np.arange(h)), -1).astype(np.float32) + origin
    s, t = slit.frame(xy)
    inner = np.minimum(t - slit.edge(s, True), slit.edge(s, False) - t)
    inner = np.where(np.abs(s) < 1, inner, -np.minimum(10.0, np.abs(s) * slit.half)).astype("f4")
    visible = _soft(inner, -1.2, 0.0)
    rho = np.hypot(*np.moveaxis(xy - centre, -1, 0)) / radius
    iris_zone = _soft(1.14 - rho, 0.0, 0.10)
    disc = _soft(1.04 - rho, 0.0, max(1.4 / radius, 0.10))

    clear = _soft(inner, 0.05 * slit.half, 0.11 * slit.half) * (1 - iris_zone)
    white = fill(crop, clear * _bright(crop, clear))
    white = (
        visible[..., None] * (crop * (1 - iris_zone[..., None]))
        + white * (1 - visible * (1 - iris_zone))[..., None]
    )

    whole, glint = _iris(crop, xy, centre, radius, rho, inner, slit, disc)
    seen = crop - white * (1 - disc[..., None]) - glint
    colour = visible[..., None] * seen + (1 - visible[..., None]) * disc[..., None] * whole
    iris = np.dstack([colour, disc]) * _soft(1.3 - rho, 0, 0.1)[..., None]
    pad = np.zeros((h, w, 1), np.float32)
    return EyeLayer(
        np.ascontiguousarray(np.dstack([white, pad + 1]), np.float32),
        np.ascontiguousarray(iris, np.float32),
        np.ascontiguousarray(np.dstack([glint, pad]), np.float32),
        (int(origin[0]), int(origin[1])),
        centre,
        mm,
        max(0.09 * slit.half, 1.0),
    )


def fill(image: F32, weight: F32) -> F32:
    """Spread the colours where ``weight`` is high smoothly over the whole image (push-pull).

    Source: Gortler et al., The Lumigraph, SIGGRAPH 1996, section 3.4.
    """
    levels = [(image * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 2:
        colour, w = levels[-1]
        levels.append((cv2.pyrDown(colour), cv2.pyrDown(w)))
    colour, w = levels[-1]
    result = colour / np.maximum(w, 1e-6)[..., None]
    for colour, w in reversed(levels[:-1]):
        result = cv2.pyrUp(result, dstsize=(w.shape[1], w.shape[0]))
        known = np.minimum(w * 4, 1)[..., None]
        result = known * colour / np.maximum(w, 1e-6)[..., None] + (1 - known) * result
    return np.asarray(result, np.float32)


def _cut(picture: U8, slit: Slit, radius: float) -> tuple[F32, F32]:
    size = picture.shape[0]
    reach = 1.25 * slit.half + 0.4 * radius
    low = np.clip(np.floor(slit.centre - reach), 0, size - 8).astype(int)
    high = np.clip(np.ceil(slit.centre + reach), low + 8, size).astype(int)
    patch = picture[low[1] : high[1], low[0] : high[0]].astype(np.float32)
    return patch, low.astype(np.float32)


def _soft(x: F32, low: float, high: float) -> F32:
    x = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(x * x * (3 - 2 * x), np.float32)


def _bright(crop: F32, clear: F32) -> F32:
    """Downweight what is much darker than the white of this eye: lashes, shadows."""
    luma = crop @ np.array([0.299, 0.587, 0.114], np.float32)
    chosen = luma[clear > 0.5]
    if len(chosen) < 4:
        return np.ones_like(luma)
    typical = float(np.percentile(chosen, 60))
    return _soft(luma / max(typical, 1.0), 0.55, 0.85) + 1e-3


def _iris(
    crop: F32, xy: F32, centre: F32, radius: float, rho: F32, inner: F32, slit: Slit, disc: F32
) -> tuple[F32, F32]:
    """The whole iris (polar means, mirrored texture where hidden) and the glint on it."""
    s, t = slit.frame(xy)
    under_lid = t - slit.edge(s, True)
    good = _soft(inner, 0.5, 2.0) * _soft(under_lid, 0.06 * slit.half, 0.16 * slit.half)
    luma = crop @ np.array([0.299, 0.587, 0.114], np.float32)
    rings = 14
    ring = np.clip((rho * 10).astype(int), 0, rings - 1)
    means = np.zeros((rings, 3), np.float32)
    have = np.zeros(rings, bool)
    for i in range(rings):
        weight = good * (ring == i)
        values = crop[weight > 0.4]
        if len(values) >= 3:
            level = luma[weight > 0.4]
            means[i] = values[level <= np.percentile(level, 75)].mean(0)  # without the glint
            have[i] = True
    if not have.any():
        means[:] = (60, 45, 40)
        have[:] = True
    known = np.flatnonzero(have)
    for c in range(3):
        means[:, c] = np.interp(np.arange(rings), known, means[known, c])
    position = np.clip(rho * 10 - 0.5, 0, rings - 1)
    low = position.astype(int)
    part = (position - low)[..., None]
    polar = means[low] * (1 - part) + means[np.minimum(low + 1, rings - 1)] * part
    excess = luma - polar @ np.array([0.299, 0.587, 0.114], np.float32)
    spread = max(float(np.std(luma[(good > 0.4) & (rho < 0.9)])) if known.size else 0.0, 8.0)
    mask = _soft(excess, 1.6 * spread, 3.2 * spread) * _soft(0.92 - rho, 0, 0.15)
    mask = mask * _soft(inner, 0.0, 1.5)
    mask = np.minimum(cv2.GaussianBlur(cv2.dilate(mask, np.ones((3, 3))), (0, 0), 0.7), 1)
    glint = np.maximum(crop - polar, 0) * mask[..., None]
    return polar.astype(np.float32), glint.astype(np.float32)
