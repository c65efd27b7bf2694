"""``python -m stream.bench_viewers``: what a viewer costs, and what a bad network does to one.

A server in a process of its own, with the puppet; viewers here, which take all packets and report
as viewers do. CPU is that of the server's process alone. ``--loss`` puts a network in between that
loses and delays packets, and is cut for a second; there the viewer decodes what it gets.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import uvicorn
from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from threadpoolctl import threadpool_limits

from runtime.portraits import PortraitStore
from runtime.sessions import Sessions
from runtime.settings import RuntimeSettings
from stream.app import create_app
from stream.connections import Config
from stream.impaired import Relay
from stream.settings import StreamSettings

SETTLE: Final = 2.0
"Seconds after the last viewer is connected before anything counts."
CUT: Final = 1.0
PLAYOUT: Final = 0.25
"Seconds that a viewer on a bad network waits with a picture; browsers wait for round trips, too."


# --- the server's process ---------------------------------------------------------------------


async def serve(size: int) -> None:
    """Serve; print the port, and then the CPU seconds used so far for each line that comes in."""
    threadpool_limits(1, user_api="blas")  # as server.py: idle BLAS threads spin on a whole core
    with tempfile.TemporaryDirectory() as folder:
        runtime = RuntimeSettings(size=size, renderer="puppet")
        store = PortraitStore(Path(folder), limit=4)
        async with Sessions(store, None, runtime) as sessions:
            app = create_app(sessions, StreamSettings(max_viewers=64))
            config = Config(app, StreamSettings(), port=0)
            server = uvicorn.Server(config)
            running = asyncio.create_task(server.serve())
            while not (server.started and sessions.ready):  # noqa: ASYNC110 - flags
                await asyncio.sleep(0.05)
            print(server.servers[0].sockets[0].getsockname()[1], flush=True)
            loop = asyncio.get_running_loop()
            while await loop.run_in_executor(None, sys.stdin.readline):
                print(time.process_time(), flush=True)
            server.should_exit = True
            await running


class Server:
    """A server in another process."""

    def __init__(self, process: asyncio.subprocess.Process, base: str) -> None:
        self._process, self.base = process, base

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    async def cpu(self) -> float:
        """CPU seconds it has used."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(b"\n")
        return float(await self._process.stdout.readline())


@asynccontextmanager
async def started(size: int) -> AsyncIterator[Server]:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stream.bench_viewers", "--serve", "--size", str(size)),
        stdin=pipe,
        stdout=pipe,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        async with asyncio.timeout(60):
            port = int(await process.stdout.readline())
        yield Server(process, f"http://127.0.0.1:{port}")
    finally:
        process.stdin.close()
        await process.wait()


# --- viewers ----------------------------------------------------------------------------------


class Blind:
    """A decoder that does not decode: eight real ones would need more CPU than the server."""

    def decode(self, frame: Any) -> list[Any]:
        return []


@asynccontextmanager
async def viewer(
    server: Server, session: dict[str, str], codec: str, relay: Relay | None = None
) -> AsyncIterator[dict[str, Any]]:
    """A connected viewer's tracks, by kind."""
    pc = RTCPeerConnection()
    tracks: dict[str, Any] = {}
    pc.on("track", lambda track: tracks.__setitem__(track.kind, track))
    try:
        line = pc.addTransceiver("video", direction="recvonly")
        known = RTCRtpReceiver.getCapabilities("video")
        assert known is not None
        line.setCodecPreferences([c for c in known.codecs if c.name in (codec, "rtx")])
        pc.addTransceiver("audio", direction="recvonly")
        await pc.setLocalDescription(await pc.createOffer())
        sdp = str(pc.localDescription.sdp)
        headers = {"Content-Type": "application/sdp", "Authorization": f"Bearer {session['token']}"}
        async with httpx.AsyncClient(base_url=server.base) as http:
            sdp = sdp if relay is None else relay.offer(sdp)
            answered = await http.post(session["whep"], headers=headers, content=sdp)
        answered.raise_for_status()
        answer = answered.text if relay is None else relay.answer(answered.text)
        await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        async with asyncio.timeout(10):
            while pc.connectionState != "connected":  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.02)
        yield tracks
    finally:
        await pc.close()


async def metric(server: Server, name: str) -> float:
    async with httpx.AsyncClient(base_url=server.base) as http:
        lines = (await http.get("/metrics")).text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(name + " ")))


