"""What behaviour follows in the sound of speech: stressed syllables and ends of phrases."""

from __future__ import annotations

from typing import Final

ACCENT_RISE: Final = 6.0
"dB above the speaker's recent loudness that make a stressed syllable (free: by ear)."
ACCENT_GAP: Final = 20
"Frames between two accents: beats come with words, not with syllables."
PHRASE_FRAMES: Final = 20
"Speech of at least 800 ms is a phrase; a lone word gets no closing blink (free)."
PAUSE_FRAMES: Final = 5
"""A gap of 200 ms ends a phrase: shorter ones are closures of stop consonants (the threshold of
250 ms that Goldman-Eisler 1968, Psycholinguistics, set for pauses, less what detection takes)."""


class Prosody:
    """Follows one session's own speech, frame by frame."""

    def __init__(self) -> None:
        self._usual = -40.0
        self._since_accent = 0
        self._spoken = 0
        self._silent = 0

    def stress(self, loudness: float, speaking: bool, frames: int) -> float | None:
        """Strength of the stressed syllable that these frames begin, if they do.

        Args:
            loudness: dB full scale.
        """
        self._since_accent += frames
        if not speaking:
            return None
        rise = loudness - self._usual
        self._usual += 0.05 * rise
        if rise <= ACCENT_RISE or self._since_accent <= ACCENT_GAP:
            return None
        self._since_accent = 0
        return min(rise / 12, 1.0)

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
