"""One frame of the planner: the 17 controls and the 9 mouth controls in one array."""

from __future__ import annotations

from typing import Final

import numpy as np

from core import CHANNEL, CHANNELS, MOUTH, MOUTH_CHANNELS, POSE_SLICE
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


def bound(row: F64) -> F64:
    """``row`` with every channel within its range; changed in place and returned."""
    np.clip(row[: POSE_SLICE.start], 0, 1, out=row[: POSE_SLICE.start])
    np.clip(row[MOUTH_START:], 0, 1, out=row[MOUTH_START:])
    pose = row[POSE_SLICE]
    np.clip(pose, [-x for x in ph.POSE_LIMITS], ph.POSE_LIMITS, out=pose)
    return row
