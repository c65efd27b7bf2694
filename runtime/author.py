"""Has a language model write the score of the next chunk while this one plays.

One attempt at a time for each session, in a task of its own; whatever becomes of it, the embedded
planner's chunk is already there. What is out of date when it is done (a command came in between)
is dropped.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable
from typing import Final

from PIL import Image

from core import Portrait
from planner.agents import Brief, Limits, Rehearsal, reflect, write_score
from planner.backends.backend import Backend
from planner.categories import category
from planner.plan import Exchange, Score
from runtime.lookahead import Lookahead
from runtime.settings import PlannerSettings

log = logging.getLogger(__name__)

PICTURE_SIDE: Final = 256
"Pixels of the portrait that a model is shown."
MOST_SPEECH: Final = 1_000
"Characters of what is being said."


class Writers:
    """The back end, shared by all sessions, and how many of them may use it at once."""

    def __init__(self, backend: Backend, settings: PlannerSettings) -> None:
        self.backend = backend
        self.settings = settings
        self.gate = asyncio.Semaphore(settings.concurrency)

    async def aclose(self) -> None:
        """Let go of the back end."""
        await self.backend.aclose()


class Author:
    """Writes ahead for one session; `close` it with the session."""

    def __init__(self, writers: Writers, portrait: Portrait, tell: Callable[[str], None]) -> None:
        """Args:
        tell: Is told in words why a score could not be written, and "" when one could again.
        """
        self._writers = writers
        self._tell = tell
        self._picture = _jpeg(portrait) if writers.settings.image else None
        self._task: asyncio.Task[None] | None = None
        self._generation = -1
        self._written_from = -1
        self._trouble = ""
        self._advice = ""

    def follow(self, ahead: Lookahead, said: str, unknown: bool) -> None:
        """Begin to write the chunk after the one that plays, where none is being written.

        Args:
            said: What is being said, as far as known.
            unknown: Whether part of the instruction was not understood without a model.
        """
        busy = self._task is not None and not self._task.done()
        if busy and ahead.generation != self._generation:
            assert self._task is not None
            self._task.cancel()  # what it works on is out of date
            return
        if busy or (ahead.playing.start, ahead.generation) == (
            self._written_from,
            self._generation,
        ):
            return
        first = ahead.generation != self._generation
        self._generation, self._written_from = ahead.generation, ahead.playing.start
        brief = self._brief(ahead, said, tell_instruction=first or unknown)
        self._task = asyncio.create_task(self._write(ahead, brief), name="author")

    async def close(self) -> None:
        """Give up what is being written."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # --- inside ------------------------------------------------------------------------------

    def _brief(self, ahead: Lookahead, said: str, *, tell_instruction: bool) -> Brief:
        plan = ahead.playing
        felt = category(plan.label)
        return Brief(
            label=plan.label,
            title=felt.title,
            description=felt.description,
            # The embedded planner has carried out what it understood: once is enough.
            instruction=plan.instruction if tell_instruction else "",
            state=plan.state,
            start=tuple(float(v) for v in plan.controls.values[-1]),
            speech=said[:MOST_SPEECH],
            advice=self._advice,
            portrait=self._picture,
            seed=plan.start,
        )

    async def _write(self, ahead: Lookahead, brief: Brief) -> None:
        generation, perform = ahead.generation, ahead.rehearsal()
        settings = self._writers.settings

        def rehearse(score: Score) -> Rehearsal:
            track, found = perform(score)
            return Rehearsal(track, tuple(found))

        limits = Limits(
            seconds=settings.budget, compositions=settings.revisions, analyse=settings.analyse
        )
        async with self._writers.gate:
            looked_back = await self._reflect(ahead, brief) if settings.reflect else ()
            outcome = await write_score(brief, self._writers.backend, rehearse, limits)
        if ahead.generation != generation:
            return
        ahead.offer(outcome.score, (*looked_back, *outcome.exchanges))
        self._report("" if outcome.score is not None else outcome.error or "no answer was usable")

    async def _reflect(self, ahead: Lookahead, brief: Brief) -> tuple[Exchange, ...]:
        """Look back at the last chunk whose score a model wrote, if it has just played."""
        last = next((c.plan for c in ahead.plans() if c.status == "played"), None)
        if last is None or last.score.source == "embedded":
            return ()
        limits = Limits(seconds=self._writers.settings.timeout)
        advice = await reflect(brief, last.score, last.controls, self._writers.backend, limits)
        self._advice = advice.text
        return advice.exchanges

    def _report(self, trouble: str) -> None:
        if bool(trouble) != bool(self._trouble):  # once, not every four seconds
            self._trouble = trouble
            self._tell(trouble)


def _jpeg(portrait: Portrait) -> bytes:
    picture = Image.fromarray(portrait.crop).resize((PICTURE_SIDE, PICTURE_SIDE))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()
