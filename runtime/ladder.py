"""What gives way when a machine can not keep up, and how it climbs back.

Rungs from the best down: fewer steps of the sampler, then the puppet, then every other of its
frames. Sound is on none of them. A step down is taken at once, a step up after a quiet while that
doubles each time it turned out to be too early, so that nothing flickers between two rungs. Pure:
the time is an argument.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

DOWN: Final = 0.9
"Share of a window's own length that making it may take; two of the last `SEEN` above it: down."
UP: Final = 0.6
"Below this share all of a quiet while: there is room to try the next rung."
SEEN: Final = 4
QUIET: Final = 8.0
"Seconds before the first try to climb."
LONGEST: Final = 240.0
"Seconds before the last."
SETTLED: Final = 60.0
"Seconds on a rung after which a climb has succeeded."


@dataclass(frozen=True, slots=True)
class Rung:
    """One way of making pictures."""

    steps: int
    "Of the sampler; 0 is the puppet."
    every: int = 1
    "Frames of which one is made; the rest hold it."

    def __str__(self) -> str:
        if self.every > 1:
            return f"puppet, every {self.every}. frame"
        return f"{self.steps} step{'s' * (self.steps > 1)}" if self.steps else "puppet"


def rungs(steps: int) -> tuple[Rung, ...]:
    """All from the best down."""
    fewer = []
    while steps:
        fewer.append(Rung(steps))
        steps //= 2
    return (*fewer, Rung(0), Rung(0, every=2))


class Ladder:
    """Of one session."""

    def __init__(self, steps: int, now: float) -> None:
        self._rungs = rungs(steps)
        self._at = 0
        self._late: deque[bool] = deque(maxlen=SEEN)
        self._busy = False
        self._since = now
        self._climbed = False
        self._quiet = QUIET

    @property
    def rung(self) -> Rung:
        """Where it stands."""
        return self._rungs[self._at]

    @property
    def top(self) -> bool:
        """Whether nothing gives way."""
        return self._at == 0

    def took(self, share: float, now: float) -> None:
        """A window took ``share`` of its own length to be made."""
        self._late.append(share > DOWN)
        self._busy = self._busy or share > UP
        waited = now - self._since
        if sum(self._late) >= 2 and self._at + 1 < len(self._rungs):
            self._fall(now)
        elif self._climbed and waited > SETTLED:
            self._climbed, self._quiet = False, QUIET
        elif self._at and waited > self._quiet:
            if not self._busy:
                self._stand(self._at - 1, now)
                self._climbed = True
            self._since, self._busy = now, False

    def failed(self, now: float) -> None:
        """The generator can not be used at all: to the puppet."""
        below = next(i for i, rung in enumerate(self._rungs) if not rung.steps)
        if self._at < below:
            self._fall(now, below)

    def _fall(self, now: float, to: int | None = None) -> None:
        if self._climbed:
            self._quiet = min(2 * self._quiet, LONGEST)
        self._stand(self._at + 1 if to is None else to, now)
        self._climbed = False

    def _stand(self, at: int, now: float) -> None:
        self._at, self._since, self._busy = at, now, False
        self._late.clear()
