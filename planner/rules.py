"""What a living face can not do: physiological rules over a track of controls.

Each rule has its number and its source beside it, or the word *free* where none was at hand. The
limits are those of what people do at all, not of what is usual: what is usual is the planner's
business. Rules see the rows before the track too, so that nothing hides in a seam.

A *closure* is a run of frames in which a lid covers half the eye or more; a *blink* is a closure
of both lids of less than half a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from core import CHANNEL, CHANNELS, FPS, GAZE_DEGREES, GAZE_SLICE, POSE_SLICE, ControlTrack
from planner import physiology as ph

F64: TypeAlias = npt.NDArray[np.float64]

SLACK: Final = 1e-3
"float32 rows are compared with this much tolerance."

# --- Limits ----------------------------------------------------------------------------------

HEAD_STEP: Final = 200.0 / FPS
"""Degrees a frame. Fast voluntary turns of 20-40 deg peak at 150-250 deg/s (Zangemeister, Jones &
Stark 1981, Exp Neurol 71(1))."""
HEAD_JOLT: Final = 4_000.0 / FPS**2
"Degrees a frame, a frame: nearly twice the acceleration of a vigorous headshake (free)."
UNIT_STEP: Final = 0.62
"""Of a brow, cheek or lid tightener, a frame: two minimum-jerk motions of the fastest onset of a
facial action, 160 ms, at once (`physiology.AU_RISE_SECONDS`)."""
OPENING_STEP: Final = 0.8
"Of a lid, a frame: the up phase takes 150 ms or more (VanderWerf et al. 2003), peak over mean 3."
COVERED: Final = 0.5
"Closure from which the pupil is hidden."
BLINK_AREA: Final = 1.2
"""Frames of full closure that a blink is worth at least: 48 ms, where the shortest blinks measured
take about 100 ms in all (Caffier et al. 2003, Eur J Appl Physiol 89(3-4))."""
BLINK_FRAMES: Final = FPS // 2
"Longer closures are voluntary, or microsleeps: 500 ms (Caffier et al. 2003)."
BLINK_ASYMMETRY: Final = 0.2
"What opening may be faster than closing, a frame; sampling at 25 fps blurs the difference (free)."
BLINK_SIDES: Final = 0.35
"Most by which the lids differ at the top of a blink (free; see `physiology.BLINK_SIDE_SHARE`)."
WINK_FRAMES: Final = 4
"A closure of one lid alone is deliberate, and takes at least 160 ms (free)."
BLINK_GAP_FRAMES: Final = 6
"""From top to top, 240 ms: the shortest interval of a deliberate flutter is about one blink long
(free)."""
STARE_SECONDS: Final[Mapping[str, float]] = {
    "idle": 36.0, "listening": 36.0, "thinking": 38.0, "speaking": 30.0,
}  # fmt: skip
"""Longest time without a blink by state: thrice the mean interval of slow blinkers at rest and in
conversation, longer under load (Doughty 2001, Optom Vis Sci 78(10); the factor is free)."""
STARE_GRACE: Final = 12
"Frames a track may take to bring the blink that is overdue."
LONGEST: Final = 40 * FPS
"Rows before a track that are looked at."
LIDS_APART: Final = 1.1
"AU5 and AU45 exclude each other: levator and orbicularis oculi are antagonists (FACS, AU 45)."
EXCLUSIONS: Final[tuple[tuple[str, str, float], ...]] = (
    ("AU2_L", "AU4", 1.6), ("AU2_R", "AU4", 1.6), ("AU5", "AU6", 1.6), ("AU5", "AU7", 1.7),
)  # fmt: skip
"Most that two opposed units reach together. Fear shows 1+2+4+5+7 at once, so not much less (free)."
WIDE_LOOKING_DOWN: Final = 0.6
"""AU5 times downward gaze. The upper lid follows the eye down (Becker & Fuchs 1988, Exp Brain Res
71(1)): nobody looks at the floor with wide eyes."""
EYE_STEP: Final = 28.0
"Degrees a frame: 700 deg/s, where peak velocities saturate (Bahill, Clark & Stark 1975)."
SACCADE_STEP: Final = 4.0
"Degrees a frame, 100 deg/s, that no smooth movement of the eyes reaches (Leigh & Zee 2015, ch. 5)."
SACCADE_GAP_FRAMES: Final = 1
"Still frames before a saccade back; corrective ones follow within 100-150 ms (Becker 1989)."
PURSUIT_STEP: Final = 0.6
"""Degrees a frame, 15 deg/s. With nothing to follow, eyes do not glide this fast: gaze shifts are
saccades (Leigh & Zee 2015, ch. 5); slow rolling eyes of the drowsy stay below it (free)."""
PURSUIT_FRAMES: Final = 10
HEAD_MOVES: Final = 0.4
"Degrees a frame from which a moving head explains a moving gaze."
FAR_DEGREES: Final = 30.0
"Eye-in-head; people keep within it and turn the head (Guitton & Volle 1987; Stahl 1999)."
FAR_FRAMES: Final = 5 * FPS
"How long the eyes are held farther out than that (free)."
FROZEN_FRAMES: Final = 2 * FPS
"""Neither head nor eyes move at all while the eyes are open: fixating eyes make one or two
microsaccades a second and drift between them (Martinez-Conde et al. 2004)."""
FROZEN: Final = 1e-4

MOST: Final = np.ones(len(CHANNELS))
MOST[POSE_SLICE] = ph.POSE_LIMITS
LEAST: Final = np.zeros(len(CHANNELS))
LEAST[POSE_SLICE] = -MOST[POSE_SLICE]
LIDS: Final = (CHANNEL["AU45_L"], CHANNEL["AU45_R"])
AU5: Final = CHANNEL["AU5"]
UNITS: Final = tuple(i for i in range(8) if i != AU5)
YAW, PITCH = CHANNEL["yaw"], CHANNEL["pitch"]


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

    def found(
        self, rule: str, channels: tuple[str, ...], start: int, end: int, value: float, limit: float
    ) -> Violation:
        """A violation in frames ``[start, end)`` of `all`."""
        n = len(self.all) - self.first
        start = min(max(start - self.first, 0), max(n - 1, 0))
        end = min(max(end - self.first, start + 1), n)
        return Violation(rule, channels, start, end, float(value), limit)


Rule: TypeAlias = Callable[[Rows], Iterator[Violation]]


def check(
    track: ControlTrack, before: ControlTrack | None = None, *, state: str = "idle"
) -> list[Violation]:
    """Every rule that ``track`` breaks.

    Args:
        track: float32 ``[T, 17]``.
        before: The rows played right before it; the more, the longer a stare can be seen.
        state: What the conversation is at.
    """
    if not len(track):
        return []
    past = track.values[:0] if before is None else before.values[-LONGEST:]
    whole = np.concatenate([past, track.values]).astype(np.float64)
    # What came before is not judged, but a head can not come back from where none can be.
    np.clip(whole[: len(past)], LEAST, MOST, out=whole[: len(past)])
    rows = Rows(whole, len(past), state)
    return [violation for rule in RULES for violation in rule(rows)]


# --- Units and head --------------------------------------------------------------------------


def _units_too_fast(rows: Rows) -> Iterator[Violation]:
    yield from _too_fast(rows, UNITS, UNIT_STEP, "unit-speed")


def _head_too_fast(rows: Rows) -> Iterator[Violation]:
    yield from _too_fast(rows, range(POSE_SLICE.start, POSE_SLICE.stop), HEAD_STEP, "head-speed")


def _too_fast(rows: Rows, channels: Iterable[int], limit: float, name: str) -> Iterator[Violation]:
    begin = max(rows.first, 1)
    index = list(channels)
    steps = np.abs(np.diff(rows.all[begin - 1 :, index], axis=0))
    yield from _each(rows, steps, begin, index, limit, name)


def _head_jolts(rows: Rows) -> Iterator[Violation]:
    begin = max(rows.first, 2)
    index = list(range(POSE_SLICE.start, POSE_SLICE.stop))
    x = rows.all[begin - 2 :, index]
    jolts = np.abs(np.diff(x, 2, axis=0))
    if rows.first == begin and len(jolts):
        # What came before may leave no room to brake.
        speed = (x[1] - x[0]).clip(-HEAD_STEP, HEAD_STEP)
        jolts[0] = np.abs(x[2] - x[1] - speed)
        ahead = np.where(speed > 0, MOST[index] - x[1], x[1] - LEAST[index])
        jolts[0, np.abs(speed) - HEAD_JOLT > ahead] = 0
    yield from _each(rows, jolts, begin, index, HEAD_JOLT, "head-acceleration")


def _pose_too_far(rows: Rows) -> Iterator[Violation]:
    index = list(range(POSE_SLICE.start, POSE_SLICE.stop))
    for channel, limit in zip(index, ph.POSE_LIMITS, strict=True):
        far = np.abs(rows.all[rows.first :, [channel]])
        yield from _each(rows, far, rows.first, [channel], limit, "pose-range")


def _each(
    rows: Rows, values: F64, begin: int, channels: list[int], limit: float, name: str
) -> Iterator[Violation]:
    """One violation for each run of frames over the limit in a channel."""
    if not values.size or values.max() <= limit + SLACK:
        return
    for column, channel in enumerate(channels):
        for start, end in runs(values[:, column] > limit + SLACK):
            worst = values[start:end, column].max()
            yield rows.found(name, (CHANNELS[channel],), begin + start, begin + end, worst, limit)


def _exclusions(rows: Rows) -> Iterator[Violation]:
    x = rows.all[rows.first :]
    closed = np.maximum(x[:, LIDS[0]], x[:, LIDS[1]])
    yield from _sum(rows, x[:, AU5] + closed, ("AU5", "AU45_L", "AU45_R"), LIDS_APART, "lids")
    for one, other, limit in EXCLUSIONS:
        both = x[:, CHANNEL[one]] + x[:, CHANNEL[other]]
        yield from _sum(rows, both, (one, other), limit, "opposed-units")
    wide = x[:, AU5] * x[:, CHANNEL["gaze_down"]]
    yield from _sum(rows, wide, ("AU5", "gaze_down"), WIDE_LOOKING_DOWN, "lid-follows-gaze")


def _sum(
    rows: Rows, values: F64, channels: tuple[str, ...], limit: float, name: str
) -> Iterator[Violation]:
    for start, end in runs(values > limit + SLACK):
        at = rows.first
        yield rows.found(name, channels, at + start, at + end, values[start:end].max(), limit)


# --- Lids ------------------------------------------------------------------------------------


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


def closures(lids: F64) -> list[Closure]:
    """All closures of both lids, float64 ``[T, 2]``, in order of their beginning."""
    found = [
        Closure(lid, start, end, start + int(lids[start:end, lid].argmax()))
        for lid in (0, 1)
        for start, end in runs(lids[:, lid] >= COVERED)
    ]
    return sorted(found, key=lambda closure: closure.start)


def _lids_open_too_fast(rows: Rows) -> Iterator[Violation]:
    begin = max(rows.first, 1)
    steps = -np.diff(rows.all[begin - 1 :, LIDS], axis=0)
    yield from _each(rows, steps, begin, list(LIDS), OPENING_STEP, "lid-opening-speed")


def _blinks(rows: Rows) -> Iterator[Violation]:
    lids = rows.all[:, LIDS]
    found = closures(lids)
    for closure in found:
        if closure.end <= rows.first or closure.end == len(lids) or closure.start == 0:
            continue  # was judged before, is still going on, or began nobody knows how
        if closure.frames < BLINK_FRAMES:
            yield from _blink_shape(rows, closure, lids)
            if closure.start > rows.first:  # a lid that was already shut can not be made equal
                yield from _blink_sides(rows, closure, lids)
    yield from _blink_gaps(rows, found)


def _blink_shape(rows: Rows, closure: Closure, lids: F64) -> Iterator[Violation]:
    start, end = max(closure.start - 4, 0), min(closure.end + 6, len(lids))
    lid = lids[start:end, closure.lid]
    name = (CHANNELS[LIDS[closure.lid]],)
    floor = min(lid[0], lid[-1])
    area = float((lid - floor).clip(0).sum() / max(lid.max() - floor, 1e-6))
    if area < BLINK_AREA - SLACK:
        yield rows.found("blink-duration", name, closure.start, closure.end, area, BLINK_AREA)
    steps = np.diff(lid)
    opening = steps[max(rows.first - start - 1, 0) :]  # how it began to open is past mending
    faster = float(-opening.min(initial=0.0) - steps.max(initial=0.0))
    if faster > BLINK_ASYMMETRY + SLACK:
        limit = BLINK_ASYMMETRY
        yield rows.found("blink-opens-slower", name, closure.start, closure.end, faster, limit)


def _blink_sides(rows: Rows, closure: Closure, lids: F64) -> Iterator[Violation]:
    """Both lids close about as far, or one of them alone, and then on purpose."""
    start, end = max(closure.start - 2, 0), min(closure.end + 2, len(lids))
    own, other = lids[start:end, closure.lid].max(), lids[start:end, 1 - closure.lid].max()
    names = ("AU45_L", "AU45_R")
    if other >= COVERED:
        if own - other > BLINK_SIDES + SLACK:
            yield rows.found("blink-sides", names, start, end, own - other, BLINK_SIDES)
    elif closure.frames < WINK_FRAMES and own - other > BLINK_SIDES + SLACK:
        yield rows.found("wink-duration", names, start, end, closure.frames, WINK_FRAMES)


def _blink_gaps(rows: Rows, found: list[Closure]) -> Iterator[Violation]:
    for lid in (0, 1):
        own = [closure for closure in found if closure.lid == lid]
        for one, other in zip(own, own[1:], strict=False):
            gap = other.top - one.top
            if other.start > rows.first and gap < BLINK_GAP_FRAMES:
                name = (CHANNELS[LIDS[lid]],)
                yield rows.found("blink-gap", name, one.end, other.end, gap, BLINK_GAP_FRAMES)


def _stares(rows: Rows) -> Iterator[Violation]:
    limit = STARE_SECONDS.get(rows.state, STARE_SECONDS["idle"])
    longest = round(limit * FPS)
    if len(rows.all) <= longest:
        return
    covered = rows.all[:, LIDS].max(axis=1) >= COVERED
    for start, end in runs(~covered):
        at = max(start + longest, rows.first)
        if end > at + STARE_GRACE:
            yield rows.found("stare", ("AU45_L", "AU45_R"), at, end, (end - start) / FPS, limit)


# --- Eyes ------------------------------------------------------------------------------------


def eye_degrees(rows: F64) -> F64:
    """Eye-in-head rotation to the person's left and down, float64 ``[T, 2]``, degrees."""
    side, up, low = GAZE_DEGREES
    left, right, high, down = rows[:, GAZE_SLICE].T
    return np.stack([side * (left - right), low * down - up * high], axis=1)


