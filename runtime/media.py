"""Media feeds: the bounded bridge from the live loop to one viewer."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Final, TypeVar

from core import AudioChunk, SaccadeError, VideoFrame

VIDEO_LIMIT: Final = 6
"Frames (240 ms) a viewer may have waiting; the oldest goes first, video yields to audio."
AUDIO_LIMIT: Final = 50
"Pieces of 20 ms (1 s): a viewer further behind than this has lost its connection anyway."


T = TypeVar("T")


class FeedClosed(SaccadeError):
    """The session ended, or the viewer left."""

    code = "feed-closed"


class MediaFeed:
    """One viewer's frames and the very audio they were made from.

    Both kinds are pulled separately (RTP sends them on two tracks); frame and chunk of one moment
    share their ``pts``.
    """

    def __init__(self, hub: MediaHub) -> None:
        self._hub = hub
        self._video: deque[VideoFrame] = deque(maxlen=VIDEO_LIMIT)
        self._audio: deque[AudioChunk] = deque(maxlen=AUDIO_LIMIT)
        self._has_video = asyncio.Event()
        self._has_audio = asyncio.Event()
        self._closed = False
        self._ended = asyncio.Event()
        self.dropped = 0
        "Frames that were never taken because the viewer was slow."
        self.watchers = 1
        "Viewers that it serves: a broadcast has one feed for all of them."

    def put(self, audio: AudioChunk | None, video: VideoFrame | None) -> None:
        """Queue what leaves: sound, a picture or both."""
        if audio is not None:
            self._audio.append(audio)
            self._has_audio.set()
        if video is not None:
            if len(self._video) == VIDEO_LIMIT:
                self.dropped += 1
                self._hub.dropped += 1
            self._video.append(video)
            self._has_video.set()

    def flush(self) -> None:
        """Forget what is queued: a viewer starts at the newest moment."""
        self._video.clear()
        self._audio.clear()

    def close(self) -> None:
        """End the feed at once; waiting readers get FeedClosed."""
        self._closed = True
        self._ended.set()
        self._has_video.set()
        self._has_audio.set()

    async def wait_closed(self) -> None:
        """Return when the session has ended or the viewer has left."""
        await self._ended.wait()

    async def video(self) -> VideoFrame:
        """The next frame. Raises FeedClosed at the end of the session."""
        return await self._take(self._video, self._has_video)

    async def audio(self) -> AudioChunk:
        """The next piece of sound. Raises FeedClosed at the end of the session."""
        return await self._take(self._audio, self._has_audio)

    async def _take(self, queue: deque[T], ready: asyncio.Event) -> T:
        while not self._closed:
            if queue:
                return queue.popleft()
            ready.clear()
            await ready.wait()
        raise FeedClosed("The session has ended; create a new one.")

    async def __aenter__(self) -> MediaFeed:
        self._hub.feeds.add(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hub.feeds.discard(self)
        self.close()


class MediaHub:
    """Fans one session's moments out to its viewers."""

    def __init__(self) -> None:
        self.feeds: set[MediaFeed] = set()
        self.dropped = 0
        "Frames that viewers never took, also those who are gone."
        self._closed = False

    @property
    def watchers(self) -> int:
        """Viewers of all open feeds."""
        return sum(feed.watchers for feed in self.feeds)

    def publish(self, audio: AudioChunk | None, video: VideoFrame | None) -> None:
        """Hand sound, a picture or both to all viewers. Never blocks, never copies."""
        for feed in self.feeds:
            feed.put(audio, video)

    def watch(self) -> MediaFeed:
        """A new feed; it receives while it is entered (``async with``)."""
        feed = MediaFeed(self)
        if self._closed:
            feed.close()
        return feed

    def close(self) -> None:
        """End all feeds. Closing twice is fine."""
        self._closed = True
        for feed in self.feeds:
            feed.close()
