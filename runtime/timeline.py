"""What is planned and not yet on its way to the viewers, in order.

Windows are planned and rendered ahead; their sound and pictures wait here until shortly before they
are presented. So what nobody has got yet can be taken back: an interruption or a new instruction
shows after the time that a window takes to be made, not after all that was made before.

Pictures leave well before they are presented, as encoding them takes time. Sound leaves as late as
it can, in pieces of an Opus packet, so that an interruption still reaches what is about to be heard
and nobody downstream has anything to forget. Sound leaves on time whatever the pictures do. A
picture that is not there in time is left out, and the viewers hold the last one. Pure: no clock, no
tasks, no I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Final, Literal

import numpy as np

from core import F32, FPS, SAMPLE_RATE, SAMPLES_PER_FRAME, U8, AudioChunk, VideoFrame
from runtime.window import Window

PATIENCE: Final = 0.04
"Seconds after its presentation at which a picture is no longer waited for."
SOUND_AHEAD: Final = 0.03
"Seconds before its presentation that sound leaves: filter, Opus and a late event loop fit in."
PIECE: Final = SAMPLE_RATE // 50
"Samples that leave at once: 20 ms, one Opus packet."
_NOTHING: Final = np.zeros(0, np.float32)

Coming = Literal["made", "for nobody", "held"]
"A picture is being made or there; nobody watched; the one before is held instead."


@dataclass(slots=True, eq=False)
class Moment:
    """One frame's time."""

    frame: int
    "Counted since the session began."
    window: Window
    picture_is: Coming
    samples: F32
    "float32 ``[640]``, what is heard meanwhile."
    picture: U8 | None = None
    seen: bool = False
    "Its picture has left, or is left out."
    sounded: int = 0
    "Samples that have left."

    @property
    def pts(self) -> int:
        """Its first sample."""
        return self.frame * SAMPLES_PER_FRAME

    @property
    def loose(self) -> bool:
        """Whether nothing of it has left."""
        return not (self.seen or self.sounded)


@dataclass(frozen=True, slots=True)
class Leaving:
    """What goes to the viewers now."""

    audio: AudioChunk | None = None
    video: VideoFrame | None = None
    held: bool = False
    "There is no picture."


class Timeline:
    """A queue of moments, bounded by whoever plans. Times are seconds of media."""

    def __init__(self, ahead: float) -> None:
        """``ahead`` is how long before their presentation pictures leave, `SOUND_AHEAD` or more."""
        self._ahead = ahead
        self._moments: deque[Moment] = deque()

    def __len__(self) -> int:
        return len(self._moments)

    def add(self, window: Window, pictures: Coming) -> None:
        """Append a window."""
        self._moments.extend(
            Moment(frame, window, pictures, window.audio_of(frame - window.start).samples)
            for frame in range(window.start, window.start + len(window))
        )

    def show(self, window: Window, frame: int, picture: U8 | None) -> None:
        """A picture is there; None: there will be none. What was taken back is ignored."""
        moment = self._at(frame)
        if moment is not None and moment.window is window and not moment.seen:
            moment.picture = picture
            moment.picture_is = "held" if picture is None else "made"

    def give_up(self, window: Window) -> None:
        """No more pictures of a window come."""
        for moment in self._moments:
            if moment.window is window and moment.picture is None:
                moment.picture_is = "held"

    def blank(self) -> tuple[Window, int] | None:
        """The first window that was planned for nobody, and its first frame that has not left."""
        for moment in self._moments:
            if moment.picture_is == "for nobody" and not moment.seen:
                return moment.window, moment.frame
        return None

    def want(self, window: Window) -> None:
        """Pictures of a window's moments are being made after all."""
        for moment in self._moments:
            if moment.window is window:
                moment.picture_is = "made"

    def leave(self, now: float) -> Iterator[Leaving]:
        """What leaves by ``now``: sound and pictures, each in order, neither waiting."""
        for moment in self._moments:
            while moment.sounded < SAMPLES_PER_FRAME and _sounds_at(moment) <= now:
                first, moment.sounded = moment.sounded, moment.sounded + PIECE
                piece = moment.samples[first : moment.sounded]
                yield Leaving(audio=AudioChunk(piece, moment.pts + first))
        for moment in self._moments:
            if moment.seen:
                continue
            late = now > moment.frame / FPS + PATIENCE
            awaited = moment.picture is None and moment.picture_is == "made" and not late
            if awaited or moment.frame / FPS - self._ahead > now:
                break
            moment.seen = True
            if moment.picture is None:
                yield Leaving(held=True)
            else:
                yield Leaving(video=VideoFrame(moment.picture, moment.pts))
                moment.picture = None
        while self._moments and self._moments[0].seen and not self._mute(self._moments[0]):
            self._moments.popleft()

    def next(self) -> float | None:
        """When something leaves next; None when nothing waits."""
        times = [_sounds_at(m) for m in islice(filter(self._mute, self._moments), 1)]
        for moment in islice((m for m in self._moments if not m.seen), 1):
            awaited = moment.picture is None and moment.picture_is == "made"
            times.append(moment.frame / FPS + (PATIENCE if awaited else -self._ahead))
        return min(times, default=None)

    @property
    def loose(self) -> int:
        """How many of the last moments can be taken back: nothing of them has left."""
        return sum(1 for _ in takewhile(lambda m: m.loose, reversed(self._moments)))

    def cut(self, frame: int) -> Sequence[Moment]:
        """Take back all from ``frame`` on; what has begun to leave stays."""
        taken = [m for m in self._moments if m.frame >= frame and m.loose]
        self._moments = deque(m for m in self._moments if m.frame < frame or not m.loose)
        return taken

    def unheard(self) -> F32:
        """All the sound that waits, float32 ``[N]``, up to the end of the last moment."""
        return np.concatenate([_NOTHING, *(m.samples[m.sounded :] for m in self._moments)])

    def sound(self, samples: F32) -> None:
        """Let ``samples``, as many as `unheard` gave, be heard instead."""
        for moment in self._moments:
            count = SAMPLES_PER_FRAME - moment.sounded
            moment.samples = np.concatenate((moment.samples[: moment.sounded], samples[:count]))
            samples = samples[count:]

    @staticmethod
    def _mute(moment: Moment) -> bool:
        """Whether some of its sound has yet to leave."""
        return moment.sounded < SAMPLES_PER_FRAME

    def _at(self, frame: int) -> Moment | None:
        place = frame - self._moments[0].frame if self._moments else -1
        return self._moments[place] if 0 <= place < len(self._moments) else None


def _sounds_at(moment: Moment) -> float:
    """When the next piece of its sound leaves."""
    return (moment.pts + moment.sounded) / SAMPLE_RATE - SOUND_AHEAD
