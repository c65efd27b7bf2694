"""Recordings: a session's sound and pictures in files of their own.

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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Final

from av.error import FFmpegError

from core import SAMPLE_RATE, AudioChunk, Busy, Full, NotAllowed, NotFound, VideoFrame
from runtime.media import FeedClosed, MediaFeed
from runtime.session import Session
from stream.mp4 import Mp4
from stream.settings import StreamSettings

log = logging.getLogger(__name__)

MOST_PICTURES: Final = 25
"Pictures (1 s) that may wait for the disk; 20 MB at 512 px."
MOST_SOUND: Final = 750
"Chunks of sound (30 s) that may wait for the disk; then it is not slow but gone."
FIRST_PICTURE: Final = 5.0
"Seconds of sound without any picture after which there is nothing to record."
LOOK_AFTER: Final = 25
"Chunks of sound (1 s) between two looks at how full the folder is."
CLOSE_TIMEOUT: Final = 10.0
"Seconds for the last second and the index; a disk that hangs is left behind."
REMEMBERED: Final = 200
"Recordings that can still be fetched; the files of older ones stay in the folder."


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
        self._session: Session | None = session
        self._folder = folder
        self._settings = settings
        self._digest = _digest(token)
        self._inbox = Inbox()
        self._stopped = asyncio.Event()
        self._ended = ""  # why, once something has decided it
        self._seconds, self._bytes, self._held = 0.0, 0, 0

    def info(self) -> RecordingInfo:
        """What the API tells."""
        where = f"/v1/sessions/{self.session_id}/recordings/{self.id}/file"
        return RecordingInfo(
            id=self.id, state=self.state, reason=self.reason, seconds=round(self._seconds, 2),
            bytes=self._bytes, held=self._held, dropped=self._inbox.dropped, file=where,
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
        first = None
        try:
            while True:
                chunk = await feed.audio()
                first = chunk.pts if first is None else first
                if not self._inbox.put(chunk):
                    self.stop("the disk is too slow")
                if chunk.end - first >= self._settings.max_recording * SAMPLE_RATE:
                    self.stop("it is as long as stream.max_recording allows")
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
            if self._bytes >= self._settings.max_recording_bytes:
                self._ended = self._ended or "it is as large as stream.max_recording_bytes allows"
            elif sounds % LOOK_AFTER == 0 and self._folder.full():
                self._ended = self._ended or "all recordings fill stream.recordings_bytes"
            elif self._bytes or unseen > 0:
                continue
            return

    def _count(self, mp4: Mp4, file: int) -> None:
        self._seconds, self._held = mp4.seconds, mp4.held
        self._bytes = os.fstat(file).st_size


class Recordings:
    """Owner of all recordings. ``async with``: leaving it ends them and waits for their files."""

    def __init__(self, folder: Path | None, settings: StreamSettings) -> None:
        """Without a folder nothing can be recorded."""
        self._settings = settings
        self._folder = None
        if folder is not None and settings.recordings_bytes:
            self._folder = Folder(folder, settings.recordings_bytes)
        self._known: dict[str, Recording] = {}  # oldest first
        self._running: dict[Recording, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Recordings:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(self.stop(r, "the server stopped") for r in list(self._running)))

    async def start(self, session: Session, token: str) -> Recording:
        """Begin to record.

        Raises:
            NotAllowed: Recording is off.
            Busy: The session is being recorded already.
            Full: The folder has reached its limit.
            NotFound: The session has ended.
        """
        if self._folder is None:
            raise NotAllowed(
                "Recording is off. Who runs this server turns it on with stream.recordings_bytes."
            )
        await asyncio.to_thread(self._folder.check)
        if session.ended.is_set():
            raise NotFound("The session has ended; create a new one.")
        if any(running.session_id == session.id for running in self._running):
            raise Busy("This session is being recorded; stop that recording first.")
        recording = Recording(session, self._folder, self._settings, token)
        task = asyncio.create_task(recording.run(), name=f"recording {recording.id}")
        self._running[recording] = task
        task.add_done_callback(self._gone(recording))
        self._known[recording.id] = recording
        for old in [r for r in self._known.values() if r not in self._running][:-REMEMBERED]:
            del self._known[old.id]
        log.info("recording", extra={"session": session.id, "recording": recording.id})
        return recording

    def list(self, session: str, token: str) -> list[Recording]:
        """A session's recordings that the token opens, oldest first."""
        return [r for r in self._known.values() if r.session_id == session and r.opened_by(token)]

    def get(self, session: str, id: str, token: str) -> Recording:
        """Raises NotFound, also for a token that does not open it."""
        found = next((r for r in self.list(session, token) if r.id == id), None)
        if found is None:
            raise NotFound("There is no such recording, or the token does not open it.")
        return found

    async def stop(self, recording: Recording, why: str = "stopped") -> None:
        """End it and wait for its file. What has ended stays as it is."""
        task = self._running.get(recording)
        if task is None:
            return
        recording.stop(why)
        done, _ = await asyncio.wait({task}, timeout=CLOSE_TIMEOUT)
        if not done:
            log.error("a recording can not be closed", extra={"recording": recording.id})

    async def remove(self, recording: Recording) -> None:
        """Delete the file of one that has ended."""
        await asyncio.to_thread(recording.path.unlink, missing_ok=True)
        recording.state = State.REMOVED
        self._known.pop(recording.id, None)

    def running(self, recording: Recording) -> bool:
        """Whether its file is being written."""
        return recording in self._running

    def _gone(self, recording: Recording) -> Callable[[asyncio.Task[None]], None]:
        def gone(task: asyncio.Task[None]) -> None:
            del self._running[recording]
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("recording failed", exc_info=error, extra={"recording": recording.id})

        return gone


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
