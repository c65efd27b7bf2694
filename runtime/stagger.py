"""When windows of different sessions begin: as far from each other as can be.

A computation has all the cores, so of two windows that are due at once the second waits for as long
as the first takes. Half a period apart neither waits. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

ALIKE: Final = 1e-3
"Of a period: what differs less is the same."


def delay(due: float, others: Iterable[float], period: float) -> float:
    """How much later a session should begin, seconds, at least 0 and less than ``period``.

    Args:
        due: When its next window is due.
        others: The same of the other sessions; any window of each.
        period: Seconds between windows.

    Returns:
        The shortest delay to the middle of the widest gap between the others; 0 without others.
    """
    taken = sorted((other - due) % period for other in others)
    if not taken:
        return 0.0
    after = [*taken[1:], taken[0] + period]
    widest = max(b - a for a, b in zip(taken, after, strict=True))
    middles = [
        (a + b) / 2 % period
        for a, b in zip(taken, after, strict=True)
        if b - a > (1 - ALIKE) * widest  # of gaps that are alike, the nearest
    ]
    return min(0.0 if middle > (1 - ALIKE) * period else middle for middle in middles)
