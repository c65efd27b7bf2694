"""Mends rows that no living face could show, and keeps what they were meant to show.

A track that passes the rules comes back as it is. Otherwise each kind of fault has its mender,
which makes rows that keep its rules by construction: a brow that is too fast becomes one at the
speed limit, a blink that is none becomes one, a gaze that glides becomes fixations and saccades.
What can not be mended so comes to rest instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from core import CHANNELS, FPS, GAZE_SLICE, POSE_SLICE, ControlTrack, InvalidInput
from planner import rules
from planner.lid_repair import mend_lids
from planner.row import gaze_channels
from planner.rules import AU5, LIDS, UNITS, Violation, check, eye_degrees, motion, saccadic

F64: TypeAlias = npt.NDArray[np.float64]

ROUNDS: Final = 3
"Menders may undo a little of each other's work; more rounds have never been needed (measured)."
SHARE: Final = 0.95
"Of a limit that is made use of, so that rounding does not cross it."
DWELL_FRAMES: Final = 5
"Shortest fixation of a mended gaze, 200 ms (Leigh & Zee 2015, ch. 4: latency of a saccade)."
FIXATION_DEGREES: Final = 1.0
"Wanted gaze this near is the same fixation: within it the eyes drift and tremble."
DRIFT: Final = 0.2
"Share of a small distance that a fixating eye drifts in a frame."
SACCADE_DEGREES: Final = 24.0
"Most that a mended saccade goes in a frame."
HOME_DEGREES: Final = 24.0
"Where an eye goes that was held too far out for too long."
FAR: Final = rules.FAR_DEGREES - 0.5
TREMBLE_DEGREES: Final = 0.12
TREMBLE_HZ: Final = (0.31, 0.23, 0.17)
"A head that was frozen drifts this much (free; a sitter's head is never stiller)."

Mender: TypeAlias = Callable[[F64, F64, list[Violation]], None]
"Changes float64 ``[T, 17]`` in place, given the rows before and what is wrong."


def repair(
    values: npt.ArrayLike | ControlTrack,
    before: ControlTrack | None = None,
    *,
    state: str = "idle",
) -> tuple[ControlTrack, list[Violation]]:
    """A track that passes `check`, as near to ``values`` as the rules allow.

    Args:
        values: ``[T, 17]``, anything: NaN and infinity hold the value before them.
        before: The rows played right before it.
        state: What the conversation is at.

    Returns:
        The track, and what was wrong with ``values``. A track without fault is returned bit by bit.

    Raises:
        InvalidInput: Not 17 columns of numbers.
    """
    rows, found = _tidy(values, before)
    track = ControlTrack(rows.astype(np.float32))
    found += (broken := check(track, before, state=state))
    past = _past(before)
    mended = rows
    for _ in range(ROUNDS):
        if not broken:
            return track, found
        mended = mended.copy()
        _mend(mended, past, broken)
        track = ControlTrack(mended.astype(np.float32))
        broken = check(track, before, state=state)
    if broken:
        found.append(Violation("unmendable", (), 0, len(rows), len(broken), 0))
        track = _at_rest(len(rows), past, before, state)
    return track, found


def _tidy(
    values: npt.ArrayLike | ControlTrack, before: ControlTrack | None
) -> tuple[F64, list[Violation]]:
    """Finite rows within range, and where they were not."""
    if isinstance(values, ControlTrack):
        values = values.values
    try:
        rows = np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"A track is an array of numbers ({error}).") from None
    if rows.ndim != 2 or rows.shape[1] != len(CHANNELS):
        raise InvalidInput(f"A track has {len(CHANNELS)} columns, this is {list(rows.shape)}.")
    found = []
    finite = np.isfinite(rows)
    if not finite.all():
        found.append(_whole("finite", rows, ~finite))
        last = np.zeros(len(CHANNELS)) if not _has(before) else _past(before)[-1]
        for i in range(len(rows)):
            rows[i] = last = np.where(finite[i], rows[i], last)
    outside = (rows < rules.LEAST - 1e-6) | (rows > rules.MOST + 1e-6)
    if outside.any():
        found.append(_whole("range", rows, outside))
    np.clip(rows, rules.LEAST, rules.MOST, out=rows)
    return rows, found


def _whole(rule: str, rows: F64, where: npt.NDArray[np.bool_]) -> Violation:
    frames = np.flatnonzero(where.any(axis=1))
    names = tuple(CHANNELS[i] for i in np.flatnonzero(where.any(axis=0)))
    return Violation(rule, names, int(frames[0]), int(frames[-1]) + 1, float(where.sum()), 0.0)


def _has(before: ControlTrack | None) -> bool:
    return before is not None and len(before) > 0


def _past(before: ControlTrack | None) -> F64:
    """The rows before, within range, float64 ``[N, 17]``."""
    if before is None:
        return np.zeros((0, len(CHANNELS)))
    kept: F64 = before.values[-rules.LONGEST :].astype(np.float64)
    return np.clip(kept, rules.LEAST, rules.MOST)


def _mend(rows: F64, past: F64, broken: list[Violation]) -> None:
    wrong = {violation.rule for violation in broken}
    for cures, mend in MENDERS:
        if wrong & cures:
            mend(rows, past, broken)


def _at_rest(frames: int, past: F64, before: ControlTrack | None, state: str) -> ControlTrack:
    """The last resort: whatever was shown comes to rest, alive."""
    rows = np.zeros((frames, len(CHANNELS)))
    for _ in range(2):
        broken = check(ControlTrack(rows.astype(np.float32)), before, state=state)
        for _, mend in MENDERS:
            mend(rows, past, broken)
    return ControlTrack(rows.astype(np.float32))


# --- Menders ---------------------------------------------------------------------------------


def _mend_units(rows: F64, past: F64, broken: list[Violation]) -> None:
    """Brows, cheeks and lid tighteners at the speed limit, opposed ones in proportion."""
    closed = rows[:, list(LIDS)].max(axis=1)
    down = np.maximum(rows[:, GAZE_SLICE.stop - 1], 1e-6)
    rows[:, AU5] = np.minimum(rows[:, AU5], rules.LIDS_APART - closed)
    rows[:, AU5] = np.minimum(rows[:, AU5], rules.WIDE_LOOKING_DOWN / down).clip(0, 1)
    for one, other, limit in rules.EXCLUSIONS:
        pair = [CHANNELS.index(one), CHANNELS.index(other)]
        excess = np.maximum(rows[:, pair].sum(axis=1) - SHARE * limit, 0)
        rows[:, pair] -= 0.5 * excess[:, None]
    np.clip(rows[:, :8], 0, 1, out=rows[:, :8])
    index, most = list(UNITS), SHARE * rules.UNIT_STEP
    last = past[-1, index] if len(past) else rows[0, index]
    for i in range(len(rows)):
        rows[i, index] = last = np.clip(rows[i, index], last - most, last + most)


def _mend_head(rows: F64, past: F64, broken: list[Violation]) -> None:
    """A head of bounded speed and acceleration that goes where it was sent."""
    pose = rows[:, POSE_SLICE]
    most, jolt = SHARE * rules.HEAD_STEP, 0.5 * rules.HEAD_JOLT
    at = past[-1, POSE_SLICE].copy() if len(past) else pose[0].copy()
    speed = at - past[-2, POSE_SLICE] if len(past) > 1 else np.zeros(3)
    speed = speed.clip(-rules.HEAD_STEP, rules.HEAD_STEP)
    for i in range(len(rows)):
        way = pose[i] - at
        # No faster than it can brake before it is there.
        wanted = np.sign(way) * np.minimum(np.abs(way), np.sqrt(jolt * np.abs(way)))
        swerve = jolt if i else SHARE * rules.HEAD_JOLT  # what came before may need hard braking
        speed = wanted.clip(speed - swerve, speed + swerve).clip(-most, most)
        reached = (at + speed).clip(rules.LEAST[POSE_SLICE], rules.MOST[POSE_SLICE])
        speed, at = reached - at, reached
        pose[i] = at


def _mend_gaze(rows: F64, past: F64, broken: list[Violation]) -> None:
    """Fixations in space, and saccades between them; what the head does is taken off again."""
    head = rows[:, [rules.YAW, rules.PITCH]]
    wanted = eye_degrees(rows) + head
    eye = eye_degrees(past[-1:])[0] if len(past) else wanted[0] - head[0]
    look = eye + (past[-1, [rules.YAW, rules.PITCH]] if len(past) else head[0])
    leapt = len(past) > 1 and bool(saccadic(motion(past[-2:]))[-1])
    dwell, target = 0 if leapt else DWELL_FRAMES, None
    out, tired = _far_out(past), False
    for i in range(len(rows)):
        aim = wanted[i] - head[i]
        size = max(float(np.hypot(*aim)), 1e-9)
        tired = size > HOME_DEGREES and (tired or out >= rules.FAR_FRAMES - FPS)
        if tired:
            aim *= HOME_DEGREES / size
        way = aim + head[i] - look
        if target is None and np.hypot(*way) > FIXATION_DEGREES and dwell >= DWELL_FRAMES:
            target = aim + head[i]
        if target is not None:
            step = target - look
            size = float(np.hypot(*step))
            look = look + step * min(1.0, SACCADE_DEGREES / max(size, 1e-9))
            target, dwell = (None, 0) if size <= SACCADE_DEGREES else (target, 0)
        else:
            small = np.hypot(*way) <= FIXATION_DEGREES
            look = look + (DRIFT * way if small else 0.0)
            dwell += 1
        eye = _within_orbit(look - head[i], eye)
        look = eye + head[i]
        out = out + 1 if np.hypot(*eye) > FAR else 0
        rows[i, GAZE_SLICE] = gaze_channels(*eye)


def _far_out(past: F64) -> int:
    """For how many frames the eyes have been far out."""
    near = np.flatnonzero(np.hypot(*eye_degrees(past[-rules.FAR_FRAMES :]).T) <= FAR)
    return min(len(past), rules.FAR_FRAMES) - (int(near[-1]) + 1 if len(near) else 0)


def _within_orbit(eye: F64, last: F64) -> F64:
    """``eye`` where eyes can be, and no farther from ``last`` than they can get in a frame."""
    step = eye - last
    eye = last + step * min(1.0, SHARE * rules.EYE_STEP / max(float(np.hypot(*step)), 1e-9))
    bounded: F64 = eye.clip([-35.0, -25.0], [35.0, 30.0])
    return bounded


def _mend_frozen(rows: F64, past: F64, broken: list[Violation]) -> None:
    """A still head drifts a little, beginning from where it is."""
    t = np.arange(1, len(rows) + 1)[:, None] / FPS
    room = rules.MOST[POSE_SLICE] - TREMBLE_DEGREES
    drift = TREMBLE_DEGREES * np.sin(2 * np.pi * t * np.array(TREMBLE_HZ))
    rows[:, POSE_SLICE] = rows[:, POSE_SLICE].clip(-room, room) + drift


MENDERS: Final[tuple[tuple[frozenset[str], Mender], ...]] = (
    (frozenset({"frozen"}), _mend_frozen),
    (frozenset({"pose-range", "head-speed", "head-acceleration"}), _mend_head),
    (
        frozenset(
            {"blink-duration", "blink-opens-slower", "blink-sides", "wink-duration", "blink-gap",
             "lid-opening-speed", "stare"}
        ),
        mend_lids,
    ),
    (
        frozenset(
            {"gaze-both-ways", "saccade-speed", "saccade-gap", "gaze-glides", "eyes-far-out"}
        ),
        _mend_gaze,
    ),
    (frozenset({"unit-speed", "lids", "opposed-units", "lid-follows-gaze"}), _mend_units),
)  # fmt: skip
"""What cures what, in this order: gaze is mended after the head it is taken off from, and AU5 after
the lids and the gaze that it depends on."""
