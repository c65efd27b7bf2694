"""Which session a line of the log is about, also where nobody who logs knows of sessions.

Tasks inherit it from who started them; threads do not, so give them a copy of the context.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

SESSION: Final[ContextVar[str | None]] = ContextVar("session", default=None)


@contextmanager
def about(session: str) -> Iterator[None]:
    """Everything inside, and all tasks started there, is about a session."""
    token = SESSION.set(session)
    try:
        yield
    finally:
        SESSION.reset(token)
