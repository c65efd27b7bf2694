"""STUN and TURN servers: as settings, for aiortc, and as `Link` headers (RFC 9725 section 4.6)."""

from __future__ import annotations

from aiortc import RTCIceServer

from stream.settings import StreamSettings


def ice_servers(settings: StreamSettings) -> list[RTCIceServer]:
    """The servers as aiortc takes them. Each setting is ``URL`` or ``URL username credential``."""
    servers = []
    for entry in settings.ice_servers:
        url, *login = entry.split()
        username, credential = login or (None, None)
        servers.append(RTCIceServer(urls=url, username=username, credential=credential))
    return servers


def link_header(settings: StreamSettings) -> str:
    """The servers as one `Link` header; empty when there are none."""
    links = []
    for server in ice_servers(settings):
        link = f'<{server.urls}>; rel="ice-server"'
        if server.username is not None:
            link += (
                f'; username="{server.username}"; credential="{server.credential}"'
                '; credential-type="password"'
            )
        links.append(link)
    return ", ".join(links)
