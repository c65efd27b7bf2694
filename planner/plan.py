"""What the planner makes: a score of staged events for one chunk, and the plan it became.

The way there (CogPortrait section 3.3)::

    label, instruction ─ planning ─► events ─ composition ─► Score
    Score ─ perform ─► rows ─ critic ─► Plan

A `Score` says what shall happen; a `Plan` holds the rows that are played and why they are so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from core import ControlTrack, InvalidInput, MouthTrack
from planner.rules import Violation
from planner.stages import Stage


@dataclass(frozen=True, slots=True)
class Event:
    """One stage of a chunk and the constraints it plays under."""

    start: int
    "First frame, counted from the beginning of the chunk."
    end: int
    "First frame after it."
    semantics: str
    "What happens, in a few words for people and for the critic."
    stage: Stage
    "Ranges of the channels, gaze, lids and habits."


@dataclass(frozen=True, slots=True)
class Score:
    """The events of one chunk: they touch, and their spans add up to its length."""

    events: tuple[Event, ...]
    source: str
    "Who wrote it: embedded, endpoint or local."

    def __post_init__(self) -> None:
        if not self.events:
            raise InvalidInput("A score needs at least one event.")
        at = 0
        for event in self.events:
            if event.start != at or event.end <= event.start:
                raise InvalidInput(
                    f"Events must touch: expected one from frame {at}, "
                    f"got [{event.start}, {event.end})."
                )
            at = event.end

    @property
    def frames(self) -> int:
        """Length of the chunk, T."""
        return self.events[-1].end


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question to an agent and what came back, kept so that a plan can be explained."""

    role: str
    "analysis, planning, composition, critic or reflection."
    source: str
    "Which back end answered."
    request: dict[str, Any]
    answer: dict[str, Any]
    "Empty when there was none that could be used."
    reasoning: str = ""
    "The agent's chain of thought, apart from its answer."
    error: str = ""
    "Why the answer was not used."
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One chunk as it is played."""

    start: int
    "First frame, counted since the session began."
    label: str
    instruction: str
    state: str
    score: Score
    controls: ControlTrack
    mouth: MouthTrack
    repaired: tuple[Violation, ...] = ()
    "What the physiological critic found in the rows, and mended."
    exchanges: Sequence[Exchange] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if not len(self.controls) == len(self.mouth) == self.score.frames:
            raise InvalidInput("A plan has one row of controls and mouth for every frame.")

    def __len__(self) -> int:
        return len(self.controls)

    @property
    def end(self) -> int:
        """First frame after it, counted since the session began."""
        return self.start + len(self.controls)
