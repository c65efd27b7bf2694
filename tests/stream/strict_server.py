"""A server without patience, in a process of its own, and what one needs to be a nuisance to it.

Its fixtures are those of the modules that name them, and each has a server of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import shutil
import socket as sockets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from runtime.portraits import PortraitStore
from tests.e2e.browser import ROOT, free_port, wait_ready
from tests.stream.conftest import Live
from tests.stream.test_app import socket_of, until
from tests.stream.test_viewer import viewer

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


async def cut(reader: asyncio.StreamReader) -> bytes:
    """What came before the connection ended."""
    got = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(5):
            while data := await reader.read(65536):
                got += data
    return got


@pytest.fixture
def narrow(strict: Server) -> Iterator[sockets.socket]:
    """A connection whose side takes hardly anything."""
    with sockets.socket() as raw:
        raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 2048)
        raw.connect(address(strict))
        raw.setblocking(False)
        yield raw
