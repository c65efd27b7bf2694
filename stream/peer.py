"""One RTCPeerConnection, from offer to closed. Owns its senders and tasks."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceCandidate,
    RTCIceTransport,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamError

from core import Busy, Conflict, InvalidInput
from runtime.session import Session
from stream import aiortc_ways
from stream.broadcast import Broadcast, Broadcasts
from stream.ice import ice_servers
from stream.ingest import Floor, RtpAudio
from stream.media_clock import with_clocks
from stream.offer import MAX_CANDIDATES, Offer, hidden, reachable
from stream.pacer import Pacer
from stream.restart import IcePath
from stream.sdpfrag import Fragment, credentials, write_fragment
from stream.sender import MediaSender
from stream.settings import StreamSettings

log = logging.getLogger(__name__)
T = TypeVar("T")

CLOSE_TIMEOUT: Final = 5.0
"Seconds for saying goodbye; a connection that can not be closed by then is left behind."
REFUSALS: Final = (
    ValueError, IndexError, KeyError, TypeError, AttributeError, AssertionError, StopIteration,
    InternalError, InvalidAccessError, InvalidStateError, OperationError,
)  # fmt: skip
"What aiortc raises on descriptions it can not use."
DIRECTIONS: Final = {
    (True, True): "sendrecv",
    (True, False): "sendonly",
    (False, True): "recvonly",
    (False, False): "inactive",
}
"(we send, we receive) → the direction of a media section."


class Peer:
    """One viewer of a session."""

    def __init__(
        self,
        session: Session,
        settings: StreamSettings,
        *,
        broadcasts: Broadcasts,
        floor: Floor,
        closed: Callable[[Peer], None],
    ) -> None:
        """Nothing is opened before `answer`.

        Args:
            session: What it watches.
            settings: Limits.
            broadcasts: Encode what it watches, together with its other viewers.
            floor: Decides whose microphone speaks.
            closed: Called once, when everything this peer owned is gone.
        """
        self.id = secrets.token_urlsafe(18)
        self.etag = new_etag()
        self.session = session
        self.ufrag = ""
        self.connected = False
        "It was, at least once."
        self._settings = settings
        self._broadcasts = broadcasts
        self._floor = floor
        self._closed = closed
        self._began = time.monotonic()
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=ice_servers(settings)))
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[None]] = set()
        self._deadline: asyncio.TimerHandle | None = None
        self._closing: asyncio.Task[None] | None = None
        self._hides = False
        self._senders: dict[str, MediaSender] = {}
        self._candidates = 0
        "Told since the last restart."
        self._paths: list[IcePath] = []
        "One when media sections are bundled, as browsers do."
        self._pc.on("connectionstatechange", self._changed)
        self._pc.on("track", self._on_track)

    async def answer(self, offer: Offer) -> str:
        """Take the offer, start everything, give the answer (SDP).

        Raises:
            InvalidInput: The offer can not be used. The peer is closed then.
        """
        self.ufrag, self._hides = offer.ufrag, offer.hides
        pc = self._pc
        try:
            await self._step(pc.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer")))
            self._paths = [IcePath(transport, self._settings) for transport in self._transports()]
            await self._attach(offer)
            await self._step(pc.setLocalDescription(await self._step(pc.createAnswer())))
        except BaseException:
            await self.close()
            raise
        origins = {kind: sender.origin for kind, sender in self._senders.items()}
        return with_clocks(str(pc.localDescription.sdp), origins)

    async def _step(self, step: Awaitable[T]) -> T:
        """One step of aiortc's negotiation. Raises InvalidInput for what it can not use."""
        try:
            return await step
        except REFUSALS as error:
            log.debug("offer refused", exc_info=error, extra={"session": self.session.id})
            reason = str(error) or type(error).__name__
            raise InvalidInput(f"The SDP offer can not be used: {reason}.") from None

    async def _attach(self, offer: Offer) -> None:
        """Send what the offer asks for, and take no pictures: nobody would look at them."""
        session, now = self.session, time.monotonic()
        broadcast = await self._stack.enter_async_context(self._broadcasts.watch(session))
        pacer = Pacer(lambda: session.epoch, wall=time.time(), now=now)
        wanted = set(offer.kinds)
        for line in self._pc.getTransceivers():
            # aiortc keeps the offered direction as seen from here: we send where they receive.
            sends = line.kind in wanted and line._offerDirection in ("sendonly", "sendrecv")
            line.direction = DIRECTIONS[sends, line.kind == "audio"]
            if sends:
                wanted.remove(line.kind)
                sender = MediaSender(
                    "video" if line.kind == "video" else "audio",
                    line.sender.transport,
                    broadcast=broadcast,
                    pacer=pacer,
                    settings=self._settings,
                )
                if line.kind == "video":
                    sender.first_left = self._first_picture
                self._senders[line.kind] = sender
                aiortc_ways.replace_sender(line, sender)
        self._spawn(self._watch(broadcast), "watch")
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(self._settings.connect_timeout, self._never_connected)

    def _first_picture(self) -> None:
        took = time.monotonic() - self._began
        self.session.stats.first_picture.observe(took)
        log.info("first picture", extra={"session": self.session.id, "ms": round(took * 1000)})

    @property
    def lip_gap(self) -> float | None:
        """Seconds that sound leaves later than the picture of its moment; None before both did.

        Sender reports take it out again at receivers that align by them, as browsers do: it is what
        they have to wait for.
        """
        sound, picture = self._senders.get("audio"), self._senders.get("video")
        if sound is None or picture is None or sound.left is None or picture.left is None:
            return None
        heard, seen = sound.left, picture.left
        return (heard[1] - heard[0]) - (seen[1] - seen[0])

    async def add_candidate(self, candidate: RTCIceCandidate | None) -> None:
        """A trickled candidate; None says that there are no more. Late ones change nothing.

        Raises:
            InvalidInput: There were too many: each is tried with each of ours, and kept.
        """
        self._candidates += candidate is not None
        if self._candidates > MAX_CANDIDATES:
            raise InvalidInput(f"A viewer has at most {MAX_CANDIDATES} candidates; restart ICE.")
        if candidate is None:
            if self._hides:
                return
        elif not reachable(candidate):
            self._hides |= hidden(candidate)
            return
        if self._paths[0].restarted:
            await self._paths[0].add_candidate(candidate)
        else:
            await self._pc.addIceCandidate(candidate)

    async def restart(self, fragment: Fragment) -> str:
        """Restart ICE with a fragment's credentials and candidates.

        Returns:
            The fragment to answer with; `etag` and `ufrag` are new then.

        Raises:
            InvalidInput: It has no usable credentials, or the viewer's sections are not bundled.
            Conflict: It is not connected (yet, or any more).
            Busy: No UDP port is free. The connection stays as it was.
        """
        ufrag, password = credentials(fragment)
        if len(self._paths) != 1:
            raise InvalidInput("ICE can restart where media are bundled; POST a new offer instead.")
        path = self._paths[0]
        if self._closing is not None or not path.connected:
            raise Conflict("There is no connection to restart; POST a new offer instead.")
        local, secret, told = await path.restart(ufrag, password)
        self.ufrag, self._hides, self._candidates = ufrag, False, 0
        self.etag = new_etag()
        log.info("viewer restarts ICE", extra={"session": self.session.id})
        return write_fragment(local, secret, told, media=fragment.media)

    def _transports(self) -> list[RTCIceTransport]:
        """Those that the description left, each once."""
        lines = [line.receiver.transport for line in self._pc.getTransceivers()]
        data = [self._pc.sctp.transport] if self._pc.sctp else []
        return list(dict.fromkeys(dtls.transport for dtls in lines + data))

    async def close(self) -> None:
        """Free everything. Closing twice is fine; a caller that is cancelled does not stop it."""
        await asyncio.shield(self._close_soon())

    def _close_soon(self) -> asyncio.Task[None]:
        if self._closing is None:
            name = f"close {self.session.id}"
            self._closing = asyncio.create_task(self._close(), name=name)
        return self._closing

    async def _close(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()
        for path in self._paths:
            await path.close()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._pc.close()
        except TimeoutError:
            log.error("peer connection does not close", extra={"session": self.session.id})
        finally:
            self._closed(self)
        log.info("viewer gone", extra={"session": self.session.id})

    async def _watch(self, broadcast: Broadcast) -> None:
        """Close when the session ends."""
        await broadcast.wait_closed()
        self._close_soon()

    def _never_connected(self) -> None:
        log.warning("viewer never connected", extra={"session": self.session.id})
        self._close_soon()

    def _changed(self) -> None:
        state = self._pc.connectionState
        if state == "connected":
            self.connected = True
            if self._deadline is not None:
                self._deadline.cancel()
            ms = round((time.monotonic() - self._began) * 1000)
            log.info("viewer connected", extra={"session": self.session.id, "ms": ms})
        elif state in ("failed", "closed"):
            self._close_soon()

    def _on_track(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio":
            self._spawn(self._listen(track), "microphone")

    async def _listen(self, track: MediaStreamTrack) -> None:
        """The viewer's microphone drives the avatar, as long as no other one does."""
        sound = RtpAudio()
        try:
            while True:
                frame: Any = await track.recv()
                if self._floor.take(self.session, self):
                    self.session.push_audio(sound.push(frame), live=True)
        except (MediaStreamError, Busy):
            pass
        finally:
            if self._floor.leave(self.session, self):
                self.session.end_audio()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=f"{name} {self.session.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def new_etag() -> str:
    """Names one ICE session of a resource (RFC 9725 section 4.3.1)."""
    return f'"{secrets.token_hex(8)}"'
