"""Music from nothing: chords, a bass, a tune and drums, made up as they go.

It needs no recordings and so no rights; it is meant to sound like music to a microphone (steady
harmonics, a beat, notes that die away), not to please.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from core import F32, SAMPLE_RATE
from engines.audio.spoil.noise import harmonic

PROGRESSIONS: Final = (
    (0, 7, 9, 5), (9, 5, 0, 7), (0, 9, 5, 7), (0, 5, 7, 5), (2, 7, 0, 0), (9, 7, 5, 4),
)  # fmt: skip
"Roots of four chords, semitones above the key's own note."
MINOR_ROOTS: Final = frozenset((2, 4, 9))
"Degrees of a major key whose triad is minor."
SCALE: Final = (0, 2, 4, 7, 9)


def music(length: int, rng: np.random.Generator) -> F32:
    """A band playing, float32 ``[length]`` at 16 kHz, at no particular level."""
    out = np.zeros(length, np.float32)
    beat = SAMPLE_RATE * 60.0 / rng.uniform(65.0, 165.0)
    tonic = 55.0 * 2.0 ** (rng.integers(0, 12) / 12.0)
    brightness = rng.uniform(0.6, 2.0)
    drums, tune = rng.uniform(0.0, 1.2), rng.uniform(0.0, 1.0)
    chords = PROGRESSIONS[int(rng.integers(len(PROGRESSIONS)))]
    first = int(rng.integers(16))  # it was playing before the microphone was opened
    starts = np.arange(0.0, length, beat) - rng.uniform(0.0, beat)
    for count, start in enumerate(starts, first):
        root = chords[count // 4 % 4]
        if count % 2 == 0:
            third = 3 if root in MINOR_ROOTS else 4
            for step, gain in ((-12, 0.9), (12, 0.5), (12 + third, 0.5), (19, 0.4)):
                hertz = tonic * 2.0 ** ((root + step) / 12.0)
                _add(out, start, np.float32(gain) * _note(2 * beat, hertz, brightness, rng))
        if rng.uniform() < 0.6:
            hertz = tonic * 2.0 ** (2 + int(rng.choice(SCALE)) / 12.0)
            place = start + 0.5 * beat * rng.integers(2)
            _add(out, place, np.float32(tune) * _note(beat, hertz, brightness, rng))
        _add(out, start, np.float32(drums) * (_kick() if count % 2 == 0 else _snare(rng)))
        _add(out, start + 0.5 * beat, np.float32(0.3 * drums) * _hat(rng))
    return out


def _add(out: F32, start: float, sound: F32) -> None:
    """Add a sound at a sample that may lie before the beginning; what sticks out is lost."""
    at = int(start)
    sound = sound[max(-at, 0) :]
    part = out[max(at, 0) : max(at, 0) + len(sound)]
    part += sound[: len(part)]


def _note(length: float, hertz: float, brightness: float, rng: np.random.Generator) -> F32:
    """A plucked note: harmonics falling as k^-brightness, dying away, an attack of 5 ms."""
    count = int(length)
    amplitudes = np.arange(1, 17, dtype=np.float32) ** np.float32(-brightness)
    seconds = np.arange(count, dtype=np.float32) / np.float32(SAMPLE_RATE)
    envelope = np.exp(-seconds / np.float32(rng.uniform(0.15, 0.8)))
    envelope *= np.minimum(seconds / np.float32(0.005), np.float32(1.0))
    envelope[-80:] *= np.linspace(1.0, 0.0, min(80, count), dtype=np.float32)
    note: F32 = harmonic(count, float(hertz), amplitudes, rng) * envelope
    return note


def _kick() -> F32:
    t = np.arange(int(0.2 * SAMPLE_RATE)) / SAMPLE_RATE
    sweep = np.sin(2.0 * np.pi * (50.0 * t + 3.0 * (1.0 - np.exp(-t / 0.03))))
    thump: F32 = (2.0 * sweep * np.exp(-t / 0.06)).astype(np.float32)
    return thump


def _snare(rng: np.random.Generator) -> F32:
    t = np.arange(int(0.15 * SAMPLE_RATE)) / SAMPLE_RATE
    body = 0.5 * np.sin(2.0 * np.pi * 190.0 * t) + rng.standard_normal(len(t))
    rattle: F32 = (0.7 * body * np.exp(-t / 0.04)).astype(np.float32)
    return rattle


def _hat(rng: np.random.Generator) -> F32:
    hiss = np.diff(rng.standard_normal(int(0.05 * SAMPLE_RATE) + 1))
    tick: F32 = (hiss * np.exp(-np.arange(len(hiss)) / (0.012 * SAMPLE_RATE))).astype(np.float32)
    return tick
