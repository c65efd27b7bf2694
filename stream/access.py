"""Who may touch a session: whoever holds its token. And how much anybody may send, how often."""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import time
from collections.abc import Collection
from math import ceil
from typing import Final
from weakref import WeakKeyDictionary

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from runtime.session import Session
from stream import problems
from stream.prefix import inside
from stream.rates import Proxies, Rates

SUBPROTOCOL: Final = "saccade.v1"
TOKEN_PREFIX: Final = "token."
"Browsers can not set headers on a socket: the token may come as a second subprotocol."
BODY_RATE: Final = 32 * 1024
"Bytes a second that a body has to bring, once its time is over."
PATIENCE: Final = 3.0
"Seconds that a request may wait because its address asks too often."


class Tokens:
    """One secret a session; forgotten with the session."""

    def __init__(self) -> None:
        self._tokens: WeakKeyDictionary[Session, str] = WeakKeyDictionary()

    def issue(self, session: Session) -> str:
        """A new secret for a new session."""
        token = self._tokens[session] = secrets.token_urlsafe(24)
        return token

    def accepts(self, session: Session, token: str) -> bool:
        """Whether ``token`` opens ``session``; takes the same time whatever it is."""
        known = self._tokens.get(session, "")
        return hmac.compare_digest(known.encode(), token.encode()) and bool(known)


def bearer(header: str | None) -> str:
    """The token of an ``Authorization`` header, or an empty string (RFC 6750 section 2.1)."""
    scheme, _, token = (header or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def socket_token(socket: WebSocket) -> tuple[str, str | None]:
    """The token of a WebSocket handshake, and the subprotocol to answer with.

    It is looked for in ``?token=``, in ``Authorization``, and among the subprotocols
    (``saccade.v1, token.SECRET``), which unlike a URL are not written to access logs.
    """
    offered: list[str] = socket.scope.get("subprotocols", [])
    secret = next((p for p in offered if p.startswith(TOKEN_PREFIX)), "")
    token = (
        socket.query_params.get("token")
        or bearer(socket.headers.get("authorization"))
        or secret.removeprefix(TOKEN_PREFIX)
    )
    return token, SUBPROTOCOL if SUBPROTOCOL in offered else None


def acceptable(accept: str | None, kind: str) -> bool:
    """Whether an ``Accept`` header allows a media type (RFC 9110 section 12.5.1)."""
    if not (accept or "").strip():
        return True
    wide = f"{kind.partition('/')[0]}/*"
    for part in (accept or "").lower().split(","):
        name, *parameters = [piece.strip() for piece in part.split(";")]
        refused = any(p.replace(" ", "") in ("q=0", "q=0.0", "q=0.00") for p in parameters)
        if name in (kind, wide, "*/*") and not refused:
            return True
    return False


class BodyLimit:
    """ASGI middleware: a body that grows past the limit, or trickles, is refused as it arrives."""

    def __init__(self, app: ASGIApp, *, limit: int, larger: dict[str, int], timeout: float) -> None:
        """Args:
        app: What is behind it.
        limit: Bytes.
        larger: Other limits, by patterns of whole paths.
        timeout: Seconds a body may take, and one more for each `BODY_RATE` bytes of it.
        """
        self._app = app
        self._limit = limit
        self._timeout = timeout
        self._larger = {re.compile(path): other for path, other in larger.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = inside(scope)
        other = (limit for pattern, limit in self._larger.items() if pattern.fullmatch(path))
        limit = next(other, self._limit)
        most = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"
        detail = f"The body is larger than {most}; send less."
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            await problems.problem(413, "content-too-large", detail)(scope, receive, send)
            return
        seen, complete, began = 0, False, asyncio.get_running_loop().time()

        async def counted() -> Message:
            nonlocal seen, complete
            end = None if complete else began + self._timeout + seen / BODY_RATE
            try:
                async with asyncio.timeout_at(end):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(
                    408,
                    "The body takes too long to arrive; send it again.",
                    {"Connection": "close"},
                ) from None
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                complete = not message.get("more_body", False)
                if seen > limit:
                    raise HTTPException(413, detail)
            return message

        await self._app(scope, counted, send)


class RateLimit:
    """ASGI middleware: who asks too often waits a little; beyond that they are told when to come
    back (429, RFC 6585 section 4). All requests take the event loop's time, where media leave.

    The address is what uvicorn takes for the client's: what a proxy that is believed says, else the
    connection's. A proxy that names nobody is not bound, as that would shut out all behind it.
    """

    def __init__(
        self, app: ASGIApp, *, rates: Rates, proxies: Proxies, free: Collection[str]
    ) -> None:
        """Args:
        app: What is behind it.
        rates: Counts the requests.
        proxies: Who is not bound.
        free: Paths that are not counted.
        """
        self._app = app
        self._rates = rates
        self._proxies = proxies
        self._free = free

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        client = scope.get("client")
        counts = scope["type"] in ("http", "websocket") and inside(scope) not in self._free
        if not counts or client is None or client[0] in self._proxies:
            await self._app(scope, receive, send)
            return
        now = time.monotonic()
        wait = self._rates.wait(client[0], now)
        if wait <= PATIENCE:
            self._rates.take(client[0], now)
            if wait:
                await asyncio.sleep(wait)
            await self._app(scope, receive, send)
            return
        self._rates.refused += 1
        after = ceil(wait)
        answer = problems.problem(
            429,
            "too-many-requests",
            f"Too many requests come from your address; wait {after} s.",
            # The next one has to connect first, and a body that is under way is not read.
            headers={"Retry-After": str(after), "Connection": "close"},
            retry_after=after,
        )
        await answer(scope, receive, send)
