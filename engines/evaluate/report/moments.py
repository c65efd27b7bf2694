"""When a face does most: the moments a contact sheet shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from core import CHANNEL, F32

APART: Final = 3
"Frames between two moments at least: 120 ms, less than a blink."


@dataclass(frozen=True, slots=True)
class Moment:
    """A frame and what makes it worth a look."""

    frame: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class Signal:
    """One thing the eye region does, as channels added up with signs."""

    name: str
    weights: tuple[tuple[str, float], ...]
    least: float
    "Less is not worth a look (free)."


SIGNALS: Final = (
    Signal("lids shut", (("AU45_L", 0.5), ("AU45_R", 0.5)), 0.3),
    Signal("gaze left", (("gaze_left", 1.0),), 0.25),
    Signal("gaze right", (("gaze_right", 1.0),), 0.25),
    Signal("brows up", (("AU1_L", 0.25), ("AU1_R", 0.25), ("AU2_L", 0.25), ("AU2_R", 0.25)), 0.25),
    Signal("gaze down", (("gaze_down", 1.0),), 0.25),
    Signal("gaze up", (("gaze_up", 1.0),), 0.25),
    Signal("frown", (("AU4", 1.0),), 0.25),
    Signal("lids wide", (("AU5", 1.0),), 0.3),
    Signal("squint", (("AU6", 0.5), ("AU7", 0.5)), 0.3),
)
"In the order in which they are asked for a moment."


def moments(truth: F32, count: int) -> list[Moment]:
    """The frames in which the truth's eyes do most, in order of time.

    Each signal gives its highest peak in turn, then its next; what is left is spread evenly.

    Args:
        truth: float32 ``[T, 17]``, NaN where no face was seen.
        count: Moments wanted; fewer where the clip is short.
    """
    if not len(truth):
        return []
    clean = np.nan_to_num(truth, nan=0.0, posinf=0.0, neginf=0.0)
    found: dict[int, str] = {}
    queues = [_peaks(sum_of(signal, clean), signal) for signal in SIGNALS]
    # A second peak of one signal waits until all others had their first.
    for turn in range(max(map(len, queues))):
        for queue in queues:
            # One moment is kept free, so that something at rest is seen, too.
            if turn < len(queue) and len(found) < count - 1 and _free(queue[turn].frame, found):
                found[queue[turn].frame] = queue[turn].why
    for frame in _spread(len(truth), found, count - len(found)):
        found[frame] = ""
    return [Moment(frame, found[frame]) for frame in sorted(found)]


def sum_of(signal: Signal, controls: F32) -> F32:
    """A signal's course, float32 ``[T]``."""
    columns = [CHANNEL[name] for name, _ in signal.weights]
    weights = np.array([weight for _, weight in signal.weights], np.float32)
    course: F32 = controls[:, columns] @ weights
    return course


def _peaks(course: F32, signal: Signal) -> list[Moment]:
    """Highest first; a plateau counts once, in its middle."""
    out: list[tuple[float, int]] = []
    edges = np.flatnonzero(np.diff(course)) + 1
    starts, ends = [0, *edges.tolist()], [*edges.tolist(), len(course)]
    for start, end in zip(starts, ends, strict=True):
        level = float(course[start])
        rises = start == 0 or course[start - 1] < level
        falls = end == len(course) or course[end] < level
        if rises and falls and level >= signal.least:
            out.append((-level, (start + end - 1) // 2))
    return [Moment(frame, f"{signal.name} {-level:.2f}") for level, frame in sorted(out)]


def _free(frame: int, taken: dict[int, str]) -> bool:
    return all(abs(frame - other) >= APART for other in taken)


def _spread(length: int, taken: dict[int, str], count: int) -> Sequence[int]:
    """``count`` frames as far from each other and from what is taken as can be."""
    frames = np.arange(length)
    far: npt.NDArray[np.int64] = np.full(length, length, np.int64)
    for frame in taken:
        far = np.minimum(far, abs(frames - frame))
    out: list[int] = []
    while len(out) < count and (far > 0).any():
        frame = 0 if not taken and not out else int(far.argmax())
        out.append(frame)
        far = np.minimum(far, abs(frames - frame))
    return out
