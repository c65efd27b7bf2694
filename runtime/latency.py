"""How long things take: histograms, and from a command to what is presented because of it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

BOUNDS: Final = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0)
"Seconds; most of them around what people begin to notice."
MOST_WAITING: Final = 16
"Commands whose effect is awaited at once, in one session."


@dataclass(slots=True)
class Histogram:
    """Counts by upper bound, as Prometheus has them (not yet cumulated)."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    "By `BOUNDS`; the last is everything above."
    total: float = 0.0
    "Sum of all seconds."

    def observe(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def absorb(self, other: Histogram) -> None:
        """Add another one's counts."""
        self.counts = [a + b for a, b in zip(self.counts, other.counts, strict=True)]
        self.total += other.total

    def buckets(self) -> list[tuple[str, float]]:
        """``(upper bound, cumulated count)``, the last ``+Inf``."""
        out, seen = [], 0
        for bound, count in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            seen += count
            out.append((bound, float(seen)))
        return out


class Awaited:
    """Commands of one kind that wait for the frame that shows them. Pure: times are arguments."""

    def __init__(self, took: Histogram) -> None:
        self._took = took
        self._waiting: list[tuple[int, float]] = []

    def expect(self, frame: int, asked: float) -> None:
        """What was asked for at ``asked`` is presented with ``frame`` or the next one there is."""
        del self._waiting[: max(0, len(self._waiting) + 1 - MOST_WAITING)]
        self._waiting.append((frame, asked))

    def left(self, frame: int, presented: float) -> None:
        """A frame leaves to be presented at ``presented``."""
        for first, asked in self._waiting:
            if first <= frame:
                self._took.observe(max(0.0, presented - asked))
        if self._waiting:
            self._waiting = [(first, asked) for first, asked in self._waiting if first > frame]

    def forget(self) -> None:
        """Nobody watches: nothing is presented."""
        self._waiting.clear()
