"""`make bench`: what a viewer in headless chromium on loopback gets from this machine.

    python -m tests.e2e.bench [--seconds 60] [--runs 7] [--codec vp8|h264]

Prints: first frame after the SDP answer; frames per second and freezes of two sessions at once; the
time from the first sample of streamed speech to visible mouth motion. Medians, with the range.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from playwright.async_api import Browser, Page

from tests.e2e.browser import CLIENT, chromium, running_server

MOUTH = {"x": 0.38, "y": 0.54, "w": 0.24, "h": 0.18}
"Where the mouth is in every enrolled crop, as fractions of the picture."


async def viewer_page(browser: Browser, base: str) -> Page:
    page = await browser.new_page()
    await page.goto(f"{base}/healthz")
    await page.add_script_tag(path=str(CLIENT))
    return page


async def first_frames(browser: Browser, base: str, runs: int, codec: str) -> list[float]:
    """Ms from the SDP answer to the first presented frame; sessions one after another."""
    found = []
    for _ in range(runs):
        page = await viewer_page(browser, base)
        ms = await page.evaluate(
            """async (codec) => {
                const v = await openViewer({ codec });
                while (v.firstFrameMs === undefined) await new Promise(r => setTimeout(r, 10));
                await v.close();
                return v.firstFrameMs;
            }""",
            codec,
        )
        found.append(float(ms))
        await page.close()
    return found


async def steady(browser: Browser, base: str, seconds: float, codec: str) -> list[dict[str, Any]]:
    """Two sessions side by side for ``seconds``, after five seconds to settle."""
    pages = [await viewer_page(browser, base) for _ in range(2)]
    script = """async ([seconds, codec]) => {
        const v = await openViewer({ codec });
        await new Promise(r => setTimeout(r, 5000));
        const a = (await v.stats()).video, from = performance.now();
        await new Promise(r => setTimeout(r, seconds * 1000));
        const s = await v.stats(), b = s.video, ms = performance.now() - from;
        const seen = v.frames.filter(f => f.seen >= from).map(f => f.seen);
        const gaps = seen.slice(1).map((t, i) => t - seen[i]).sort((p, q) => p - q);
        const jitter = (b.jitterBufferDelay - a.jitterBufferDelay)
            / (b.jitterBufferEmittedCount - a.jitterBufferEmittedCount) * 1000;
        const server = v.events.filter(e => e.type === "stats").at(-1) ?? {};
        await v.close();
        return {
            fps_decoded: (b.framesDecoded - a.framesDecoded) / ms * 1000,
            fps_presented: (seen.length - 1) / (seen.at(-1) - seen[0]) * 1000,
            freezes: (b.freezeCount ?? 0) - (a.freezeCount ?? 0),
            dropped: b.framesDropped - a.framesDropped,
            worst_gap_ms: gaps.at(-1), p99_gap_ms: gaps[Math.floor(gaps.length * 0.99)],
            jitter_buffer_ms: jitter,
            kbit_s: (b.bytesReceived - a.bytesReceived) * 8 / ms,
            server,
        };
    }"""
    done = await asyncio.gather(*(p.evaluate(script, [seconds, codec]) for p in pages))
    for page in pages:
        await page.close()
    return list(done)


async def lips(browser: Browser, base: str, runs: int) -> list[float]:
    """Ms from sending the first speech sample to the first visibly moved mouth."""
    page = await viewer_page(browser, base)
    script = """async ([runs, mouth]) => {
        const v = await openViewer();
        v.look = mouth;
        await new Promise(r => setTimeout(r, 3000));
        const out = [];
        for (let i = 0; i < runs; i++) {
            await new Promise(r => setTimeout(r, 1200 + 37 * i));
            const quiet = v.frames.slice(-25).map(f => f.mouth).sort((a, b) => a - b);
            const floor = quiet[22] * 1.5 + 0.4; // above what idle motion and codec noise do
            const t0 = await speak(v, vowel(0.6));
            await new Promise(r => setTimeout(r, 500));
            const hit = v.frames.find(f => f.seen > t0 && f.mouth > floor);
            out.push(hit ? hit.seen - t0 : -1);
        }
        await v.close();
        return out;
    }"""
    found = await page.evaluate(script, [runs, MOUTH])
    await page.close()
    return [float(ms) for ms in found]


def line(name: str, values: list[float], goal: str) -> str:
    return (
        f"{name:<44}{median(values):8.1f}   [{min(values):.1f} … {max(values):.1f}]"
        f"   n={len(values)}   goal {goal}"
    )


async def bench(seconds: float, runs: int, codec: str) -> None:
    with tempfile.TemporaryDirectory() as data, running_server(Path(data)) as base:
        async with chromium() as browser:
            await first_frames(browser, base, 1, codec)  # the browser's own first time
            print(
                line(
                    "first frame after the answer, ms",
                    await first_frames(browser, base, runs, codec),
                    "≤ 300",
                )
            )
            spoken = await lips(browser, base, runs)
            heard = [ms for ms in spoken if ms >= 0]
            print(line("speech onset to visible mouth motion, ms", heard or [-1.0], "≤ 200"))
            if len(heard) < len(spoken):
                print(f"  {len(spoken) - len(heard)} of {len(spoken)} onsets were not seen")
            pair = await steady(browser, base, seconds, codec)
            for key, goal in (
                ("fps_decoded", "25.0 ± 0.2"),
                ("fps_presented", "25.0 ± 0.2"),
                ("freezes", "0"),
                ("dropped", "0"),
                ("worst_gap_ms", "–"),
                ("p99_gap_ms", "–"),
                ("jitter_buffer_ms", "–"),
                ("kbit_s", "–"),
            ):
                name = f"two sessions, {seconds:.0f} s: {key}"
                print(line(name, [float(p[key] or 0) for p in pair], goal))
            print("server:", json.dumps([p["server"] for p in pair]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--codec", choices=["vp8", "h264"], default="vp8")
    given = parser.parse_args()
    asyncio.run(bench(given.seconds, given.runs, given.codec))


if __name__ == "__main__":
    main()
