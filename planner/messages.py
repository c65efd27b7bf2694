"""What the agents are asked and what they answer, each as a type.

JSON schemas are generated from the answers and sent to the model. Whatever comes back is brought
within bounds before anything else sees it: text is cut to length and freed of control characters,
numbers are clipped, lists are cut, unknown channels and fields are dropped. What is still not an
answer is refused by pydantic. Nothing here is executed.

``reasoning`` comes first in every answer, so that a model thinks before it decides, and is kept
apart from what is used.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from planner.tidy import MOST_EVENTS, plain, tidy_names, tidy_ranges, within

Role: TypeAlias = Literal["analysis", "planning", "composition", "critic", "reflection"]
ChannelName: TypeAlias = Literal[
    "AU1_L", "AU1_R", "AU2_L", "AU2_R", "AU4", "AU5", "AU6", "AU7", "AU45_L", "AU45_R",
    "gaze_left", "gaze_right", "gaze_up", "gaze_down", "pitch", "yaw", "roll",
]  # fmt: skip


def _cut(value: object) -> object:
    if value is None:
        return ()
    return value[:MOST_EVENTS] if isinstance(value, list | tuple) else value


def _word(value: object) -> object:
    return "_".join(value[:40].lower().split()) if isinstance(value, str) else value


def _clip(low: float, high: float) -> BeforeValidator:
    return BeforeValidator(partial(within, low=low, high=high))


def _line(limit: int) -> BeforeValidator:
    return BeforeValidator(partial(plain, limit=limit))


Short: TypeAlias = Annotated[str, Field(max_length=80), _line(80)]
Line: TypeAlias = Annotated[str, Field(max_length=160), _line(160)]
Text: TypeAlias = Annotated[str, Field(max_length=600), _line(600)]
Moment: TypeAlias = Annotated[float, Field(ge=-3600, le=3600), _clip(-3600, 3600)]
Verdict: TypeAlias = Annotated[Literal["pass", "revise"], BeforeValidator(_word)]
Decision: TypeAlias = Annotated[
    Literal["approve", "revise_composition", "revise_planning"], BeforeValidator(_word)
]
Cut: Final = BeforeValidator(_cut)


# --- Messages --------------------------------------------------------------------------------


class Message(BaseModel):
    """Immutable. Fields it does not know are dropped; the schema sent says there are none."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Request(Message):
    """What an agent is given. Written by us, so nothing unknown may be in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Reply(Message):
    """What an agent answers."""

    reasoning: Text = ""


class Segment(Message):
    """A stretch of speech and what it is for."""

    words: Line = ""
    intent: Line = ""


class Analysis(Reply):
    """What is said, and why (OmniHuman-1.5 section 3.2 and appendix D)."""

    language: Short = ""
    transcription: Text = ""
    emotion: Line
    intent: Line
    segments: Annotated[tuple[Segment, ...], Field(max_length=MOST_EVENTS), Cut] = ()


class PlannedEvent(Message):
    """One stage, with what gaze, lids, brows and head do in it (CogPortrait section 3.3)."""

    start: Moment
    end: Moment
    semantics: Line
    gaze: Short = ""
    eyelids: Short = ""
    blink: Short = ""
    brows: Short = ""
    head: Short = ""


class Planning(Reply):
    """Staged events whose spans add up to the length of the chunk."""

    events: Annotated[tuple[PlannedEvent, ...], Field(min_length=1, max_length=MOST_EVENTS), Cut]


class ChannelRange(Message):
    """Between which values a channel lies during an event."""

    channel: ChannelName
    low: Annotated[float, Field(ge=-35, le=35)]
    high: Annotated[float, Field(ge=-35, le=35)]


class ComposedEvent(Message):
    """What one event asks of the 17 channels, and its habits."""

    channels: Annotated[
        tuple[ChannelRange, ...], Field(max_length=17), BeforeValidator(tidy_ranges)
    ]
    gaze: Annotated[
        Literal["viewer", "channels", "free"],
        BeforeValidator(lambda v: v if v in ("viewer", "channels") else "free"),
    ] = "free"
    "At the viewer, as the gaze channels say, or as the conversation goes."
    rise: Annotated[float, Field(ge=0.16, le=3), _clip(0.16, 3)] = 0.5
    "Seconds the change into it takes."
    blink_rate: Annotated[float, Field(ge=0.1, le=3), _clip(0.1, 3)] = 1.0
    "As a multiple of the usual rate."
    blink_slowness: Annotated[float, Field(ge=0.7, le=3), _clip(0.7, 3)] = 1.0
    "As a multiple of the usual duration."
    begins_with_blink: bool = False
    nods_per_minute: Annotated[float, Field(ge=0, le=40), _clip(0, 40)] = 0.0
    liveliness: Annotated[float, Field(ge=0, le=2), _clip(0, 2)] = 1.0
    "Of the head, as a multiple of the usual."
    edits: Line = ""
    "What to change in retrieved motion, for people to read."


class Composition(Reply):
    """One entry for every event, in their order."""

    events: Annotated[tuple[ComposedEvent, ...], Field(min_length=1, max_length=MOST_EVENTS), Cut]


class Revision(Message):
    """What to change. Event 0 means all of them."""

    event: Annotated[
        int,
        Field(ge=0, le=MOST_EVENTS),
        BeforeValidator(lambda v: round(within(v, 0, MOST_EVENTS))),
    ] = 0
    channels: Annotated[
        tuple[ChannelName, ...], Field(max_length=17), BeforeValidator(tidy_names)
    ] = ()
    advice: Line


class Critique(Reply):
    """The semantic critic's verdicts; the physiological one is `planner.rules`."""

    semantic_consistency: Verdict
    event_order: Verdict
    instruction_satisfaction: Verdict
    decision: Decision
    revisions: Annotated[tuple[Revision, ...], Field(max_length=MOST_EVENTS), Cut] = ()

    @property
    def passes(self) -> int:
        """How many of the three aspects pass."""
        verdicts = (self.semantic_consistency, self.event_order, self.instruction_satisfaction)
        return verdicts.count("pass")


