"""What a category is made of: stages in time, each with its ranges and habits.

A category is a little graph of stages. Each stage holds ranges that a value is drawn from anew
every time it is entered, so that the same label never plays the same way twice.

Names: ``AU1``, ``AU2`` and ``AU45`` without a side mean both (nearly equal); ``_one`` is the
person's more expressive side and ``_other`` the other one; ``yaw?`` and ``roll?`` go to the side
the stage looks to. Mouth channels are a touch of expression under the speech.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from planner.saccade import GazeManner
from planner.shared import Shared

Range: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Look(Shared):
    """Where a stage keeps its eyes."""

    where: str
    "As in `saccade.DIRECTIONS`, or `side`, `up_side`, `down_side`, or `viewer`."
    degrees: Range = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Rhythm(Shared):
    """A regular oscillation of some channels."""

    hertz: float
    amounts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Stage(Shared):
    """One phase of a category."""

    seconds: Range
    "How long it lasts."
    rise: Range
    "How long the change into it takes."
    controls: Mapping[str, Range]
    "Channels and mouth channels; those not named are at rest."
    then: tuple[tuple[str, float], ...]
    "(next stage, weight) pairs."
    why: str
    look: Look | None = None
    "None: as the conversation goes."
    gaze: GazeManner | None = None
    "Habits that replace those of the conversation."
    blinks: float = 1.0
    "Factor on the blink rate."
    slowness: float = 1.0
    "Factor on the duration of a blink."
    drift: float = 1.0
    "Factor on the liveliness of the head."
    nods: float = 0.0
    "Nods a minute beside those of the conversation."
    rhythm: Rhythm | None = None
    blink: bool = False
    "Begins with a blink."


@dataclass(frozen=True, slots=True)
class Category(Shared):
    """A label."""

    title: str
    description: str
    first: str
    stages: Mapping[str, Stage] = field(repr=False)
