"""Speech waiting to be spoken: segments in order, taken a frame at a time.

A *segment* is one utterance or one streamed run of audio. While it is open, running dry is an
*underrun* (the voice is late: hold the pose), not silence (the voice has nothing to say). A voice
that is slower than speech has to pause somewhere; it does so where it is quiet, between words or in
the closure of a consonant, before it would break off in the middle of a vowel. Pure: no clock, no
tasks, no I/O.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from core import F32, FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, Busy

FADE_SAMPLES: Final = SAMPLE_RATE * 40 // 1000
"40 ms, two packets: an interrupt fades what plays, which is heard as stopping, not as a click."
EDGE_SAMPLES: Final = SAMPLE_RATE * 4 // 1000
"4 ms ramp where an underrun breaks or resumes the sound."
SLOW: Final = 0.9
"A voice that makes less than this share of real time will run dry."
TELLING: Final = FPS
"Frames of supply after which that can be told."
MEMORY: Final = 4 * FPS
"Frames of supply that count; of older ones half."
PIECE: Final = 6
"Frames between two pieces of a steady supply, at most; longer ones are silences of the source."
LOW: Final = SAMPLE_RATE * 240 // 1000
"Samples waiting below which a slow voice pauses at the next quiet frame."
GATHERED: Final = SAMPLE_RATE * 400 // 1000
"And at which it goes on: pauses are fewer and longer than with `start_ms`."
QUIET: Final = 0.15
"Of the loudness of speech: between words, or a closure."
FORGET: Final = 0.99
"How much of the loudest is remembered a frame later."
_NOTHING: Final = np.zeros(0, np.float32)


@dataclass(slots=True, eq=False)
class Segment:
    """One run of speech. ``open`` until its source says that nothing follows."""

    cause: str | None = None
    text: str = ""
    "What it says, where that is known."
    live: bool = False
    "A microphone: newest first, so a backlog is dropped instead of played late."
    open: bool = True
    started: bool = False
    flowing: bool = False
    "False before the first sample and after an underrun, until enough has gathered again."
    chunks: deque[F32] = field(default_factory=deque)
    length: int = 0
    "Samples waiting."
    pushed: int = 0
    "Samples that have come, with those that were spoken."
    newest: int | None = None
    "The queue's frame when its newest sample came."
    supplied: float = 0.0
    "Samples that came steadily,"
    supplying: float = 0.0
    "and the frames that this took."
    loudness: float = 0.0
    "Root mean square of its loudest frames of late."

    def pop(self, count: int) -> F32:
        """Take up to ``count`` samples."""
        parts: list[F32] = []
        while count > 0 and self.chunks:
            head = self.chunks.popleft()
            if len(head) > count:
                self.chunks.appendleft(head[count:])
                head = head[:count]
            parts.append(head)
            count -= len(head)
        taken = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        self.length -= len(taken)
        return taken


@dataclass(frozen=True, slots=True)
class Speech:
    """What one video frame's worth of time says."""

    samples: F32
    "float32 ``[640]``, silence where there is nothing to say."
    started: Segment | None = None
    "The segment whose first sample is in here."
    ended: Segment | None = None
    "The segment whose last sample is in here."
    underrun: bool = False
    "An open segment ran dry."


