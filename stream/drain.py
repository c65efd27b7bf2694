"""The way out. One signal (SIGTERM, Ctrl-C): no new sessions, those watched may end; a second: now.

uvicorn's own way raises the signal again after it has closed, which kills the process before our
sessions and voices are closed, and it knows nothing of sessions. A third signal kills.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextvars import Context
from typing import Final

import uvicorn

from runtime.sessions import Sessions

log = logging.getLogger(__name__)

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
LOOK: Final = 0.1
"Seconds between looks at who is left."


class DrainingServer(uvicorn.Server):
    """Serves until a signal, then until nobody watches or its patience ends."""

    def __init__(self, config: uvicorn.Config, sessions: Sessions, seconds: float) -> None:
        """``seconds`` is how long sessions that are watched may go on; 0 for not at all."""
        super().__init__(config)
        self._sessions = sessions
        self._seconds = seconds
        self._hurry = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See uvicorn: in effect while it serves."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop, nobody = asyncio.get_running_loop(), Context()

        def told(*_: object) -> None:
            # Whatever task the signal came in the middle of, its session has no part in this.
            loop.call_soon_threadsafe(self.stop, context=nobody)

        before = {kind: signal.signal(kind, told) for kind in SIGNALS}
        try:
            yield
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    def stop(self) -> None:
        """Begin to drain; called again, end at once."""
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain(), name="drain")
        elif not self._hurry.is_set():
            self._hurry.set()
            if threading.current_thread() is threading.main_thread():
                for kind in SIGNALS:
                    signal.signal(kind, signal.SIG_DFL)

    async def _drain(self) -> None:
        sessions, began = self._sessions, time.monotonic()
        watched = self._watched() if self._seconds else 0
        log.warning(
            "waiting for those who watch; Ctrl-C again ends now" if watched else "stopping",
            extra={"watched": watched, "seconds": self._seconds},
        )
        sessions.drain(self._seconds)
        try:
            while time.monotonic() - began < self._seconds and self._watched():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), LOOK)
                    break
            await sessions.close_all("drain")
        finally:
            self.should_exit = True
            log.info("drained", extra={"after_s": round(time.monotonic() - began, 1)})

    def _watched(self) -> int:
        """Sessions that somebody watches."""
        return sum(bool(session.viewers) for session in self._sessions.list())
