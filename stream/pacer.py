"""When a frame leaves: pure arithmetic over media time; the time is always an argument.

A viewer's audio and video share one pacer, and it follows the session's own epoch, so they can
not drift apart, and a stall of the session moves both at once. After a stall, video catches up at
twice its rate at most and what is too late is skipped; audio leaves as soon as it can.

The pacer is also the sender's clock: RTCP sender reports are made from it, not from the moment a
packet happened to be sent, so encoding time never shows as an offset between lips and voice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core import SAMPLE_RATE

VIDEO_LATE: Final = 0.1
"Seconds late at which a frame is skipped for the next one (ITU-R BT.1359: 125 ms is noticed)."
VIDEO_GAP: Final = 0.02
"Least seconds between two frames: half the frame time, so never more than two in 40 ms."
AUDIO_LATE: Final = 0.4
"Seconds late at which sound is skipped: only a viewer's own stall makes it so late."
AUDIO_START_LATE: Final = 0.06
"The same before the first packet: what waited while the viewer connected is not worth hearing."
NTP_UNIX: Final = 2_208_988_800
"Seconds from 1900 (NTP) to 1970 (RFC 5905 section 6)."


class Pacer:
    """One viewer's clock: maps pts (16 kHz samples) to monotonic seconds."""

    def __init__(self, epoch: Callable[[], float], *, wall: float, now: float) -> None:
        """Follow a session.

        Args:
            epoch: Gives the monotonic time at which pts 0 is presented; it may move.
            wall: Unix time at the monotonic time ``now``; steps of the wall clock after that do
                not matter, as receivers only compare the two tracks.
        """
        self._epoch = epoch
        self._wall = wall - now
        self._video_left = float("-inf")
        self._audio_started = False
        self.skipped = 0
        "Frames that were too late to be shown."

    def video_wait(self, pts: int, now: float) -> float | None:
        """Seconds until the frame at ``pts`` leaves; None when it is too late to be shown.

        A frame that gets a time has to leave then: the next one keeps its distance to it.
        """
        wait = self._due(pts) - now
        if wait < -VIDEO_LATE:
            self.skipped += 1
            return None
        leaves = max(now, now + wait, self._video_left + VIDEO_GAP)
        self._video_left = leaves
        return leaves - now

    def encoded_wait(self, pts: int, now: float) -> float:
        """Seconds until an encoded frame at ``pts`` leaves, however late it is.

        Later frames are made from it, so leaving it out would cost a key frame and a freeze until
        that comes. Late frames keep `VIDEO_GAP`, which makes up for a delay at twice the rate.
        """
        leaves = max(now, self._due(pts), self._video_left + VIDEO_GAP)
        self._video_left = leaves
        return leaves - now

    def audio_wait(self, pts: int, now: float) -> float | None:
        """Seconds until the sound at ``pts`` leaves; None when it is too late to be heard."""
        wait = self._due(pts) - now
        if wait < -(AUDIO_LATE if self._audio_started else AUDIO_START_LATE):
            return None
        self._audio_started = True
        return max(0.0, wait)

    @property
    def epoch(self) -> float:
        """Monotonic time at which pts 0 is presented."""
        return self._epoch()

    def media_time(self, now: float) -> float:
        """Seconds of media since the session began that are presented at ``now``."""
        return now - self._epoch()

    def ntp(self, now: float) -> int:
        """``now`` as a 64-bit NTP timestamp, the same for both tracks (RFC 3550 section 4)."""
        return round((now + self._wall + NTP_UNIX) * (1 << 32))

    def _due(self, pts: int) -> float:
        return self._epoch() + pts / SAMPLE_RATE
