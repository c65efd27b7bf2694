"""Lids made anew from what they were meant to do: a droop, blinks, winks and closed eyes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from planner import rules
from planner.rules import LIDS, Closure, Violation, closures

F64: TypeAlias = npt.NDArray[np.float64]

BEFORE: Final = (0.12, 0.66)
"Closure in the two frames before the top of a blink."
AFTER: Final = (0.78, 0.44, 0.2, 0.07)
"Closure in the frames after it: fast down, slow up (the shape is that of `planner.blink_shapes`)."
GAP_FRAMES: Final = rules.BLINK_GAP_FRAMES + 2
"From the end of one closure to the top of the next."
LEAST_TOP: Final = 0.75
"A mended closure covers at least this much, so that it reads, and both lids look alike."
DROOP: Final = 0.42
"Most that lids droop between closures."
DROOP_STEP: Final = 0.08
FALL: Final = 0.18
"How fast a lid reopens that was shut when the track began, a frame."


@dataclass(frozen=True, slots=True)
class Meant:
    """A closure as it is to be made."""

    lids: tuple[int, ...]
    start: int
    "First frame at the top."
    end: int
    "First frame after the top."
    height: float


def mend_lids(rows: F64, past: F64, broken: list[Violation]) -> None:
    """Change the lids of ``rows`` (float64 ``[T, 17]``) in place."""
    index = list(LIDS)
    lids = rows[:, index]
    overdue = [violation.start for violation in broken if violation.rule == "stare"]
    meant = list(_possible(_intended(lids, overdue), past[:, index]))
    made = _droop(lids, past[:, index])
    for closure in meant:
        _close(made, closure)
    if len(past):
        frames = np.arange(1, len(rows) + 1)[:, None]
        made = np.maximum(made, past[-1, index] - FALL * frames)
    rows[:, index] = made.clip(0, 1)


def _intended(lids: F64, overdue: Iterable[int]) -> list[Meant]:
    """What the closures in ``lids`` were meant to be, in order."""
    meant: list[Meant] = []
    taken: set[int] = set()
    found = closures(lids)
    for closure in found:
        if id(closure) in taken:
            continue
        partners = [c for c in found if c.lid != closure.lid and _overlap(c, closure)]
        taken.update(id(partner) for partner in partners)
        top = float(lids[closure.start : closure.end].max())
        height = min(max(top, LEAST_TOP), 1.0)
        both = (0, 1) if partners else (closure.lid,)
        if closure.frames >= rules.BLINK_FRAMES or not partners:
            if partners or closure.frames >= rules.WINK_FRAMES:  # a twitch of one lid is nothing
                meant.append(Meant(both, closure.start, closure.end, height))
        else:
            meant.append(Meant(both, closure.top, closure.top + 1, height))
    tops = [max(frame, len(BEFORE)) for frame in overdue]
    meant += [Meant((0, 1), top, top + 1, 1.0) for top in tops]
    return sorted(meant, key=lambda each: each.start)


def _overlap(one: Closure, other: Closure) -> bool:
    return one.start < other.end + 2 and other.start < one.end + 2


def _possible(meant: Iterable[Meant], past: F64) -> Iterable[Meant]:
    """Those that leave the lids time to open in between."""
    shut = [closure.end for closure in closures(past[-50:])]
    free = max(shut, default=-100) - len(past[-50:]) + GAP_FRAMES
    for closure in meant:
        if closure.start >= max(free, len(BEFORE)):
            yield closure
            free = closure.end + GAP_FRAMES


def _droop(lids: F64, past: F64) -> F64:
    """Where the lids hang between closures: slow, and never over the pupil."""
    made = np.empty_like(lids)
    last = np.minimum(past[-1], DROOP) if len(past) else np.minimum(lids[0], DROOP)
    for i, wanted in enumerate(lids):
        # In a closure nothing is known about the droop: it stays as it was.
        wanted = np.where(wanted < DROOP, wanted, last)
        made[i] = last = np.clip(wanted, last - DROOP_STEP, last + DROOP_STEP)
    return made


def _close(lids: F64, closure: Meant) -> None:
    """Lay a closure over the droop, float64 ``[T, 2]``, in place."""
    shape = (*BEFORE, *([1.0] * (closure.end - closure.start)), *AFTER)
    first = closure.start - len(BEFORE)
    for i, share in enumerate(shape, first):
        if 0 <= i < len(lids):
            for lid in closure.lids:
                rest = lids[i, lid]
                lids[i, lid] = max(rest, rest + (closure.height - rest) * share)
