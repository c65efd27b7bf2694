"""Connections that fail and come back, in a real browser; and the page that tells why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, Route, expect

from stream.ice import link_header
from stream.settings import StreamSettings
from tests.e2e.browser import CHROMIUM, running_server
from tests.e2e.test_browser import Console, until
from tests.stream.test_tls import self_signed

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="session"),  # that of the shared browser
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
LIVE = "window.saccade && saccade.phase === 'live' && saccade.firstFrameMs > 0"


@pytest.fixture(scope="module")
def base(data_folder: Callable[[], Path]) -> Iterator[str]:
    with running_server(
        data_folder(), SACCADE_RUNTIME__MAX_SESSIONS="8",
        SACCADE_RUNTIME__SIZE="256", SACCADE_VOICE__KIND="none",
    ) as url:  # fmt: skip
        yield url


class Offers:
    """Where the page's offers were answered."""

    def __init__(self, page: Page) -> None:
        self.resources: list[str] = []
        page.on("response", self._note)

    def _note(self, answer: Any) -> None:
        if answer.request.method == "POST" and answer.url.endswith("/whep"):
            self.resources.append(answer.headers["location"])


async def living(base: str, what: str = "sessions") -> float:
    """How many sessions (or viewers) the server has."""
    async with httpx.AsyncClient(base_url=base) as http:
        metrics = (await http.get("/metrics")).text
    return float(metrics.split(f"\nsaccade_{what} ")[1].split("\n")[0])


async def playing(page: Page) -> None:
    """Wait until pictures move on."""
    await until(page, LIVE)
    before = await page.get_by_test_id("video").evaluate("v => v.currentTime")
    await until(page, f"document.querySelector('[data-testid=video]').currentTime > {before}")


async def test_a_reload_goes_on_with_the_same_session(browser: Browser, base: str) -> None:
    page = await browser.new_page()
    console = Console(page)
    await page.goto(base)
    await playing(page)
    before = await page.evaluate("saccade.session")
    await page.reload()
    await playing(page)
    assert await page.evaluate("saccade.session") == before
    await page.wait_for_timeout(4500)  # past the farewell of the page before
    await playing(page)
    assert await page.evaluate("saccade.session.id") == before["id"]
    assert console.errors == []
    await page.close()


async def test_a_page_that_closes_is_missed_at_once_even_where_its_requests_are_lost(
    browser: Browser, base: str
) -> None:
    page = await browser.new_page()
    await page.route("**/v1/sessions/**", lost)
    await page.goto(base)
    await playing(page)
    before = await living(base, "viewers")
    await page.close()
    async with asyncio.timeout(3):  # a network that vanished would take 10 s
        while await living(base, "viewers") >= before:  # noqa: ASYNC110 - polled from outside
            await asyncio.sleep(0.1)


async def lost(route: Route) -> None:
    if route.request.method == "DELETE":
        await route.abort()
    else:
        await route.continue_()


async def test_a_session_that_ended_meanwhile_is_begun_anew(browser: Browser, base: str) -> None:
    page = await browser.new_page()
    await page.goto(base)
    await playing(page)
    before = await page.evaluate("saccade.session")
    async with httpx.AsyncClient(base_url=base) as http:
        auth = {"Authorization": f"Bearer {before['token']}"}
        await page.goto("about:blank")
        await http.delete(f"/v1/sessions/{before['id']}", headers=auth)
    await page.goto(base)
    await playing(page)
    assert await page.evaluate("saccade.session.id") != before["id"]
    await page.close()


async def test_a_peer_that_the_server_ends_is_replaced_without_a_reload(
    browser: Browser, base: str
) -> None:
    page = await browser.new_page()
    offers = Offers(page)
    await page.goto(base)
    await playing(page)
    session = await page.evaluate("saccade.session")
    async with httpx.AsyncClient(base_url=base) as http:
        auth = {"Authorization": f"Bearer {session['token']}"}
        killed = await http.delete(offers.resources[0], headers=auth)
        assert killed.status_code == 200
    await until(page, "saccade.phase !== 'live'", 5)
    await playing(page)
    assert await page.evaluate("saccade.session.id") == session["id"]
    assert len(offers.resources) == 2
    await page.close()


