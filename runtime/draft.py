"""A chunk in the making: performed a few frames at a time, checked, then a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from core import CHANNELS, F32, MOUTH_CHANNELS, ControlTrack, MouthTrack
from planner.action import Action
from planner.behaviour import Behaviour, Piece
from planner.plan import Exchange, Plan, Score
from planner.repair import repair

FORK_EVERY: Final = 16
"A copy of the performer is kept so often: going back to any frame takes fewer frames than that."


class Draft:
    """The performance of one score from one moment on."""

    def __init__(
        self,
        performer: Behaviour,
        frames: int,
        *,
        index: int,
        label: str,
        instruction: str,
        written: tuple[Score | None, Sequence[Exchange]] = (None, ()),
    ) -> None:
        """Args:
        performer: Where to go on from; it is copied, not changed.
        frames: How long the embedded planner's score shall be.
        index: Which draft of the session it is.
        written: A score to perform instead, if there is one, and how it came about or failed.
        """
        first = performer.fork()
        score, self._exchanges = written
        if score is not None:
            first.perform(score)
        self.score = score or first.score(frames)
        self.index = index
        self.start = first.frame
        self.label, self.instruction, self.state = label, instruction, first.state
        self.plan: Plan | None = None
        self.decided: list[tuple[int, Action]] = first.decided()
        "Announcements, each with the frame before which it was decided."
        self.pieces: list[Piece] = [first.wearing] if first.wearing else []
        self._forks = [first]
        self._live = first.fork()
        self._controls = np.empty((self.score.frames, len(CHANNELS)), np.float32)
        self._mouth = np.empty((self.score.frames, len(MOUTH_CHANNELS)), np.float32)

    @property
    def end(self) -> int:
        """First frame after it, counted since the session began."""
        return self.start + self.score.frames

    @property
    def complete(self) -> bool:
        """Whether every frame has been performed."""
        return self.missing == 0

    @property
    def missing(self) -> int:
        """Frames that are still to be performed."""
        return self.end - self._live.frame

    @property
    def after(self) -> Behaviour:
        """The performer at the end of a complete draft; copy it, do not advance it."""
        assert self.complete
        return self._live

    def performer_at(self, frame: int) -> Behaviour:
        """A copy of the performer when ``frame`` was still to be performed."""
        forks = self._forks
        nearest = forks[min((frame - self.start) // FORK_EVERY, len(forks) - 1)]
        performer = nearest.fork()
        performer.advance(frame - performer.frame)
        performer.decided(), performer.pieces()
        return performer

    def perform(self, frames: int) -> None:
        """Perform up to ``frames`` more frames."""
        while frames > 0 and not self.complete:
            done = self._live.frame - self.start
            if done and done % FORK_EVERY == 0:
                self._forks.append(self._live.fork())
            n = min(frames, FORK_EVERY - done % FORK_EVERY, self.score.frames - done)
            self._controls[done : done + n] = self._live.advance(n).values
            self._mouth[done : done + n] = self._live.last_mouth.values
            self.decided += self._live.decided()
            self.pieces += self._live.pieces()
            frames -= n

    def note(self, exchanges: Sequence[Exchange]) -> None:
        """Remember how another score for this chunk was tried and failed."""
        self._exchanges = exchanges
        if self.plan is not None:
            self.plan = replace(self.plan, exchanges=exchanges)

    def finish(self, before: F32) -> Plan:
        """Perform what is missing, let the critic mend it, and make the plan of it.

        Args:
            before: float32 ``[N, 17]``, the rows played before it.
        """
        if self.plan is None:
            self.perform(self.score.frames)
            past = ControlTrack(before)
            controls, found = repair(self._controls, past, state=self.state)
            self.plan = Plan(
                start=self.start,
                label=self.label,
                instruction=self.instruction,
                state=self.state,
                score=self.score,
                controls=controls,
                mouth=MouthTrack(self._mouth),
                repaired=tuple(found),
                exchanges=self._exchanges,
            )
        return self.plan
