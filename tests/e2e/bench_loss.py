"""``python -m tests.e2e.bench_loss``: what a browser sees through a network that loses packets.

The relay of `stream.impaired` stands between a real chromium and a real server, and is cut for a
second at last. Freezes are the browser's own (webrtc-stats `totalFreezesDuration`).
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Route

from stream.impaired import Relay
from tests.e2e.bench import viewer_page
from tests.e2e.browser import chromium, running_server

STATS = "() => window.viewer.stats().then(s => s.video)"


async def bench(loss: float, delay: float, seconds: float, codec: str, size: int) -> dict[str, Any]:
    async with Relay(loss=loss, delay=delay) as relay, chromium() as browser:

        async def through(route: Route) -> None:
            if "application/sdp" not in (await route.request.all_headers()).get("content-type", ""):
                await route.continue_()
                return
            offer = relay.offer(route.request.post_data or "")
            answer = await route.fetch(post_data=offer)
            await route.fulfill(response=answer, body=relay.answer(await answer.text()))

        with (
            tempfile.TemporaryDirectory() as data,
            running_server(Path(data), SACCADE_RUNTIME__SIZE=str(size)) as base,
        ):
            page = await viewer_page(browser, base)
            await page.route("**/v1/sessions/**", through)
            await page.evaluate(
                "async c => { window.viewer = await openViewer({codec: c}); }", codec
            )
            await asyncio.sleep(5)
            before = await page.evaluate(STATS)
            await asyncio.sleep(seconds)
            after = await page.evaluate(STATS)
            lost = relay.lost / max(1, relay.lost + relay.passed)
            relay.cut = True
            await asyncio.sleep(1)
            relay.cut = False
            # Until five pictures were shown, one soon after the other.
            back = await page.evaluate(
                """async () => {
                    const from = performance.now(), frames = window.viewer.frames;
                    while (performance.now() - from < 8000) {
                        const seen = frames.filter(f => f.seen > from + 5).slice(0, 60);
                        const k = seen.findIndex((f, i) =>
                            i + 5 < seen.length && seen[i + 5].seen - f.seen < 400);
                        if (k >= 0) return seen[k].seen - from;
                        await new Promise(r => setTimeout(r, 20));
                    }
                    return Infinity;
                }"""
            )
            end = await page.evaluate(STATS)
            await page.evaluate("() => window.viewer.close()")
    span = (after["timestamp"] - before["timestamp"]) / 1000

    def grown(key: str) -> float:
        return float(after.get(key, 0) - before.get(key, 0))

    return {
        "lost": lost,
        "freeze": grown("totalFreezesDuration") / span,
        "freezes": grown("freezeCount"),
        "fps": grown("framesDecoded") / span,
        "kbit_s": grown("bytesReceived") * 8e-3 / span,
        "nacks": grown("nackCount"),
        "plis": grown("pliCount"),
        "key_frames": grown("keyFramesDecoded"),
        "back_ms": back,
        "plis_of_the_cut": end["pliCount"] - after["pliCount"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--loss", type=float, default=0.05, help="share of packets lost each way")
    add("--delay", type=float, default=0.05, help="seconds each way")
    add("--seconds", type=float, default=15.0)
    add("--codec", choices=("vp8", "h264"), default="vp8")
    add("--size", type=int, default=512)
    given = parser.parse_args()
    found = asyncio.run(bench(given.loss, given.delay, given.seconds, given.codec, given.size))
    print("  ".join(f"{key} {value:.3f}" for key, value in found.items()))


if __name__ == "__main__":
    main()
