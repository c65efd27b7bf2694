"""How far two measurements of the same face agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core import CHANNEL, CHANNELS, F32, FPS
from engines.evaluate.extract.angles import F64
from engines.evaluate.track import AUS, FaceTrack

MEASURES: Final = (*CHANNELS[:AUS], "gaze sideways", "gaze down", "pitch", "yaw", "roll")
"The columns of `rows`: action units, then degrees."
DEGREES: Final = slice(AUS, len(MEASURES))
FEWEST: Final = FPS
"Frames both have to see."
STILL: Final = np.array([0.01] * AUS + [0.5] * 5)
"A standard deviation below this is no motion that two could agree on (free)."
LIDS: Final = slice(CHANNEL["AU45_L"], CHANNEL["AU45_R"] + 1)
BLINK_SHARE: Final = 0.5
"A blink is a run of frames whose lids are beyond this share of the extractor's full closure."
SLACK: Final = 2
"Frames by which the runs of two extractors may miss each other and still be one blink."


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """Two extractors on one clip, each float64 ``[15]`` by `MEASURES`; NaN where nothing moves."""

    r: F64
    "Pearson's."
    slope: F64
    "Of the second over the first (standard deviations, sign of r): what scale lies between them."
    apart: F64
    "Median absolute difference, each about its own median."


def rows(track: FaceTrack) -> F64:
    """What a track holds, float64 ``[T, 15]`` by `MEASURES`."""
    return np.concatenate([track.aus, track.gaze, track.pose], axis=1).astype(np.float64)


def compare(a: FaceTrack, b: FaceTrack) -> Pair:
    """Two tracks of the same frames, where both see a face."""
    both = a.seen & b.seen
    nothing = np.full(len(MEASURES), np.nan)
    if both.sum() < FEWEST:
        return Pair(nothing, nothing.copy(), nothing.copy())
    x, y = rows(a)[both], rows(b)[both]
    x, y = x - np.median(x, axis=0), y - np.median(y, axis=0)
    moves = (x.std(axis=0) > STILL) & (y.std(axis=0) > STILL)
    apart = np.median(np.abs(x - y), axis=0)
    r = correlations(x, y)
    spread = y.std(axis=0) / np.maximum(x.std(axis=0), 1e-9)
    return Pair(np.where(moves, r, np.nan), np.where(moves, spread * np.sign(r), np.nan), apart)


def correlations(x: F64, y: F64) -> F64:
    """Pearson's r of each column, float64 ``[C]``; 0 where one side is constant."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    size = np.sqrt(np.square(x).sum(axis=0) * np.square(y).sum(axis=0))
    r: F64 = np.where(size > 1e-9, (x * y).sum(axis=0) / np.maximum(size, 1e-9), 0.0)
    return r


def closures(track: FaceTrack) -> F32:
    """How far the lids are down beyond the clip's rest, float32 ``[T]``, mean of both eyes."""
    lids = np.nan_to_num(track.aus[:, LIDS]).mean(axis=1)
    rest: float = float(np.percentile(lids[track.seen], 25)) if track.seen.any() else 0.0
    closed: F32 = np.clip(lids - rest, 0, 1).astype(np.float32)
    return closed


def runs(closed: F32, full: float) -> list[tuple[int, int]]:
    """First and last + 1 of each run beyond `BLINK_SHARE` of ``full``."""
    down = np.concatenate([[False], closed > BLINK_SHARE * full, [False]])
    edges = np.flatnonzero(np.diff(down.astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def matched(mine: Sequence[tuple[int, int]], theirs: Sequence[tuple[int, int]]) -> int:
    """How many of ``mine`` touch one of ``theirs``, within `SLACK` frames."""
    return sum(any(a < d + SLACK and c < b + SLACK for c, d in theirs) for a, b in mine)
