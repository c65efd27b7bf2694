"""Browsers that get nothing through but by a real TURN server; and what is said when it refuses."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, Route

from runtime.portraits import PortraitStore
from stream.ice import link_header
from stream.settings import StreamSettings
from tests.e2e.browser import CHROMIUM, chromium
from tests.e2e.test_browser import until
from tests.e2e.test_connect import playing
from tests.stream import coturn
from tests.stream.conftest import Live, serving

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.skipif(
        coturn.COMMAND is None, reason="coturn is not installed (tests/install_network.sh)"
    ),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
# As in a network that lets nothing out but what goes to the TURN server.
RELAY_ONLY = """
const Connection = RTCPeerConnection;
window.RTCPeerConnection = class extends Connection {
  constructor(settings) { super({ ...settings, iceTransportPolicy: "relay" }); }
};
"""


@asynccontextmanager
async def told(
    folder: Path, secret: str = coturn.SECRET
) -> AsyncIterator[tuple[Live, coturn.Turn]]:
    """A server that tells viewers of a TURN server, and asks it itself."""
    store = PortraitStore(folder / "portraits", limit=1)
    async with (
        coturn.running(folder) as turn,
        serving(store, settings=StreamSettings(**turn.settings(secret, "?transport=tcp"))) as live,
    ):
        yield live, turn


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with chromium() as browser:
        yield await browser.new_page()


async def checked(page: Page, base: str) -> dict[str, Any]:
    """What the self-test reports."""
    await page.goto(f"{base}/check")
    await until(page, "window.saccadeCheck", 60)
    report: dict[str, Any] = await page.evaluate("saccadeCheck")
    return report


async def test_a_viewer_behind_a_relay_sees_pictures_and_the_self_test_says_which_way(
    page: Page, data_folder: Callable[[], Path]
) -> None:
    await page.add_init_script(RELAY_ONLY)
    async with told(data_folder()) as (live, turn):
        await page.goto(live.base)
        await playing(page)
        made, _ = turn.allocations()
        assert made >= 2  # the browser's, and the server's own
        await page.evaluate("dispatchEvent(new Event('online'))")
        await until(page, "saccade.restarts === 1")
        await playing(page)
        report = await checked(page, live.base)
    results = report["results"]
    assert {found["state"] for found in results.values()} == {"ok"}, report
    assert "by a TURN relay" in results["udp"]["text"]
    assert "(relay) → " in results["pictures"]["facts"]["Way taken"]
    assert results["relay"]["facts"][f"turn:{turn.address}?transport=tcp"]


async def test_the_self_test_says_that_the_login_is_refused(
    page: Page, data_folder: Callable[[], Path]
) -> None:
    async with told(data_folder(), "not the secret") as (live, _):
        report = await checked(page, live.base)
    results = report["results"]
    assert results["udp"]["state"] == results["pictures"]["state"] == "ok", report
    assert results["relay"]["state"] == "warn"
    assert "401" in results["relay"]["text"] and "turn_secret" in results["relay"]["fix"]
    assert report["verdict"] == "It works, with reservations"


async def test_expired_logins_and_servers_that_are_away_are_told_apart(
    page: Page, tmp_path: Path
) -> None:
    async with told(tmp_path) as (live, turn):
        expired = StreamSettings(**turn.settings())
        away = StreamSettings(ice_servers=("turn:127.0.0.1:9?transport=tcp ann sesame",))

        async def tell(route: Route) -> None:
            links = [link_header(expired, time.time() - 2 * 86_400), link_header(away)]
            await route.fulfill(status=204, headers={"Link": ", ".join(links)})

        await page.route("**/v1/check", tell)
        await page.goto(f"{live.base}/healthz")
        found = await page.evaluate("import('/turn.js').then(turn => turn.relay())")
    assert found["state"] == "warn" and found["text"].startswith("No TURN server relays")
    assert found["facts"] == {
        f"turn:{turn.address}": "the login is refused (401)",
        "turn:127.0.0.1:9?transport=tcp": "it can not be reached from here",
    }
