"""Finds blinks in eye openness recordings and keeps the clean ones as closure curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from core import F32, FPS, InvalidInput
from planner.library import BlinkShapes
from planner.motion import F64
from planner.recordings import Eyes

RATE: Final = 100.0
"Samples a second of a curve."
TOP: Final = 20
"Sample of the top: 200 ms of room to close."
SAMPLES: Final = 76
ACTIVE: Final = 0.06
"Mean closure above which the lids are in a blink."
SHALLOWEST: Final = 0.25
"Closure that both lids must reach."
EDGE: Final = 0.1
"Share of the top that counts as begun, and as over."
NEARLY: Final = 0.95
"Share of the top that counts as being there."
CLOSING: Final = (0.040, 0.120)
"Seconds from `EDGE` to `NEARLY`: fastest and slowest kept (VanderWerf et al. 2003: about 90 ms)."
OPENING: Final = (0.080, 0.450)
"Seconds back (ibid.: two to three times as long, the last of which the tracker does not see)."
FASTER: Final = 1.15
"Opening over closing, at least: slower blinks than that are squints or tracker slips."
REST: Final = 0.02
"Closure under which a lid is open, and over 1 less which it is shut."
SUDDEN: Final = 0.04
"Seconds from rest to shut, at least."
HELD: Final = 0.200
"Seconds at the top, at most: longer ones are closures, not blinks (Caffier et al. 2003)."
LONGEST: Final = 0.4
"""Seconds from `EDGE` to `EDGE`, at most: blinks last 0.1-0.4 s (Stern, Walrath & Goldstein 1984,
Psychophysiology 21(1))."""
BUMPS: Final = 0.12
"Travel against the direction of the motion, at most; what there is, is levelled."
APART: Final = 0.03
"Seconds between the tops of the two lids, at most."
UNLIKE: Final = 0.4
"Most by which the two lids, tops aligned, differ at any time: blinks are conjugate."
LONGEST_TAIL: Final = 0.15
"Seconds the completed end of a reopening may take."


def blink_shapes(recordings: Sequence[Eyes]) -> BlinkShapes:
    """The clean blinks of ``recordings``.

    Raises:
        InvalidInput: There is none.
    """
    persons = sorted({eyes.person for eyes in recordings})
    curves, depth, asymmetry, person = [], [], [], []
    for eyes in recordings:
        for closure in episodes(eyes):
            curve = clean_curve(closure)
            if curve is None:
                continue
            tops = closure.max(axis=0)
            curves.append(curve)
            depth.append(tops.max())
            asymmetry.append(tops[0] / tops[1])
            person.append(persons.index(eyes.person))
    if not curves:
        raise InvalidInput("No recording of eye openness holds a clean blink.")
    origin = recordings[0]
    shapes = np.array(curves, np.float32)
    shapes.setflags(write=False)
    return BlinkShapes(
        shapes, TOP, RATE, np.array(depth, np.float32), np.array(asymmetry, np.float32),
        np.array(person, np.int32), origin.source, origin.licence,
    )  # fmt: skip


def episodes(eyes: Eyes) -> list[F64]:
    """Every closing and reopening, float64 ``[N, 2]`` closures at 100 Hz, rest on either side."""
    # The tracker repeats about every third value: a held sample is no measurement.
    open_, time = eyes.openness, eyes.time
    held = np.r_[False, (np.diff(open_, axis=0) == 0).all(axis=1)]
    held &= ~(open_ >= 1).all(axis=1) & ~(open_ <= 0).all(axis=1)
    time, closed = time[~held], 1 - open_[~held]
    if len(time) < 10:
        return []
    grid = np.arange(int((time[-1] - time[0]) * RATE)) / RATE + time[0]
    both = np.stack([_soften(np.interp(grid, time, closed[:, i])) for i in (0, 1)], axis=1)
    active = (both.mean(axis=1) > ACTIVE).astype(int)
    edges = np.flatnonzero(np.diff(np.r_[0, active, 0]))
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [both[a - 3 : b + 3] for a, b in pairs if a >= 10 and b <= len(grid) - 10]


def clean_curve(closure: F64) -> F32 | None:
    """One episode as a curve, float32 ``[2, SAMPLES]``, or None when it is no clean blink."""
    tops = closure.max(axis=0)
    if tops.min() < SHALLOWEST:
        return None
    at = closure.argmax(axis=0)
    if abs(int(at[0]) - int(at[1])) > APART * RATE:
        return None
    out = np.zeros((2, SAMPLES), np.float32)
    for side in (0, 1):
        lid = _one_lid(closure[:, side] / tops[side])
        if lid is None:
            return None
        out[side] = lid
    return None if np.abs(out[0] - out[1]).max() > UNLIKE else out


def timing(curve: npt.NDArray[Any], rate: float) -> tuple[float, float, float] | None:
    """Seconds of closing, at the top, and of opening of one curve with a top of 1."""
    there = np.flatnonzero(curve > NEARLY)
    first, last = int(there[0]), int(there[-1])
    before = np.flatnonzero(curve[: first + 1] < EDGE)
    after = np.flatnonzero(curve[last:] < EDGE)
    if not len(before) or not len(after):
        return None
    return (first - before[-1]) / rate, (last - first) / rate, after[0] / rate


# --- inside ----------------------------------------------------------------------------------


def _soften(x: F64) -> F64:
    """Takes the corners off the steps of interpolation: a kernel of 30 ms."""
    padded = np.pad(x, 1, mode="edge")
    soft: F64 = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    return soft


def _one_lid(lid: F64) -> F64 | None:
    seconds = timing(lid, RATE)
    if seconds is None:
        return None
    closing, held, opening = seconds
    if not (CLOSING[0] <= closing <= CLOSING[1] and OPENING[0] <= opening <= OPENING[1]):
        return None
    if opening < FASTER * closing or held > HELD or sum(seconds) > LONGEST:
        return None
    there = np.flatnonzero(lid > NEARLY)
    first, last = int(there[0]), int(there[-1])
    begin = int(np.flatnonzero(lid[:first] < EDGE)[-1]) + 1
    end = last + int(np.flatnonzero(lid[last:] < EDGE)[0])
    down, up = np.diff(lid[begin : first + 1]), np.diff(lid[last:end])
    if np.maximum(-down, 0).sum() > BUMPS or np.maximum(up, 0).sum() > BUMPS:
        return None
    return _plausible(_place(lid, begin, end))


def _plausible(curve: F64 | None) -> F64 | None:
    """``curve``, unless what became of it is too sudden from rest, or opens as fast as it shuts."""
    if curve is None:
        return None
    moving = np.flatnonzero(curve > REST)
    top = np.flatnonzero(curve > 1 - REST)
    closing, opening = int(top[0]) - int(moving[0]), int(moving[-1]) - int(top[-1])
    if closing < SUDDEN * RATE or opening < FASTER * closing:
        return None
    # The same as the frames of a video will show it.
    every = round(RATE / FPS)
    steps = np.diff(curve[TOP % every :: every])
    shown = np.flatnonzero(curve[TOP % every :: every] >= EDGE)
    before, after = TOP // every - shown[0], shown[-1] - TOP // every
    return curve if steps.max() >= -steps.min() and before <= after else None


def _place(lid: F64, begin: int, end: int) -> F64 | None:
    """The curve between ``begin`` and ``end`` with its top at `TOP` and both ends completed.

    The tracker clips openness at 1 and with it the first and the last of a blink. The missing
    ends go on with the slope that is there: a parabola up, and a cubic that dies out.
    """
    core = lid[begin:end]
    rise = max(core[1] - core[0], 0.02)
    count = max(1, round(2 * core[0] / rise))
    head = core[0] * (np.arange(1, count) / count) ** 2
    fall = max(core[-2] - core[-1], 3 * core[-1] / (LONGEST_TAIL * RATE))
    length = max(2, round(3 * core[-1] / fall))
    tail = core[-1] * (1 - np.arange(1, length) / length) ** 3
    whole = np.concatenate([head, core, tail])
    at = int(whole.argmax())
    whole[: at + 1] = np.maximum.accumulate(whole[: at + 1])
    whole[at:] = np.minimum.accumulate(whole[at:])
    if at > TOP or len(whole) - at > SAMPLES - TOP:
        return None
    out = np.zeros(SAMPLES)
    out[TOP - at : TOP - at + len(whole)] = whole
    return out
