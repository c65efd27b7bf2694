"""A recording: a session's sound and pictures in a file of their own.

A recording is one more viewer. Two tasks of the event loop carry what leaves the session to a
bounded inbox; a thread of the recording's own encodes and writes. When the disk or the encoder is
slow pictures are dropped, counted and later held in the file; sound is not. Whatever happens to the
file ends the recording, never the session.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import secrets
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from av.error import FFmpegError

from core import SAMPLE_RATE, AudioChunk, Full, VideoFrame
from runtime.media import FeedClosed, MediaFeed
from runtime.session import Session
from stream.mp4 import Mp4
from stream.prefix import shown
from stream.settings import StreamSettings

log = logging.getLogger(__name__)

MOST_PICTURES: Final = 25
"Pictures (1 s) that may wait for the disk; 20 MB at 512 px."
MOST_SOUND: Final = 1500
"Chunks of sound (30 s) that may wait for the disk; then it is not slow but gone."
FIRST_PICTURE: Final = 5.0
"Seconds of sound without any picture after which there is nothing to record."
LOOK_AFTER: Final = 50
"Chunks of sound (1 s) between two looks at how full the folder is."


class State(StrEnum):
    """What a recording is at."""

    RECORDING = "recording"
    STOPPED = "stopped"
    FAILED = "failed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class RecordingInfo:
    """A recording, as the API tells it."""

    id: str
    state: str
    reason: str
    "Why it ended; empty while it runs."
    seconds: float
    bytes: int
    held: int
    "Pictures that were missing, so that the one before stayed."
    dropped: int
    "Pictures among them that the disk or the encoder was too slow for."
    file: str
    "Where to GET it, once it has ended."


class Inbox:
    """What waits to be written: bounded, pictures yield to sound. Thread-safe."""

    def __init__(self) -> None:
        self.dropped = 0
        self._items: deque[AudioChunk | VideoFrame] = deque()
        self._pictures = 0
        self._ended = False
        self._ready = threading.Condition()

    def put(self, item: AudioChunk | VideoFrame) -> bool:
        """Queue an item. A picture may be dropped; False says that there is no room for sound."""
        with self._ready:
            if isinstance(item, VideoFrame):
                if self._pictures >= MOST_PICTURES:
                    self.dropped += 1
                    return True
                self._pictures += 1
            elif len(self._items) - self._pictures >= MOST_SOUND:
                return False
            self._items.append(item)
            self._ready.notify()
        return True

    def end(self) -> None:
        """Nothing follows."""
        with self._ready:
            self._ended = True
            self._ready.notify()

    def take(self) -> AudioChunk | VideoFrame | None:
        """The oldest item; waits for it. None when nothing follows."""
        with self._ready:
            while not (self._items or self._ended):
                self._ready.wait()
            if not self._items:
                return None
            item = self._items.popleft()
            self._pictures -= isinstance(item, VideoFrame)
            return item


class Folder:
    """Where recordings lie, and how full it may be."""

    def __init__(self, path: Path, limit: int) -> None:
        """``limit`` in bytes."""
        self.path = path
        self._limit = limit

    def full(self) -> bool:
        """Whether what lies there, files being written included, has reached the limit."""
        return sum(_size(path) for path in self.path.glob("*.mp4")) >= self._limit

    def check(self) -> None:
        """Raises Full."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.full():
            raise Full(
                f"The recordings fill the {self._limit >> 20} MiB they may have. Delete some, or"
                " ask who runs this server to empty its folder or raise stream.recordings_bytes."
            )


