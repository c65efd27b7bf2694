"""Mends rows that no living face could show, and keeps what they were meant to show.

A track that passes the rules comes back as it is. Otherwise each kind of fault has its mender,
which changes the rows around the fault and makes them keep its rules by construction: a brow that
is too fast becomes one at the speed limit, a blink that is none becomes one, a gaze that glides
becomes fixations and saccades. Where that is not enough, more of the rows around are taken in; what
can not be mended at all comes to rest, in a way that passes after anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
import numpy.typing as npt

from core import CHANNELS, FPS, GAZE_SLICE, POSE_SLICE, ControlTrack, InvalidInput
from planner.evidence import AU5, F64, LEAST, LIDS, MOST, Violation, eye_degrees
from planner.face_repair import (
    FROZEN_RULES,
    HEAD_RULES,
    UNIT_RULES,
    mend_frozen,
    mend_head,
    mend_units,
    tremble,
)
from planner.gaze_repair import GAZE_RULES, HOME_DEGREES, mend_gaze
from planner.lid_repair import LID_RULES, blink_at, mend_lids
from planner.mending import REACH, Job
from planner.row import gaze_channels
from planner.rules import check, settled

MENDERS: Final[tuple[tuple[frozenset[str], Callable[[Job], None]], ...]] = (
    (FROZEN_RULES, mend_frozen),
    (HEAD_RULES, mend_head),
    (LID_RULES, mend_lids),
    (GAZE_RULES, mend_gaze),
    (UNIT_RULES, mend_units),
)
"""What cures what, in this order: gaze is mended after the head it is taken off from, and AU5 after
the lids and the gaze that it depends on."""


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
    broken = check(track, before, state=state)
    found += broken
    past = settled(before) if broken else rows[:0]
    job = Job(np.concatenate([past, rows]), len(past), (), 0)
    for turn in range(len(REACH)):
        if not broken:
            return track, found
        job = replace(job, faults=(*job.faults, *broken), round=turn)
        track = _mended(job)
        broken = check(track, before, state=state)
    return (at_rest(len(rows), before) if broken else track), found


def _mended(job: Job) -> ControlTrack:
    """The rows of ``job`` mended around all that is known to be wrong."""
    fresh = replace(job, rows=job.rows.copy())
    for cures, mend in MENDERS:
        faults = tuple(fault for fault in job.faults if fault.rule in cures)
        if faults:
            mend(replace(fresh, faults=faults))
    rows = np.clip(fresh.rows[job.first :], LEAST, MOST)
    return ControlTrack(rows.astype(np.float32))


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
        found.append(_whole("finite", ~finite))
        last = (
            settled(before)[-1] if before is not None and len(before) else np.zeros(rows.shape[1])
        )
        for i in range(len(rows)):
            rows[i] = last = np.where(finite[i], rows[i], last)
    outside = (rows < LEAST - 1e-6) | (rows > MOST + 1e-6)
    if outside.any():
        found.append(_whole("range", outside))
        np.clip(rows, LEAST, MOST, out=rows)
    return rows, found


def _whole(rule: str, where: npt.NDArray[np.bool_]) -> Violation:
    frames = np.flatnonzero(where.any(axis=1))
    names = tuple(CHANNELS[i] for i in np.flatnonzero(where.any(axis=0)))
    return Violation(rule, names, int(frames[0]), int(frames[-1]) + 1, float(where.sum()), 0.0)


# --- The last resort -------------------------------------------------------------------------

HOLD_FRAMES: Final = 14
"Lids stay where they are for longer than a blink, so that what they did before was none."
OPENING_STEP: Final = 0.07
BLINK_EVERY: Final = 6 * FPS
FIRST_BLINK: Final = 19
HOME_FRAME: Final = FPS + 1
"The eyes go home when no saccade before can be held against it."
TURN_FRAMES: Final = 5 * FPS


def at_rest(frames: int, before: ControlTrack | None) -> ControlTrack:
    """Whatever was shown comes to rest, alive: passes `check` after any rows before.

    Everything stays where it was in the first frame, and then moves too slowly to break a rule.
    """
    past = settled(before)
    last = past[-1] if len(past) else np.zeros(len(CHANNELS))
    rows = np.tile(last, (frames, 1))
    t = np.arange(frames)[:, None]
    rows[:, : LIDS[0]] = last[: LIDS[0]] * (1 - t / TURN_FRAMES).clip(0)
    rows[:, [AU5]] = last[AU5] * (1 - t / HOLD_FRAMES).clip(0)
    lids = np.minimum(last[list(LIDS)], last[list(LIDS)] - OPENING_STEP * (t - HOLD_FRAMES)).clip(0)
    for top in range(FIRST_BLINK, frames, BLINK_EVERY):
        blink_at(lids, top)
    rows[:, LIDS] = lids
    ease = 0.5 + 0.5 * np.cos(np.pi * (t / TURN_FRAMES).clip(0, 1))
    rows[:, POSE_SLICE] = last[POSE_SLICE] * ease + tremble(frames)
    eye = eye_degrees(last[None])[0]
    rows[:, GAZE_SLICE] = gaze_channels(*eye)
    home = eye * min(1.0, 0.8 * HOME_DEGREES / max(float(np.hypot(*eye)), 1e-9))
    rows[HOME_FRAME:, GAZE_SLICE] = gaze_channels(*home)
    return ControlTrack(np.clip(rows, LEAST, MOST).astype(np.float32))
