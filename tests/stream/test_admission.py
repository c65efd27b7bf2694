"""One place, two callers: who gets it, what the other is told, and how places come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
from aiortc import RTCPeerConnection

from core import Portrait
from runtime.portraits import PortraitStore
from runtime.renderer import Renderer
from runtime.settings import RuntimeSettings
from stream.settings import StreamSettings
from tests.stream.conftest import Live, serving

ONE = RuntimeSettings(size=256, max_sessions=1, idle_timeout=1.0)


@pytest.fixture
async def one(store: PortraitStore) -> AsyncIterator[Live]:
    """A server with one place, and one viewer for it."""
    settings = StreamSettings(connect_timeout=1.0, max_viewers=1)
    async with serving(store, ONE, settings) as live:
        yield live


async def until(condition: object, seconds: float = 5) -> None:
    assert callable(condition)
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - polled from outside
            await asyncio.sleep(0.02)


async def test_two_callers_at_once_and_one_place_are_one_201_and_one_503(one: Live) -> None:
    for _ in range(5):
        async with (
            httpx.AsyncClient(base_url=one.base) as ann,
            httpx.AsyncClient(base_url=one.base) as ben,
        ):
            answers = await asyncio.gather(*(who.post("/v1/sessions") for who in (ann, ben)))
        assert sorted(a.status_code for a in answers) == [201, 503]
        won, lost = sorted(answers, key=lambda a: a.status_code)
        told = lost.json()
        assert told["type"] == "urn:saccade:full" and told["position"] >= 1 and told["ticket"]
        assert 1 <= int(lost.headers["retry-after"]) <= 5 and "eta_s" in told
        await one.sessions.close(won.json()["id"])
    assert one.sessions.refused["full"] == 5


async def test_two_offers_at_once_for_one_viewer_are_one_201_and_one_503(one: Live) -> None:
    session = await one.session()
    headers = {"Content-Type": "application/sdp"} | one.auth(session)
    peers = [RTCPeerConnection() for _ in range(2)]
    try:
        for pc in peers:
            pc.addTransceiver("video", direction="recvonly")
            await pc.setLocalDescription(await pc.createOffer())
        answers = await asyncio.gather(
            *(
                one.http.post(session["whep"], headers=headers, content=pc.localDescription.sdp)
                for pc in peers
            )
        )
        assert sorted(a.status_code for a in answers) == [201, 503]
    finally:
        for pc in peers:
            await pc.close()


async def test_a_ticket_keeps_its_turn(one: Live) -> None:
    session = await one.session()
    refused = (await one.http.post("/v1/sessions")).json()
    assert refused["eta_s"] == pytest.approx(1.0, abs=0.9), "it would idle for a second"
    again = (await one.http.post("/v1/sessions", json={"ticket": refused["ticket"]})).json()
    assert (again["ticket"], again["position"]) == (refused["ticket"], 1)
    late = (await one.http.post("/v1/sessions")).json()
    assert late["position"] == 2 and "1 wait before you" in late["detail"]
    assert (await one.http.get("/readyz")).json()["waiting"] == 2
    await one.sessions.close(session["id"])
    assert (await one.http.post("/v1/sessions", json={})).status_code == 503
    assert (await one.http.post("/v1/sessions", json={"ticket": late["ticket"]})).status_code == 503
    mine = await one.http.post("/v1/sessions", json={"ticket": refused["ticket"]})
    assert mine.status_code == 201


async def test_a_viewer_that_never_connects_does_not_keep_its_place(one: Live) -> None:
    session = await one.session()
    pc = RTCPeerConnection()
    pc.addTransceiver("video", direction="recvonly")
    await pc.setLocalDescription(await pc.createOffer())
    headers = {"Content-Type": "application/sdp"} | one.auth(session)
    sdp = pc.localDescription.sdp
    assert (await one.http.post(session["whep"], headers=headers, content=sdp)).status_code == 201
    await pc.close()  # before ICE completes: the answer is never used
    living = one.sessions.get(session["id"])
    assert living.viewers == 1
    await until(lambda: living.viewers == 0)
    await until(lambda: not one.sessions.list())
    assert one.sessions.ends["idle"] == 1
    await one.session()


async def test_a_caller_that_vanishes_before_the_answer_leaves_no_session(
    one: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = one.sessions._renderers.make

    def slow(portrait: Portrait) -> Renderer:
        time.sleep(0.3)
        return make(portrait)

    monkeypatch.setattr(one.sessions._renderers, "make", slow)
    where = urlsplit(one.base)
    _, writer = await asyncio.open_connection(where.hostname, where.port)
    writer.write(b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()
    await asyncio.sleep(0.1)
    assert (await one.http.post("/v1/sessions")).status_code == 503, "it is being made"
    writer.transport.abort()
    await until(lambda: one.sessions.ends["vanished"] == 1)
    await one.session()


async def test_what_the_machine_carries_is_told(one: Live) -> None:
    told = (await one.http.get("/readyz")).json()
    assert told["status"] == "ready" and told["capacity"]["places"] == 1
    assert told["capacity"]["measured"] >= 1 and told["sessions"] == 0
    text = (await one.http.get("/metrics")).text
    assert "saccade_sessions_max 1.0" in text and "saccade_sessions_measured " in text
