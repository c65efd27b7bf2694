"""Media time of a session against the monotonic clock: what is planned next, and by when.

Frame ``n`` is presented at ``epoch + n / FPS`` and planned `lead` before that. After a stall the
epoch moves, instead of a burst being sent. Pure: ``now`` is an argument.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from core import FPS, SAMPLES_PER_FRAME


class SessionClock:
    """One instance a session. Times are monotonic seconds."""

    def __init__(self, lead: Callable[[], float], now: float) -> None:
        """``lead`` tells how long before its presentation a window has to be planned now, s."""
        self._lead = lead
        self.epoch = now + lead()
        "When pts 0 is presented."
        self.frame = 0
        "The first frame of the next window."
        self.rendering_since: float | None = None
        "When the window began that is being rendered; the scheduler's."

    @property
    def pts(self) -> int:
        """Media time of the next window, 16 kHz samples."""
        return self.frame * SAMPLES_PER_FRAME

    @property
    def lead(self) -> float:
        """Seconds before its presentation at which a window is planned."""
        return self._lead()

    def presented(self, frame: int) -> float:
        """When a frame is presented."""
        return self.epoch + frame / FPS

    def due(self) -> float:
        """When the next window should be planned."""
        return self.presented(self.frame) - self.lead

    def late_ms(self, now: float) -> float:
        """How far the next window is behind its plan time, ms; negative when early."""
        return (now - self.due()) * 1000

    def soonest(self, now: float) -> int:
        """The first frame that could still be made anew, after what is being rendered."""
        since, busy = self.rendering_since, 0.0
        if since is not None:
            busy = max(0.0, self.lead - (now - since))
        return max(0, math.ceil((now + busy + self.lead - self.epoch) * FPS))

    def reanchor(self, now: float) -> float:
        """Let the next window be due now; by how many seconds the epoch moved."""
        shift = now - self.due()
        self.epoch += shift
        return shift
