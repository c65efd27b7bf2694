"""The JavaScript module in somebody else's page; and the line that the own page waits in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Request, expect

from tests.e2e.browser import CHROMIUM, running_server
from tests.e2e.test_browser import Console, until
from tests.e2e.test_connect import LIVE, living

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="session"),  # that of the shared browser
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def base(site: str, data_folder: Callable[[], Path]) -> Iterator[str]:
    with running_server(
        data_folder(), SACCADE_RUNTIME__MAX_SESSIONS="1",
        SACCADE_RUNTIME__SIZE="256", SACCADE_STREAM__ALLOWED_ORIGINS=site,
    ) as url:  # fmt: skip
        yield url


async def test_a_page_of_another_origin_plays_speaks_and_gives_its_place_back(
    browser: Browser, base: str, site: str
) -> None:
    page = await browser.new_page()
    console = Console(page)
    await page.goto(f"{site}/?server={base}")
    await until(page, "window.app")
    await page.evaluate("app.avatar.connect()")
    assert await page.evaluate("[app.avatar.phase, app.avatar.base]") == ["live", f"{base}/"]
    shown = "document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames"
    before = await page.evaluate(shown)
    await until(page, f"{shown} > {before} + 20")
    cause = await page.evaluate("app.avatar.say('Hello from another place.')")
    spoken = f"app.seen.some(e => e.type === 'speech' && e.cause === '{cause}' && e.phase === "
    await until(page, f"{spoken}'started')")
    cut = await page.evaluate("app.avatar.interrupt()")
    await until(page, f"app.seen.some(e => e.type === 'interrupted' && e.cause === '{cut}')")
    assert await page.evaluate("app.avatar.turn") == 1
    stale = "app.avatar.say('Of before.', { turn: 0 }).catch(e => e.code)"
    assert await page.evaluate(stale) == "stale-turn"
    file = "app.avatar.speak(new Blob(['x']), { cause: 'a&b', turn: %d }).catch(e => e.code)"
    assert await page.evaluate(file % 0) == "stale-turn"
    assert await page.evaluate(file % 1) == "audio-rejected", "of this turn, and no sound"
    refused = await page.evaluate(
        "app.avatar.behave({ label: 'nosuch' })"
        ".catch(e => [e instanceof app.Problem, e.code, e.status, e.message])"
    )
    assert refused[:3] == [True, "invalid-input", 422] and "nosuch" in refused[3]
    assert await living(base) == 1
    await page.evaluate("app.avatar.close()")
    assert await living(base) == 0
    phases = await page.evaluate("app.seen.filter(e => e.type === 'link').map(e => e.phase)")
    assert phases[0] == "starting" and phases[-2:] == ["live", "closed"]
    await page.evaluate("app.avatar.connect()")  # it can begin anew
    await page.evaluate("app.avatar.close()")
    assert not [e for e in console.errors if "409" not in e and "422" not in e]
    await page.close()


async def test_a_page_of_another_origin_reads_every_header_that_answers_carry(
    browser: Browser, base: str, site: str
) -> None:
    """What a server does not expose (CORS), scripts of other origins do not see."""
    page = await browser.new_page()
    await page.goto(f"{site}/?server={base}")
    await until(page, "window.app")
    ask = """async ([path, options]) => {
      const answer = await fetch(path, options);
      return [answer.status, Object.fromEntries(answer.headers)];
    }"""
    seen: set[str] = set()
    async with httpx.AsyncClient(base_url=base) as http:
        taken = (await http.post("/v1/sessions")).json()
        auth = {"Authorization": f"Bearer {taken['token']}"}
        for method, path, status in (
            ("GET", f"/v1/sessions/{taken['id']}", 401),  # WWW-Authenticate
            ("GET", "/v1/sessions/nosuch", 404),
            ("OPTIONS", f"/v1/sessions/{taken['id']}/whep", 204),  # Accept-Post, Accept-Patch
            ("PATCH", "/v1/labels", 405),  # Allow
        ):
            real = await http.request(method, path)
            got, headers = await page.evaluate(ask, [f"{base}{path}", {"method": method}])
            assert got == status == real.status_code
            sent = set(real.headers) - {"access-control-allow-origin", "vary"}
            assert sent <= set(headers) | {"transfer-encoding", "connection"}, path
            seen |= sent
        await http.delete(f"/v1/sessions/{taken['id']}", headers=auth)
    assert {"www-authenticate", "allow", "accept-post", "accept-patch"} <= seen
    await page.close()


async def test_the_page_waits_in_line_and_says_where(browser: Browser, base: str) -> None:
    async with httpx.AsyncClient(base_url=base) as http:
        taken = (await http.post("/v1/sessions")).json()
        first = (await http.post("/v1/sessions")).json()["ticket"]
        await http.post("/v1/sessions", json={"ticket": first})  # now it holds its turn
        page = await browser.new_page()
        tries: list[Any] = []

        def note(request: Request) -> None:
            if request.url.endswith("/v1/sessions"):
                tries.append(request.post_data_json)

        page.on("request", note)
        await page.goto(base)
        shown = page.locator(".progress-text")
        await expect(shown).to_contain_text("You are number 2 in line", timeout=10_000)
        await http.delete(
            f"/v1/sessions/{taken['id']}", headers={"Authorization": f"Bearer {taken['token']}"}
        )
        mine = await http.post("/v1/sessions", json={"ticket": first})
        assert mine.status_code == 201, "the page did not jump the line"
        made = mine.json()
        await http.delete(
            f"/v1/sessions/{made['id']}", headers={"Authorization": f"Bearer {made['token']}"}
        )
        await until(page, LIVE)
    assert "ticket" not in tries[0] and tries[-1]["ticket"]
    assert len({t["ticket"] for t in tries[1:]}) == 1, "one ticket keeps the turn"
    await page.close()
