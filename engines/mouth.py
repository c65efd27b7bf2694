"""Sound → mouth: loudness and spectral colour moved through springs, causal, frame by frame.

This driver knows no phonemes. It hears how loud the voice is for this speaker, whether it is
voiced, hissing, murmuring or cut off, and where the formants lie, and makes the mouth that usually
goes with it. A trained network can stand in its place: it need only be a `Mouth`.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from core import F32, MOUTH, MOUTH_CHANNELS, SAMPLES_PER_FRAME, MouthTrack
from engines.resample import sanitise
from engines.spectral import HOPS_PER_FRAME, SpectralAnalyser

HOP_SECONDS: Final = 0.01
GATE_DBFS: Final = -46.0
"What is quieter never moves the mouth: room tone, microphone noise, line hum."
SILENT_DBFS: Final = -120.0


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


def _ramp(low: float, high: float, x: float) -> float:
    """0 at ``low``, 1 at ``high`` (either order), smooth between (Hermite) and flat outside."""
    t = min(max((x - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


class _Listener:
    """Levels that move slowly: what is background here, and how loud this voice is."""

    def __init__(self) -> None:
        self.floor = -75.0
        "Background, dBFS: follows every dip at once, rises slowly, faster under a steady sound."
        self.loud = -22.0
        "The loud vowels of this voice, dBFS."
        self._mean = SILENT_DBFS
        self._variance = 0.0

    def hear(self, level: float, voicing: float) -> float:
        """Take in one hop; returns how surely it is more than background, 0 to 1."""
        deviation = level - self._mean
        self._mean += 0.06 * deviation
        self._variance += 0.06 * (deviation * deviation - self._variance)
        steady = self._variance < 2.5
        if level < self.floor:
            self.floor += 0.4 * (level - self.floor)
        else:
            rate = (30.0 if voicing < 0.6 else 5.0) if steady else 1.5  # dB/s
            self.floor = min(self.floor + rate * HOP_SECONDS, level)
        self.floor = max(self.floor, -90.0)
        threshold = max(GATE_DBFS, self.floor + 7.0)
        active = _ramp(threshold, threshold + 6.0, level)
        if active > 0.0 and voicing > 0.5:
            if level > self.loud:
                self.loud += 0.06 * (level - self.loud)
            else:
                self.loud -= 1.5 * HOP_SECONDS * active
            self.loud = min(max(self.loud, -36.0), -6.0)
        return active


class _Springs:
    """All channels as critically damped springs: no overshoot, no jitter, exactly still at rest.

    The step is the closed-form solution over one hop, stable at any stiffness.
    """

    def __init__(self) -> None:
        n = len(MOUTH_CHANNELS)
        self._position = np.zeros(n)
        self._speed = np.zeros(n)

    def step(self, target: F32) -> F32:
        """Advance one hop towards ``target`` ``[9]``; returns the new positions in [0, 1]."""
        stiffness = np.where(target > self._position, _ATTACK, _RELEASE)
        offset = self._position - target
        drive = (self._speed + stiffness * offset) * HOP_SECONDS
        decay = np.exp(-stiffness * HOP_SECONDS)
        speed = (self._speed - stiffness * drive) * decay
        self._speed = np.clip(speed, -_MAX_SPEED, _MAX_SPEED)
        moved = (offset + drive) * decay + target
        limit = _MAX_SPEED * HOP_SECONDS
        moved = self._position + np.clip(moved - self._position, -limit, limit)
        self._position = np.clip(moved, 0.0, 1.0)
        still = (target == 0.0) & (self._position < _STILL) & (np.abs(self._speed) < 20.0 * _STILL)
        self._position[still] = 0.0
        self._speed[still] = 0.0
        return self._position.astype(np.float32)


def _per_channel(default: float, **channels: float) -> F32:
    values = np.full(len(MOUTH_CHANNELS), default, np.float32)
    for name, value in channels.items():
        values[MOUTH[name]] = value
    return values


_ATTACK: Final = _per_channel(40.0, jaw=60.0, press=80.0, tuck=60.0)
_RELEASE: Final = _per_channel(32.0, jaw=48.0, press=60.0, tuck=50.0)
"Spring stiffness, rad/s: a target is followed about 2 / stiffness later."
_MAX_SPEED: Final = 9.0
"Per second: 0.36 a frame. Lips in fast speech reach their targets in 50 to 100 ms."
_STILL: Final = 2e-3


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
        self._listener = _Listener()
        self._springs = _Springs()
        self._loudness = SILENT_DBFS
        self._since_voice = 1.0
        self._voiced_run = 0
        self._peak = SILENT_DBFS
        self._hang = 0

    @property
    def loudness(self) -> float:
        """RMS of the last push, dBFS, at least -120."""
        return self._loudness

    @property
    def speaking(self) -> bool:
        """Whether a voice was heard in the last push, or up to 240 ms before its end."""
        return self._hang > 0

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
        self._loudness = 10.0 * float(np.log10(power + 1e-12))
        frames = [self._frame(part) for part in clean.reshape(-1, SAMPLES_PER_FRAME)]
        return MouthTrack(np.stack(frames))

    def _frame(self, samples: F32) -> F32:
        spectrum = self._analyser.frame(samples)
        mouth = np.zeros(0, np.float32)
        columns = (
            spectrum.level, spectrum.hiss, spectrum.tilt, spectrum.first,
            spectrum.second, spectrum.edge, spectrum.voicing,
        )  # fmt: skip
        rows = np.stack(columns, axis=1).tolist()
        for k in range(HOPS_PER_FRAME):
            mouth = self._springs.step(self._target(*rows[k]))
        return mouth

    def _target(
        self,
        level: float,
        hiss: float,
        tilt: float,
        first: float,
        second: float,
        edge: float,
        voicing: float,
    ) -> F32:
        """The mouth this hop asks for, float32 ``[9]``."""
        listener = self._listener
        active = listener.hear(max(level, hiss), voicing)
        fricative = active * _ramp(-4.0, 4.0, hiss - level + 6.0 * (voicing < 0.5))
        voiced = active * (1.0 - fricative)
        self._track_voice(voiced, voicing)

        loud = min(max((level - listener.loud + 25.0) / 25.0, 0.0), 1.1)
        drive = voiced * loud**1.4
        openness = _ramp(370.0, 640.0, first)
        murmur = voiced * _ramp(-11.0, -18.0, tilt) * _ramp(1350.0, 1550.0, second)
        closure = self._closure(level, fricative)
        shut = max(murmur, closure)

        front = _ramp(1500.0, 2050.0, second)
        rounded = _ramp(1450.0, 1150.0, second) * (1.0 - 0.6 * _ramp(560.0, 660.0, first))
        sharp = fricative * _ramp(3000.0, 4000.0, edge)
        hushed = fricative - sharp

        target = np.zeros(len(MOUTH_CHANNELS), np.float32)
        target[_JAW] = (0.10 + 0.52 * openness) * drive * (1.0 - 0.85 * shut) + 0.06 * fricative
        target[_WIDE] = 0.5 * drive * front + 0.3 * sharp
        target[_PUCKER] = 0.65 * drive * rounded + 0.4 * hushed
        target[_PRESS] = 0.9 * closure + 0.6 * murmur * (1.0 - closure)
        target[_UPPER] = 0.10 * drive * openness + 0.15 * fricative
        target[_LOWER] = 0.15 * drive * (1.0 - rounded) + 0.3 * fricative
        return target

    def _track_voice(self, voiced: float, voicing: float) -> None:
        heard = voiced > 0.3 and voicing > 0.4
        self._since_voice = 0.0 if heard else min(self._since_voice + HOP_SECONDS, 1.0)
        self._voiced_run = min(self._voiced_run + 1, 100) if heard else 0
        if self._voiced_run >= 3:
            self._hang = 24
        elif self._hang:
            self._hang -= 1

    def _closure(self, level: float, fricative: float) -> float:
        """How much this is the gap of a stop: a sharp fall right after voice, 0 to 1."""
        self._peak = max(level, self._peak - 80.0 * HOP_SECONDS)
        fresh = _ramp(0.20, 0.12, self._since_voice)
        return _ramp(9.0, 18.0, self._peak - level) * fresh * (1.0 - fricative)


_JAW, _WIDE, _PUCKER, _PRESS = (MOUTH[n] for n in ("jaw", "wide", "pucker", "press"))
_UPPER, _LOWER, _TUCK = (MOUTH[n] for n in ("upper_lip", "lower_lip", "tuck"))
