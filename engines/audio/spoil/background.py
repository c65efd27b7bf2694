"""Rooms in which nobody speaks: what a microphone hears before, between and after."""

from __future__ import annotations

import numpy as np

from core import F32, SAMPLE_RATE
from engines.audio.spoil.music import music
from engines.audio.spoil.noise import any_noise, clicks, coloured


def background(length: int, rng: np.random.Generator) -> F32:
    """Silence, steady sounds that begin and end, music, knocks, breaths; float32 ``[length]``."""
    sound = np.zeros(length, np.float32)
    if rng.random() < 0.85:
        steady = any_noise(length, rng) * _switched(length, rng)
        sound += _at(steady, rng.uniform(-75.0, -18.0))
    if rng.random() < 0.25:
        sound += _at(music(length, rng) * _switched(length, rng), rng.uniform(-50.0, -18.0))
    if rng.random() < 0.3:
        sound += _at(clicks(length, rng), rng.uniform(-55.0, -25.0))
    if rng.random() < 0.3:
        sound += _at(_breaths(length, rng), rng.uniform(-55.0, -30.0))
    if rng.random() < 0.2:
        sound += np.float32(rng.uniform(-0.3, 0.3))
    clipped: F32 = np.clip(sound, -1.0, 1.0)
    return clipped


def _at(sound: F32, dbfs: float) -> F32:
    rms = float(np.sqrt(np.mean(np.square(sound)))) + 1e-9
    scaled: F32 = sound * np.float32(10.0 ** (dbfs / 20.0) / rms)
    return scaled


def _switched(length: int, rng: np.random.Generator) -> F32:
    """Always on, or on in some places: 0 or 1 with edges of 1 to 200 ms."""
    if rng.random() < 0.4:
        return np.ones(length, np.float32)
    count = int(rng.integers(1, 5))
    edges = np.sort(rng.integers(0, length, 2 * count))
    gate = np.zeros(length)
    for start, end in edges.reshape(-1, 2):
        gate[start:end] = 1.0
    width = int(rng.choice([16, 160, 800, 3_200]))
    ramp = np.cumsum(gate)
    smooth = (ramp - np.concatenate((np.zeros(width), ramp[:-width]))) / width
    gently: F32 = smooth.astype(np.float32)
    return gently


def _breaths(length: int, rng: np.random.Generator) -> F32:
    """Air through an open mouth: soft noise that swells and fades over 0.3 to 0.9 s."""
    out = np.zeros(length, np.float32)
    at = int(rng.uniform(0.1, 2.0) * SAMPLE_RATE)
    while at < length:
        size = min(int(rng.uniform(0.3, 0.9) * SAMPLE_RATE), length - at)
        swell = np.sin(np.pi * np.arange(size) / size).astype(np.float32)
        out[at : at + size] += swell * coloured(size, rng, 0.7) if size > 64 else 0.0
        at += size + int(rng.uniform(1.0, 4.0) * SAMPLE_RATE)
    return out
