"""The Python client's link to its session: control socket and media, mended when they are lost.

What comes goes to inboxes, which last over losses and end with the session. A session that went
with its server is begun anew, if it was made here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any, Final

import httpx
from aiortc import RTCPeerConnection

from core import Busy, Conflict, NotAllowed, NotFound, SaccadeError, Unavailable
from stream.client_control import Control, Event
from stream.client_http import create_session, located, pauses
from stream.client_inbox import Inbox
from stream.client_media import Media, OnReceiver, Timed

TIMEOUT: Final = 15.0
"Seconds for anything to be answered."
VERDICT: Final = 2.0
"Seconds for the control socket to say that the session has ended, when it can not be found."
LAST_WORD: Final = 0.2
"The same when the media end: at the end of a session both do, in any order."
EVENTS: Final = 1000
PICTURES: Final = 50
SOUNDS: Final = 100
"What waits to be taken, at most (2 s of pictures and sound); the oldest are dropped."
UDP: Final = "The server answers, but no connection comes about: is UDP blocked on the way?"


class Link:
    """To one session at a time: `begin` or `join` one, then `open`; `close` ends all."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        wanted: dict[str, Any] | None,
        media: bool,
        *,
        on_receiver: OnReceiver | None,
        patience: float,
    ) -> None:
        """``wanted`` is what sessions of its own are like; None when it is somebody else's."""
        self.http = http
        self.session: dict[str, Any] = {}
        "What ``POST /v1/sessions`` answered."
        self.turn = 0
        "Counts interruptions, anybody's, as far as they are known here."
        self.events: Inbox[Event] = Inbox(EVENTS)
        self.frames: dict[str, Inbox[Timed]] = {"video": Inbox(PICTURES), "audio": Inbox(SOUNDS)}
        self._wanted, self._sees = wanted, media
        self._on_receiver, self._patience = on_receiver, patience
        self._control: Control | None = None
        self._media: Media | None = None
        self._pts = 0  # of the latest event
        self._draining = False
        self._format: dict[str, Any] | None = None  # of speech that is streamed
        self._over = False
        self._changed = asyncio.Event()  # something was opened, or all is over
        self._keeping: asyncio.Task[None] | None = None

    @property
    def auth(self) -> dict[str, str]:
        """The header that opens the session's routes."""
        return {"Authorization": f"Bearer {self.session['token']}"}

    @property
    def peer(self) -> RTCPeerConnection | None:
        """aiortc's connection of the moment."""
        return None if self._media is None else self._media.peer

    async def begin(self, wait: float) -> None:
        """A new session, waited for in line. Raises SaccadeError."""
        assert self._wanted is not None
        self.session = await create_session(self.http, self._wanted, wait)

    def join(self, id: str, token: str) -> None:
        """A session that lives; it is left at the end, not ended."""
        base = f"/v1/sessions/{id}"
        ways = {way: f"{base}/{way}" for way in ("whep", "control")}
        self.session = {"id": id, "token": token, **ways}

    async def open(self) -> None:
        """The first connection; from then on it is mended. Raises SaccadeError."""
        try:
            await self._connect()
        except TimeoutError:
            raise Unavailable(UDP) from None
        self._keeping = asyncio.create_task(self._keep(), name="avatar")

    async def ask(self, command: dict[str, Any]) -> None:
        """Send a command that has an ``id``; one that meets a lost connection waits until it is
        mended. Returns when it is accepted. Raises SaccadeError."""
        type = command["type"]
        try:
            async with asyncio.timeout(TIMEOUT):
                control = await self._connected()
                await control.ask(command)
        except TimeoutError:
            raise Unavailable(f"The server did not answer to {type!r} in time.") from None
        if type in ("audio_start", "audio_end"):
            self._format = command if type == "audio_start" else None

    async def audio(self, pcm: bytes) -> None:
        """Streamed speech. Raises Unavailable."""
        if self._control is None:
            raise Unavailable("The avatar is not connected.")
        await self._control.audio(pcm)

    async def close(self) -> None:
        """Leave, and end the session if it is ours. Idempotent."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        self._finish(None)
        if self.session and self._wanted is not None and not self.http.is_closed:
            with contextlib.suppress(httpx.HTTPError):
                await self.http.delete(f"/v1/sessions/{self.session['id']}", headers=self.auth)
        await self._drop()
        await self.http.aclose()

    # --- inside ------------------------------------------------------------------------------

    async def _connect(self) -> None:
        """Open what is not open. Raises SaccadeError, TimeoutError."""
        async with asyncio.timeout(TIMEOUT):
            if self._control is None or self._control.closed.is_set():
                control = Control(self._on_event)
                where = located(self.http, self.session["control"])
                await control.open(where, self.auth)
                self._control = control
                if self._format is not None:
                    with contextlib.suppress(Conflict):  # its turn ended meanwhile
                        await control.ask(self._format)
                self._changed.set()
            if self._sees and (self._media is None or self._media.lost.is_set()):
                if self._media is not None:
                    await self._media.close()
                self._media = await self._open_media()

    async def _open_media(self) -> Media:
        """Raises SaccadeError; nothing is left of it then, and the next attempt makes another."""
        media = Media(self.http, self.frames, lambda: self._pts, self._on_receiver)
        try:
            await media.open(located(self.http, self.session["whep"]), self.auth)
        except BaseException:
            await media.close()
            raise
        return media

    async def _connected(self) -> Control:
        """The control socket, when it is open. Raises Unavailable when it never will be."""
        while True:
            if self._over:
                raise Unavailable("The session has ended; connect again.")
            if self._control is not None and not self._control.closed.is_set():
                return self._control
            self._changed.clear()
            await self._changed.wait()

    def _on_event(self, event: Event) -> None:
        self._pts = event["pts"]
        if event["type"] == "hello":
            self.turn = event["session"]["turn"]
        elif event["type"] == "interrupted":
            self.turn = event["turn"]
        if event["type"] == "expiring":
            self._draining = event["reason"] == "drain"
        self.events.put(event)

    async def _keep(self) -> None:
        """Mend what is lost, until the session ends or can not be reached for too long."""
        error: SaccadeError | None = None
        try:
            while not await self._session_over():
                await self._mend()
        except SaccadeError as problem:
            error = problem
        except Exception as problem:
            error = Unavailable(f"The client failed: {problem!r}.")
            raise
        finally:
            self._finish(error)

    async def _session_over(self) -> bool:
        """Wait for a loss; whether it is the end of the session."""
        assert self._control is not None
        losses = [self._control.closed] + ([self._media.lost] if self._media else [])
        waits = [asyncio.create_task(loss.wait()) for loss in losses]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        return await self._ended_within(LAST_WORD)

    async def _mend(self) -> None:
        """Connect again. Raises SaccadeError."""
        until = time.monotonic() + self._patience
        reason = self._media.reason if self._media else ""
        error: SaccadeError = Unavailable(reason or "The control socket was lost.")
        self._tell("reconnecting", error.message)
        for pause in pauses():
            if time.monotonic() + pause >= until:
                raise error
            await asyncio.sleep(pause)
            try:
                await self._connect()
                break
            except (NotFound, NotAllowed):
                if await self._ended_within(VERDICT):
                    return
                await self._begin_anew(until)
            except (Unavailable, Busy) as problem:
                error = problem
            except TimeoutError:
                error = Unavailable(UDP)
        self._tell("live", "")

    async def _ended_within(self, seconds: float) -> bool:
        """Whether the control socket says that the session has ended, and not for its server's
        sake, in which case another one serves."""
        assert self._control is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._control.closed.wait()
        return self._control.ended and not self._draining

    async def _begin_anew(self, until: float) -> None:
        """A session in place of one that went with its server. Raises SaccadeError."""
        if self._wanted is None:
            raise NotFound("The session that was joined is gone.")
        await self._drop()
        self._draining, self._format, self._pts = False, None, 0
        # Where no server answers, the next attempt does not find the old one either.
        with contextlib.suppress(Unavailable):
            await self.begin(max(0.0, until - time.monotonic()))

    async def _drop(self) -> None:
        if self._control is not None:
            await self._control.close()
        if self._media is not None:
            await self._media.close()

    def _tell(self, phase: str, detail: str) -> None:
        """An event of the client's own."""
        self.events.put({
            "v": 1, "id": None, "cause": None, "type": "link", "pts": self._pts,
            "phase": phase, "detail": detail, "session": self.session["id"],
        })  # fmt: skip

    def _finish(self, error: SaccadeError | None) -> None:
        self._over = True
        self._changed.set()
        self.events.end(error)
        for inbox in self.frames.values():
            inbox.end(error)
