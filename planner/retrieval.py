"""Trimming, rescaling and stitching of recorded motion so that its dynamics stay as they were.

Pure functions of float arrays ``[T, C]`` at 25 frames a second. None of them filters: a piece is
cut, scaled by one number a channel, or shifted by an offset that dies out after a seam.

Source: the steps of CogPortrait section 3.3; jumps between alike frames as in Schödl et al. 2000
("Video textures", SIGGRAPH); offsets that die out instead of a cross-fade as in Bollo 2018
("Inertialization", GDC): an average of two takes would lose what they do not share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np

from core import F32
from planner import physiology as ph

SEAM_FRAMES: Final = 8
"How long the offset after a seam takes to die out."
JUMP_FRAMES: Final = 16
"The same after a jump within one recording: nothing new begins there, so it may take longer."
SHORTEST_REST: Final = 12
"Frames that must follow a jump before the next one, where the recording has as many."
LATE: Final = 0.6
"Share of a recording that plays before it may jump, and lies ahead after a jump."
VELOCITY_WEIGHT: Final = 3.0
"Units a frame against units when two moments are compared (free)."
CHOICE: Final = 0.15
"Share of the best spans one is drawn from, so that the same prototype is not cut alike each time."
MOST_GAIN: Final = 2.5
"Beyond this, what is magnified is the tracker's noise (free)."
LEAST_SPREAD: Final = 0.02
"A channel that moves less than this is held, not magnified."

COMPARABLE: Final[F32] = np.array([1.0] * 14 + [1 / limit for limit in ph.POSE_LIMITS], np.float32)
"What makes degrees of pose comparable to channels in [0, 1]: the reach of each axis."
COMPARABLE.setflags(write=False)


Jumps: TypeAlias = tuple[tuple[int, int], ...]
"(from, to) frames that look and move alike."


def trim(values: F32, frames: int, rng: np.random.Generator, known: Jumps | None = None) -> F32:
    """``frames`` frames of ``values``: the span whose ends meet best, or nearly best.

    Asked for more than there is, it plays on from an earlier moment that looks and moves like
    the one just reached.

    Args:
        values: float32 ``[T, 17]`` with T >= 2.
        frames: At least 1.
        rng: Draws among the best spans.
        known: `jumps` of ``values``, where they have been looked for before.
    """
    if len(values) > frames:
        start = _best_start(values, frames, rng)
        return values[start : start + frames].copy()
    alike = jumps(values) if known is None else known
    pieces, have = [values], len(values)
    while have < frames:
        end, start = alike[int(rng.integers(len(alike)))]
        pieces[-1] = pieces[-1][: len(pieces[-1]) - (len(values) - 1 - end)]
        pieces.append(values[start + 1 :])
        have = sum(len(piece) for piece in pieces)
    return stitch(pieces, JUMP_FRAMES)[:frames]


def rescale(values: F32, low: F32, high: F32) -> F32:
    """``values`` with the bulk of each channel (5th to 95th percentile) moved into a range.

    One gain and one offset a channel: velocities scale with the amplitude and nothing else
    changes. Gains above 2.5 are refused; the motion is then centred in its range.

    Args:
        values: float32 ``[T, C]``.
        low: float32 ``[C]``.
        high: float32 ``[C]``, not below ``low``.
    """
    bottom, top = np.percentile(values, (5, 95), axis=0).astype(np.float32)
    spread = top - bottom
    wanted = np.maximum(high - low, 0)
    gain = np.minimum(wanted / np.maximum(spread, LEAST_SPREAD), MOST_GAIN)
    moved: F32 = (values - (bottom + top) / 2) * gain + (low + high) / 2
    return moved.astype(np.float32)


def stitch(pieces: Sequence[F32], seam: int = SEAM_FRAMES) -> F32:
    """The pieces one after the other, continuous in position and velocity at every seam.

    Each piece is shifted so that it goes on where the one before stopped, as fast as it was
    moving; the shift dies out within ``seam`` frames and the rest is left untouched.

    Args:
        pieces: float32 ``[Ti, C]``, at least one.
        seam: Frames the shift takes to die out.

    Returns:
        float32 ``[sum Ti, C]``.
    """
    done = [pieces[0]]
    for piece in pieces[1:]:
        before = done[-1]
        if not len(piece):
            continue
        if len(before) < 2 or len(piece) < 2:
            done.append(piece)
            continue
        speed = before[-1] - before[-2]
        gap = before[-1] + speed - piece[0]
        drift = speed - (piece[1] - piece[0])
        done.append(piece + _dying(gap, drift, min(seam, len(piece)), len(piece)))
    return np.concatenate(done).astype(np.float32)


def _dying(gap: F32, drift: F32, seam: int, frames: int) -> F32:
    """An offset of this value and velocity at frame 0 that has died out at ``seam``."""
    s = np.minimum(np.arange(frames, dtype=np.float32) / seam, 1)[:, None]
    rest = (1 - s) ** 3
    offset: F32 = rest * ((1 + 3 * s + 6 * s * s) * gap + seam * s * (1 + 3 * s) * drift)
    return offset


def _best_start(values: F32, frames: int, rng: np.random.Generator) -> int:
    weighted = values * COMPARABLE[: values.shape[1]]
    speed = np.gradient(weighted, axis=0) * VELOCITY_WEIGHT
    starts = np.arange(len(values) - frames + 1)
    ends = starts + frames - 1
    cost = np.abs(weighted[starts] - weighted[ends]).sum(axis=1)
    cost += np.abs(speed[starts] - speed[ends]).sum(axis=1)
    best = np.argsort(cost, kind="stable")[: max(1, round(CHOICE * len(starts)))]
    return int(starts[best[int(rng.integers(len(best)))]])


def jumps(values: F32) -> Jumps:
    """The best few pairs of alike frames of float32 ``[T, C]``, from late to early."""
    count = len(values)
    rest = min(SHORTEST_REST, max(1, count // 2))
    weighted = values * COMPARABLE[: values.shape[1]]
    speed = np.gradient(weighted, axis=0) * VELOCITY_WEIGHT
    late = np.arange(max(rest, round(LATE * count)), count)
    early = np.arange(0, max(1, min(round((1 - LATE) * count), count - rest)))
    cost = np.abs(weighted[late, None] - weighted[None, early]).sum(axis=2)
    cost += np.abs(speed[late, None] - speed[None, early]).sum(axis=2)
    cost[late[:, None] - early[None] < rest // 2] = np.inf
    flat = np.argsort(cost, axis=None, kind="stable")[:3]
    found = [divmod(int(i), len(early)) for i in flat if np.isfinite(cost.flat[i])]
    return tuple((int(late[a]), int(early[b])) for a, b in found) or ((count - 1, 0),)


def trend(frames: int, longest: float, fps: float) -> F32:
    """Orthonormal cosines ``[frames, K]`` slower than ``longest`` seconds a period, the mean among
    them: what is projected off to keep only the faster motion."""
    count = 1 + int(2 * frames / (fps * longest))
    k = np.arange(count)
    basis = np.cos(np.pi * k * (np.arange(frames)[:, None] + 0.5) / frames)
    unit: F32 = (basis / np.linalg.norm(basis, axis=0)).astype(np.float32)
    return unit
