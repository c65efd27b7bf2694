"""What is behind the lips: upper teeth fixed to the skull, lower teeth and tongue to the jaw.

Where the portrait shows its teeth they are used as they are; otherwise teeth are drawn, soft and
tinted by the portrait's own light. Sizes of teeth: Wheeler's Dental Anatomy, mesiodistal crowns.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core import F32, U8
from engines.eyeball import fill
from face import Slit

HALF_MOUTH_MM = 25.0
"Half the width of a mouth at rest: the ruler in the mouth."
UPPER_WIDTHS = (8.5, 6.5, 7.6, 7.1, 6.6, 10.0, 9.0)
LOWER_WIDTHS = (5.3, 5.7, 6.8, 7.0, 7.1, 11.0, 10.5)
"Crown widths from the midline, mm."
ARCH_MM = 23.0
"Radius of the dental arch in front, mm."
UPPER_EDGE_MM = (2.1, 1.5, 1.9, 1.3, 1.0, 0.6, 0.4)
"How far each upper crown reaches below the line of closed lips, mm."


LOWER_LIGHT = np.array([0.84, 0.80, 0.74], np.float32)
"Lower teeth stand further back and in the lip's shade."
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class MouthLayer:
    """Textures of the mouth's inside; float32 ``[h, w, 4]``, colour times coverage, coverage."""

    upper: F32
    lower: F32
    tongue: F32
    rest: F32
    "What the other layers miss of a parted mouth's own look; shown while it hardly moves."
    origin: tuple[int, int]
    mm: float
    "Pixels per millimetre in the mouth."
    cavity: F32
    down: F32
    "Unit vector from the upper to the lower lip."

    def state(self, drop: float, tongue: float, light: float, moved: float, out: F32) -> None:
        """Fill the 13 numbers `engines.paint.mouth_colour` reads.

        Args:
            drop: how far the lower teeth have moved down, pixels.
            tongue: the tongue control, 0..1.
            light: share of the light that enters; rounded lips keep some out.
            moved: how far the mouth is from the portrait's own, 0 for not at all.
            out: float32 ``[13]``, written.
        """
        rise = 0.78 * drop - tongue * min(0.5 * drop + 1.5 * self.mm, 8 * self.mm)
        out[0:2] = self.origin
        out[2:4] = drop * self.down
        out[4:6] = rise * self.down
        out[6] = self.mm
        out[7:10] = self.cavity
        # Little of the tongue is lit behind nearly closed teeth.
        out[10] = 0.35 + 0.65 * min(drop / (14 * self.mm), 1.0) + 0.3 * tongue
        out[11] = light
        out[12] = np.exp(-((moved / 0.08) ** 2))


def build_mouth(picture: U8, slit: Slit, closed: bool, tooth: F32, lip: F32) -> MouthLayer:
    """Make the inside of the mouth.

    Args:
        picture: uint8 ``[S, S, 3]``, the portrait.
        slit: the inner lips, pixels of ``picture``.
        closed: whether the lips meet in the portrait; when not, what shows between them is kept.
        tooth: float32 ``[3]``: colour of a tooth in full light.
        lip: float32 ``[3]``: mean colour of the lips.
    """
    size = picture.shape[0]
    mm = slit.half / HALF_MOUTH_MM
    low = np.clip(np.floor(slit.centre - (1.3 * slit.half, 0.9 * slit.half)), 0, size - 8)
    high = np.clip(np.ceil(slit.centre + (1.3 * slit.half, 1.5 * slit.half)), low + 8, size)
    (x0, y0), (x1, y1) = low.astype(int), high.astype(int)
    xy = np.stack(np.meshgrid(np.arange(x0, x1), np.arange(y0, y1)), -1).astype(np.float32)
    s, t = slit.frame(xy)
    line = slit.edge(s, True) if closed else slit.edge(s, False) - 1.8 * mm
    x, y = s * HALF_MOUTH_MM, (t - line) / mm
    gum = 0.55 * lip + np.array([30, 8, 8], np.float32)
    rest = np.zeros((*x.shape, 4), np.float32)
    if closed:
        upper = _teeth(x, y, UPPER_WIDTHS, np.array(UPPER_EDGE_MM), tooth, gum, downwards=True)
    else:
        crop = picture[y0:y1, x0:x1].astype(np.float32)
        upper, own, rest = _own_teeth(crop, slit, s, t, mm)
        tooth = np.minimum(own, 235) if own.any() else tooth
    # In a parted mouth the lower teeth just look over the lower lip.
    y_low = y if closed else (t - slit.edge(s, False)) / mm + 1.1
    lower = _teeth(
        x, y_low, LOWER_WIDTHS, np.full(7, 0.3), tooth * LOWER_LIGHT, gum, downwards=False
    )
    lower *= _smooth(19.0 - np.abs(x), 0.0, 6.0)[..., None]
    tongue = _tongue(x, y, lip)
    cavity = (0.10 * lip + np.array([12, 3, 3], np.float32)).astype(np.float32)
    return MouthLayer(
        upper, lower, tongue, rest, (x0, y0), mm, cavity, slit.down.astype(np.float32)
    )


