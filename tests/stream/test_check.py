"""The self-test's connection: it echoes, it is bounded, it takes no place."""

from __future__ import annotations

import asyncio

import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription

from core import InvalidInput
from stream.offer import read_echo
from tests.stream.conftest import Live

SDP = {"Content-Type": "application/sdp"}


async def offered() -> tuple[RTCPeerConnection, asyncio.Queue[str | bytes]]:
    """A connection with one data channel that sends a word as soon as it can."""
    pc = RTCPeerConnection()
    heard: asyncio.Queue[str | bytes] = asyncio.Queue()
    channel = pc.createDataChannel("check")
    channel.on("message", heard.put_nowait)

    @channel.on("open")
    def talk() -> None:
        channel.send("x" * 65)
        channel.send("12.5")

    await pc.setLocalDescription(await pc.createOffer())
    return pc, heard


def echoes() -> int:
    return sum(task.get_name() == "echo" for task in asyncio.all_tasks())


async def test_a_echo_sends_back_what_it_gets_and_needs_no_session(live: Live) -> None:
    options = await live.http.options("/v1/check")
    assert options.status_code == 204 and options.headers["accept-post"] == "application/sdp"
    pc, heard = await offered()
    sdp = str(pc.localDescription.sdp)
    answer = await live.http.post("/v1/check", headers=SDP, content=sdp)
    assert answer.status_code == 201, answer.text
    await pc.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
    async with asyncio.timeout(5):
        assert await heard.get() == "12.5"  # what is longer than an echo is not sent back
    assert live.sessions.list() == []
    await pc.close()
    async with asyncio.timeout(5):
        while echoes():  # noqa: ASYNC110 - polled from outside
            await asyncio.sleep(0.02)


async def test_echoes_are_few_and_short(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.echo.LIFE", 0.5)
    monkeypatch.setattr("stream.echo.MOST", 2)
    pc, _ = await offered()
    sdp = str(pc.localDescription.sdp)
    answers = await asyncio.gather(
        *(live.http.post("/v1/check", headers=SDP, content=sdp) for _ in range(3))
    )
    assert sorted(answer.status_code for answer in answers) == [201, 201, 503]
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert int(refused.headers["retry-after"]) > 0
    async with asyncio.timeout(5):
        while echoes():  # noqa: ASYNC110 - polled from outside
            await asyncio.sleep(0.02)
    await pc.close()


async def test_what_is_no_echo_is_refused_in_words(live: Live) -> None:
    pc = RTCPeerConnection()
    pc.addTransceiver("video", direction="recvonly")
    await pc.setLocalDescription(await pc.createOffer())
    video = str(pc.localDescription.sdp)
    await pc.close()
    pc, _ = await offered()
    good = str(pc.localDescription.sdp)
    await pc.close()
    for body, status in [
        (video, 422),
        (good.replace("a=setup:actpass", "a=setup:nonsense"), 422),
        (good.replace("a=ice-pwd:", "a=ice-pwx:"), 422),
        ("hello", 422),
        ("", 400),
    ]:
        answer = await live.http.post("/v1/check", headers=SDP, content=body)
        assert answer.status_code == status and answer.json()["detail"], body
    assert (await live.http.post("/v1/check", content=good)).status_code == 415
    assert (await live.http.get("/v1/check")).status_code == 405
    with pytest.raises(InvalidInput, match="one data channel"):
        read_echo("v=0\r\n")
    assert echoes() == 0


async def test_the_self_test_page_is_served_with_its_policy(live: Live) -> None:
    page = await live.http.get("/check")
    assert page.status_code == 200 and page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for name in ("check.js", "checks.js", "check.css"):
        assert (await live.http.get(f"/{name}")).status_code == 200
