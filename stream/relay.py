"""An address of ours on a TURN server (RFC 8656), for viewers who are reached no other way.

It takes the place of aioice's `relayed_candidate`, which

- binds channels again after 500 s. They last 600 s, but the permissions that come with them are
  promised for 300 s only (RFC 8656 sections 9 and 12; coturn prolongs both): after that a viewer
  may no longer be heard, and is taken for lost;
- closes when the server has said goodbye, half a minute after a server that is away was asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from aioice import Candidate, Connection
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.stun import TransactionFailed, TransactionTimeout
from aioice.turn import create_turn_endpoint

from stream.listener import Listener

REFRESH: Final = 240
"Seconds after which a viewer's channel is bound again, and with it the permission."
GOODBYE: Final = 1.0
"Seconds that closing waits for the server; it is told again in the background."


class Relay(Listener):
    """ICE over an allocation, which ends with it."""

    async def close(self) -> None:
        """Give the allocation back. A server that is away frees it by itself, later."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await super().close()


async def relayed(connection: Connection, component: int) -> tuple[Candidate, Relay]:
    """Allocate at the connection's TURN server; closing the protocol frees the allocation.

    Raises:
        OSError: The server can not be reached.
        TransactionError: It does not answer, or refuses; `reason` tells.
    """
    server = connection.turn_server
    assert server is not None
    transport, protocol = await create_turn_endpoint(
        lambda: Relay(connection),
        server_addr=server,
        username=connection.turn_username,
        password=connection.turn_password,
        channel_refresh_time=REFRESH,
        ssl=connection.turn_ssl,
        transport=connection.turn_transport,
    )
    host, port = transport.get_extra_info("sockname")
    related_host, related_port = transport.get_extra_info("related_address")
    protocol.local_candidate = Candidate(
        foundation=candidate_foundation("relay", "udp", host),
        component=component,
        transport="udp",
        priority=candidate_priority(component, "relay"),
        host=host,
        port=port,
        type="relay",
        related_address=related_host,
        related_port=related_port,
    )
    return protocol.local_candidate, protocol


def reason(error: BaseException) -> str:
    """Why a STUN or TURN server gave no address, and what to look at."""
    if isinstance(error, (asyncio.CancelledError, TransactionTimeout)):
        return "it did not answer within stream.gather_timeout"
    if not isinstance(error, TransactionFailed):
        return str(error) or type(error).__name__
    code, phrase = error.response.attributes.get("ERROR-CODE", (0, "no reason"))
    if code == 401:
        return (
            f"it refuses the login ({code} {phrase}): is stream.turn_secret its"
            " static-auth-secret, and is its clock right?"
        )
    return f"it refuses ({code} {phrase})"
