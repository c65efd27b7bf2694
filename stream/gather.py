"""Which addresses viewers are told: gathering of ICE candidates (RFC 8445 section 5.1).

It takes the place of one method of aioice's `Connection`, which

- binds whatever ports the system picks; a firewall or a container wants a range (aioice#47);
- knows the machine's own addresses only, which are of no use behind a 1:1 NAT;
- waits up to 5 s for STUN and TURN servers, and no answer leaves before that.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import itertools
import logging
import random
import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

from aioice import Candidate, Connection
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol, server_reflexive_candidate
from aiortc import RTCIceCandidate, RTCIceServer, RTCIceTransport
from aiortc.rtcicetransport import candidate_from_aioice, connection_kwargs

from core import Busy, Unavailable
from stream.listener import Listener
from stream.relay import reason, relayed
from stream.sdpfrag import write_fragment
from stream.settings import StreamSettings

log = logging.getLogger(__name__)

ANY_PORT: Final = range(1)
"Port 0: the system picks."
LOCAL_PREFERENCE: Final = 65_535
"Of the first of several host candidates (RFC 8445 section 5.1.2.1)."
BUFFER: Final = 256 * 1024
"Bytes a socket may hold while the event loop is busy."


async def resolved(settings: StreamSettings) -> StreamSettings:
    """The same settings with addresses in place of the names among ``advertised_hosts``.

    Raises:
        Unavailable: A name has no address.
    """
    loop = asyncio.get_running_loop()
    addresses: list[str] = []
    for host in settings.advertised_hosts:
        try:
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
        except OSError as error:
            raise Unavailable(
                f"stream.advertised_hosts: {host!r} has no address ({error.strerror or error})."
                " Correct the name, or give the address itself."
            ) from None
        addresses += [str(entry[4][0]) for entry in found]
    return replace(settings, advertised_hosts=tuple(dict.fromkeys(addresses)))


def gather_by(settings: StreamSettings, connection: Connection) -> None:
    """Have a connection gather as the settings say. To be called before it gathers."""
    setattr(connection, "get_component_candidates", partial(_gather, settings, connection))  # noqa: B010


async def _gather(
    settings: StreamSettings, connection: Connection, *, component: int, addresses: list[str]
) -> list[Candidate]:
    """Open sockets and return what viewers are told. Raises Busy when no port is free."""
    protocols = []
    for sock in bind(addresses, settings.ports or ANY_PORT):
        protocols.append(await _listen(connection, sock, component))
        connection._protocols.append(protocols[-1])  # so that it closes them
    own = [protocol.local_candidate for protocol in protocols]
    if settings.advertised_hosts:
        told = advertised(settings.advertised_hosts, own, component)
        return told + own if settings.advertise_local else told
    return own + await _ask_servers(settings, connection, protocols, component)


def bind(addresses: Sequence[str], ports: range) -> list[socket.socket]:
    """A UDP socket on every address, all with the same port of a range.

    Addresses that can not be bound at all (an interface that just went) are left out.

    Raises:
        Busy: Each port of the range is in use.
    """
    first = random.randrange(len(ports))  # a port just left may still be sent to: take another
    for port in itertools.chain(ports[first:], ports[:first]):
        sockets = _bind_all(addresses, port)
        if sockets is not None:
            return sockets
    raise Busy(
        f"All UDP ports of stream.udp_ports ({ports[0]}-{ports[-1]}) are in use; try again soon.",
        retry_after=5,
    )


def _bind_all(addresses: Sequence[str], port: int) -> list[socket.socket] | None:
    """None when the port is taken on one of the addresses."""
    sockets: list[socket.socket] = []
    for address in addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.bind((address, port))
        except OSError as error:
            sock.close()
            if error.errno == errno.EADDRINUSE and port:
                for taken in sockets:
                    taken.close()
                return None
            log.debug("%s can not be bound: %s", address, error)
        else:
            sockets.append(sock)
    return sockets


async def _listen(connection: Connection, sock: socket.socket, component: int) -> StunProtocol:
    """ICE on a bound socket; its local candidate is the socket's own address."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_datagram_endpoint(lambda: Listener(connection), sock=sock)
    host, port = sock.getsockname()[:2]
    protocol.local_candidate = _host(host, port, component, LOCAL_PREFERENCE)
    return protocol


