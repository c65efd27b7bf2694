"""Clients that hold connections, trickle or do not read are cut; another session goes on."""

from __future__ import annotations

import asyncio
import contextlib
import socket as sockets
import time

import pytest

from tests.stream import strict_server
from tests.stream.strict_server import MOST, Server, cut, opened, undisturbed

process, strict, narrow = strict_server.process, strict_server.strict, strict_server.narrow
HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 400
HANDSHAKE = (
    b"GET /v1/sessions/x/control HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + b"a" * 400
)


async def dribble(writer: asyncio.StreamWriter, text: bytes, every: float = 0.05) -> None:
    """One byte at a time, until it is cut."""
    with contextlib.suppress(ConnectionError):
        for byte in text:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(every)


@pytest.mark.parametrize("what", [b"", HEAD, HANDSHAKE], ids=["nothing", "head", "handshake"])
async def test_a_head_that_does_not_come_in_time_is_cut(strict: Server, what: bytes) -> None:
    reader, writer = await opened(strict)
    began = time.monotonic()
    sending = asyncio.create_task(dribble(writer, what))
    assert await cut(reader) == b""
    assert 0.4 < time.monotonic() - began < 2
    sending.cancel()
    writer.close()


async def test_a_connection_that_trickles_after_its_first_request_is_cut(strict: Server) -> None:
    reader, writer = await opened(strict)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    sending = asyncio.create_task(dribble(writer, HEAD))
    began = time.monotonic()
    assert (await cut(reader)).startswith(b"HTTP/1.1 200")
    assert time.monotonic() - began < 2
    sending.cancel()
    writer.close()


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/v1/sessions", "application/json"), ("/v1/check", "application/sdp"),
     ("/v1/portraits", "image/png")],
)  # fmt: skip
async def test_a_body_that_trickles_is_refused_with_408(
    strict: Server, path: str, kind: str
) -> None:
    reader, writer = await opened(strict)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 4000\r\n\r\n"
    )
    writer.write(head.encode())
    sending = asyncio.create_task(dribble(writer, b"a" * 400))
    began = time.monotonic()
    answer = await cut(reader)
    assert answer.startswith(b"HTTP/1.1 408") and b"problem+json" in answer, answer
    assert time.monotonic() - began < 2
    sending.cancel()
    writer.close()
    assert "saccade_sessions 0.0" in (await strict.http.get("/metrics")).text


async def test_a_body_that_keeps_coming_may_take_its_time(strict: Server) -> None:
    """Longer than the time-out in all, and fast enough."""
    session = await strict.session()
    reader, writer = await opened(strict)
    body = 2 << 20
    writer.write(
        f"POST {session['control'].replace('control', 'speech')} HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {session['token']}\r\nContent-Type: audio/wav\r\n"
        f"Connection: close\r\nContent-Length: {body}\r\n\r\n".encode()
    )
    for _ in range(16):
        writer.write(bytes(body // 16))
        await asyncio.sleep(0.06)
    assert (await cut(reader)).startswith(b"HTTP/1.1 422"), "it was read to its end: no sound file"
    writer.close()


async def test_a_client_that_does_not_take_its_answer_is_cut(
    strict: Server, narrow: sockets.socket
) -> None:
    files, memory = strict.files, strict.memory
    ask = b"GET /style.css HTTP/1.1\r\nHost: x\r\n\r\n"
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            while True:  # each answer is 40 KB, until the server's side is full, too
                await loop.sock_sendall(narrow, ask)
                await asyncio.sleep(0.001)
    await strict.frees(files)
    assert strict.memory < memory + 20


async def test_500_connections_at_once_keep_nobody_out(strict: Server) -> None:
    async with undisturbed(strict):
        before = strict.files
        idle = [await opened(strict) for _ in range(500)]
        answer = await strict.http.get("/healthz", headers={"Connection": "close"})
        assert answer.status_code == 200
        assert strict.files <= before + MOST + 5, "the oldest made room"
        await strict.frees(before)
        for _, writer in idle:
            writer.close()


async def test_when_all_connections_work_one_more_is_told_to_come_back(strict: Server) -> None:
    ask = b"POST /v1/check HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\n"
    busy = [await opened(strict) for _ in range(MOST)]
    for _, writer in busy:
        writer.write(ask + b"Content-Length: 9\r\n\r\n")
    await asyncio.sleep(0.2)
    late, other = await opened(strict)
    answer = await cut(late)
    assert answer.startswith(b"HTTP/1.1 503") and b"retry-after" in answer
    for _, writer in [*busy, (late, other)]:
        writer.close()