def _both_ways(rows: Rows) -> Iterator[Violation]:
    x = rows.all[rows.first :]
    for one, other in (("gaze_left", "gaze_right"), ("gaze_up", "gaze_down")):
        both = np.minimum(x[:, CHANNEL[one]], x[:, CHANNEL[other]])
        yield from _sum(rows, both, (one, other), 0.0, "gaze-both-ways")


@dataclass(frozen=True, slots=True)
class Motion:
    """How eyes and head move from row to row."""

    eye: F64
    "float64 ``[N]``, degrees a frame, in the head."
    space: F64
    "float64 ``[N]``, degrees a frame, of the line of sight."
    heading: F64
    "float64 ``[N, 2]``, the same with direction."
    head: F64
    "float64 ``[N]``, degrees a frame."


def motion(rows: F64) -> Motion:
    """Steps into each row of float64 ``[N, 17]``; the first is 0."""
    eyes = np.diff(eye_degrees(rows), axis=0, prepend=eye_degrees(rows[:1]))
    head = np.diff(rows[:, [YAW, PITCH]], axis=0, prepend=rows[:1, [YAW, PITCH]])
    space = eyes + head
    return Motion(np.hypot(*eyes.T), np.hypot(*space.T), space, np.hypot(*head.T))


def saccadic(moved: Motion) -> npt.NDArray[np.bool_]:
    """Frames that only a saccade explains: the eyes leap, and not because the head does."""
    return (moved.space > SACCADE_STEP) & (moved.eye > SACCADE_STEP) & (moved.head < 1.0)


