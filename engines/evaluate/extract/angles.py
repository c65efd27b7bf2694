"""Rotations as head angles, and what both extractors do about gaze behind closed lids."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from core import F32
from engines.evaluate.track import Bools

F64 = npt.NDArray[np.float64]

LOOK_AHEAD: Final = 1e-9
"Keeps angles of a gaze that points backwards finite."


def head_angles(turns: F64) -> F32:
    """Pitch, yaw and roll of rotations, degrees, signs as `core.CHANNELS`.

    Args:
        turns: float64 ``[..., 3, 3]`` that take the head's own frame (x to its left, y down, z
            backwards) to the picture's (x right, y down, z away): pitch first, then yaw, then
            roll.

    Returns:
        float32 ``[..., 3]``.
    """
    pitch = np.arctan2(turns[..., 2, 1], turns[..., 2, 2])
    yaw = np.arcsin(np.clip(turns[..., 2, 0], -1, 1))
    roll = np.arctan2(turns[..., 1, 0], turns[..., 0, 0])
    angles: F32 = np.degrees(np.stack([pitch, yaw, roll], -1)).astype(np.float32)
    return angles


def gaze_angles(directions: F64) -> F32:
    """Where eyes look, degrees to the person's left and downwards.

    Args:
        directions: float64 ``[..., 3]`` in the head's frame (see `head_angles`), towards what is
            looked at; of any length.
    """
    ahead = np.maximum(-directions[..., 2], LOOK_AHEAD)
    left = np.arctan2(directions[..., 0], ahead)
    down = np.arctan2(directions[..., 1], np.hypot(directions[..., 0], ahead))
    angles: F32 = np.degrees(np.stack([left, down], -1)).astype(np.float32)
    return angles


def bridged(values: F32, known: Bools, seen: Bools) -> F32:
    """Rows that are guesses replaced by a straight line between known ones.

    Args:
        values: float32 ``[T, C]``.
        known: bool ``[T]``: rows to keep.
        seen: bool ``[T]``: rows that mean anything; others are left alone.

    Returns:
        float32 ``[T, C]``; as it was where hardly anything is known.
    """
    out = values.copy()
    at = np.flatnonzero(known & seen)
    fill = np.flatnonzero(~known & seen)
    if len(at):
        for column in range(values.shape[1]):
            out[fill, column] = np.interp(fill, at, values[at, column])
    return out
