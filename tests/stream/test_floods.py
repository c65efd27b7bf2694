"""Who asks too often: refused in words, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from runtime.portraits import PortraitStore
from stream.settings import StreamSettings
from tests.stream.conftest import SMALL, TWO, Live, serving
from tests.stream.test_app import is_problem
from tests.stream.test_viewer import viewer

TINY = replace(TWO, size=128)
SLOW = replace(SMALL, request_rate=4.0, connection_rate=0.0)
"Eight requests at once, and 12 that wait for three seconds."


def client(live: Live, host: str, **headers: str) -> httpx.AsyncClient:
    """Somebody at another address; all of 127.0.0.0/8 is this machine."""
    way = httpx.AsyncHTTPTransport(local_address=host)
    return httpx.AsyncClient(base_url=live.base, transport=way, headers=headers, timeout=20)


@pytest.fixture
async def slow(store: PortraitStore) -> AsyncIterator[Live]:
    async with serving(store, TINY, SLOW, allowed_origins=("https://app.example.com",)) as live:
        yield live


async def test_who_asks_too_often_waits_and_is_then_told_when_to_come_back(slow: Live) -> None:
    origin = {"Origin": "https://app.example.com"}
    async with client(slow, "127.0.0.2", **origin) as hasty, client(slow, "127.0.0.3") as other:
        began = time.monotonic()
        asked = [hasty.get("/v1/labels") for _ in range(40)]
        asked += [hasty.post("/v1/sessions", content=bytes(50_000)) for _ in range(5)]
        waiting = asyncio.gather(*asked)
        await asyncio.sleep(0.3)
        for path in ("/healthz", "/readyz", "/metrics"):  # the same address, and at once
            assert (await hasty.get(path)).status_code == 200, path
        for _ in range(8):
            assert (await other.get("/v1/labels")).status_code == 200
        assert time.monotonic() - began < 1.5
        answers = await waiting
        refused = [answer for answer in answers if answer.status_code == 429]
        served = [answer for answer in answers if answer.status_code == 200]
        assert 18 <= len(served) <= 22 and len(served) + len(refused) >= 40
        assert 2.5 < time.monotonic() - began < 5, "some had to wait"
        for answer in refused:
            problem = is_problem(answer, 429)
            assert problem["type"] == "urn:saccade:too-many-requests"
            after = int(answer.headers["retry-after"])
            assert problem["retry_after"] == after >= 3
            assert answer.headers["access-control-allow-origin"] == origin["Origin"]
        counted = f"saccade_requests_refused_total {len(refused)}.0"
        assert counted in (await other.get("/metrics")).text
        await asyncio.sleep(1)
        assert (await hasty.get("/v1/labels")).status_code == 200, "it is not held against them"


async def test_sockets_are_requests_too(slow: Live) -> None:
    session = await slow.session()
    address = f"{slow.base.replace('http', 'ws')}{session['control']}?token={session['token']}"
    async with client(slow, "127.0.0.2") as hasty:
        flood = asyncio.gather(*(hasty.get("/v1/labels") for _ in range(30)))
        await asyncio.sleep(0.3)
        with pytest.raises(InvalidStatus) as caught:
            async with connect(address, local_addr=("127.0.0.2", 0)):
                pass
        answer = caught.value.response
        assert answer.status_code == 429 and int(answer.headers["Retry-After"]) >= 3
        assert json.loads(answer.body or b"")["type"] == "urn:saccade:too-many-requests"
        async with connect(address):
            pass
        await flood


async def test_behind_a_proxy_it_is_the_client_who_is_counted(slow: Live) -> None:
    async def ask(host: str, said: str, count: int = 30) -> Counter[int]:
        headers = {"X-Forwarded-For": said} if said else {}
        async with client(slow, host, **headers) as http:
            answers = await asyncio.gather(*(http.get("/v1/labels") for _ in range(count)))
        return Counter(answer.status_code for answer in answers)

    one, other, nobody, forged = await asyncio.gather(
        ask("127.0.0.1", "192.0.2.1"),
        ask("127.0.0.1", "192.0.2.2", 8),
        ask("127.0.0.1", ""),
        ask("127.0.0.2", "192.0.2.3"),  # which is no proxy
    )
    assert one[429] >= 8 and other == {200: 8}
    assert nobody == {200: 30}, "all of its clients would be shut out"
    assert forged[429] >= 8


async def test_with_0_nobody_is_refused(store: PortraitStore) -> None:
    async with serving(store, TINY, SMALL, request_rate=0.0, connection_rate=0.0) as live:
        async with client(live, "127.0.0.2") as http:
            answers = await asyncio.gather(*(http.get("/healthz") for _ in range(20)))
            answers += await asyncio.gather(*(http.get("/v1/labels") for _ in range(150)))
    assert {answer.status_code for answer in answers} == {200}


async def test_a_page_and_all_its_files_never_meet_the_bound(store: PortraitStore) -> None:
    files = [f.name for f in (Path(__file__).parents[2] / "stream" / "web").iterdir()]
    assert len(files) > 30
    async with serving(store, TINY, StreamSettings()) as live, client(live, "127.0.0.2") as http:
        began = time.monotonic()
        answers = await asyncio.gather(*(http.get(f"/{file}") for file in [*files, ""]))
        assert {answer.status_code for answer in answers} == {200}
        assert time.monotonic() - began < 5


FLOOD = """
import asyncio, sys, time
from collections import Counter
port, keep, end, got = int(sys.argv[1]), sys.argv[2] == "keep", time.monotonic() + 4, Counter()
ask = b"GET /v1/labels HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"
async def one():
    while time.monotonic() < end:
        try:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, local_addr=("127.0.0.2", 0))
            while time.monotonic() < end:
                writer.write(ask)
                head = await asyncio.wait_for(reader.readuntil(b"\\r\\n\\r\\n"), 5)
                got[head[9:12].decode()] += 1
                size = head.lower().split(b"content-length: ")[1].split(b"\\r\\n")[0]
                await reader.readexactly(int(size))
                if not keep or b"close" in head:
                    break
            writer.transport.abort()
        except (OSError, EOFError, TimeoutError):
            got["cut"] += 1
