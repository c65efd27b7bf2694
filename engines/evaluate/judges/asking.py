"""Questions put to a judge, some at a time; answers are kept as they come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from core import InvalidInput, Unavailable
from engines.evaluate.judges.answers import Unreadable
from engines.evaluate.judges.cache import Cache, Entry
from engines.evaluate.judges.endpoint import Endpoint, Sampling
from engines.evaluate.judges.evidence import Message

AGAIN: Final = 2
"Times a question is asked again whose answer can not be read."
MOST_FAILURES: Final = 3
"Questions in a row that fail before nothing more is asked."
KEPT: Final = 8_000
"Characters of a reply that are kept: its end."
SEEDS_APART: Final = 10_000
"Between a question's tries, so that they do not meet those of its repeats."


@dataclass(frozen=True, slots=True)
class Question:
    """One question, ready to be sent."""

    key: str
    "In the cache."
    system: str
    parts: Message
    sampling: Sampling
    read: Callable[[str], str]
    "The answer in a reply; raises `Unreadable`."


class Desk:
    """Asks at most so many questions at a time, and stops where a judge is down.

    Use it in ``async with``: leaving waits for all answers, or, on an error, drops what is open.
    """

    def __init__(self, endpoint: Endpoint, cache: Cache, connections: int) -> None:
        self._endpoint = endpoint
        self._cache = cache
        self._lines = asyncio.Semaphore(connections)
        # One waits ready for a line; the others would only hold memory.
        self._slots = asyncio.Semaphore(connections + 1)
        self._tasks = asyncio.TaskGroup()
        self._failures = 0

    async def __aenter__(self) -> Desk:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        try:
            await self._tasks.__aexit__(*error)  # type: ignore[arg-type]
        except ExceptionGroup as group:
            raise group.exceptions[0] from None

    async def put(self, question: Question, done: Callable[[Entry], None]) -> None:
        """Ask as soon as there is room; ``done`` gets what came of it.

        Leaving the desk raises Unavailable where the judge is down, InvalidInput where it
        refuses everything.
        """
        await self._slots.acquire()
        self._tasks.create_task(self._answer(question, done))

    async def _answer(self, question: Question, done: Callable[[Entry], None]) -> None:
        try:
            async with self._lines:
                entry = await ask(self._endpoint, question)
        except (Unavailable, InvalidInput) as error:
            self._failures += 1
            if error.facts.get("final") or self._failures >= MOST_FAILURES:
                raise
            done(Entry(None, error.message, tries=0))
        else:
            self._failures = 0
            self._cache.put(question.key, entry)
            done(entry)
        finally:
            self._slots.release()


async def ask(endpoint: Endpoint, question: Question) -> Entry:
    """Ask, and ask again where the answer can not be read.

    Raises:
        Unavailable, InvalidInput: As `Endpoint.ask`.
    """
    why = said = ""
    for attempt in range(AGAIN + 1):
        seed = question.sampling.seed + attempt * SEEDS_APART
        said = await endpoint.ask(
            question.system, question.parts, replace(question.sampling, seed=seed)
        )
        try:
            return Entry(question.read(said), "", said[-KEPT:], attempt + 1)
        except Unreadable as error:
            why = error.message
    return Entry(None, why, said[-KEPT:], AGAIN + 1)
