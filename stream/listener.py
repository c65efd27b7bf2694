"""What a media socket takes from whom."""

from __future__ import annotations

from typing import Any, cast

from aioice import Connection
from aioice.ice import StunProtocol


class Listener(StunProtocol):
    """ICE on one socket, deaf to media of strangers.

    aioice hands on whatever comes from wherever, and aiortc's DTLS transport breaks on an empty
    datagram (``data[0]``): anybody who guesses a port could end a viewer's connection. Once a pair
    is nominated, media come from addresses that connectivity checks were exchanged with; those
    that change their address have new checks first (RFC 8445 section 7.3.1.3).
    """

    receiver: Connection

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        """See asyncio. What begins with 0 to 3 is STUN (RFC 7983 section 7)."""
        packet = cast(bytes, data)
        if packet and (packet[0] < 4 or self._known(addr[:2])):
            super().datagram_received(data, addr)

    def _known(self, addr: tuple[Any, ...]) -> bool:
        pairs = self.receiver._check_list
        return not self.receiver._nominated or any(pair.remote_addr == addr for pair in pairs)
