"""Speech over expression: a smile stays while talking, but gives way to the sounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from core import F32, MOUTH, MouthTrack
from runtime.breath import Breath

WHILE_SPEAKING: Final = 0.6
"How much of an expression's mouth (a smile) stays while the mouth is busy with sounds."
STEP: Final = 0.04
"Change of that share from frame to frame: ten frames from one to the other."
JAW: Final = MOUTH["jaw"]


class MouthMix:
    """One session's mouth, from what is said, what is felt and breaths between."""

    def __init__(self) -> None:
        self._share = 1.0
        self._breath = Breath()

    def stop(self) -> None:
        """No breath is drawn for speech that does not come."""
        self._breath.stop()

    def mix(
        self,
        said: MouthTrack,
        felt: MouthTrack,
        samples: F32,
        *,
        speaking: bool,
        coming: Callable[[int], F32],
    ) -> tuple[MouthTrack, MouthTrack]:
        """The next frames.

        Args:
            said: The mouth of speech.
            felt: The mouth of the expression, as long.
            samples: float32: the sound of these frames.
            speaking: Whether the session speaks.
            coming: Up to so many samples of the speech that follows.

        Returns:
            The whole mouth, and the expression's share of it.
        """
        share = WHILE_SPEAKING if speaking else 1.0
        step = STEP * len(felt)
        self._share += min(step, max(-step, share - self._share))
        kept = self._share * felt.values
        mixed = said.values + kept
        breath = self._breath.follow(samples, coming)
        mixed[:, JAW] = np.maximum(mixed[:, JAW], breath)
        kept[:, JAW] = np.maximum(kept[:, JAW], breath)
        whole, kept = (np.clip(m, 0, 1, dtype=np.float32) for m in (mixed, kept))
        return MouthTrack(whole), MouthTrack(kept)