def shade(upper_mm: F32, lower_mm: F32) -> F32:
    """`engines.paint.lip_shade` for arrays."""
    above = 0.62 * np.exp(-np.maximum(upper_mm, 0) / 1.6)
    below = 0.35 * np.exp(-np.maximum(lower_mm, 0) / 1.0)
    return np.asarray((1 - above) * (1 - below), np.float32)


def _smooth(x: F32, low: float, high: float) -> F32:
    x = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(x * x * (3 - 2 * x), np.float32)


def _teeth(
    x: F32, y: F32, widths: tuple[float, ...], edge: F32, tooth: F32, gum: F32, *, downwards: bool
) -> F32:
    """A row of crowns seen from the front. ``x``, ``y`` in mm from the middle of the lip line."""
    arc = ARCH_MM * np.arcsin(np.clip(np.abs(x) / (ARCH_MM * 1.02), 0, 1))
    ends = np.cumsum(widths)
    index = np.clip(np.searchsorted(ends, arc), 0, len(widths) - 1)
    width = np.asarray(widths)[index]
    u = (arc - (ends[index] - width / 2)) / (width / 2)
    rise = 0.0035 * x * x  # the arch climbs towards the back: the smile line
    sign = 1.0 if downwards else -1.0
    level = edge[index] * (1.0 if downwards else -1.0) - (rise if downwards else -rise * 0.6)
    # Rounded corners of the crowns; positive inside the tooth.
    inside = (level - y) * sign - 0.55 * np.abs(u) ** 3.5
    cover = _smooth(inside, -0.30, 0.35)
    height = 9.2 if downwards else 8.0
    scallop = 1.3 * u * u
    to_gum = _smooth(inside, height - 0.8 - scallop, height + 0.5 - scallop)
    round_ = 1 - 0.10 * u * u - 0.16 * _smooth(np.abs(u), 0.80, 1.0)
    bite = 1 - 0.10 * _smooth(1.6 - inside, 0, 1.6)  # enamel thins at the edge
    back = np.clip(1 - 0.75 * (np.abs(x) / HALF_MOUTH_MM) ** 2.2, 0.12, 1)
    light = (round_ * bite * back)[..., None]
    colour = tooth * light * (1 - to_gum[..., None]) + gum * back[..., None] * to_gum[..., None]
    cover = cover * _smooth(ARCH_MM * 1.02 - np.abs(x), 0.0, 1.0)
    return np.ascontiguousarray(np.dstack([colour * cover[..., None], cover]), np.float32)


