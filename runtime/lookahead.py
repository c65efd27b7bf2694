"""Plans ahead: chunk k+1 is made while chunk k plays, and what plays is always there.

The embedded planner performs the next chunk a few frames at a time beside the one that plays, so
planning never shows in the load. A score that a language model wrote replaces it when it comes
early enough; later, it waits for the next chunk; never, nobody notices. A command cuts the plan at
the present frame: the performer is taken back to that frame and goes on from there under the
command, continuous in position and velocity.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import numpy as np

from core import CHANNELS, CHUNK_FRAMES, F32, FPS, WINDOW_FRAMES, ControlTrack, MouthTrack
from planner.action import Action
from planner.beats import Beats
from planner.behaviour import Behaviour, Piece
from planner.manners import State
from planner.motion import F64
from planner.plan import Exchange, Plan, Score
from planner.repair import repair
from planner.rules import Violation
from runtime.draft import Draft

T = TypeVar("T")

PAST_FRAMES: Final = 40 * FPS
"What the critic sees of the past: blink intervals are the longest thing it looks at."
DRAFT_SHARE: Final = 6
"""Frames drafted for every frame played: the next chunk is ready, and shown to those who watch the
plan, after a sixth of its length. More, where a score came late."""
JOIN_FRAMES: Final = FPS
"A score must come this long before the chunk it is for, or it waits for the one after."
CUT_FRAMES: Final = 2 * WINDOW_FRAMES
"""Length of the chunk that begins where a command cuts: it is made at once, while all sessions
wait."""
GROWTH: Final = 2.5
"""A chunk is at most so many times as long as the one before: less than `DRAFT_SHARE`, so that it
is ready in time, and the critic has a step of its own."""
KEPT_PLANS: Final = 6
KEPT_NEWS: Final = 256


@dataclass(frozen=True, slots=True)
class Chunk:
    """A plan as others see it."""

    index: int
    "Counts up in a session; some are never played."
    plan: Plan
    pieces: tuple[Piece, ...]
    status: str
    "ahead, playing, played or cut."


class Lookahead:
    """The plan that plays, the one after it, and a short memory of those before."""

    def __init__(
        self,
        behaviour: Behaviour,
        *,
        label: str = "idle",
        instruction: str = "",
        seed: int = 0,
        chunk: int = CHUNK_FRAMES,
    ) -> None:
        """Args:
        behaviour: The performer, fresh.
        chunk: Frames planned at once.
        """
        self._length = chunk
        self._label, self._instruction = label, instruction
        self._frame = 0
        self._beats = Beats(seed)
        self._past: F32 = np.zeros((0, len(CHANNELS)), np.float32)
        self._news: deque[Action] = deque(maxlen=KEPT_NEWS)
        self._told: list[tuple[int, Action]] = []
        self._plans: deque[Chunk] = deque(maxlen=KEPT_PLANS)
        self._fresh: deque[Chunk] = deque(maxlen=KEPT_PLANS)
        self._index = -1
        self.generation = 0
        "Grows with every command: what was asked for before is out of date."
        self._offer: tuple[Score | None, Sequence[Exchange]] = (None, ())
        self._next: Draft | None = None
        self._current = self._begin(behaviour, chunk)
        self._finish(self._current, self._past)

    # --- commands ----------------------------------------------------------------------------

    def behave(self, *, label: str | None = None, instruction: str | None = None) -> list[str]:
        """Feel ``label`` and do what ``instruction`` says, from the next frame on.

        Returns:
            The parts of the instruction that were not understood.

        Raises:
            InvalidInput: An unknown label, or an instruction that is too long; nothing changes.
        """
        trial = self._current.performer_at(self._frame)
        if label is not None:
            trial.set_label(label)
        unknown = trial.set_instruction(instruction) if instruction is not None else []
        self._label = self._label if label is None else label
        self._instruction = self._instruction if instruction is None else instruction
        self._cut(trial)
        return unknown

    def set_state(self, state: State) -> None:
        """Behave as one who is idle, listens, thinks or speaks, from the next frame on.

        Raises:
            InvalidInput: There is no such state; nothing changes.
        """
        if state != self._current.state:
            self._replan(lambda performer: performer.set_state(state))

    def end_phrase(self) -> None:
        """A spoken phrase has just ended: often the moment of a blink."""
        trial = self._current.performer_at(self._frame)
        if trial.end_phrase():
            self._cut(trial)

    def strike(self, strength: float) -> None:
        """A stressed syllable sounds now: a beat of the head. ``strength`` in [0, 1]."""
        action = self._beats.strike(max(self._frame - 1, 0) / FPS, strength)
        if action is not None:
            self._news.append(action)

    def offer(self, score: Score | None, exchanges: Sequence[Exchange]) -> None:
        """A better score for the next chunk. It joins there, or one chunk later.

        Args:
            score: None when the attempt failed: the embedded score stays, and tells why.
            exchanges: How it came about.
        """
        if score is None and self._next is not None:
            self._next.note(exchanges)
            return
        self._offer = (score, exchanges)
        if self._next is not None and self._next.start - self._frame >= JOIN_FRAMES:
            self._withdraw(self._next.start)
            self._next = self._follow()

    # --- playing -----------------------------------------------------------------------------

    @property
    def frame(self) -> int:
        """The next frame to be played."""
        return self._frame

    @property
    def playing(self) -> Plan:
        """The plan that plays."""
        assert self._current.plan is not None
        return self._current.plan

    def take(self, frames: int) -> tuple[ControlTrack, MouthTrack]:
        """The next ``frames`` frames, float32 ``[frames, 17]`` and ``[frames, 9]``."""
        rows = [self._row() for _ in range(frames)]
        self._draft(frames)
        played = np.stack(rows).astype(np.float32)
        width = len(CHANNELS)
        return (
            ControlTrack(np.ascontiguousarray(played[:, :width])),
            MouthTrack(np.ascontiguousarray(played[:, width:])),
        )

    def rewind(self, frames: int) -> int:
        """Up to ``frames`` of the frames taken last will not be played: take them again.

        Returns:
            How many; never back into the chunk before.
        """
        back = min(frames, self._frame - self._current.start)
        self._frame -= back
        return back

    def rehearsal(self) -> Callable[[Score], tuple[ControlTrack, list[Violation]]]:
        """What performs a score as the next chunk without playing it; for any thread."""
        after, before, state = self._current.after, self._before_next(), self._current.state

        def rehearse(score: Score) -> tuple[ControlTrack, list[Violation]]:
            performer = after.fork()
            performer.perform(score)
            return repair(performer.advance(score.frames), ControlTrack(before), state=state)

        return rehearse

    def news(self) -> list[Action]:
        """What was announced, or withdrawn, since the last call."""
        told = list(self._news)
        self._news.clear()
        return told

    def fresh(self) -> list[Chunk]:
        """Plans made since the last call."""
        made = list(self._fresh)
        self._fresh.clear()
        return made

    def plans(self) -> list[Chunk]:
        """The plans there are, newest first."""
        ahead = self._next is not None and self._next.plan is not None
        return [
            *([_seen(self._next, "ahead")] if ahead and self._next else []),
            _seen(self._current, "playing"),
            *reversed(self._plans),
        ]

    # --- inside ------------------------------------------------------------------------------

    def _row(self) -> F64:
        if self._frame == self._current.end:
            self._turn()
        at = self._frame - self._current.start
        plan = self.playing
        row: F64 = np.concatenate([plan.controls.values[at], plan.mouth.values[at]]).astype(float)
        self._beats.add_to(row, self._frame / FPS)
        self._frame += 1
        return row

    def _replan(self, command: Callable[[Behaviour], T]) -> T:
        trial = self._current.performer_at(self._frame)
        result = command(trial)  # raises before anything has changed
        self._cut(trial)
        return result

    def _cut(self, performer: Behaviour) -> None:
        """Play what ``performer`` does from the next frame on."""
        self.generation += 1
        self._offer = (None, ())
        self._close("cut")
        self._withdraw(self._frame)
        self._next = None
        self._current = self._begin(performer, min(CUT_FRAMES, self._length))
        self._finish(self._current, self._past)

    def _turn(self) -> None:
        """The next chunk becomes the current one."""
        draft = self._next or self._follow()
        self._finish(draft, self._before_next())
        self._close("played")
        self._current, self._next = draft, None
        self._told = [(at, action) for at, action in self._told if action.end > self._frame]

    def _close(self, status: str) -> None:
        """Remember the current chunk, of which no more will be played."""
        played = self.playing.controls.values[: self._frame - self._current.start]
        self._past = np.concatenate([self._past, played])[-PAST_FRAMES:]
        if len(played):
            self._plans.append(_seen(self._current, status))

    def _before_next(self) -> F32:
        return np.concatenate([self._past, self.playing.controls.values])[-PAST_FRAMES:]

    def _follow(self) -> Draft:
        """Begin the chunk after the current one."""
        longest = round(GROWTH * self._current.score.frames)
        return self._begin(self._current.after, min(longest, self._length))

    def _begin(self, performer: Behaviour, frames: int) -> Draft:
        offer, self._offer = self._offer, (None, ())
        self._index += 1
        return Draft(
            performer,
            frames,
            index=self._index,
            label=self._label,
            instruction=self._instruction,
            written=offer,
        )

    def _draft(self, frames: int) -> None:
        """Perform some more of the next chunk, now that ``frames`` have been played."""
        if self._next is None:
            self._next = self._follow()
        if not self._next.complete:
            left = max(self._next.start - self._frame, 1)
            self._next.perform(
                max(DRAFT_SHARE * frames, math.ceil(self._next.missing * frames / left))
            )
        elif self._next.plan is None:  # in a step of its own: the critic takes some ms
            self._finish(self._next, self._before_next())

    def _finish(self, draft: Draft, before: F32) -> None:
        if draft.plan is not None:
            return
        draft.finish(before)
        self._fresh.append(_seen(draft, "ahead"))
        self._announce(draft.decided)

    def _announce(self, decided: Sequence[tuple[int, Action]]) -> None:
        for at, action in decided:
            known = [a for _, a in self._told if (a.kind, a.start) == (action.kind, action.start)]
            if action.amount == 0:
                self._told = [(b, a) for b, a in self._told if a not in known]
                self._news.extend([action] if known else [])
            elif action not in known:
                self._told.append((at, action))
                self._news.append(action)

    def _withdraw(self, frame: int) -> None:
        """Take back what was decided for frames that will not be played as planned."""
        for at, action in self._told:
            if at >= frame:
                self._news.append(replace(action, amount=0.0, why="withdrawn"))
        self._told = [(at, action) for at, action in self._told if at < frame]


def _seen(draft: Draft, status: str) -> Chunk:
    assert draft.plan is not None
    return Chunk(draft.index, draft.plan, tuple(draft.pieces), status)
