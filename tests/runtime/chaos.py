"""Ten minutes with a language model that does everything wrong.

    python -m tests.runtime.chaos [--minutes 10] [--seed 1]

A real session plays in real time, rendered by the puppet for a viewer who counts, while its
planner asks an endpoint that is slow, mute, talkative, malformed, overloaded or gone, at random,
and while labels and instructions change. Prints what the viewer saw and what the critic found.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import resource
import time
from importlib.resources import files
from itertools import count
from typing import Final

import numpy as np

from core import F32, FPS, U8, ControlTrack, Portrait
from engines.enrol import enrol
from engines.rig import Rig, build_rig
from planner.backends.endpoint import Endpoint, EndpointSettings
from planner.categories import LABELS
from planner.rules import check_played
from runtime.author import Writers
from runtime.renderer import PuppetRenderer
from runtime.scheduler import Scheduler
from runtime.session import Session
from runtime.settings import PlannerSettings, RuntimeSettings
from runtime.window import Window
from tests.planner.backends.unruly import CHAOS, Unruly

SIZE: Final = 256
INSTRUCTIONS: Final = (
    "", "look left", "wink, then nod twice", "close your eyes for 2 seconds", "look at me",
    "turn your head 25 degrees right while looking at me", "sing a song", "blink 4 times quickly",
)  # fmt: skip
PAST: Final = 20 * FPS


class Recorder(PuppetRenderer):
    """Renders, and keeps the controls that were played."""

    def __init__(self, rig: Rig) -> None:
        super().__init__(rig)
        self.rows: list[F32] = []

    def render(self, window: Window, deadline: float) -> list[U8]:
        self.rows.append(window.controls.values)
        return super().render(window, deadline)


async def run(minutes: float, seed: int, face: Portrait) -> None:
    rng = random.Random(seed)
    moods = (rng.choices(list(CHAOS), list(CHAOS.values()))[0] for _ in count())
    settings = RuntimeSettings(size=SIZE)
    planner = PlannerSettings("endpoint", analyse=True, reflect=True, timeout=3.0, budget=8.0)
    renderer = Recorder(build_rig(face, SIZE))
    async with Unruly(moods, seed=seed, pace=2.0) as server:
        endpoint = Endpoint(EndpointSettings(server.url, total_seconds=planner.timeout))
        writers = Writers(endpoint, planner)
        session = Session(
            "chaos", face, renderer, settings, voice=None, now=time.monotonic(),
            clock=time.monotonic, seed=seed, writers=writers,
        )  # fmt: skip
        gaps = await play(session, settings, minutes * 60, rng)
        await session.close()
        await writers.aclose()
    report(session, np.concatenate(renderer.rows), gaps, dict(server.moods))


async def play(
    session: Session, settings: RuntimeSettings, seconds: float, rng: random.Random
) -> list[float]:
    """Seconds between the pictures that the viewer got."""

    async def expire(session: Session, reason: str) -> None:
        raise RuntimeError(reason)

    scheduler = Scheduler(settings, clock=time.monotonic, expire=expire)
    looping = asyncio.create_task(scheduler.run())
    end = time.monotonic() + seconds
    arrivals: list[float] = []

    async def view() -> None:
        async with session.watch() as feed:
            while True:
                await feed.video()
                arrivals.append(time.monotonic())

    watching = asyncio.create_task(view())
    scheduler.add(session)
    while (left := end - time.monotonic()) > 0:
        await asyncio.sleep(min(left, rng.uniform(2, 12)))
        if rng.random() < 0.5:
            session.behave(label=rng.choice(list(LABELS)))
        else:
            session.behave(instruction=rng.choice(INSTRUCTIONS))
        print(f"\r{left:6.0f} s left, {session.stats.plans} plans, "
              f"{session.stats.plans_written} written ", end="", flush=True)  # fmt: skip
    watching.cancel()
    await scheduler.remove(session)
    looping.cancel()
    await asyncio.gather(looping, watching, return_exceptions=True)
    return [float(gap) for gap in np.diff(arrivals)]


def report(session: Session, rows: F32, gaps: list[float], moods: dict[str, int]) -> None:
    stats = session.stats
    faulty = 0
    chunks = range(0, len(rows), 4 * FPS)
    for start in chunks:
        before = ControlTrack(rows[max(0, start - PAST) : start])
        faulty += bool(check_played(ControlTrack(rows[start : start + 4 * FPS]), before))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"""
| played | {len(rows) / FPS:.0f} s |
| frames delivered / held | {stats.frames} / {stats.held} |
| stalls | {stats.stalls} |
| longest gap between pictures | {1000 * max(gaps):.0f} ms |
| plans made / written by the model | {stats.plans} / {stats.plans_written} |
| plans with rows that were mended | {stats.plans_mended} |
| 4 s pieces of the played track that pass the critic | {len(chunks) - faulty} of {len(chunks)} |
| peak memory | {memory:.0f} MB |
| what the endpoint did | {", ".join(f"{k} {v}" for k, v in sorted(moods.items()))} |""")


def main() -> None:
    parser = argparse.ArgumentParser(description="A session against an unruly language model")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    people = files("openpeople") / "data/curated/P001/assets/studio_portrait.jpg"
    asyncio.run(run(given.minutes, given.seed, enrol(people.read_bytes(), name="chaos")))


if __name__ == "__main__":
    main()
