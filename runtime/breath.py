"""Breath between phrases: in a pause, the lips part a little before speech goes on.

A speaker breathes in right before the next phrase, so the pause must be known before it is over.
It is, where sound is queued (a voice, a file); a microphone gets no breaths, only closed lips.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log10
from typing import Final

import numpy as np

from core import F32, SAMPLES_PER_FRAME

PARTING: Final = 0.11
"Jaw of lips that part and show no teeth (free, by eye)."
STEP: Final = 0.035
"Change of the jaw from frame to frame, at most: lips in no hurry."
PHRASE_FRAMES: Final = 30
"Who has spoken for less than 1.2 s needs no breath (free)."
PAUSE_FRAMES: Final = 7
"Gaps under 280 ms are within phrases (free; a voice takes a while to fall silent)."
CLOSED_FRAMES: Final = 2
"The lips are let close first, and close again before speech goes on: it may begin with p or b."
LONGEST_FRAMES: Final = 14
"A breath in speech takes up to 560 ms (free)."
SIGHT_SAMPLES: Final = (LONGEST_FRAMES + 1) * SAMPLES_PER_FRAME
"What of the coming sound is looked at."
BELOW_VOICE: Final = 28.0
"dB under the voice that count as a pause: room noise goes on in it."


class Breath:
    """Follows one session's own speech, frame by frame."""

    def __init__(self) -> None:
        self._voice = -25.0
        "Loudness of what is spoken, dBFS."
        self._spoken = self._quiet = 0
        self._left = 0
        "Frames until the lips begin to close again."
        self._parting = 0.0

    def stop(self) -> None:
        """Speech was interrupted: no breath, and none to come."""
        self._left = self._spoken = 0

    def follow(self, samples: F32, coming: Callable[[int], F32]) -> F32:
        """How far the jaw opens for breath, float32 ``[n]``.

        Args:
            samples: float32 ``[640 * n]``, what sounds in these frames.
            coming: Gives up to so many of the samples that follow. It is asked in pauses only.
        """
        frames = samples.reshape(-1, SAMPLES_PER_FRAME)
        for frame in frames:
            self._hear(frame)
        if not self._left and self._quiet >= CLOSED_FRAMES and self._spoken >= PHRASE_FRAMES:
            self._plan(coming(SIGHT_SAMPLES))
        return np.array([self._step() for _ in frames], np.float32)

    def _hear(self, frame: F32) -> None:
        level = _level(frame)
        if level > self._voice - BELOW_VOICE:
            self._voice += 0.05 * (level - self._voice)
            self._spoken += 1
            self._quiet = 0
        else:
            self._quiet += 1

    def _plan(self, coming: F32) -> None:
        """Breathe in before speech goes on, if that is far enough and in sight."""
        whole = len(coming) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
        levels = map(_level, coming[:whole].reshape(-1, SAMPLES_PER_FRAME))
        resumes = next((k for k, x in enumerate(levels) if x > self._voice - BELOW_VOICE), None)
        if resumes is not None and resumes >= PAUSE_FRAMES - CLOSED_FRAMES:
            self._left = resumes - CLOSED_FRAMES
            self._spoken = 0

    def _step(self) -> float:
        wanted = PARTING if self._left else 0.0
        self._left = max(0, self._left - 1)
        self._parting += min(STEP, max(-STEP, wanted - self._parting))
        return self._parting


def _level(frame: F32) -> float:
    """Loudness without a constant offset, dBFS."""
    return 10.0 * log10(float(np.var(frame, dtype=np.float64)) + 1e-12)