def advertised(hosts: Sequence[str], own: Sequence[Candidate], component: int) -> list[Candidate]:
    """Host candidates with other addresses and the same ports, best first, none twice."""
    told: dict[tuple[str, int], Candidate] = {}
    for preference, host in enumerate(hosts):
        version = ipaddress.ip_address(host).version
        for candidate in own:
            if ipaddress.ip_address(candidate.host).version == version:
                new = _host(host, candidate.port, component, LOCAL_PREFERENCE - preference)
                told.setdefault((new.host, new.port), new)
    return list(told.values())


def _host(host: str, port: int, component: int, preference: int) -> Candidate:
    return Candidate(
        foundation=candidate_foundation("host", "udp", host),
        component=component,
        transport="udp",
        priority=candidate_priority(component, "host", preference),
        host=host,
        port=port,
        type="host",
    )


async def ask_later(
    transport: RTCIceTransport, servers: list[RTCIceServer], patience: float
) -> list[RTCIceCandidate]:
    """Ask STUN and TURN servers that were told after gathering; before the transport starts.

    So an offer leaves at once, and the servers that come with its answer (RFC 9725 section 4.6)
    count for the same connection. Ours need not be told to the other side: checks that come by way
    of them tell it (RFC 8445 section 7.3.1.3); to trickle them saves a round trip.

    Args:
        transport: Has gathered, has not started.
        servers: The first of each kind is asked.
        patience: Seconds for them to answer.

    Returns:
        The new candidates.
    """
    connection = transport._connection
    for name, value in connection_kwargs(servers).items():
        setattr(connection, name, value)
    protocols = list(connection._protocols)
    settings = replace(StreamSettings(), gather_timeout=patience)
    found = await _ask_servers(settings, connection, protocols, component=1)
    connection._local_candidates += found
    return [candidate_from_aioice(candidate) for candidate in found]


def late_candidates(transport: RTCIceTransport, found: Sequence[RTCIceCandidate]) -> str:
    """The fragment that trickles what `ask_later` found, for the first of bundled sections."""
    mine = transport._connection
    media = "m=video 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0"
    return write_fragment(mine.local_username, mine.local_password, found, media=media)


async def _ask_servers(
    settings: StreamSettings,
    connection: Connection,
    protocols: Sequence[StunProtocol],
    component: int,
) -> list[Candidate]:
    """What STUN and TURN servers say in time. The answer does not wait for one that is away."""
    asked: list[asyncio.Task[Any]] = []
    if connection.stun_server is not None:
        for protocol in protocols:
            if ":" not in protocol.local_candidate.host:
                query = server_reflexive_candidate(protocol, connection.stun_server)
                asked.append(asyncio.create_task(query, name="stun"))
    if connection.turn_server is not None:
        allocation = relayed(connection, component)
        asked.append(asyncio.create_task(allocation, name="turn"))
    if not asked:
        return []
    try:
        await asyncio.wait(asked, timeout=settings.gather_timeout)
    finally:
        for task in asked:
            task.cancel()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    found: list[Candidate] = []
    served, failed = set(), {}
    for task, outcome in zip(asked, outcomes, strict=True):
        kind = task.get_name()
        if isinstance(outcome, BaseException):
            failed[kind] = reason(outcome)
            continue
        candidate, protocol = outcome
        served.add(kind)
        found.append(candidate)
        if protocol is not None:
            connection._protocols.append(protocol)
    for kind, why in failed.items():
        if kind not in served:  # a STUN server may be asked from interfaces that do not reach it
            log.warning("the %s server tells no address: %s", kind.upper(), why)
    return found
