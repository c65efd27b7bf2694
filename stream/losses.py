"""Receiver reports, put together until they say something. Pure; the time is an argument.

Browsers report as often as five times a second, each time about a handful of packets: one of six
that got lost reads as 17 %, on a network that loses 3.
"""

from __future__ import annotations

from typing import Final

SPAN: Final = 1.0
"Least seconds that a share is of."
ENOUGH: Final = 60
"And least packets: of so many, 5 % have a standard error of 3."
SPAN_MOST: Final = 3.0
"Seconds after which fewer packets do."
CYCLE: Final = 1 << 32
STRANGE: Final = 5000
"More packets between two reports than are ever sent: the numbers began anew."


class Losses:
    """Of one track at one receiver."""

    def __init__(self) -> None:
        self._highest: int | None = None
        self._since = 0.0
        self._expected = 0
        self._lost = 0.0

    def report(self, fraction: float, highest: int, now: float) -> float | None:
        """A report block (RFC 3550 section 6.4.1).

        Args:
            fraction: Of packets lost since the report before, 0 to 1.
            highest: The extended highest sequence number received.
            now: Monotonic seconds.

        Returns:
            The share of packets lost, 0 to 1, when there were enough to tell; else None.
        """
        before, self._highest = self._highest, highest
        expected = 0 if before is None else (highest - before) % CYCLE
        if before is None or expected > STRANGE:
            self._since, self._expected, self._lost = now, 0, 0.0
            return None
        self._expected += expected
        self._lost += fraction * expected
        span = now - self._since
        if not self._expected or span < (SPAN if self._expected >= ENOUGH else SPAN_MOST):
            return None
        share = min(1.0, self._lost / self._expected)
        self._since, self._expected, self._lost = now, 0, 0.0
        return share