async def test_a_changed_network_restarts_ice_of_the_same_peer(browser: Browser, base: str) -> None:
    page = await browser.new_page()
    offers = Offers(page)
    console = Console(page)
    await page.goto(base)
    await playing(page)
    for times in (1, 2):
        await page.evaluate("dispatchEvent(new Event('online'))")
        await until(page, f"saccade.restarts === {times}", 5)
        await page.wait_for_timeout(1500)
        await playing(page)
    assert len(offers.resources) == 1  # no offer, no new peer
    assert console.errors == []
    await page.close()


async def test_when_all_tries_are_in_vain_the_page_says_so_and_begins_anew_when_asked(
    browser: Browser, base: str
) -> None:
    page = await browser.new_page()
    offers = Offers(page)
    await page.goto(base)
    await playing(page)
    session = await page.evaluate("saccade.session")
    assert 50 < session["expires_in"] <= 60  # the server's idle time-out is how long it is tried
    await page.evaluate("saccade.session.expires_in = 1.5")
    await page.route("**/whep", lambda route: route.abort())
    async with httpx.AsyncClient(base_url=base) as http:
        auth = {"Authorization": f"Bearer {session['token']}"}
        await http.delete(offers.resources[0], headers=auth)
    await until(page, "saccade.phase === 'failed'", 10)
    await expect(page.get_by_text("could not be brought back within 2 s").first).to_be_visible()
    test = page.get_by_role("link", name="Test the connection").first
    await expect(test).to_be_visible()
    assert await test.get_attribute("href") == "check"
    await page.unroute("**/whep")
    await page.get_by_role("button", name="Try again").click()
    await playing(page)
    await page.close()


async def test_the_page_understands_the_ice_servers_it_is_told(browser: Browser, base: str) -> None:
    settings = StreamSettings(
        ice_servers=("stun:a.example", 'turn:b.example:443?transport=tcp an\\n s"e,c;r<e>t')
    )
    page = await browser.new_page()
    await page.goto(f"{base}/check")
    told = await page.evaluate(
        "link => import('/whep.js').then(whep => whep.iceServersOf(link, []))",
        link_header(settings),
    )
    assert told == [
        {"urls": "stun:a.example"},
        {
            "urls": "turn:b.example:443?transport=tcp",
            "username": "an\\n",
            "credential": 's"e,c;r<e>t',
        },
    ]
    used = await page.evaluate(
        """async (link) => {
            const headers = { Link: link };
            window.fetch = async () => new Response(null, { status: 200, headers });
            const whep = await import("/whep.js");
            await whep.learnIceServers();
            const player = new whep.WhepPlayer(() => {});
            const { iceServers } = player.pc.getConfiguration();
            player.close();
            return iceServers.map(server => [server.urls].flat()[0]);
        }""",
        link_header(settings),
    )
    assert used == ["stun:a.example", "turn:b.example:443?transport=tcp"]
    logins = await page.evaluate(
        """async () => {
            let asked = 0;
            window.fetch = async () => {
                const login = `username="${++asked}:ann"; credential="c"`;
                const headers = { Link: `<turn:b.example>; rel="ice-server"; ${login}` };
                return new Response(null, { status: 200, headers });
            };
            const whep = await import("/whep.js");
            const base = location.href;
            const login = () => {
                const player = new whep.WhepPlayer(() => {}, base);
                const [{ username }] = player.pc.getConfiguration().iceServers;
                player.close();
                return username;
            };
            await whep.learnIceServers(base);
            await whep.refreshIceServers(base);
            const first = login();
            const now = performance.now() + 61_000;
            performance.now = () => now;
            await whep.refreshIceServers(base);
            return [first, login()];
        }"""
    )
    assert logins == ["1:ann", "2:ann"]  # they expire: those of a minute ago are not used again
    await page.close()


