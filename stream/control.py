"""The control socket: a pure protocol (messages in, effects on a session) under a thin shell.

Commands and sound come in, events go out; a bad message is answered and the socket stays open.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from starlette.websockets import WebSocket, WebSocketDisconnect

from core import F32, SAMPLE_RATE, Conflict, SaccadeError
from runtime.events import Event, EventFeed
from runtime.session import Session
from stream.ingest import PcmStream, Runs
from stream.messages import (
    VERSION,
    Attend,
    AudioEnd,
    AudioStart,
    Behave,
    Command,
    Interrupt,
    Say,
    parse,
)
from stream.problems import status_of
from stream.share import Share

log = logging.getLogger(__name__)

MAX_ERRORS: Final = 20
"Bad messages in a row after which the socket is closed: such a client is not speaking to us."
POLICY_VIOLATION: Final = 1008
TRY_AGAIN: Final = 1013
_DONE: Final = object()


class StaleTurn(Conflict):
    """Speech for a turn that an interruption has ended; ``facts["turn"]`` is the present one."""

    code = "stale-turn"


def check_turn(session: Session, turn: int | None) -> None:
    """Raises StaleTurn for a turn that is not the present one; None fits all."""
    now = session.turn
    if turn not in (None, now):
        raise StaleTurn(f"That was meant for turn {turn}; this is turn {now}.", turn=now)


class Protocol:
    """One socket's conversation with one session. No I/O: replies are handed to ``reply``."""

    def __init__(
        self,
        session: Session,
        reply: Callable[[Event], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._reply = reply
        self._clock = clock
        self._pcm = PcmStream()
        self._runs = Runs(session.turn)
        self._form = (SAMPLE_RATE, 1)
        "Rate and channels."
        self._live = False
        self._streaming = False
        self._cause: str | None = None
        self.errors = 0
        "Bad messages since the last good one."

    def text(self, text: str) -> None:
        """One JSON command."""
        cause = None
        try:
            command = parse(text)
            cause = command.id
            self._run(command)
        except SaccadeError as error:
            self._refuse(error, error.facts.get("cause") or cause)
        else:
            self.errors = 0

    def sound(self, data: bytes) -> Iterator[None]:
        """One binary message of PCM16, in small steps: others want the event loop too."""
        pcm = self._pcm
        try:
            pcm.check(data)
            for part in pcm.slices(data):
                self._speak(pcm.push(part))
                yield
        except SaccadeError as error:
            self._refuse(error, self._cause)
        else:
            self.errors = 0

    def _speak(self, sound: F32) -> None:
        """Sound for a turn that is over is not heard; of a microphone's little is under way."""
        session = self._session
        fits = self._runs.fits(sound, session.turn, self._clock())
        if fits or self._live:
            self._streaming = True
            session.push_audio(sound, self._cause, live=self._live)

    def _begin(self, turn: int | None = None) -> None:
        """What follows is another run, meant for that turn or the present one."""
        self._streaming = False
        self._pcm = PcmStream(*self._form)
        now = self._session.turn
        self._runs.begin(now if turn is None else turn, named=turn is not None)

    def end(self) -> None:
        """The socket is gone: what it streamed is over, unless an interruption has ended it."""
        if self._streaming and (self._live or self._runs.now(self._session.turn)):
            self._session.end_audio(self._cause)
        self._streaming = False

    def _run(self, command: Command) -> None:
        session, cause = self._session, command.id
        match command:
            case Say(text=text, turn=turn):
                check_turn(session, turn)
                session.say(text, cause)
            case Behave(label=label, instruction=instruction, eyes=eyes):
                unknown = session.behave(
                    label=label, instruction=instruction, eyes=eyes, cause=cause
                )
                if instruction is not None:
                    self._reply(Event("understood", {"unknown": unknown}, session.pts, cause))
            case Attend(state=state):
                session.attend(state, cause)
            case Interrupt():
                session.interrupt(cause)
                self._begin()
            case AudioStart(rate=rate, channels=channels, live=live, turn=turn):
                self.end()
                self._form, self._live, self._cause = (rate, channels), live, cause
                self._begin(turn)
                check_turn(session, turn)
            case AudioEnd():
                if self._streaming:
                    self._speak(self._pcm.flush())
                self.end()
                self._begin()
        self._reply(Event("ok", {}, session.pts, cause))

    def _refuse(self, error: SaccadeError, cause: str | None) -> None:
        self.errors += 1
        facts = {k: v for k, v in error.facts.items() if k != "cause"}
        data = {
            "code": error.code,
            "status": status_of(error),
            "detail": error.message,
            **facts,
        }
        self._reply(Event("error", data, self._session.pts, cause))


def encode(event: Event, number: int) -> str:
    """An event as it goes over the wire."""
    message: dict[str, Any] = {
        "v": VERSION,
        "id": f"e{number}",
        "cause": event.cause,
        "type": event.type,
        "pts": event.pts,
        **event.data,
    }
    return json.dumps(message, separators=(",", ":"))


async def serve(
    socket: WebSocket,
    session: Session,
    labels: list[dict[str, str]],
    *,
    share: Share,
    patience: float,
) -> None:
    """Run one accepted socket until either side ends it.

    Args:
        socket: The socket.
        session: What it commands.
        labels: Told in ``hello``.
        share: Time for the commands of all the session's sockets.
        patience: Seconds a client may refuse to read.
    """
    async with session.subscribe() as feed:
        feed.put(Event("hello", {"session": session.info(), "labels": labels}, session.pts))
        protocol = Protocol(session, feed.put)
        reader = asyncio.create_task(_read(socket, protocol, share), name=f"control {session.id}")
        try:
            await _write(socket, session, feed, reader, patience)
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            protocol.end()


async def _read(socket: WebSocket, protocol: Protocol, share: Share) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while protocol.errors < MAX_ERRORS:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            steps: Iterator[None] = iter(())
            if (text := message.get("text")) is not None:
                steps = map(protocol.text, [text])
            elif (data := message.get("bytes")) is not None:
                steps = protocol.sound(data)
            for _ in _timed(steps, share):
                await asyncio.sleep(share.wait(time.monotonic()))  # at least one turn for others


def _timed(steps: Iterator[None], share: Share) -> Iterator[None]:
    """Take the steps; what they took goes to ``share``. There is a last one, as some have none."""
    more = True
    while more:
        began = time.monotonic()
        more = next(steps, _DONE) is not _DONE
        share.spent(time.monotonic() - began)
        yield


async def _write(
    socket: WebSocket,
    session: Session,
    feed: EventFeed,
    reader: asyncio.Task[None],
    patience: float,
) -> None:
    """Send events until the session ends, the client leaves, or it stops reading."""
    reader.add_done_callback(lambda _: feed.close())
    number = 0
    try:
        async for event in feed:
            number += 1
            async with asyncio.timeout(patience):
                await socket.send_text(encode(event, number))
        with contextlib.suppress(RuntimeError):  # the client may have closed it already
            await socket.close(POLICY_VIOLATION if reader.done() else 1000)
    except TimeoutError:
        log.warning("control socket does not read", extra={"session": session.id})
        with contextlib.suppress(TimeoutError, RuntimeError, WebSocketDisconnect):
            async with asyncio.timeout(1):  # the close frame waits behind what is not read
                await socket.close(TRY_AGAIN)
    except (WebSocketDisconnect, RuntimeError):
        pass  # it went away while we sent
