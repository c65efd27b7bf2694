"""Clients that hold connections, trickle, flood or do not read; and another session meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import secrets
import shutil
import socket as sockets
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
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

from runtime.portraits import PortraitStore
from stream.connections import MAX_FRAGMENTS, MAX_MESSAGE
from stream.share import BURST, Share
from tests.e2e.browser import ROOT, free_port, wait_ready
from tests.stream.conftest import Live
from tests.stream.test_app import socket_of, until
from tests.stream.test_viewer import Viewer, viewer
from tests.stream.test_whep import offer

MOST = 60
SETTINGS = {
    "SACCADE_CONFIG": "",
    "SACCADE_VOICE__KIND": "none",
    "SACCADE_RUNTIME__RENDERER": "puppet",
    "SACCADE_RUNTIME__SIZE": "128",
    "SACCADE_STREAM__DRAIN_SECONDS": "0",
    "SACCADE_STREAM__MAX_CONNECTIONS": str(MOST),
    "SACCADE_STREAM__HEADER_TIMEOUT": "0.6",
    "SACCADE_STREAM__BODY_TIMEOUT": "0.6",
    "SACCADE_STREAM__WRITE_TIMEOUT": "1",
}


@dataclass
class Server(Live):
    """`python server.py`, without patience."""

    pid: int = 0

    @property
    def files(self) -> int:
        """Sockets and files that it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def memory(self) -> int:
        """MiB of it in memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() >> 20

    async def frees(self, files: int) -> None:
        """Wait until it has no more than so many open."""
        async with asyncio.timeout(10):
            while self.files > files:  # noqa: ASYNC110 - of another process
                await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def process(store: PortraitStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder, port = tmp_path_factory.mktemp("strict"), free_port()
    store.get(store.list()[0].id)
    shutil.copytree(store.root, folder / "portraits")
    base, log = f"http://127.0.0.1:{port}", folder / "log"
    env = os.environ | SETTINGS | {"SACCADE_DATA": str(folder)}
    nothing: Any = None
    with log.open("wb") as out:
        running = subprocess.Popen(
            [sys.executable, "server.py", "--port", str(port)],
            cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        wait_ready(base, running, log)
        yield Server(base, nothing, nothing, nothing, running.pid)
    finally:
        running.kill()
        running.wait()
    assert "Traceback" not in log.read_text(), log.read_text()


@pytest.fixture
async def strict(process: Server) -> AsyncIterator[Server]:
    """The server, and no sessions."""
    made: list[dict[str, str]] = []

    class Ours(Server):
        async def session(self, **wanted: object) -> dict[str, str]:
            made.append(await Live.session(self, **wanted))
            return made[-1]

    async with httpx.AsyncClient(base_url=process.base, timeout=20) as http:
        server = Ours(process.base, process.sessions, http, process.stop, process.pid)
        yield server
        for session in made:
            await http.delete(f"/v1/sessions/{session['id']}", headers=server.auth(session))


class Counts:
    """A decoder that only notes when pictures come: this process floods, and has no time."""

    def __init__(self) -> None:
        self.arrived: list[float] = []

    def decode(self, frame: Any) -> list[Any]:
        self.arrived.append(time.monotonic())
        return []


@asynccontextmanager
async def undisturbed(live: Live) -> AsyncIterator[None]:
    """Another session, watched and told something: its pictures and commands go on meanwhile,
    nearly as they did before, on a machine that may be busy with other things as well."""
    session = await live.session(seed=5)
    counts, answered = Counts(), list[float]()
    arrived = counts.arrived
    with pytest.MonkeyPatch.context() as patch:
        decoders = iter([counts])  # others are not counted
        patch.setattr("aiortc.rtcrtpreceiver.get_decoder", lambda codec: next(decoders, Counts()))
        async with viewer(live, session, sound=False), socket_of(live, session) as control:
            async with asyncio.timeout(10):
                while len(arrived) < 10:  # noqa: ASYNC110 - of another thread
                    await asyncio.sleep(0.05)

            async def command() -> None:
                while True:
                    asked = time.monotonic()
                    await control.send(json.dumps({"id": str(asked), "type": "ping"}))
                    while (await until(control, "ok"))["cause"] != str(asked):
                        pass
                    answered.append(time.monotonic())
                    await asyncio.sleep(0.1)

            task = asyncio.create_task(command())
            times = [time.monotonic()]
            try:
                await asyncio.sleep(1.0)
                times.append(time.monotonic())
                yield
                await asyncio.sleep(max(0.0, times[1] + 2.0 - time.monotonic()))
                times.append(time.monotonic())
                await asyncio.sleep(1.0)
                times.append(time.monotonic())
            finally:
                task.cancel()
                (end,) = await asyncio.gather(task, return_exceptions=True)
    before, rate, after = np.histogram(arrived, times)[0] / np.diff(times)
    gaps = [longest(arrived, *span) for span in pairwise(times)]
    silences = [longest(answered, *span) for span in pairwise(times)]
    print(
        f"{before:.0f}, {rate:.0f}, {after:.0f} pictures/s, gaps of {np.round(gaps, 2)} s,"
        f" without an answer {np.round(silences, 2)} s"
    )
    assert isinstance(end, asyncio.CancelledError), end
    # What this machine does while it is left alone is the measure of what it may.
    fine = (
        rate > 0.5 * min(before, after)
        and gaps[1] < max(1.5, 2 * max(gaps[0], gaps[2]))
        and silences[1] < max(1.0, 2 * max(silences[0], silences[2]))
    )
    if not fine and min(before, after) < 18:
        pytest.skip("This machine is so busy with other things that they may be the reason.")
    assert fine


def longest(times: list[float], begin: float, end: float) -> float:
    """Seconds of the longest time in which nothing came."""
    between = [begin, *(at for at in times if begin < at < end), end]
    return float(max(np.diff(between)))


def address(live: Live) -> tuple[str, int]:
    host, _, port = live.base.removeprefix("http://").partition(":")
    return host, int(port)


async def opened(live: Live) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(*address(live))


async def dribble(writer: asyncio.StreamWriter, text: bytes, every: float = 0.05) -> None:
    """One byte at a time, until it is cut."""
    with contextlib.suppress(ConnectionError):
        for byte in text:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(every)


async def cut(reader: asyncio.StreamReader) -> bytes:
    """What came before the connection ended."""
    got = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(5):
            while data := await reader.read(65536):
                got += data
    return got


HEAD = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 400
HANDSHAKE = (
    b"GET /v1/sessions/x/control HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + b"a" * 400
)


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


@pytest.fixture
def narrow(strict: Server) -> Iterator[sockets.socket]:
    """A connection whose side takes hardly anything."""
    with sockets.socket() as raw:
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 2048)
        raw.connect(address(strict))
        raw.setblocking(False)
        yield raw


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
        local = dtls.transport._connection._nominated[1]
        port = local.remote_candidate.port
        with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as stranger:
            began, sent = time.monotonic(), 0
            while time.monotonic() - began < 2:
                while sent < 1000 * (time.monotonic() - began):
                    await dtls._send_rtp(packets[sent % len(packets)])
                    kind = (b"", b"\x00\x01", b"\x16\xfe\xfd", b"\x80\xc8")[sent % 4]
                    stranger.sendto(
                        kind + secrets.token_bytes(sent % 900), (local.remote_candidate.host, port)
                    )
                    sent += 1
                await asyncio.sleep(0.005)
        shown = await strict.http.get(f"/v1/sessions/{session['id']}", headers=strict.auth(session))
        assert shown.json()["viewers"] == 1, "not even the hostile viewer is lost"
    assert strict.memory < memory + 60


def test_work_is_bounded_to_its_share_and_a_little_is_never_kept_waiting() -> None:
    share, now, done = Share(0.25, 0.0), 0.0, 0.0
    while now < 20:
        now += share.wait(now)
        share.spent(0.05)
        done, now = done + 0.05, now + 0.05
    assert done == pytest.approx(0.25 * 20 + BURST, rel=0.05)
    calm = Share(0.25, 0.0)
    for second in range(20):
        assert calm.wait(float(second)) == 0
        calm.spent(0.2)
