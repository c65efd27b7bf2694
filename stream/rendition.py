"""One encoding of a session's picture, and the queues of the viewers it is for.

A picture is encoded once; each viewer's `Outlet` holds the frames it has not sent yet. An outlet is
bounded and waits for nobody: when a viewer is slow, its queue is emptied, a key frame is asked for,
and nothing passes until it comes, as later frames would be made from one that the viewer never saw.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field
from time import perf_counter
from typing import Final

import av

from core import FPS, SAMPLE_RATE, VIDEO_CLOCK
from runtime.media import FeedClosed
from stream.bandwidth import FULL_ABOVE, HALF_BELOW, LARGE, Bandwidth, Rung, usual_rate
from stream.codecs import VIDEO_BASE, video_encoder
from stream.settings import StreamSettings

KEY_GAP: Final = 0.5
"Least seconds between key frames of one encoder, however many viewers ask."
PICTURES: Final = 10
"Encoded pictures (400 ms) a viewer may have waiting; two wait anyway until they are due."
SOUNDS: Final = 50
"Packets of sound (1 s) a viewer may have waiting."


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture, or 20 ms of sound, as all viewers get it."""

    pts: int
    "16 kHz samples."
    timestamp: int
    "The same in ticks of the RTP clock."
    parts: tuple[bytes, ...]
    "RTP payloads; VP8's are without descriptors."
    key: bool = True
    "Can be decoded by itself."
    level: int | None = None
    "Of sound: how loud, -127 to 0 dB (RFC 6464)."


@dataclass(slots=True)
class EncodeStats:
    """What all encoders of a server did since it began."""

    frames: int = 0
    keys: int = 0
    bits: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    "Frames, by kind of track, that were too late or whose viewer was too slow; it has left."
    repeated: int = 0
    "Packets sent again unasked to viewers that have left."
    ms: deque[float] = field(default_factory=lambda: deque(maxlen=200))
    "Time that the newest pictures took, each in all its renditions."


class KeyFrames:
    """When an encoder makes a key frame: on demand, twice a second at most. Pure."""

    def __init__(self) -> None:
        self.wanted = True
        self._made = float("-inf")

    def ask(self) -> None:
        """Somebody joins, or lost a picture. Asking twice is asking once."""
        self.wanted = True

    def take(self, now: float) -> bool:
        """Whether the next frame is to be one."""
        return self.wanted and now - self._made >= KEY_GAP

    def made(self, now: float) -> None:
        """A key frame was made of a picture that was taken at ``now``."""
        self.wanted, self._made = False, now


class Outlet:
    """What one viewer has still to be sent of one track."""

    def __init__(self, limit: int) -> None:
        self._queue: deque[Encoded] = deque()
        self._limit = limit
        self._ready = asyncio.Event()
        self._closed = False
        self.waits_for_key = True
        self.dropped = 0
        "Frames that were never sent because the viewer was slow."

    def put(self, frame: Encoded) -> bool:
        """Queue a frame. False when it can not be used and a key frame is needed."""
        if len(self._queue) >= self._limit:
            self.dropped += len(self._queue)
            self._queue.clear()
            self.waits_for_key = True
        if self.waits_for_key and not frame.key:
            self.dropped += 1
            return False
        self.waits_for_key = False
        self._queue.append(frame)
        self._ready.set()
        return True

    async def take(self) -> Encoded:
        """The next frame. Raises FeedClosed at the end."""
        while not self._closed:
            if self._queue:
                return self._queue.popleft()
            self._ready.clear()
            await self._ready.wait()
        raise FeedClosed("The session has ended; create a new one.")

    def __len__(self) -> int:
        return len(self._queue)

    def close(self) -> None:
        """End it; a waiting reader gets FeedClosed."""
        self._closed = True
        self._ready.set()


class View(Outlet):
    """One viewer's picture: whose frames it gets, and whose it changes to at their next key."""

    def __init__(self, mime: str, bandwidth: Bandwidth) -> None:
        super().__init__(PICTURES)
        self.mime = mime.lower()
        self.bandwidth = bandwidth
        self.shown: Rendition | None = None
        self.coming: Rendition | None = None
        self.repeated = 0
        "Packets sent again unasked (`stream.repeats`)."

    @property
    def sent(self) -> int:
        """Bit/s of the rendition that is shown."""
        return 0 if self.shown is None else self.shown.measured

    def ask_key(self) -> None:
        """The viewer can not decode what it has."""
        for rendition in (self.shown, self.coming):
            if rendition is not None:
                rendition.keys.ask()


