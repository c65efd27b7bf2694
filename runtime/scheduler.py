"""One loop for all sessions: schedule → render → deliver.

A session is planned when its next window is due, earliest first. Rendering runs in a small thread
pool (kernels release the GIL); everything else here is on the event loop. When a session is late,
video gives way: first the last picture is held, then its clock is moved. Audio is never dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from core import U8
from runtime.session import Session
from runtime.settings import RuntimeSettings
from runtime.window import Window

log = logging.getLogger(__name__)

REPORT_EVERY: Final = 1.0
"Seconds between `stats` events."


class Scheduler:
    """Runs the sessions it is given until they are taken away."""

    def __init__(
        self,
        settings: RuntimeSettings,
        *,
        clock: Callable[[], float],
        expire: Callable[[Session, str], Awaitable[None]],
    ) -> None:
        """``expire(session, reason)`` is awaited when a limit or a failure ends a session."""
        self._settings = settings
        self._clock = clock
        self._expire = expire
        self._sessions: dict[str, Session] = {}
        self._rendering: dict[str, asyncio.Task[None]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._pool = ThreadPoolExecutor(settings.render_threads, thread_name_prefix="render")
        self._reported = 0.0

    def add(self, session: Session) -> None:
        """Start running a session."""
        self._sessions[session.id] = session
        self._wake.set()

    async def remove(self, session: Session) -> None:
        """Stop running a session; returns when its last window is out of the renderer."""
        self._sessions.pop(session.id, None)
        task = self._rendering.get(session.id)
        if task is not None:
            await asyncio.gather(task, return_exceptions=True)

    async def run(self) -> None:
        """The loop. Runs until cancelled."""
        try:
            while True:
                self._wake.clear()
                now = self._clock()
                self._start_due(now)
                self._housekeep(now)
                try:
                    async with asyncio.timeout(self._sleep_for()):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            await asyncio.gather(*self._rendering.values(), *self._ending, return_exceptions=True)
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _sleep_for(self) -> float:
        """Until the next window is due; sessions in the renderer wake the loop themselves."""
        due = [s.due() for s in self._sessions.values() if s.id not in self._rendering]
        return min(0.5, max(0.0, min(due, default=1e9) - self._clock()))

    def _start_due(self, now: float) -> None:
        due = [s for s in self._sessions.values() if s.id not in self._rendering and s.due() <= now]
        for session in sorted(due, key=Session.due):
            task = asyncio.create_task(self._step(session, now), name=f"window {session.id}")
            self._rendering[session.id] = task

    async def _step(self, session: Session, now: float) -> None:
        """One window of one session. A failure ends that session and no other."""
        try:
            late = session.late_ms(now)
            if late > self._settings.reanchor_after_ms:
                session.reanchor(now)
                late = 0.0
            session.stats.late_ms.append(late)
            window = session.plan()
            pictures = None
            if session.viewers and late <= self._settings.hold_after_ms:
                pictures = await self._render(session, window)
            session.deliver(window, pictures)
        except Exception:
            log.exception("session failed", extra={"session": session.id})
            self._end(session, "internal error")
        finally:
            self._rendering.pop(session.id, None)
            self._wake.set()

    async def _render(self, session: Session, window: Window) -> list[U8]:
        loop = asyncio.get_running_loop()
        began = self._clock()
        pictures = await loop.run_in_executor(self._pool, session.renderer.render, window)
        session.stats.render_ms.append((self._clock() - began) * 1000 / len(window))
        return pictures

    def _housekeep(self, now: float) -> None:
        if now - self._reported < REPORT_EVERY:
            return
        self._reported = now
        for session in list(self._sessions.values()):
            session.report(now)
            left = session.expires_in(now)
            if left is None:
                continue
            if left <= 0:
                self._end(session, "limit reached")
            elif left <= self._settings.warn_before and not session.warned:
                session.warn_expiring(left)

    def _end(self, session: Session, reason: str) -> None:
        self._sessions.pop(session.id, None)

        async def expire() -> None:
            await self._expire(session, reason)

        task = asyncio.create_task(expire(), name=f"end {session.id}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
