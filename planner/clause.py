"""One clause of an instruction: what it says, and the moves it may come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from planner import physiology as ph
from planner.cues import Cue

DWELL_SECONDS: Final = 1.1
"How long something is kept before the next clause, when nothing is said about it."
ROOM_DEGREES: Final = 4.0
"Kept free between a held head pose and the pose limit: a held head still lives."


@dataclass(slots=True)
class Clause:
    """The slots of one clause."""

    link: str = "then"
    verb: str = ""
    part: str = ""
    ways: list[str] = field(default_factory=list)
    side: str = ""
    factor: float = 1.0
    speed: float = 1.0
    degrees: float | None = None
    times: int = 1
    hold: float | None = None
    delay: float = 0.0
    negated: bool = False
    stopped: bool = False
    pronoun: bool = False
    label: str = ""
    "A state to be acted."
    every: float = 0.0
    "Seconds from one repetition to the next."
    said: list[str] = field(default_factory=list)
    "The phrases, as they stand in the lexicon."
    span: tuple[int, int] = (-1, -1)
    "Where it stands in the text."
    strange: list[tuple[int, int]] = field(default_factory=list)
    "Words that are in no list."

    @property
    def empty(self) -> bool:
        """Whether nothing at all was said."""
        return self.span[0] < 0


@dataclass(frozen=True, slots=True)
class Move:
    """Cues that belong together, relative to their common start."""

    cues: tuple[Cue, ...] = ()
    seconds: float = 0.0
    "When the next move may begin."
    claims: frozenset[str] = frozenset()
    "What it needs for itself."


def hold(clause: Clause, controls: Mapping[str, float], words: str, rise: float) -> Move:
    rise = max(rise * clause.speed, ph.AU_RISE_SECONDS)
    cue = Cue(0.0, words, hold=clause.hold, rise=rise, controls=dict(controls))
    seconds = rise + DWELL_SECONDS if clause.hold is None else clause.hold
    return Move((cue,), seconds, frozenset(controls))


def repeated(clause: Clause, controls: Mapping[str, float], words: str, rise: float) -> list[Move]:
    """A hold, or several short ones ("raise your eyebrows twice")."""
    if clause.times == 1:
        return [hold(clause, controls, words, rise)]
    once = hold(clause, controls, words, 0.6 * rise).cues[0]
    cues = tuple(replace(once, at=0.9 * i, hold=0.35) for i in range(clause.times))
    return [Move(cues, 0.9 * clause.times, frozenset(controls))]


def sides_of(clause: Clause, rng: np.random.Generator) -> list[str]:
    """The sides of the face that are meant: L, R or both."""
    for way in clause.ways:
        if way in ("left", "right"):
            return [way[0].upper()]
    if clause.side == "one":
        return [str(rng.choice(["L", "R"]))]
    return ["L", "R"]


def angle(clause: Clause, usual: float, axis: str) -> float:
    limit = ph.POSE_LIMITS[("pitch", "yaw", "roll").index(axis)] - ROOM_DEGREES
    return within(usual * clause.factor if clause.degrees is None else clause.degrees, limit)


def within(value: float, limit: float) -> float:
    return min(max(float(value), -limit), limit)
