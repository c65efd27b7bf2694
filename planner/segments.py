"""Cuts recordings into prototypes: at moments of rest, and only where a face was seen well."""

from __future__ import annotations

from typing import Final

import numpy as np

from core import CHANNEL, FPS, POSE_SLICE
from planner import physiology as ph
from planner.library import Prototype, make_prototype
from planner.motion import F64
from planner.recordings import Recording
from planner.retrieval import COMPARABLE

SHORTEST_SECONDS: Final = 1.0
AIM_SECONDS: Final = (2.0, 5.0)
"A cut is looked for this long after the one before."
LEAST_QUALITY: Final = 0.35
LEAST_ACTIVITY: Final = 0.004
"Mean motion a frame (comparable units) under which a face is a still picture."
LID_CLOSED: Final = 0.3
"No cut through a blink that is further closed than this."
UNIT_SPEED: Final = 8.0
"Full scale a second: a brow or lid raise that is faster is a slip of the tracker."
_LIDS: Final = slice(CHANNEL["AU45_L"], CHANNEL["AU45_R"] + 1)


def segment(recording: Recording) -> list[Prototype]:
    """The prototypes in ``recording``, in its order."""
    values = recording.controls.values
    found = []
    for start, end in spans(values.astype(np.float64)):
        piece = values[start:end].copy()
        good = quality(piece.astype(np.float64))
        if good < LEAST_QUALITY:
            continue
        found.append(
            make_prototype(
                f"{recording.name}@{start / FPS:.2f}",
                recording.category,
                piece,
                f"{recording.source}: {recording.name}",
                recording.licence,
                "recorded",
                good,
            )
        )
    return found


def spans(values: F64) -> list[tuple[int, int]]:
    """(start, end) frames of the pieces of one recording, float64 ``[T, 17]``; they touch."""
    total = len(values)
    least, (soonest, latest) = SHORTEST_SECONDS * FPS, (s * FPS for s in AIM_SECONDS)
    if total < least:
        return []
    motion = _activity(values) + (values[:, _LIDS].max(axis=1) > LID_CLOSED)
    cuts = [0]
    while total - cuts[-1] > latest + least:
        a, b = int(cuts[-1] + soonest), int(cuts[-1] + latest)
        cuts.append(a + int(np.argmin(motion[a:b])))
    return list(zip(cuts, [*cuts[1:], total], strict=True))


def quality(values: F64) -> float:
    """How usable a piece is, in [0, 1]: there is motion, and it is a face's, not a tracker's.

    Args:
        values: float64 ``[T, 17]``.
    """
    if len(values) < 3:
        return 0.0
    moving = np.delete(values, np.r_[_LIDS, 10:14], axis=1) * np.delete(
        COMPARABLE, np.r_[_LIDS, 10:14]
    )
    activity = float(np.abs(np.diff(moving, axis=0)).sum(axis=1).mean())
    if activity < LEAST_ACTIVITY:
        return 0.0
    # A tracker's noise reverses from frame to frame; a muscle's motion does not.
    jitter = np.abs(np.diff(moving, 2, axis=0)).sum() / (4 * np.abs(np.diff(moving, axis=0)).sum())
    speed = np.abs(np.diff(values, axis=0)) * FPS
    slips = (speed[:, :8] > UNIT_SPEED).any(axis=1)
    slips |= (speed[:, POSE_SLICE] > ph.HEAD_SPEED_LIMIT).any(axis=1)
    pinned = (values[:, :8] > 0.98).any(axis=1)
    steady = 1 - min(1.0, float(jitter))
    return steady * float(1 - slips.mean()) ** 4 * (1 - 0.5 * float(pinned.mean()))


def _activity(values: F64) -> F64:
    """Motion around each frame, smoothed over a fifth of a second."""
    step = np.abs(np.gradient(values * COMPARABLE, axis=0)).sum(axis=1)
    smooth: F64 = np.convolve(step, np.ones(5) / 5, mode="same")
    return smooth
