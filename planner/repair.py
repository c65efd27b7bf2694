"""Stopgap of the critic's repair: finite and within range. The rules follow."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core import CHANNELS, ControlTrack
from planner.row import bound
from planner.rules import Violation


def repair(
    values: npt.ArrayLike, before: npt.ArrayLike | None = None, *, state: str = "idle"
) -> tuple[ControlTrack, list[Violation]]:
    """``values`` (``[T, 17]``) made finite and brought within range."""
    rows = np.nan_to_num(np.asarray(values, np.float64)).reshape(-1, len(CHANNELS))
    padded = np.zeros((len(rows), 26))
    padded[:, : len(CHANNELS)] = rows
    for row in padded:
        bound(row)
    return ControlTrack(padded[:, : len(CHANNELS)].astype(np.float32)), []
