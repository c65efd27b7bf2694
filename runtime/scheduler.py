"""One loop for all sessions: plan → render → leave.

A session is planned when its next window is due, earliest first, and what is planned leaves when it
is due, whether its pictures are there or not. Rendering runs in threads (kernels release the GIL),
one window a session at a time; everything else here is on the event loop. When a session is late,
video gives way: first the last picture is held, then its clock is moved. Audio is never dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from typing import Final

from core import FPS, U8
from runtime.capacity import MOST
from runtime.log_context import about
from runtime.renderer import Renderer
from runtime.session import Session
from runtime.settings import RuntimeSettings
from runtime.stagger import delay
from runtime.timeline import Coming
from runtime.window import Window

log = logging.getLogger(__name__)

FAILED: Final = "failed"
"Why a session ended: a bug of ours."
REPORT_EVERY: Final = 1.0
"Seconds between `stats` events."


@dataclass(frozen=True, slots=True)
class _Work:
    """A window to be rendered."""

    window: Window
    first: int
    "Its first frame to be rendered."
    deadline: float
    quick: bool = False
    "Somebody waits: the fastest way."


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
        self._next: dict[str, _Work] = {}
        "What a session renders after what it renders now: the newest."
        self._ending: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        # A session's thread may wait for its turn at the generator, while others paint.
        threads = settings.render_threads + (settings.max_sessions or MOST)
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="render")
        self._reported = 0.0

    def add(self, session: Session) -> None:
        """Start running a session, its windows between those of the others."""
        frames = session.renderer.window_frames
        others = self._sessions.values()
        alike = (s.clock.due() for s in others if s.renderer.window_frames == frames)
        session.clock.epoch += delay(session.clock.due(), alike, frames / FPS)
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
                self._advance(now)
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
        """Until the next window is due or something leaves."""
        times = [session.clock.due() for session in self._sessions.values()]
        times += [at for s in self._sessions.values() if (at := s.delivery.leaves()) is not None]
        return min(0.5, max(0.0, min(times, default=1e9) - self._clock()))

    def _advance(self, now: float) -> None:
        """All that is due, the most urgent session first. A failure ends its session alone."""
        for session in sorted(self._sessions.values(), key=lambda s: s.clock.due()):
            with about(session.id):
                self._advance_one(session, now)

    def _advance_one(self, session: Session, now: float) -> None:
        try:
            session.hurry(now)
            if session.clock.due() <= now:
                self._plan(session, now)
            self._fill(session)
            session.delivery.leave(now)
        except Exception:
            log.exception("session failed")
            self._end(session, FAILED)

    def _plan(self, session: Session, now: float) -> None:
        late = session.clock.late_ms(now)
        if late > self._settings.reanchor_after_ms:
            session.reanchor(now)
            late = 0.0
        session.stats.late_ms.append(late)
        deadline = session.clock.presented(session.clock.frame)
        window = session.plan()
        patience = max(self._settings.hold_after_ms, 500 * len(window) / FPS)
        wanted = late <= patience
        pictures: Coming = "made" if wanted else "held"
        session.timeline.add(window, pictures if session.viewers else "for nobody")
        if wanted and session.viewers:
            self._start(session, _Work(window, window.start, deadline))

    def _fill(self, session: Session) -> None:
        """Somebody has come: what was planned for nobody is rendered quickly."""
        if not session.viewers or session.id in self._rendering:
            return
        blank = session.timeline.blank()
        if blank is not None:
            window, first = blank
            session.timeline.want(window)
            self._start(session, _Work(window, first, session.clock.presented(first), quick=True))

    def _start(self, session: Session, work: _Work) -> None:
        if session.id in self._rendering:
            skipped = self._next.get(session.id)
            if skipped is not None:
                session.timeline.give_up(skipped.window)
            self._next[session.id] = work
            return
        task = asyncio.create_task(self._render(session, work), name=f"window {session.id}")
        self._rendering[session.id] = task

    async def _render(self, session: Session, work: _Work) -> None:
        """Windows of one session, until none waits. A failure ends that session and no other."""
        loop = asyncio.get_running_loop()
        next_: _Work | None = work
        try:
            while next_ is not None:
                work, began = next_, self._clock()
                session.clock.rendering_since = began

                def show(frame: int, picture: U8 | None, of: Window = work.window) -> None:
                    session.timeline.show(of, frame, picture)
                    self._wake.set()

                def paint(renderer: Renderer = session.renderer, work: _Work = work) -> None:
                    pictures = (
                        renderer.quick(work.window, work.first)
                        if work.quick
                        else renderer.render(work.window, work.deadline)
                    )
                    for frame, picture in enumerate(pictures, work.first):
                        loop.call_soon_threadsafe(show, frame, picture)

                await loop.run_in_executor(self._pool, copy_context().run, paint)
                took = self._clock() - began
                session.stats.render_ms.append(took * 1000 / len(work.window))
                session.rendered()
                next_ = self._next.pop(session.id, None)
        except Exception:
            log.exception("session failed")
            self._end(session, FAILED)
        finally:
            session.clock.rendering_since = None
            self._next.pop(session.id, None)
            self._rendering.pop(session.id, None)
            self._wake.set()

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
                self._end(session, session.limit)
            elif left <= self._settings.warn_before and not session.warned:
                session.warn_expiring(left)

    def _end(self, session: Session, reason: str) -> None:
        self._sessions.pop(session.id, None)

        async def expire() -> None:
            await self._expire(session, reason)

        task = asyncio.create_task(expire(), name=f"end {session.id}")
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