def _own_teeth(crop: F32, slit: Slit, s: F32, t: F32, mm: float) -> tuple[F32, F32, F32]:
    """The portrait's own teeth, completed under the lips; their colour; what is missing at rest.

    Colours are divided by the lips' shade, which the painter multiplies again. Under the upper
    lip the teeth go on a little and turn into gum; at the lower edge, where they are teeth, they
    end softly.
    """
    du, dl = t - slit.edge(s, True), slit.edge(s, False) - t
    inside = np.where(np.abs(s) < 1, np.minimum(du, dl), -9.0).astype(np.float32)
    # The last half millimetre is half lip: it is shown only at rest, as part of the picture.
    seen = _smooth(inside, 0.35 * mm, 0.85 * mm)[..., None]
    light = np.maximum(shade(du / mm, dl / mm), 0.30)[..., None]
    bare = crop / light
    luma = crop @ LUMA
    sure = _smooth(inside, 0.3 * mm, 0.9 * mm)
    tooth = sure * _whiteness(crop, luma, sure)
    clean = tooth > 0.6
    tone = np.median(bare[clean], axis=0) if clean.sum() > 8 else np.zeros(3, np.float32)
    dental = np.minimum(fill(bare, tooth + 1e-5 * sure + 1e-9), 245.0)
    near = fill(np.repeat(tooth[..., None], 3, 2), sure + 1e-6)  # is there tooth next to here?
    near = _smooth(near, 0.25, 0.65)
    lit = luma[sure > 0.5] if (sure > 0.5).any() else luma  # a mouth may be too small to be sure
    gum = np.array([176, 96, 90], np.float32) * float(lit.mean() / 190.0 + 0.1)
    to_gum = _smooth(-du, 0.8 * mm, 2.6 * mm)[..., None]
    above = dental * (1 - to_gum) + gum * to_gum * (1 - 0.5 * _smooth(-du, mm, 6 * mm))[..., None]
    hidden = near * above + (1 - near) * fill(bare, sure + 1e-9)
    low = _smooth(du - dl, -0.8 * mm, 0.8 * mm)  # nearer to the lower lip than to the upper one
    ends = _smooth(dl, -1.3 * mm, -0.2 * mm) * near[..., 0]
    cover = (1 - low + low * ends) * _smooth(np.asarray(1.06 - np.abs(s), np.float32), 0.0, 0.10)
    cover = np.maximum(cover, seen[..., 0])
    own = bare * seen + hidden * (1 - seen)
    packed = np.dstack([own * cover[..., None], cover])
    rest = np.dstack(
        [(crop - own * light * cover[..., None]) * _smooth(inside, -1.0, 0.3)[..., None], cover]
    )
    return (
        np.ascontiguousarray(packed, np.float32),
        tone.astype(np.float32),
        np.ascontiguousarray(rest, np.float32),
    )


def _whiteness(crop: F32, luma: F32, sure: F32) -> F32:
    """How much a pixel between the lips is tooth: among the bright ones, and not red."""
    bright = float(np.percentile(luma[sure > 0.5], 85)) if (sure > 0.5).sum() > 8 else 255.0
    redness = (crop[..., 0] - crop[..., 1]) / (crop.sum(-1) + 40)
    return _smooth(luma / max(bright, 40.0), 0.45, 0.75) * _smooth(0.13 - redness, 0.0, 0.05)


def _tongue(x: F32, y: F32, lip: F32) -> F32:
    """A soft mound behind the lower teeth."""
    r: F32 = np.hypot(x / 20.0, (y - 5.0) / 10.0).astype(np.float32)
    cover = _smooth(1 - r, 0.0, 0.35)
    groove = 1 - 0.20 * np.exp(-((x / 2.0) ** 2)) * _smooth(y, -1.0, 6.0)
    light = (0.30 + 0.50 * _smooth(1.0 - r, 0.0, 0.8)) * groove
    tone = 0.75 * lip + np.array([28, 6, 8], np.float32)
    colour = tone * light[..., None]
    out = np.dstack([colour * cover[..., None], cover]).astype(np.float32)
    return np.ascontiguousarray(cv2.GaussianBlur(out, (0, 0), 0.8))
