"""What is heard besides the speaker: noises, babble and clicks.

Each returns float32 ``[length]`` at 16 kHz and at no particular level: `filters.mix` adds it to
speech at a ratio, which is also what keeps the sum in range.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from core import F32, SAMPLE_RATE
from engines.audio.spoil.filters import at_level, equalise, fft_length
from engines.resample import sanitise

_TABLE: Final = 4_096
"Points of one period of a harmonic tone."
LOWEST_HERTZ: Final = 20.0


def coloured(length: int, rng: np.random.Generator, slope: float) -> F32:
    """Noise whose power falls as 1 / f^slope: 0 is white, 1 pink, 2 brown."""
    if length <= 0:
        return np.zeros(0, np.float32)
    if slope == 0.0:
        return rng.standard_normal(length, dtype=np.float32)
    size = fft_length(length)
    frequencies = np.fft.rfftfreq(size, 1.0 / SAMPLE_RATE)
    shape = np.maximum(frequencies, LOWEST_HERTZ) ** (-0.5 * slope)
    shape[frequencies < 0.5 * LOWEST_HERTZ] = 0.0
    parts = rng.standard_normal((2, len(shape)), dtype=np.float32)
    noise = np.fft.irfft((parts[0] + 1j * parts[1]) * shape, size)[:length]
    scale = float(np.sqrt(np.mean(noise**2))) or 1.0
    scaled: F32 = (noise / scale).astype(np.float32)
    return scaled


def harmonic(length: int, hertz: float, amplitudes: F32, rng: np.random.Generator) -> F32:
    """A steady tone; ``amplitudes[k]`` is that of the harmonic k + 1, its phase random.

    Harmonics above 8 kHz are left out.
    """
    audible = amplitudes[: max(int(0.5 * SAMPLE_RATE / hertz), 0)]
    spectrum = np.zeros(_TABLE // 2 + 1, np.complex128)
    turns = np.exp(2j * np.pi * rng.uniform(size=len(audible)))
    used = min(len(audible), len(spectrum) - 2)
    spectrum[1 : used + 1] = 0.5 * _TABLE * audible[:used] * turns[:used]
    period: F32 = np.fft.irfft(spectrum, _TABLE).astype(np.float32)
    at = (np.arange(length) * (hertz * _TABLE / SAMPLE_RATE)).astype(np.int64)
    tone: F32 = period[at % _TABLE]
    return tone


def hum(length: int, rng: np.random.Generator) -> F32:
    """Mains hum: 50 or 60 Hz with up to 30 harmonics, and a little hiss."""
    count = int(rng.integers(4, 31))
    amplitudes = rng.uniform(0.2, 1.0, count) / np.arange(1, count + 1) ** rng.uniform(0.3, 1.5)
    amplitudes[1::2] *= rng.uniform(0.2, 2.0)  # a rectifier's hum is that of twice the mains
    hertz = float(rng.choice([50.0, 60.0]) * rng.uniform(0.999, 1.001))
    tone = harmonic(length, hertz, amplitudes.astype(np.float32), rng)
    return tone + np.float32(0.02) * coloured(length, rng, 0.0)


def fan(length: int, rng: np.random.Generator) -> F32:
    """A fan or ventilation: soft broadband rush, blade tones, both beating with the rotation."""
    rotation = rng.uniform(8.0, 40.0)
    blades = rng.integers(3, 10)
    corner = rng.uniform(300.0, 2_000.0)
    rush = equalise(
        coloured(length, rng, 0.5), lambda hertz: 1.0 / np.sqrt(1.0 + (hertz / corner) ** 2)
    )
    amplitudes = rng.uniform(0.1, 1.0, 8) / np.arange(1, 9)
    tone = harmonic(length, float(rotation * blades), amplitudes.astype(np.float32), rng)
    beat = harmonic(length, float(rotation), np.ones(1, np.float32), rng)
    swing = 1.0 + np.float32(rng.uniform(0.0, 0.4)) * beat
    sound: F32 = (rush + np.float32(rng.uniform(0.05, 0.7)) * tone) * swing
    return sound


def any_noise(length: int, rng: np.random.Generator) -> F32:
    """One of the noises above: coloured half of the time, with a slope from white to brown."""
    kind = rng.uniform()
    if kind < 0.5:
        return coloured(length, rng, float(rng.choice([0.0, 1.0, 2.0, rng.uniform(0.0, 2.0)])))
    return hum(length, rng) if kind < 0.7 else fan(length, rng)


def babble(length: int, rng: np.random.Generator, others: Sequence[F32]) -> F32:
    """Three to six voices at once, each within 3 dB of the same level, from a random place on.

    Args:
        length: Samples wanted; shorter utterances are repeated.
        rng: Chooses voices, places and levels. A voice may be chosen twice.
        others: Utterances at 16 kHz; the silent and the empty among them are not heard.

    Raises:
        ValueError: There is no other utterance.
    """
    if not others:
        raise ValueError("others: babble needs at least one other utterance")
    total = np.zeros(length, np.float32)
    for _ in range(int(rng.integers(3, 7))):
        voice = others[int(rng.integers(len(others)))]
        gain_db = rng.uniform(-3.0, 3.0)
        start = int(rng.integers(max(len(voice), 1)))
        if len(voice):
            part = sanitise(np.resize(np.concatenate((voice[start:], voice[:start])), length))
            total += at_level(part, -30.0 + gain_db)
    return total


def clicks(length: int, rng: np.random.Generator) -> F32:
    """Keys, taps and knocks: bursts of 1 to 15 ms, one to eight a second, many in pairs."""
    out = np.zeros(length, np.float32)
    hertz, ring_ms = rng.uniform(800.0, 5_000.0), rng.uniform(0.3, 4.0)
    spacing = SAMPLE_RATE / rng.uniform(1.0, 8.0)
    at = rng.exponential(spacing)
    while at < length:
        gap = rng.uniform(0.06, 0.13) * SAMPLE_RATE  # a key is heard going down and coming up
        strokes = ((at, 1.0), (at + gap, 0.5)) if rng.uniform() < 0.6 else ((at, 1.0),)
        for start, loudness in strokes:
            burst = _burst(rng, float(hertz * rng.uniform(0.8, 1.25)), float(ring_ms))
            burst *= np.float32(loudness * rng.uniform(0.3, 1.0))
            part = out[int(start) : int(start) + len(burst)]
            part += burst[: len(part)]
        at += rng.exponential(spacing)
    return out


def _burst(rng: np.random.Generator, hertz: float, ring_ms: float) -> F32:
    """A knock: noise and a ringing tone, both dying away."""
    t = np.arange(int(4.0 * ring_ms * 1e-3 * SAMPLE_RATE) + 8) / SAMPLE_RATE
    ring = np.sin(2.0 * np.pi * hertz * t) + 0.7 * rng.standard_normal(len(t))
    knock: F32 = (ring * np.exp(-t / (ring_ms * 1e-3))).astype(np.float32)
    return knock