async def test_the_self_test_finds_nothing_wrong_and_takes_no_place(
    browser: Browser, base: str
) -> None:
    page = await browser.new_page()
    console = Console(page)
    before = await living(base)
    await page.goto(f"{base}/check")
    await until(page, "window.saccadeCheck", 40)
    report = await page.evaluate("saccadeCheck")
    states = {name: found["state"] for name, found in report["results"].items()}
    assert states.pop("relay") == "skip"  # there is none
    assert set(states.values()) == {"ok"}, report
    assert float(report["results"]["udp"]["value"].split()[0]) < 1000
    assert "VP8" in report["results"]["pictures"]["facts"]["Codecs"]
    assert "→" in report["results"]["udp"]["facts"]["Way taken"]
    await expect(page.get_by_test_id("verdict")).to_contain_text("All is well")
    assert await living(base) <= before
    assert console.errors == []
    await page.close()


async def test_the_self_test_says_what_it_could_not_test(browser: Browser, base: str) -> None:
    page = await browser.new_page()
    await page.route("**/v1/sessions", lambda route: route.fulfill(
        status=503, content_type="application/problem+json",
        body='{"type": "urn:saccade:full", "status": 503, "detail": "All places are taken."}',
    ))  # fmt: skip
    await page.goto(f"{base}/check")
    await until(page, "window.saccadeCheck", 40)
    results = await page.evaluate("saccadeCheck.results")
    assert results["pictures"]["state"] == "skip"
    verdict = page.get_by_test_id("verdict")
    await expect(verdict).to_contain_text("Not everything was tested")
    await expect(verdict).to_contain_text("first picture")
    await page.close()


@pytest.fixture(scope="module")
def behind(data_folder: Callable[[], Path]) -> Iterator[str]:
    """A server with HTTPS of its own, at an address that leads nowhere (RFC 5737)."""
    folder = data_folder()
    certificate, key = self_signed(folder, "a")
    with running_server(
        folder, scheme="https", SACCADE_TLS_CERTIFICATE=str(certificate),
        SACCADE_TLS_KEY=str(key), SACCADE_RUNTIME__SIZE="256",
        SACCADE_STREAM__ADVERTISED_HOSTS="192.0.2.1", SACCADE_VOICE__KIND="none",
    ) as url:  # fmt: skip
        yield url


async def test_over_https_the_page_uses_wss_and_may_have_the_microphone(
    browser: Browser, behind: str
) -> None:
    context = await browser.new_context(ignore_https_errors=True)
    page = await context.new_page()
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    await page.goto(behind)
    await until(page, "window.saccade && saccade.events.some(e => e.type === 'hello')")
    assert await page.evaluate("isSecureContext && Boolean(navigator.mediaDevices)")
    assert sockets and all(url.startswith("wss://") for url in sockets)
    await context.close()


async def test_the_self_test_says_what_is_in_the_way(browser: Browser, behind: str) -> None:
    context = await browser.new_context(ignore_https_errors=True)
    page = await context.new_page()
    await page.add_init_script(BLOCK)
    await page.goto(f"{behind}/check")
    await until(page, "window.saccadeCheck", 60)
    report = await page.evaluate("saccadeCheck")
    await context.close()
    results = report["results"]
    states = {name: found["state"] for name, found in results.items()}
    bad = {name for name, state in states.items() if state == "bad"}
    assert bad == {"socket", "udp", "pictures"}, report
    assert "Upgrade" in results["socket"]["fix"]
    assert "UDP" in results["udp"]["text"] and "advertised_hosts" in results["udp"]["fix"]
    assert "192.0.2.1" in results["udp"]["facts"]["Server told"]
    assert report["verdict"] == "Something is in the way"


# Nobody answers the handshake, and the browser may neither send nor receive UDP by itself. As then
# nothing ever comes, a quarter of the patience (twelve seconds for a picture) sees the same.
BLOCK = """
const later = window.setTimeout;
window.setTimeout = (told, ms, ...more) => later(told, ms >= 5000 ? ms / 4 : ms, ...more);
const [Socket, Connection] = [WebSocket, RTCPeerConnection];
window.WebSocket = class extends Socket {
  constructor(url) { super(url.protocol + "//127.0.0.1:1/"); }
};
window.RTCPeerConnection = class extends Connection {
  constructor(settings) { super({ ...settings, iceTransportPolicy: "relay" }); }
};
"""
