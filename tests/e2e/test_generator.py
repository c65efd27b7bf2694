"""The video DiT, live, in a real browser: it speaks, it means something, it can be turned up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest
from playwright.async_api import Browser, expect

from engines.video.shipped import SHIPPED, graph_file
from tests.e2e.browser import CHROMIUM, running_server
from tests.e2e.test_browser import MOUTH, Console, bare

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.asyncio(loop_scope="session"),  # that of the shared browser
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
    pytest.mark.skipif(not graph_file(SHIPPED, "dit").exists(), reason="no weights are shipped"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def base(data_folder: Callable[[], Path]) -> Iterator[str]:
    with running_server(
        data_folder(),
        SACCADE_RUNTIME__RENDERER="generator",
        SACCADE_RUNTIME__GENERATOR_BACKEND="openvino-int8",  # nothing is measured here
        SACCADE_RUNTIME__SIZE="256",
    ) as url:
        yield url


async def test_the_generator_speaks_and_is_guided(browser: Browser, base: str) -> None:
    page = await bare(browser, base)
    seen = await page.evaluate(
        """async (mouth) => {
            const v = await openViewer({ codec: "vp8", sound: true });
            v.look = mouth;
            await new Promise(r => setTimeout(r, 3000));
            const idle = v.frames.slice(-20).map(f => f.mouth);
            const from = v.frames.length;
            await speak(v, vowel(0.5)); await speak(v, vowel(0.5));
            await new Promise(r => setTimeout(r, 800));
            const spoken = v.frames.slice(from).map(f => f.mouth);
            v.socket.send(JSON.stringify({ id: "k1", type: "behave", eyes: 2, label: "fear" }));
            v.socket.send(JSON.stringify({ id: "k2", type: "behave", eyes: 9 }));
            await new Promise(r => setTimeout(r, 1200));
            const size = [v.video.videoWidth, v.video.videoHeight];
            const shown = await (await fetch(`/v1/sessions/${v.session.id}`,
                { headers: v.auth })).json();
            const stats = v.events.filter(e => e.type === "stats");
            const answers = v.events.filter(e => ["k1", "k2"].includes(e.cause) &&
                ["ok", "error"].includes(e.type)).map(e => e.type);
            const first = v.firstFrameMs;
            await v.close();
            return { idle, spoken, size, first, frames: v.frames.length, eyes: shown.eyes, answers,
                     levels: [...new Set(stats.map(e => e.level))] };
        }""",
        MOUTH,
    )
    assert seen["size"] == [256, 256]
    assert seen["first"] < 3000
    assert seen["frames"] > 40
    # Not the puppet; a machine that two steps are too much for may be down to one already.
    assert any("step" in level for level in seen["levels"]), seen["levels"]
    assert sorted(seen["spoken"])[-4] > 1.5 * median(seen["idle"])
    assert seen["eyes"] == 2 and seen["answers"] == ["ok", "error"]
    await page.close()


async def test_the_page_turns_the_strength_of_the_eyes(browser: Browser, base: str) -> None:
    page = await browser.new_page(viewport={"width": 1440, "height": 900})
    console = Console(page)
    await page.goto(base)
    knob = page.get_by_test_id("strength")
    await expect(knob).to_be_visible(timeout=20_000)
    await knob.fill("2")
    await expect(page.locator("#strength output")).to_have_text("2×")
    await expect(page.locator('[data-stat="level"]')).to_contain_text("step", timeout=10_000)
    told = """async () => {
        const { id, token } = window.saccade.session;
        const headers = { Authorization: `Bearer ${token}` };
        return (await (await fetch(`/v1/sessions/${id}`, { headers })).json()).eyes;
    }"""
    assert await page.evaluate(told) == 2
    assert console.errors == []
    await page.close()
