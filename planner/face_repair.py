"""Mends brows, cheeks, lid tighteners and the head: the same way at a speed that can be."""

from __future__ import annotations

from typing import Final

import numpy as np

from core import CHANNEL, CHANNELS, FPS, POSE_SLICE
from planner import rules_face as limits
from planner.evidence import AU5, DOWN, F64, HEAD, LEAST, LIDS, MOST, PITCH, UNITS, YAW, eye_degrees
from planner.mending import SHARE, Job
from planner.row import gaze_channels

UNIT_RULES: Final = frozenset(
    {"unit-speed", "unit-twitch", "unit-shake", "lids", "opposed-units", "lid-follows-gaze"}
)
HEAD_RULES: Final = frozenset(
    {"pose-range", "head-speed", "head-acceleration", "head-shake", "eye-shake"}
)
FROZEN_RULES: Final = frozenset({"frozen"})

WIDE: Final = FPS
KERNELS: Final = (
    np.array([1, 2, 3, 2, 1]) / 9, np.ones(5) / 5, np.ones(9) / 9, np.ones(WIDE) / WIDE,
    np.ones(WIDE) / WIDE,
)  # fmt: skip
"""Applied one after the other, one more in each round. The first takes nine tenths of a shake of
12.5 Hz and half of one of 5 Hz; with all of them no step is left that counts as a shake."""
TREMBLE_DEGREES: Final = 0.15
TREMBLE_HZ: Final = (0.31, 0.23, 0.17)
"A head that was frozen drifts this much (free; a sitter's head is never stiller)."
RAMP_FRAMES: Final = 10
SAME: Final = 1e-6
"Two rows no farther apart are one."


def mend_units(job: Job) -> None:
    """Brows, cheeks and tighteners at the speed limit, opposed ones in proportion."""
    rows = job.rows
    for start, end in job.spans(UNIT_RULES):
        _part(rows[start:end])
    for channel in (*UNITS, AU5):
        x, name = rows[:, channel], CHANNELS[channel]
        for start, end in job.spans({"unit-twitch"}, name, before=1, after=1):
            _without_spikes(x, start, end)
            _calm(x, start, end, job.round - 1)
        for start, end in job.spans({"unit-shake"}, name, before=2, after=2):
            if channel == AU5:  # it shakes because lids or gaze do
                x[start:end] = minimum_filter(x, WIDE)[start:end]
            _calm(x, start, end, job.round)
            _limit_speed(x, start, end, SHARE * limits.UNIT_SHAKE)
    for start, end in job.spans(UNIT_RULES):
        _part(rows[start:end])
        for channel in (*UNITS, AU5):
            most = SHARE * limits.UNIT_STEP
            _limit_speed(rows[:, channel], start, end, most, free_fall=channel == AU5)


def _part(rows: F64) -> None:
    """Opposed units no farther on than they go together, in place."""
    for one, other, limit in limits.EXCLUSIONS:
        pair = [CHANNEL[one], CHANNEL[other]]
        excess = rows[:, pair].sum(axis=1) - limit
        rows[:, pair] -= 0.5 * np.maximum(excess, 0)[:, None]
    closed, down = rows[:, LIDS].max(axis=1), np.maximum(rows[:, DOWN], 0.5)
    most = np.minimum(limits.LIDS_APART - closed, limits.WIDE_LOOKING_DOWN / down)
    np.minimum(rows[:, AU5], most, out=rows[:, AU5])


def _limit_speed(x: F64, start: int, end: int, most: float, *, free_fall: bool = False) -> None:
    """Follow float64 ``[N]`` by no more than ``most`` a frame, until it is caught up with."""
    for i in range(max(start, 1), len(x)):
        step = x[i] - x[i - 1]
        if step > most + SAME:
            x[i] = x[i - 1] + most
        elif step < -most - SAME and not free_fall:
            x[i] = x[i - 1] - most
        elif i >= end:
            return


def _without_spikes(x: F64, start: int, end: int) -> None:
    """Medians of five frames where they differ by a twitch, float64 ``[N]`` in place."""
    padded = np.pad(x, 2, mode="edge")
    middle = np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
    x[start:end] = middle[start:end]


