"""What the rules look at: a track behind the rows before it, and what they report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from core import CHANNEL, CHANNELS, GAZE_DEGREES, GAZE_SLICE, POSE_SLICE
from planner import physiology as ph

F64: TypeAlias = npt.NDArray[np.float64]
Bools: TypeAlias = npt.NDArray[np.bool_]
Spans: TypeAlias = list[tuple[int, int]]

SLACK: Final = 1e-3
"float32 rows are compared with this much tolerance."
MOST: Final = np.ones(len(CHANNELS))
MOST[POSE_SLICE] = ph.POSE_LIMITS
LEAST: Final = np.zeros(len(CHANNELS))
LEAST[POSE_SLICE] = -MOST[POSE_SLICE]

LIDS: Final = (CHANNEL["AU45_L"], CHANNEL["AU45_R"])
AU5: Final = CHANNEL["AU5"]
UNITS: Final = tuple(i for i in range(LIDS[0]) if i != AU5)
"Brows, cheeks and lid tightener. AU5 has rules of its own: it lets go as fast as a lid closes."
YAW, PITCH = CHANNEL["yaw"], CHANNEL["pitch"]
EYES: Final = CHANNELS[GAZE_SLICE]
HEAD: Final = tuple(range(POSE_SLICE.start, POSE_SLICE.stop))
DOWN: Final = CHANNEL["gaze_down"]


@dataclass(frozen=True, slots=True)
class Violation:
    """Where a track breaks a physiological rule."""

    rule: str
    "Short name, e.g. ``blink-duration``."
    channels: tuple[str, ...]
    start: int
    "First frame concerned, counted from the beginning of the track."
    end: int
    "First frame after it."
    value: float
    "What was found, in the unit of the rule."
    limit: float
    "What the rule allows."


@dataclass(frozen=True, slots=True)
class Rows:
    """A track behind the rows before it."""

    all: F64
    "float64 ``[N + T, 17]``."
    first: int
    "N: where the track begins."
    state: str

    def since(self, frames: int) -> tuple[F64, int]:
        """The track and up to ``frames`` rows before it, and where in `all` they begin."""
        begin = max(self.first - frames, 0)
        return self.all[begin:], begin

    def found(
        self, rule: str, channels: tuple[str, ...], start: int, end: int, value: float, limit: float
    ) -> Violation:
        """A violation in frames ``[start, end)`` of `all`."""
        n = len(self.all) - self.first
        start = min(max(start - self.first, 0), max(n - 1, 0))
        end = min(max(end - self.first, start + 1), n)
        return Violation(rule, channels, start, end, float(value), limit)


def runs(mask: Bools) -> Spans:
    """``[start, end)`` of each run of True."""
    if not mask.any():
        return []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def eye_degrees(rows: F64) -> F64:
    """Eye-in-head rotation to the person's left and down, float64 ``[T, 2]``, degrees."""
    side, up, low = GAZE_DEGREES
    left, right, high, down = rows[:, GAZE_SLICE].T
    return np.stack([side * (left - right), low * down - up * high], axis=1)


# --- Shaking ---------------------------------------------------------------------------------

SHAKE_FRAMES: Final = 12
SHAKES: Final = 7
"""Turning points in 12 frames: 7.3 Hz. Voluntary headshakes end at 4.7 Hz (Funk et al. 2015, J Appl
Biomech 31(3)), rapid head movements of speakers at 7 Hz (Hadar et al. 1983, Hum Mov Sci 2(1-2))."""


def shaking(values: F64, step: float, first: int) -> list[tuple[int, int, int, int]]:
    """Where channels turn back and forth faster than muscles do.

    Only steps larger than ``step`` count, so that noise does not hide a shake, nor makes one.

    Args:
        values: float64 ``[N, k]``.
        step: Smallest step of a shake, unit of the values a frame.
        first: Shakes that are over before this row are not reported.

    Returns:
        Column, first row, first row after it, and number of turning points.
    """
    steps = np.diff(values, axis=0)
    large = np.abs(steps) > step
    found = []
    for column in np.flatnonzero(large.sum(axis=0) > SHAKES):
        at = np.flatnonzero(large[:, column])
        ways = steps[at, column] > 0
        turns = at[1:][ways[1:] != ways[:-1]] + 1
        if len(turns) <= SHAKES:
            continue
        close = (turns[SHAKES:] - turns[:-SHAKES] < SHAKE_FRAMES) & (turns[SHAKES:] >= first)
        for a, b in runs(close):
            start, end = int(turns[a]), int(turns[b - 1 + SHAKES]) + 1
            found.append((int(column), start, end, b - a + SHAKES))
    return found
