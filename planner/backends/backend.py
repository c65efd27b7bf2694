"""The one protocol between the agents and whatever answers them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from core import Unavailable
from planner.messages import Reply, Role

R = TypeVar("R", bound=Reply)


class PlannerFailed(Unavailable):
    """A back end gave no answer that can be used."""

    code = "planner-failed"

    def __init__(self, kind: str, message: str) -> None:
        """Args:
        kind: connection, timeout, busy, paused, refused, http, too_large, truncated, empty,
            not_json, wrong_schema, or missing (software or weights that are not there).
        message: What happened, for people.
        """
        super().__init__(message, kind=kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Answer(Generic[R]):
    """What came back, checked."""

    content: R
    reasoning: str = ""
    "The chain of thought: what was thought aloud, then the answer's own ``reasoning``."


@dataclass(frozen=True, slots=True)
class Question(Generic[R]):
    """One call of a model."""

    role: Role
    system: str
    user: str
    reply: type[R]
    "What the answer has to be."
    image: bytes | None = None
    "A JPEG of the portrait."
    seed: int = 0


class Backend(Protocol):
    """Answers questions. One is shared by all sessions."""

    @property
    def name(self) -> str:
        """endpoint or local."""

    async def ask(self, question: Question[R], seconds: float) -> Answer[R]:
        """Answer within ``seconds``.

        Raises:
            PlannerFailed: There is no answer that can be used.
        """

    async def aclose(self) -> None:
        """Let go of what it holds; asking afterwards fails."""
