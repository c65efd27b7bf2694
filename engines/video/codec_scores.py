"""How good a codec is: decibels, how far gaze is followed, and a sheet to look at."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from torch import Tensor

from core import U8
from engines.video.losses import IRIS, flow_at, open_share
from engines.video.region_windows import Windows
from engines.video.regions import REGIONS

CHANGED: Final = 0.05
"Of full scale: what differs more from the reference counts as changed."
MOVED: Final = 0.05
"Half sides (2.4 pixels): an iris that goes this far counts for how gaze is followed."
SHOWN_IRIS: Final = 0.5
"How open eyes have to be for it."


def scores(windows: Windows, made: U8) -> dict[str, float]:
    """PSNR (dB) of all pixels, of those that changed, of each region; of the reference alone too.

    Args:
        windows: The truth.
        made: uint8 ``[B, T, 96, 96, 3]``.
    """
    true = windows.frames.numpy().astype(np.float32) / 255
    start = windows.reference.numpy().astype(np.float32)[:, None] / 255
    error = np.square(made.astype(np.float32) / 255 - true)
    changed = np.abs(true - start).mean(-1) > CHANGED
    out = {"psnr": _decibels(error), "psnr_changed": _decibels(error[changed])}
    out["psnr_reference"] = _decibels(np.square(start - true)[changed])
    region = windows.region.numpy()
    for k, name in enumerate(REGIONS):
        mine = region == k
        out[f"psnr_{name}"] = _decibels(error[mine][changed[mine]])
    return out


def gaze_followed(windows: Windows, flow: Tensor) -> float:
    """How much of the way of irises that move the bending goes, 1 for all of it.

    The slope of a line through the origin; irises that either picture shows and that move by
    `MOVED` or more, one number for all of them. NaN where none does.

    Args:
        windows: The truth.
        flow: From `iris_flow`, for all windows.
    """
    way = (windows.points - windows.reference_points[:, None])[:, :, IRIS].mean(2)
    shown = open_share(windows.points.flatten(0, 1)).reshape(way.shape[:2])
    shown = shown * open_share(windows.reference_points)[:, None]
    counts = (way.norm(dim=-1) > MOVED) & (shown > SHOWN_IRIS)
    way, flow = way[counts], flow[counts]
    return float(-(flow * way).sum() / way.square().sum()) if len(way) else float("nan")


def iris_flow(flow: Tensor, points: Tensor) -> Tensor:
    """What the second layer's flow is at irises.

    Args:
        flow: ``[B * T, 2, 2, 96, 96]``.
        points: ``[B, T, 31, 2]``.

    Returns:
        ``[B, T, 2]``, half sides.
    """
    at = flow_at(flow[:, 1], points.flatten(0, 1)[:, IRIS])
    return at.mean(1).reshape(*points.shape[:2], 2)


def _decibels(squared: np.ndarray[Any, np.dtype[np.float32]]) -> float:
    """0 where there is nothing to measure."""
    return float(-10 * np.log10(squared.mean() + 1e-8)) if squared.size else 0.0


def sheet(windows: Windows, made: U8) -> U8:
    """Rows of reference, truth, decoded and four times the error, of the most changed frame."""
    rows = []
    for true, start, out in zip(
        windows.frames.numpy(), windows.reference.numpy(), made, strict=True
    ):
        apart = np.abs(true.astype(np.int16) - start).mean((1, 2, 3))
        t = int(apart.argmax())
        error = 4 * np.abs(out[t].astype(np.int16) - true[t])
        rows.append(np.hstack([start, true[t], out[t], error.clip(0, 255).astype(np.uint8)]))
    half = (len(rows) + 1) // 2
    rows += [np.zeros_like(rows[0])] * (2 * half - len(rows))
    picture: U8 = np.hstack([np.vstack(rows[:half]), np.vstack(rows[half:])])
    large: U8 = picture.repeat(2, axis=0).repeat(2, axis=1)
    return large
