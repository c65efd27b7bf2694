"""A server that reaches its viewers by a TURN server alone: a real one, coturn."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from runtime.portraits import PortraitStore
from stream.ice import ice_servers
from stream.settings import StreamSettings
from tests.stream import coturn
from tests.stream.conftest import Live, serving

pytestmark = pytest.mark.skipif(
    coturn.COMMAND is None, reason="coturn is not installed (tests/install_network.sh)"
)


@pytest.fixture
def no_udp(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server may open no UDP port of its own."""

    def bind(addresses: object, ports: object) -> list[socket.socket]:
        return []

    monkeypatch.setattr("stream.gather.bind", bind)


@asynccontextmanager
async def watched(live: Live) -> AsyncIterator[Callable[[], Any]]:
    """A viewer; what is given waits for its next picture."""
    session = await live.session()
    headers = {"Content-Type": "application/sdp"} | live.auth(session)
    pc = RTCPeerConnection()
    tracks: asyncio.Queue[Any] = asyncio.Queue()
    pc.on("track", tracks.put_nowait)
    pc.addTransceiver("video", direction="recvonly")
    await pc.setLocalDescription(await pc.createOffer())
    sdp = str(pc.localDescription.sdp)
    made = await live.http.post(session["whep"], headers=headers, content=sdp)
    assert made.status_code == 201, made.text
    lines = [line for line in made.text.splitlines() if line.startswith("a=candidate")]
    assert lines and all(" typ relay " in line for line in lines)
    await pc.setRemoteDescription(RTCSessionDescription(made.text, "answer"))
    async with asyncio.timeout(8):
        track = await tracks.get()
    try:
        yield track.recv
    finally:
        left = await live.http.delete(made.headers["location"], headers=headers)
        assert left.status_code == 200
        await pc.close()


@pytest.mark.parametrize("query", ["", "?transport=tcp"])
async def test_pictures_go_by_the_relay_and_its_allocation_is_freed(
    no_udp: None, store: PortraitStore, tmp_path: Path, query: str
) -> None:
    async with coturn.running(tmp_path) as turn:
        settings = turn.settings(query=query) | {"gather_timeout": 5.0, "connect_timeout": 8.0}
        async with serving(store, **settings) as live:
            async with watched(live) as picture, asyncio.timeout(8):
                assert (await picture()).width == 256
                assert turn.allocations() == (1, 0)
            assert turn.allocations() == (1, 1)  # when the viewer's DELETE is answered


async def test_a_viewer_leaves_at_once_also_when_the_turn_server_is_gone(
    no_udp: None, store: PortraitStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncExitStack() as stack:
        turn = await stack.enter_async_context(coturn.running(tmp_path))
        async with serving(store, **turn.settings(), gather_timeout=5.0) as live:
            loop = asyncio.get_running_loop()
            async with watched(live) as picture:
                await picture()
                await stack.aclose()
                left = loop.time()
            assert loop.time() - left < 3.5  # aioice alone would take half a minute
    assert "does not close" not in caplog.text


async def test_the_relay_still_hears_a_viewer_when_its_first_binding_has_ended(
    no_udp: None, store: PortraitStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.relay.REFRESH", 1.0)  # as 240 s of 300
    monkeypatch.setattr("aioice.ice.CONSENT_INTERVAL", 0.3)
    async with coturn.running(tmp_path, "--channel-lifetime=2", "--permission-lifetime=2") as turn:
        async with serving(store, **turn.settings(), gather_timeout=5.0) as live:
            async with watched(live) as picture, asyncio.timeout(12):
                loop = asyncio.get_running_loop()
                until = loop.time() + 4.5
                while loop.time() < until:
                    await picture()
                (session,) = live.sessions.list()
                assert session.viewers == 1


async def test_a_wrong_secret_is_told_to_the_operator_and_costs_the_relay_only(
    store: PortraitStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        coturn.running(tmp_path) as turn,
        serving(store, **turn.settings("wrong"), gather_timeout=5.0) as live,
    ):
        session = await live.session()
        pc = RTCPeerConnection()
        pc.addTransceiver("video", direction="recvonly")
        await pc.setLocalDescription(await pc.createOffer())
        with caplog.at_level(logging.WARNING, "stream.gather"):
            made = await live.http.post(
                session["whep"],
                headers={"Content-Type": "application/sdp"} | live.auth(session),
                content=str(pc.localDescription.sdp),
            )
        assert made.status_code == 201 and " typ host" in made.text
        assert "TURN" in caplog.text and "turn_secret" in caplog.text
        assert turn.allocations() == (0, 0)
        await pc.close()


async def test_the_login_of_a_restart_is_a_fresh_one() -> None:
    settings = StreamSettings(ice_servers=("turn:a.example",), turn_secret="s", turn_ttl=60)
    early, late = (ice_servers(settings, now)[0].username for now in (0, 1000))
    assert (early, late) == ("60:saccade", "1060:saccade")
