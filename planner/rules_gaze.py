"""What eyes, and eyes and head together, can not do.

There is no rule against a head that moves before the eyes do: while they hold their target it is
counter-rotation (VOR) that lets it, and people turn ahead of where they are about to look.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from core import CHANNEL, CHANNELS, FPS
from planner.evidence import (
    EYES,
    F64,
    HEAD,
    LIDS,
    PITCH,
    SHAKE_FRAMES,
    SHAKES,
    SLACK,
    YAW,
    Bools,
    Rows,
    Violation,
    eye_degrees,
    runs,
    shaking,
)
from planner.rules_face import over
from planner.rules_lids import COVERED

EYE_STEP: Final = 28.0
"Degrees a frame: 700 deg/s, about where peak velocity saturates (Bahill, Clark & Stark 1975)."
SACCADE_STEP: Final = 4.0
"Degrees a frame, 100 deg/s, that no smooth movement of the eyes reaches (Leigh & Zee 2015, ch. 5)."
SACCADE_GAP_FRAMES: Final = 1
"""Still frames before a saccade back. Without an interval in between it is flutter, not seen in
healthy eyes but for the few who can do it at will (Leigh & Zee 2015)."""
SACCADE_DEGREES: Final = 2.0
"Degrees a frame from which saccades are counted."
SACCADES_A_SECOND: Final = 8
"""Scanning eyes make 3-4 and, with express latencies of 100-120 ms (Fischer & Ramsperger 1984, Exp
Brain Res 57(1)), hardly more than 8; a phone's tracker of real faces shows 5 at most (measured)."""
EYE_SHAKE: Final = 0.8
"Degrees a frame that make a shake of the eyes; trackers jitter less (measured)."
GLIDE_STEP: Final = 0.6
"""Degrees a frame, 15 deg/s. With nothing to follow eyes do not glide this fast: gaze shifts are
saccades (Leigh & Zee 2015, ch. 5); slow rolling eyes of the drowsy stay below it (free)."""
GLIDE_FRAMES: Final = 10
SLOW_SACCADE: Final = (10.0, 6)
"""Degrees, frames: 240 ms for a shift of 10 deg and more, where the main sequence asks for 43 ms
(`physiology.saccade_seconds`); blinks and fatigue slow saccades by far less (margin free)."""
VOR_ERROR: Final = 2.5
"Gaze in space that moves this much as fast as the head may still be poor counter-rotation (free)."
RIDING_STEP: Final = 1.6
"""Degrees a frame, 40 deg/s: in a head this fast the eyes counter-rotate, within 6-15 ms (Maas et
al. 1989, Brain Res 499(1))."""
RIDING_SHARE: Final = 0.15
RIDING_FRAMES: Final = 8
"""320 ms in which the eyes hardly move in a fast head. In gaze shifts VOR is off only as long as
the eyes themselves are in flight (Guitton & Volle 1987, J Neurophysiol 58(3); limit free)."""
RIDING_DEGREES: Final = 25.0
"Eyes farther out than this may be at the end of their range."
FAR_DEGREES: Final = 30.0
"""Eye-in-head. Eyes reach about 55 deg, their saccades end at 45 (Guitton & Volle 1987), and people
who can turn their heads keep them well within (Stahl 1999, Exp Brain Res 126(1))."""
FAR_FRAMES: Final = 6 * FPS
"How long the eyes are held farther out than that without the head joining (free)."
FAR_GRACE: Final = FPS + 1
"""Frames a track may take to bring back eyes that were, or nearly were, out for too long before:
until then saccades before it may forbid another (`SACCADES_A_SECOND`)."""
FROZEN_FRAMES: Final = 2 * FPS
"""Neither head nor eyes move while the eyes are open: fixating eyes make one or two microsaccades a
second and drift between them (Martinez-Conde, Macknik & Hubel 2004, Nat Rev Neurosci 5(3))."""
FROZEN_DEGREES: Final = 0.05
"Recorded faces move by 0.25 deg or more in any 2 s (measured)."
FROZEN_GRACE: Final = 12


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

    @property
    def own(self) -> F64:
        """What of the motion of the line of sight the head does not explain."""
        return np.minimum(self.space - self.head, self.eye)


def motion(rows: F64) -> Motion:
    """Steps into each row of float64 ``[N, 17]``; the first is 0."""
    at, turned = eye_degrees(rows), rows[:, [YAW, PITCH]]
    eyes = np.diff(at, axis=0, prepend=at[:1])
    head = np.diff(turned, axis=0, prepend=turned[:1])
    space = eyes + head
    return Motion(np.hypot(*eyes.T), np.hypot(*space.T), space, np.hypot(*head.T))


def saccadic(moved: Motion, step: float = SACCADE_STEP) -> Bools:
    """Frames that only a saccade explains: the eyes leap, and not because the head does."""
    leaps: Bools = moved.own > step
    return leaps


def onsets(moved: Motion) -> Bools:
    """Frames in which a saccade begins."""
    leaps = saccadic(moved, SACCADE_DEGREES)
    begins = leaps.copy()
    goes_on = (moved.heading[1:] * moved.heading[:-1]).sum(axis=1) > 0
    begins[1:] &= ~(leaps[:-1] & goes_on)
    return begins


def both_ways(rows: Rows) -> Iterator[Violation]:
    """Left and right at once, or up and down."""
    x = rows.all[rows.first :]
    for one, other in (("gaze_left", "gaze_right"), ("gaze_up", "gaze_down")):
        both = np.minimum(x[:, CHANNEL[one]], x[:, CHANNEL[other]])
        yield from over(rows, both, (one, other), 0.0, "gaze-both-ways")


