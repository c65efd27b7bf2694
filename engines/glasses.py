"""Whether a portrait wears glasses: a rigid frame must not bend with the brows behind it."""

from __future__ import annotations

import cv2
import numpy as np

from core import U8
from face import FaceModel

LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def glasses_share(crop: U8, face: FaceModel) -> float:
    """0 for none, 1 for sure.

    The bridge of a frame is a dark or bright bar right across the nose between the eyes, where
    skin has no edge that runs from eye to eye.

    Args:
        crop: uint8 ``[S, S, 3]``.
        face: in pixels of ``crop``.
    """
    left, right = face.eyes
    across = left.centre - right.centre
    across = across / max(float(np.hypot(*across)), 1e-3)
    down = np.array([-across[1], across[0]], np.float32)
    middle = (left.centre + right.centre) / 2
    u = np.linspace(-6.0, 6.0, 25, dtype=np.float32) * face.mm
    v = np.arange(-12.0, 14.0, 0.4, dtype=np.float32) * face.mm
    x = middle[0] + u[None] * across[0] + v[:, None] * down[0]
    y = middle[1] + u[None] * across[1] + v[:, None] * down[1]
    grey = (crop.astype(np.float32) @ LUMA).astype(np.float32)
    strip = cv2.remap(grey, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
    # An edge that every column shares survives the lowest quantile over columns, shifted a
    # little up or down as frames are curved.
    rise = np.abs(strip[3:] - strip[:-3])
    rise = np.stack([np.roll(rise, k, 0) for k in range(-3, 4)]).max(0)[4:-4]
    contrast = float(np.quantile(rise, 0.15, axis=1).max()) / max(float(strip.mean()), 20.0)
    # Measured on 35 pictures: up to 0.18 without glasses, mostly 0.3 to 1.2 with them.
    return float(np.clip((contrast - 0.20) / 0.12, 0, 1))
