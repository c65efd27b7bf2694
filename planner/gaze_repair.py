"""Mends gaze: fixations that hold their target in space, and saccades between them."""

from __future__ import annotations

from typing import Final

import numpy as np

from core import FPS, GAZE_SLICE
from planner import physiology as ph
from planner import rules_gaze as limits
from planner.evidence import F64, PITCH, SHAKE_FRAMES, YAW, eye_degrees
from planner.mending import SHARE, Job
from planner.row import gaze_channels
from planner.rules_gaze import SACCADES_A_SECOND, motion, onsets, saccadic

GAZE_RULES: Final = frozenset(
    {
        "gaze-both-ways",
        "saccade-speed",
        "saccade-gap",
        "saccade-rate",
        "gaze-glides",
        "eyes-ride",
        "eye-shake",
        "eyes-far-out",
    }  # fmt: skip
)
DWELL_FRAMES: Final = 5
"Shortest fixation of a mended gaze, 200 ms (Leigh & Zee 2015, ch. 4: latency of a saccade)."
FIXATION_DEGREES: Final = 1.0
"Wanted gaze this near is the same fixation: within it the eyes drift and tremble."
JOIN_DEGREES: Final = 0.3
"Mended gaze this near to the wanted one goes on with it: a microsaccade."
DRIFT: Final = 0.2
"Share of a small distance that a fixating eye drifts in a frame."
LEAP_DEGREES: Final = 24.0
"Most that a mended saccade goes in a frame."
HOME_DEGREES: Final = 24.0
"Where an eye goes that was held too far out for too long."
NEARLY_FAR: Final = limits.FAR_DEGREES - 0.5
ORBIT: Final = (
    np.array([-ph.OCULAR_LIMITS[0], -ph.OCULAR_LIMITS[1]]),
    np.array([ph.OCULAR_LIMITS[0], ph.OCULAR_LIMITS[2]]),
)


def mend_gaze(job: Job) -> None:
    """Fixations in space, and saccades between them; what the head does is taken off again."""
    if job.spans({"gaze-both-ways"}):
        for start, end in job.spans({"gaze-both-ways"}):
            write(job.rows, start, eye_degrees(job.rows[start:end]))
    done, calm = 0, bool(job.spans({"eye-shake"}))
    for start, end in job.spans(GAZE_RULES - {"gaze-both-ways"}, before=1):
        if end > done:
            done = _fixate(job.rows, max(start, done), end, calm=calm)


def write(rows: F64, start: int, eyes: F64) -> None:
    """Put eye-in-head rotations (float64 ``[n, 2]``, degrees) into rows from ``start`` on."""
    for i, eye in enumerate(eyes, start):
        rows[i, GAZE_SLICE] = gaze_channels(*eye)


class Budget:
    """How often the eyes may leap: remembers the last second."""

    def __init__(self, before: F64, *, calm: bool) -> None:
        """Args:
        before: float64 ``[N, 17]``, the rows before.
        calm: Whether the eyes shook, and have to keep still for a while.
        """
        recent = before[-FPS - 2 :]
        rested = DWELL_FRAMES - (SHAKE_FRAMES if calm else 0)
        self.since = rested
        self._times: list[int] = []
        if len(recent) > 1:
            moved = motion(recent)
            skipped = len(before) - len(recent)
            self._times = [int(i) + skipped for i in np.flatnonzero(onsets(moved))]
            self.since = min(rested, 0) if saccadic(moved)[-1] else rested

    def free(self, i: int) -> bool:
        """Whether a saccade may begin at row ``i``."""
        recent = [t for t in self._times if i - t < FPS]
        return self.since >= DWELL_FRAMES and len(recent) < SACCADES_A_SECOND - 1

    def leap(self, i: int) -> None:
        """A saccade begins."""
        self._times.append(i)


def _fixate(rows: F64, start: int, end: int, *, calm: bool) -> int:
    """Mend from ``start`` to ``end``, and on until what was wanted is met; returns where."""
    head = rows[:, [YAW, PITCH]]
    wanted = eye_degrees(rows[start:])
    eye = eye_degrees(rows[start - 1 : start])[0] if start else wanted[0]
    look = eye + head[max(start - 1, 0)]
    budget, out, tired = Budget(rows[:start], calm=calm), _frames_out(rows[:start]), False
    target: F64 | None = None
    for i in range(start, len(rows)):
        far = float(np.hypot(*wanted[i - start])) > NEARLY_FAR
        tired = far and (tired or out >= limits.FAR_FRAMES - FPS)
        # Where it goes in the next frame, so that a saccade is not caught half way.
        ahead = _aim(wanted[min(i - start + 1, len(wanted) - 1)], tired) + head[i]
        way = _aim(wanted[i - start], tired) + head[i] - look
        apart = float(np.hypot(*way))
        if target is None and not tired and i >= end and apart <= JOIN_DEGREES:
            return i
        if target is None and apart > FIXATION_DEGREES and budget.free(i):
            target = ahead
            budget.leap(i)
        if target is not None:
            size = float(np.hypot(*(target - look)))
            look = look + (target - look) * min(1.0, LEAP_DEGREES / max(size, 1e-9))
            target, budget.since = (None if size <= LEAP_DEGREES else target), 0
        else:
            look = look + (DRIFT * way if apart <= FIXATION_DEGREES else 0.0)
            budget.since += 1
        eye = _within_orbit(look - head[i], eye)
        look = eye + head[i]
        out = out + 1 if np.hypot(*eye) > NEARLY_FAR else 0
        rows[i, GAZE_SLICE] = gaze_channels(*eye)
    return len(rows)


def _aim(eye: F64, tired: bool) -> F64:
    """Where the eyes go that were to be at ``eye``: nearer if they have been far out for long."""
    return eye * (HOME_DEGREES / max(float(np.hypot(*eye)), HOME_DEGREES)) if tired else eye


def _frames_out(before: F64) -> int:
    """For how long the eyes have been far out."""
    if not len(before):
        return 0
    recent = before[-limits.FAR_FRAMES :]
    near = np.flatnonzero(np.hypot(*eye_degrees(recent).T) <= NEARLY_FAR)
    return len(recent) - 1 - int(near[-1]) if len(near) else len(recent)


def _within_orbit(eye: F64, last: F64) -> F64:
    """``eye`` where eyes can be, and no farther from ``last`` than they can get in a frame."""
    step = eye - last
    eye = last + step * min(1.0, SHARE * limits.EYE_STEP / max(float(np.hypot(*step)), 1e-9))
    bounded: F64 = np.clip(eye, *ORBIT)
    return bounded
