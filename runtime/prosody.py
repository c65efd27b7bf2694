"""What behaviour follows in the sound of speech: stressed syllables and ends of phrases."""

from __future__ import annotations

from math import log10
from typing import Final

import numpy as np

from core import F32, SAMPLE_RATE, SAMPLES_PER_FRAME

HOP: Final = SAMPLES_PER_FRAME // 2
"20 ms: a syllable has six to fifteen of them."
BAND: Final = (300.0, 2_500.0)
"""Hz: vowels are loud here; hum, DC and the hiss of consonants are not (as Mermelstein 1975, JASA
58(4), weighs loudness to find syllables)."""
DIP: Final = (3.0, 2.0)
"dB that the loudness must rise into a syllable and fall out of its peak (free)."
QUIET: Final = -55.0
"dBFS: what is softer is no syllable."

EVEN: Final = 3.0
"dB: how much the peaks of syllables differ usually. Prominence counts in this."
USUAL_SECONDS: Final = 0.12
"Length of a syllable, before anything was heard."
LENGTH_UNIT: Final = 0.11
"Seconds that make a syllable as prominent as `EVEN` does: stress is length as well as loudness."
MEMORY: Final = 0.2
"Weight of the newest syllable in what is usual: the last five count, about a second of speech."

GAP_SECONDS: Final = 0.4
"Between two accents: beats come with words, not with syllables."
NEEDED: Final = (3.0, 1.5, 0.5)
"""Prominence that makes an accent right after the last one, what comes off it a second, and the
least. So of a few seconds the strongest syllables are taken, however lively the voice (free: set on
the speech of 30 people for a little under one accent a second)."""
STRENGTH: Final = (0.2, 0.17)
"Of an accent, at the usual prominence, and more for each unit above."

PHRASE_FRAMES: Final = 20
"Speech of at least 800 ms is a phrase; a lone word gets no closing blink (free)."
PAUSE_FRAMES: Final = 5
"""A gap of 200 ms ends a phrase: shorter ones are closures of stop consonants (the threshold of
250 ms that Goldman-Eisler 1968, Psycholinguistics, set for pauses, less what detection takes)."""

_TAPER: Final = np.hanning(2 * HOP).astype(np.float32)
_BINS: Final = slice(*(round(f * 2 * HOP / SAMPLE_RATE) for f in BAND))
_POWER: Final = float(1.0 / (HOP * np.sum(_TAPER.astype(np.float64) ** 2)))


class Syllables:
    """Peaks of the loudness of vowels, each found 40 to 80 ms after it sounds."""

    def __init__(self) -> None:
        self._tail = np.zeros(HOP, np.float32)
        self._rising = False
        self._extreme = -120.0
        "The peak so far while rising, else the valley."
        self._hops = 0
        self._usual: tuple[float, float] | None = None
        "Peak in dBFS and length in seconds of this voice's syllables."

    def hear(self, samples: F32, speaking: bool) -> list[tuple[float, float]]:
        """The syllables that these samples, float32 ``[320 * n]``, complete.

        Returns:
            Of each, how many seconds ago it was completed and how prominent it was: 0 for what is
            usual in this voice, 1 for a clear difference in loudness or length.
        """
        held = np.concatenate((self._tail, samples))
        self._tail = held[len(samples) :]
        windows = np.lib.stride_tricks.sliding_window_view(held, 2 * HOP)[::HOP]
        spectrum = np.fft.rfft(windows * _TAPER)[:, _BINS]
        power = np.square(np.abs(spectrum)).sum(axis=1) * _POWER
        found = []
        for k, p in enumerate(power.tolist()):
            prominence = self._step(10.0 * log10(p + 1e-12), speaking)
            if prominence is not None:
                found.append(((len(power) - 1 - k) * HOP / SAMPLE_RATE, prominence))
        return found

    def _step(self, level: float, speaking: bool) -> float | None:
        """One hop; the prominence of the syllable that it completes."""
        rise, fall = DIP
        if not self._rising:
            self._extreme = min(self._extreme, level)
            if level > self._extreme + rise:
                self._rising, self._extreme, self._hops = True, level, 1
            return None
        self._hops += 1
        self._extreme = max(self._extreme, level)
        if level > self._extreme - fall:
            return None
        peak, length = self._extreme, self._hops * HOP / SAMPLE_RATE
        self._rising, self._extreme = False, level
        return self._weigh(peak, length) if speaking and peak > QUIET else None

    def _weigh(self, peak: float, length: float) -> float:
        usual_peak, usual_length = self._usual or (peak, USUAL_SECONDS)
        louder, longer = peak - usual_peak, length - usual_length
        louder_by = min(max(louder, -3.0 * EVEN), 3.0 * EVEN)
        self._usual = (usual_peak + MEMORY * louder_by, usual_length + MEMORY * longer)
        return louder / EVEN + longer / LENGTH_UNIT


class Prosody:
    """Follows one session's own speech, frame by frame."""

    def __init__(self) -> None:
        self._syllables = Syllables()
        self._since_accent = 0.0
        self._spoken = 0
        self._silent = 0

    def stress(self, samples: F32, speaking: bool) -> float | None:
        """Strength in (0, 1] of the accent on the syllable that sounded last, if it has one.

        Args:
            samples: float32 ``[640 * n]``, each run touching the one before.
            speaking: Whether a voice is heard in them.
        """
        self._since_accent += len(samples) / SAMPLE_RATE
        first, decay, least = NEEDED
        strength = None
        for ago, prominence in self._syllables.hear(samples, speaking):
            waited = self._since_accent - ago - GAP_SECONDS
            if waited > 0.0 and prominence > max(least, first - decay * waited):
                self._since_accent = ago
                strength = min(STRENGTH[0] + STRENGTH[1] * prominence, 1.0)
        return strength

    def phrase_ends(self, speaking: bool, frames: int) -> bool:
        """Whether a phrase has just ended. True once a phrase."""
        if speaking:
            self._spoken += frames
            self._silent = 0
            return False
        self._silent += frames
        if self._silent < PAUSE_FRAMES:
            return False
        ended = self._spoken >= PHRASE_FRAMES
        self._spoken = 0
        return ended
