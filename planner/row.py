"""One frame of the planner: the 17 controls and the 9 mouth controls in one array."""

from __future__ import annotations

from typing import Final

import numpy as np

from core import CHANNEL, CHANNELS, GAZE_DEGREES, MOUTH, MOUTH_CHANNELS, POSE_SLICE
from planner import physiology as ph
from planner.motion import F64

WIDTH: Final = len(CHANNELS) + len(MOUTH_CHANNELS)
MOUTH_START: Final = len(CHANNELS)
PITCH: Final = CHANNEL["pitch"]
YAW: Final = CHANNEL["yaw"]
ROLL: Final = CHANNEL["roll"]
LIDS: Final = (CHANNEL["AU45_L"], CHANNEL["AU45_R"])


def index(name: str) -> int:
    """Where a channel or mouth channel is in a row."""
    return CHANNEL[name] if name in CHANNEL else MOUTH_START + MOUTH[name]


_MOST: Final = np.ones(WIDTH)
_MOST[POSE_SLICE] = ph.POSE_LIMITS
_LEAST: Final = np.zeros(WIDTH)
_LEAST[POSE_SLICE] = -_MOST[POSE_SLICE]


def bound(row: F64) -> F64:
    """``row`` (float64 ``[…, 26]``) with every channel within its range, changed in place."""
    np.minimum(row, _MOST, out=row)
    np.maximum(row, _LEAST, out=row)
    return row


def gaze_channels(sideways: float, down: float) -> tuple[float, float, float, float]:
    """Eye rotation in degrees, to the person's left and down, as left, right, up and down."""
    side, up, low = GAZE_DEGREES
    return (
        max(sideways, 0.0) / side,
        max(-sideways, 0.0) / side,
        max(-down, 0.0) / up,
        max(down, 0.0) / low,
    )


def gaze_degrees(left: float, right: float, up: float, down: float) -> tuple[float, float]:
    """The inverse of `gaze_channels`."""
    side, high, low = GAZE_DEGREES
    return side * (left - right), low * down - high * up
