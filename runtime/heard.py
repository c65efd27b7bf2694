"""How much of an utterance had been heard at some moment: what an interruption is told with.

Where a voice tells no times of its words, the text is an estimate: as many of the characters as of
the sound, back to the end of a word. Pure: no clock, no I/O.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, TypedDict

from core import SAMPLE_RATE
from runtime.speech import Segment

KEPT: Final = 16
"Turns remembered: those planned but not presented, and the one before them."
CHARACTERS: Final = 15
"Characters a second, about: for an utterance whose voice is still at work."


class Hearing(TypedDict):
    """Of one utterance."""

    heard_ms: int
    text: str
    "Empty for what came as sound."


@dataclass(slots=True, eq=False)
class _Utterance:
    segment: Segment
    began: int
    ended: int | None = None
    missing: int = 0
    "Samples of silence in it, as its voice was late."


class Heard:
    """Where the latest utterances lie on the media clock. Times are pts. One instance a session."""

    def __init__(self) -> None:
        self._latest: deque[_Utterance] = deque(maxlen=KEPT)

    def turn(self, segment: Segment, pts: int, began: bool) -> None:
        """An utterance begins or ends there."""
        if began:
            self._latest.append(_Utterance(segment, pts))
        elif self._latest and self._latest[-1].segment is segment:
            self._latest[-1].ended = pts

    def missed(self, samples: int) -> None:
        """So much of the latest utterance was silence that its voice did not mean."""
        if self._latest and self._latest[-1].ended is None:
            self._latest[-1].missing += samples

    def interrupt(self, pts: int) -> Hearing:
        """Cut off at ``pts``: what had been heard, of the utterance there, right before."""
        latest = list(self._latest)
        self._latest.clear()
        for one in latest:
            if one.began < pts and (one.ended is None or one.ended > pts):
                heard = max(0, pts - one.began - one.missing)
                said = spoken(one.segment, heard)
                return Hearing(heard_ms=heard * 1000 // SAMPLE_RATE, text=said)
        return Hearing(heard_ms=0, text="")


def spoken(segment: Segment, heard: int) -> str:
    """The words of an utterance that its first ``heard`` samples say, about."""
    text, whole = segment.text, segment.pushed
    if segment.open:  # more comes
        whole = max(whole, len(text) * SAMPLE_RATE // CHARACTERS)
    if not text or heard >= whole:
        return text
    count = len(text) * heard // whole
    head = text[:count]
    if not text[count].isspace() and len(text.split()) > 1:
        head = head[: max((i for i, c in enumerate(head) if c.isspace()), default=0)]
    return head.rstrip()
