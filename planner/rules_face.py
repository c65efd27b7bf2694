"""What brows, cheeks, the lid tightener and the head can not do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from core import CHANNEL, CHANNELS, FPS
from planner import physiology as ph
from planner.evidence import (
    AU5,
    DOWN,
    F64,
    HEAD,
    LIDS,
    SHAKE_FRAMES,
    SHAKES,
    SLACK,
    UNITS,
    Rows,
    Violation,
    runs,
    shaking,
)

HEAD_STEP: Final = 200.0 / FPS
"""Degrees a frame: active rotation at 2-5 Hz, 11-31 deg wide, peaks at 170-200 deg/s (Equilibrium
Res 1987, 46(2)). With all their might people reach 780 (Grossman et al. 1988, Exp Brain Res 70(3));
nobody does in conversation."""
HEAD_JOLT: Final = 5_000.0 / FPS**2
"""Degrees a frame, a frame: a head from full speed to rest in one frame. Active rotation at 2-5 Hz
peaks at 2 500-5 000 deg/s2 (Equilibrium Res 1987, 46(2)), the most vigorous shaking at 10 000 or
more (Funk et al. 2015, J Appl Biomech 31(3))."""
HEAD_SHAKE: Final = 0.8
"Degrees a frame that make a shake of the head; trackers jitter less (measured)."
UNIT_STEP: Final = 0.62
"""Of a brow, cheek or lid tightener, a frame: two minimum-jerk motions of the fastest onset of a
facial action, 160 ms, at once (`physiology.AU_RISE_SECONDS`). Upper lids raise no faster."""
UNIT_TWITCH: Final = 0.4
"""Rise and fall within two frames: a muscle that rose within a frame does not fall within the next
(free; recordings of a phone's tracker stay below 0.15, of webcam trackers mostly below 0.38)."""
UNIT_SHAKE: Final = 0.1
"Of a unit, a frame, that makes a shake of it (free)."
LIDS_APART: Final = 1.2
"""AU5 and AU45 exclude each other: levator and orbicularis oculi are antagonists, and the levator
falls silent in a blink (Evinger et al. 1984, J Neurophysiol 52(2); the margin is free)."""
EXCLUSIONS: Final[tuple[tuple[str, str, float], ...]] = (
    ("AU2_L", "AU4", 1.6), ("AU2_R", "AU4", 1.6), ("AU5", "AU6", 1.8), ("AU5", "AU7", 1.8),
)  # fmt: skip
"""Most that two opposed units reach together. Fear shows 1+2+4+5+7 at once (FACS), so not much
less; AU1 goes with AU4 in sadness and fear and is free of it (limits free)."""
WIDE_LOOKING_DOWN: Final = 0.6
"""AU5 times downward gaze: the upper lid goes down with the eye, as far and as fast (Becker & Fuchs
1988, J Neurophysiol 60(4)), so nobody looks at the floor with wide eyes (limit free). All other
coupling of lids and gaze is the face's own (`face.amplitudes`): a track does not carry it."""


def settle(rows: F64) -> None:
    """Pull opposed units apart where they are over their limits, in place: float64 ``[N, 17]``."""
    for one, other, limit in EXCLUSIONS:
        pair = [CHANNEL[one], CHANNEL[other]]
        rows[:, pair] -= 0.5 * np.maximum(rows[:, pair].sum(axis=1) - limit, 0)[:, None]
    np.minimum(rows[:, AU5], LIDS_APART - rows[:, LIDS].max(axis=1), out=rows[:, AU5])
    np.minimum(rows[:, AU5], WIDE_LOOKING_DOWN / np.maximum(rows[:, DOWN], 0.5), out=rows[:, AU5])


def units_too_fast(rows: Rows) -> Iterator[Violation]:
    """Brows, cheeks and tighteners both ways, AU5 upwards."""
    x, begin = rows.since(1)
    steps = np.diff(x[:, (*UNITS, AU5)], axis=0)
    np.abs(steps[:, :-1], out=steps[:, :-1])
    yield from each(rows, steps, begin + 1, (*UNITS, AU5), UNIT_STEP, "unit-speed")


def units_twitch(rows: Rows) -> Iterator[Violation]:
    """Up and down again, or down and up, within two frames."""
    x, begin = rows.since(2)
    steps = np.diff(x[:, UNITS], axis=0)
    spikes = np.minimum(np.abs(steps[:-1]), np.abs(steps[1:]))
    spikes[steps[:-1] * steps[1:] > 0] = 0
    yield from each(rows, spikes, begin + 1, UNITS, UNIT_TWITCH, "unit-twitch")


def units_shake(rows: Rows) -> Iterator[Violation]:
    """Back and forth faster than muscles do."""
    yield from shakes(rows, (*UNITS, AU5), UNIT_SHAKE, "unit-shake")


def head_too_fast(rows: Rows) -> Iterator[Violation]:
    """Speed of rotation about each axis."""
    x, begin = rows.since(1)
    steps = np.abs(np.diff(x[:, HEAD], axis=0))
    yield from each(rows, steps, begin + 1, HEAD, HEAD_STEP, "head-speed")


def head_jolts(rows: Rows) -> Iterator[Violation]:
    """Acceleration about each axis. Rows before that were faster than any head may be stopped."""
    x, begin = rows.since(2)
    steps = np.diff(x[:, HEAD], axis=0)
    jolts = np.abs(np.diff(steps, axis=0))
    if begin + 2 == rows.first and len(jolts):
        jolts[0] -= np.maximum(np.abs(steps[0]) - HEAD_JOLT, 0)
    yield from each(rows, jolts, begin + 2, HEAD, HEAD_JOLT, "head-acceleration")


def head_shakes(rows: Rows) -> Iterator[Violation]:
    """Back and forth faster than a neck does."""
    yield from shakes(rows, HEAD, HEAD_SHAKE, "head-shake")


def pose_too_far(rows: Rows) -> Iterator[Violation]:
    """Beyond what one picture can show of a neck's range."""
    far = np.abs(rows.all[rows.first :, HEAD])
    if (far <= np.asarray(ph.POSE_LIMITS) + SLACK).all():
        return
    for i, limit in enumerate(ph.POSE_LIMITS):
        yield from each(rows, far[:, [i]], rows.first, HEAD[i : i + 1], limit, "pose-range")


def exclusions(rows: Rows) -> Iterator[Violation]:
    """Units that oppose each other."""
    x = rows.all[rows.first :]
    closed = x[:, LIDS].max(axis=1)
    yield from over(rows, x[:, AU5] + closed, ("AU5", "AU45_L", "AU45_R"), LIDS_APART, "lids")
    for one, other, limit in EXCLUSIONS:
        both = x[:, CHANNEL[one]] + x[:, CHANNEL[other]]
        yield from over(rows, both, (one, other), limit, "opposed-units")
    wide = x[:, AU5] * x[:, DOWN]
    yield from over(rows, wide, ("AU5", "gaze_down"), WIDE_LOOKING_DOWN, "lid-follows-gaze")


# --- how they are counted --------------------------------------------------------------------


def shakes(rows: Rows, channels: Sequence[int], step: float, name: str) -> Iterator[Violation]:
    """Channels that shake; see `evidence.shaking`."""
    x, begin = rows.since(SHAKE_FRAMES + 2)
    for column, start, end, count in shaking(x[:, channels], step, rows.first - begin):
        names = (CHANNELS[channels[column]],)
        yield rows.found(name, names, begin + start, begin + end, count, SHAKES)


def each(
    rows: Rows, values: F64, begin: int, channels: Sequence[int], limit: float, name: str
) -> Iterator[Violation]:
    """One violation for each run of frames over the limit in a channel; row 0 is ``begin``."""
    if not values.size or values.max() <= limit + SLACK:
        return
    for column, channel in enumerate(channels):
        for start, end in runs(values[:, column] > limit + SLACK):
            if begin + end <= rows.first:
                continue
            worst = values[start:end, column].max()
            yield rows.found(name, (CHANNELS[channel],), begin + start, begin + end, worst, limit)


def over(
    rows: Rows, values: F64, channels: tuple[str, ...], limit: float, name: str
) -> Iterator[Violation]:
    """One violation for each run of frames over the limit; row 0 is the track's first."""
    if values.max() <= limit + SLACK:
        return
    for start, end in runs(values > limit + SLACK):
        at = rows.first
        yield rows.found(name, channels, at + start, at + end, values[start:end].max(), limit)
