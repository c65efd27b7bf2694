"""TCP connections that nobody can hold by doing nothing.

uvicorn bounds what a request and a message may hold, and the silence between two requests. It has
no bound for a head or a body that trickles, for a client that takes nothing of its answer, nor for
how many connections there are; the classes here have (RFC 9112 section 9.8 leaves it to servers).
Bodies are timed where they are counted, in `stream.access.BodyLimit`, requests are counted in
`RateLimit` there.

What is overridden here is uvicorn's own, and asyncio's TLS: uvicorn leaves it to the event loop,
which gives a handshake a minute and tells nobody of a connection before its end.
tests/stream/test_connections.py and test_handshakes.py notice when it moves.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from typing import Any, Final, cast

import uvicorn
from h11 import Request
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame

from stream.rates import HERE, Proxies, Rates
from stream.settings import StreamSettings
from stream.share import Share

MAX_MESSAGE: Final = 1 << 20
"Bytes of one WebSocket message, unpacked and with all its fragments."
MAX_FRAGMENTS: Final = 1024
"Pieces of one message: empty ones cost no bytes of it, and memory all the same."
UNREAD: Final = 1 << 20
"Bytes a WebSocket client may leave unread and still be listened to: we answer its pings."
READ: Final = 16 * 1024
"Bytes of a WebSocket, or of TLS, that are read at once: a TLS record (RFC 8446 section 5.1)."
BACKLOG: Final = 128
"Connections taken at once: asyncio does that in one step, and pictures wait meanwhile."
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
            backlog=BACKLOG, forwarded_allow_ips=[*HERE, *settings.trusted_proxies], **options,
        )  # fmt: skip
        self.settings = settings
        self.proxies = Proxies(settings.trusted_proxies)
        self.rates = Rates(settings.connection_rate)
        self.tls: ssl.SSLContext | None = None
        self.waiting: dict[Http, None] = {}
        "Connections without a request, the one that waits longest first."

    def turn(self, transport: asyncio.BaseTransport, now: float) -> float | None:
        """Seconds until a new connection may begin; None for one that would wait too long."""
        peer = transport.get_extra_info("peername")
        if not isinstance(peer, tuple) or peer[0] in self.proxies:
            return 0.0
        wait = self.rates.wait(peer[0], now)
        if wait > self.settings.header_timeout / 2:
            return None
        self.rates.take(peer[0], now)
        return wait

    def load(self) -> None:
        """See uvicorn. TLS is ours, so that it does not ask the event loop for it."""
        super().load()
        if self.ssl is not None:
            self.tls, self.ssl = self.ssl, None
            self.http_protocol_class = cast(Any, Handshake)


class Http(H11Protocol):
    """One connection. Owns its three timers."""

    config: Config
    _turn: asyncio.TimerHandle | None = None
    _head: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio; with TLS, its handshake is done."""
        secure = self in self.connections
        super().connection_made(cast(asyncio.Transport, transport))
        if secure:
            self._await_head()
        elif self._make_room():
            self._take_turn(self.transport.resume_reading)
        else:
            self.transport.write(NO_ROOM)
            self.transport.close()

    def begin_handshake(self, transport: asyncio.Transport, turn: Callable[[], None]) -> bool:
        """TLS comes first: it counts from now on, and is as short as a head.

        Returns whether it may begin now; else ``turn`` is called when it may.
        """
        self.connections.add(self)
        self.transport = transport
        if self._make_room():
            return self._take_turn(turn)
        transport.abort()
        return False

    def end_handshake(self) -> None:
        """The connection was lost in it."""
        self._stop_waiting()
        self.connections.discard(self)

    def _take_turn(self, turn: Callable[[], None]) -> bool:
        """Whether it may begin now. Else nothing is read until ``turn`` is called."""
        self._await_head()
        wait = self.config.turn(self.transport, self.loop.time())
        if wait is None:
            self._cut()
        elif wait:
            self.transport.pause_reading()
            self._turn = self.loop.call_later(wait, turn)
        return wait == 0

    def _make_room(self) -> bool:
        """Where there are too many, the one that has waited longest for a request goes."""
        if len(self.connections) > self.config.settings.max_connections:
            longest = next(iter(self.config.waiting), None)
            if longest is None:
                return False
            longest._cut()
        return True

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
        for timer in (self._head, self._turn):
            if timer is not None:
                timer.cancel()
        self._head = self._turn = None

    def _unstall(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _cut(self) -> None:
        self._stop_waiting()
        self.transport.abort()  # `close` would wait for the client to take what is left


class Handshake(SSLProtocol):
    """The TLS of one connection, below its `Http`."""

    max_size = READ  # of its buffer; asyncio's 256 KiB for each are soon much

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """As uvicorn makes its protocols."""
        assert config.tls is not None
        self._http = Http(config, server_state, app_state, _loop)
        super().__init__(
            self._http.loop,
            self._http,
            config.tls,
            cast(Any, None),  # nobody awaits it
            server_side=True,
            ssl_handshake_timeout=cast(Any, config.settings.header_timeout),
            ssl_shutdown_timeout=cast(Any, config.settings.write_timeout),
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It begins when it is its address's turn: one takes milliseconds of the event loop."""
        raw = cast(asyncio.Transport, transport)
        if self._http.begin_handshake(raw, lambda: self._begin(raw)):
            super().connection_made(raw)

    def connection_lost(self, exc: BaseException | None) -> None:
        """See asyncio, which does not tell those above of a handshake that failed."""
        if self._http.scheme is None:
            self._http.end_handshake()
        super().connection_lost(exc)

    def _begin(self, raw: asyncio.Transport) -> None:
        super().connection_made(raw)
        raw.resume_reading()


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
