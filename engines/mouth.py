"""Sound → mouth: loudness and spectral colour moved through springs, causal, frame by frame.

This driver knows no phonemes. It hears how loud the voice is for this speaker, whether it is
voiced, hissing, murmuring or cut off, and where the formants lie, and makes the mouth that usually
goes with it. A trained network can stand in its place: it need only be a `Mouth`.
"""

from __future__ import annotations

from math import exp, log10
from typing import Final, Protocol

import numpy as np

from core import F32, MOUTH_CHANNELS, SAMPLES_PER_FRAME, MouthTrack
from engines.articulation import SILENT_DBFS, Articulator
from engines.resample import sanitise
from engines.spectral import HOP_SECONDS, SpectralAnalyser


class Mouth(Protocol):
    """What turns a session's sound into its mouth; one instance a session."""

    @property
    def lookahead(self) -> int:
        """Samples by which a track lags the sound pushed with it; 0 when they belong together."""
        ...

    @property
    def loudness(self) -> float:
        """RMS of the last push, dBFS, at least -120."""
        ...

    @property
    def speaking(self) -> bool:
        """Whether a voice was heard in the last push, or within a syllable's pause before."""
        ...

    def push(self, samples: F32) -> MouthTrack:
        """Sound, float32 ``[640 * n]`` at 16 kHz → the mouth of the same ``n`` video frames."""
        ...

    def reset(self) -> None:
        """Forget the past, as for a new session."""
        ...


class _Spring:
    """One channel as a critically damped spring: no overshoot, no jitter, exactly still at rest.

    The step is the closed-form solution over one hop, stable at any stiffness.
    """

    __slots__ = ("_attack", "_release", "_speed", "position")

    def __init__(self, attack: float, release: float) -> None:
        """Stiffness in rad/s opening and closing: a target is followed 2 / stiffness later."""
        self._attack = (attack, exp(-attack * HOP_SECONDS))
        self._release = (release, exp(-release * HOP_SECONDS))
        self._speed = 0.0
        self.position = 0.0

    def step(self, target: float) -> float:
        """Advance one hop towards ``target``; returns the new position in [0, 1]."""
        position = self.position
        stiffness, decay = self._attack if target > position else self._release
        offset = position - target
        drive = (self._speed + stiffness * offset) * HOP_SECONDS
        speed = (self._speed - stiffness * drive) * decay
        self._speed = min(max(speed, -_MAX_SPEED), _MAX_SPEED)
        moved = min(max((offset + drive) * decay - offset, -_MAX_STEP), _MAX_STEP)
        position = min(max(position + moved, 0.0), 1.0)
        if target == 0.0 and position < _STILL and abs(self._speed) < 20.0 * _STILL:
            position = self._speed = 0.0
        self.position = position
        return position


_MAX_SPEED: Final = 9.0
"Per second: 0.36 a frame. Lips in fast speech reach their targets in 50 to 100 ms."
_MAX_STEP: Final = _MAX_SPEED * HOP_SECONDS
_STILL: Final = 2e-3
_STIFFNESS: Final = {"jaw": (70.0, 55.0), "press": (80.0, 60.0), "tuck": (60.0, 50.0)}
_STIFFNESS_ELSE: Final = (50.0, 38.0)


class MouthDriver:
    """The `Mouth` that needs no model.

    Frame k of a track uses the sound up to the end of its own 40 ms and nothing later, so the
    mouth leads its sound by a little rather than lagging it. Any cutting of the same sound into
    pushes gives the same bits.
    """

    lookahead: Final = 0

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the past, as for a new session."""
        self._analyser = SpectralAnalyser()
        self._articulator = Articulator()
        self._springs = [_Spring(*_STIFFNESS.get(n, _STIFFNESS_ELSE)) for n in MOUTH_CHANNELS]
        self._loudness = SILENT_DBFS

    @property
    def loudness(self) -> float:
        """RMS of the last push, dBFS, at least -120."""
        return self._loudness

    @property
    def speaking(self) -> bool:
        """Whether a voice was heard in the last push, or up to 240 ms before its end."""
        return self._articulator.speaking

    def push(self, samples: F32) -> MouthTrack:
        """Sound, float32 ``[640 * n]`` at 16 kHz → the mouth of the same ``n`` video frames.

        NaN counts as silence and what lies outside [-1, 1] is clipped.

        Raises:
            ValueError: Not a whole number of video frames.
        """
        if samples.ndim != 1 or len(samples) % SAMPLES_PER_FRAME:
            raise ValueError(f"samples: expected [{SAMPLES_PER_FRAME} * n], got {samples.shape}")
        if not len(samples):
            return MouthTrack.rest(0)
        clean = sanitise(samples)
        power = float(np.mean(np.square(clean, dtype=np.float64)))
        self._loudness = 10.0 * log10(power + 1e-12)
        frames = [self._frame(part) for part in clean.reshape(-1, SAMPLES_PER_FRAME)]
        return MouthTrack(np.array(frames, np.float32))

    def _frame(self, samples: F32) -> list[float]:
        for hop in self._analyser.frame(samples):
            target = self._articulator.target(hop)
            mouth = [s.step(t) for s, t in zip(self._springs, target, strict=True)]
        return mouth
