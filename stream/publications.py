"""The publications of all sessions: begun, found, ended, counted."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Final

from core import Busy, NotFound
from runtime.session import Session
from stream.broadcast import Broadcasts
from stream.publish import Codec, Publication, State
from stream.settings import StreamSettings
from stream.whip import Places, Whip

log = logging.getLogger(__name__)

KEEP: Final = 1.0
"Seconds between two words to the session that it is still wanted."


class Publications:
    """Owner of all publications. ``async with``: leaving it ends them, at their servers too."""

    def __init__(self, settings: StreamSettings, broadcasts: Broadcasts) -> None:
        self._settings, self._broadcasts = settings, broadcasts
        self._places = Places(settings.publish_to)
        self._stack = AsyncExitStack()
        self._whip: Whip | None = None
        self._known: dict[Publication, asyncio.Task[None]] = {}  # oldest first
        self._over = Counter[str]()  # reconnects and failures of those that are gone

    def counts(self) -> dict[str, int]:
        """Publications by state."""
        found = Counter(p.info.state for p in self._known)
        return {state: found[state] for state in State if state is not State.ENDED}

    @property
    def reconnects(self) -> int:
        """Times that a publication went live again."""
        return self._over["reconnects"] + sum(p.info.reconnects for p in self._known)

    @property
    def failures(self) -> int:
        """Publications that were given up."""
        return self._over["failures"] + self.counts()[State.FAILED]

    async def __aenter__(self) -> Publications:
        if self._places:
            self._whip = await self._stack.enter_async_context(Whip(self._places))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(self.stop(publication) for publication in list(self._known)))
        await self._stack.aclose()

    def start(self, session: Session, url: str, token: str, codec: Codec | None) -> Publication:
        """Publish a session; what comes of it is told by its state.

        Raises:
            NotAllowed: Publishing is off, or not allowed to that place.
            InvalidInput: The URL can not be used.
            Busy: The session has as many publications as it may.
            NotFound: The session has ended.
        """
        where = self._places.read(url)
        if session.ended.is_set():
            raise NotFound("The session has ended; create a new one.")
        mine = self.list(session)
        failed = [publication for publication in mine if publication.info.state == State.FAILED]
        if len(mine) - len(failed) >= self._settings.max_publications:
            raise Busy(
                f"This session has {self._settings.max_publications} publications, its limit"
                " (stream.max_publications); end one first."
            )
        for old in failed[: len(mine) + 1 - self._settings.max_publications]:
            self._known[old].cancel()
        assert self._whip is not None, "enter Publications first"
        publication = Publication(
            session, where, token, codec,
            whip=self._whip, broadcasts=self._broadcasts, settings=self._settings,
        )  # fmt: skip
        name = f"publication {publication.id}"
        task = asyncio.create_task(self._own(publication), name=name)
        self._known[publication] = task
        task.add_done_callback(lambda task: self._forget(publication))
        return publication

    def list(self, session: Session) -> list[Publication]:
        """A session's publications, oldest first, failed ones among them."""
        return [publication for publication in self._known if publication.session is session]

    def get(self, session: Session, id: str) -> Publication:
        """Raises NotFound."""
        found = next((p for p in self.list(session) if p.id == id), None)
        if found is None:
            raise NotFound("There is no such publication; it may have ended.")
        return found

    async def stop(self, publication: Publication) -> None:
        """End one and wait until its server knows, for some seconds at most."""
        task = self._known.get(publication)
        if task is not None:
            task.cancel()
            await asyncio.wait({task})

    def _forget(self, publication: Publication) -> None:
        del self._known[publication]
        self._over["reconnects"] += publication.info.reconnects
        self._over["failures"] += publication.info.state == State.FAILED

    async def _own(self, publication: Publication) -> None:
        """Run it as long as the session lives, and keep the session alive as a viewer does."""
        session = publication.session
        run = asyncio.create_task(publication.run(), name=f"publish {session.id}")
        ended = asyncio.create_task(session.ended.wait(), name=f"published {session.id}")
        try:
            while not (run.done() or ended.done()):
                session.keep()
                await asyncio.wait({run, ended}, timeout=KEEP, return_when="FIRST_COMPLETED")
            if run.done() and (error := run.exception()) is not None:
                log.error("publication broke", exc_info=error, extra={"session": session.id})
                publication.tell(State.FAILED, "Something broke on this server; it was logged.")
            await ended  # a failed one is told of until then
        finally:
            run.cancel()
            ended.cancel()
            await asyncio.wait({run, ended})
            if publication.info.state != State.FAILED:
                publication.tell(State.ENDED, "")
