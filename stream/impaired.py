"""A UDP relay that loses and delays packets: a bad network, for measurements and tests."""

from __future__ import annotations

import asyncio
import random
import re
from types import TracebackType
from typing import Any, Final

MOST_WAITING: Final = 20_000
"Packets under way in the relay; more are lost, as in any router."
CANDIDATE: Final = re.compile(r"a=candidate:(\S+) 1 udp (\d+) (\d+(?:\.\d+){3}) (\d+) typ host")


class _Side(asyncio.DatagramProtocol):
    def __init__(self, relay: Relay, to_server: bool) -> None:
        self._relay, self._to_server = relay, to_server

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self._relay.pass_on(data, addr, self._to_server)

    def error_received(self, exc: Exception) -> None:
        """The other end has gone; so be it."""


class Relay:
    """Between one viewer and one server, on loopback. ``async with``."""

    def __init__(self, *, loss: float = 0.0, delay: float = 0.0, seed: int = 0) -> None:
        """``loss`` is the share of packets lost each way, ``delay`` seconds each way."""
        self.loss, self.delay = loss, delay
        self.cut = False
        "Nothing passes."
        self.lost = self.passed = 0
        self._random = random.Random(seed)
        self._waiting = 0
        self._server: tuple[str, int] | None = None
        self._viewer: tuple[str | Any, int] | None = None

    async def __aenter__(self) -> Relay:
        loop = asyncio.get_running_loop()
        here = ("127.0.0.1", 0)
        self._front, _ = await loop.create_datagram_endpoint(
            lambda: _Side(self, True), local_addr=here
        )
        self._back, _ = await loop.create_datagram_endpoint(
            lambda: _Side(self, False), local_addr=("0.0.0.0", 0)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._front.close()
        self._back.close()

    def offer(self, sdp: str) -> str:
        """An offer without the viewer's addresses: the server may know the relay only."""
        lines = (x for x in sdp.splitlines() if not x.startswith(("a=candidate", "a=end-of-cand")))
        return "\r\n".join(lines) + "\r\n"

    def answer(self, sdp: str) -> str:
        """An answer in which the server is where the relay is. Raises ValueError without IPv4."""
        found = CANDIDATE.search(sdp)
        if found is None:
            raise ValueError("the answer has no IPv4 host candidate")
        self._server = (found[3], int(found[4]))
        port = self._front.get_extra_info("sockname")[1]
        ours = f"a=candidate:{found[1]} 1 udp {found[2]} 127.0.0.1 {port} typ host"
        lines: list[str] = []
        for line in sdp.splitlines():
            if not line.startswith("a=candidate"):
                lines.append(line)
            elif ours not in lines[-1:]:
                lines.append(ours)
        return "\r\n".join(lines) + "\r\n"

    def pass_on(self, data: bytes, addr: tuple[str | Any, int], to_server: bool) -> None:
        """One packet came in."""
        if to_server:
            self._viewer = addr
        unlucky = self._random.random() < self.loss
        if self.cut or unlucky or self._waiting >= MOST_WAITING:
            self.lost += 1
            return
        self._waiting += 1
        asyncio.get_running_loop().call_later(self.delay, self._deliver, data, to_server)

    def _deliver(self, data: bytes, to_server: bool) -> None:
        self._waiting -= 1
        self.passed += 1
        transport, where = (self._back, self._server) if to_server else (self._front, self._viewer)
        if where is not None and not transport.is_closing():
            transport.sendto(data, where)
