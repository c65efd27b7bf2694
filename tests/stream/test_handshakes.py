"""TLS that somebody begins and does not finish, or begins without end."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from server import listen
from stream.connections import Config
from stream.settings import StreamSettings
from tests.stream.test_tls import self_signed

HELLO = bytes.fromhex("16030100c8010000c40303") + bytes(100)
"The beginning of a ClientHello (RFC 8446 section 4.1.2)."
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """204, and over which scheme it was asked."""
    headers = [(b"x-scheme", scope["scheme"].encode())]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


class Secure:
    """An HTTPS server whose limits are reached soon."""

    def __init__(self, server: uvicorn.Server, port: int) -> None:
        self.server, self.port = server, port

    @property
    def connections(self) -> int:
        return len(self.server.server_state.connections)

    async def open(
        self, secure: bool = True, host: str = "127.0.0.1"
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = ssl._create_unverified_context() if secure else None
        return await asyncio.open_connection(
            "127.0.0.1", self.port, ssl=context, local_addr=(host, 0)
        )

    async def get(self, host: str = "127.0.0.1") -> bytes:
        """The head of an answer."""
        reader, writer = await self.open(host=host)
        writer.write(GET)
        async with asyncio.timeout(5):
            head = await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()
        return head

    async def count(self, expected: int, seconds: float = 3) -> None:
        async with asyncio.timeout(seconds):
            while self.connections != expected:  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    yield self_signed(tmp_path_factory.mktemp("tls"), "a")


@asynccontextmanager
async def serving(files: tuple[Path, Path], **limits: Any) -> AsyncIterator[Secure]:
    settings = StreamSettings(**limits)
    listener = listen("127.0.0.1", 0)
    config = Config(app, settings, lifespan="off", timeout_graceful_shutdown=2,
                    ssl_certfile=files[0], ssl_keyfile=files[1])  # fmt: skip
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    async with asyncio.timeout(5):
        while not server.started:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.01)
    try:
        yield Secure(server, listener.getsockname()[1])
    finally:
        server.should_exit = True
        await running


async def over(reader: asyncio.StreamReader) -> bytes:
    """What came before the connection ended."""
    got = b""
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        async with asyncio.timeout(5):
            while data := await reader.read(65536):
                got += data
    return got


@pytest.mark.parametrize("sent", [b"", HELLO, b"\x16"], ids=["nothing", "a half", "a byte"])
async def test_a_handshake_that_is_not_finished_in_time_is_cut(
    certificate: tuple[Path, Path], sent: bytes
) -> None:
    async with serving(certificate, header_timeout=0.5) as there:
        reader, writer = await there.open(secure=False)
        began = time.monotonic()
        writer.write(sent)
        await there.count(1)
        await over(reader)
        assert 0.3 < time.monotonic() - began < 2
        await there.count(0)
        writer.close()
        assert b"x-scheme: https" in await there.get(), "others are served"


async def test_what_is_no_tls_is_cut_at_once_and_leaves_nothing(
    certificate: tuple[Path, Path],
) -> None:
    async with serving(certificate, header_timeout=30) as there:
        for sent in (GET, b"\x80" * 500, b"\x16\x03\x01\x00\x05hello"):
            reader, writer = await there.open(secure=False)
            writer.write(sent)
            await over(reader)
            writer.close()
        await there.count(0)
        assert not there.server.config.waiting  # type: ignore[attr-defined]


async def test_after_its_handshake_a_head_has_its_own_time(
    certificate: tuple[Path, Path],
) -> None:
    async with serving(certificate, header_timeout=0.6) as there:
        reader, writer = await there.open()
        await asyncio.sleep(0.3)
        writer.write(GET[:8])
        began = time.monotonic()
        assert await over(reader) == b""
        assert 0.1 < time.monotonic() - began < 1.5
        writer.close()
        await there.count(0)


async def test_handshakes_that_are_not_finished_count_and_the_oldest_makes_room(
    certificate: tuple[Path, Path],
) -> None:
    async with serving(certificate, header_timeout=30, max_connections=10) as there:
        idle = []
        for _ in range(40):
            idle.append(await there.open(secure=False))
            idle[-1][1].write(HELLO)
        await there.count(10)
        assert b" 204 " in await there.get()
        for reader, _ in idle[:30]:
            await over(reader)
        assert there.connections <= 10
        for _, writer in idle:
            writer.transport.abort()
        await there.count(0)


async def test_a_server_that_stops_does_not_wait_for_handshakes(
    certificate: tuple[Path, Path],
) -> None:
    async with serving(certificate, header_timeout=30) as there:
        reader, writer = await there.open(secure=False)
        writer.write(HELLO)
        await there.count(1)
        began = time.monotonic()
    assert time.monotonic() - began < 1.5
    await over(reader)
    writer.close()


async def test_handshakes_of_one_address_wait_for_their_turn_and_others_do_not(
    certificate: tuple[Path, Path],
) -> None:
    async with serving(certificate, header_timeout=4, connection_rate=5.0) as there:
        began = time.monotonic()

        async def handshake() -> float | None:
            """Seconds it took; None where it was cut."""
            try:
                assert b" 204 " in await there.get("127.0.0.2")
            except (OSError, EOFError):
                return None
            return time.monotonic() - began

        flood = asyncio.gather(*(handshake() for _ in range(40)))
        await asyncio.sleep(0.5)
        asked = time.monotonic()
        for host in ("127.0.0.3", "127.0.0.1"):
            assert b" 204 " in await there.get(host)
        assert time.monotonic() - asked < 1
        took = sorted(seconds for seconds in await flood if seconds is not None)
        # Ten at once, and those whose turn comes within half of the time-out.
        assert 18 <= len(took) <= 24 and took[9] < 1.2 < took[-1] < 3.5
        await there.count(0)
        assert not there.server.config.waiting  # type: ignore[attr-defined]


async def test_who_gives_up_while_it_waits_is_forgotten(certificate: tuple[Path, Path]) -> None:
    async with serving(certificate, header_timeout=1.0, connection_rate=2.0) as there:
        for _ in range(6):
            _, writer = await there.open(secure=False, host="127.0.0.2")
            writer.transport.abort()
        await asyncio.sleep(0.1)
        assert b" 204 " in await there.get("127.0.0.3")
        await there.count(0)