class Reflection(Reply):
    """After a chunk has played: did it do what was meant, and what should the next one mind?"""

    keep: bool
    advice: Text = ""


# --- What the agents are given ---------------------------------------------------------------


class Start(Request):
    """Where head and eyes are when the chunk begins, so that it does not begin with a jump."""

    pitch: float
    yaw: float
    roll: float
    gaze_left: float
    gaze_right: float
    gaze_up: float
    gaze_down: float


class AnalysisRequest(Request):
    """Speech, and who says it in what state."""

    role: Literal["analysis"] = "analysis"
    label: Short
    instruction: Text
    state: Short
    speech: Text


class PlanningRequest(Request):
    """What shall be felt and done in the next seconds."""

    role: Literal["planning"] = "planning"
    label: Short
    meaning: Line
    instruction: Text
    seconds: float
    state: Short
    speech: Text
    start: Start
    typical: tuple[Line, ...]
    "Stages this label usually has."
    analysis: Analysis | None
    advice: Text
    "What reflection on the last chunk came to."
    previous: tuple[PlannedEvent, ...]
    revise: tuple[Revision, ...]
    "What the critic found in the previous attempt."


class CompositionRequest(Request):
    """Events to be turned into ranges of channels."""

    role: Literal["composition"] = "composition"
    label: Short
    instruction: Text
    start: Start
    events: tuple[PlannedEvent, ...]
    typical: tuple[Line, ...]
    previous: tuple[ComposedEvent, ...]
    revise: tuple[Revision, ...]


class Span(Request):
    """What a channel did during an event."""

    least: float
    mean: float
    most: float


class Shown(Request):
    """One event as it was performed."""

    start: float
    end: float
    semantics: Line
    channels: dict[ChannelName, Span]
    blinks: int


class Flaw(Request):
    """A physiological rule that the performance breaks; repaired whatever the critic says."""

    rule: Short
    channels: tuple[str, ...]
    start: float
    end: float


class CriticRequest(Request):
    """A performance to be judged."""

    role: Literal["critic"] = "critic"
    label: Short
    meaning: Line
    instruction: Text
    events: tuple[Shown, ...]
    flaws: tuple[Flaw, ...]


class ReflectionRequest(Request):
    """A chunk that has played."""

    role: Literal["reflection"] = "reflection"
    label: Short
    instruction: Text
    events: tuple[Shown, ...]
