"""Beats of speech: small strokes of the head, sometimes with the brows, on stressed syllables.

Stress is heard only when it sounds, long after the chunk it falls in was planned. So beats are
laid over the planned rows, and the eyes take off again what the head adds (vestibulo-ocular
reflex), as they do for planned motion.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from core import AU_SLICE, CHANNEL, FPS, GAZE_SLICE
from planner import physiology as ph
from planner.action import Action
from planner.motion import F64, Pulse, Pulses
from planner.row import PITCH, ROLL, YAW, bound, gaze_channels, gaze_degrees

REACH: Final = 4
"Most beats under way at once; more would add up to a jerk."
BROWS: Final = (("AU1_L", 0.8), ("AU1_R", 0.75), ("AU2_L", 1.0), ("AU2_R", 0.95))


def beat(rng: np.random.Generator, t: float, strength: float) -> Pulse:
    """A beat of the head at ``t`` seconds, sometimes with the brows. ``strength`` in [0, 1]."""
    rise, fall = (float(x) for x in rng.uniform(*ph.ACCENT_SECONDS, 2))
    size = ph.ACCENT_DEGREES * strength * float(rng.uniform(0.6, 1.25))
    amounts = [(PITCH, size if rng.random() < 0.75 else -0.7 * size)]
    amounts.append((YAW, size * float(rng.normal(0, 0.35))))
    amounts.append((ROLL, size * float(rng.normal(0, 0.25))))
    if rng.random() < 0.2 + 0.35 * strength:
        brow = ph.ACCENT_BROW * strength * float(rng.uniform(0.6, 1.3))
        amounts += [(CHANNEL[name], brow * share) for name, share in BROWS]
    fall *= 1.6  # heads fall back slower than they strike
    return Pulse(t, max(rise, ph.AU_RISE_SECONDS), 0.02, fall + 0.08, tuple(amounts), "accent")


def as_action(pulse: Pulse, why: str) -> Action:
    """What to tell about a beat."""
    size, brows = abs(pulse.amounts[0][1]), len(pulse.amounts) > 3
    start, peak = math.ceil(pulse.start * FPS), round(pulse.peak * FPS)
    end = math.ceil(pulse.end * FPS)
    why += " with the brows" if brows else ""
    return Action("accent", start, max(start, peak), end, round(size, 2), why)


class Beats:
    """The beats that are laid over planned rows."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(np.random.SeedSequence((seed % (1 << 64), 7)))
        self._pulses = Pulses()
        self._until: list[float] = []

    def strike(self, t: float, strength: float) -> Action | None:
        """A stressed syllable begins at ``t`` seconds; None when too much is going on.

        Args:
            strength: In [0, 1]; what is outside is clipped, NaN is no beat.
        """
        self._until = [end for end in self._until if end > t]
        if math.isnan(strength) or len(self._until) >= REACH:
            return None
        pulse = beat(self._rng, t, min(max(strength, 0.0), 1.0))
        self._until.append(pulse.end)
        self._pulses.add(pulse)
        return as_action(pulse, "a beat of speech")

    def add_to(self, row: F64, t: float) -> None:
        """Lay the beats of ``t`` seconds over ``row`` (float64 ``[26]``), in place."""
        if not self._until or t >= max(self._until):
            return
        brows, yaw, pitch = row[AU_SLICE].copy(), row[YAW], row[PITCH]
        self._pulses.add_to(row, t)
        # A brow that is nearly up has no room for a beat, and one that is at rest has all of it.
        row[AU_SLICE] = brows + (row[AU_SLICE] - brows) * (1 - brows)
        bound(row)
        sideways, down = gaze_degrees(*row[GAZE_SLICE])
        sideways -= ph.VOR_GAIN * (row[YAW] - yaw)
        down -= ph.VOR_GAIN * (row[PITCH] - pitch)
        row[GAZE_SLICE] = gaze_channels(sideways, down)
        bound(row)
