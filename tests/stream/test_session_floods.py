"""Pings, pieces, commands, offers, feedback and datagrams without end are bounded, and hold up
nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket as sockets
import struct
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from aiortc.rtp import (
    RTCP_PSFB_APP,
    RTCP_PSFB_FIR,
    RTCP_PSFB_PLI,
    RTCP_RTPFB_NACK,
    RtcpPsfbPacket,
    RtcpRtpfbPacket,
    pack_remb_fci,
)
from websockets.exceptions import ConnectionClosed

from stream.connections import MAX_FRAGMENTS, MAX_MESSAGE
from tests.stream import strict_server
from tests.stream.conftest import Live
from tests.stream.strict_server import Server, address, undisturbed
from tests.stream.test_app import socket_of, until
from tests.stream.test_viewer import Viewer, viewer
from tests.stream.test_whep import offer

process, strict, narrow = strict_server.process, strict_server.strict, strict_server.narrow

# --- the control socket -----------------------------------------------------------------------


def masked(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    """A client's frame (RFC 6455 section 5.2)."""
    size = len(payload)
    head = bytes([opcode | 0x80 * fin])
    head += bytes([0x80 | size]) if size < 126 else bytes([0x80 | 126]) + struct.pack("!H", size)
    return head + bytes(4) + payload


