"""Cues: what an instruction asks for, timed, and the player that begins and ends them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from core import FPS
from planner.action import Action
from planner.saccade import VIEWER, Point
from planner.shared import Forked, Shared

Gesture: TypeAlias = Literal["", "blink", "wink", "nod", "shake"]

LASTS_SECONDS: Final = 1.5
"Announced length of what is kept until further notice."


@dataclass(frozen=True, slots=True)
class Cue(Shared):
    """One thing to do. Everything in it begins together."""

    at: float
    "Seconds after the instruction was given."
    words: str
    "What the user said, for the announcement."
    hold: float | None = None
    "Seconds until it is let go of; None keeps it until something else replaces it."
    rise: float = 0.5
    "Seconds of the transition."
    controls: Mapping[str, float] = field(default_factory=dict)
    "Channels and mouth channels to hold; AU and mouth in [0, 1], pose in degrees."
    free: Sequence[str] = ()
    "Channels given back to the label; `gaze` is one here."
    gaze: Point | None = None
    "Where to look, degrees to the person's left and down."
    implied: bool = False
    "The gaze is only the natural companion of a head turn; whatever else is said about it wins."
    gesture: Gesture = ""
    times: int = 1
    size: float = 1.0
    "Closure of a blink, degrees of a nod or shake."
    slowness: float = 1.0
    "Of a blink."
    side: Literal["", "L", "R"] = ""
    label: str = ""
    "A state to be acted while the cue is held, as in `planner.categories.LABELS`."
    still: bool = False
    "The head holds still, and gaze shifts leave it where it is."
    no_blink: float = 0.0
    "Seconds without a blink, where none is asked for."

    @property
    def ending(self) -> float | None:
        """When it is let go of, seconds after the instruction."""
        return None if self.hold is None else self.at + self.hold


def announce(cue: Cue, start: float, *, withdrawn: bool = False) -> Action:
    """What to tell about ``cue`` of an instruction given at ``start`` seconds."""
    if withdrawn:
        amount = 0.0
    elif cue.gaze is not None and cue.gaze != VIEWER:
        amount = round(math.hypot(*cue.gaze), 1)
    else:
        amount = round(max((abs(v) for v in cue.controls.values()), default=cue.size), 2) or 0.01
    first = max(math.floor(start * FPS) + 1, math.ceil((start + cue.at) * FPS))
    peak = first + math.ceil(cue.rise * FPS)
    end = max(peak, first + round((LASTS_SECONDS if cue.hold is None else cue.hold) * FPS))
    return Action("instruction", first, peak, end, amount, "withdrawn" if withdrawn else cue.words)


class CueSheet(Forked):
    """The cues of one instruction, begun at some time."""

    def __init__(self, cues: Sequence[Cue], start: float) -> None:
        self.start = start
        self._waiting = sorted(cues, key=lambda cue: cue.at)
        self._playing: list[Cue] = []

    @property
    def waiting(self) -> Sequence[Cue]:
        """Cues that have not begun."""
        return tuple(self._waiting)

    @property
    def playing(self) -> Sequence[Cue]:
        """Cues that have begun and are not over."""
        return tuple(self._playing)

    def ended(self, t: float) -> list[Cue]:
        """Cues whose time is over at ``t`` seconds; each is returned once."""
        over = [c for c in self._playing if c.ending is not None and c.ending <= t - self.start]
        self._playing = [c for c in self._playing if c not in over]
        return over

    def begun(self, t: float) -> list[Cue]:
        """Cues that begin by ``t`` seconds; each is returned once."""
        due = [c for c in self._waiting if c.at <= t - self.start]
        self._waiting = self._waiting[len(due) :]
        self._playing += due
        return due
