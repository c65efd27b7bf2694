"""The control socket of the Python client, from its opening to its loss. Made anew for each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any, Final

import httpx
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, WebSocketException

from core import Busy, NotAllowed, NotFound, Unavailable
from stream.client_http import error_of

REFUSALS: Final = {4401: NotAllowed, 4404: NotFound, 1013: Busy}
"What the close codes of the control socket mean."
ENDED: Final = 1000
"The close code with which a session ends; others are losses of the socket alone."
PING: Final = 5.0
"Seconds between two pings, and until an answer has to be there: a dead network says nothing."

Event = dict[str, Any]


class Control:
    """Commands out, events in."""

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        """``on_event`` is given each event as it comes, the first one before `open` returns."""
        self.closed = asyncio.Event()
        "The socket is gone."
        self.ended = False
        "Because the session ended."
        self._on_event = on_event
        self._socket: ClientConnection | None = None
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._reading: asyncio.Task[None] | None = None

    async def open(self, where: httpx.URL, headers: dict[str, str]) -> None:
        """Raises Unavailable, NotFound, NotAllowed, Busy."""
        scheme = "wss" if where.scheme == "https" else "ws"
        try:
            self._socket = socket = await open_socket(
                str(where.copy_with(scheme=scheme)),
                additional_headers=headers,
                ping_interval=PING,
                ping_timeout=2 * PING,
            )
            hello = json.loads(await socket.recv())  # we may in
        except ConnectionClosed as closed:
            code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (0, "")
            raise REFUSALS.get(code, Unavailable)(reason or "The socket was lost.") from None
        except (OSError, WebSocketException) as error:
            raise Unavailable(f"The control socket can not be opened: {error}.") from None
        self._on_event(hello)
        self._reading = asyncio.create_task(self._read(socket), name="avatar events")

    async def ask(self, command: dict[str, Any]) -> None:
        """Send a command that has an ``id`` and wait for its answer. Raises SaccadeError."""
        answered = self._waiting[command["id"]] = asyncio.get_running_loop().create_future()
        try:
            await self._send(json.dumps(command))
            await answered
        finally:
            del self._waiting[command["id"]]

    async def audio(self, pcm: bytes) -> None:
        """A binary message. Raises Unavailable."""
        await self._send(pcm)

    async def close(self) -> None:
        """Idempotent."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()
        self._lost()

    async def _send(self, message: str | bytes) -> None:
        if self._socket is None or self.closed.is_set():
            raise Unavailable("The control socket is closed.")
        try:
            await self._socket.send(message)
        except WebSocketException as error:
            raise Unavailable(f"The control socket is closed: {error}.") from None

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for text in socket:
                event = json.loads(text)
                self._settle(event)
                self._on_event(event)
        except WebSocketException:
            pass  # those who wait for something are told
        finally:
            self.ended = socket.close_code == ENDED
            self._lost()

    def _settle(self, event: Event) -> None:
        answered = self._waiting.get(event.get("cause") or "")
        if answered is None or answered.done():
            return
        if event["type"] == "ok":
            answered.set_result(None)
        elif event["type"] == "error":
            answered.set_exception(error_of(event))

    def _lost(self) -> None:
        self.closed.set()
        for answered in self._waiting.values():
            if not answered.done():
                answered.set_exception(Unavailable("The session ended, or its socket was lost."))
