"""Questions to one back end under one deadline, every one of them on record."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar

from core import InvalidInput
from planner.backends.backend import Answer, Backend, PlannerFailed, Question, R
from planner.messages import Request, Role
from planner.plan import Exchange
from planner.prompts import SYSTEM, fenced

log = logging.getLogger(__name__)

T = TypeVar("T")

MOST_EXCHANGES: Final = 32
"Exchanges that are kept, the last ones."
GRACE_SECONDS: Final = 0.25
"A back end that overstays its time by more is cut off."
ASK_AGAIN: Final = frozenset({"empty", "not_json", "wrong_schema", "unusable"})
"Kinds of failure that a second answer may mend."
SEEING: Final = frozenset({"analysis", "planning", "composition"})
"Roles that may see the portrait."


class Conversation:
    """Asks, checks, asks again, and keeps what was said."""

    def __init__(
        self, backend: Backend, *, seconds: float, attempts: int, image: bytes | None, seed: int
    ) -> None:
        """Args:
        backend: Who answers.
        seconds: From now to the last answer.
        attempts: Questions for one answer, when the first can not be used.
        image: A JPEG of the portrait, when it may be sent.
        seed: For the model's choices.
        """
        self.exchanges: list[Exchange] = []
        self._backend = backend
        self._attempts = attempts
        self._image = image
        self._seed = seed
        self._deadline = time.monotonic() + seconds

    async def ask(self, role: Role, request: Request, reply: type[R], use: Callable[[R], T]) -> T:
        """The answer to ``request`` as ``use`` makes it; asked again when it can not be used.

        Raises:
            PlannerFailed: No answer can be used, or there is no time left.
        """
        complaint = ""
        for attempt in range(self._attempts):
            began = time.monotonic()
            try:
                answer = await self._answer(role, fenced(request, complaint), reply, attempt)
                try:
                    used = use(answer.content)
                except InvalidInput as error:
                    self._note(role, request, answer, error.message, began)
                    raise PlannerFailed("unusable", error.message) from error
            except PlannerFailed as failure:
                if failure.kind != "unusable":
                    self._note(role, request, None, f"{failure.kind}: {failure.message}", began)
                if failure.kind not in ASK_AGAIN or attempt + 1 == self._attempts:
                    raise
                complaint = failure.message
            else:
                self._note(role, request, answer, "", began)
                return used
        raise AssertionError("unreachable")

    async def _answer(self, role: Role, user: str, reply: type[R], attempt: int) -> Answer[R]:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise PlannerFailed("timeout", f"No time left to ask for the {role}.")
        image = self._image if role in SEEING else None
        question = Question(role, SYSTEM[role], user, reply, image, self._seed + attempt)
        try:
            async with asyncio.timeout(left + GRACE_SECONDS):
                return await self._backend.ask(question, left)
        except PlannerFailed:
            raise
        except TimeoutError as error:
            raise PlannerFailed("timeout", f"The {self._backend.name} overstayed.") from error
        except Exception as error:
            # Video must not depend on a back end being free of bugs; it is told, not hidden.
            log.exception("The %s back end failed", self._backend.name)
            raise PlannerFailed("bug", f"The {self._backend.name} back end failed.") from error

    def _note(
        self,
        role: Role,
        request: Request,
        answer: Answer[R] | None,
        error: str,
        began: float,
    ) -> None:
        self.exchanges.append(
            Exchange(
                role=role,
                source=self._backend.name,
                request=request.model_dump(mode="json", exclude={"role"}),
                answer={}
                if answer is None
                else answer.content.model_dump(mode="json", exclude={"reasoning"}),
                reasoning="" if answer is None else answer.reasoning,
                error=error,
                seconds=round(time.monotonic() - began, 3),
            )
        )
        del self.exchanges[:-MOST_EXCHANGES]
