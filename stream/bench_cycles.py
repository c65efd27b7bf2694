"""``python -m stream.bench_cycles``: come, look, leave, again and again: what stays in the server.

Each cycle is a session with a viewer that gets a picture and leaves. Memory, open files and threads
of the server's process are read after a fifth of the cycles, when pools, caches and the allocator's
arenas are filled, and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from stream.bench_viewers import Server, metric, started, viewer

ENOUGH: Final = 0.05
"Growth of memory that is allowed."
REST: Final = 3.0
"Seconds until what was closed last is gone."
POOLED: Final = 6
"Threads that pools may still have made: they do when all of theirs are busy, up to a bound."
BAR: Final = 30


@dataclass(frozen=True, slots=True)
class Held:
    """What a process holds (Linux)."""

    rss: int
    "Bytes."
    files: int
    threads: int

    @classmethod
    def by(cls, pid: int) -> Held:
        """Read it from /proc."""
        at = Path(f"/proc/{pid}")
        status = dict(
            line.split(":", 1) for line in (at / "status").read_text().splitlines() if ":" in line
        )
        files = len(list((at / "fd").iterdir()))
        return cls(1024 * int(status["VmRSS"].split()[0]), files, int(status["Threads"]))

    def __str__(self) -> str:
        return f"{self.rss / 1e6:.1f} MB, {self.files} files, {self.threads} threads"


async def cycle(server: Server, http: httpx.AsyncClient) -> None:
    """One session, one viewer, one picture."""
    made = await http.post("/v1/sessions", json={})
    made.raise_for_status()
    session = made.json()
    async with viewer(server, session, "VP8") as tracks:
        async with asyncio.timeout(20):
            await tracks["video"].recv()
    headers = {"Authorization": f"Bearer {session['token']}"}
    (await http.delete(f"/v1/sessions/{session['id']}", headers=headers)).raise_for_status()


async def run(cycles: int, size: int) -> bool:
    """Measure; True when nothing stays."""
    warm = max(1, cycles // 5)
    async with started(size) as server, httpx.AsyncClient(base_url=server.base) as http:
        before, began = None, time.monotonic()
        for done in range(1, cycles + 1):
            await cycle(server, http)
            if done == warm:
                await asyncio.sleep(REST)
                before = Held.by(server.pid)
            bar = "#" * (BAR * done // cycles)
            print(f"\r[{bar:<{BAR}}] {done}/{cycles}", end="", file=sys.stderr, flush=True)
        took = (time.monotonic() - began) / cycles
        await asyncio.sleep(REST)
        after, viewers = Held.by(server.pid), await metric(server, "saccade_viewers")
    assert before is not None
    growth = after.rss / before.rss - 1
    print(f"\n{cycles} cycles, {took * 1e3:.0f} ms each; {viewers:.0f} viewers left")
    print(f"after {warm}: {before}\nat the end: {after}; memory {growth:+.1%}")
    return (
        growth < ENOUGH
        and after.files <= before.files
        and after.threads <= before.threads + POOLED
        and not viewers
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cycles", type=int, default=1000)
    parser.add_argument("--size", type=int, default=128)
    given = parser.parse_args()
    if given.cycles < 1:
        parser.error("--cycles must be above 0")
    raise SystemExit(0 if asyncio.run(run(given.cycles, given.size)) else 1)


if __name__ == "__main__":
    main()
