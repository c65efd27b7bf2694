"""The recordings of all sessions: begun, found, ended, deleted. Files outlive them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

from core import Busy, NotAllowed, NotFound
from runtime.session import Session
from stream.record import Folder, Recording, State
from stream.settings import StreamSettings

log = logging.getLogger(__name__)

CLOSE_TIMEOUT: Final = 10.0
"Seconds for the last second and the index; a disk that hangs is left behind."
REMEMBERED: Final = 200
"Recordings that can still be fetched; the files of older ones stay in the folder."


@dataclass(slots=True)
class RecordedTotals:
    """Of all recordings since the start."""

    running: int = 0
    failures: int = 0
    "Ended without a file that is whole: a full disk, no picture, a bug."
    seconds: float = 0.0
    bytes: int = 0


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
        self._ended = RecordedTotals()

    @property
    def totals(self) -> RecordedTotals:
        """What was recorded since the start, that of running ones included."""
        written = [recording.written for recording in self._running]
        return RecordedTotals(
            running=len(written),
            failures=self._ended.failures,
            seconds=self._ended.seconds + sum(seconds for seconds, _ in written),
            bytes=self._ended.bytes + sum(size for _, size in written),
        )

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
            seconds, size = recording.written
            self._ended.seconds += seconds
            self._ended.bytes += size
            self._ended.failures += task.cancelled() or recording.state is not State.STOPPED
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("recording failed", exc_info=error, extra={"recording": recording.id})

        return gone
