"""What is planned and not yet on its way to the viewers, in order.

Windows are planned and rendered ahead; their sound and pictures wait here until shortly before they
are presented. So what nobody has got yet can be taken back: an interruption or a new instruction
shows after the time that a window takes to be made, not after all that was made before.

Sound leaves on time whatever the pictures do. A picture that is not there in time is left out, and
the viewers hold the last one. Pure: no clock, no tasks, no I/O.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from core import FPS, U8, AudioChunk, VideoFrame
from runtime.window import Window

PATIENCE: Final = 0.04
"Seconds after its presentation at which a picture is no longer waited for."


Coming = Literal["made", "for nobody", "held"]
"A picture is being made or there; nobody watched; the one before is held instead."


@dataclass(slots=True, eq=False)
class Moment:
    """One frame's time."""

    frame: int
    "Counted since the session began."
    window: Window
    picture_is: Coming
    picture: U8 | None = None
    sounded: bool = False
    "Its sound has left."

    @property
    def audio(self) -> AudioChunk:
        """Its 640 samples."""
        return self.window.audio_of(self.frame - self.window.start)


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
        """``ahead`` is how long before their presentation things leave."""
        self._ahead = ahead
        self._moments: deque[Moment] = deque()

    def __len__(self) -> int:
        return len(self._moments)

    def add(self, window: Window, pictures: Coming) -> None:
        """Append a window."""
        self._moments.extend(
            Moment(frame, window, pictures)
            for frame in range(window.start, window.start + len(window))
        )

    def show(self, window: Window, frame: int, picture: U8 | None) -> None:
        """A picture is there; None: there will be none. What was taken back is ignored."""
        moment = self._at(frame)
        if moment is not None and moment.window is window:
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
            if moment.picture_is == "for nobody":
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
            if moment.frame / FPS - self._ahead > now:
                break
            if not moment.sounded:
                moment.sounded = True
                yield Leaving(audio=moment.audio)
        while self._moments and self._moments[0].sounded:
            moment = self._moments[0]
            late = now > moment.frame / FPS + PATIENCE
            if moment.picture is None and moment.picture_is == "made" and not late:
                break
            self._moments.popleft()
            if moment.picture is None:
                yield Leaving(held=True)
            else:
                yield Leaving(video=VideoFrame(moment.picture, moment.audio.pts))

    def next(self) -> float | None:
        """When something leaves next; None when nothing waits."""
        first = next((m for m in self._moments if not m.sounded), None)
        times = [] if first is None else [first.frame / FPS - self._ahead]
        if self._moments and self._moments[0].sounded:
            times.append(self._moments[0].frame / FPS + PATIENCE)
        return min(times, default=None)

    def cut(self, frame: int) -> Sequence[Moment]:
        """Take back all from ``frame`` on; what has sounded stays."""
        kept = [m for m in self._moments if m.frame < frame or m.sounded]
        taken = [m for m in self._moments if m.frame >= frame and not m.sounded]
        self._moments = deque(kept)
        return taken

    def _at(self, frame: int) -> Moment | None:
        place = frame - self._moments[0].frame if self._moments else -1
        return self._moments[place] if 0 <= place < len(self._moments) else None
