"""``live URL``: what a viewer of a running server gets, and what the server says of itself.

Opens a session, watches it over WHEP with aiortc as any viewer would, and reads the ``stats``
events of its control socket. Freezes are counted as browsers do: a gap longer than three mean gaps
or than the mean and 150 ms, whichever is more (W3C, Identifiers for WebRTC's Statistics API,
freezeCount).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin

import httpx
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from core import FPS, InvalidInput, Unavailable
from engines.evaluate.results import write_json
from engines.markdown import table

DEADLINE: Final = 15.0
"Seconds for anything to happen."
SETTLE: Final = 2.0
"Seconds that are not counted: the first keyframe, a codec that finds its rate."
FREEZE_FACTOR, FREEZE_EXTRA = 3.0, 0.150
STATS: Final = ("fps", "render_ms", "late_ms", "queue_ms", "held", "stalls", "underruns")


def freezes(arrivals: Sequence[float]) -> int:
    """How often a picture stood still, from the times of frames in seconds."""
    gaps = [b - a for a, b in zip(arrivals[:-1], arrivals[1:], strict=True)]
    if not gaps:
        return 0
    mean = statistics.fmean(gaps)
    return sum(gap > max(FREEZE_FACTOR * mean, mean + FREEZE_EXTRA) for gap in gaps)


async def watch(url: str, seconds: float, told: Callable[[int, int, str], None]) -> dict[str, Any]:
    """Watch a new session of the server at ``url``.

    Returns:
        By name: ``{"value", "unit", "goal"}``.

    Raises:
        Unavailable: No server answers, it is busy, or no picture comes.
        InvalidInput: What answers is no Saccade server.
    """
    async with httpx.AsyncClient(base_url=url, timeout=DEADLINE) as client:
        session = await _open(client)
        headers = {"Authorization": f"Bearer {session['token']}"}
        try:
            return await _watch(client, url, session, headers, seconds, told)
        finally:
            with contextlib.suppress(httpx.HTTPError):
                await client.delete(f"/v1/sessions/{session['id']}", headers=headers)


async def _open(client: httpx.AsyncClient) -> dict[str, Any]:
    try:
        answer = await client.post("/v1/sessions", json={})
    except httpx.HTTPError as error:
        raise Unavailable(f"No server answers at {client.base_url}: {error!r}.") from error
    if answer.status_code == 503:
        raise Unavailable("The server has no place for another session; try again later.")
    try:
        session: dict[str, Any] = answer.raise_for_status().json()
        return {key: str(session[key]) for key in ("id", "token", "whep", "control")}
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{client.base_url} is no Saccade server: {error!r}.") from error


async def _watch(client: httpx.AsyncClient, url: str, session: dict[str, Any],
                 headers: dict[str, str], seconds: float,
                 told: Callable[[int, int, str], None]) -> dict[str, Any]:  # fmt: skip
    peer = RTCPeerConnection()
    arrivals: list[float] = []
    tasks: list[asyncio.Task[None]] = []
    stats: dict[str, Any] = {}

    @peer.on("track")
    def on_track(track: MediaStreamTrack) -> None:
        times = arrivals if track.kind == "video" else []
        tasks.append(asyncio.create_task(_receive(track, times)))

    try:
        for kind in ("video", "audio"):
            peer.addTransceiver(kind, direction="recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        answer = await client.post(
            session["whep"],
            content=peer.localDescription.sdp,
            headers=headers | {"Content-Type": "application/sdp"},
        )
        answered = time.monotonic()
        if answer.status_code != 201:
            raise Unavailable(f"The offer was refused: {answer.status_code} {answer.text[:200]}")
        tasks.append(asyncio.create_task(_listen(url, session, stats)))
        await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        while not arrivals:
            if time.monotonic() - answered > DEADLINE:
                raise Unavailable("No picture came: is UDP blocked between here and the server?")
            await asyncio.sleep(0.005)
        first = arrivals[0] - answered
        for second in range(round(seconds + SETTLE)):
            told(second, round(seconds + SETTLE), "watching")
            await asyncio.sleep(1)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await peer.close()
    return _found(first, arrivals, stats)


def _found(first: float, arrivals: Sequence[float], stats: dict[str, Any]) -> dict[str, Any]:
    steady = [t for t in arrivals if t >= arrivals[0] + SETTLE]
    span = steady[-1] - steady[0] if len(steady) > 1 else 0.0
    gaps = sorted(b - a for a, b in zip(steady[:-1], steady[1:], strict=True))

    def row(value: float, unit: str, goal: str) -> dict[str, Any]:
        return {"value": round(value, 1), "unit": unit, "goal": goal}

    return {
        "first frame after the answer": row(1000 * first, "ms", "≤ 300"),
        "frames received": row((len(steady) - 1) / span if span else 0.0, "/s", f"{FPS}.0 ± 0.2"),
        "freezes": row(freezes(steady), "", "0"),
        "99 % of gaps below": row(1000 * gaps[int(0.99 * len(gaps))] if gaps else 0, "ms", "–"),
        **{
            f"server: {name}": row(float(stats[name]), "", "–")
            for name in STATS
            if isinstance(stats.get(name), (int, float))
        },
    }


async def _receive(track: MediaStreamTrack, times: list[float]) -> None:
    with contextlib.suppress(MediaStreamError):  # the other side ended it
        while True:
            await track.recv()
            times.append(time.monotonic())


async def _listen(url: str, session: dict[str, Any], stats: dict[str, Any]) -> None:
    """Keep the latest ``stats`` event."""
    address = urljoin(url.replace("http", "ws", 1), session["control"])
    with contextlib.suppress(OSError, WebSocketException):  # stats are then simply missing
        async with connect(f"{address}?token={session['token']}") as socket:
            async for message in socket:
                event = json.loads(message) if isinstance(message, str) else {}
                if event.get("type") == "stats":
                    stats.update(event)


# --- the command -----------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("url", help="of a running server, as http://127.0.0.1:8000")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--out", type=Path, help="a run's folder: its report then shows this too")


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Watch, and print a table.

    Raises:
        SaccadeError: There is nothing to watch.
    """
    if not 1 <= options.seconds <= 3600:
        raise InvalidInput("Watch for 1 to 3600 seconds.")
    found = asyncio.run(watch(options.url, options.seconds, progress))
    rows = [[name, f"{f['value']:g} {f['unit']}".strip(), f["goal"]] for name, f in found.items()]
    print("\n" + table(["live", "", "goal"], rows))
    if options.out is not None:
        write_json(options.out / "live.json", found)
