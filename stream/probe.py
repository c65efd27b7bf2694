"""Measure a stream at a real receiver: ``python -m stream.probe URL [--seconds N]``.

The server has to burn marks in: start it with ``SACCADE_STREAM__PROBE=true``. Opens a session of
its own, watches it over WHEP with aiortc, and prints offset and drift between sound and picture,
latency and lost frames. Latency compares this machine's clock with the server's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from aiortc import MediaStreamTrack, RTCRtpReceiver
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import AnyRtcpPacket, RtcpSrPacket

from core import SaccadeError, Unavailable
from stream.aiortc_ways import rtp_origin
from stream.client import connect
from stream.probe_reader import BeepFinder, Found, SenderClock, Tally, read_number

DEADLINE: Final = 15.0
"Seconds for the first picture."


async def probe(url: str, seconds: float) -> Found:
    """Watch a new session of the server at ``url`` for so long.

    Raises:
        Busy: It has no place.
        Unavailable: No server answers, no picture comes, or no marks are burnt in.
        InvalidInput, NotFound: What answers is no Saccade server.
    """
    tally = Tally()
    tasks: list[asyncio.Task[None]] = []

    def read(receiver: RTCRtpReceiver) -> None:
        track = receiver.track
        follow_reports(receiver, tally.picture if track.kind == "video" else tally.sound)
        reader = _see if track.kind == "video" else _hear
        tasks.append(asyncio.create_task(reader(track, receiver, tally)))

    async with await connect(url, wait=0, patience=0, on_receiver=read):
        try:
            began = time.monotonic()
            while time.monotonic() - began < seconds:
                await asyncio.sleep(0.2)
                if time.monotonic() - began > DEADLINE and not tally.frames:
                    raise Unavailable("No picture came: is UDP blocked on the way?")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    found = tally.found()
    if found is None:
        hint = "Start the server with SACCADE_STREAM__PROBE=true, and watch for some seconds."
        raise Unavailable(f"No marks were found in {tally.frames} pictures and their sound. {hint}")
    return found


def follow_reports(receiver: RTCRtpReceiver, clock: SenderClock) -> None:
    """Tell ``clock`` of the sender reports that ``receiver`` gets; aiortc keeps half of each."""
    handle = receiver._handle_rtcp_packet

    async def noted(packet: AnyRtcpPacket) -> None:
        if isinstance(packet, RtcpSrPacket):
            clock.report(packet.sender_info.ntp_timestamp, packet.sender_info.rtp_timestamp)
        await handle(packet)

    receiver._handle_rtcp_packet = noted  # type: ignore[method-assign]


async def _see(track: MediaStreamTrack, receiver: RTCRtpReceiver, tally: Tally) -> None:
    with contextlib.suppress(MediaStreamError):
        while True:
            frame: Any = await track.recv()
            now = time.time()
            plane = frame.planes[0]  # of YUV 4:2:0: the luma
            luma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, : plane.width]
            tally.saw(read_number(luma[: plane.height]), frame.pts + rtp_origin(receiver), now)


async def _hear(track: MediaStreamTrack, receiver: RTCRtpReceiver, tally: Tally) -> None:
    finder = BeepFinder()
    with contextlib.suppress(MediaStreamError):
        while True:
            frame: Any = await track.recv()
            both = frame.to_ndarray().reshape(-1, len(frame.layout.channels))
            samples = both.mean(axis=1) / 32768
            for beep in finder.push(samples, frame.pts):
                tally.heard(beep + rtp_origin(receiver))


def told(found: Found) -> str:
    """For people."""
    f = found
    return "\n".join(
        (
            f"watched          {f.seconds:.0f} s, {f.frames} frames, {f.beeps} beeps",
            f"A/V offset       median {f.offset_median:+.1f} ms, |p95| {f.offset_p95:.1f} ms"
            " (+: sound is late)",
            f"drift            {f.drift_per_hour:+.1f} ± {f.drift_error:.1f} ms/h"
            f" ({f.outliers} beeps far off the line)",
            f"latency          median {f.latency_median:.0f} ms, p95 {f.latency_p95:.0f} ms",
            f"lost frames      {f.lost} ({f.unreadable} more were unreadable)",
        )
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m stream.probe", description=__doc__)
    parser.add_argument("url", help="of a running server, as http://127.0.0.1:8080")
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path, help="write the numbers there, too")
    given = parser.parse_args(arguments)
    if not 5 <= given.seconds <= 86_400:
        parser.error("--seconds: watch for 5 to 86400 seconds")
    try:
        found = asyncio.run(probe(given.url, given.seconds))
    except SaccadeError as error:
        raise SystemExit(f"probe: {error}") from None
    print(told(found))
    if given.json is not None:
        given.json.write_text(json.dumps(asdict(found), indent=2) + "\n")


if __name__ == "__main__":
    main()
