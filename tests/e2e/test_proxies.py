"""Behind nginx and Caddy, set up as docs/deploy.md says, at a host of its own and below a path."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser
from websockets.asyncio.client import connect as open_socket

from tests.conftest import studio_portrait
from tests.e2e.browser import CHROMIUM, running_server
from tests.e2e.proxies import HOSTS, KINDS, SILENT, Proxy, missing, running_proxy
from tests.e2e.test_browser import Console, until
from tests.e2e.test_connect import playing

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
UPLOAD = 32 << 20
"The default of stream.max_upload, bytes."


@pytest.fixture(scope="module")
def server(data_folder: Callable[[], Path]) -> Iterator[str]:
    with running_server(
        data_folder(), SACCADE_RUNTIME__MAX_SESSIONS="8",
        SACCADE_RUNTIME__SIZE="256", SACCADE_STREAM__ICE_SERVERS='turn:127.0.0.1:9 ann s"e;s<a>me',
        SACCADE_STREAM__GATHER_TIMEOUT="0.05", SACCADE_VOICE__KIND="none",
    ) as url:  # fmt: skip
        yield url


@pytest.fixture(scope="module", params=KINDS)
def proxy(
    request: pytest.FixtureRequest, server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    if reason := missing(request.param):
        pytest.skip(reason)
    with running_proxy(request.param, server, tmp_path_factory.mktemp("proxy")) as running:
        yield running


@pytest.fixture
async def http(proxy: Proxy) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=proxy.base, verify=proxy.trust, timeout=20) as client:
        yield client


@asynccontextmanager
async def told_session(
    http: httpx.AsyncClient,
) -> AsyncIterator[tuple[dict[str, Any], httpx.Response]]:
    """A session, and the answer that told of it; its token opens what ``http`` asks for."""
    answer = await http.post("/v1/sessions")
    session = answer.json()
    http.headers["Authorization"] = f"Bearer {session['token']}"
    try:
        yield session, answer
    finally:
        await http.delete(f"/v1/sessions/{session['id']}")


@needs_chromium
@pytest.mark.asyncio(loop_scope="session")  # that of the shared browser
async def test_the_page_plays_restarts_ice_and_comes_back(browser: Browser, proxy: Proxy) -> None:
    await plays_restarts_and_comes_back(browser, proxy)


@needs_chromium
@pytest.mark.asyncio(loop_scope="session")  # that of the shared browser
async def test_the_page_finds_its_way_where_the_server_knows_no_path(
    browser: Browser, server: str, tmp_path: Path
) -> None:
    if reason := missing(SILENT):
        pytest.skip(reason)
    with running_proxy(SILENT, server, tmp_path) as proxy:
        await plays_restarts_and_comes_back(browser, proxy)


async def plays_restarts_and_comes_back(browser: Browser, proxy: Proxy) -> None:
    """Whatever the page asks for is below the address it came from, and is there."""
    context = await browser.new_context(ignore_https_errors=True)
    page = await context.new_page()
    console = Console(page)
    answers: list[tuple[str, int, str]] = []
    page.on("response", lambda a: answers.append((a.request.method, a.status, a.url)))
    await page.goto(proxy.base)  # without a slash at the end
    await playing(page)
    session = await page.evaluate("saccade.session")
    await until(page, "saccade.events.some(e => e.type === 'hello')")
    await page.evaluate("dispatchEvent(new Event('online'))")
    await until(page, "saccade.restarts === 1")
    await page.reload()
    await playing(page)
    assert await page.evaluate("saccade.session.id") == session["id"]
    await page.goto(f"{proxy.base}/healthz")
    assert console.errors == []
    assert all(url.startswith(proxy.base) for _, _, url in answers), answers
    assert not [one for one in answers if one[1] >= 400]
    done = {(method, status) for method, status, _ in answers}
    assert {("OPTIONS", 204), ("POST", 201), ("PATCH", 200)} <= done, done
    await context.close()


async def test_headers_and_addresses_are_right(
    http: httpx.AsyncClient, proxy: Proxy, server: str
) -> None:
    direct = (await http.options(f"{server}/v1/check")).headers["link"]
    assert (await http.options("/v1/check")).headers["link"] == direct
    async with told_session(http) as (session, made):
        where = f"{proxy.path}/v1/sessions/{session['id']}"
        assert made.headers["location"] == where and session["whep"] == f"{where}/whep"
        refused = await http.post(f"/v1/sessions/{session['id']}/whep", content="v=0")
        assert refused.status_code == 415
        assert refused.headers["content-type"] == "application/problem+json"


async def test_a_recording_comes_through_in_parts(http: httpx.AsyncClient) -> None:
    async with told_session(http) as (session, _):
        path = f"/v1/sessions/{session['id']}/recordings"
        made = (await http.post(path)).json()
        await asyncio.sleep(0.6)
        await http.delete(f"{path}/{made['id']}")
        whole = await http.get(f"{path}/{made['id']}/file")
        assert whole.status_code == 200 and whole.content[4:8] == b"ftyp"
        part = await http.get(f"{path}/{made['id']}/file", headers={"Range": "bytes=4-7"})
        assert part.status_code == 206 and part.content == b"ftyp"


@pytest.mark.parametrize("proxy", HOSTS, indirect=True)
async def test_a_socket_on_which_nobody_speaks_is_not_cut_off(
    http: httpx.AsyncClient, proxy: Proxy
) -> None:
    async with told_session(http) as (session, _):
        path = f"/v1/sessions/{session['id']}/control?token={session['token']}"
        url = f"wss{proxy.base.removeprefix('https')}{path}"
        async with open_socket(url, ssl=proxy.trust, ping_interval=None) as socket:
            until = time.monotonic() + 3  # the proxy's time-out is two seconds
            while time.monotonic() < until:
                event = json.loads(await socket.recv())
            await socket.send('{"id": "p", "type": "ping"}')
            async with asyncio.timeout(2):
                while event["cause"] != "p":
                    event = json.loads(await socket.recv())
            assert event["type"] == "ok"


@pytest.mark.parametrize("proxy", HOSTS, indirect=True)
async def test_the_largest_file_gets_through_and_of_a_larger_one_the_reason(
    http: httpx.AsyncClient, request: pytest.FixtureRequest
) -> None:
    picture = studio_portrait()
    full = picture + bytes(UPLOAD - len(picture))
    made = await http.post("/v1/portraits", content=full)
    assert made.status_code == 201, made.text
    await http.delete(f"/v1/portraits/{made.json()['id']}")
    if "caddy" in request.node.name:
        return  # passes bodies on while they arrive, and hangs up on who sends on when refused
    refused = await http.post("/v1/portraits", content=full + b"x")
    assert refused.status_code == 413
    assert "larger than 32 MiB" in refused.json()["detail"]
