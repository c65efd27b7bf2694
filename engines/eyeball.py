"""The eyeball behind the lids, taken from the portrait: white, iris and glint.

The white stays with the head (its shading comes from the lids and the light); the iris turns with
the eye; the glint is the light's mirror image on the cornea and moves about half as far.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core import BROW_LEFT, BROW_RIGHT, F32, IRIS_LEFT, IRIS_RIGHT, U8
from face import IRIS_MM, LIMBUS_DEPTH_MM, FaceModel, Slit

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
GLINT_FOLLOW = 0.5
"""Travel of the corneal reflex over that of the pupil: the cornea's centre of curvature lies about
5.5 mm in front of the eye's centre of rotation, the iris plane 10.5 mm."""


@dataclass(frozen=True, slots=True, eq=False)
class EyeLayer:
    """One eye's textures, on a patch around it. All float32 ``[h, w, 4]``, colours 0..255."""

    white: F32
    iris: F32
    "Colour times coverage, coverage; at its place in the portrait."
    glint: F32
    rest: F32
    "What the other layers miss of the portrait's own look; shown while the eye hardly moves."
    origin: tuple[int, int]
    "x, y of the patch's first pixel."
    centre: F32
    "Iris centre, pixels."
    mm: float
    "Pixels per millimetre at this eye."
    shadow: float
    "Reach of the upper lid's shadow, pixels."
    lid: F32
    "float32 ``[3]``: colour of the skin an eyelid unfolds."
    folded: float
    """Share of that colour on a shut lid: deep-set eyes show hardly any lid to stretch, only the
    shadow of the fold."""

    def state(self, angles: F32, travel: float, out: F32) -> None:
        """Fill the 20 numbers `engines.paint.eye_colour` reads.

        Args:
            angles: rotation in radians: to image right, downwards.
            travel: how far the upper lid is below its place in the portrait, share of the gap.
            out: float32 ``[20]``, written, but for 14 (the overlap of the lids).
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
        moved = float(np.hypot(*shift)) / (2.0 * self.mm)
        out[13] = np.exp(-(moved**2)) * np.exp(-((max(-travel, 0.0) / 0.1) ** 2))
        out[15] = self.folded * min(max((travel - 0.2) / 0.6, 0.0), 1.0)
        out[16:19] = self.lid
        out[19] = travel


def build_eye(picture: U8, face: FaceModel, eye: int) -> EyeLayer:
    """Take one eye apart.

    Args:
        picture: uint8 ``[S, S, 3]``, the portrait at the size of ``face``.
        face: The face, in pixels of ``picture``.
        eye: 0 for the person's left eye, 1 for the right.
    """
    slit, mm = face.eyes[eye], face.iris_mm[eye]
    centre = face.neutral[(IRIS_LEFT, IRIS_RIGHT)[eye][0], :2].astype(np.float32)
    radius = 0.5 * IRIS_MM * mm * _limbus(picture, slit, centre, 0.5 * IRIS_MM * mm)
    crop, origin = _cut(picture, slit, radius)
    h, w = crop.shape[:2]
    xy = np.stack(np.meshgrid(np.arange(w), np.arange(h)), -1).astype(np.float32) + origin
    s, t = slit.frame(xy)
    inner = np.minimum(t - slit.edge(s, True), slit.edge(s, False) - t)
    inner = np.where(np.abs(s) < 1, inner, -np.minimum(10.0, np.abs(s) * slit.half)).astype("f4")
    rho = np.hypot(*np.moveaxis(xy - centre, -1, 0)) / radius
    disc = _soft(1.05 - rho, 0.0, max(1.4 / radius, 0.12))[..., None]
    shadow = max(0.12 * slit.half, 1.0)
    light = shade((t - slit.edge(s, True)) / shadow, (slit.edge(s, False) - t) / shadow)
    light = np.where(np.abs(s) < 1, light, 1)[..., None]
    bare = crop / light

    clear = _soft(inner, 0.05 * slit.half, 0.11 * slit.half) * _soft(rho, 1.08, 1.20)
    white = fill(bare, clear * _whiteness(bare, clear))
    white = np.asarray(cv2.GaussianBlur(white, (0, 0), max(0.06 * slit.half, 0.6)), np.float32)
    # A ball, not paper: it turns away from the light towards the corners.
    white = white * (0.97 - 0.20 * np.minimum(np.abs(s), 1.2) ** 2.5)[..., None]
    colour, glint = _iris(bare, radius, rho, _soft(inner, 0.07 * slit.half, 0.13 * slit.half))
    made = (white * (1 - disc) + colour * disc) * light + glint
    rest = (crop - made) * _soft(inner, -1.0, 0.5)[..., None]
    one, pad = np.ones((h, w, 1), np.float32), np.zeros((h, w, 1), np.float32)

    def pack(colours: F32, cover: F32) -> F32:
        return np.ascontiguousarray(np.dstack([colours, cover]), np.float32)

    return EyeLayer(
        pack(white, one), pack(colour * disc, disc), pack(glint, pad), pack(rest, pad),
        (int(origin[0]), int(origin[1])), centre, mm, shadow, *_lid(picture, face, eye),
    )  # fmt: skip


def fill(image: F32, weight: F32) -> F32:
    """Spread the colours where ``weight`` is high smoothly over the whole image (push-pull).

    Source: Gortler et al., The Lumigraph, SIGGRAPH 1996, section 3.4.
    """
    levels = [(image * weight[..., None], weight)]
    while min(levels[-1][1].shape) > 2:
        colour, w = levels[-1]
        levels.append((np.asarray(cv2.pyrDown(colour)), np.asarray(cv2.pyrDown(w))))
    colour, w = levels[-1]
    result = colour / np.maximum(w, 1e-9)[..., None]
    for colour, w in reversed(levels[:-1]):
        result = cv2.pyrUp(result, dstsize=(w.shape[1], w.shape[0]))
        known = np.minimum(w * 4, 1)[..., None]
        result = known * colour / np.maximum(w, 1e-9)[..., None] + (1 - known) * result
    return np.asarray(result, np.float32)


def shade(upper: F32, lower: F32) -> F32:
    """`engines.paint.lid_shade` for arrays."""
    above = 0.50 * np.exp(-np.maximum(upper, 0))
    below = 0.26 * np.exp(-np.maximum(lower, 0) * 1.2)
    return np.asarray((1 - above) * (1 - below), np.float32)


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


def _lid(picture: U8, face: FaceModel, eye: int) -> tuple[F32, float]:
    """`EyeLayer.lid` and `EyeLayer.folded`: skin from below the eye; gap over room for the lid."""
    slit = face.eyes[eye]
    s, down = np.meshgrid(np.linspace(-0.5, 0.5, 9), np.linspace(0.40, 0.65, 5) * slit.half)
    t = slit.edge(s.astype(np.float32), False) + down
    x = slit.centre[0] + slit.axis[0] * s * slit.half + slit.down[0] * t
    y = slit.centre[1] + slit.axis[1] * s * slit.half + slit.down[1] * t
    at = x.astype(np.float32), y.astype(np.float32)
    skin = cv2.remap(picture, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    colour = np.asarray(np.median(skin.reshape(-1, 3), axis=0) * 0.90, np.float32)
    brow = face.neutral[list((BROW_LEFT, BROW_RIGHT)[eye][1:4]), :2].mean(0)
    at_brow, height = slit.frame(brow)
    room = max(float(slit.edge(at_brow, True) - height), 0.1 * slit.half)
    ratio = float(slit.gap(np.zeros(1, np.float32))[0]) / room
    return colour, 0.6 * float(_soft(np.array(ratio, np.float32), 0.78, 1.25))


def _limbus(picture: U8, slit: Slit, centre: F32, radius: float) -> float:
    """Where iris turns into white, in units of the mesh's radius: drawn eyes have larger irises.

    The radius of the steepest rise in brightness over the visible part, near 1 unless clear.
    """
    steps = np.arange(0.96, 1.36, 0.04, dtype=np.float32)
    angles = np.radians(np.concatenate([np.arange(-35, 36, 5), np.arange(145, 216, 5)]))
    rays = np.stack([np.cos(angles), np.sin(angles)], -1).astype(np.float32)
    reach = np.concatenate([steps - 0.10, steps + 0.10])
    points = centre + radius * reach[:, None, None] * rays[None]
    s, t = slit.frame(points.astype(np.float32))
    inside = np.minimum(t - slit.edge(s, True), slit.edge(s, False) - t) > 0.06 * slit.half
    grey = (picture.astype(np.float32) @ LUMA).astype(np.float32)
    luma = cv2.remap(
        grey, points[..., 0].astype("f4"), points[..., 1].astype("f4"), cv2.INTER_LINEAR
    )
    both = inside[: len(steps)] & inside[len(steps) :]
    rise = np.where(both, luma[len(steps) :] - luma[: len(steps)], 0)
    mean = rise.sum(1) / np.maximum(both.sum(1), 6)
    score = mean / max(float(mean.max()), 12.0) - 2.0 * (steps - 1.0) ** 2
    return float(steps[int(np.argmax(score))])


def _whiteness(bare: F32, clear: F32) -> F32:
    """How much a pixel is like the white of this eye: bright and less red than skin."""
    score = bare @ LUMA - 0.8 * np.maximum(bare[..., 0] - bare[..., 2], 0)
    chosen = clear > 0.5
    if chosen.sum() < 4:
        return np.ones_like(score)
    best = chosen & (score >= np.percentile(score[chosen], 45))
    white = np.median(bare[best], axis=0)
    distance = np.linalg.norm(bare - white, axis=-1) / max(float(white @ LUMA), 30.0)
    return np.asarray(np.exp(-0.5 * (distance / 0.22) ** 2) + 1e-4, np.float32)


def _iris(bare: F32, radius: float, rho: F32, good: F32) -> tuple[F32, F32]:
    """The whole iris without its glint, and the glint.

    Where the lids hide it the iris is the mean of its visible part at the same radius.
    """
    luma = bare @ LUMA
    rings = 14
    ring = np.clip((rho * 10).astype(int), 0, rings - 1)
    means = np.zeros((rings, 3), np.float32)
    have = np.zeros(rings, bool)
    for i in range(rings):
        chosen = (good > 0.5) & (ring == i)
        if chosen.sum() >= 3:
            level = luma[chosen]
            means[i] = bare[chosen][level <= np.percentile(level, 75)].mean(0)  # without glint
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
    excess = luma - polar @ LUMA
    seen = (good > 0.5) & (rho < 0.9)
    spread = max(float(np.std(luma[seen])) if seen.any() else 0.0, 8.0)
    mask = _soft(excess, 1.6 * spread, 3.2 * spread) * _soft(0.88 - rho, 0, 0.15) * good
    mask = np.minimum(cv2.GaussianBlur(cv2.dilate(mask, np.ones((3, 3))), (0, 0), 0.7), 1)
    mask = mask[..., None]
    glint = np.maximum(bare - polar, 0) * mask
    own = (bare - glint) * good[..., None] + polar * (1 - good[..., None])
    return own.astype(np.float32), glint.astype(np.float32)
