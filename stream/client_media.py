"""Pictures and sound of the Python client: one WHEP connection, from its offer to its loss.

The offer leaves with this machine's own addresses; STUN and TURN servers come with the answer, are
asked then, and what they say is trickled. Frames get the session's time as they are decoded.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import av
import httpx
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceCandidate,
    RTCIceTransport,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket

from core import (
    SAMPLE_RATE,
    VIDEO_CLOCK,
    WIRE_SAMPLE_RATE,
    AudioChunk,
    SaccadeError,
    Unavailable,
    VideoFrame,
)
from stream import aiortc_ways
from stream.client_http import ice_servers, located, request
from stream.client_inbox import Inbox
from stream.gather import ask_later, late_candidates
from stream.media_clock import read_clocks, session_pts
from stream.sdpfrag import FRAGMENT

ASK_SERVERS: Final = 2.0
"Seconds that STUN and TURN servers have to answer."
LEAVE: Final = 2.0
"Seconds for saying goodbye to a connection that is lost."
SILENT: Final = 3.0
"Seconds without any packet after which a connection is lost: the server always sends."
STUCK: Final = 0.3
"Seconds without a picture, while packets come after a gap, until a key frame is asked for."
ASK_GAP: Final = 0.5
"Seconds between two such requests: the server makes no more key frames than that."
LOOK: Final = 0.1
"Seconds between two looks at that."
RATES: Final = {"video": VIDEO_CLOCK, "audio": WIRE_SAMPLE_RATE}

OnReceiver = Callable[[RTCRtpReceiver], None]
Timed = tuple[Any, int]
"A frame of PyAV's, and its pts in the session."


class Media:
    """One connection. `lost` says why it is over."""

    def __init__(
        self,
        http: httpx.AsyncClient,
        inboxes: dict[str, Inbox[Timed]],
        near: Callable[[], int],
        on_receiver: OnReceiver | None,
    ) -> None:
        """Args:
        http: Of the server.
        inboxes: Where frames go, by kind of track.
        near: A pts of the session of the last hours.
        on_receiver: Is given aiortc's receivers; nothing is put into the inboxes then.
        """
        # No servers yet, which is not None: aiortc would ask one of its own then.
        self.peer = RTCPeerConnection(RTCConfiguration([], bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        self.lost = asyncio.Event()
        self.reason = ""
        self._http, self._inboxes, self._near = http, inboxes, near
        self._on_receiver = on_receiver
        self._resource: httpx.URL | None = None
        self._headers: dict[str, str] = {}
        self._origins: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._video: tuple[RTCRtpReceiver, int] | None = None  # and its SSRC, once a packet came
        self._packet_at = self._picture_at = self._asked_at = float("-inf")
        self._connected: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def open(self, whep: httpx.URL, headers: dict[str, str]) -> None:
        """Offer, and return when it is connected. Raises SaccadeError."""
        self._headers = headers
        peer = self.peer
        peer.on("track", self._on_track)
        peer.on("connectionstatechange", self._on_change)
        for kind in RATES:
            peer.addTransceiver(kind, direction="recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        answer = await request(
            self._http, "POST", whep, content=peer.localDescription.sdp,
            headers=headers | {"Content-Type": "application/sdp"},
        )  # fmt: skip
        where = answer.headers.get("location")
        self._resource = located(self._http, where) if where else None
        self._origins = read_clocks(answer.text)
        if self._on_receiver is None and set(self._origins) != set(RATES):
            raise Unavailable("The server's answer has no media clock; is it older than this?")
        found = await self._ask_servers(answer.headers)
        await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        if found and self._resource is not None:
            await self._trickle(self._resource, found, answer.headers.get("etag", "*"))
        await self._connected
        self._tasks.append(asyncio.create_task(self._watch(), name="avatar media"))

    async def close(self) -> None:
        """Leave; the server is told, as long as it answers. Idempotent."""
        self._lose("It was closed.")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.peer.close()
        if self._connected.done() and not self._connected.cancelled():
            self._connected.exception()  # seen, whoever waited for it
        resource, self._resource = self._resource, None
        if resource is not None:
            with contextlib.suppress(SaccadeError, TimeoutError, RuntimeError):
                async with asyncio.timeout(LEAVE):
                    await request(self._http, "DELETE", resource, headers=self._headers)

    @property
    def _transport(self) -> RTCIceTransport:
        transport: RTCIceTransport = self.peer.getTransceivers()[0].receiver.transport.transport
        return transport

    async def _ask_servers(self, told: httpx.Headers) -> list[RTCIceCandidate]:
        servers = ice_servers(told.get("link", ""))
        return await ask_later(self._transport, servers, ASK_SERVERS) if servers else []

    async def _trickle(
        self, where: httpx.URL, candidates: list[RTCIceCandidate], etag: str
    ) -> None:
        body = late_candidates(self._transport, candidates)
        headers = self._headers | {"Content-Type": FRAGMENT, "If-Match": etag}
        with contextlib.suppress(SaccadeError):  # it learns them from our checks as well
            await request(self._http, "PATCH", where, content=body, headers=headers)

    def _on_change(self) -> None:
        state = self.peer.connectionState
        if state == "connected" and not self._connected.done():
            self._connected.set_result(None)
        elif state in ("failed", "closed"):
            self._lose("The media connection was lost.")

    def _on_track(self, track: MediaStreamTrack) -> None:
        lines = self.peer.getTransceivers()
        receiver = next(line.receiver for line in lines if line.receiver.track is track)
        aiortc_ways.on_packet(receiver, lambda packet: self._came(receiver, packet))
        if self._on_receiver is not None:
            self._on_receiver(receiver)
            return
        self._tasks.append(
            asyncio.create_task(self._pump(track, receiver), name=f"avatar {track.kind}")
        )

    async def _pump(self, track: MediaStreamTrack, receiver: RTCRtpReceiver) -> None:
        """Take what comes at once: aiortc's own queues have no bound."""
        kind = track.kind
        with contextlib.suppress(MediaStreamError):
            while True:
                frame: Any = await track.recv()
                if kind == "video":
                    self._picture_at = time.monotonic()
                rtp = frame.pts + aiortc_ways.rtp_origin(receiver)
                pts = session_pts(rtp, self._origins[kind], RATES[kind], self._near())
                self._inboxes[kind].put((frame, pts))
        self._lose("The server ended the media.")

    def _came(self, receiver: RTCRtpReceiver, packet: RtpPacket) -> None:
        """A packet of either track."""
        now = self._packet_at = time.monotonic()
        seen = receiver.track.kind == "video" and self._on_receiver is None
        if not seen or aiortc_ways.is_resent(receiver, packet):
            return
        self._video = receiver, packet.ssrc
        stuck = now - self._picture_at > STUCK and aiortc_ways.starts_key_frame(receiver, packet)
        if stuck and aiortc_ways.has_gap(receiver):
            aiortc_ways.skip_to(receiver, packet.sequence_number)

    async def _watch(self) -> None:
        """Ask for a key frame when pictures stand still, and notice when nothing comes at all."""
        connected = time.monotonic()
        while True:
            await asyncio.sleep(LOOK)
            now = time.monotonic()
            if now - max(self._packet_at, connected) > SILENT:
                self._lose("Nothing came any more: the network was cut.")
                return
            due = now - max(self._picture_at, connected) > STUCK and now - self._asked_at > ASK_GAP
            # A picture that comes late because this machine is busy is no loss.
            if due and self._video is not None and aiortc_ways.has_gap(self._video[0]):
                self._asked_at = now
                await aiortc_ways.ask_key_frame(*self._video)

    def _lose(self, reason: str) -> None:
        self.reason = self.reason or reason
        self.lost.set()
        if not self._connected.done():
            self._connected.set_exception(
                Unavailable("The media connection failed: is UDP blocked on the way?")
            )


async def pictures(inbox: Inbox[Timed]) -> AsyncIterator[VideoFrame]:
    """Frames as RGB."""
    async for frame, pts in inbox.items():
        yield VideoFrame(frame.to_ndarray(format="rgb24"), pts)


async def sounds(inbox: Inbox[Timed]) -> AsyncIterator[AudioChunk]:
    """Frames as mono sound at 16 kHz. What follows a gap has its own time."""
    resampler, due, at = av.AudioResampler("flt", "mono", SAMPLE_RATE), -1, 0
    async for frame, pts in inbox.items():
        if due - SAMPLE_RATE < pts < due:  # it came already
            continue
        if pts != due:  # the first one, after a gap, or of another session
            resampler, at = av.AudioResampler("flt", "mono", SAMPLE_RATE), pts
        due = pts + frame.samples * SAMPLE_RATE // frame.sample_rate
        frame.pts = None
        for part in resampler.resample(frame):
            yield AudioChunk(part.to_ndarray()[0].astype(np.float32), at)
            at += part.samples