def _eyes(rows: Rows) -> Iterator[Violation]:
    since = max(rows.first - PURSUIT_FRAMES - 2, 0)
    first = rows.first - since
    moved = motion(rows.all[since:])
    names = CHANNELS[GAZE_SLICE]
    for start, end in runs(moved.eye > EYE_STEP + SLACK):
        if end > first:
            yield rows.found(
                "saccade-speed", names, since + start, since + end,
                moved.eye[start:end].max() * FPS, EYE_STEP * FPS,
            )  # fmt: skip
    leaps = saccadic(moved)
    back = (moved.heading[1:] * moved.heading[:-1]).sum(axis=1) < 0
    for start, end in runs(leaps[1:] & leaps[:-1] & back):
        if end >= first:
            yield rows.found(
                "saccade-gap", names, since + start + 1, since + end + 1, 0, SACCADE_GAP_FRAMES
            )  # fmt: skip
    yield from _glides(rows, moved, since, first)


def _glides(rows: Rows, moved: Motion, since: int, first: int) -> Iterator[Violation]:
    """Gaze shifts too slow to be saccades, with the head at rest."""
    gliding = (moved.space > PURSUIT_STEP) & (moved.space <= SACCADE_STEP)
    gliding &= (moved.head < HEAD_MOVES) & (moved.eye > PURSUIT_STEP)
    for start, end in runs(gliding):
        if end - start > PURSUIT_FRAMES and end > first:
            yield rows.found(
                "gaze-glides", CHANNELS[GAZE_SLICE], since + start, since + end,
                (end - start) / FPS, PURSUIT_FRAMES / FPS,
            )  # fmt: skip