class SpeechQueue:
    """Speech of one session, bounded in time."""

    def __init__(
        self, *, limit: float, start_ms: int, live_backlog_ms: int, window_frames: int = 1
    ) -> None:
        """Args:
        limit: Seconds of audio.
        start_ms: See `RuntimeSettings`, as for the next.
        live_backlog_ms: See there.
        window_frames: Frames that are taken at once: what arrives as fast as it is spoken has to
            gather that much first, and so much more of it waits.
        """
        self._limit = int(limit * SAMPLE_RATE)
        more = (window_frames - 1) * SAMPLES_PER_FRAME
        self._threshold = max(SAMPLES_PER_FRAME, start_ms * SAMPLE_RATE // 1000) + more
        self._backlog = live_backlog_ms * SAMPLE_RATE // 1000 + more
        self._segments: deque[Segment] = deque()
        self._fade: F32 = np.zeros(0, np.float32)
        self._frame = 0  # counts what was taken
        self.dropped = 0
        "Samples of live audio given up because they came too late."

    @property
    def waiting(self) -> int:
        """Samples queued, over all segments."""
        return sum(s.length for s in self._segments)

    @property
    def room(self) -> int:
        """Samples that still fit."""
        return max(0, self._limit - self.waiting)

    @property
    def ready(self) -> bool:
        """Whether a segment waits that could start to sound at once."""
        first = self._segments[0] if self._segments else None
        if first is None or first.started:
            return False
        return first.length >= self._threshold if first.open else first.length > 0

    @property
    def active(self) -> bool:
        """Whether anything plays or waits."""
        return bool(self._segments) or len(self._fade) > 0

    def open(self, cause: str | None = None, *, text: str = "", live: bool = False) -> Segment:
        """Append a new segment."""
        segment = Segment(cause=cause, text=text, live=live)
        self._segments.append(segment)
        return segment

    def push(self, segment: Segment, samples: F32) -> None:
        """Append float32 ``[N]`` to an open segment. Raises Busy when the queue is full."""
        if segment not in self._segments:
            return  # it was interrupted while its source still sent
        if segment.live:
            excess = segment.length + len(samples) - self._backlog
            if excess > 0:
                self.dropped += len(segment.pop(excess))
        if len(samples) > self.room:
            raise Busy(
                f"More than {self._limit / SAMPLE_RATE:.0f} s of speech are waiting;"
                " send audio no faster than it is spoken, or interrupt first.",
                retry_after=1,
            )
        self._follow_supply(segment, len(samples))
        segment.chunks.append(samples)
        segment.length += len(samples)
        segment.pushed += len(samples)

    def close(self, segment: Segment) -> None:
        """Say that nothing follows; what is queued still plays."""
        segment.open = False

    def interrupt(self, taken: F32 = _NOTHING) -> bool:
        """Drop everything; a short fade of the current sound remains. True if any was dropped.

        Args:
            taken: float32 ``[N]``, what was taken but is not heard yet. The fade begins in it,
                in place, and goes on in what `take` returns.
        """
        had = bool(self._segments)
        tail, left = self._fade, max(0, FADE_SAMPLES - len(taken))
        if had and self._segments[0].flowing:
            tail = self._segments[0].pop(left)
        for segment in self._segments:
            segment.open = False
        self._segments.clear()
        length = min(FADE_SAMPLES, len(taken) + len(tail))
        ramp = np.linspace(1, 0, length, dtype=np.float32) ** 2
        taken[:length] *= ramp[: len(taken)]
        taken[length:] = 0.0
        self._fade = tail[:left] * ramp[len(taken) :]
        return had

    def resound(self, samples: F32) -> None:
        """After an interruption: let float32 ``[N]`` be heard before what is left of the fade."""
        self._fade = np.concatenate((samples[:FADE_SAMPLES], self._fade))[:FADE_SAMPLES]

    def peek(self, count: int) -> F32:
        """Up to ``count`` samples of what is being spoken, which stay where they are."""
        parts, left = [_NOTHING], count
        for chunk in self._segments[0].chunks if self._segments else ():
            if left <= 0:
                break
            parts.append(chunk[:left])
            left -= len(chunk)
        return np.concatenate(parts)

    def take(self) -> Speech:
        """The next 640 samples. Call once per video frame of media time."""
        self._frame += 1
        if len(self._fade):
            head, self._fade = self._fade[:SAMPLES_PER_FRAME], self._fade[SAMPLES_PER_FRAME:]
            return Speech(_pad(head))
        while self._segments:
            segment = self._segments[0]
            if segment.open and (segment.length < self._needed(segment) or self._pauses(segment)):
                return self._run_dry(segment)
            if not segment.open and segment.length == 0:
                self._segments.popleft()
                if segment.started:
                    return Speech(_pad(segment.pop(0)), ended=segment)
                continue
            return self._play(segment)
        return Speech(_pad(np.zeros(0, np.float32)))

    def _needed(self, segment: Segment) -> int:
        """Samples that have to wait for the next frame to be played."""
        if segment.flowing:
            return SAMPLES_PER_FRAME
        return max(self._threshold, GATHERED) if self._slow(segment) else self._threshold

    def _follow_supply(self, segment: Segment, count: int) -> None:
        before, segment.newest = segment.newest, self._frame
        if before is None or self._frame - before > PIECE:
            return
        segment.supplied += count
        segment.supplying += self._frame - before
        if segment.supplying > MEMORY:
            segment.supplied, segment.supplying = segment.supplied / 2, segment.supplying / 2

    def _slow(self, segment: Segment) -> bool:
        """Whether its voice makes less than it speaks. Microphones make what they make."""
        if segment.live or segment.supplying < TELLING:
            return False
        return segment.supplied < SLOW * segment.supplying * SAMPLES_PER_FRAME

    def _pauses(self, segment: Segment) -> bool:
        """Whether here is a better place to wait than where it runs dry."""
        if not segment.flowing or segment.length >= LOW or not self._slow(segment):
            return False
        return _loudness(self.peek(SAMPLES_PER_FRAME)) < QUIET * segment.loudness

    def _play(self, segment: Segment) -> Speech:
        samples = _pad(segment.pop(SAMPLES_PER_FRAME))
        segment.loudness = max(FORGET * segment.loudness, _loudness(samples))
        if not segment.flowing and segment.started:
            samples[:EDGE_SAMPLES] *= np.linspace(0, 1, EDGE_SAMPLES, dtype=np.float32)
        started = None if segment.started else segment
        segment.started = segment.flowing = True
        ended = None
        if not segment.open and segment.length == 0:
            self._segments.popleft()
            ended = segment
        return Speech(samples, started=started, ended=ended)

    def _run_dry(self, segment: Segment) -> Speech:
        if not segment.flowing:
            return Speech(_pad(np.zeros(0, np.float32)), underrun=segment.started)
        segment.flowing = False
        tail = segment.pop(SAMPLES_PER_FRAME).copy()
        edge = min(EDGE_SAMPLES, len(tail))
        if edge:
            tail[-edge:] *= np.linspace(1, 0, edge, dtype=np.float32)
        return Speech(_pad(tail), underrun=True)


def _loudness(samples: F32) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0


def _pad(samples: F32) -> F32:
    """A fresh ``[640]`` array that starts with ``samples``."""
    padded = np.zeros(SAMPLES_PER_FRAME, np.float32)
    padded[: len(samples)] = samples
    return padded
