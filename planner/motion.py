"""Smooth motion: minimum-jerk glides, pulses, and noise that never repeats.

Everything is a curve in continuous time (seconds since the session began) that frames only
sample, so how many frames are asked for at once never changes what they show.

Every frame of every session goes through here. What can be is computed for many frames at once;
what is left has a few channels only, for which plain numbers are faster than arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from core import FPS
from planner.shared import Forked, Shared

F64: TypeAlias = npt.NDArray[np.float64]
Row: TypeAlias = list[float]
"One value a channel, as plain numbers."

BRAKE_SECONDS: Final = 0.24
"""How long what is left of an interrupted motion takes to die out. Short, so that a slow new
motion does not first coast far in the old direction."""
AHEAD_FRAMES: Final = 16
"Frames of a glide that are computed at once (free)."
_NOTHING: Final[F64] = np.zeros((0, 0))
_NOTHING.setflags(write=False)


def minimum_jerk(s: float) -> float:
    """The minimum-jerk step: 0 for s <= 0, 1 for s >= 1, zero slope and curvature at both ends.

    Source: Flash & Hogan 1985, J Neurosci 5(7), eq. 3; facial and head movements are about as
    bell-shaped in velocity as reaches are.
    """
    if s <= 0:
        return 0.0
    if s >= 1:
        return 1.0
    return s * s * s * (10 + s * (6 * s - 15))


class Glide(Forked):
    """Channels that each move to their own target; new targets may come at any time.

    A new motion is the sum of a rest-to-rest minimum-jerk step from where the channel is and of
    a short remainder that carries its present velocity and acceleration to zero. The sum is
    continuous up to acceleration whatever the moment.

    Source: superposition of the old and the new motion, Flash & Henis 1991, J Cogn Neurosci 3(3).
    """

    def __init__(self, channels: int) -> None:
        self.target: F64 = np.zeros(channels)
        self._from: F64 = np.zeros(channels)
        self._start: F64 = np.zeros(channels)
        self._seconds: F64 = np.ones(channels)
        self._velocity: F64 = np.zeros(channels)
        self._acceleration: F64 = np.zeros(channels)
        self._brake: F64 = np.ones(channels)
        self._end = -np.inf
        self._ahead = _NOTHING
        "Some frames of the present motions, from `_first` on."
        self._first = 0

    def retarget(
        self, channels: Sequence[int], targets: Sequence[float], at: float, seconds: float
    ) -> None:
        """Move ``channels`` to ``targets`` within ``seconds`` (> 0), beginning at ``at``.

        Motions already under way in these channels are taken over at ``at``, which must not lie
        before the last time asked for.
        """
        if not channels:
            return
        index = list(channels)
        position, velocity, acceleration = self._state(at)
        self._from[index] = position[index]
        self._velocity[index] = velocity[index]
        self._acceleration[index] = acceleration[index]
        self._start[index] = at
        self._seconds[index] = seconds
        self._brake[index] = min(seconds, BRAKE_SECONDS)
        self.target[index] = targets
        self._end = max(self._end, at + seconds)
        self._ahead = _NOTHING

    def value(self, t: float) -> F64:
        """Where every channel is at ``t`` seconds; the caller may change the array."""
        if t >= self._end:
            return self.target.copy()
        frame = round(t * FPS)
        if frame / FPS != t:
            return self._moved(np.array([[t]])).ravel()
        if not 0 <= frame - self._first < len(self._ahead):
            frames = np.arange(frame, frame + AHEAD_FRAMES)
            self._first, self._ahead = frame, self._moved(frames[:, None] / FPS)
            self._ahead.setflags(write=False)
        now: F64 = self._ahead[frame - self._first]
        return now.copy()

    def _moved(self, t: F64) -> F64:
        """Where every channel is at the times ``t``, float64 ``[N, 1]`` to ``[N, channels]``."""
        elapsed = np.maximum(t - self._start, 0)
        s = np.minimum(elapsed / self._seconds, 1)
        step = s * s * s * (10 + s * (6 * s - 15))
        b = np.minimum(elapsed / self._brake, 1)
        rest = 1 - b  # the remainder and its first two derivatives vanish at b = 1
        speed = self._velocity * self._brake
        curve = self._acceleration * self._brake * self._brake
        remainder = rest * rest * rest * b * (speed * (1 + 3 * b) + curve * 0.5 * b)
        moved: F64 = self._from + (self.target - self._from) * step + remainder
        return moved

    def _state(self, t: float) -> tuple[F64, F64, F64]:
        """Position, velocity and acceleration at ``t``."""
        elapsed = np.maximum(t - self._start, 0)
        s = np.minimum(elapsed / self._seconds, 1)
        way = self.target - self._from
        velocity = way * (30 * s * s * (1 - s) * (1 - s)) / self._seconds
        acceleration = way * (60 * s * (1 - s) * (1 - 2 * s)) / self._seconds**2
        b = np.minimum(elapsed / self._brake, 1)
        speed = self._velocity * self._brake
        curve = self._acceleration * self._brake**2
        # remainder = speed (b - 6b^3 + 8b^4 - 3b^5) + curve/2 (b^2 - 3b^3 + 3b^4 - b^5)
        velocity = (
            velocity
            + (
                speed * (1 + b * b * (-18 + b * (32 - 15 * b)))
                + curve * 0.5 * b * (2 + b * (-9 + b * (12 - 5 * b)))
            )
            / self._brake
        )
        acceleration = (
            acceleration
            + (
                speed * b * (-36 + b * (96 - 60 * b))
                + curve * 0.5 * (2 + b * (-18 + b * (36 - 20 * b)))
            )
            / self._brake**2
        )
        return self.value(t), velocity, acceleration


@dataclass(frozen=True, slots=True)
class Pulse(Shared):
    """A rise, an optional hold and a fall, added to some channels."""

    start: float
    rise: float
    hold: float
    fall: float
    amounts: tuple[tuple[int, float], ...]
    "(channel, height) pairs."
    kind: str = ""
    "What to call it in an announcement."

    @property
    def peak(self) -> float:
        """When the top is first reached, seconds."""
        return self.start + self.rise

    @property
    def end(self) -> float:
        """When it is over, seconds."""
        return self.start + self.rise + self.hold + self.fall

    def envelope(self, t: float) -> float:
        """Its shape in [0, 1] at ``t`` seconds."""
        since = t - self.start
        if since <= self.rise:
            return minimum_jerk(since / self.rise)
        return 1 - minimum_jerk((since - self.rise - self.hold) / self.fall)


class Pulses(Forked):
    """The pulses under way or still to come."""

    def __init__(self) -> None:
        self._pulses: list[Pulse] = []

    def add(self, pulse: Pulse) -> None:
        """Play ``pulse`` when its time comes."""
        self._pulses.append(pulse)

    def withdraw(self, after: float) -> list[Pulse]:
        """Forget, and return, the pulses that begin later than ``after``."""
        gone = [p for p in self._pulses if p.start > after]
        self._pulses = [p for p in self._pulses if p.start <= after]
        return gone

    def add_to(self, values: F64 | Row, t: float) -> None:
        """Add what they are worth at ``t`` to ``values``, in place."""
        over = False
        for pulse in self._pulses:
            if t <= pulse.start:
                continue
            if t >= pulse.end:
                over = True
                continue
            height = pulse.envelope(t)
            for channel, amount in pulse.amounts:
                values[channel] += amount * height
        if over:
            self._pulses = [p for p in self._pulses if p.end > t]


class Wander(Forked):
    """Band-limited noise, one value a frame and channel, of unit standard deviation.

    White noise through three equal one-pole low-pass filters: smooth (continuous in velocity),
    stationary, and never the same twice.
    """

    def __init__(self, rng: np.random.Generator, corners: Sequence[float], rate: float) -> None:
        """Args:
        corners: Corner frequency of each channel, Hz.
        rate: Frames a second.
        """
        self._rng = rng
        pole = np.exp(-2 * np.pi * np.asarray(corners) / rate)
        self._pole: Row = pole.tolist()
        # Variance of white noise after three poles r: (1-r)^6 (1 + 4r^2 + r^4) / (1 - r^2)^5.
        variance = (1 - pole) ** 6 * (1 + 4 * pole**2 + pole**4) / (1 - pole**2) ** 5
        self._gain: Row = (1 / np.sqrt(variance)).tolist()
        self._one, self._two, self._three = ([0.0] * len(pole) for _ in range(3))
        "What the poles hold."
        self._noise: F64 = np.zeros((0, len(pole)))
        self._next = 0
        for _ in range(int(2 * rate / min(corners))):  # begin in the middle of it, not at rest
            self.step()

    def step(self) -> Row:
        """The next value of every channel."""
        if self._next == len(self._noise):
            self._noise = self._rng.standard_normal((128, len(self._pole)))
            self._noise.setflags(write=False)
            self._next = 0
        values: Row = self._noise[self._next].tolist()
        self._next += 1
        one, two, three = self._one, self._two, self._three
        for i, pole in enumerate(self._pole):
            x = values[i]
            one[i] = x = x + pole * (one[i] - x)
            two[i] = x = x + pole * (two[i] - x)
            three[i] = x = x + pole * (three[i] - x)
            values[i] = x * self._gain[i]
        return values
