"""ICE restarts (RFC 8445 section 9) under a DTLS transport that stays.

aiortc can not restart ICE (aiortc#211): a viewer that changes networks would have to begin anew
with offer, DTLS, encoder and key frame. But its DTLS transport reaches the network by two
attributes of the ICE transport, ``_recv`` and ``_send``. `IcePath` stands there: a restart makes a
new aioice `Connection` beside the old one, and packets change over when it has connected. SRTP
keys, RTP sequence numbers and all state above stay.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from aioice import Connection
from aiortc import RTCIceCandidate, RTCIceTransport
from aiortc.rtcicetransport import (
    candidate_from_aioice,
    candidate_to_aioice,
    connection_kwargs,
)

from core import NotFound
from stream.gather import gather_by
from stream.ice import ice_servers
from stream.settings import StreamSettings

log = logging.getLogger(__name__)


class IcePath:
    """The way of a transport's packets. Whoever makes it awaits `close` before the transport's."""

    def __init__(self, transport: RTCIceTransport, settings: StreamSettings) -> None:
        """To be made before the transport gathers and starts."""
        self._transport = transport
        self._settings = settings
        self._current = transport._connection
        self._next: Connection | None = None
        self._changing: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._closed = False
        self.restarted = False
        "Whether remote candidates have to be told here, not to the RTCPeerConnection."
        gather_by(settings, self._current)
        # aiortc's DTLS looks both up at each packet; tests notice should that change.
        transport._recv = self._recv
        transport._send = self._send

    @property
    def connected(self) -> bool:
        """Whether there is something to restart."""
        return self._transport.state == "completed"

    async def restart(
        self, ufrag: str, password: str
    ) -> tuple[str, str, Sequence[RTCIceCandidate]]:
        """Begin a restart with the other side's new credentials.

        The old way carries packets until the new one has connected; when it does not within
        ``connect_timeout``, the old one stays. A restart under way is given up for a new one.

        Returns:
            User name, password and candidates of this side.

        Raises:
            Busy: No UDP port is free.
            NotFound: The path is closed.
        """
        async with self._lock:  # of two at once the later one wins
            if self._closed:
                raise NotFound("The viewer has left.")
            await self._give_up()
            return await self._begin(ufrag, password)

    async def _begin(self, ufrag: str, password: str) -> tuple[str, str, Sequence[RTCIceCandidate]]:
        old = self._current
        new = Connection(
            ice_controlling=old.ice_controlling,  # roles stay (RFC 8445 section 6.1.1)
            **connection_kwargs(ice_servers(self._settings)),  # logins of before may have expired
        )
        gather_by(self._settings, new)
        try:
            await new.gather_candidates()
        except BaseException:
            await new.close()
            raise
        new.remote_username, new.remote_password = ufrag, password
        self._next, self.restarted = new, True
        # From here on the loss of the old connection is not the end, that of the new one is.
        _hand_over(old, new)
        self._changing = asyncio.create_task(self._change(old, new), name="ICE restart")
        told = [candidate_from_aioice(candidate) for candidate in new.local_candidates]
        return new.local_username, new.local_password, told

    async def add_candidate(self, candidate: RTCIceCandidate | None) -> None:
        """A remote candidate of the latest restart; None says that there are no more."""
        connection = self._next or self._current
        if not connection._remote_candidates_end:
            await connection.add_remote_candidate(
                None if candidate is None else candidate_to_aioice(candidate)
            )

    async def close(self) -> None:
        """Give up a restart that is under way; the transport can be stopped then."""
        async with self._lock:
            self._closed = True
            await self._give_up()

    async def _give_up(self) -> None:
        if self._changing is None:
            return
        if self._next is not None:  # else it has changed over, and tidies up
            self._changing.cancel()
        await asyncio.gather(self._changing, return_exceptions=True)
        if self._next is not None:  # cancelled before its first step
            await self._stay(self._next)

    async def _change(self, old: Connection, new: Connection) -> None:
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                await new.connect()
        except (ConnectionError, TimeoutError, asyncio.CancelledError) as error:
            log.info("ICE restart given up: %s", type(error).__name__)
            await self._stay(new)
            return
        self._current = self._transport._connection = new
        self._transport.iceGatherer._connection = new
        self._next = None
        await old.close()  # which wakes whoever receives from it

    async def _stay(self, new: Connection) -> None:
        """The old way after all, or none: whoever waits for its end is told then."""
        self._next = None
        if not self._current._closed:
            _hand_over(new, self._current)
        await new.close()

    async def _recv(self) -> bytes:
        while True:
            connection = self._current
            try:
                return await connection.recv()
            except ConnectionError:
                if self._changing is not None and self._current is connection:
                    await asyncio.wait([self._changing])
                if self._current is connection:
                    raise

    async def _send(self, data: bytes) -> None:
        try:
            await self._current.send(data)
        except ConnectionError:
            if self._next is None:
                raise  # else it is lost on the way, as in any network


def _hand_over(losing: Connection, gaining: Connection) -> None:
    """Let whoever waits for the end of one connection wait for that of another."""
    gaining._event_waiter, losing._event_waiter = losing._event_waiter, None
