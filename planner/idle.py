"""What a living head never stops doing: drift, breath, resettling, nods, and beats of speech."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from core import FPS
from planner import physiology as ph
from planner.action import Action
from planner.beats import as_action as told
from planner.beats import beat
from planner.motion import Glide, Pulse, Pulses, Row, Wander
from planner.row import PITCH, ROLL, YAW
from planner.shared import Forked, Shared

AHEAD_SECONDS: Final = 2.0
"How far ahead nods and beats are decided and announced."

DRIFT_HZ: Final = (0.07, 0.06, 0.05, 0.35, 0.3, 0.25)
"Corner frequencies: slow pitch, yaw, roll, then the finer tremble of each (free)."
DRIFT_DEGREES: Final = (0.55, 0.75, 0.5, 0.16, 0.2, 0.12)
"""Standard deviations of the same. Together a still sitter's head moves by about a degree
(free; nobody holds a head still to better than tenths of a degree)."""
SHIFT_DEGREES: Final = (0.9, 1.3, 0.9)
"Standard deviation of where a resettled head comes to rest: pitch, yaw, roll (free)."


@dataclass(frozen=True, slots=True)
class HeadManner(Shared):
    """How lively the head is for a while."""

    drift: float = 1.0
    "Scale of drift and resettling."
    nods: float = 0.0
    "Nods of agreement a minute."
    accents: float = 0.0
    "Beats a minute, on stressed words."


class Idle(Forked):
    """Head motion and small brow raises that nobody asked for."""

    def __init__(self, rng: np.random.Generator, manner: HeadManner) -> None:
        self._rng = rng
        self._manner = manner
        self._wander = Wander(rng, DRIFT_HZ, FPS)
        self._scale = Glide(1)
        self._scale.retarget((0,), (manner.drift,), -1.0, 1e-3)
        self._rest = Glide(3)
        self._rest_at = float(rng.uniform(1.0, 6.0))
        self._breath = float(rng.random())
        self._breath_rate = float(rng.uniform(*ph.BREATHS_PER_SECOND))
        self._pulses = Pulses()
        self._nod_at = self._draw(manner.nods, 0.0)
        self._accent_at = self._draw(manner.accents, 0.0)
        self._busy_until = 0.0
        self._news: list[Action] = []

    def set_manner(self, manner: HeadManner, t: float) -> None:
        """Move like ``manner`` from ``t`` seconds on."""
        if manner == self._manner:
            return
        if manner.accents < self._manner.accents or manner.nods < self._manner.nods:
            for pulse in self._pulses.withdraw(t + 1 / FPS):
                self._news.append(_action(pulse, 0.0, "withdrawn"))
            self._busy_until = t
        self._manner = manner
        self._scale.retarget((0,), (manner.drift,), t, 1.2)
        self._nod_at = self._draw(manner.nods, max(t, self._busy_until))
        self._accent_at = self._draw(manner.accents, max(t, self._busy_until))

    def accent(self, t: float, strength: float, why: str = "a beat of speech") -> None:
        """A small beat of the head at ``t``, sometimes with the brows. ``strength`` in [0, 1]."""
        pulse = beat(self._rng, t, strength)
        self._pulses.add(pulse)
        self._news.append(told(pulse, why))

    def nod(self, t: float, times: int, degrees: float, why: str) -> float:
        """``times`` nods from ``t`` on, each a little smaller; returns when they are over."""
        rng = self._rng
        for i in range(times):
            cycle = float(rng.uniform(*ph.NOD_CYCLE_SECONDS)) * (1 + 0.02 * degrees)
            size = degrees * 0.78**i
            pulse = Pulse(t, 0.45 * cycle, 0.0, 0.55 * cycle, ((PITCH, size),), "nod")
            self._pulses.add(pulse)
            self._news.append(_action(pulse, size, why))
            t += 0.92 * cycle
        self._busy_until = max(self._busy_until, t)
        return t

    def shake(self, t: float, times: int, degrees: float, why: str) -> float:
        """``times`` shakes of the head from ``t`` on; returns when they are over."""
        side = 1.0 if self._rng.random() < 0.5 else -1.0
        for i in range(2 * times):
            cycle = float(self._rng.uniform(0.38, 0.5)) * (1 + 0.015 * degrees)
            size = degrees * (0.6 if i in (0, 2 * times - 1) else 0.9) * side
            pulse = Pulse(t, 0.5 * cycle, 0.0, 0.5 * cycle, ((YAW, size),), "shake")
            self._pulses.add(pulse)
            if i % 2 == 0:
                self._news.append(_action(pulse, size, why))
            side = -side
            t += 0.62 * cycle
        self._busy_until = max(self._busy_until, t)
        return t

    def step(self, t: float, values: Row) -> None:
        """Add this frame's motion to ``values`` (26 of them), in place."""
        self._plan(t)
        noise = [n * degrees for n, degrees in zip(self._wander.step(), DRIFT_DEGREES, strict=True)]
        scale = float(self._scale.value(t)[0])
        rest: Row = self._rest.value(t).tolist()
        self._breath += self._breath_rate / FPS
        if self._breath >= 1:
            self._breath -= 1
            self._breath_rate = float(self._rng.uniform(*ph.BREATHS_PER_SECOND))
        # In a little faster than out: a sine leaning towards its beginning.
        phase = 2 * math.pi * self._breath
        breath = -ph.BREATH_PITCH_DEGREES * math.sin(phase + 0.35 * math.sin(phase))
        for i, channel in enumerate((PITCH, YAW, ROLL)):
            values[channel] += scale * (noise[i] + noise[i + 3]) + rest[i]
        values[PITCH] += breath
        self._pulses.add_to(values, t)

    def news(self) -> list[Action]:
        """What was decided (or withdrawn) since the last call."""
        told, self._news = self._news, []
        return told

    # --- inside ------------------------------------------------------------------------------

    def _plan(self, t: float) -> None:
        rng, manner = self._rng, self._manner
        if t >= self._rest_at:
            to = rng.normal(0, SHIFT_DEGREES) * min(manner.drift, 1.3)
            to = np.clip(to, -2.2 * np.asarray(SHIFT_DEGREES), 2.2 * np.asarray(SHIFT_DEGREES))
            way = float(np.abs(to - self._rest.target).max())
            self._rest.retarget((0, 1, 2), to.tolist(), t, 0.7 + 0.35 * way)
            self._rest_at = t + float(rng.uniform(*ph.POSTURE_SHIFT_SECONDS))
        if t + AHEAD_SECONDS >= self._nod_at:
            times = 1 + int(rng.random() < 0.55) + int(rng.random() < 0.25)
            size = float(rng.uniform(*ph.NOD_DEGREES)) * (0.9 if times > 1 else 0.75)
            end = self.nod(max(self._nod_at, self._busy_until), times, size, "follows along")
            self._nod_at = self._draw(manner.nods, end)
        if t + AHEAD_SECONDS >= self._accent_at:
            at = max(self._accent_at, self._busy_until)
            self.accent(at, float(rng.uniform(0.3, 1.0)))
            self._accent_at = self._draw(manner.accents, at + 0.25)

    def _draw(self, per_minute: float, t: float) -> float:
        """When the next of something that happens so often is due."""
        if per_minute <= 0:
            return math.inf
        mean = 60 / per_minute
        return t + 0.3 * mean + float(self._rng.gamma(2.0, 0.35 * mean))


def _action(pulse: Pulse, amount: float, why: str) -> Action:
    start, peak = math.ceil(pulse.start * FPS), round(pulse.peak * FPS)
    return Action(
        pulse.kind, start, max(start, peak), math.ceil(pulse.end * FPS), round(abs(amount), 2), why
    )