def _calm(x: F64, start: int, end: int, strength: int) -> None:
    """Take the shaking out of float64 ``[N]`` between ``start`` and ``end``, in place."""
    for kernel in KERNELS[: max(strength, -1) + 1]:
        half = len(kernel) // 2
        x[start:end] = np.convolve(np.pad(x, half, mode="edge"), kernel, "valid")[start:end]


def minimum_filter(x: F64, width: int) -> F64:
    """Least value within ``width`` frames of each, float64 ``[N]``."""
    padded = np.pad(x, width // 2, mode="edge")
    least: F64 = np.lib.stride_tricks.sliding_window_view(padded, width).min(axis=1)
    return least


# --- Head ------------------------------------------------------------------------------------


def mend_head(job: Job) -> None:
    """A head of bounded speed and acceleration that goes where it was sent."""
    for channel in HEAD:
        name, x, most = CHANNELS[channel], job.rows[:, channel], MOST[channel]
        for start, end in job.spans({"head-speed", "head-acceleration"}, name, before=1, after=1):
            _without_glitches(x, start, end)
        shaking = job.spans({"head-shake"}, name, before=2, after=2)
        if job.round > 1 and channel in (YAW, PITCH):  # eyes that hold still shake as the head does
            shaking += job.spans({"eye-shake"}, before=2, after=2)
        for start, end in shaking:
            _calm(x, start, end, job.round)
        for start, end in (*shaking, *job.spans(HEAD_RULES - {"eye-shake"}, name, before=2)):
            slow = any(start < b and a < end for a, b in shaking)
            step = limits.HEAD_SHAKE if slow else limits.HEAD_STEP
            _follow(x, start, end, most, SHARE * step)


def _without_glitches(x: F64, start: int, end: int) -> None:
    """A head that is away for a frame or two was not there: medians where they are far off."""
    kept = x[start:end].copy()
    _without_spikes(x, start, end)
    near = np.abs(x[start:end] - kept) < limits.HEAD_STEP
    x[start:end][near] = kept[near]


def _follow(x: F64, start: int, end: int, farthest: float, most: float) -> None:
    """Go after float64 ``[N]`` from ``start`` on within the limits, until it is caught up with."""
    jolt = 0.45 * most
    at = x[start - 1] if start else x[0]
    speed = min(max(at - x[start - 2], -most), most) if start > 1 else 0.0
    caught = 0
    for i in range(start, len(x)):
        way = x[i] - at
        # No faster than it can brake before it is there.
        wanted = np.sign(way) * min(abs(way), (jolt * abs(way)) ** 0.5)
        wanted = min(max(wanted, speed - jolt), speed + jolt)
        reached = min(max(at + min(max(wanted, -most), most), -farthest), farthest)
        speed, at = reached - at, reached
        caught = caught + 1 if abs(x[i] - reached) < SAME else 0
        if i >= end and caught > 1:
            return
        x[i] = reached


def mend_frozen(job: Job) -> None:
    """A still head drifts a little, beginning from where it is; the eyes hold their target."""
    for start, end in job.spans(FROZEN_RULES):
        drift = tremble(end - start)
        if end < len(job.rows):
            drift *= np.minimum((end - start - np.arange(end - start)) / RAMP_FRAMES, 1)[:, None]
        pose = job.rows[start:end, POSE_SLICE]
        moved = np.clip(pose + drift, LEAST[POSE_SLICE], MOST[POSE_SLICE]) - pose
        pose += moved
        pitch, yaw = moved[:, PITCH - POSE_SLICE.start], moved[:, YAW - POSE_SLICE.start]
        eyes = eye_degrees(job.rows[start:end]) - np.stack([yaw, pitch], axis=1)
        for i, eye in enumerate(eyes):
            job.rows[start + i, DOWN - 3 : DOWN + 1] = gaze_channels(*eye)
        np.clip(job.rows[start:end, : LIDS[0]], 0, 1, out=job.rows[start:end, : LIDS[0]])


def tremble(frames: int) -> F64:
    """How a head drifts that is held still: float64 ``[T, 3]``, degrees, from 0 on."""
    t = np.arange(frames)[:, None] / FPS
    drift: F64 = TREMBLE_DEGREES * np.sin(2 * np.pi * t * np.array(TREMBLE_HZ))
    return drift
