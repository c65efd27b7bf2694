"""When a frame leaves: pure arithmetic over media time; the time is always an argument.

Audio and video of one viewer share one pacer, so they share one epoch and can not drift apart.
Audio decides: when the session's clock has moved, the first audio chunk after it moves the
epoch, and video that is too late against it is dropped rather than sent in a burst.
"""

from __future__ import annotations

from typing import Final

from core import SAMPLE_RATE

REANCHOR: Final = 0.12
"Seconds late (or early) at which audio moves the epoch; less is made up by waiting or hurrying."
VIDEO_LATE: Final = 0.1
"Seconds late at which a frame is dropped for the next one (ITU-R BT.1359: 125 ms is noticed)."


class Pacer:
    """One viewer's clock: maps pts (16 kHz samples) to monotonic seconds."""

    def __init__(self) -> None:
        self._epoch: float | None = None
        self.reanchors = 0
        "Times the epoch had to move."

    def audio_wait(self, pts: int, now: float) -> float:
        """Seconds until audio at ``pts`` leaves, never negative. Moves the epoch when it must."""
        wait = self._wait(pts, now)
        if wait < -REANCHOR or wait > 1 + REANCHOR:
            self._epoch = now - pts / SAMPLE_RATE
            self.reanchors += 1
            return 0.0
        return max(0.0, wait)

    def video_wait(self, pts: int, now: float) -> float | None:
        """Seconds until the frame at ``pts`` leaves; None when it is too late to be shown."""
        wait = self._wait(pts, now)
        return None if wait < -VIDEO_LATE else max(0.0, wait)

    def start(self, epoch: float) -> None:
        """Begin with the session's own epoch: the moment at which pts 0 was due."""
        self._epoch = epoch

    def _wait(self, pts: int, now: float) -> float:
        if self._epoch is None:
            self._epoch = now - pts / SAMPLE_RATE
        return self._epoch + pts / SAMPLE_RATE - now