class Rendition:
    """An encoder and the viewers that share it."""

    def __init__(self, mime: str, rung: Rung, settings: StreamSettings) -> None:
        self.rung = rung
        self.views: set[View] = set()
        self.keys = KeyFrames()
        self.measured = 0
        "Bit/s of the last second."
        self._encoder = video_encoder(mime, settings)
        self._sizes: deque[int] = deque(maxlen=FPS)
        self._settings = settings
        self._bounds = (0, 0)
        self.sized(LARGE)

    def sized(self, side: int) -> None:
        """Bound the bit rate as a full picture of ``side`` pixels wants."""
        low, high = self._settings.min_bitrate, self._settings.max_bitrate
        usual = usual_rate(self._settings.bitrate, side)
        if self.rung is Rung.FULL:
            self._bounds = (max(low, round(HALF_BELOW * usual)), high)
        else:
            self._bounds = (low, max(low, round(FULL_ABOVE * usual)))

    @property
    def bitrate(self) -> int:
        """Bit/s that the encoder is set to: what its slowest viewer takes."""
        low, high = self._bounds
        allowed = min((view.bandwidth.allowed for view in self.views), default=high)
        return max(low, min(high, allowed))

    def add(self, view: View) -> None:
        """Give a viewer these frames from the next key frame on, which is asked for."""
        self.views.add(view)
        view.coming = self
        self.keys.ask()

    def remove(self, view: View) -> None:
        """Give it none any more."""
        self.views.discard(view)

    def encode(self, picture: av.VideoFrame, pts: int, key: bool, bitrate: int) -> Encoded:
        """A YUV picture of this rendition's size → what goes to its viewers. In a thread."""
        self._encoder.bitrate = bitrate
        timestamp = pts * VIDEO_CLOCK // SAMPLE_RATE
        picture.pts, picture.time_base = timestamp, VIDEO_BASE
        bits = self._encoder.encode(picture, key)
        return Encoded(pts, timestamp, bits.parts, bits.key)

    def adopt(self, frame: Encoded) -> None:
        """A key frame: the viewers that waited for it change to this rendition.

        To be called for all renditions of a picture before `deliver`, or a viewer would get the
        picture from both.
        """
        for view in list(self.views):
            if frame.key and view.coming is self:
                if view.shown is not None:
                    view.shown.remove(view)
                view.shown, view.coming = self, None

    def deliver(self, frame: Encoded, taken: float) -> None:
        """Queue a frame for the viewers. Never blocks. ``taken``: when it came to the encoder."""
        if frame.key:
            self.keys.made(taken)
        self._sizes.append(8 * sum(map(len, frame.parts)))
        self.measured = sum(self._sizes) * FPS // len(self._sizes)
        for view in self.views:
            if view.shown is self and not view.put(frame):
                self.keys.ask()


def encode_all(
    picture: av.VideoFrame, pts: int, work: list[tuple[Rendition, bool, int]], scale: Scale
) -> tuple[list[Encoded], float]:
    """Encode an RGB picture in each rendition, with key and bit rate of each. In a thread.

    Returns:
        The frames in their order, and the milliseconds it took.
    """
    began = perf_counter()
    frames = [
        rendition.encode(scale.to(picture, rendition.rung), pts, key, bitrate)
        for rendition, key, bitrate in work
    ]
    return frames, (perf_counter() - began) * 1e3


class Scale:
    """RGB → YUV 4:2:0 of each size, converted once a picture."""

    def __init__(self) -> None:
        self._to_yuv = av.video.reformatter.VideoReformatter()
        self._to_half = av.video.reformatter.VideoReformatter()
        self._of: av.VideoFrame | None = None
        self._made: dict[Rung, av.VideoFrame] = {}

    def to(self, picture: av.VideoFrame, rung: Rung) -> av.VideoFrame:
        """The picture in a size; the same object for the same picture."""
        if self._of is not picture:
            full = self._to_yuv.reformat(picture, format="yuv420p")
            self._of, self._made = picture, {Rung.FULL: full}
        if rung not in self._made:
            width, height = (
                side // rung.value // 2 * 2 for side in (picture.width, picture.height)
            )
            full = self._made[Rung.FULL]
            self._made[rung] = self._to_half.reformat(full, width=width, height=height)
        return self._made[rung]
