"""TCP connections that nobody can hold by doing nothing.

uvicorn bounds what a request and a message may hold, and the silence between two requests. It has
no bound for a head or a body that trickles, for a client that takes nothing of its answer, nor for
how many connections there are; the classes here have (RFC 9112 section 9.8 leaves it to servers).
Bodies are timed where they are counted, in `stream.access.BodyLimit`.

What is overridden here is uvicorn's own; tests/stream/test_connections.py notices when it moves.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final, cast

import uvicorn
from h11 import Request
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from stream.settings import StreamSettings
from stream.share import Share

MAX_MESSAGE: Final = 1 << 20
"Bytes of one WebSocket message, unpacked and with all its fragments."
MAX_FRAGMENTS: Final = 1024
"Pieces of one message: empty ones cost no bytes of it, and memory all the same."
UNREAD: Final = 1 << 20
"Bytes a WebSocket client may leave unread and still be listened to: we answer its pings."
READ: Final = 16 * 1024
"Bytes of a WebSocket that are read at once."
NO_ROOM: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 0\r\n"
    b"connection: close\r\n\r\n"
)


class Config(uvicorn.Config):
    """How uvicorn serves the application."""

    def __init__(self, app: Any, settings: StreamSettings, **options: Any) -> None:
        """``options`` are uvicorn's."""
        super().__init__(
            app, log_config=None, access_log=False, http=Http, ws=Socket, ws_max_size=MAX_MESSAGE,
            **options,
        )  # fmt: skip
        self.settings = settings
        self.waiting: dict[Http, None] = {}
        "Connections without a request, the one that waits longest first."


class Http(H11Protocol):
    """One connection. Owns its two timers."""

    config: Config
    _head: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Where there are too many, the one that has waited longest for a request goes."""
        super().connection_made(cast(asyncio.Transport, transport))
        if len(self.connections) > self.config.settings.max_connections:
            longest = next(iter(self.config.waiting), None)
            if longest is None:
                self.transport.write(NO_ROOM)
                self.transport.close()
                return
            longest._cut()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self._stop_waiting()
        self._unstall()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """A request whose head is complete stops the clock."""
        before = self.cycle
        super().handle_events()
        if self.cycle is not before:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        """The rest of the body, and the next head, have to come in time."""
        self._await_head()
        super().on_response_complete()

    def handle_websocket_upgrade(self, event: Request) -> None:
        """From here on a `Socket` has the connection."""
        self._stop_waiting()
        self._unstall()
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        """The client does not take what is sent; see asyncio."""
        super().pause_writing()
        timeout = self.config.settings.write_timeout
        self._stalled = self.loop.call_later(timeout, self._cut)

    def resume_writing(self) -> None:
        """It does again; see asyncio."""
        self._unstall()
        super().resume_writing()

    def _await_head(self) -> None:
        self._stop_waiting()
        self.config.waiting[self] = None
        self._head = self.loop.call_later(self.config.settings.header_timeout, self._cut)

    def _stop_waiting(self) -> None:
        self.config.waiting.pop(self, None)
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _unstall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _cut(self) -> None:
        self._stop_waiting()
        self.transport.abort()  # `close` would wait for the client to take what is left


class Socket(WebSocketsSansIOProtocol):
    """One WebSocket. Owns its timer."""

    config: Config
    _rest: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Read a little at a time: 256 KiB of pings, asyncio's measure, take half a second."""
        super().connection_made(transport)
        if hasattr(transport, "max_size"):  # not with TLS, whose records are small
            transport.max_size = READ
        self._share = Share(self.config.settings.command_share, self.loop.time())

    def data_received(self, data: bytes) -> None:
        """A client that sends and does not read is cut: each of its pings adds to what waits. One
        that keeps us busy is read later."""
        if self.transport.get_write_buffer_size() > UNREAD:
            self.transport.abort()
            return
        began = time.monotonic()
        super().data_received(data)
        self._share.spent(time.monotonic() - began)
        wait = self._share.wait(self.loop.time())
        if wait and self._rest is None:
            self.transport.pause_reading()
            self._rest = self.loop.call_later(wait, self._rested)

    async def receive(self) -> Any:
        """See uvicorn, which reads on when a message has been taken."""
        message = await super().receive()
        if self._rest is not None:
            self.transport.pause_reading()
        return message

    def _rested(self) -> None:
        self._rest = None
        if not self.read_paused:
            self.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        if self._rest is not None:
            self._rest.cancel()
        super().connection_lost(exc)

    def handle_cont(self, event: Frame) -> None:
        """The size of all pieces is bounded by websockets, their number is here."""
        if len(self.frames) >= MAX_FRAGMENTS:
            self.conn.fail(1009, f"more than {MAX_FRAGMENTS} fragments")
            self.handle_parser_exception()
            return
        super().handle_cont(event)

    async def run_asgi(self) -> None:
        """See uvicorn, which then waits for the client to take what was sent, for ever."""
        try:
            await super().run_asgi()
        finally:
            self.loop.call_later(self.config.settings.write_timeout, self.transport.abort)
