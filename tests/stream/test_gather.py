"""The addresses viewers are told: bounded in time and in ports, right behind a NAT."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aioice import Connection, stun
from aioice.ice import get_host_addresses
from aiortc import RTCPeerConnection, RTCSessionDescription

from core import Busy, Unavailable
from runtime.portraits import PortraitStore
from stream.gather import bind, gather_by, resolved
from stream.settings import StreamSettings
from tests.stream.conftest import Live, serving

HERE = get_host_addresses(use_ipv4=True, use_ipv6=False)[0]


class Stun(asyncio.DatagramProtocol):
    """A STUN server that sees everybody at one address, or says nothing."""

    def __init__(self, sees: str | None) -> None:
        self.sees = sees
        self.asked = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.asked += 1
        if self.sees is None:
            return
        request = stun.parse_message(data)
        answer = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
        )
        answer.attributes["XOR-MAPPED-ADDRESS"] = (self.sees, addr[1])
        self.transport.sendto(bytes(answer), addr)


@asynccontextmanager
async def stun_server(sees: str | None) -> AsyncIterator[tuple[Stun, tuple[str, int]]]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(
        lambda: Stun(sees), local_addr=(HERE, 0)
    )
    try:
        yield protocol, transport.get_extra_info("sockname")[:2]
    finally:
        transport.close()


@asynccontextmanager
async def gathered(settings: StreamSettings, **servers: Any) -> AsyncIterator[Connection]:
    connection = Connection(ice_controlling=False, use_ipv6=False, **servers)
    gather_by(settings, connection)
    try:
        await connection.gather_candidates()
        yield connection
    finally:
        await connection.close()


async def test_a_stun_server_that_is_away_delays_nobody() -> None:
    async with stun_server(None) as (server, address):
        began = time.monotonic()
        async with gathered(StreamSettings(gather_timeout=0.2), stun_server=address) as found:
            took = time.monotonic() - began
            assert {c.type for c in found.local_candidates} == {"host"}
        assert server.asked >= 1
    assert 0.2 <= took < 1.5  # aioice's own 5 s, and then some for a busy machine


async def test_a_turn_server_that_is_away_leaves_no_socket() -> None:
    async with stun_server(None) as (_, address):
        login = {"turn_username": "ann", "turn_password": "sesame"}
        settings = StreamSettings(gather_timeout=0.1)
        async with gathered(settings, turn_server=address, **login) as found:
            assert {c.type for c in found.local_candidates} == {"host"}
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if task.get_name() in ("stun", "turn")]


async def test_a_stun_server_s_word_is_told() -> None:
    async with (
        stun_server("198.51.100.7") as (_, address),
        gathered(StreamSettings(gather_timeout=3.0), stun_server=address) as found,
    ):
        reflexive = [c for c in found.local_candidates if c.type == "srflx"]
        assert {c.host for c in reflexive} == {"198.51.100.7"}


async def test_advertised_hosts_stand_in_the_place_of_our_own() -> None:
    hosts = ("203.0.113.5", "2001:db8::5", "203.0.113.6")
    async with stun_server("198.51.100.7") as (server, address):
        settings = StreamSettings(advertised_hosts=hosts)
        async with gathered(settings, stun_server=address) as found:
            told = found.local_candidates
            ports = {p.local_candidate.port for p in found._protocols}
        assert server.asked == 0  # nothing is left to ask
    assert {c.host for c in told} == {"203.0.113.5", "203.0.113.6"}  # IPv6 is not listened to
    assert {c.port for c in told} == ports
    assert len({c.priority for c in told}) == 2 and told[0].priority == max(
        c.priority for c in told
    )
    settings = StreamSettings(advertised_hosts=hosts[:1], advertise_local=True)
    async with gathered(settings) as found:
        assert {"203.0.113.5", HERE} <= {c.host for c in found.local_candidates}


async def test_names_are_resolved_once_and_unknown_ones_are_an_error() -> None:
    settings = await resolved(StreamSettings(advertised_hosts=("localhost", "203.0.113.5")))
    assert {"127.0.0.1", "203.0.113.5"} <= set(settings.advertised_hosts)
    assert await resolved(settings) == settings
    with pytest.raises(Unavailable, match=r"nowhere\.invalid"):
        await resolved(StreamSettings(advertised_hosts=("nowhere.invalid",)))


def free_ports(count: int) -> range:
    """Neighbouring UDP ports that nobody uses right now."""
    for first in range(42_000, 60_000, count):
        try:
            for sock in [
                s for p in range(first, first + count) for s in bind([HERE], range(p, p + 1))
            ]:
                sock.close()
        except Busy:
            continue
        return range(first, first + count)
    raise AssertionError("no free ports")


def test_all_addresses_share_a_port_of_the_range() -> None:
    ports = free_ports(3)
    sockets = bind([HERE, "127.0.0.1"], ports)
    used = {sock.getsockname()[1] for sock in sockets}
    assert len(sockets) == 2 and len(used) == 1 and used <= set(ports)
    (port,) = used
    with pytest.raises(Busy, match=f"{port}-{port}") as caught:
        bind([HERE], range(port, port + 1))
    assert caught.value.facts["retry_after"] > 0
    sockets[0].close()
    with pytest.raises(Busy):  # free on one address only: no use
        bind([HERE, "127.0.0.1"], range(port, port + 1))
    for sock in bind([HERE], range(port, port + 1)):  # and what was bound meanwhile is let go
        sock.close()
    sockets[1].close()


def test_an_address_that_is_gone_is_left_out() -> None:
    (sock,) = bind(["192.0.2.1", "127.0.0.1"], range(1))
    assert sock.getsockname()[0] == "127.0.0.1"
    sock.close()


async def offer(pc: RTCPeerConnection) -> str:
    pc.addTransceiver("video", direction="recvonly")
    await pc.setLocalDescription(await pc.createOffer())
    return str(pc.localDescription.sdp)


async def test_when_the_ports_are_used_up_viewers_are_told_to_come_back(
    store: PortraitStore,
) -> None:
    ports = free_ports(1)
    async with serving(store, udp_ports=f"{ports[0]}-{ports[-1]}") as live:
        session = await live.session()
        headers = {"Content-Type": "application/sdp"} | live.auth(session)
        first, second = RTCPeerConnection(), RTCPeerConnection()
        made = await live.http.post(session["whep"], headers=headers, content=await offer(first))
        assert made.status_code == 201
        lines = [line for line in made.text.splitlines() if line.startswith("a=candidate")]
        assert lines and {int(line.split()[5]) for line in lines} == set(ports)
        sdp = await offer(second)
        busy = await live.http.post(session["whep"], headers=headers, content=sdp)
        assert busy.status_code == 503 and int(busy.headers["retry-after"]) > 0
        assert "udp_ports" in busy.json()["detail"]
        assert live.sessions.get(session["id"]).viewers == 1
        await live.http.delete(made.headers["location"], headers=headers)
        again = await live.http.post(session["whep"], headers=headers, content=sdp)
        assert again.status_code == 201
        await first.close()
        await second.close()


class Nat(asyncio.DatagramProtocol):
    """Forwards what comes to one address to the same port of another, and answers back."""

    def __init__(self, inside: tuple[str, int]) -> None:
        self.inside = inside
        self.forwarded = self.returned = 0
        self._ways: dict[Any, socket.socket] = {}

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if addr not in self._ways:
            self._ways[addr] = sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.connect(self.inside)
            asyncio.get_running_loop().add_reader(sock, self._back, sock, addr)
        self._ways[addr].send(data)
        self.forwarded += 1

    def _back(self, sock: socket.socket, addr: Any) -> None:
        self.transport.sendto(sock.recv(65536), addr)
        self.returned += 1

    def close(self) -> None:
        self.transport.close()
        for sock in self._ways.values():
            asyncio.get_running_loop().remove_reader(sock)
            sock.close()


async def test_a_viewer_outside_a_nat_connects_by_the_advertised_host(
    store: PortraitStore,
) -> None:
    ports = free_ports(1)
    loop = asyncio.get_running_loop()
    outside = ("127.0.0.1", ports[0])  # an address the server itself never listens on
    _, nat = await loop.create_datagram_endpoint(lambda: Nat((HERE, ports[0])), local_addr=outside)
    settings: dict[str, Any] = {
        "udp_ports": f"{ports[0]}-{ports[0]}",
        "advertised_hosts": ("127.0.0.1",),
    }
    async with serving(store, **settings, connect_timeout=8.0) as live:
        picture = await watch_from_outside(live)
    nat.close()
    assert picture.width == 256
    assert nat.forwarded >= 3  # a check, and the viewer's side of DTLS
    assert nat.returned > 5  # and pictures the other way


async def watch_from_outside(live: Live) -> Any:
    """The first picture of a viewer whose own addresses the server is not told."""
    session = await live.session()
    headers = {"Content-Type": "application/sdp"} | live.auth(session)
    pc = RTCPeerConnection()
    tracks: asyncio.Queue[Any] = asyncio.Queue()
    pc.on("track", tracks.put_nowait)
    lines = (await offer(pc)).splitlines()
    hidden = [s for s in lines if "candidate" not in s]
    made = await live.http.post(
        session["whep"], headers=headers, content="\r\n".join(hidden) + "\r\n"
    )
    assert made.status_code == 201 and HERE not in made.text.replace("s=-", "")
    await pc.setRemoteDescription(RTCSessionDescription(made.text, "answer"))
    async with asyncio.timeout(8):
        picture = await (await tracks.get()).recv()
    await live.http.delete(made.headers["location"], headers=headers)
    await pc.close()
    return picture
