"""The owner of all sessions: admits, finds and ends them."""

from __future__ import annotations

import asyncio
import gc
import logging
import secrets
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

from core import Busy, NotFound, Portrait
from engines.voice import Voice
from runtime.adaptation import Adaptations
from runtime.author import Writers
from runtime.portraits import PortraitStore
from runtime.renderer import Renderer
from runtime.renderers import Renderers
from runtime.scheduler import Scheduler
from runtime.session import Session
from runtime.settings import RuntimeSettings
from runtime.stats import Stats

log = logging.getLogger(__name__)

MEASURED: Final = "generator-speed.json"


class Sessions:
    """``async with Sessions(...)``: leaving it ends every session and waits for them."""

    def __init__(
        self,
        portraits: PortraitStore,
        voice: Voice | None,
        settings: RuntimeSettings,
        *,
        writers: Writers | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.portraits = portraits
        self.voice = voice
        self.settings = settings
        self.writers = writers
        self.adaptations: Final = Adaptations(portraits, settings)
        self.ready = False
        "True once the default portrait is enrolled and its first frame is rendered."
        self.ended = Stats()
        "Counters of the sessions that are gone."
        self._clock = clock
        self._renderers = Renderers(settings, portraits.root / MEASURED, portraits.adapted_file)
        self._sessions: dict[str, Session] = {}
        self._pending = 0
        self._scheduler: Scheduler | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Sessions:
        await self.adaptations.__aenter__()
        self._scheduler = Scheduler(self.settings, clock=self._clock, expire=self._expire)
        self._tasks = [
            asyncio.create_task(self._scheduler.run(), name="scheduler"),
            asyncio.create_task(self._warm_up(), name="warm-up"),
        ]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for id in list(self._sessions):
            await self.close(id)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.adaptations.__aexit__(kind, error, trace)

    async def create(
        self,
        *,
        portrait: str | None = None,
        label: str = "idle",
        instruction: str = "",
        eyes: float = 1.0,
        seed: int | None = None,
    ) -> Session:
        """A new, living session.

        Raises:
            Busy: All places are taken.
            NotFound: No such portrait.
            InvalidInput: An unknown label, an unusable instruction or strength.
        """
        assert self._scheduler is not None, "enter Sessions with `async with` first"
        if len(self._sessions) + self._pending >= self.settings.max_sessions:
            raise Busy(
                f"All {self.settings.max_sessions} places are taken; try again soon.",
                retry_after=5,
            )
        self._pending += 1  # held across the awaits, so that two callers can not share a place
        try:
            id = portrait or self.default_portrait()
            found, renderer = await asyncio.to_thread(self._prepare, id)
            session = Session(
                secrets.token_hex(8),
                found,
                renderer,
                self.settings,
                voice=self.voice,
                now=self._clock(),
                clock=self._clock,
                seed=secrets.randbits(32) if seed is None else seed,
                label=label,
                instruction=instruction,
                eyes=eyes,
                writers=self.writers,
            )
        finally:
            self._pending -= 1
        self._sessions[session.id] = session
        self._scheduler.add(session)
        log.info("session created", extra={"session": session.id, "portrait": found.id})
        return session

    def get(self, id: str) -> Session:
        """Raises NotFound."""
        try:
            return self._sessions[id]
        except KeyError:
            raise NotFound("There is no such session; it may have ended.") from None

    def list(self) -> list[Session]:
        """All living sessions, oldest first."""
        return [*self._sessions.values()]

    async def close(self, id: str) -> None:
        """End a session and free all it used. Raises NotFound."""
        assert self._scheduler is not None
        session = self.get(id)
        del self._sessions[id]
        await self._scheduler.remove(session)
        await session.close()
        self.ended.absorb(session.stats)
        log.info("session closed", extra={"session": id})

    def default_portrait(self) -> str:
        """Id of the portrait used when none is named: the first of the store."""
        return self.portraits.list()[0].id

    async def _expire(self, session: Session, reason: str) -> None:
        if session.id in self._sessions:
            log.info("session ends: %s", reason, extra={"session": session.id})
            await self.close(session.id)

    def _prepare(self, id: str) -> tuple[Portrait, Renderer]:
        portrait = self.portraits.get(id)
        return portrait, self._renderers.make(portrait)

    async def _warm_up(self) -> None:
        """Enrol the default portrait and render once, so that the first viewer does not wait."""
        try:
            await asyncio.to_thread(self._render_once)
        except Exception:
            log.exception("warm-up failed")
            return
        self.ready = True

    def _render_once(self) -> None:
        portrait, renderer = self._prepare(self.default_portrait())
        clock = self._clock
        probe = Session(
            "warm-up", portrait, renderer, self.settings, voice=None, now=clock(), clock=clock
        )
        for _ in range(2):  # a stream's second window has another shape than its first
            for _ in renderer.render(probe.plan(), clock()):
                pass
        # What is loaded by now stays: walking through it in each full collection would stop all
        # threads for a quarter of a second or more, and every stream with them.
        gc.collect()
        gc.freeze()
