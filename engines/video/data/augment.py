"""One person under another light, with other skin and eyes, through a worse camera.

What changes a person is drawn once for all clips of that portrait (`varied`); what a camera does
is drawn for each clip, and is the same for its reference and all its frames (`Camera`). Noise and
compression go into the portrait: a still has them once, and they move with the face. All numbers
that are drawn are free, set by looking at what they do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from core import F32, IRIS_LEFT, IRIS_RIGHT, LID_LEFT, LID_RIGHT, U8, Portrait
from engines.video.regions import Regions

OVAL: Final = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"Outline of the face."
OFF: Final = 0.04
"Of half a region: how far it may be misplaced, and mis-sized, each."


def varied(portrait: Portrait, rng: np.random.Generator, strength: float = 1.0) -> Portrait:
    """The portrait, changed; geometry stays.

    Args:
        strength: 0 leaves skin, eyes and light as they are; the camera still may be bad.
    """
    share = portrait.crop.astype(np.float32) / 255
    lab = np.asarray(cv2.cvtColor(share, cv2.COLOR_RGB2LAB), np.float32)
    if rng.random() < 0.7:
        _tint_skin(lab, portrait.mesh, rng, strength)
    if rng.random() < 0.6:
        _tint_eyes(lab, portrait.mesh, rng, strength)
    if rng.random() < 0.6:
        _relight(lab, portrait.mesh, rng, strength)
    rgb = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1) * 255
    return replace(portrait, crop=_worse((rgb + 0.5).astype(np.uint8), rng))


def _polygon(mesh: F32, indices: tuple[int, ...], size: int, blur: float) -> F32:
    mask = np.zeros((size, size), np.float32)
    cv2.fillPoly(mask, [np.round(mesh[list(indices), :2] * 16).astype(np.int32)], (1.0,),
                 cv2.LINE_AA, 4)  # fmt: skip
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), max(blur, 0.3)), np.float32)


def _mm(mesh: F32) -> float:
    return float(np.linalg.norm(mesh[263] - mesh[33])) / 90


def _tint_skin(lab: F32, mesh: F32, rng: np.random.Generator, strength: float) -> None:
    """Lighter, darker, ruddier, sallower: the face without eyes and mouth, softly at its rim."""
    size, mm = lab.shape[0], _mm(mesh)
    mask = _polygon(mesh, OVAL, size, 9 * mm)
    for ring in (LID_LEFT, LID_RIGHT):
        mask *= 1 - _polygon(mesh, ring, size, 0.6 * mm)
    light = 1 + strength * rng.uniform(-0.28, 0.14)
    lab[..., 0] *= 1 + (light - 1) * mask
    lab[..., 1] += strength * rng.normal(0, 3.0) * mask
    lab[..., 2] += strength * rng.normal(0, 4.0) * mask


def _tint_eyes(lab: F32, mesh: F32, rng: np.random.Generator, strength: float) -> None:
    """Both irises to another colour; pupil and glint keep their lightness."""
    size = lab.shape[0]
    light = strength * rng.uniform(-0.15, 0.5)
    a, b = strength * rng.normal(0, 6.0), strength * rng.normal(-4.0, 11.0)
    for iris, lids in ((IRIS_LEFT, LID_LEFT), (IRIS_RIGHT, LID_RIGHT)):
        rim = mesh[list(iris[1:]), :2]
        radius = float(np.linalg.norm(rim - mesh[iris[0], :2], axis=1).mean())
        y, x = np.ogrid[:size, :size]
        reach = np.hypot(x - mesh[iris[0], 0], y - mesh[iris[0], 1]) / max(radius, 1.0)
        ring = np.clip((1.0 - reach) / 0.15, 0, 1) * _polygon(mesh, lids, size, 0.5)
        bright = lab[..., 0]
        # Neither the pupil nor a glint takes colour.
        ring *= np.clip((bright - 8) / 15, 0, 1) * np.clip((85 - bright) / 20, 0, 1)
        lab[..., 0] *= 1 + light * ring
        lab[..., 1] += a * ring
        lab[..., 2] += b * ring


def _relight(lab: F32, mesh: F32, rng: np.random.Generator, strength: float) -> None:
    """Light that comes from a side: a smooth slope over the face, tinted a little."""
    size = lab.shape[0]
    turn = rng.uniform(0, 2 * np.pi)
    centre, reach = mesh[:, :2].mean(axis=0), 60 * _mm(mesh)
    y, x = np.mgrid[:size, :size].astype(np.float32)
    slope = ((x - centre[0]) * np.cos(turn) + (y - centre[1]) * np.sin(turn)) / reach
    slope = np.tanh(slope * rng.uniform(0.5, 1.6))
    lab[..., 0] *= 1 + strength * rng.uniform(0.05, 0.30) * slope
    lab[..., 1] += strength * rng.normal(0, 2.0) * slope
    lab[..., 2] += strength * rng.normal(0, 4.0) * slope


def _worse(crop: U8, rng: np.random.Generator) -> U8:
    """Soft, noisy or much compressed, as portraits that people send are."""
    size = crop.shape[0]
    if rng.random() < 0.25:
        small = int(size * rng.uniform(0.5, 1.0))
        low = cv2.resize(crop, (small, small), interpolation=cv2.INTER_AREA)
        crop = np.asarray(cv2.resize(low, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8)
    if rng.random() < 0.3:
        grain = rng.normal(0, rng.uniform(1, 6), crop.shape).astype(np.float32)
        soft = cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.3, 0.9))
        crop = np.clip(crop + soft + 0.5, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(45, 92))]
        data = cv2.imencode(".jpg", crop, quality)[1]
        crop = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return np.ascontiguousarray(crop)


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """What one clip is seen through."""

    curve: U8
    "uint8 ``[256, 3]``: what each channel's values become."
    regions: Regions
    "A little beside where they belong."

    @classmethod
    def draw(cls, regions: Regions, rng: np.random.Generator) -> Camera:
        """A random camera; one in four changes nothing of the colours."""
        levels = np.linspace(0, 1, 256)[:, None]
        if rng.random() < 0.75:
            gamma = np.exp(rng.normal(0, 0.18))
            gain = np.exp(rng.normal(0, 0.10)) * np.exp(rng.normal(0, 0.06, 3))
            levels = np.repeat(levels**gamma, 3, axis=1) * gain + rng.normal(0, 0.012)
            if rng.random() < 0.06:
                levels[:] = levels.mean(axis=1, keepdims=True)
        curve = np.clip(np.broadcast_to(levels, (256, 3)) * 255 + 0.5, 0, 255).astype(np.uint8)
        shift = rng.uniform(-OFF, OFF, (3, 2)).astype(np.float32)
        # Both eyes are found by the same measure: they are wrong in size together.
        size = 1 + rng.uniform(-OFF, OFF, 3).astype(np.float32)
        size[1] = size[0]
        moved = Regions(regions.centres + shift * regions.halves[:, None], regions.halves * size)
        return cls(np.ascontiguousarray(curve), moved)

    def see(self, frame: U8) -> U8:
        """The regions of a picture, uint8 ``[3, 96, 96, 3]``."""
        crops = self.regions.cut(frame)
        seen = np.empty_like(crops)
        for channel in range(3):
            seen[..., channel] = self.curve[:, channel][crops[..., channel]]
        return seen
