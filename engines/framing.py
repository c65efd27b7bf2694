"""Head-and-shoulders framing: where the square crop lies, and how it is cut."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from core import F32, U8

CROP: Final = 512
"Side of the crop, pixels."
FACE_SHARE: Final = 0.45
"Chin to forehead of the mesh, as a share of the crop: room for hair above and shoulders below."
MAX_SHARE: Final = 0.64
"The tightest framing, for pictures that end close to the head."
FACE_CENTRE: Final = 0.53
"Height of the middle of the face in the crop: the eyes come to lie a little above its middle."
SHIFTS: Final = tuple(np.linspace(-0.1, 0.1, 11))
"How far the face may leave its place in the crop, as shares of its side."
CHIN, FOREHEAD = 152, 10
FADES: Final = {"top": 0.8, "bottom": 0.2, "side": 0.45}
"""How fast a made-up border blurs along the edge: pixels of sigma per pixel of distance. Slowly
below, where neck and shoulders may go on as they are; fast above, where hair would become a hat."""
FRINGE: Final = 2
"Outermost crop pixels not to be continued: scans and cut-outs often end in a line."


def place(width: int, height: int, face: F32) -> tuple[int, int, int]:
    """Where the crop lies in a picture of this size.

    A picture that ends close to the head is framed tighter and shifted a little, because real
    pixels beat any invented border.

    Args:
        width: Of the picture, pixels.
        height: Likewise.
        face: float32 ``[478, 3]``, the mesh in the picture.

    Returns:
        Left, top and side of the crop, whole pixels of the picture; it may reach outside.
    """
    across = np.ptp(face[:, :2], axis=0)
    tall = max(float(np.linalg.norm(face[CHIN, :2] - face[FOREHEAD, :2])), 0.9 * across.max())
    centre = (face[:, :2].min(0) + face[:, :2].max(0)) / 2
    shares, dx, dy = np.meshgrid(
        np.linspace(FACE_SHARE, MAX_SHARE, 14), SHIFTS, SHIFTS, indexing="ij"
    )
    side = tall / shares
    left = centre[0] - (0.5 + dx) * side
    top = centre[1] - (FACE_CENTRE + dy) * side
    seen_x = np.minimum(left + side, width) - np.maximum(left, 0)
    seen_y = np.minimum(top + side, height) - np.maximum(top, 0)
    outside = 1 - np.clip(seen_x, 0, None) * np.clip(seen_y, 0, None) / side**2
    cost = 4 * outside + (shares - FACE_SHARE) + 20 * dx * dx + 10 * dy * dy
    best = np.unravel_index(int(np.argmin(cost)), cost.shape)
    return round(float(left[best])), round(float(top[best])), round(float(side[best]))


def cut(rgb: U8, left: int, top: int, side: int) -> tuple[U8, float]:
    """Resample a square of the picture to the crop's size.

    Args:
        rgb: uint8 ``[H, W, 3]``.
        left: Of the square, pixels of ``rgb``; it may reach outside.
        top: Likewise.
        side: Likewise.

    Returns:
        uint8 ``[512, 512, 3]``, and which share of it had to be made up from the edges.
    """
    height, width = rgb.shape[:2]
    part = rgb[max(top, 0) : top + side, max(left, 0) : left + side]
    scale = CROP / side
    x0, y0 = max(0, round(-left * scale)), max(0, round(-top * scale))
    x1, y1 = (min(CROP, round(n * scale)) for n in (width - left, height - top))
    # Area averages do not alias; Lanczos keeps what little detail there is.
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LANCZOS4
    crop = np.zeros((CROP, CROP, 3), np.float32)
    crop[y0:y1, x0:x1] = cv2.resize(part, (x1 - x0, y1 - y0), interpolation=method)
    _continue(crop[:, x0:x1], y0, y1, FADES["top"], FADES["bottom"])
    _continue(crop.transpose(1, 0, 2), x0, x1, FADES["side"], FADES["side"])
    made_up = 1 - (x1 - x0) * (y1 - y0) / CROP**2
    return np.clip(crop + 0.5, 0, 255).astype(np.uint8), made_up


def _continue(picture: F32, first: int, last: int, before: float, after: float) -> None:
    """Fill the rows outside of [first, last) with the edge row, blurred more the farther off.

    In place. What lies inside never shows up in the border, as it would with a blur in two
    dimensions or a mirror: no dark haze of hair, no second pair of shoulders.
    """
    first, last = first and first + FRINGE, last if last == len(picture) else last - FRINGE
    for row in (*range(first - 1, -1, -1), *range(last, len(picture))):
        edge, fade = (first, before) if row < first else (last - 1, after)
        sigma = 0.5 + fade * abs(row - edge)
        picture[row] = cv2.GaussianBlur(
            picture[edge][None], (0, 0), sigma, borderType=cv2.BORDER_REPLICATE
        )[0]
