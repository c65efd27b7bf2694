"""The self-test's connection: a data channel that sends back what it gets, and no session.

It uses the same ports, addresses and ICE servers as viewers do, so it tells whether media would get
through without taking anybody's place.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from types import TracebackType
from typing import Any, Final

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from core import Busy, InvalidInput, Unavailable
from stream.gather import gather_by, resolved
from stream.ice import ice_servers
from stream.offer import read_echo
from stream.peer import CLOSE_TIMEOUT, REFUSALS
from stream.settings import StreamSettings

log = logging.getLogger(__name__)

MOST: Final = 8
"Echoes at once; each has a socket an address."
LIFE: Final = 15.0
"Seconds until an echo ends, whatever becomes of it."
MAX_ECHO: Final = 64
"Characters or bytes of a message that is sent back; the page sends a number."


class Echoes:
    """Owner of all echoes. ``async with``: leaving it ends them."""

    def __init__(self, settings: StreamSettings) -> None:
        self._settings = settings
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    async def __aenter__(self) -> Echoes:
        self._settings = await resolved(self._settings)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def answer(self, offer: str) -> str:
        """A new echo's SDP answer.

        Raises:
            InvalidInput: The offer is not that of one data channel.
            Busy: Too many echoes run, or no UDP port is free.
        """
        sdp = read_echo(offer)
        if len(self._running) >= MOST:
            raise Busy("Many others test their connection right now.", retry_after=5)
        answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._echo(sdp, answered), name="echo")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await answered

    async def _echo(self, sdp: str, answered: asyncio.Future[str]) -> None:
        pc = RTCPeerConnection(RTCConfiguration(iceServers=ice_servers(self._settings)))
        over = asyncio.Event()
        pc.on("datachannel", lambda channel: channel.on("message", _echo(channel)))
        pc.on("connectionstatechange", lambda: _follow(pc, over))
        try:
            await pc.setRemoteDescription(RTCSessionDescription(sdp, "offer"))
            assert pc.sctp is not None  # the offer has a section for it
            gather_by(self._settings, pc.sctp.transport.transport._connection)
            await pc.setLocalDescription(await pc.createAnswer())
            if not answered.done():
                answered.set_result(str(pc.localDescription.sdp))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LIFE):
                    await over.wait()
        except REFUSALS as error:
            log.debug("echo refused", exc_info=error)
            _fail(answered, InvalidInput(f"The SDP offer can not be used: {error}."))
        except Busy as error:
            _fail(answered, error)
        finally:
            _fail(answered, Unavailable("The test was cut short; try again."))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await pc.close()


def _fail(answered: asyncio.Future[str], error: Exception) -> None:
    if not answered.done():
        answered.set_exception(error)


def _follow(pc: RTCPeerConnection, over: asyncio.Event) -> None:
    if pc.connectionState in ("failed", "closed"):
        over.set()


def _echo(channel: Any) -> Any:
    def send(message: str | bytes) -> None:
        if len(message) <= MAX_ECHO:
            channel.send(message)

    return send
