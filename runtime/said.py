"""What was said in the frames planned last, so that they can be taken back.

Windows are planned ahead. Where one is taken back, its sound is said again, or (after an
interruption) fades, or (it was silence that speech has overtaken) goes. Pure: no clock, no I/O.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from core import F32, WINDOW_FRAMES, MouthTrack
from runtime.voice_track import NOTHING, Turn, Voiced, VoiceTrack

KEPT: Final = 4 * WINDOW_FRAMES
"Frames that can be taken back: more than are ever planned ahead."


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """One frame of `Voiced`."""

    samples: F32
    "float32 ``[640]``."
    mouth: F32
    "float32 ``[9]``."
    tokens: F32
    "float32 ``[2, 256]``."


class Said:
    """A voice track whose last frames can be taken back. One instance a session."""

    def __init__(self, voice: VoiceTrack) -> None:
        self._voice = voice
        self._last: deque[_Frame] = deque(maxlen=KEPT)
        self._again: deque[_Frame] = deque()
        "Taken back, to be said again."

    def __len__(self) -> int:
        """Frames that can be taken back."""
        return len(self._last)

    @property
    def silent(self) -> int:
        """How many of the frames said last, in a row up to the last one, are silence."""
        count = 0
        for frame in reversed(self._last):
            if frame.samples.any():
                break
            count += 1
        return count

    def advance(self, frames: int) -> tuple[Voiced, Voiced | None]:
        """The next frames, first what is to be said again.

        Returns:
            All of them, and what of it is said for the first time.
        """
        again = [self._again.popleft() for _ in range(min(frames, len(self._again)))]
        fresh = self._voice.advance(frames - len(again)) if len(again) < frames else None
        parts = [*again, *_frames_of(fresh)]
        self._last.extend(parts)
        turns = fresh.turns if fresh else ()
        voiced = Voiced(
            np.concatenate([part.samples for part in parts]),
            MouthTrack(np.stack([part.mouth for part in parts])),
            np.concatenate([part.tokens for part in parts]),
            tuple(replace(turn, frame=turn.frame + len(again)) for turn in turns),
            fresh.underruns if fresh else 0,
        )
        return voiced, fresh

    def take_back(self, frames: int, *, again: bool) -> None:
        """The last ``frames`` frames are not presented after all.

        Args:
            frames: How many, at most ``len(self)``.
            again: Say them again; else they are forgotten.
        """
        taken = [self._last.pop() for _ in range(frames)]
        if again:
            self._again.extendleft(taken)

    def interrupt(self, planned: F32 = NOTHING) -> tuple[bool, Turn | None]:
        """See `VoiceTrack.interrupt`; what was taken back fades behind ``planned``, or goes.

        Args:
            planned: float32 ``[N]``: the last samples given out that nobody hears yet, at most
                those of ``len(self)`` frames. Changed in place.
        """
        taken = np.concatenate([NOTHING, *(frame.samples for frame in self._again)])
        self._again.clear()
        told = self._voice.interrupt(taken, planned)
        last, left = list(self._last), planned
        for place in range(len(last) - 1, -1, -1):
            if not len(left):
                break
            samples = last[place].samples
            left, own = left[: -len(samples)], left[-len(samples) :]
            samples = np.concatenate((samples[: len(samples) - len(own)], own))
            last[place] = replace(last[place], samples=samples)
        self._last = deque(last, maxlen=KEPT)
        return told


def _frames_of(voiced: Voiced | None) -> list[_Frame]:
    if voiced is None:
        return []
    count = len(voiced.mouth)
    samples, tokens = voiced.samples.reshape(count, -1), voiced.tokens.reshape(count, 2, -1)
    return [_Frame(*row) for row in zip(samples, voiced.mouth.values, tokens, strict=True)]
