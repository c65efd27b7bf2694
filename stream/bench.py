"""``python -m stream.bench``: what the generator costs here, and what that leaves for viewers.

First each back end by itself: a step, a window, a frame, beside the floors of
`engines.video.speed`. Then sessions in real time, as many at once as are asked for, each with a
viewer for whom every picture is encoded: pictures a second, held ones, how soon the first picture
is there and how long after a sound has come in it is presented with the lips that go with it. The
viewer is in this process: networks and browsers come on top.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Final

import av
import numpy as np

from core import F32, FPS, SAMPLE_RATE, U8, VIDEO_CLOCK, WINDOW_FRAMES, Unavailable
from engines.backends.providers import PROVIDERS, Name, names_of
from engines.video.guidance import FRAME
from engines.video.live import Networks
from engines.video.schedule import WINDOW
from engines.video.shipped import SHIPPED
from engines.video.speed import (
    Work,
    memory_rate,
    multiply_rate,
    seconds_by_graph,
    work_of,
)
from runtime.media import FeedClosed
from runtime.portraits import PortraitStore
from runtime.session import Session
from runtime.sessions import Sessions
from runtime.settings import RuntimeSettings
from stream.bandwidth import Rung
from stream.codecs import VIDEO_BASE, Vp8
from stream.rendition import Scale
from stream.settings import StreamSettings

WINDOW_MS: Final = 1000 * WINDOW_FRAMES / FPS
BYTES: Final = {"openvino-int8": 1, "openvino": 2, "tensorrt": 2, "tensorrt-rtx": 2}
"Of a weight; 4 where nothing is said."
SPOKEN: Final = 1.2
"Seconds of each utterance."
EVERY: Final = 3.0
"Seconds from one to the next."


# --- back ends --------------------------------------------------------------------------------


def back_end(folder: Path, name: Name, threads: int, steps: int, rows: int = 1) -> dict[str, float]:
    """Milliseconds of one back end's parts, medians, and the shares that the floors are of them.

    Args:
        folder: Of the networks.
        name: Of the back end.
        threads: Of the processor.
        steps: Of a window.
        rows: Windows, of a session each, that are made at once: times are of all together, but
            for ``frame_ms`` and ``real_time``.
    """
    networks = Networks.open(folder, threads, name)
    took = seconds_by_graph(networks, steps, rows=rows)
    rate, memory = multiply_rate(name, threads), memory_rate()
    keys = FRAME + networks.past * WINDOW * FRAME
    work: dict[str, Work] = {g: work_of(folder, g, keys) for g in ("tell", "dit", "decode")}
    floors = {g: w.floor(rate, memory, BYTES.get(name, 4), rows) for g, w in work.items()}
    passes = steps + 1
    floor = floors["tell"] + passes * floors["dit"] + floors["decode"]
    return {
        "step_ms": 1e3 * took["dit"],
        "step_floor": floors["dit"] / took["dit"],
        "decode_ms": 1e3 * took["decode"],
        "decode_floor": floors["decode"] / took["decode"],
        "window_ms": 1e3 * took["window"],
        "window_floor": floor / took["window"],
        "frame_ms": 1e3 * took["window"] / WINDOW_FRAMES / rows,
        "real_time": took["window"] * 1e3 / WINDOW_MS / rows,
        "sessions": rows * WINDOW_MS / (took["window"] * 1e3),
        "gflop_s": rate / 1e9,
    }


# --- sessions ---------------------------------------------------------------------------------


@dataclass
class Seen:
    """What one viewer saw."""

    first_ms: float = 0.0
    shown: list[float] = field(default_factory=list)
    lips_ms: list[float] = field(default_factory=list)
    encode_ms: list[float] = field(default_factory=list)
    lead_ms: list[float] = field(default_factory=list)


async def watch(session: Session, seconds: float, voice: F32) -> Seen:
    """View a session, have it speak now and then, encode every picture."""
    seen, encoder, scale = Seen(), Vp8(StreamSettings()), Scale()
    loop = asyncio.get_running_loop()
    began = time.monotonic()
    end = began + seconds
    pushed: list[float] = []

    async def speak() -> None:
        await asyncio.sleep(2.0)
        while time.monotonic() + SPOKEN < end:
            pushed.append(time.monotonic())
            session.play(voice)
            await asyncio.sleep(EVERY)

    def encode(pixels: U8, pts: int) -> None:
        start = time.perf_counter()
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = pts * VIDEO_CLOCK // SAMPLE_RATE, VIDEO_BASE
        encoder.encode(scale.to(frame, Rung.FULL), False)
        seen.encode_ms.append((time.perf_counter() - start) * 1e3)

    async def look(feed: Any) -> None:
        while True:
            frame = await feed.video()
            if not seen.shown:
                seen.first_ms = (time.monotonic() - began) * 1e3
            seen.shown.append(time.monotonic())
            seen.lead_ms.append(session.lead * 1e3)
            await loop.run_in_executor(None, encode, frame.pixels, frame.pts)

    async def listen(feed: Any) -> None:
        answered = 0
        while True:
            chunk = await feed.audio()
            if len(pushed) > answered and np.abs(chunk.samples).max() > 0.01:
                at = session.epoch + chunk.pts / SAMPLE_RATE
                seen.lips_ms.append((at - pushed[-1]) * 1e3)
                answered = len(pushed)

    async with session.watch() as feed:
        tasks = [asyncio.create_task(work) for work in (speak(), look(feed), listen(feed))]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result, FeedClosed):
                raise result
    return seen


async def live(settings: RuntimeSettings, count: int, seconds: float) -> dict[str, Any]:
    """Some sessions at once, in real time."""
    voice = babble(SPOKEN)
    with tempfile.TemporaryDirectory() as folder:
        store = PortraitStore(Path(folder), limit=4)
        asked = replace(settings, max_sessions=count, capacity_share=1e6)  # also what is too much
        async with Sessions(store, None, asked) as sessions:
            while not sessions.ready:  # noqa: ASYNC110 - readiness is a flag that is polled
                await asyncio.sleep(0.1)
            made = [await sessions.create(seed=i) for i in range(count)]
            before = time.process_time()
            began = time.monotonic()
            seen = await asyncio.gather(*(watch(s, seconds, voice) for s in made))
            cores = (time.process_time() - before) / (time.monotonic() - began)
            stats = [s.stats for s in made]
            levels = [s.renderer.level for s in made]
    gaps = np.concatenate([np.diff(s.shown) for s in seen]) * 1e3
    lips = np.concatenate([s.lips_ms for s in seen])
    return {
        "sessions": count,
        "first_ms": median(s.first_ms for s in seen),
        "fps": min((len(s.shown) - 1) / (s.shown[-1] - s.shown[0]) for s in seen),
        "held": sum(s.held for s in stats) / max(1, sum(s.held + s.frames for s in stats)),
        "longest_gap_ms": float(gaps.max()),
        "lips_p50_ms": float(np.percentile(lips, 50)),
        "lips_p95_ms": float(np.percentile(lips, 95)),
        "render_ms": median(m for s in stats for m in s.render_ms),
        "encode_ms": median(m for s in seen for m in s.encode_ms),
        "lead_ms": median(m for s in seen for m in s.lead_ms),
        "cores": cores,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "level": ", ".join(sorted(set(levels))),
    }


def babble(seconds: float) -> F32:
    """A voice-like sound: a buzz that glides between two vowels, four syllables a second."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    buzz = sum(np.sin(2 * np.pi * 130 * k * t) / k**0.5 for k in range(1, 20))
    wave = buzz * np.clip(np.sin(2 * np.pi * 4 * t + 1.2), 0.05, 1)
    return np.asarray(0.3 * wave / np.abs(wave).max(), np.float32)


