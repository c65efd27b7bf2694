"""One RTCPeerConnection, from offer to closed. Owns its feed, tracks and tasks."""

from __future__ import annotations

import asyncio
import importlib
import logging
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceCandidate,
    RTCIceServer,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import InvalidAccessError, InvalidStateError
from aiortc.mediastreams import MediaStreamError

from core import Busy, InvalidInput
from runtime.session import Session
from stream.ingest import RtpAudio
from stream.pacer import Pacer
from stream.settings import StreamSettings
from stream.tracks import AudioTrack, VideoTrack

log = logging.getLogger(__name__)

CONSENT_CHECKS = 3
"Unanswered consent checks (RFC 7675) after which a network is taken for lost."


class Peer:
    """One viewer of a session."""

    def __init__(
        self, session: Session, settings: StreamSettings, closed: Callable[[Peer], None]
    ) -> None:
        """``closed`` is called once, when everything this peer owned is gone."""
        self.id = secrets.token_urlsafe(18)
        self.etag = f'"{secrets.token_hex(8)}"'
        self.session = session
        self._settings = settings
        self._closed = closed
        # aioice gives up after 30 s by its own constants; a place must not be held that long.
        ice: Any = importlib.import_module("aioice.ice")
        ice.CONSENT_FAILURES = CONSENT_CHECKS
        ice.CONSENT_INTERVAL = settings.disconnect_grace / CONSENT_CHECKS
        servers = [RTCIceServer(urls=url) for url in settings.ice_servers]
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=servers))
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connected = asyncio.Event()
        self._closing = False
        self._pc.on("connectionstatechange", self._changed)
        self._pc.on("track", self._on_track)

    async def answer(self, offer: str) -> str:
        """Take the offer, start everything, give the answer (SDP).

        Raises:
            InvalidInput: The offer can not be used. The peer is closed then.
        """
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(without_mdns(offer), "offer"))
            await self._attach()
            await self._pc.setLocalDescription(await self._pc.createAnswer())
        except (ValueError, IndexError, KeyError, AttributeError, AssertionError) as error:
            await self.close()
            raise InvalidInput(f"The SDP offer can not be used: {error}.") from None
        except (InvalidAccessError, InvalidStateError) as error:
            await self.close()
            raise InvalidInput(f"The SDP offer can not be used: {error}.") from None
        except BaseException:
            await self.close()
            raise
        self._spawn(self._watch(), "watch")
        return str(self._pc.localDescription.sdp)

    async def _attach(self) -> None:
        """Send what the offer asks for."""
        # aiortc keeps the offered direction as seen from here: "sendonly" where they only receive.
        wants = ("sendonly", "sendrecv")
        lines = {t.kind for t in self._pc.getTransceivers() if t._offerDirection in wants}
        if not lines:
            raise ValueError("it asks for neither audio nor video")
        feed = self._feed = await self._stack.enter_async_context(self.session.watch())
        pacer = Pacer()
        pacer.start(self.session.epoch)
        if "video" in lines:
            self._pc.addTrack(VideoTrack(feed, pacer))
        if "audio" in lines:
            self._pc.addTrack(AudioTrack(feed, pacer))

    async def add_candidate(self, candidate: RTCIceCandidate | None) -> None:
        """A trickled candidate; None says that there are no more."""
        await self._pc.addIceCandidate(candidate)

    async def close(self) -> None:
        """Free everything. Closing twice is fine."""
        if self._closing:
            return
        self._closing = True
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        await self._stack.aclose()
        await self._pc.close()
        self._closed(self)
        log.info("viewer gone", extra={"session": self.session.id})

    async def _watch(self) -> None:
        """Close on a connection that never comes, and when the session ends."""
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                await self._connected.wait()
            await self._feed.wait_closed()
        except TimeoutError:
            log.warning("viewer never connected", extra={"session": self.session.id})
        await self.close()

    async def _changed(self) -> None:
        state = self._pc.connectionState
        if state == "connected":
            self._feed.flush()  # what was queued while connecting is old
            self._connected.set()
            log.info("viewer connected", extra={"session": self.session.id})
        elif state in ("failed", "closed"):
            await self.close()

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self._spawn(self._listen(track), "microphone")

    async def _listen(self, track: MediaStreamTrack) -> None:
        """The viewer's microphone drives the avatar."""
        sound = RtpAudio()
        try:
            while True:
                frame: Any = await track.recv()
                self.session.push_audio(sound.push(frame), live=True)
        except (MediaStreamError, Busy):
            self.session.end_audio()

    def _spawn(self, work: Any, name: str) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work, name=f"{name} {self.session.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def without_mdns(sdp: str) -> str:
    """The offer without ``.local`` candidates.

    Resolving them waits for multicast answers that servers rarely get; browsers reach a server by
    its own candidates and become known as peer-reflexive ones (RFC 8445 section 7.3.1.3).
    """
    kept = [
        line
        for line in sdp.splitlines()
        if not (line.startswith("a=candidate:") and ".local " in line)
    ]
    return "\r\n".join(kept) + "\r\n"