async def cost(server: Server, viewers: int, codec: str, seconds: float) -> dict[str, float]:
    """The server's CPU with some viewers of one session."""
    async with httpx.AsyncClient(base_url=server.base) as http, AsyncExitStack() as stack:
        session = (await http.post("/v1/sessions", json={"seed": 3})).json()
        for _ in range(viewers):
            await stack.enter_async_context(viewer(server, session, codec))
        await asyncio.sleep(SETTLE)
        before, began = await server.cpu(), time.monotonic()
        frames = await metric(server, "saccade_frames_total")
        await asyncio.sleep(seconds)
        wall = time.monotonic() - began
        found = {
            "viewers": viewers,
            "cpu": (await server.cpu() - before) / wall,
            "fps": (await metric(server, "saccade_frames_total") - frames) / wall,
            "encode_ms": 1e3 * await metric(server, "saccade_encode_seconds"),
            "renditions": await metric(server, "saccade_renditions"),
        }
        await stack.aclose()
        headers = {"Authorization": f"Bearer {session['token']}"}
        await http.delete(f"/v1/sessions/{session['id']}", headers=headers)
    return found


# --- a bad network ----------------------------------------------------------------------------


def frozen(shown: list[float]) -> float:
    """Share of time without a new picture: gaps as in webrtc-stats `totalFreezesDuration`."""
    gaps = np.diff(shown)
    mean = float(gaps.mean())
    return float(gaps[gaps > max(3 * mean, mean + 0.15)].sum() / (shown[-1] - shown[0]))


def played(arrived: list[float], pts: list[float], wait: float) -> list[float]:
    """When frames are shown by a player that holds each for ``wait`` after its usual arrival."""
    start = float(np.percentile(np.subtract(arrived, pts), 5))
    shown = np.maximum(arrived, np.asarray(pts) + start + wait)
    return sorted(shown.tolist())


async def bad_network(
    server: Server, codec: str, seconds: float, loss: float, delay: float
) -> dict[str, float]:
    """Watch through a network that loses and delays, then is cut for a second."""
    async with (
        httpx.AsyncClient(base_url=server.base) as http,
        Relay(loss=loss, delay=delay) as relay,
    ):
        session = (await http.post("/v1/sessions", json={"seed": 3})).json()
        keys = await metric(server, "saccade_keyframes_total")
        async with viewer(server, session, codec, relay) as tracks:
            arrived: list[float] = []
            pts: list[float] = []

            async def look() -> None:
                try:
                    while True:
                        frame = await tracks["video"].recv()
                        arrived.append(time.monotonic())
                        pts.append(frame.time)
                except MediaStreamError:
                    pass

            looking = asyncio.create_task(look())
            await asyncio.sleep(SETTLE)
            arrived.clear()
            pts.clear()
            await asyncio.sleep(seconds)
            steady, times = list(arrived), list(pts)
            lost = relay.lost / max(1, relay.lost + relay.passed)
            relay.cut = True
            await asyncio.sleep(CUT)
            relay.cut = False
            healed, seen = time.monotonic(), len(arrived)
            await asyncio.sleep(4.0)
            looking.cancel()
            # The first picture that is followed by four more without a long gap.
            after = [at for at in arrived[seen:] if at > healed]
            back = next(
                (
                    after[k] - healed
                    for k in range(len(after) - 5)
                    if after[k + 5] - after[k] < 0.4 and pts[seen + k] > times[-1] + CUT / 2
                ),
                float("inf"),
            )
        return {
            "lost": lost,
            "fps": (len(steady) - 1) / (steady[-1] - steady[0]),
            "freeze": frozen(played(steady, times, PLAYOUT)),
            "freeze_without_playout": frozen(steady),
            "back_s": back,
            "keys": await metric(server, "saccade_keyframes_total") - keys,
        }


async def run(given: argparse.Namespace) -> list[dict[str, float]]:
    async with started(given.size) as server:
        if given.loss:
            found = [await bad_network(server, given.codec, given.seconds, given.loss, given.delay)]
        else:
            blind: Any = importlib.import_module("aiortc.rtcrtpreceiver")
            blind.get_decoder = lambda codec: Blind()
            found = [await cost(server, n, given.codec, given.seconds) for n in given.viewers]
    for row in found:
        print("  ".join(f"{key} {value:.3f}" for key, value in row.items()), flush=True)
    if not given.loss and {1, 8} <= {row["viewers"] for row in found}:
        cpu = {row["viewers"]: row["cpu"] for row in found}
        print(f"eight viewers cost {cpu[8] / cpu[1]:.2f} times one")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    add("--viewers", type=int, nargs="+", default=[0, 1, 8], help="one after the other")
    add("--codec", choices=("VP8", "H264"), default="VP8")
    add("--size", type=int, default=512)
    add("--seconds", type=float, default=10.0, help="of each measurement")
    add("--loss", type=float, default=0.0, help="share of packets lost each way")
    add("--delay", type=float, default=0.05, help="seconds each way, with --loss")
    add("--json", type=Path, help="write the numbers there, too")
    add("--serve", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.size))
        return
    found = asyncio.run(run(given))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
