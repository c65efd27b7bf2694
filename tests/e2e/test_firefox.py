"""The page and the client in a browser that is not Chromium's kin."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from time import monotonic

import httpx
import pytest
import pytest_asyncio

from tests.e2e.browser import running_server
from tests.e2e.firefox import FIREFOX, Firefox, Page, firefox
from tests.e2e.speaker import Speaker, speaker
from tests.e2e.test_connect import LIVE

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(FIREFOX is None, reason="firefox-esr is not installed"),
]
VIDEO = "document.querySelector('[data-testid=video]')"
SHOWN = f"""new Promise(done => {{
  const video = {VIDEO};
  const from = performance.now();
  let count = 0;
  const each = () => {{
    if (performance.now() - from > 2000) return done(count / 2);
    count += 1;
    video.requestVideoFrameCallback(each);
  }};
  video.requestVideoFrameCallback(each);
}})"""
ENTER, ESCAPE = "\ue006", "\ue00c"


@pytest.fixture(scope="module")
def base(site: str, data_folder: Callable[[], Path]) -> Iterator[str]:
    with running_server(
        data_folder(), SACCADE_RUNTIME__MAX_SESSIONS="4",
        SACCADE_RUNTIME__SIZE="256", SACCADE_STREAM__ALLOWED_ORIGINS=site,
    ) as url:  # fmt: skip
        yield url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def loudspeaker() -> AsyncIterator[Speaker]:
    async with speaker() as switched_on:
        yield switched_on


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(loudspeaker: Speaker) -> AsyncIterator[Firefox]:
    async with firefox(loudspeaker.environment) as running:
        yield running


async def playing(page: Page) -> None:
    """Wait until pictures move on."""
    await page.until(LIVE)
    before = await page.evaluate(f"{VIDEO}.currentTime")
    await page.until(f"{VIDEO}.currentTime > {before}")


async def test_it_is_seen_and_heard_until_it_is_interrupted(
    browser: Firefox, base: str, loudspeaker: Speaker
) -> None:
    page = await browser.new_page()
    await page.goto(base)
    await playing(page)
    assert await page.evaluate(f"[{VIDEO}.videoWidth, {VIDEO}.videoHeight]") == [256, 256]
    rates = [await page.evaluate(SHOWN)]
    while rates[-1] <= 20 and len(rates) < 4:  # a machine may be busy for a moment
        rates.append(await page.evaluate(SHOWN))
    assert rates[-1] > 20, rates

    began = monotonic()
    await page.click("unmute")
    await page.press(f"/This is a rather long sentence, and nobody hears the end of it.{ENTER}")
    async with asyncio.timeout(10):
        while not loudspeaker.heard(began):  # noqa: ASYNC110 - as rare as this is, no event
            await asyncio.sleep(0.05)
    await page.press(ESCAPE)
    interrupted = monotonic()
    await page.until("saccade.events.some(e => e.type === 'interrupted')", 5)
    assert (await page.evaluate("saccade.stats()"))["patchedShare"] < 0.1
    await asyncio.sleep(2)  # the sentence would take four
    assert not loudspeaker.heard(interrupted + 1.5)
    assert page.errors == []
    await page.close()


async def test_the_microphone_drives_the_face(browser: Firefox, base: str) -> None:
    page = await browser.new_page()
    await page.goto(base)
    await playing(page)
    await page.click("mic")
    await page.until("saccade.state === 'speaking'")
    await page.click("mic")
    await page.until("saccade.state !== 'speaking'")
    assert page.errors == []
    await page.close()


async def test_without_a_sound_output_the_page_says_why_the_microphone_does_not_start(
    base: str, tmp_path: Path
) -> None:
    (tmp_path / "none.conf").touch()
    async with firefox({"ALSA_CONFIG_PATH": str(tmp_path / "none.conf")}) as deaf:
        page = await deaf.new_page()
        await page.goto(base)
        await playing(page)
        await page.click("mic")
        await page.until("document.body.innerText.includes('Connect loudspeakers or headphones')")


async def gone(base: str, session: dict[str, str], seconds: float) -> None:
    """Wait until the server knows it no more."""
    path = f"/v1/sessions/{session['id']}"
    headers = {"Authorization": f"Bearer {session['token']}"}
    async with httpx.AsyncClient(base_url=base, headers=headers) as http, asyncio.timeout(seconds):
        while (await http.get(path)).status_code != 404:  # noqa: ASYNC110 - polled from outside
            await asyncio.sleep(0.1)


async def test_a_reload_and_another_network_keep_the_session_and_leaving_ends_it(
    browser: Firefox, base: str
) -> None:
    page = await browser.new_page()
    await page.goto(base)
    await playing(page)
    session = await page.evaluate("saccade.session")
    await page.send("browsingContext.reload", wait="complete")
    await playing(page)
    assert await page.evaluate("saccade.session") == session
    await page.evaluate("dispatchEvent(new Event('online'))")
    await page.until("saccade.restarts === 1", 5)
    await asyncio.sleep(0.7)  # the way of before is closed
    await playing(page)
    assert page.errors == []
    await page.close()
    await gone(base, session, 8)  # as fast as a page that may be reloading can be missed; not 60 s


async def test_a_tab_of_another_origin_that_is_closed_frees_its_place_at_once(
    browser: Firefox, base: str, site: str
) -> None:
    for _ in range(3):  # what Firefox cuts short then is a matter of chance
        page = await browser.new_page()
        await page.goto(f"{site}/?server={base}")
        await page.until("window.app")
        await page.evaluate("app.avatar.connect()")
        session = await page.evaluate("app.avatar.session")
        assert page.errors == []
        await page.close()
        await gone(base, session, 3)


async def test_the_connection_test_finds_nothing_wrong(browser: Firefox, base: str) -> None:
    page = await browser.new_page()
    await page.goto(f"{base}/check")
    await page.until("window.saccadeCheck", 40)
    report = await page.evaluate("saccadeCheck")
    assert report["verdict"] == "All is well", report
    assert "VP8" in report["results"]["pictures"]["facts"]["Codecs"]
    assert page.errors == []
    await page.close()
