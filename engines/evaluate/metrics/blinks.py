"""Blinks: found in a curve of the lids, and held against the truth's in time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from core import F32

F64: TypeAlias = npt.NDArray[np.float64]

LONGEST: Final = 0.5
"""Seconds. What stays shut longer is a closure: droop, microsleep, an eye kept shut (Caffier et
al. 2003, Eur J Appl Physiol 89(3-4), as `planner.physiology` has it)."""
SHORTEST: Final = 0.08
"Seconds from onset to end: two frames at 25 a second, so that one bad frame is no blink (free)."
DEPTH: Final = 0.5
"Share of full closure a blink reaches: half the eye. Less is a twitch or a half blink (free)."
RISE: Final = 0.3
"Share it comes up from what the lids did around it, so that droopy lids still blink (free)."
EDGE: Final = 0.1
"Share above those lids at which it begins and ends: a third of `RISE` (free)."
WITHIN: Final = 0.2
"Seconds by which matched blinks may lie apart: about the length of one (free)."


@dataclass(frozen=True, slots=True)
class Blink:
    """One blink, in frames."""

    start: int
    "First frame above `EDGE`."
    peak: int
    "Where the lids are furthest down."
    end: int
    "First frame below `EDGE` again."
    depth: float
    "Closure at the peak, shares of full closure."


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """Made blinks against true ones. A share of nothing is NaN, see `match_blinks`."""

    precision: float
    recall: float
    f1: float
    errors: F64
    "float64 ``[matches]``, seconds, made less true: positive is late."


def find_blinks(closure: F32, fps: float) -> list[Blink]:
    """Blinks in a curve of how far the lids are closed.

    What the lids do slowly is the curve's opening in the sense of image morphology (the largest
    of the smallest values over `LONGEST`): it keeps droop, long closures and lids that follow
    the gaze down, and drops whatever rises and falls faster. A blink is where the curve stands
    out from it: it must rise by `RISE` and reach `DEPTH`, and lasts while it is above `EDGE`
    (two thresholds, so that noise at one of them does not cut it in two). What is cut off by an
    end of the clip is not counted.

    Args:
        closure: ``[T]``, 0 open to 1 closed; frames without a face (NaN) keep the value before.
        fps: Frames a second.

    Returns:
        In order of time.
    """
    if closure.ndim != 1 or not fps > 0:
        raise ValueError(f"expected [T] and fps > 0, got {list(closure.shape)} and {fps}")
    curve = _filled(closure)
    if not len(curve):
        return []
    above = curve - _slow(curve, fps)
    blinks = []
    for start, end in _runs(above > EDGE):
        peak = start + int(above[start:end].argmax())
        deep = above[peak] >= RISE and curve[peak] >= DEPTH
        if deep and SHORTEST <= (end - start) / fps + 1e-6:
            blinks.append(Blink(start, peak, end, float(curve[peak])))
    return blinks


def match_blinks(
    made: Sequence[Blink], truth: Sequence[Blink], fps: float, *, within: float = WITHIN
) -> Matching:
    """Pair blinks whose peaks are near in time, each with one at most.

    As many pairs as can be; of all ways to have so many, the one with the least sum of errors.
    Precision is matched / made, recall matched / true, F1 = 2 matched / (made + true). A clip
    without blinks on either side says nothing: all three are NaN. Blinks made where the truth has
    none: precision and F1 are 0, recall is NaN (and the other way round).

    Args:
        made: In order of time.
        truth: In order of time.
        fps: Frames a second.
        within: Seconds.
    """
    a = np.array([b.peak for b in made], np.float64) / fps
    b = np.array([b.peak for b in truth], np.float64) / fps
    pairs = _pairs(a, b, within)
    errors = np.array([a[i] - b[j] for i, j in pairs], np.float64)
    hits, nan = len(pairs), math.nan
    return Matching(
        hits / len(a) if len(a) else nan,
        hits / len(b) if len(b) else nan,
        2 * hits / (len(a) + len(b)) if len(a) + len(b) else nan,
        errors,
    )


def _pairs(a: F64, b: F64, within: float) -> list[tuple[int, int]]:
    """Most pairs, then least error: an alignment of two sorted lists, as pairs never need cross."""
    # best[i, j]: (pairs, -error) of the first i and j.
    best = [[(0, 0.0)] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            best[i][j] = max(best[i - 1][j], best[i][j - 1])
            error = abs(a[i - 1] - b[j - 1])
            if error <= within + 1e-9:
                count, cost = best[i - 1][j - 1]
                best[i][j] = max(best[i][j], (count + 1, cost - error))
    pairs, i, j = [], len(a), len(b)
    while i and j:
        if best[i][j] == best[i - 1][j]:
            i -= 1
        elif best[i][j] == best[i][j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]


def _filled(closure: F32) -> F32:
    """Gaps keep the last value; those at the start take the first."""
    known = np.flatnonzero(np.isfinite(closure))
    if not len(known):
        return np.zeros(0, np.float32)
    last = np.searchsorted(known, np.arange(len(closure)), side="right") - 1
    filled: F32 = closure[known[np.maximum(last, 0)]].astype(np.float32)
    return filled


def _slow(curve: F32, fps: float) -> F32:
    frames = 2 * (int(LONGEST * fps) // 2) + 1
    kernel = np.ones((frames, 1), np.uint8)
    padded = np.pad(curve, frames, mode="edge")[:, None]
    slow = cv2.morphologyEx(padded, cv2.MORPH_OPEN, kernel)
    return np.asarray(slow[frames:-frames, 0], np.float32)


def _runs(on: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], on.astype(np.int8), [0]))))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