async def bare(live: Live, session: dict[str, str], raw: sockets.socket) -> None:
    """Open a control socket on ``raw``, by hand."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(
        raw,
        f"GET {session['control']}?token={session['token']} HTTP/1.1\r\nHost: x\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode(),
    )
    assert (await loop.sock_recv(raw, 12)).startswith(b"HTTP/1.1 101")


async def gone(raw: sockets.socket) -> bytes:
    """What came before the server let go of ``raw``."""
    loop, got = asyncio.get_running_loop(), b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(5):
            while data := await loop.sock_recv(raw, 65536):
                got += data
    raw.close()
    return got


async def test_pings_of_a_client_that_does_not_read_are_no_memory(
    strict: Server, narrow: sockets.socket
) -> None:
    session = await strict.session()
    files, memory = strict.files, strict.memory
    await bare(strict, session, narrow)
    storm, sent = masked(9, bytes(100)) * 300, 0
    loop = asyncio.get_running_loop()
    async with undisturbed(strict):
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(2):
                while True:
                    await loop.sock_sendall(narrow, storm)
                    sent += len(storm)
                    await asyncio.sleep(0)
        assert strict.memory < memory + 40
    assert 1 << 20 < sent < 30 << 20
    narrow.close()
    await strict.frees(files)


@pytest.mark.parametrize("piece", [bytes(60_000), b""], ids=["too large", "too many"])
async def test_a_message_in_pieces_without_end_is_closed_with_1009(
    strict: Server, piece: bytes
) -> None:
    session = await strict.session()
    raw = sockets.create_connection(address(strict))
    raw.setblocking(False)
    await bare(strict, session, raw)
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        await loop.sock_sendall(raw, masked(2, piece, fin=False))
        # No more than it takes: what a closed socket has not read resets the connection, and the
        # close frame is lost with it.
        for _ in range(MAX_MESSAGE // len(piece) if piece else MAX_FRAGMENTS):
            await loop.sock_sendall(raw, masked(0, piece, fin=False))
            await asyncio.sleep(0)
    assert struct.pack("!H", 1009) in await gone(raw)


async def test_a_message_in_pieces_is_a_message(strict: Server) -> None:
    session = await strict.session()
    async with socket_of(strict, session) as socket:
        await socket.send(iter(['{"id": "a", ', '"type": ', '"ping"}']))
        assert (await until(socket, "ok"))["cause"] == "a"


def commands() -> Iterator[str]:
    """A wild mixture; the dearest ones there are among it."""
    for count in range(10_000):
        yield json.dumps({"id": f"b{count}", "type": "behave", "label": "surprise"})
        yield json.dumps({"type": "state", "state": ["thinking", "idle"][count % 2]})
        yield json.dumps({"type": "interrupt"})
        yield "nonsense" if count % 3 else '{"type": "ping"}'


async def test_1000_commands_a_second_wait_and_hold_up_nobody_else(strict: Server) -> None:
    session = await strict.session()
    async with undisturbed(strict), socket_of(strict, session) as flood:
        taking, sent = asyncio.create_task(drained(flood)), 0
        began, all_commands = time.monotonic(), commands()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):  # it is not read as fast, so that sending waits
                while True:
                    while sent < 1000 * (time.monotonic() - began):
                        await flood.send(next(all_commands))
                        sent += 1
                    await asyncio.sleep(0.01)
        taking.cancel()
        flood.transport.abort()
    shown = await strict.http.get(f"/v1/sessions/{session['id']}", headers=strict.auth(session))
    assert shown.status_code == 200


async def drained(socket: Any) -> None:
    with contextlib.suppress(ConnectionClosed):
        while True:
            await socket.recv()


# --- viewers ----------------------------------------------------------------------------------


async def test_offers_and_candidates_without_end_are_refused_and_hold_up_nobody(
    strict: Server,
) -> None:
    session = await strict.session()
    headers = {"Content-Type": "application/sdp"} | strict.auth(session)
    sdp, statuses = await offer(), Counter[int]()
    files = strict.files
    async with undisturbed(strict):
        made = await strict.http.post(session["whep"], headers=headers, content=sdp)
        resource = made.headers["location"]
        told = headers | {"Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*"}
        for count in range(100):
            lines = "".join(
                f"a=candidate:1 1 udp 2130706431 192.0.2.{n} {1024 + count} typ host\r\n"
                for n in range(4)
            )
            patched = await strict.http.patch(
                resource, headers=told, content=f"m=audio 9 RTP 0\r\na=mid:0\r\n{lines}"
            )
            statuses[patched.status_code] += 1
        for _ in range(40):
            made = await strict.http.post(session["whep"], headers=headers, content=sdp)
            statuses[made.status_code] += 1
        await strict.http.delete(f"/v1/sessions/{session['id']}", headers=strict.auth(session))
    assert statuses == {204: 16, 422: 84, 201: 15, 503: 25}
    await strict.frees(files + 8)  # those of the other session


def flood_of(viewer: Viewer) -> list[bytes]:
    """Feedback that a broken or hostile viewer may send; nothing before it has got anything."""
    (video,) = [r for r in viewer.pc.getReceivers() if r.track.kind == "video"]
    ssrc = next(iter(video._RTCRtpReceiver__remote_streams), 0)  # type: ignore[attr-defined]
    if not ssrc:
        return []
    remb = [pack_remb_fci(rate, [ssrc]) for rate in (0, 1, 30_000, 1 << 62)]
    packets: list[RtcpPsfbPacket | RtcpRtpfbPacket] = [
        RtcpPsfbPacket(fmt=RTCP_PSFB_PLI, ssrc=1, media_ssrc=ssrc),
        RtcpPsfbPacket(fmt=RTCP_PSFB_FIR, ssrc=1, media_ssrc=ssrc),
        RtcpRtpfbPacket(fmt=RTCP_RTPFB_NACK, ssrc=1, media_ssrc=ssrc, lost=[*range(200)]),
    ]
    for fci in (*remb, b"REMB", secrets.token_bytes(40)):
        packets.append(RtcpPsfbPacket(fmt=RTCP_PSFB_APP, ssrc=1, media_ssrc=ssrc, fci=fci))
    return [bytes(packet) for packet in packets]


async def test_storms_of_feedback_and_garbage_on_the_media_port_hold_up_nobody(
    strict: Server,
) -> None:
    """PLI, FIR, NACK, REMB from a viewer; datagrams of anybody."""
    session = await strict.session()
    memory = strict.memory
    async with undisturbed(strict), viewer(strict, session, sound=False) as hostile:
        async with asyncio.timeout(10):
            while not (packets := flood_of(hostile)):  # noqa: ASYNC110 - no event
                await asyncio.sleep(0.05)
        dtls = hostile.pc.getTransceivers()[0].receiver.transport
        far = dtls.transport._connection._nominated[1].remote_candidate
        family = sockets.AF_INET6 if ":" in far.host else sockets.AF_INET
        with sockets.socket(family, sockets.SOCK_DGRAM) as stranger:
            began, sent = time.monotonic(), 0
            while time.monotonic() - began < 2:
                while sent < 1000 * (time.monotonic() - began):
                    await dtls._send_rtp(packets[sent % len(packets)])
                    kind = (b"", b"\x00\x01", b"\x16\xfe\xfd", b"\x80\xc8")[sent % 4]
                    garbage = kind + secrets.token_bytes(sent % 900)
                    stranger.sendto(garbage, (far.host, far.port))
                    sent += 1
                await asyncio.sleep(0.005)
        shown = await strict.http.get(f"/v1/sessions/{session['id']}", headers=strict.auth(session))
        assert shown.json()["viewers"] == 1, "not even the hostile viewer is lost"
    assert strict.memory < memory + 60
