"""A client in Python: a session, its events, its pictures and its sound.

It needs nothing of the server but `core`::

    async with await connect("http://127.0.0.1:8080", label="social_engagement") as avatar:
        said = await avatar.say("Good morning.")
        async for event in avatar.events():
            if event["cause"] == said and event.get("phase") == "ended":
                break

``python -m stream.client URL "Good morning."`` prints the events and saves what came as MP4.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Any, Final

import av
import httpx
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, WebSocketException

from core import (
    SAMPLE_RATE,
    VIDEO_CLOCK,
    AudioChunk,
    Busy,
    NotAllowed,
    NotFound,
    Unavailable,
    VideoFrame,
)
from stream.client_http import create_session, error_of, ice_servers, request
from stream.client_inbox import Inbox

TIMEOUT: Final = 15.0
"Seconds for anything to be answered."
EVENTS: Final = 1000
PICTURES: Final = 50
SOUNDS: Final = 100
"What waits to be taken, at most (2 s of pictures and sound); the oldest are dropped."
REFUSALS: Final = {4401: NotAllowed, 4404: NotFound, 1013: Busy}
"What the close codes of the control socket mean."

OnReceiver = Callable[[RTCRtpReceiver], None]


async def connect(
    url: str,
    *,
    wait: float = 60.0,
    join: tuple[str, str] | None = None,
    media: bool = True,
    on_receiver: OnReceiver | None = None,
    **wanted: Any,
) -> Avatar:
    """A connected avatar; ``async with`` closes it.

    Args:
        url: Of the server.
        wait: Seconds to wait in line when it is full; the ticket is sent by itself.
        join: Id and token of a session that lives; it is left at the end, not ended.
        media: False for events and commands alone.
        on_receiver: Is given each of aiortc's receivers in place of `Avatar.video` and
            `Avatar.sound`; it has to read their tracks.
        wanted: What a new session is like: ``portrait``, ``label``, ``instruction``, ``eyes``,
            ``seed`` (docs/api.md).

    Raises:
        Busy: No place came free in time; ``facts`` has ``position`` and ``eta_s``.
        Unavailable: No server answers, or no connection comes about.
        NotFound, NotAllowed, InvalidInput: As the server says.
    """
    avatar = Avatar(url, ends=join is None)
    try:
        if join is None:
            avatar.session = await create_session(avatar.http, wanted, wait)
        else:
            base = f"/v1/sessions/{join[0]}"
            avatar.session = {
                "id": join[0], "token": join[1],
                "whep": f"{base}/whep", "control": f"{base}/control",
            }  # fmt: skip
        async with asyncio.timeout(TIMEOUT):
            await avatar._open_control()
            if media:
                await avatar._watch(on_receiver)
    except TimeoutError:
        await avatar.close()
        raise Unavailable(
            "The server answers, but no connection comes about: is UDP blocked on the way?"
        ) from None
    except BaseException:
        await avatar.close()
        raise
    return avatar


class Avatar:
    """One session. Made by `connect`."""

    def __init__(self, url: str, *, ends: bool) -> None:
        self.http = httpx.AsyncClient(base_url=url, timeout=TIMEOUT)
        self.session: dict[str, Any] = {}
        "What ``POST /v1/sessions`` answered."
        self.turn = 0
        "Counts interruptions, anybody's, as far as they are known here."
        self.peer: RTCPeerConnection | None = None
        self._ends = ends
        self._socket: ClientConnection | None = None
        self._events: Inbox[dict[str, Any]] = Inbox(EVENTS)
        self._media = {"video": Inbox[Any](PICTURES), "audio": Inbox[Any](SOUNDS)}
        self._waiting: dict[str, asyncio.Future[None]] = {}
        self._count = 0
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Avatar:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    @property
    def auth(self) -> dict[str, str]:
        """The header that opens the session's routes."""
        return {"Authorization": f"Bearer {self.session['token']}"}

    # --- commands: return, once accepted, the id that the events they cause carry as ``cause`` ---

    async def say(self, text: str, *, turn: int | None = None) -> str:
        """Speak a text; texts queue. Raises SaccadeError, as all commands; Conflict when it was
        meant for a `turn` that is over."""
        return await self.send("say", text=text, turn=turn)

    async def behave(self, **fields: Any) -> str:
        """Change what the eyes mean: ``label``, ``instruction``, ``eyes``."""
        return await self.send("behave", **fields)

    async def attend(self, state: str) -> str:
        """What the conversation is at: ``idle``, ``listening``, ``thinking``."""
        return await self.send("state", state=state)

    async def interrupt(self) -> str:
        """Stop speaking."""
        return await self.send("interrupt")

    async def audio_start(
        self, rate: int = SAMPLE_RATE, channels: int = 1, *, live: bool = False,
        turn: int | None = None,
    ) -> str:  # fmt: skip
        """What `audio` sends from now on. With a `turn`, none of it is spoken in another one."""
        return await self.send("audio_start", rate=rate, channels=channels, live=live, turn=turn)

    async def audio(self, pcm: bytes) -> None:
        """Speech as it is made: PCM16 mono, 16 kHz unless an ``audio_start`` was sent."""
        try:
            await self._control.send(pcm)
        except WebSocketException as error:
            raise Unavailable(f"The control socket is closed: {error}.") from None

    async def audio_end(self) -> str:
        """Nothing follows the streamed speech."""
        return await self.send("audio_end")

    async def send(self, type: str, **fields: Any) -> str:
        """Any command of docs/api.md."""
        self._count += 1
        id = f"c{self._count}"
        answered = self._waiting[id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._control.send(json.dumps({"id": id, "type": type, **fields}))
                await answered
        except TimeoutError:
            raise Unavailable(f"The server did not answer to {type!r} in time.") from None
        except WebSocketException as error:
            raise Unavailable(f"The control socket is closed: {error}.") from None
        finally:
            del self._waiting[id]
        return id

    # --- what comes back: each item is given out once, the iterators end with the session ---------

    def events(self) -> AsyncIterator[dict[str, Any]]:
        """The server's events since the beginning, as docs/api.md has them."""
        return self._events.items()

    async def video(self) -> AsyncIterator[VideoFrame]:
        """Pictures. Their ``pts`` count from the first one, as those of `sound`: both tracks
        begin with the same moment of the session."""
        async for frame in self._media["video"].items():
            pixels = frame.to_ndarray(format="rgb24")
            yield VideoFrame(pixels, frame.pts * SAMPLE_RATE // VIDEO_CLOCK)

    async def sound(self) -> AsyncIterator[AudioChunk]:
        """Sound, mono at 16 kHz."""
        resampler, due, at = av.AudioResampler("flt", "mono", SAMPLE_RATE), -1, 0
        async for frame in self._media["audio"].items():
            if frame.pts != due:  # the first one, or after a gap
                resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
                at = max(at, frame.pts * SAMPLE_RATE // frame.sample_rate)
            due = frame.pts + frame.samples
            frame.pts = None
            for part in resampler.resample(frame):
                yield AudioChunk(part.to_ndarray()[0].astype(np.float32), at)
                at += part.samples

    async def close(self) -> None:
        """Leave, and end the session if it is ours; its place is free then. Idempotent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._lost()
        if self._socket is not None:
            await self._socket.close()
        if self.peer is not None:
            await self.peer.close()
        if self.session and self._ends and not self.http.is_closed:
            with contextlib.suppress(httpx.HTTPError):
                await self.http.delete(f"/v1/sessions/{self.session['id']}", headers=self.auth)
        await self.http.aclose()

    # --- inside ------------------------------------------------------------------------------

    @property
    def _control(self) -> ClientConnection:
        if self._socket is None:
            raise Unavailable("The avatar is not connected.")
        return self._socket

    async def _open_control(self) -> None:
        where = self.http.base_url.join(self.session["control"])
        scheme = "wss" if where.scheme == "https" else "ws"
        try:
            self._socket = socket = await open_socket(
                str(where.copy_with(scheme=scheme)), additional_headers=self.auth
            )
            hello = json.loads(await socket.recv())  # we may in
            self.turn = hello["session"]["turn"]
            self._events.put(hello)
        except ConnectionClosed as closed:
            kind = REFUSALS.get(closed.rcvd.code if closed.rcvd else 0, Unavailable)
            reason = closed.rcvd.reason if closed.rcvd else "The control socket was lost."
            raise kind(reason) from None
        except (OSError, WebSocketException) as error:
            raise Unavailable(f"The control socket can not be opened: {error}.") from None
        self._tasks.append(asyncio.create_task(self._read(socket), name="avatar events"))

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for text in socket:
                event = json.loads(text)
                self._settle(event)
                self._events.put(event)
        except WebSocketException:
            pass  # those who wait for something are told
        finally:
            self._lost()

    def _settle(self, event: dict[str, Any]) -> None:
        if event["type"] == "interrupted":
            self.turn = event["turn"]
        answered = self._waiting.get(event.get("cause") or "")
        if answered is None or answered.done():
            return
        if event["type"] == "ok":
            answered.set_result(None)
        elif event["type"] == "error":
            answered.set_exception(error_of(event))

    def _lost(self) -> None:
        self._events.end()
        for inbox in self._media.values():
            inbox.end()
        for answered in self._waiting.values():
            if not answered.done():
                answered.set_exception(Unavailable("The session ended, or its socket was lost."))

    async def _watch(self, on_receiver: OnReceiver | None) -> None:
        whep = self.session["whep"]
        told = await request(self.http, "OPTIONS", whep, headers=self.auth)
        servers = ice_servers(told.headers.get("link", ""))
        self.peer = peer = RTCPeerConnection(RTCConfiguration(servers or None))
        connected: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        @peer.on("track")
        def on_track(track: MediaStreamTrack) -> None:
            if on_receiver is None:
                pump = self._pump(track, self._media[track.kind])
                self._tasks.append(asyncio.create_task(pump, name=f"avatar {track.kind}"))
            else:
                lines = peer.getTransceivers()
                on_receiver(next(t.receiver for t in lines if t.receiver.track is track))

        @peer.on("connectionstatechange")
        def on_change() -> None:
            if peer.connectionState in ("connected", "failed") and not connected.done():
                connected.set_result(peer.connectionState == "connected")

        for kind in ("video", "audio"):
            peer.addTransceiver(kind, direction="recvonly")
        await peer.setLocalDescription(await peer.createOffer())
        headers = self.auth | {"Content-Type": "application/sdp"}
        sdp = peer.localDescription.sdp
        answer = await request(self.http, "POST", whep, headers=headers, content=sdp)
        await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        if not await connected:
            raise Unavailable("The media connection failed: is UDP blocked on the way?")

    @staticmethod
    async def _pump(track: MediaStreamTrack, inbox: Inbox[Any]) -> None:
        """Take what comes at once: aiortc's own queues have no bound."""
        try:
            while True:
                inbox.put(await track.recv())
        except MediaStreamError:
            inbox.end()


if __name__ == "__main__":
    from stream.client_command import main  # needs more of the server than a client does

    main()
