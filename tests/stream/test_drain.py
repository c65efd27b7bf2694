"""Stopping: a real server process, real signals, a real viewer; nothing is torn, nothing hangs."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import connect

from runtime.portraits import PortraitStore
from runtime.sessions import Draining, Sessions
from runtime.settings import RuntimeSettings
from stream.drain import DrainingServer
from tests.e2e.browser import ROOT, free_port, wait_ready
from tests.stream.conftest import Live
from tests.stream.test_viewer import viewer


@pytest.fixture
async def sessions(store: PortraitStore) -> AsyncIterator[Sessions]:
    async with Sessions(store, None, RuntimeSettings(size=256)) as made:
        yield made


@dataclass
class Process:
    """A server of its own."""

    live: Live
    process: subprocess.Popen[bytes]
    log: Path

    async def ended(self, seconds: float) -> int:
        """Its exit code; raises TimeoutError when it goes on."""
        return await asyncio.to_thread(self.process.wait, seconds)


@asynccontextmanager
async def running(folder: Path, drain: float) -> AsyncIterator[Process]:
    port = free_port()
    env = os.environ | {
        "SACCADE_CONFIG": "",
        "SACCADE_DATA": str(folder),
        "SACCADE_LOG_JSON": "true",
        "SACCADE_VOICE__KIND": "none",
        "SACCADE_RUNTIME__RENDERER": "puppet",
        "SACCADE_RUNTIME__SIZE": "256",
        "SACCADE_STREAM__DRAIN_SECONDS": str(drain),
    }
    base, log = f"http://127.0.0.1:{port}", folder / f"{port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(  # noqa: ASYNC220 - starting it takes a millisecond
            [sys.executable, "server.py", "--port", str(port)],
            cwd=ROOT,
            env=env,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        await asyncio.to_thread(wait_ready, base, process, log)
        async with httpx.AsyncClient(base_url=base, timeout=10) as http:
            nothing: Any = None
            yield Process(Live(base, nothing, http, nothing), process, log)
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def folder(store: PortraitStore, tmp_path: Path) -> Path:
    """Where the server finds the portrait enrolled."""
    store.get(store.list()[0].id)
    shutil.copytree(store.root, tmp_path / "portraits")
    return tmp_path


def lines(log: Path) -> list[dict[str, Any]]:
    """Its log; what C++ libraries print is not ours."""
    text = log.read_text()
    assert "Traceback" not in text, text
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


async def test_sigterm_while_a_session_streams_lets_it_play_and_ctrl_c_then_ends_it_at_once(
    folder: Path,
) -> None:
    async with running(folder, drain=60) as server:
        live = server.live
        session = await live.session()
        address = f"{live.base.replace('http', 'ws')}{session['control']}?token={session['token']}"
        async with viewer(live, session) as seen, connect(address) as socket:
            await seen.frames("video", 5)
            server.process.send_signal(signal.SIGTERM)
            told: dict[str, Any] = {}
            async with asyncio.timeout(5):
                while told.get("type") != "expiring":
                    told = json.loads(await socket.recv())
            assert told["reason"] == "drain" and 55 < told["in_s"] <= 60
            refused = await live.http.post("/v1/sessions")
            assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0
            assert refused.json()["type"] == "urn:saccade:draining"
            ready = await live.http.get("/readyz")
            assert ready.status_code == 503 and ready.json()["status"] == "draining"
            (waiting,) = [line for line in lines(server.log) if "Ctrl-C" in line["message"]]
            assert waiting["level"] == "warning" and waiting["watched"] == 1
            metrics = (await live.http.get("/metrics")).text
            assert "saccade_draining 1.0" in metrics
            assert 'saccade_rejections_total{reason="draining"} 1.0' in metrics
            await seen.frames("video", 10)  # it plays on
            pressed = time.monotonic()
            server.process.send_signal(signal.SIGINT)
            assert await server.ended(15) == 0
            assert time.monotonic() - pressed < 10
        logged = lines(server.log)
        closed = [line for line in logged if line["message"] == "session closed"]
        assert [line["session"] for line in closed] == [session["id"]]
        (drained,) = [line for line in logged if line["message"] == "drained"]
        assert "session" not in drained, "it is about the whole server"


def begin(sessions: Sessions, seconds: float) -> DrainingServer:
    """A server that begins to drain."""
    server = DrainingServer(uvicorn.Config("none"), sessions, seconds)
    server.stop()
    return server


async def over(server: DrainingServer) -> float:
    """Seconds until it wants to end."""
    began = time.monotonic()
    async with asyncio.timeout(5):
        while not server.should_exit:  # noqa: ASYNC110 - uvicorn's flag
            await asyncio.sleep(0.02)
    return time.monotonic() - began


async def test_nobody_is_waited_for_when_nobody_watches(
    sessions: Sessions, caplog: pytest.LogCaptureFixture
) -> None:
    session = await sessions.create()
    assert await over(begin(sessions, 60.0)) < 1.5
    assert "Ctrl-C" not in caplog.text
    assert sessions.ends == {"drain": 1} and session.state == "closed"


async def test_watchers_are_waited_for_as_long_as_they_watch(sessions: Sessions) -> None:
    session = await sessions.create()
    async with session.watch():
        server = begin(sessions, 60.0)
        await asyncio.sleep(0.5)
        assert not server.should_exit and session.state == "idle"
    assert await over(server) < 1.5


async def test_watchers_are_not_waited_for_longer_than_was_said(sessions: Sessions) -> None:
    session = await sessions.create()
    async with session.watch():
        assert 0.9 < await over(begin(sessions, 1.0)) < 4
    assert sessions.ends == {"drain": 1}


async def test_zero_seconds_wait_for_nobody(sessions: Sessions) -> None:
    session = await sessions.create()
    async with session.watch():
        assert await over(begin(sessions, 0.0)) < 1.5
    with pytest.raises(Draining):
        await sessions.create()
