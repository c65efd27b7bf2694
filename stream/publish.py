"""Publications: a session sent to other servers (SFUs) by WHIP, and kept there.

A publication is one more viewer, of which we are the offering side. When the connection is lost or
the server is in trouble it is offered anew, after a while that doubles each time and is never twice
the same; when the server says no it is over. The session lives on either way.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Final, Literal

import httpx
from aiortc import (
    RTCBundlePolicy,
    RTCConfiguration,
    RTCIceCandidate,
    RTCIceTransport,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)

from core import Busy
from runtime.session import Session
from stream import aiortc_ways
from stream.broadcast import Broadcast, Broadcasts
from stream.gather import ask_later, gather_by, late_candidates
from stream.ice import ice_servers
from stream.pacer import Pacer
from stream.peer import CLOSE_TIMEOUT, REFUSALS
from stream.sender import MediaSender
from stream.settings import StreamSettings
from stream.whip import Answer, Refused, Trouble, Whip, shown

log = logging.getLogger(__name__)

FIRST_DELAY: Final = 1.0
"Seconds before the second attempt, at most; each later one waits up to twice as long."
MOST_DELAY: Final = 30.0
SETTLED: Final = 10.0
"Seconds of being live after which a loss is a new one."
GIVE_UP: Final = 300.0
"Seconds without being live after which nobody waits any longer."
Codec = Literal["h264", "vp8"]


class State(StrEnum):
    """What a publication is at."""

    CONNECTING = "connecting"
    LIVE = "live"
    RETRYING = "retrying"
    FAILED = "failed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class PublicationInfo:
    """A publication, as the API tells it."""

    id: str
    url: str
    "Where to, without path and query: they may hold keys."
    state: str
    reason: str
    "What went wrong last; empty while nothing did."
    reconnects: int
    "Times it went live again."


def attach(
    pc: RTCPeerConnection,
    session: Session,
    broadcast: Broadcast,
    *,
    codec: Codec | None,
    settings: StreamSettings,
) -> None:
    """Put the session's sound and pictures on a connection that has no transceivers yet."""
    pacer = Pacer(lambda: session.epoch, wall=time.time(), now=time.monotonic())
    kinds: tuple[tuple[Literal["audio", "video"], str | None], ...] = (
        ("video", codec),
        ("audio", "opus"),
    )
    for kind, wanted in kinds:
        line = pc.addTransceiver(kind, direction="sendonly")
        if wanted is not None:
            known = RTCRtpSender.getCapabilities(kind).codecs
            names = {f"{kind}/{wanted}", f"{kind}/rtx"}
            line.setCodecPreferences([c for c in known if c.mimeType.lower() in names])
        sender = MediaSender(
            kind, line.sender.transport, broadcast=broadcast, pacer=pacer, settings=settings
        )
        aiortc_ways.replace_sender(line, sender)


