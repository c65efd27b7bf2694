"""A client in Python: a session, its events, its pictures and its sound.

A lost connection is mended, and the iterators go on; a session that went with its server is begun
anew. It needs little of the server::

    async with await connect("http://127.0.0.1:8080", label="social_engagement") as avatar:
        said = await avatar.say("Good morning.")
        async for event in avatar.events():
            if event["cause"] == said and event.get("phase") == "ended":
                break

``python -m stream.client URL "Good morning."`` prints the events and saves what came as MP4.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Final

import httpx
from aiortc import RTCPeerConnection

from core import SAMPLE_RATE, AudioChunk, VideoFrame
from stream.client_link import TIMEOUT, Link
from stream.client_media import OnReceiver, pictures, sounds

PATIENCE: Final = 30.0
"Seconds for which a lost connection is mended."


async def connect(
    url: str,
    *,
    wait: float = 60.0,
    patience: float = PATIENCE,
    join: tuple[str, str] | None = None,
    media: bool = True,
    on_receiver: OnReceiver | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
    **wanted: Any,
) -> Avatar:
    """A connected avatar; ``async with`` closes it.

    Args:
        url: Of the server.
        wait: Seconds to wait in line when it is full; the ticket is sent by itself.
        patience: Seconds for which a lost connection is mended before all ends; 0 for never.
        join: Id and token of a session that lives; it is left at the end, not ended.
        media: False for events and commands alone.
        on_receiver: Is given each of aiortc's receivers in place of `Avatar.video` and
            `Avatar.sound`; it has to read their tracks.
        transport: How HTTP is spoken, when not as httpx does.
        wanted: What a new session is like: ``portrait``, ``label``, ``instruction``, ``eyes``,
            ``seed`` (docs/api.md).

    Raises:
        Busy: No place came free in time; ``facts`` has ``position`` and ``eta_s``.
        Unavailable: No server answers, or no connection comes about.
        NotFound, NotAllowed, InvalidInput: As the server says.
    """
    http = httpx.AsyncClient(base_url=url, timeout=TIMEOUT, transport=transport)
    link = Link(
        http, wanted if join is None else None, media, on_receiver=on_receiver, patience=patience
    )
    try:
        if join is None:
            await link.begin(wait)
        else:
            link.join(*join)
        await link.open()
    except BaseException:
        await link.close()
        raise
    return Avatar(link)


class Avatar:
    """One session. Made by `connect`."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._count = 0

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
    def session(self) -> dict[str, Any]:
        """What ``POST /v1/sessions`` answered; another one after a session was begun anew."""
        return self._link.session

    @property
    def turn(self) -> int:
        """Counts interruptions, anybody's, as far as they are known here."""
        return self._link.turn

    @property
    def http(self) -> httpx.AsyncClient:
        """The server, for routes that have no command here."""
        return self._link.http

    @property
    def auth(self) -> dict[str, str]:
        """The header that opens the session's routes."""
        return self._link.auth

    @property
    def peer(self) -> RTCPeerConnection | None:
        """aiortc's connection of the moment."""
        return self._link.peer

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
        await self._link.audio(pcm)

    async def audio_end(self) -> str:
        """Nothing follows the streamed speech."""
        return await self.send("audio_end")

    async def send(self, type: str, **fields: Any) -> str:
        """Any command of docs/api.md. One that meets a lost connection waits until it is mended."""
        self._count += 1
        id = f"c{self._count}"
        await self._link.ask({"id": id, "type": type, **fields})
        return id

    # --- what comes back: each item is given out once, the iterators end with the session ---------

    def events(self) -> AsyncIterator[dict[str, Any]]:
        """The server's events since the beginning, as docs/api.md has them."""
        return self._link.events.items()

    def video(self) -> AsyncIterator[VideoFrame]:
        """Pictures; ``pts`` and ``seconds`` are the session's time, as those of `sound` and of
        events are. What is presented together has the same."""
        return pictures(self._link.frames["video"])

    def sound(self) -> AsyncIterator[AudioChunk]:
        """Sound, mono at 16 kHz. What follows a gap has its own time."""
        return sounds(self._link.frames["audio"])

    async def close(self) -> None:
        """Leave, and end the session if it is ours; its place is free then. Idempotent."""
        await self._link.close()


if __name__ == "__main__":
    from stream.client_command import main  # needs more of the server than a client does

    main()