def _far_out(rows: Rows) -> Iterator[Violation]:
    since = max(rows.first - FAR_FRAMES, 0)
    far = np.hypot(*eye_degrees(rows.all[since:]).T) > FAR_DEGREES + SLACK
    for start, end in runs(far):
        if end - start > FAR_FRAMES and since + end > rows.first:
            at = max(since + start + FAR_FRAMES, rows.first)
            yield rows.found(
                "eyes-far-out", CHANNELS[GAZE_SLICE], at, since + end,
                (end - start) / FPS, FAR_FRAMES / FPS,
            )  # fmt: skip


def _frozen(rows: Rows) -> Iterator[Violation]:
    since = max(rows.first - FROZEN_FRAMES - 1, 0)
    x = rows.all[since:]
    steps = np.abs(np.diff(x[:, GAZE_SLICE.start :], axis=0, prepend=x[:1, GAZE_SLICE.start :]))
    still = (steps < FROZEN).all(axis=1) & (x[:, LIDS].min(axis=1) < COVERED)
    still[0] = False
    for start, end in runs(still):
        if end - start > FROZEN_FRAMES and since + end > rows.first:
            at = max(since + start + FROZEN_FRAMES, rows.first)
            yield rows.found(
                "frozen", CHANNELS[GAZE_SLICE.start :], at, since + end,
                (end - start) / FPS, FROZEN_FRAMES / FPS,
            )  # fmt: skip


def runs(mask: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """``[start, end)`` of each run of True."""
    if not mask.any():
        return []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


RULES: Final[tuple[Rule, ...]] = (
    _pose_too_far, _head_too_fast, _head_jolts, _units_too_fast, _exclusions,
    _lids_open_too_fast, _blinks, _stares, _both_ways, _eyes, _far_out, _frozen,
)  # fmt: skip
