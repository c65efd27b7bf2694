"""Who may touch a session: whoever holds its token. And how much anybody may send."""

from __future__ import annotations

import hmac
import secrets
from weakref import WeakKeyDictionary

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from runtime.session import Session


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


class BodyLimit:
    """ASGI middleware: a body that grows past the limit is refused while it arrives."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self._limit:
                    raise HTTPException(
                        413, f"The body is larger than {self._limit >> 20} MB; send less."
                    )
            return message

        await self._app(scope, counted, send)
