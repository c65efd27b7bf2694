"""The owner of all sessions: admits, finds and ends them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict
from statistics import fmean
from types import TracebackType
from typing import Final

from core import Busy, NotFound, Portrait
from engines.voice import Voice
from runtime.adaptation import Adaptations
from runtime.author import Writers
from runtime.capacity import Capacity, Cost, capacity
from runtime.latency import Histogram
from runtime.log_context import about
from runtime.portraits import PortraitStore
from runtime.renderer import Renderer
from runtime.renderers import Renderers
from runtime.scheduler import Scheduler
from runtime.session import Session
from runtime.settings import RuntimeSettings
from runtime.stats import Stats
from runtime.waiting import RETRY, Line, end_of, eta

log = logging.getLogger(__name__)

MEASURED: Final = "generator-speed.json"
PROBED: Final = 12
"Frames that are timed, at least, to know what a session costs."
REMEMBERED: Final = 50
"Ended sessions whose mean length tells how long the next ones may take."


class Full(Busy):
    """All places are taken. Facts: ``retry_after``, ``ticket``, ``position``, ``eta_s``."""

    code = "full"


class Draining(Busy):
    """The server is about to stop. Facts: ``retry_after``."""

    code = "draining"


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
        self.ready = False
        "True once the default portrait is enrolled and its first frame is rendered."
        self.ended = Stats()
        "Counters of the sessions that are gone."
        self.draining = False
        "No new sessions: the server is about to stop."
        self.refused: Counter[str] = Counter(full=0, draining=0)
        "Sessions that were not created, by reason."
        self.ends: Counter[str] = Counter()
        "Sessions that ended, by reason."
        self.created_in = Histogram()
        "Seconds that creating a session took."
        self._cost: Cost | None = None
        self._lengths: deque[float] = deque(maxlen=REMEMBERED)
        self._line = Line(settings.max_waiting)
        self._clock = clock
        self._renderers = Renderers(settings, portraits.root / MEASURED, portraits.adapted_file)
        self.adaptations: Final = Adaptations(
            portraits, settings, lambda: self._renderers.generates
        )
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
        await self.close_all("stopped")
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
        ticket: str | None = None,
    ) -> Session:
        """A new, living session. Whoever is cancelled meanwhile holds no place.

        Args:
            ticket: From an earlier `Full`: whoever came later waits behind it.

        Raises:
            Full: All places are taken, or others have waited longer.
            Draining: The server is about to stop.
            NotFound: No such portrait.
            InvalidInput: An unknown label, an unusable instruction or strength.
        """
        assert self._scheduler is not None, "enter Sessions with `async with` first"
        began = self._clock()
        self._admit(ticket, began)
        self._pending += 1  # held across the awaits, so that two callers can not share a place
        try:
            id = portrait or self.default_portrait()
            found, renderer = await asyncio.to_thread(self._prepare, id)
            self._check_open()  # it may have begun to stop meanwhile
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
        self.created_in.observe(self._clock() - began)
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

    @property
    def capacity(self) -> Capacity:
        """How many sessions there may be, as far as it is known yet."""
        settings = self.settings
        return capacity(
            settings.max_sessions, self._cost, size=settings.size, share=settings.capacity_share
        )

    @property
    def waiting(self) -> int:
        """Tickets of those who wait for a place."""
        return len(self._line)

    def drain(self, seconds: float) -> None:
        """Admit nobody any more, and tell all sessions that they end in so many seconds."""
        self.draining = True
        for session in self._sessions.values():
            session.end_in(seconds)

    async def close(self, id: str, reason: str = "closed") -> None:
        """End a session and free all it used. Raises NotFound."""
        assert self._scheduler is not None
        session = self.get(id)
        del self._sessions[id]  # its place is free from here on, whatever fails below
        self.ends[reason] += 1
        self._lengths.append(self._clock() - session.limits.created)
        try:
            await self._scheduler.remove(session)
            await session.close()
        finally:
            self.ended.absorb(session.stats)
            log.info("session closed", extra={"session": id, "reason": reason})

    async def close_all(self, reason: str) -> None:
        """End all sessions. One that ends by itself meanwhile is no error."""
        for id in list(self._sessions):
            with contextlib.suppress(NotFound):
                await self.close(id, reason)

    def default_portrait(self) -> str:
        """Id of the portrait used when none is named: the first of the store."""
        return self.portraits.list()[0].id

    async def _expire(self, session: Session, reason: str) -> None:
        if session.id in self._sessions:
            await self.close(session.id, reason)

    def _admit(self, ticket: str | None, now: float) -> None:
        """Raises Draining, or Full with the caller's turn."""
        self._check_open()
        places = self.capacity.places
        free = places - len(self._sessions) - self._pending
        if self._line.admit(ticket, free, now):
            return
        self.refused["full"] += 1
        turn = self._line.stand(ticket, now)
        wait = self._eta(turn.position, places, now)
        about_s = "" if wait is None else f", which may take {math.ceil(wait)} s"
        raise Full(
            f"All {places} places are taken; {turn.position - 1} wait before you{about_s}. "
            + ("Send the ticket with the next try to keep your turn." if turn.ticket else "")
            + ("" if turn.ticket else "Too many wait to keep a turn; try again later."),
            retry_after=max(1, math.ceil(min(RETRY, RETRY if wait is None else wait))),
            ticket=turn.ticket,
            position=turn.position,
            eta_s=None if wait is None else round(wait, 1),
        )

    def _check_open(self) -> None:
        if self.draining:
            self.refused["draining"] += 1
            raise Draining(
                "The server is about to stop; try again when it is back.", retry_after=int(RETRY)
            )

    def _eta(self, position: int, places: int, now: float) -> float | None:
        mean = fmean(self._lengths) if self._lengths else None
        ends = [
            end_of(session.expires_in(now), now - session.limits.created, mean)
            for session in self._sessions.values()
        ]
        return eta((ends + [mean] * self._pending)[:places], position, mean)

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
        with about(probe.id):
            for _ in range(2):  # a stream's second window has another shape than its first
                for _ in renderer.render(probe.plan(), clock()):
                    pass
            self._cost = self._measure(probe)
        log.info("capacity measured", extra={**self.capacity.facts(), **asdict(self._cost)})
        # What is loaded by now stays: walking through it in each full collection would stop all
        # threads for a quarter of a second or more, and every stream with them.
        gc.collect()
        gc.freeze()

    def _measure(self, probe: Session) -> Cost:
        """What a frame costs, in this thread's own time: what else runs here does not count."""
        plan = render = 0.0
        frames = 0
        while frames < PROBED:
            began = time.thread_time()
            window = probe.plan()
            planned = time.thread_time()
            for _ in probe.renderer.quick(window, window.start):
                pass
            plan += planned - began
            render += time.thread_time() - planned
            frames += len(window)
            time.sleep(0.005)  # streams that began before the warm-up want the interpreter too
        share = self._renderers.share
        return Cost(1000 * plan / frames, 1000 * render / frames, share)
