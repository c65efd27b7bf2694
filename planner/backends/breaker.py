"""When to leave a failing endpoint alone, so that a dead one costs nothing."""

from __future__ import annotations

from typing import Final

PATIENCE: Final = 3
"Failures in a row before the first pause (free)."
FIRST_PAUSE: Final = 2.0
"Seconds; every further failure doubles it (free)."
LONGEST_PAUSE: Final = 30.0


class Breaker:
    """Counts failures in a row. Time is an argument: there is no clock in here."""

    def __init__(
        self,
        patience: int = PATIENCE,
        first_pause: float = FIRST_PAUSE,
        longest_pause: float = LONGEST_PAUSE,
    ) -> None:
        self._patience = patience
        self._first = first_pause
        self._longest = longest_pause
        self._failures = 0
        self._until = 0.0
        self._trying = False

    @property
    def failures(self) -> int:
        """Failures since the last success."""
        return self._failures

    def pause(self) -> float:
        """Seconds the present number of failures is worth."""
        beyond = self._failures - self._patience
        return 0.0 if beyond < 0 else min(self._longest, self._first * 2.0 ** min(beyond, 30))

    def wait(self, now: float) -> float:
        """Seconds until it may be tried; 0 when it may be now.

        After a pause one caller tries it: the others wait on until that one has told.
        """
        if self._failures < self._patience:
            return 0.0
        if now < self._until:
            return self._until - now
        self._until = now + self.pause()
        self._trying = True
        return 0.0

    def succeeded(self) -> None:
        """It answered."""
        self._failures = 0
        self._trying = False

    def failed(self, now: float) -> bool:
        """It did not. Whether a pause begins.

        During a pause only the one that tries counts: the others asked before it began, and many
        sessions that fail together are one failure.
        """
        if self._failures >= self._patience and not self._trying:
            return False
        self._failures += 1
        self._trying = False
        self._until = now + self.pause()
        return self._failures >= self._patience