def eyes(rows: Rows) -> Iterator[Violation]:
    """Saccades, glides, shakes and counter-rotation."""
    x, begin = rows.since(FPS + 2)
    moved, first = motion(x), rows.first - begin
    found = [
        *_leaps(moved, first), *_rates(moved, first), *_glides(x, moved, first),
        *_riding(x, moved, first), *_shakes(x, first),
    ]  # fmt: skip
    for name, start, end, value, limit in found:
        yield rows.found(name, EYES, begin + start, begin + end, value, limit)


Found: TypeAlias = tuple[str, int, int, float, float]


def _leaps(moved: Motion, first: int) -> Iterator[Found]:
    """Saccades that are too fast, or go back without a pause."""
    if moved.eye.max() <= SACCADE_STEP:
        return
    for start, end in runs(moved.eye > EYE_STEP + SLACK):
        if end > first:
            worst = moved.eye[start:end].max()
            yield "saccade-speed", start, end, worst * FPS, EYE_STEP * FPS
    leaps = saccadic(moved)
    back = (moved.heading[1:] * moved.heading[:-1]).sum(axis=1) < 0
    for start, end in runs(leaps[1:] & leaps[:-1] & back):
        if end >= first:
            yield "saccade-gap", start + 1, end + 1, 0, SACCADE_GAP_FRAMES


def _rates(moved: Motion, first: int) -> Iterator[Found]:
    """More saccades in a second than eyes make."""
    at = np.flatnonzero(onsets(moved))
    if len(at) <= SACCADES_A_SECOND:
        return
    last, most = at[SACCADES_A_SECOND:], SACCADES_A_SECOND
    dense = (last - at[:-SACCADES_A_SECOND] < FPS) & (last >= first)
    for a, b in runs(dense):
        yield "saccade-rate", int(at[a]), int(last[b - 1]) + 1, b - a + most, most


def _glides(x: F64, moved: Motion, first: int) -> Iterator[Found]:
    """Gaze shifts too slow to be saccades, not explained by the head and seen."""
    gliding = (moved.space > GLIDE_STEP + VOR_ERROR * moved.head) & (moved.eye > GLIDE_STEP)
    gliding &= x[:, LIDS].min(axis=1) < COVERED
    least, frames = SLOW_SACCADE
    for start, end in runs(gliding):
        if end <= first or end - start <= frames:
            continue
        way = float(np.hypot(*moved.heading[start:end].sum(axis=0)))
        limit = frames if way >= least else GLIDE_FRAMES
        if end - start > limit:
            yield "gaze-glides", start, end, (end - start) / FPS, limit / FPS


def _riding(x: F64, moved: Motion, first: int) -> Iterator[Found]:
    """Eyes that stay where they are in a head that turns fast."""
    fast = moved.head > RIDING_STEP
    if fast.sum() <= RIDING_FRAMES:
        return
    fast &= moved.eye < RIDING_SHARE * moved.head
    fast &= x[:, LIDS].max(axis=1) < COVERED
    fast &= np.hypot(*eye_degrees(x).T) < RIDING_DEGREES
    for start, end in runs(fast):
        if end > first and end - start > RIDING_FRAMES:
            yield "eyes-ride", start, end, (end - start) / FPS, RIDING_FRAMES / FPS


def _shakes(x: F64, first: int) -> Iterator[Found]:
    since = max(first - SHAKE_FRAMES - 2, 0)
    for _, start, end, count in shaking(eye_degrees(x[since:]), EYE_SHAKE, first - since):
        yield "eye-shake", since + start, since + end, count, SHAKES


def far_out(rows: Rows) -> Iterator[Violation]:
    """Eyes held at the end of their range."""
    x, begin = rows.since(FAR_FRAMES + FAR_GRACE)
    if len(x) <= FAR_FRAMES:
        return
    far = np.hypot(*eye_degrees(x).T) > FAR_DEGREES + SLACK
    for start, end in runs(far):
        at = max(start + FAR_FRAMES, rows.first - begin + FAR_GRACE)
        if end > at:
            frames, limit = (end - start) / FPS, FAR_FRAMES / FPS
            yield rows.found("eyes-far-out", EYES, begin + at, begin + end, frames, limit)


def frozen(rows: Rows) -> Iterator[Violation]:
    """Open eyes in a face that does not move at all."""
    x, begin = rows.since(FROZEN_FRAMES)
    if len(x) <= FROZEN_FRAMES:
        return
    at = np.concatenate([eye_degrees(x), x[:, HEAD]], axis=1)
    still = np.ones(len(x) - FROZEN_FRAMES, bool)
    for lag in (FROZEN_FRAMES, FROZEN_FRAMES // 2, 13, 7):
        back = at[FROZEN_FRAMES - lag : len(at) - lag]
        still &= (np.abs(at[FROZEN_FRAMES:] - back) < FROZEN_DEGREES).all(axis=1)
    for end in np.flatnonzero(still):
        last = int(end) + FROZEN_FRAMES + 1
        span = at[last - FROZEN_FRAMES - 1 : last]
        still[end] = (np.ptp(span, axis=0) < FROZEN_DEGREES).all()
        still[end] &= x[last - FROZEN_FRAMES - 1 : last, LIDS].min(axis=1).max() < COVERED
    still[: max(rows.first - begin + FROZEN_GRACE - FROZEN_FRAMES, 0)] = False
    for start, end in runs(still):
        first, last = start, end + FROZEN_FRAMES
        seconds, limit = (last - first) / FPS, FROZEN_FRAMES / FPS
        names = (*EYES, *CHANNELS[HEAD[0] :])
        yield rows.found("frozen", names, begin + first, begin + last, seconds, limit)