class Recording:
    """One file being written, and what is known of it afterwards."""

    def __init__(
        self, session: Session, folder: Folder, settings: StreamSettings, token: str
    ) -> None:
        """Nothing is opened before `run`. ``token`` opens it, also after the session."""
        self.id = secrets.token_hex(8)
        self.session_id = session.id
        self.state = State.RECORDING
        self.reason = ""
        self.path = folder.path / f"{session.id}-{self.id}.mp4"
        self._url = shown(f"/v1/sessions/{session.id}/recordings/{self.id}/file")
        self._session: Session | None = session
        self._folder = folder
        self._settings = settings
        self._digest = _digest(token)
        self._inbox = Inbox()
        self._stopped = asyncio.Event()
        self._ended = ""  # why, once something has decided it
        self._seconds, self._bytes, self._held = 0.0, 0, 0

    @property
    def written(self) -> tuple[float, int]:
        """Seconds of media and bytes in its file so far."""
        return self._seconds, self._bytes

    def info(self) -> RecordingInfo:
        """What the API tells."""
        return RecordingInfo(
            id=self.id, state=self.state, reason=self.reason, seconds=round(self._seconds, 2),
            bytes=self._bytes, held=self._held, dropped=self._inbox.dropped, file=self._url,
        )  # fmt: skip

    def opened_by(self, token: str) -> bool:
        """Whether it is the token of the session that was recorded."""
        return bool(token) and hmac.compare_digest(self._digest, _digest(token))

    def stop(self, why: str) -> None:
        """End it soon; the first reason counts."""
        self._ended = self._ended or why
        self._stopped.set()

    async def run(self) -> None:
        """Record until the session ends, a limit is reached, or `stop`. Never raises OSError."""
        session = self._session
        assert session is not None
        loop = asyncio.get_running_loop()
        pool = ThreadPoolExecutor(1, thread_name_prefix="record")
        async with session.watch() as feed:
            writing = loop.run_in_executor(pool, self._write)
            pool.shutdown(wait=False)  # the thread ends with its work
            work = {
                asyncio.create_task(part, name=f"record {session.id}")
                for part in (self._pictures(feed), self._sounds(feed), self._told())
            }
            try:
                await asyncio.wait({*work, writing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in work:
                    task.cancel()
                await asyncio.gather(*work, return_exceptions=True)
                self._inbox.end()
        await self._finish(writing)
        self._session = None  # what is remembered of a recording does not keep its session
        session.tell("recording", asdict(self.info()))
        extra = {"session": session.id, "recording": self.id, "bytes": self._bytes}
        failed = self.state is State.FAILED
        log.log(logging.WARNING if failed else logging.INFO, self.reason, extra=extra)

    async def _finish(self, writing: asyncio.Future[None]) -> None:
        try:
            await writing
        except (OSError, FFmpegError) as error:
            self.state = State.FAILED
            self.reason = f"the file can not be written: {error.strerror or error}"
        else:
            self.state = State.STOPPED if self._bytes else State.FAILED
            self.reason = self._ended if self._bytes else "no picture came"

    async def _pictures(self, feed: MediaFeed) -> None:
        try:
            while True:
                self._inbox.put(await feed.video())
        except FeedClosed:
            self.stop("the session ended")

    async def _sounds(self, feed: MediaFeed) -> None:
        try:
            while True:
                if not self._inbox.put(await feed.audio()):
                    self.stop("the disk is too slow")
        except FeedClosed:
            self.stop("the session ended")

    async def _told(self) -> None:
        await self._stopped.wait()

    # --- its own thread ----------------------------------------------------------------------

    def _write(self) -> None:
        with open(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "r+b", 0) as file:
            mp4 = Mp4(file)
            try:
                self._copy(mp4, file.fileno())
            finally:
                try:
                    mp4.close()
                finally:
                    self._count(mp4, file.fileno())
        if not self._bytes:
            self.path.unlink(missing_ok=True)

    def _copy(self, mp4: Mp4, file: int) -> None:
        sounds = 0
        unseen = FIRST_PICTURE * SAMPLE_RATE
        while (item := self._inbox.take()) is not None:
            if isinstance(item, VideoFrame):
                mp4.picture(item)
                self._count(mp4, file)
                continue
            mp4.sound(item)
            self._count(mp4, file)
            sounds += 1
            unseen -= len(item.samples)
            if self._seconds >= self._settings.max_recording:
                self._ended = self._ended or "it is as long as stream.max_recording allows"
            elif self._bytes >= self._settings.max_recording_bytes:
                self._ended = self._ended or "it is as large as stream.max_recording_bytes allows"
            elif sounds % LOOK_AFTER == 0 and self._folder.full():
                self._ended = self._ended or "all recordings fill stream.recordings_bytes"
            elif self._bytes or unseen > 0:
                continue
            return

    def _count(self, mp4: Mp4, file: int) -> None:
        self._seconds, self._held = mp4.seconds, mp4.held
        self._bytes = os.fstat(file).st_size


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
