"""Below which path a proxy shows this server: ``https://host/avatar/`` in place of ``/``.

Addresses in answers are absolute paths, so the prefix has to stand before them. It is that of the
setting ``stream.root_path``, else what the proxy says in ``X-Forwarded-Prefix``. A forged header
changes nothing but the answer to whoever sent it.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import Final

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from stream.settings import PREFIX

_prefix: Final[ContextVar[str]] = ContextVar("prefix", default="")


def shown(path: str) -> str:
    """A path of ours as the client of the present request has to ask for it."""
    return _prefix.get() + path


def inside(scope: Scope) -> str:
    """The path of a request without the prefix."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


class Prefix:
    """ASGI middleware: requests are served whether or not the proxy took the prefix off."""

    def __init__(self, app: ASGIApp, *, prefix: str) -> None:
        """``prefix`` is that of the settings; empty to believe the header."""
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification: ``root_path`` is the prefix, and ``path`` has it."""
        asked = scope["type"] in ("http", "websocket")
        prefix = asked and (self._prefix or _forwarded(scope))
        if not prefix:
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        if scope["type"] == "http" and path == prefix:  # the page's links are relative
            await RedirectResponse(f"{prefix}/")(scope, receive, send)
            return
        whole = path if path.startswith(f"{prefix}/") else prefix + path
        token = _prefix.set(prefix)
        try:
            await self._app({**scope, "root_path": prefix, "path": whole}, receive, send)
        finally:
            _prefix.reset(token)


def _forwarded(scope: Scope) -> str:
    said = Headers(scope=scope).get("x-forwarded-prefix", "").rstrip("/")
    return said if re.fullmatch(PREFIX, said) else ""
