"""How much of the event loop's time one session's commands may take.

Commands run in the event loop, where every session's sound and pictures leave. Some take a
millisecond, others fifty, so they are not counted but timed: who sends faster than that is read
later, and what it sends waits in the network. Pure: times are arguments.
"""

from __future__ import annotations

from typing import Final

BURST: Final = 0.25
"Seconds of work that may be done at once, after a while of little: four dear commands or so."


class Share:
    """A bucket of work, in seconds."""

    def __init__(self, share: float, now: float) -> None:
        """``share``: seconds of work a second, in (0, 1]."""
        self._share = share
        self._left = BURST
        self._at = now

    def wait(self, now: float) -> float:
        """Seconds until more work may be done; 0 for at once."""
        self._left = min(BURST, self._left + (now - self._at) * self._share)
        self._at = now
        return max(0.0, -self._left / self._share)

    def spent(self, seconds: float) -> None:
        """That much work was done."""
        self._left -= seconds
