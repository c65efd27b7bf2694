"""A client in Python: a session, its events, its pictures and its sound.

A lost connection is mended, and the iterators go on; a session that went with its server is begun
anew. It needs little of the server::

    async with await connect("http://127.0.0.1:8080", label="social_engagement") as avatar:
        said = await avatar.say("Good morning.")
        async for event in avatar.events():
            if event["cause"] == said and event.get("phase") == "ended":
                break

``python -m stream.client URL "Good morning."`` prints the events and saves what came as MP4.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Final

import httpx
from aiortc import RTCPeerConnection

from core import (
    SAMPLE_RATE,
    AudioChunk,
    Busy,
    Conflict,
    NotAllowed,
    NotFound,
    SaccadeError,
    Unavailable,
    VideoFrame,
)
from stream.client_control import Control, Event
from stream.client_http import create_session, located, pauses
from stream.client_inbox import Inbox
from stream.client_media import Media, OnReceiver, Timed, pictures, sounds

TIMEOUT: Final = 15.0
"Seconds for anything to be answered."
PATIENCE: Final = 30.0
"Seconds for which a lost connection is mended."
VERDICT: Final = 2.0
"Seconds for the control socket to say that the session has ended, when it can not be found."
LAST_WORD: Final = 0.2
"The same when the media end: at the end of a session both do, in any order."
EVENTS: Final = 1000
PICTURES: Final = 50
SOUNDS: Final = 100
"What waits to be taken, at most (2 s of pictures and sound); the oldest are dropped."
UDP: Final = "The server answers, but no connection comes about: is UDP blocked on the way?"


async def connect(
    url: str,
    *,
    wait: float = 60.0,
    patience: float = PATIENCE,
    join: tuple[str, str] | None = None,
    media: bool = True,
    on_receiver: OnReceiver | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    **wanted: Any,
) -> Avatar:
    """A connected avatar; ``async with`` closes it.

    Args:
        url: Of the server.
        wait: Seconds to wait in line when it is full; the ticket is sent by itself.
        patience: Seconds for which a lost connection is mended before all ends; 0 for never.
        join: Id and token of a session that lives; it is left at the end, not ended.
        media: False for events and commands alone.
        on_receiver: Is given each of aiortc's receivers in place of `Avatar.video` and
            `Avatar.sound`; it has to read their tracks.
        transport: How HTTP is spoken, when not as httpx does.
        wanted: What a new session is like: ``portrait``, ``label``, ``instruction``, ``eyes``,
            ``seed`` (docs/api.md).

    Raises:
        Busy: No place came free in time; ``facts`` has ``position`` and ``eta_s``.
        Unavailable: No server answers, or no connection comes about.
        NotFound, NotAllowed, InvalidInput: As the server says.
    """
    http = httpx.AsyncClient(base_url=url, timeout=TIMEOUT, transport=transport)
    avatar = Avatar(
        http, wanted if join is None else None, media, on_receiver=on_receiver, patience=patience
    )
    try:
        if join is None:
            avatar.session = await create_session(http, wanted, wait)
        else:
            base = f"/v1/sessions/{join[0]}"
            avatar.session = {
                "id": join[0], "token": join[1],
                "whep": f"{base}/whep", "control": f"{base}/control",
            }  # fmt: skip
        await avatar._open()
    except BaseException:
        await avatar.close()
        raise
    return avatar


class Avatar:
    """One session. Made by `connect`."""

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
        self._wanted, self._sees = wanted, media
        self._on_receiver, self._patience = on_receiver, patience
        self._control: Control | None = None
        self._media: Media | None = None
        self._events: Inbox[Event] = Inbox(EVENTS)
        self._frames: dict[str, Inbox[Timed]] = {"video": Inbox(PICTURES), "audio": Inbox(SOUNDS)}
        self._pts = 0  # of the latest event
        self._draining = False
        self._format: dict[str, Any] | None = None  # of speech that is streamed
        self._count = 0
        self._over = False
        self._changed = asyncio.Event()  # something was opened, or all is over
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Avatar:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def auth(self) -> dict[str, str]:
        """The header that opens the session's routes."""
        return {"Authorization": f"Bearer {self.session['token']}"}

    # --- commands: return, once accepted, the id that the events they cause carry as ``cause`` ---

    async def say(self, text: str, *, turn: int | None = None) -> str:
        """Speak a text; texts queue. Raises SaccadeError, as all commands; Conflict when it was
        meant for a `turn` that is over."""
        return await self.send("say", text=text, turn=turn)

    async def behave(self, **fields: Any) -> str:
        """Change what the eyes mean: ``label``, ``instruction``, ``eyes``."""
        return await self.send("behave", **fields)

    async def attend(self, state: str) -> str:
        """What the conversation is at: ``idle``, ``listening``, ``thinking``."""
        return await self.send("state", state=state)

    async def interrupt(self) -> str:
        """Stop speaking."""
        return await self.send("interrupt")

    async def audio_start(
        self, rate: int = SAMPLE_RATE, channels: int = 1, *, live: bool = False,
        turn: int | None = None,
    ) -> str:  # fmt: skip
        """What `audio` sends from now on. With a `turn`, none of it is spoken in another one."""
        return await self.send("audio_start", rate=rate, channels=channels, live=live, turn=turn)

    async def audio(self, pcm: bytes) -> None:
        """Speech as it is made: PCM16 mono, 16 kHz unless an ``audio_start`` was sent."""
        if self._control is None:
            raise Unavailable("The avatar is not connected.")
        await self._control.audio(pcm)

    async def audio_end(self) -> str:
        """Nothing follows the streamed speech."""
        return await self.send("audio_end")

    async def send(self, type: str, **fields: Any) -> str:
        """Any command of docs/api.md. One that meets a lost connection waits until it is mended."""
        self._count += 1
        id = f"c{self._count}"
        command = {"id": id, "type": type, **fields}
        try:
            async with asyncio.timeout(TIMEOUT):
                control = await self._connected()
                await control.ask(command)
        except TimeoutError:
            raise Unavailable(f"The server did not answer to {type!r} in time.") from None
        if type in ("audio_start", "audio_end"):
            self._format = command if type == "audio_start" else None
        return id

    # --- what comes back: each item is given out once, the iterators end with the session ---------

    def events(self) -> AsyncIterator[dict[str, Any]]:
        """The server's events since the beginning, as docs/api.md has them."""
        return self._events.items()

    def video(self) -> AsyncIterator[VideoFrame]:
        """Pictures; ``pts`` and ``seconds`` are the session's time, as those of `sound` and of
        events are. What is presented together has the same."""
        return pictures(self._frames["video"])

    def sound(self) -> AsyncIterator[AudioChunk]:
        """Sound, mono at 16 kHz. What follows a gap has its own time."""
        return sounds(self._frames["audio"])

    async def close(self) -> None:
        """Leave, and end the session if it is ours; its place is free then. Idempotent."""
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

    @property
    def peer(self) -> RTCPeerConnection | None:
        """aiortc's connection of the moment."""
        return None if self._media is None else self._media.peer

    async def _open(self) -> None:
        """The first connection. Raises SaccadeError."""
        try:
            await self._connect()
        except TimeoutError:
            raise Unavailable(UDP) from None
        self._keeping = asyncio.create_task(self._keep(), name="avatar")

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
                self._media = Media(self.http, self._frames, lambda: self._pts, self._on_receiver)
                await self._media.open(located(self.http, self.session["whep"]), self.auth)

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
        self._events.put(event)

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
        wait = max(0.0, until - time.monotonic())
        try:
            self.session = await create_session(self.http, self._wanted, wait)
        except Unavailable:
            return  # the next attempt does not find the old one either

    async def _drop(self) -> None:
        if self._control is not None:
            await self._control.close()
        if self._media is not None:
            await self._media.close()

    def _tell(self, phase: str, detail: str) -> None:
        """An event of the client's own."""
        self._events.put({
            "v": 1, "id": None, "cause": None, "type": "link", "pts": self._pts,
            "phase": phase, "detail": detail, "session": self.session["id"],
        })  # fmt: skip

    def _finish(self, error: SaccadeError | None) -> None:
        self._over = True
        self._changed.set()
        self._events.end(error)
        for inbox in self._frames.values():
            inbox.end(error)


if __name__ == "__main__":
    from stream.client_command import main  # needs more of the server than a client does

    main()
