"""The last step of the live loop: what is due goes to the viewers, and what they get is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from core import SAMPLES_PER_FRAME, AudioChunk, VideoFrame
from runtime.latency import Awaited
from runtime.media import MediaFeed, MediaHub
from runtime.session_clock import SessionClock
from runtime.stats import Stats
from runtime.timeline import Timeline

Overlay: TypeAlias = Callable[
    [AudioChunk | None, VideoFrame | None], tuple[AudioChunk | None, VideoFrame | None]
]


class Delivery:
    """From one session's timeline to its viewers."""

    def __init__(self, timeline: Timeline, clock: SessionClock, stats: Stats) -> None:
        self._timeline, self._clock, self._stats = timeline, clock, stats
        self._media = MediaHub()
        self.overlay: Overlay | None = None
        "Changes what leaves; for measuring."
        self.reactions = Awaited(stats.reaction)
        "Commands that wait for the first picture that shows them."
        self.hushes = Awaited(stats.hush)
        "Interruptions that wait for the last old sound."

    @property
    def viewers(self) -> int:
        """Who watches, through open media feeds."""
        return self._media.watchers

    def watch(self) -> MediaFeed:
        """A feed of frames and audio, to be entered with ``async with``."""
        return self._media.watch()

    def leave(self, now: float) -> None:
        """Hand over what is due."""
        for leaving in self._timeline.leave(now - self._clock.epoch):
            audio, video = leaving.audio, leaving.video
            if self.overlay is not None:
                audio, video = self.overlay(audio, video)
            self._media.publish(audio, video)
            if self.viewers:
                self._count(audio, video, now)
            else:
                self.reactions.forget()
                self.hushes.forget()

    def leaves(self) -> float | None:
        """Monotonic time at which something leaves next; None while nothing waits."""
        after = self._timeline.next()
        return None if after is None else self._clock.epoch + after

    def close(self) -> None:
        """End all feeds. Closing twice is fine."""
        self._media.close()

    def _count(self, audio: AudioChunk | None, video: VideoFrame | None, now: float) -> None:
        """How much leaves, and how long it took from the command that it follows."""
        if audio is None:
            self._stats.delivered(video is not None)
        else:
            frame = audio.pts // SAMPLES_PER_FRAME
            self.hushes.left(frame, max(now, self._clock.presented(frame)))
        if video is not None:
            frame = video.pts // SAMPLES_PER_FRAME
            self.reactions.left(frame, max(now, self._clock.presented(frame)))
        self._stats.dropped = self._media.dropped
