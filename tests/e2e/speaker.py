"""A sound device for a browser on a machine that has none; what it plays can be looked at.

Firefox runs no `AudioContext`, so no microphone either, without something to play on. It writes to
ALSA here, whose file plugin writes into a pipe that is read no faster than sound is heard.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

import numpy as np

RATE = 44_100
"What ALSA's null device is opened with: float32, stereo."
FRAME = 8
"Bytes of a sample of both channels."
PIPE = 8192
"Bytes that wait at most: 23 ms."
STEP_S = 0.01
CONFIG = """
pcm.nothing {{ type null }}
pcm.!default {{ type file slave.pcm nothing file "{pipe}" format raw }}
"""


class Speaker:
    """What was played, in pieces of about 10 ms."""

    def __init__(self, folder: Path) -> None:
        pipe = folder / "speaker"
        os.mkfifo(pipe)
        (folder / "asound.conf").write_text(CONFIG.format(pipe=pipe))
        self.environment = {"ALSA_CONFIG_PATH": str(folder / "asound.conf")}
        self.loudness: list[tuple[float, float]] = []
        "When (`time.monotonic()`) a piece was played, and the root of its mean square."
        self._file = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self._file, fcntl.F_SETPIPE_SZ, PIPE)

    async def play(self) -> None:
        """Take what is written, as fast as it is heard."""
        last = monotonic()
        try:
            while True:
                await asyncio.sleep(STEP_S)
                now = monotonic()
                frames = int((now - last) * RATE)
                last += frames / RATE
                try:
                    piece = os.read(self._file, FRAME * frames)
                except BlockingIOError:
                    continue  # nothing plays
                samples = np.frombuffer(piece[: len(piece) // 4 * 4], np.float32)
                self.loudness.append((now, float(np.sqrt(np.mean(samples**2)))))
        finally:
            os.close(self._file)

    def heard(self, since: float, level: float = 0.003) -> bool:
        """Whether something was, since then."""
        return any(at >= since and loudness > level for at, loudness in self.loudness)


@asynccontextmanager
async def speaker() -> AsyncIterator[Speaker]:
    """One that is switched on. Its `environment` is for the browser's process."""
    with tempfile.TemporaryDirectory() as folder:
        made = Speaker(Path(folder))
        playing = asyncio.create_task(made.play())
        try:
            yield made
        finally:
            playing.cancel()
            await asyncio.gather(playing, return_exceptions=True)
