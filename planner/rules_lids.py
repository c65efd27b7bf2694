"""What lids can not do.

A *closure* is a run of frames in which a lid covers half the eye or more; a *blink* is a closure of
both lids of less than half a second, a *wink* one of a single lid. A *flicker* reaches less far.
Longer closures are held, on purpose or in sleep: they may last, and take any shape on the way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from core import CHANNELS, FPS
from planner.evidence import F64, LIDS, SLACK, Rows, Violation, runs
from planner.rules_face import each, shakes

COVERED: Final = 0.5
"Closure from which the pupil is hidden."
FLICKER: Final = 0.25
"Closure from which the motion of a lid has to look like a blink's."
SLIGHTEST: Final = 0.2
"Smaller rises over the closure around them are nothing but unrest."
BLINK_FRAMES: Final = FPS // 2
"""Longer closures are held: endogenous blinks last up to 500 ms (Stern, Walrath & Goldstein 1984,
Psychophysiology 21(1); microsleeps: Caffier et al. 2003, Eur J Appl Physiol 89(3-4))."""
BLINK_AREA: Final = 1.2
"""Frames of full closure that a blink is worth at least: 48 ms, where the shortest blinks take
about 100 ms in all (Stern et al. 1984)."""
OPENING_STEP: Final = 0.8
"""Of a lid, a frame. Closing has no limit at 25 fps: at 17-20 cm/s, and up to 40 (Doane 1980, Am J
Ophthalmol 89(4)), a lid is shut within a frame. It closes 40-47 % faster than it opens (Sforza et
al. 2008, Ophthalmic Physiol Opt 28(4); limit free)."""
BLINK_ASYMMETRY: Final = 0.25
"What opening may be faster than closing, a frame: sampling at 25 fps blurs the difference (free)."
BLINK_SIDES: Final = 0.35
"Most by which the lids differ at the top of a blink (free; see `physiology.BLINK_SIDE_SHARE`)."
WINK_FRAMES: Final = 4
"A closure of one lid alone is deliberate, and takes at least 160 ms (free)."
BLINK_GAP_FRAMES: Final = 5
"""From top to top, 200 ms: about the length of a short blink (Stern et al. 1984). Spontaneous ones
are 3 s apart; deliberate, double and startled ones follow at once."""
REOPENED: Final = 0.3
"Closure under which a lid must have been for what follows to be another blink."
LID_SHAKE: Final = 0.1
"Of a lid, a frame, that makes a shake of it (free)."
STARE_SECONDS: Final[Mapping[str, float]] = {
    "idle": 36.0, "listening": 36.0, "thinking": 38.0, "speaking": 30.0,
}  # fmt: skip
"""Longest time without a blink by state: several times the mean interval of slow blinkers, who
blink 8 times a minute at rest and 10.5 in conversation (Doughty 2001, Optom Vis Sci 78(10); factors
free). Under load people blink less (Holland & Tarlow 1972, Psychol Rep 31(1))."""
STARE_GRACE: Final = FPS
"Frames a track may take to bring the blink that is overdue."


@dataclass(frozen=True, slots=True)
class Closure:
    """A run of frames in which a lid covers half the eye or more."""

    lid: int
    "0 left, 1 right."
    start: int
    end: int
    top: int

    @property
    def frames(self) -> int:
        """How long it lasts."""
        return self.end - self.start


def closures(lids: F64, share: float = COVERED) -> list[Closure]:
    """All closures of both lids, float64 ``[T, 2]``, in order of their beginning."""
    found = [
        Closure(lid, start, end, start + int(lids[start:end, lid].argmax()))
        for lid in (0, 1)
        for start, end in runs(lids[:, lid] >= share)
    ]
    return sorted(found, key=lambda closure: closure.start)


def open_too_fast(rows: Rows) -> Iterator[Violation]:
    """Opening speed of each lid."""
    x, begin = rows.since(1)
    steps = -np.diff(x[:, LIDS], axis=0)
    yield from each(rows, steps, begin + 1, LIDS, OPENING_STEP, "lid-opening-speed")


def flutter(rows: Rows) -> Iterator[Violation]:
    """Lids up and down faster than they can."""
    yield from shakes(rows, LIDS, LID_SHAKE, "lid-shake")


def blinks(rows: Rows) -> Iterator[Violation]:
    """Shape, sides and distance of blinks and winks."""
    x, begin = rows.since(4 * FPS)
    lids, first = x[:, LIDS], rows.first - begin
    if lids.max() < FLICKER:
        return
    found = closures(lids)
    # What goes on at the end is judged when its end is known; what was over before, was judged.
    for closure in found:
        if first <= closure.end < len(lids) and closure.frames < BLINK_FRAMES:
            yield from _shape(rows, closure, lids, begin)
            yield from _sides(rows, closure, lids, begin)
    for flicker in closures(lids, FLICKER):
        slight = lids[flicker.top, flicker.lid] < COVERED
        if slight and first <= flicker.end < len(lids) and flicker.frames < BLINK_FRAMES:
            yield from _shape(rows, flicker, lids, begin)
    yield from _gaps(rows, found, lids, begin)


def _shape(rows: Rows, closure: Closure, lids: F64, begin: int) -> Iterator[Violation]:
    """Long enough, and slower up than down: between the lowest points on either side."""
    top = closure.top
    left, right = lids[max(closure.start - 4, 0) : top + 1, closure.lid], lids[top:, closure.lid]
    right = right[: closure.end + 6 - top]
    down, up = left[int(left.argmin()) :], right[: int(right.argmin()) + 1]
    opening = top + len(up) == len(lids)  # and nobody knows how far
    floor = down[0] if opening else max(down[0], up[-1])
    height = float(lids[top, closure.lid] - floor)
    if height < SLIGHTEST:
        return
    name = (CHANNELS[LIDS[closure.lid]],)
    at = (begin + closure.start, begin + closure.end)
    area = float((down - floor).clip(0).sum() + (up[1:] - floor).clip(0).sum()) / height
    if area < BLINK_AREA - SLACK:
        yield rows.found("blink-duration", name, *at, area, BLINK_AREA)
    faster = float(-np.diff(up).min(initial=0.0) - np.diff(down).max(initial=0.0))
    if faster > BLINK_ASYMMETRY + SLACK:
        yield rows.found("blink-opens-slower", name, *at, faster, BLINK_ASYMMETRY)


def _sides(rows: Rows, closure: Closure, lids: F64, begin: int) -> Iterator[Violation]:
    """Both lids close about as far, or one of them alone, and then on purpose."""
    start, end = max(closure.start - 2, 0), min(closure.end + 2, len(lids))
    own, other = lids[start:end, closure.lid].max(), lids[start:end, 1 - closure.lid].max()
    if own - other <= BLINK_SIDES + SLACK:
        return
    names, at = ("AU45_L", "AU45_R"), (begin + start, begin + end)
    if other >= COVERED:
        yield rows.found("blink-sides", names, *at, own - other, BLINK_SIDES)
    elif closure.frames < WINK_FRAMES:
        yield rows.found("wink-duration", names, *at, closure.frames, WINK_FRAMES)


def _gaps(rows: Rows, found: list[Closure], lids: F64, begin: int) -> Iterator[Violation]:
    for lid in (0, 1):
        own = [closure for closure in found if closure.lid == lid]
        for one, other in zip(own, own[1:], strict=False):
            gap = other.top - one.top
            if begin + other.start < rows.first or gap >= BLINK_GAP_FRAMES:
                continue
            if other.end < len(lids) and lids[one.end : other.start, lid].min() < REOPENED:
                names, at = (CHANNELS[LIDS[lid]],), (begin + one.end, begin + other.end)
                yield rows.found("blink-gap", names, *at, gap, BLINK_GAP_FRAMES)


def stares(rows: Rows) -> Iterator[Violation]:
    """Time without a blink."""
    limit = STARE_SECONDS.get(rows.state, STARE_SECONDS["idle"])
    longest = round(limit * FPS)
    if len(rows.all) <= longest:
        return
    covered = rows.all[:, LIDS].max(axis=1) >= COVERED
    for start, end in runs(~covered):
        at = max(start + longest, rows.first)
        if end > at + STARE_GRACE:
            yield rows.found("stare", ("AU45_L", "AU45_R"), at, end, (end - start) / FPS, limit)