# --- told -------------------------------------------------------------------------------------


def report(rows: Sequence[tuple[str, dict[str, Any]]], columns: Sequence[tuple[str, str]]) -> str:
    """A Markdown table; a column is a key and a format."""
    lines = [
        "| | " + " | ".join(key for key, _ in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for name, values in rows:
        cells = (format(values[key], how) for key, how in columns)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


BACK_END_COLUMNS: Final = (
    ("step_ms", ".0f"), ("step_floor", ".0%"), ("decode_ms", ".0f"), ("decode_floor", ".0%"),
    ("window_ms", ".0f"), ("window_floor", ".0%"), ("frame_ms", ".1f"), ("real_time", ".2f"),
    ("sessions", ".1f"), ("gflop_s", ".0f"),
)  # fmt: skip
LIVE_COLUMNS: Final = (
    ("first_ms", ".0f"), ("fps", ".1f"), ("held", ".1%"), ("longest_gap_ms", ".0f"),
    ("lips_p50_ms", ".0f"), ("lips_p95_ms", ".0f"), ("lead_ms", ".0f"), ("render_ms", ".1f"),
    ("encode_ms", ".1f"), ("cores", ".2f"), ("memory_mb", ".0f"), ("level", ""),
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    known = RuntimeSettings()
    add = parser.add_argument
    add("--weights", type=Path, default=SHIPPED, help="folder of the generator")
    add("--backends", nargs="*", choices=list(PROVIDERS), default=list(names_of("auto")))
    add("--threads", type=int, nargs="+", default=[1, 2])
    add("--batches", type=int, nargs="+", default=[1], help="windows that are made at once")
    add("--steps", type=int, default=known.generator_steps)
    add("--sizes", type=int, nargs="*", default=[256])
    add("--sessions", type=int, nargs="*", default=[1, 2], help="at once, one after the other")
    add("--seconds", type=float, default=30.0, help="of each of these")
    add("--json", type=Path, help="write the numbers there, too")
    given = parser.parse_args()
    alone = []
    for name in given.backends:
        for threads, rows in product(given.threads, given.batches):
            try:
                found = back_end(given.weights, name, threads, given.steps, rows)
            except Unavailable as error:
                print(f"{name}: {error}")
                break
            row = f"{name}, {threads} thread{'s' * (threads > 1)}"
            alone.append((f"{row}, {rows} at once" if rows > 1 else row, found))
    if alone:
        print(f"\nA window of {WINDOW_MS:.0f} ms in {given.steps} steps; floors as shares:\n")
        print(report(alone, BACK_END_COLUMNS), flush=True)
    together = []
    for size in given.sizes:
        for count in given.sessions:
            settings = replace(
                known, size=size, renderer="generator", generator_steps=given.steps,
                generator_weights=str(given.weights),
            )  # fmt: skip
            found = asyncio.run(live(settings, count, given.seconds))
            together.append((f"{size} px, {count} session{'s' * (count > 1)}", found))
    if together:
        print("\nSessions in real time, with the fastest back end:\n")
        print(report(together, LIVE_COLUMNS))
    if given.json:
        given.json.write_text(json.dumps({"alone": alone, "together": together}, indent=2))


if __name__ == "__main__":
    main()
