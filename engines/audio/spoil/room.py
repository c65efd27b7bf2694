"""Rooms: synthetic impulse responses whose direct sound stays where it was."""

from __future__ import annotations

from math import log
from typing import Final

import numpy as np

from core import F32, SAMPLE_RATE
from engines.audio.spoil.filters import at_level, convolve, level, within

RT60_SECONDS: Final = (0.05, 2.0)
"Reverberation times accepted."
DIRECT_SAMPLES: Final = 16
"No reflection comes sooner: 1 ms, a detour of 34 cm."


def room_response(rng: np.random.Generator, rt60: float, direct_db: float) -> F32:
    """The impulse response of a made-up room: direct sound, early reflections, a diffuse tail.

    The tail is noise under an exponential that falls by 60 dB in ``rt60`` (J. A. Moorer, "About
    this reverberation business", Computer Music Journal 3(2), 1979); its high half dies sooner, as
    air and furniture have it. Reflections arrive within 50 ms (free).

    Args:
        rng: Draws the room.
        rt60: Reverberation time, seconds, 0.05 to 2.
        direct_db: Energy of the direct sound over that of everything after it, dB.

    Returns:
        float32 ``[rt60 · 16,000]``; sample 0 is the direct sound, and is 1.

    Raises:
        ValueError: ``rt60`` is out of range.
    """
    if not RT60_SECONDS[0] <= rt60 <= RT60_SECONDS[1]:
        raise ValueError(f"rt60: expected {RT60_SECONDS[0]} to {RT60_SECONDS[1]} s, got {rt60}")
    length = int(rt60 * SAMPLE_RATE)
    seconds = np.arange(length) / SAMPLE_RATE
    rate = 3.0 * log(10.0) / rt60
    noise = rng.standard_normal(length)
    low = np.convolve(noise, np.full(4, 0.25), "same")
    tail = low * np.exp(-rate * seconds)
    tail += (noise - low) * np.exp(-rate * rng.uniform(1.2, 2.5) * seconds)
    tail *= np.minimum(seconds / rng.uniform(0.005, 0.03), 1.0)  # echoes grow dense with time
    latest = min(length, int(0.05 * SAMPLE_RATE))
    count = int(rng.integers(4, 16))
    times = rng.integers(DIRECT_SAMPLES, latest, count)
    signs = np.where(rng.uniform(size=count) < 0.8, 1.0, -1.0)
    # A path twice as long is 6 dB weaker; 3 ms is the direct path from a speaker 1 m away.
    strength = rng.uniform(0.3, 1.0, count) * 3.0 / (3.0 + 1e3 * times / SAMPLE_RATE)
    np.add.at(tail, times, signs * strength * rng.uniform(0.5, 4.0))
    tail[:DIRECT_SAMPLES] = 0.0
    energy = float(np.sum(tail**2))
    tail *= np.sqrt(10.0 ** (-direct_db / 10.0) / max(energy, 1e-12))
    response: F32 = tail.astype(np.float32)
    response[0] = 1.0
    return response


def reverberate(samples: F32, response: F32) -> F32:
    """Speech ``[N]`` in a room, as loud as before unless that would clip; the tail is cut at N."""
    wet = convolve(samples, response)[: len(samples)]
    before = level(samples)
    return within(at_level(wet, before)) if before > -np.inf else wet
