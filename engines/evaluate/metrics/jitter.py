"""Jitter: how unevenly things move from frame to frame.

A picture that stands still has no jitter at all, so jitter is shown beside the motion it was
measured with: FlowPortrait reports that a model rewarded for consistency alone stops moving.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from core import F32, U8
from engines.evaluate.metrics.eyes import RIGID, interocular
from engines.evaluate.metrics.pixels import Box

EPSILON: Final = 1e-3
"""ε of equation 15, in sides of the picture (a quarter of a pixel of 256): motion below it counts
as little. The paper does not say how large it is (free)."""
SHRUNK: Final = 2
"Flow is taken at half size: what shakes there is what is seen."
SMALLEST: Final = 16
"Side of a box, pixels at half size: the flow's patches are 8 pixels wide."


@dataclass(frozen=True, slots=True)
class Jitter:
    """How unevenly, and how much, a picture moves; NaN of fewer than three frames."""

    jitter: float
    "Mean of equation 15: 0 is still or even motion, 1 is as much change as motion."
    motion: float
    "Mean length of the flow, thousandths of the picture's side a frame."


def flow_jitter(frames: U8, *, box: Box | None = None) -> Jitter:
    """Change of the optical flow from frame to frame against its length.

    ``j_t = |u_{t+1} - u_t| / (|u_t| + ε)``, lengths taken at every pixel and averaged over the
    picture, then ``1/(T-2) Σ j_t``; the reward of equation 16 is the same with a minus sign. The
    flow is DIS (Kroeger et al. 2016, ECCV) on luma at half size: it stands in for their RAFT.

    Source: FlowPortrait (2026), equations 14-16.

    Args:
        frames: uint8 ``[T, H, W, 3]`` RGB.
        box: Only what lies within: the face, say.
    """
    if frames.ndim != 4 or frames.shape[3] != 3:
        raise ValueError(f"frames: expected [T, H, W, 3], got {list(frames.shape)}")
    epsilon = EPSILON * max(frames.shape[1:3]) / SHRUNK
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    last: U8 | None = None
    before: F32 | None = None
    lengths: list[float] = []
    jitters: list[float] = []
    for frame in frames:
        here = _small(frame, box)
        if last is not None:
            # Zeros, not empty memory: what is passed in is where the search begins.
            moved = flow.calc(last, here, np.zeros((*here.shape, 2), np.float32))
            u = np.asarray(moved, np.float32)
            if before is not None:
                jitters.append(_length(u - before) / (lengths[-1] + epsilon))
            lengths.append(_length(u))
            before = u
        last = here
    if not jitters:
        return Jitter(float("nan"), float("nan"))
    side = max(frames.shape[1:3]) / SHRUNK
    return Jitter(float(np.mean(jitters)), float(np.mean(lengths)) / side * 1000)


def point_jitter(mesh: F32) -> float:
    """Mean acceleration of the skull's landmarks.

    ``mean |x(t+1) - 2 x(t) + x(t-1)|₂`` over `RIGID` and all triples of neighbouring frames that
    show a face, in x and y.

    Args:
        mesh: float32 ``[T, 478, 3]``, pixels; rows of NaN are frames without a face.

    Returns:
        Distances of the outer eye corners per frame²; NaN where no three frames in a row are seen.
    """
    points = mesh[:, list(RIGID), :2].astype(np.float64)
    bend = np.linalg.norm(points[2:] - 2 * points[1:-1] + points[:-2], axis=-1)
    seen = np.isfinite(bend).all(axis=1)
    if not seen.any():
        return float("nan")
    return float(bend[seen].mean()) / interocular(mesh)


def _small(frame: U8, box: Box | None) -> U8:
    luma = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    if box is not None:
        left, top, right, bottom = box
        luma = luma[top:bottom, left:right]
    height, width = (max(side // SHRUNK, SMALLEST) for side in luma.shape)
    return np.asarray(cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _length(u: F32) -> float:
    return float(cv2.magnitude(u[..., 0], u[..., 1]).mean())
