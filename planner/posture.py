"""The posture of brows, lids, mouth and head: what is felt, under what is held on request."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from core import AU_SLICE, CHANNELS, F32, FPS, MOUTH_CHANNELS
from planner.motion import F64, Glide, Wander, minimum_jerk
from planner.row import MOUTH_START, WIDTH, index
from planner.shared import Forked, Shared
from planner.stages import Rhythm

NOISE_HZ: Final = (0.30, 0.24, 0.20)
"Corner frequencies of the variation of brows, lids and cheeks, mouth (free)."
NOISE_GAIN: Final = 0.25
"Standard deviation of a half activated channel is a quarter of this (free)."
_GROUP: Final = np.array([0] * 5 + [1] * 5 + [0] * 7 + [2] * len(MOUTH_CHANNELS))
_NOISY: Final = np.zeros(WIDTH)
_NOISY[AU_SLICE] = _NOISY[MOUTH_START:] = NOISE_GAIN


FADE_OUT_SECONDS: Final = 0.6
"How long a recorded texture takes to give way to the next."
UNDER_TEXTURE: Final = 0.4
"Made-up variation that is left where recorded variation is worn."
HELD_SHARE: Final = 0.5
"What is held on request trembles half as much."


@dataclass(frozen=True, slots=True)
class Texture(Shared):
    """Recorded motion around a posture."""

    rows: F32
    "float32 ``[T, 17]``, zero-mean, at 25 fps."
    start: float
    rise: float

    def at(self, t: float, until: float) -> F32 | None:
        """What it adds at ``t`` seconds when it has been giving way since ``until``."""
        i = round((t - self.start) * FPS)
        share = minimum_jerk((t - self.start) / self.rise)
        share *= 1 - minimum_jerk((t - until) / FADE_OUT_SECONDS)
        if share == 0 or not 0 <= i < len(self.rows):
            return None
        faded: F32 = self.rows[i] * np.float32(share)
        return faded


class Posture(Forked):
    """Glides to the felt or held value of each channel; no muscle holds quite still."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._glide = Glide(WIDTH)
        self._felt: F64 = np.zeros(WIDTH)
        self._held: dict[int, float] = {}
        self._noise = Wander(rng, NOISE_HZ, FPS)
        self._swing = Glide(WIDTH)
        self._hertz = 0.0
        self._phase = 0.0
        self._texture: Texture | None = None
        self._fading: list[tuple[Texture, float]] = []

    def wear(self, rows: F32 | None, t: float, seconds: float) -> None:
        """Move as ``rows`` (float32 ``[T, 17]``) do around the posture, from ``t`` seconds on.

        The rows must reach `FADE_OUT_SECONDS` beyond the next call.
        """
        if self._texture is not None:
            self._fading = [*self._fading[-2:], (self._texture, t)]
        self._texture = None if rows is None else Texture(rows, t, max(seconds, 0.2))

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
        wave = np.array(self._noise.step())[_GROUP] * _NOISY
        if self._texture is not None:
            wave[AU_SLICE] *= UNDER_TEXTURE
        row += wave * row * (1 - row)  # stays within [0, 1], and is nothing at either end
        self._add_texture(row, t)
        if self._hertz:
            self._phase += self._hertz / FPS
            row += self._swing.value(t) * math.sin(2 * math.pi * self._phase)
        return row

    def _add_texture(self, row: F64, t: float) -> None:
        if self._fading and t >= self._fading[0][1] + FADE_OUT_SECONDS:
            self._fading = self._fading[1:]
        worn = [] if self._texture is None else [(self._texture, t)]
        for texture, until in (*self._fading, *worn):
            added = texture.at(t, until)
            if added is not None:
                for channel in self._held:
                    if channel < len(CHANNELS):
                        added[channel] *= HELD_SHARE
                row[: len(CHANNELS)] += added

    def _aim(self, channels: Iterable[int], t: float, seconds: float) -> None:
        """Send channels to what is held, or else to what is felt."""
        wanted = {c: self._held.get(c, float(self._felt[c])) for c in channels}
        moved = {c: v for c, v in wanted.items() if abs(v - self._glide.target[c]) > 1e-9}
        self._glide.retarget(list(moved), list(moved.values()), t, seconds)
