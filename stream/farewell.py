"""Sessions whose page has gone: they end soon, unless it comes back (a reload)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final
from weakref import WeakKeyDictionary

from core import NotFound
from runtime.session import Session
from runtime.sessions import Sessions

POLL: Final = 0.25
"Seconds between two looks at viewers that may connect yet."


class Farewells:
    """Owner of the timers. ``async with``: leaving it stops them."""

    def __init__(self, sessions: Sessions, connecting: Callable[[Session], bool]) -> None:
        """``connecting`` tells whether a viewer of the session has not connected yet.

        Such a one may be of the page that goes, whose offer was under way; it does so within the
        `connect_timeout` or is closed.
        """
        self._sessions = sessions
        self._connecting = connecting
        self._leaving: WeakKeyDictionary[Session, asyncio.Task[None]] = WeakKeyDictionary()

    async def __aenter__(self) -> Farewells:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        tasks = list(self._leaving.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def say(self, session: Session, after: float) -> None:
        """End a session in ``after`` seconds if nobody watches it then or has spoken to it."""
        self.take_back(session)
        task = asyncio.create_task(self._wait(session, after), name=f"farewell {session.id}")
        self._leaving[session] = task

    def take_back(self, session: Session) -> None:
        """Its page is back."""
        task = self._leaving.pop(session, None)
        if task is not None:
            task.cancel()

    async def _wait(self, session: Session, after: float) -> None:
        # A page that leaves says so before its picture and socket are closed.
        gone = time.monotonic() + after / 2
        await asyncio.sleep(after)
        while self._connecting(session):  # noqa: ASYNC110 - as rare as this is, no event
            await asyncio.sleep(POLL)
        if session.viewers or session.limits.touched > gone:
            return
        with contextlib.suppress(NotFound):  # it has ended by itself
            await self._sessions.close(session.id)
