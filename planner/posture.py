"""The posture of brows, lids, mouth and head: what is felt, under what is held on request."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from core import AU_SLICE, FPS, MOUTH_CHANNELS
from planner.motion import F64, Glide, Wander
from planner.row import MOUTH_START, WIDTH, index
from planner.stages import Rhythm

NOISE_HZ: Final = (0.30, 0.24, 0.20)
"Corner frequencies of the variation of brows, lids and cheeks, mouth (free)."
NOISE_GAIN: Final = 0.25
"Standard deviation of a half activated channel is a quarter of this (free)."
_GROUP: Final = np.array([0] * 5 + [1] * 5 + [0] * 7 + [2] * len(MOUTH_CHANNELS))
_NOISY: Final = np.zeros(WIDTH)
_NOISY[AU_SLICE] = _NOISY[MOUTH_START:] = NOISE_GAIN


class Posture:
    """Glides to the felt or held value of each channel; no muscle holds quite still."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._glide = Glide(WIDTH)
        self._felt: F64 = np.zeros(WIDTH)
        self._held: dict[int, float] = {}
        self._noise = Wander(rng, NOISE_HZ, FPS)
        self._swing = Glide(WIDTH)
        self._hertz = 0.0
        self._phase = 0.0

    def feel(self, targets: F64, t: float, seconds: float) -> None:
        """Go to ``targets`` (float64 ``[26]``) where nothing is held, within ``seconds``."""
        self._felt = targets
        self._aim((c for c in range(WIDTH) if c not in self._held), t, seconds)

    def swing(self, rhythm: Rhythm | None, t: float, seconds: float) -> None:
        """Take up a rhythm, or let it die out, within ``seconds``."""
        amounts = np.zeros(WIDTH)
        if rhythm is not None:
            self._hertz = rhythm.hertz
            for name, amount in rhythm.amounts.items():
                amounts[index(name)] = amount
        if rhythm is not None or self._swing.target.any():
            self._swing.retarget(range(WIDTH), amounts.tolist(), t, seconds)

    def hold(self, controls: Mapping[str, float], t: float, seconds: float) -> None:
        """Go to ``controls`` and keep them, whatever is felt, until they are released."""
        for name, value in controls.items():
            self._held[index(name)] = value
        self._aim((index(name) for name in controls), t, seconds)

    def release(self, names: Iterable[str], t: float, seconds: float) -> None:
        """Give channels back to what is felt."""
        channels = [index(name) for name in names]
        for channel in channels:
            self._held.pop(channel, None)
        self._aim(channels, t, seconds)

    def release_all_but(self, names: Iterable[str], t: float, seconds: float) -> None:
        """Give back every held channel that is not named."""
        kept = {index(name) for name in names}
        channels = [c for c in self._held if c not in kept]
        for channel in channels:
            del self._held[channel]
        self._aim(channels, t, seconds)

    def row(self, t: float) -> F64:
        """This frame's posture, float64 ``[26]``. Call once a frame, in order."""
        row = self._glide.value(t)
        wave = self._noise.step()[_GROUP] * _NOISY
        row += wave * row * (1 - row)  # stays within [0, 1], and is nothing at either end
        if self._hertz:
            self._phase += self._hertz / FPS
            row += self._swing.value(t) * math.sin(2 * math.pi * self._phase)
        return row

    def _aim(self, channels: Iterable[int], t: float, seconds: float) -> None:
        """Send channels to what is held, or else to what is felt."""
        wanted = {c: self._held.get(c, float(self._felt[c])) for c in channels}
        moved = {c: v for c, v in wanted.items() if abs(v - self._glide.target[c]) > 1e-9}
        self._glide.retarget(list(moved), list(moved.values()), t, seconds)
