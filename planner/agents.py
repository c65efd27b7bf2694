"""The three agents in conversation: planning, composition, critic.

::

    analysis ─► planning ─► composition ─► rehearsal ─► critic ─► approved
     (once)        ▲             ▲                        │
                   └─────────────┴──────── revisions ─────┘

Every question costs at most what is left of the deadline; the best score so far is what comes out.
Nothing a model or a network does raises here: it ends up in an `Exchange`.

Source: CogPortrait section 3.3; analysis and reflection after OmniHuman-1.5 section 3.2.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from core import CHANNELS, CHUNK_FRAMES, FPS, ControlTrack, InvalidInput
from planner.backends.backend import Backend, PlannerFailed
from planner.conversation import Conversation
from planner.messages import (
    Analysis,
    AnalysisRequest,
    ComposedEvent,
    Composition,
    CompositionRequest,
    CriticRequest,
    Critique,
    Planning,
    PlanningRequest,
    Reflection,
    ReflectionRequest,
    Revision,
    Shown,
)
from planner.plan import Exchange, Score
from planner.rules import Violation
from planner.scoring import Staged, as_planned, flaws, shown, stage_events, start_of, typical, write

log = logging.getLogger(__name__)

UNJUDGED: Final = 1.5
"What a score nobody judged counts, where one is judged in three aspects."


@dataclass(frozen=True, slots=True)
class Brief:
    """Everything the agents are told about one chunk."""

    label: str
    instruction: str = ""
    frames: int = CHUNK_FRAMES
    "Length of the chunk, T."
    state: str = "idle"
    "What the conversation is at."
    start: tuple[float, ...] = (0.0,) * len(CHANNELS)
    "The row of controls the chunk begins from, as in `core.CHANNELS`."
    title: str = ""
    description: str = ""
    speech: str = ""
    "What is or will be said during the chunk, as far as known."
    analysis: Analysis | None = None
    "Of this speech, when there is one already."
    advice: str = ""
    "What `reflect` said about the chunk before."
    portrait: bytes | None = None
    "A JPEG; only when it may be sent."
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how often the agents may go on."""

    seconds: float = 12.0
    "From the call to the outcome."
    compositions: int = 2
    "Revisions of the composition, all plannings together."
    plannings: int = 1
    "Revisions of the planning."
    attempts: int = 2
    "Questions for one answer, when the first can not be used."
    analyse: bool = False
    "Study the speech first, when there is any and no analysis yet."

    def __post_init__(self) -> None:
        if not (0 < self.seconds <= 3600 and 1 <= self.attempts <= 5):
            raise InvalidInput("Limits: seconds in (0, 3600], attempts from 1 to 5.")
        if not (0 <= self.compositions <= 10 and 0 <= self.plannings <= 10):
            raise InvalidInput("Limits: at most 10 revisions of each kind.")


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A score as it would be performed."""

    track: ControlTrack
    violations: tuple[Violation, ...] = ()
    "What the physiological rules found in it."


Rehearse = Callable[[Score], Rehearsal]
"Performs a score without playing it. Called in a worker thread."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a conversation."""

    score: Score | None
    "The best one; None when there is none."
    exchanges: tuple[Exchange, ...]
    approved: bool = False
    "Whether the critic approved of the score."
    analysis: Analysis | None = None
    violations: tuple[Violation, ...] = ()
    "Found when the score was rehearsed."
    error: str = ""
    "Why the conversation ended early, for people."


@dataclass(frozen=True, slots=True)
class Advice:
    """What reflection came to."""

    text: str
    "For `Brief.advice`; empty when there is none."
    exchanges: tuple[Exchange, ...]
    keep: bool = True
    "Whether to carry on as before."


async def write_score(
    brief: Brief, backend: Backend, rehearse: Rehearse, limits: Limits | None = None
) -> Outcome:
    """Have the agents write the score of one chunk.

    Raises:
        InvalidInput: The brief itself can not be used. Models and networks raise nothing.
    """
    return await _Writing(brief, backend, rehearse, limits or Limits()).run()


async def reflect(
    brief: Brief,
    score: Score,
    played: ControlTrack,
    backend: Backend,
    limits: Limits | None = None,
) -> Advice:
    """Look back at a chunk that has played, and say what the next one should mind.

    Args:
        brief: What it was made from.
        score: What was meant.
        played: What the channels did, at least as long as the score.
        backend: Who is asked.
        limits: Seconds and attempts.

    Raises:
        InvalidInput: The track is shorter than the score.
    """
    conversation = _converse(brief, backend, limits or Limits())
    request = ReflectionRequest(
        label=brief.label, instruction=brief.instruction, events=shown(score, played)
    )
    try:
        answer = await conversation.ask("reflection", request, Reflection, lambda reply: reply)
    except PlannerFailed:
        return Advice("", tuple(conversation.exchanges))
    return Advice(answer.advice, tuple(conversation.exchanges), answer.keep)


# --- inside ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Draft:
    """A score that could be performed, and what was said of it."""

    score: Score
    rehearsal: Rehearsal
    shown: tuple[Shown, ...]
    "What the critic is told of it."
    critique: Critique | None = None

    @property
    def approved(self) -> bool:
        return self.critique is not None and self.critique.decision == "approve"

    @property
    def merit(self) -> tuple[bool, float, int]:
        passes = UNJUDGED if self.critique is None else self.critique.passes
        return (self.approved, passes, -len(self.rehearsal.violations))


