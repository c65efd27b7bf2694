"""A session's picture and sound, encoded once for all who watch.

It begins with the first viewer and ends with the last. What leaves the session, pictures 80 and
sound 30 ms before they are presented, is encoded at once; each viewer's sender lets it go when it
is due. So encoding takes no time from the media clock, and a viewer more costs packets, not
pictures.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from time import monotonic, time
from typing import Any, Final, Protocol

import av
import numpy as np

from core import F32, SAMPLE_RATE, WIRE_SAMPLE_RATE, AudioChunk
from engines.resample import Resampler
from runtime.media import FeedClosed, MediaFeed
from stream.bandwidth import LARGE, Bandwidth, Rung
from stream.codecs import AUDIO_BASE, Opus
from stream.pacer import Pacer
from stream.rendition import (
    SOUNDS,
    Encoded,
    EncodeStats,
    Outlet,
    Rendition,
    Scale,
    View,
    encode_all,
)
from stream.settings import StreamSettings

log = logging.getLogger(__name__)

ENCODERS: Final = 2
"Threads that encode pictures; one session's frames take 2 to 3 ms each."
RATIO: Final = WIRE_SAMPLE_RATE // SAMPLE_RATE
OPUS_DELAY: Final = 312
"""Samples by which Opus's decoder gives a sound later than its encoder took it: the look-ahead of
libopus (RFC 7845 section 4.2 has it as pre-skip). Timestamps are those of what comes out."""
PACKET: Final = WIRE_SAMPLE_RATE // 50
"Samples in one 20 ms Opus frame."


class Source(Protocol):
    """What is broadcast: a `runtime.session.Session`."""

    id: str

    @property
    def epoch(self) -> float:
        """Monotonic time at which pts 0 is presented; it may move."""
        ...

    def watch(self) -> MediaFeed:
        """A feed of frames and sound."""
        ...


class Sound:
    """Chunks of speech → Opus packets of 20 ms.

    Timestamps are those of the media, also over a gap: sound that was never taken leaves a gap on
    the wire too, instead of shifting all that follows against the picture.
    """

    def __init__(self) -> None:
        self._opus = Opus()
        self._resampler = Resampler(SAMPLE_RATE, WIRE_SAMPLE_RATE)
        self._expected: int | None = None  # pts of the next chunk
        self._ready: F32 = np.zeros(0, np.float32)
        self._pts = 0  # of self._ready[0], at 48 kHz

    def push(self, chunk: AudioChunk) -> list[Encoded]:
        """The next chunk → the packets it completes. Half a millisecond."""
        if chunk.pts != self._expected:
            self._resampler = Resampler(SAMPLE_RATE, WIRE_SAMPLE_RATE)
            self._ready, self._pts = self._ready[:0], chunk.pts * RATIO
        self._expected = chunk.end
        self._ready = np.concatenate([self._ready, self._resampler.push(chunk.samples)])
        packets = []
        while len(self._ready) >= PACKET:
            packets.append(self._packet(self._ready[:PACKET]))
            self._pts, self._ready = self._pts + PACKET, self._ready[PACKET:]
        return packets

    def _packet(self, samples: F32) -> Encoded:
        pcm = np.rint(np.clip(samples, -1, 1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(pcm[None, :], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = WIRE_SAMPLE_RATE, self._pts, AUDIO_BASE
        level = round(20 * np.log10(max(1e-6, float(np.sqrt(np.mean(samples**2))))))
        return Encoded(
            self._pts // RATIO,
            self._pts - OPUS_DELAY,
            (self._opus.encode(frame),),
            level=min(0, level),
        )


class Broadcast:
    """One session's encoders. Made and closed by `Broadcasts`."""

    def __init__(
        self, session: Source, settings: StreamSettings, pool: Executor, stats: EncodeStats
    ) -> None:
        """Nothing runs before `start`. ``pool`` encodes the pictures."""
        self.feed = session.watch()
        self.feed.watchers = 0
        self.renditions: dict[tuple[str, Rung], Rendition] = {}
        self._settings = settings
        self._pool = pool
        self._stats = stats
        self._listeners: set[Outlet] = set()
        self._side = LARGE
        self._pacer = Pacer(lambda: session.epoch, wall=time(), now=monotonic())
        self._ended = asyncio.Event()
        self._stack = AsyncExitStack()
        self._id = session.id
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Take what the session gives from now on."""
        await self._stack.enter_async_context(self.feed)
        for name, work in (("pictures", self._pictures()), ("sound", self._sounds())):
            self._tasks.append(asyncio.create_task(self._run(work), name=f"{name} {self._id}"))

    @property
    def ended(self) -> bool:
        """Nothing comes any more."""
        return self._ended.is_set()

    def see(self, mime: str, bandwidth: Bandwidth) -> View:
        """The picture for one viewer, in a codec. Raises ValueError for an unknown one."""
        view = View(mime, bandwidth)
        self._rendition(view.mime, bandwidth.rung).add(view)
        return view

    def hear(self) -> Outlet:
        """The sound for one viewer."""
        outlet = Outlet(SOUNDS)
        self._listeners.add(outlet)
        return outlet

    def adapt(self, view: View, now: float) -> None:
        """Something was heard of a viewer's network: give it the size that suits."""
        rung = view.bandwidth.choose(view.sent, now, self._side)
        target = view.coming or view.shown
        if target is None or target.rung is rung:
            return
        if view.coming is not None:
            self._leave(view.coming, view)
            view.coming = None
        if view.shown is None or view.shown.rung is not rung:
            self._rendition(view.mime, rung).add(view)

    def leave(self, outlet: Outlet) -> None:
        """A viewer needs no more of it. Leaving twice is fine."""
        outlet.close()
        self._stats.dropped["video" if isinstance(outlet, View) else "audio"] += outlet.dropped
        outlet.dropped = 0
        self._listeners.discard(outlet)
        if isinstance(outlet, View):
            self._stats.repeated += outlet.repeated
            outlet.repeated = 0
            for rendition in (outlet.shown, outlet.coming):
                if rendition is not None:
                    self._leave(rendition, outlet)

    def dropped(self) -> Counter[str]:
        """What viewers that have not left were too slow for, frames by kind of track."""
        return Counter(
            video=sum(view.dropped for view in self.views()),
            audio=sum(listener.dropped for listener in self._listeners),
        )

    def views(self) -> set[View]:
        """The pictures of all viewers that have not left."""
        return {view for rendition in self.renditions.values() for view in rendition.views}

    async def wait_closed(self) -> None:
        """Return when the session has ended."""
        await self._ended.wait()

    async def close(self) -> None:
        """Stop encoding and end all outlets."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._stack.aclose()

    def _rendition(self, mime: str, rung: Rung) -> Rendition:
        made = self.renditions.get((mime, rung))
        if made is None:
            made = self.renditions[mime, rung] = Rendition(mime, rung, self._settings)
        return made

    def _leave(self, rendition: Rendition, view: View) -> None:
        rendition.remove(view)
        self._prune()

    def _prune(self) -> None:
        """Encode nothing that nobody sees."""
        self.renditions = {key: r for key, r in self.renditions.items() if r.views}

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        """Whatever ends one track ends the broadcast, and so its viewers."""
        try:
            await work
        except FeedClosed:
            pass
        except Exception:
            log.exception("encoding failed", extra={"session": self._id})
        finally:
            self._ended.set()
            views = [view for r in self.renditions.values() for view in r.views]
            for outlet in (*self._listeners, *views):
                outlet.close()

    async def _pictures(self) -> None:
        loop, scale = asyncio.get_running_loop(), Scale()
        while True:
            frame = await self.feed.video()
            now = monotonic()
            # Before it is encoded, leaving out a late picture costs nobody anything.
            late = self._pacer.video_wait(frame.pts, now) is None
            if late or not self.renditions:
                self._stats.dropped["video"] += late
                continue
            self._side = frame.pixels.shape[0]
            for rendition in self.renditions.values():
                rendition.sized(self._side)
            work = [(r, r.keys.take(now), r.bitrate) for r in self.renditions.values()]
            picture = av.VideoFrame.from_ndarray(frame.pixels, format="rgb24")  # 0.1 ms at 512
            encoded, ms = await loop.run_in_executor(
                self._pool, encode_all, picture, frame.pts, work, scale
            )
            self._stats.ms.append(ms)
            for (rendition, _, _), bits in zip(work, encoded, strict=True):
                rendition.adopt(bits)
            for (rendition, _, _), bits in zip(work, encoded, strict=True):
                self._stats.frames += 1
                self._stats.keys += bits.key
                self._stats.bits += 8 * sum(map(len, bits.parts))
                rendition.deliver(bits, now)
            self._prune()

    async def _sounds(self) -> None:
        sound = Sound()
        while True:
            chunk = await self.feed.audio()
            if not self._listeners:
                continue
            for packet in sound.push(chunk):
                for listener in self._listeners:
                    listener.put(packet)


class Broadcasts:
    """The broadcasts of all sessions, and the threads that encode. `close` it."""

    def __init__(self, settings: StreamSettings) -> None:
        self.stats = EncodeStats()
        self._settings = settings
        self._of: dict[Source, Broadcast] = {}
        self._pool = ThreadPoolExecutor(ENCODERS, thread_name_prefix="encode")

    @property
    def renditions(self) -> int:
        """Encoders that run."""
        return sum(len(broadcast.renditions) for broadcast in self._of.values())

    @property
    def dropped(self) -> Counter[str]:
        """Frames that were encoded late or never sent, by kind of track, since the start."""
        return sum((b.dropped() for b in self._of.values()), self.stats.dropped.copy())

    @property
    def repeated(self) -> int:
        """Packets sent again unasked (`stream.repeats`), since the start."""
        return self.stats.repeated + sum(view.repeated for view in self._views())

    @property
    def repeating(self) -> int:
        """Viewers whose pictures are sent twice at present."""
        return sum(view.bandwidth.copies > 1 for view in self._views())

    def _views(self) -> Iterator[View]:
        return (view for broadcast in self._of.values() for view in broadcast.views())

    @asynccontextmanager
    async def watch(self, session: Source) -> AsyncIterator[Broadcast]:
        """Be a viewer of a session while it is entered."""
        broadcast = self._of.get(session)
        fresh = broadcast is None or broadcast.ended
        if broadcast is None or fresh:
            broadcast = Broadcast(session, self._settings, self._pool, self.stats)
            self._of[session] = broadcast
        broadcast.feed.watchers += 1
        try:
            if fresh:
                await broadcast.start()
            yield broadcast
        finally:
            broadcast.feed.watchers -= 1
            if not broadcast.feed.watchers:
                if self._of.get(session) is broadcast:
                    del self._of[session]
                await broadcast.close()

    def close(self) -> None:
        """Wait for the threads. All viewers have left by now."""
        self._pool.shutdown()
