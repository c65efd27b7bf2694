"""``python -m stream.bench_interrupts``: from an interruption to silence and a closed mouth.

A server in a process of its own, with the puppet; here a viewer that decodes, and a client that
speaks and interrupts at random moments. Counted is when the last packet arrives that carries old
sound, and the last picture whose mouth stands open; a player's own buffer comes on top.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import numpy as np
import numpy.typing as npt
from aiortc import RTCRtpReceiver
from aiortc.mediastreams import MediaStreamError
from websockets.asyncio.client import connect

from engines.resample import to_pcm16
from stream.aiortc_ways import rtp_origin
from stream.bench import babble
from stream.bench_viewers import SETTLE, started, viewer

LOUD: Final = 10 ** (-50 / 20)
"Amplitude below which a packet is silent."
MOUTH: Final = (slice(54, 78), slice(36, 64))
"Where the mouth is in every enrolled crop, however the head turns: rows and columns, per cent."
DARK: Final = 40
"Luma that in the portrait that comes with Saccade only the inside of the mouth is below."
OPEN: Final = 0.05
"Mean darkness below that, above which the mouth is open; shut it has .01, in speech .2 to .4."
SPOKEN: Final = 4.0
AFTER: Final = 1.2
"Seconds watched after an interruption."


@dataclass
class Seen:
    """What arrived: moments, how loud, how open the mouth."""

    sound: list[tuple[float, float]] = field(default_factory=list)
    mouth: list[tuple[float, float]] = field(default_factory=list)
    arrived: dict[tuple[str, int], float] = field(default_factory=dict)
    "When the last packet of a frame came, by kind and RTP timestamp."
    receivers: dict[str, Any] = field(default_factory=dict)

    def at(self, kind: str, pts: int) -> float:
        """When a decoded frame arrived."""
        return self.arrived[kind, (pts + rtp_origin(self.receivers[kind])) % (1 << 32)]

    def forget(self, before: float) -> None:
        """What arrived then is not looked at any more."""
        self.sound = [mark for mark in self.sound if mark[0] > before]
        self.mouth = [mark for mark in self.mouth if mark[0] > before]
        self.arrived = {key: at for key, at in self.arrived.items() if at > before}


@contextlib.contextmanager
def noting(seen: Seen) -> Any:
    """Have all receivers of this process tell when packets come: decoded frames do not."""
    usual = RTCRtpReceiver._handle_rtp_packet

    async def noted(self: Any, packet: Any, arrival_time_ms: int) -> None:
        kind = self.track.kind
        seen.receivers[kind] = self
        seen.arrived[kind, packet.timestamp] = time.monotonic()
        await usual(self, packet, arrival_time_ms)

    RTCRtpReceiver._handle_rtp_packet = noted  # type: ignore[method-assign]
    try:
        yield
    finally:
        RTCRtpReceiver._handle_rtp_packet = usual  # type: ignore[method-assign]


async def _listen(track: Any, seen: Seen) -> None:
    with contextlib.suppress(MediaStreamError):
        while True:
            frame = await track.recv()
            loud = np.abs(frame.to_ndarray()).max() / 32768
            seen.sound.append((seen.at("audio", frame.pts), float(loud)))


async def _look(track: Any, seen: Seen) -> None:
    with contextlib.suppress(MediaStreamError):
        while True:
            frame = await track.recv()
            opened = darkness(frame.to_ndarray(format="gray"))
            seen.mouth.append((seen.at("video", frame.pts), opened))


def darkness(luma: npt.NDArray[np.uint8]) -> float:
    """How open the mouth is in a picture, uint8 ``[H, W]``: where the head is does not matter."""
    rows, columns = (
        slice(side * part.start // 100, side * part.stop // 100)
        for side, part in zip(luma.shape, MOUTH, strict=True)
    )
    return float(np.clip(DARK - luma[rows, columns].astype(np.float64), 0, None).mean())


def last_above(marks: list[tuple[float, float]], least: float, since: float) -> float:
    """Ms from ``since`` to the last mark above ``least``; 0 when there was none."""
    return max(
        (1e3 * (at - since) for at, value in marks if at > since and value > least), default=0
    )


async def bench(count: int, size: int, seed: int) -> dict[str, Any]:
    """The milliseconds of each interruption, and what the server told."""
    chance, seen = random.Random(seed), Seen()
    silent: list[float] = []
    closed: list[float] = []
    heard: list[float] = []
    spoke = 0
    speech = to_pcm16(babble(SPOKEN))
    async with started(size) as server, httpx.AsyncClient(base_url=server.base) as http:
        session = (await http.post("/v1/sessions", json={"seed": 3})).json()
        path = f"/v1/sessions/{session['id']}/control?token={session['token']}"
        with noting(seen):
            async with (
                connect(server.base.replace("http", "ws", 1) + path) as socket,
                viewer(server, session, "VP8") as tracks,
            ):
                tasks = [
                    asyncio.create_task(_listen(tracks["audio"], seen)),
                    asyncio.create_task(_look(tracks["video"], seen)),
                ]
                await asyncio.sleep(SETTLE + 2.0)
                for _ in range(count):
                    seen.forget(time.monotonic() - 5)
                    await socket.send(speech)
                    await socket.send(json.dumps({"id": "e", "type": "audio_end"}))
                    await asyncio.sleep(chance.uniform(0.6, SPOKEN - 0.6))
                    at = time.monotonic()
                    await socket.send(json.dumps({"id": "i", "type": "interrupt"}))
                    heard.append(await _told(socket))
                    await asyncio.sleep(AFTER)
                    silent.append(last_above(seen.sound, LOUD, at))
                    closed.append(last_above(seen.mouth, OPEN, at))
                    spoke += any(opened > OPEN for when, opened in seen.mouth if when < at)
                for task in tasks:
                    task.cancel()
                for result in await asyncio.gather(*tasks, return_exceptions=True):
                    if isinstance(result, Exception):
                        raise result
    return {"silent_ms": silent, "closed_ms": closed, "heard_ms": heard, "spoke": spoke}


async def _told(socket: Any) -> float:
    async with asyncio.timeout(5):
        while True:
            event = json.loads(await socket.recv())
            if event["type"] == "interrupted":
                return float(event["heard_ms"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=200, help="interruptions; 3.5 s each")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    found = asyncio.run(bench(given.count, given.size, given.seed))
    for name, goal in (("silent_ms", 100), ("closed_ms", 250)):
        p50, p95, most = np.percentile(found[name], [50, 95, 100])
        print(f"{name}  p50 {p50:.0f}  p95 {p95:.0f}  max {most:.0f}  goal p95 <= {goal}")
    print(f"the mouth was seen open before {found['spoke']} of {given.count}")
    print(f"heard_ms   {min(found['heard_ms']):.0f} to {max(found['heard_ms']):.0f}")


if __name__ == "__main__":
    main()
