"""Mends lids: what can be no blink is made anew from what it was meant to be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from planner import rules_lids as limits
from planner.evidence import F64, LIDS, SHAKE_FRAMES
from planner.mending import Job
from planner.rules_lids import closures

LID_RULES: Final = frozenset(
    {
        "blink-duration",
        "blink-opens-slower",
        "blink-sides",
        "wink-duration",
        "blink-gap",
        "lid-opening-speed",
        "lid-shake",
        "stare",
    }  # fmt: skip
)
BEFORE: Final = (0.12, 0.66)
"Closure in the two frames before the top of a blink."
AFTER: Final = (0.78, 0.44, 0.2, 0.07)
"Closure in the frames after it: fast down, slow up (the shape is that of `planner.blink_shapes`)."
GAP_FRAMES: Final = 8
"From the end of one closure to the top of the next."
MOST_LATE: Final = 4
"Frames by which a mended closure may be late; one that is later is left out."
LEAST_TOP: Final = 0.75
"A mended closure covers at least this much, so that it reads, and both lids look alike."
DROOP: Final = 0.42
"Most that lids droop between closures."
DROOP_STEP: Final = 0.08
FALL: Final = 0.2
"How fast a lid reopens that was shut when the mending began, a frame."
SAME: Final = 0.02
"Mended lids this near to the wanted ones go on with them."


@dataclass(frozen=True, slots=True)
class Meant:
    """A closure as it is to be made."""

    lids: tuple[int, ...]
    start: int
    "First frame at the top."
    end: int
    "First frame after the top."
    height: float


def mend_lids(job: Job) -> None:
    """Make lids anew around what is wrong with them."""
    lids = job.rows[:, LIDS]
    overdue = [job.first + fault.start for fault in job.faults if fault.rule == "stare"]
    done, calm = 0, bool(job.spans({"lid-shake"}))
    for start, end in job.spans(LID_RULES, before=2, after=2):
        if end > done:
            start, end = _whole(lids, max(start, done), end, job.first)
            done = _make(lids, start, end, [at for at in overdue if start <= at < end], calm)
    job.rows[:, LIDS] = lids


def _whole(lids: F64, start: int, end: int, first: int) -> tuple[int, int]:
    """The span with the closures at its edges whole, as far as they are the track's."""
    low = lids.max(axis=1) < limits.FLICKER
    while start > first and not low[start - 1]:
        start -= 1
    start = max(start - len(BEFORE), first)
    while end < len(lids) and not low[end - 1]:
        end += 1
    return start, end


def _make(lids: F64, start: int, end: int, overdue: list[int], calm: bool) -> int:
    """Make float64 ``[N, 2]`` anew from ``start`` to ``end``, and on until it is the same again."""
    past, wanted = lids[:start], lids[start:]
    meant = _intended(wanted, [at - start for at in overdue])
    made = _droop(wanted, past)
    for closure in _possible(meant, past, SHAKE_FRAMES if calm else 0):
        _close(made, closure)
    if len(past):
        made = np.maximum(made, _reopening(past, len(made), calm))
    made = made.clip(0, 1)
    same = (np.abs(made - wanted) < SAME).all(axis=1) & (made.max(axis=1) < limits.FLICKER)
    after = np.flatnonzero(same[end - start :])
    stop = end + int(after[0]) if len(after) else len(lids)
    lids[start:stop] = made[: stop - start]
    return stop


def _reopening(past: F64, frames: int, calm: bool) -> F64:
    """How lids open that are shut at the end of ``past``: float64 ``[T, 2]``, slowly.

    Having shut for a moment only, they stay so for as long as a blink would.
    """
    fall = DROOP_STEP if calm else FALL
    recent = past[-limits.WINK_FRAMES :] >= limits.FLICKER
    shut = np.where(recent[-1], recent[::-1].cumprod(axis=0).sum(axis=0), limits.WINK_FRAMES)
    held = np.maximum(limits.WINK_FRAMES - shut, limits.BLINK_FRAMES if calm else 0)
    opened = np.maximum(np.arange(1, frames + 1)[:, None] - held, 0)
    reopening: F64 = past[-1] - fall * opened
    return reopening


def _intended(lids: F64, overdue: Iterable[int]) -> list[Meant]:
    """What the closures in ``lids`` were meant to be, in order."""
    meant: list[Meant] = []
    taken: set[int] = set()
    found = closures(lids)
    for closure in found:
        if id(closure) in taken:
            continue
        partners = [
            c
            for c in found
            if c.lid != closure.lid and c.start < closure.end + 2 and closure.start < c.end + 2
        ]
        taken.update(id(partner) for partner in partners)
        top = float(lids[closure.start : closure.end].max())
        height = min(max(top, LEAST_TOP), 1.0)
        both = (0, 1) if partners else (closure.lid,)
        if closure.frames >= limits.BLINK_FRAMES or not partners:
            if partners or closure.frames >= limits.WINK_FRAMES:  # a lid's twitch is nothing
                meant.append(Meant(both, closure.start, closure.end, height))
        else:
            meant.append(Meant(both, closure.top, closure.top + 1, height))
    tops = [max(frame, len(BEFORE)) for frame in overdue]
    meant += [Meant((0, 1), top, top + 1, 1.0) for top in tops]
    return sorted(meant, key=lambda each: each.start)


def _possible(meant: Iterable[Meant], past: F64, wait: int) -> Iterator[Meant]:
    """Those that leave the lids time to open in between; ``wait`` frames pass before the first.

    One that comes a little early is late instead.
    """
    shut = [closure.end for closure in closures(past[-50:])]
    free = max(max(shut, default=-100) - len(past[-50:]) + GAP_FRAMES, wait, len(BEFORE))
    for closure in meant:
        late = max(free - closure.start, 0)
        if late <= MOST_LATE:
            start = closure.start + late
            closure = replace(closure, start=start, end=max(closure.end, start + 1))
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


def blink_at(lids: F64, top: int) -> None:
    """A blink of both eyes over float64 ``[T, 2]``, in place."""
    _close(lids, Meant((0, 1), top, top + 1, 1.0))
