"""What the avatar is going to do, told before it does it."""

from __future__ import annotations

from dataclasses import dataclass

from planner.shared import Shared


@dataclass(frozen=True, slots=True)
class Action(Shared):
    """One planned movement. Frames count from the beginning of the session, at 25 a second."""

    kind: str
    "blink, glance, saccade, nod, shake, accent, stage or instruction."
    start: int
    "First frame that shows it."
    peak: int
    "Frame at which it is fully there."
    end: int
    "First frame after it; for what is held until further notice, the end of the known plan."
    amount: float
    """How much: closure in [0, 1], degrees of gaze or head, or AU intensity. 0 withdraws the
    action of the same kind and start that was announced before."""
    why: str
    "A few words for people."