def delay(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row; ``chance`` in [0, 1) spreads the load."""
    most = min(MOST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, 30))
    return most * (1 + chance) / 2


class Publication:
    """One session at one endpoint."""

    def __init__(
        self,
        session: Session,
        url: httpx.URL,
        token: str,
        codec: Codec | None,
        *,
        whip: Whip,
        broadcasts: Broadcasts,
        settings: StreamSettings,
    ) -> None:
        """Nothing is sent before `run`."""
        self.id = secrets.token_hex(8)
        self.session = session
        self.info = PublicationInfo(self.id, shown(url), State.CONNECTING, "", 0)
        self._url, self._token, self._codec = url, token, codec
        self._whip, self._broadcasts, self._settings = whip, broadcasts, settings
        self._owed: httpx.URL | None = None  # a resource that the server may still hold
        self._live_since: float | None = None

    async def run(self) -> None:
        """Publish until cancelled. Returns when the server said no or was away for too long."""
        failures = 0
        seen = time.monotonic()  # when it was live last
        try:
            while True:
                self._live_since = None
                try:
                    await self._once()
                except Trouble as error:
                    trouble = error
                now = time.monotonic()
                since, seen = self._live_since, now if self._live_since else seen
                failures = 1 if since and now - since > SETTLED else failures + 1
                wait = max(delay(failures, random.random()), trouble.facts.get("retry_after", 0))
                if now + wait - seen > GIVE_UP:
                    raise Refused(f"{trouble.message} It was tried for long enough.")
                self.tell(State.RETRYING, trouble.message)
                await asyncio.sleep(wait)
        except Refused as refused:
            self.tell(State.FAILED, refused.message)
        finally:
            if self._owed is not None:
                await self._pay()

    async def _once(self) -> None:
        """From the offer to the loss of the connection. Raises Trouble, Refused; never returns."""
        if self._owed is not None:
            await self._pay()
        servers = ice_servers(self._settings)
        pc = RTCPeerConnection(RTCConfiguration(servers, bundlePolicy=RTCBundlePolicy.MAX_BUNDLE))
        changed = asyncio.Event()
        pc.on("connectionstatechange", changed.set)
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._close, pc)
            broadcast = await stack.enter_async_context(self._broadcasts.watch(self.session))
            attach(pc, self.session, broadcast, codec=self._codec, settings=self._settings)
            transport = pc.getTransceivers()[0].sender.transport.transport
            await self._gather(pc, transport)
            answer = await self._whip.offer(self._url, pc.localDescription.sdp, self._token)
            self._owed = answer.resource
            late = await self._gather_more(transport, answer)
            try:
                await pc.setRemoteDescription(RTCSessionDescription(answer.sdp, "answer"))
            except REFUSALS as error:
                reason = str(error) or type(error).__name__
                raise Refused(f"The server's answer can not be used: {reason}.") from None
            if late:
                fragment = late_candidates(transport, late)
                await self._whip.trickle(answer, fragment, self._token)
            try:
                async with asyncio.timeout(self._settings.connect_timeout):
                    await _until(pc, changed, {"connected", "failed", "closed"})
            except TimeoutError:
                raise Trouble("The server answers, but no media connection comes about.") from None
            if pc.connectionState == "connected":
                self._live_since = time.monotonic()
                self.tell(State.LIVE, "")
                await _until(pc, changed, {"failed", "closed"})
                raise Trouble("The connection was lost.")
            raise Trouble("The media connection failed.")

    async def _gather(self, pc: RTCPeerConnection, transport: RTCIceTransport) -> None:
        """Set the offer, with what this machine and the operator's servers know. Raises Trouble."""
        # Whoever is published to answers to where we call from; no viewer has to find this machine.
        settings = replace(self._settings, advertised_hosts=())
        gather_by(settings, transport._connection)
        try:
            await pc.setLocalDescription(await pc.createOffer())
        except Busy as error:
            raise Trouble(error.message) from None

    async def _gather_more(
        self, transport: RTCIceTransport, answer: Answer
    ) -> list[RTCIceCandidate]:
        """What the servers say that came with the answer, before the connection begins."""
        if not set(answer.ice_servers) - set(self._settings.ice_servers):
            return []
        servers = ice_servers(replace(self._settings, ice_servers=answer.ice_servers))
        return await ask_later(transport, servers, self._settings.gather_timeout)

    async def _close(self, pc: RTCPeerConnection) -> None:
        """Say goodbye on both ways, each in bounded time."""
        if self._owed is not None:
            await self._pay()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await pc.close()
        except TimeoutError:
            log.error("peer connection does not close", extra={"session": self.session.id})

    async def _pay(self) -> None:
        """Delete what the server may still hold for us."""
        assert self._owed is not None
        if await self._whip.delete(self._owed, self._token):
            self._owed = None

    def tell(self, state: State, reason: str) -> None:
        """Change the state, and tell the session's listeners."""
        before = self.info
        again = state is State.LIVE and before.state == State.RETRYING
        self.info = replace(
            before, state=state, reason=reason, reconnects=before.reconnects + again
        )
        if self.info == before:
            return
        self.session.tell("publication", asdict(self.info))
        level = logging.INFO if state in (State.LIVE, State.ENDED) else logging.WARNING
        extra = {"session": self.session.id, "publication": self.id, "reason": reason}
        log.log(level, "publication %s", state, extra=extra)


async def _until(pc: RTCPeerConnection, changed: asyncio.Event, states: set[str]) -> None:
    while pc.connectionState not in states:
        changed.clear()
        await changed.wait()
