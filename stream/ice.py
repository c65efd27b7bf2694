"""STUN and TURN servers: as settings, for aiortc, and as `Link` headers (RFC 9725 section 4.6)."""

from __future__ import annotations

import base64
import hmac
import time
from typing import Final

from aiortc import RTCIceServer

from stream.settings import StreamSettings

USER: Final = "saccade"
"Whom logins made of a shared secret are for; TURN servers log it."


def ice_servers(settings: StreamSettings, now: float | None = None) -> list[RTCIceServer]:
    """The servers as aiortc takes them. Each setting is ``URL`` or ``URL username credential``.

    Args:
        settings: Those of the transport.
        now: Seconds since 1970, from which logins made of ``turn_secret`` are good.
    """
    servers = []
    for entry in settings.ice_servers:
        url, *login = entry.split()
        if not login and settings.turn_secret and url.startswith("turn"):
            expires = int((time.time() if now is None else now) + settings.turn_ttl)
            login = [*turn_login(settings.turn_secret, expires)]
        username, credential = login or (None, None)
        servers.append(RTCIceServer(urls=url, username=username, credential=credential))
    return servers


def turn_login(secret: str, expires: int) -> tuple[str, str]:
    """User name and password that a TURN server with the same secret takes until ``expires``.

    Source: draft-uberti-behave-turn-rest-00 section 2.2, ``use-auth-secret`` in coturn.
    """
    username = f"{expires}:{USER}"
    digest = hmac.digest(secret.encode(), username.encode(), "sha1")
    return username, base64.b64encode(digest).decode()


def link_header(settings: StreamSettings, now: float | None = None) -> str:
    """The servers as one `Link` header; empty when there are none."""
    links = []
    for server in ice_servers(settings, now):
        link = f'<{server.urls}>; rel="ice-server"'
        if server.username is not None and server.credential is not None:
            link += (
                f"; username={_quoted(server.username)}; credential={_quoted(server.credential)}"
                '; credential-type="password"'
            )
        links.append(link)
    return ", ".join(links)


def _quoted(text: str) -> str:
    """A quoted-string (RFC 9110 section 5.6.4)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