async def main():
    await asyncio.gather(*(one() for _ in range(50)))
asyncio.run(main())
print(got.total())
"""


@pytest.mark.parametrize("way", ["keep", "anew"])
async def test_pictures_go_on_while_somebody_asks_as_often_as_they_can(
    store: PortraitStore, way: str
) -> None:
    """On 50 connections that are kept, and on a new one for each request."""
    async with serving(store, TINY, replace(SMALL, max_viewers=3)) as live:
        session = await live.session()
        stats = live.sessions.get(session["id"]).stats

        async def rate(seconds: float) -> float:
            began, frames = time.monotonic(), stats.frames
            await asyncio.sleep(seconds)
            return (stats.frames - frames) / (time.monotonic() - began)

        async with viewer(live, session, sound=False) as seen:
            await seen.frames("video", 5)
            before = await rate(1.0)
            flood = await asyncio.create_subprocess_exec(
                sys.executable, "-c", FLOOD, live.base.rpartition(":")[2], way,
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            async with client(live, "127.0.0.3") as other:
                await asyncio.sleep(1.0)  # what may come at once has come
                during, asked = await rate(2.0), time.monotonic()
                assert (await other.get("/v1/labels")).status_code == 200
                answered = time.monotonic() - asked
            out, _ = await flood.communicate()
            after = await rate(1.0)
    print(f"{before:.1f}, {during:.1f}, {after:.1f} pictures/s, {int(out)} asked, {answered:.2f} s")
    assert int(out) > 100, "it was a flood"
    assert during > 0.6 * min(before, after) and answered < 1
