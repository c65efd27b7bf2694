"""Who waits for a place, in the order they came. Pure: the time is an argument.

A refused caller gets a ticket. From the first time it comes back with it, the ticket holds its
turn: nobody who came later gets a place before. A ticket that is not shown again in time is
forgotten, and so are callers who never show theirs, so they hold nobody up.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

RETRY: Final = 5.0
"Seconds after which to ask again, at most."
KEPT: Final = 3 * RETRY
"Seconds a ticket lives after it was last shown: two lost requests do not lose the turn."
LONGEST_ETA: Final = 3600.0
"Seconds; what is told of a longer wait means nothing."


@dataclass(slots=True)
class _Ticket:
    id: str
    shown: float
    holds: bool = False
    "It was shown once: its owner knows what it is for."


@dataclass(frozen=True, slots=True)
class Turn:
    """What a refused caller is told."""

    ticket: str | None
    "To be shown with the next try; None when too many wait."
    position: int
    "1 is next."


class Line:
    """First come, first served, bounded."""

    def __init__(
        self, most: int, *, secret: Callable[[], str] = lambda: secrets.token_urlsafe(12)
    ) -> None:
        """``most`` tickets wait at once; 0 for no line at all."""
        self._most = most
        self._secret = secret
        self._tickets: dict[str, _Ticket] = {}  # in the order they were given out

    def __len__(self) -> int:
        return len(self._tickets)

    def admit(self, ticket: str | None, free: int, now: float) -> bool:
        """Whether a caller may have one of ``free`` places; if so, its ticket is used up."""
        self._forget(now)
        mine = self._tickets.get(ticket or "")
        if mine is not None:
            mine.shown, mine.holds = now, True
        ahead = 0
        for other in self._tickets.values():
            if other is mine:
                break
            ahead += other.holds
        if ahead >= free:
            return False
        self._tickets.pop(ticket or "", None)
        return True

    def stand(self, ticket: str | None, now: float) -> Turn:
        """The turn of a caller who was not admitted."""
        order = list(self._tickets)
        if ticket in self._tickets:
            return Turn(ticket, order.index(ticket) + 1)
        if len(order) >= self._most:
            idle = next((t.id for t in self._tickets.values() if not t.holds), None)
            if idle is None:
                return Turn(None, len(order) + 1)
            del self._tickets[idle]
        made = _Ticket(self._secret(), now)
        self._tickets[made.id] = made
        return Turn(made.id, len(self._tickets))

    def _forget(self, now: float) -> None:
        for ticket in [t.id for t in self._tickets.values() if now - t.shown > KEPT]:
            del self._tickets[ticket]


def eta(ends: Sequence[float | None], position: int, mean: float | None) -> float | None:
    """Seconds until the place of ``position`` is free; None when nothing tells.

    Args:
        ends: For each place, seconds until its session ends; None where that is unknown.
        position: In the line, from 1.
        mean: Mean length of a session, seconds; None when none has ended.
    """
    known = sorted(end for end in ends if end is not None)
    if not ends or (len(known) < len(ends) and position > len(known)):
        return None
    rounds, place = divmod(position - 1, len(ends))
    if rounds and mean is None:
        return None
    wait = known[place] + rounds * (mean or 0.0)
    return wait if wait <= LONGEST_ETA else None


def end_of(known: float | None, age: float, mean: float | None) -> float | None:
    """Seconds until a session ends: what limits it, or what its like did, whichever is sooner."""
    likely = None if mean is None else max(mean - age, mean / 4)
    told = [end for end in (known, likely) if end is not None]
    return min(told, default=None)