def _converse(brief: Brief, backend: Backend, limits: Limits) -> Conversation:
    return Conversation(
        backend,
        seconds=limits.seconds,
        attempts=limits.attempts,
        image=brief.portrait,
        seed=brief.seed,
    )


class _Writing:
    """One call of `write_score`."""

    def __init__(self, brief: Brief, backend: Backend, rehearse: Rehearse, limits: Limits) -> None:
        self._brief = brief
        self._source = backend.name
        self._rehearsed = rehearse
        self._limits = limits
        self._talk = _converse(brief, backend, limits)
        self._start = start_of(brief.start)
        self._typical = typical(brief.label)
        self._meaning = f"{brief.title}: {brief.description}" if brief.title else brief.description
        self._analysis = brief.analysis
        self._drafts: list[_Draft] = []
        self._revisions_left = limits.compositions

    async def run(self) -> Outcome:
        error = ""
        try:
            await self._analyse()
            await self._plan_until_approved()
        except PlannerFailed as failure:
            error = failure.message
        exchanges = tuple(self._talk.exchanges)
        if not self._drafts:
            return Outcome(None, exchanges, False, self._analysis, (), error)
        # Of equals the later one: it was written knowing what was wrong with the other.
        best = max(reversed(self._drafts), key=lambda draft: draft.merit)
        found = best.rehearsal.violations
        return Outcome(best.score, exchanges, best.approved, self._analysis, found, error)

    # --- the agents --------------------------------------------------------------------------

    async def _analyse(self) -> None:
        brief = self._brief
        if not self._limits.analyse or self._analysis is not None or not brief.speech.strip():
            return
        request = AnalysisRequest(
            label=brief.label,
            instruction=brief.instruction,
            state=brief.state,
            speech=brief.speech,
        )
        try:
            self._analysis = await self._talk.ask(
                "analysis", request, Analysis, lambda reply: reply
            )
        except PlannerFailed as failure:
            log.debug("= planning without analysis: %s", failure.message)

    async def _plan_until_approved(self) -> None:
        staged: list[Staged] = []
        revise: tuple[Revision, ...] = ()
        for _ in range(1 + self._limits.plannings):
            staged = await self._plan(staged, revise)
            found = await self._compose_until_approved(staged)
            if found is None:
                return
            revise = found

    async def _plan(self, before: list[Staged], revise: tuple[Revision, ...]) -> list[Staged]:
        brief = self._brief
        request = PlanningRequest(
            label=brief.label,
            meaning=self._meaning,
            instruction=brief.instruction,
            seconds=brief.frames / FPS,
            state=brief.state,
            speech=brief.speech,
            start=self._start,
            typical=self._typical,
            analysis=self._analysis,
            advice=brief.advice,
            previous=as_planned(before),
            revise=revise,
        )
        return await self._talk.ask(
            "planning", request, Planning, lambda reply: stage_events(reply.events, brief.frames)
        )

    async def _compose_until_approved(self, staged: list[Staged]) -> tuple[Revision, ...] | None:
        """What the planning has to mend; None when there is nothing left to do."""
        previous: tuple[ComposedEvent, ...] = ()
        revise: tuple[Revision, ...] = ()
        while True:
            previous = await self._compose(staged, previous, revise)
            draft = await self._rehearse(write(staged, previous, self._source))
            critique = await self._criticise(draft)
            if critique.decision == "approve":
                return None
            if critique.decision == "revise_planning":
                return critique.revisions
            if self._revisions_left == 0:
                return None
            self._revisions_left -= 1
            revise = critique.revisions

    async def _compose(
        self,
        staged: list[Staged],
        previous: tuple[ComposedEvent, ...],
        revise: tuple[Revision, ...],
    ) -> tuple[ComposedEvent, ...]:
        request = CompositionRequest(
            label=self._brief.label,
            instruction=self._brief.instruction,
            start=self._start,
            events=as_planned(staged),
            typical=self._typical,
            previous=previous,
            revise=revise,
        )
        return await self._talk.ask("composition", request, Composition, lambda reply: reply.events)

    async def _rehearse(self, score: Score) -> _Draft:
        try:
            rehearsal = await asyncio.to_thread(self._rehearsed, score)
            draft = _Draft(score, rehearsal, shown(score, rehearsal.track))
        except Exception as error:
            # A score of checked values should always play. If not, video goes on without it.
            log.exception("A score could not be rehearsed")
            raise PlannerFailed("unusable", "The score could not be performed.") from error
        self._drafts.append(draft)
        return draft

    async def _criticise(self, draft: _Draft) -> Critique:
        request = CriticRequest(
            label=self._brief.label,
            meaning=self._meaning,
            instruction=self._brief.instruction,
            events=draft.shown,
            flaws=flaws(draft.rehearsal.violations),
        )
        critique = await self._talk.ask("critic", request, Critique, _settle)
        self._drafts[-1] = replace(draft, critique=critique)
        return critique


def _settle(critique: Critique) -> Critique:
    """Approval of something that needs revision is none."""
    if critique.decision == "approve" and critique.passes < 3:
        return critique.model_copy(update={"decision": "revise_composition"})
    return critique
