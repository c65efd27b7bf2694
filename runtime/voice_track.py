"""What a session says, frame by frame: queued sound → the mouth, and the sound it belongs to.

A `Mouth` may look ahead: its track then lags the sound pushed with it. So sound is taken from the
queue that much before it is presented and waits in a delay line meanwhile; turns of speech wait
with it. What leaves together belongs together. Pure: no clock, no tasks, no I/O.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from core import F32, SAMPLES_PER_FRAME, MouthTrack
from engines.mouth import Mouth
from engines.resample import sanitise
from runtime.speech import Segment, SpeechQueue

NOTHING: Final = np.zeros(0, np.float32)
SHUT: Final = np.asarray((2 / 3, 1 / 3, 0, 0, 0, 0, 0, 0), np.float32)
"""How much of the mouth is left frame by frame after an interruption, as it would finish what it
has heard ahead; then it is closed anyway."""
LIVE_HANGOVER_FRAMES: Final = 12
"A microphone quiet for 480 ms has stopped speaking; shorter gaps are pauses between words."


@dataclass(frozen=True, slots=True)
class Turn:
    """Speech begins or ends."""

    frame: int
    "Where, counted from the first frame of the window."
    began: bool
    cause: str | None
    segment: Segment | None = field(default=None, compare=False)
    "What is spoken; None for what is told of an interruption."


@dataclass(frozen=True, slots=True)
class Voiced:
    """What some frames say; everything in it is about the same frames."""

    samples: F32
    "float32 ``[640 * n]``."
    mouth: MouthTrack
    tokens: F32
    "float32 ``[2 n, 256]``: see `engines.mouth.Mouth.tokens`."
    turns: tuple[Turn, ...]
    underruns: int
    "Frames for which an open segment had no sound."


class VoiceTrack:
    """Sound in, in whatever pieces it comes; frames out. One instance a session."""

    def __init__(self, queue: SpeechQueue, mouth: Mouth) -> None:
        self._queue = queue
        self._mouth = mouth
        self._line = np.zeros(mouth.lookahead, np.float32)
        self._pending: deque[tuple[int, bool, Segment]] = deque()
        "Turns that were taken but not presented: frame, whether it begins, segment."
        self._frame = 0
        self._stream: Segment | None = None
        self._sounding: Segment | None = None
        self._live_quiet = 0
        self._shut = SHUT[:0]

    @property
    def active(self) -> bool:
        """Whether anything sounds or waits to."""
        return self._queue.active or bool(self._pending) or self.sounding

    @property
    def ready(self) -> bool:
        """Whether something waits that could start to sound at once."""
        return self._queue.ready

    @property
    def sounding(self) -> bool:
        """Whether speech has begun, as it is presented, and has not ended."""
        return self._sounding is not None

    @property
    def live(self) -> bool:
        """Whether a microphone is open."""
        return self._stream is not None and self._stream.live

    @property
    def speaking(self) -> bool:
        """Whether a voice is heard in the frames presented last."""
        return self._mouth.speaking

    def coming(self, count: int) -> F32:
        """Up to ``count`` of the samples that follow those presented last."""
        parts = (self._line[:count], self._queue.peek(max(0, count - len(self._line))))
        return np.concatenate(parts)

    # --- commands ----------------------------------------------------------------------------

    def push(self, samples: F32, cause: str | None, *, live: bool) -> None:
        """Append float32 ``[N]`` to the stream; the first piece opens it. Raises Busy.

        NaN counts as silence and what lies outside [-1, 1] is clipped.
        """
        if self._stream is None or not self._stream.open:
            self._stream = self._queue.open(cause, live=live)
        self._queue.push(self._stream, sanitise(samples))

    def end(self) -> None:
        """Nothing follows what was pushed. Without a stream, nothing happens."""
        if self._stream is not None:
            self._queue.close(self._stream)
            self._stream = None

    def interrupt(self, taken: F32 = NOTHING, planned: F32 = NOTHING) -> tuple[bool, Turn | None]:
        """Stop: what sounds fades, the rest is gone.

        Args:
            taken: float32 ``[640 n]``: what was advanced over and is not presented after all.
            planned: float32 ``[N]``: what was advanced over before that and keeps its place, but
                is not heard yet. The fade begins there, in place.

        Returns:
            Whether anything was dropped, and the turn that this ends.
        """
        coming = np.concatenate((planned, taken, self._line))
        dropped = self._queue.interrupt(coming) or bool(self._pending)
        planned[:], self._line = coming[: len(planned)], coming[len(planned) :]
        if len(taken):
            lag = self._mouth.lookahead
            self._queue.resound(self._line[lag:])
            self._line = self._line[:lag]
        self._pending.clear()
        self._shut = SHUT
        self._stream = None
        sounding, self._sounding = self._sounding, None
        return dropped, None if sounding is None else Turn(0, False, sounding.cause)

    # --- frames ------------------------------------------------------------------------------

    def advance(self, frames: int) -> Voiced:
        """The next ``frames`` frames."""
        parts, turns, underruns = [self._line], list[Turn](), 0
        for frame in range(frames):
            speech = self._queue.take()
            parts.append(speech.samples)
            underruns += speech.underrun
            self._await(speech.started, speech.ended)
            if speech.started is not None:
                self._shut = SHUT[:0]
            turns += self._due(frame)
            self._frame += 1
        held = np.concatenate(parts)
        cut = frames * SAMPLES_PER_FRAME
        mouth = self._mouth.push(held[len(self._line) :])
        if len(self._shut):
            mouth = self._close(mouth)
        self._line = held[cut:]
        if self.live:
            turns += self._follow_microphone(frames)
        return Voiced(held[:cut], mouth, self._mouth.tokens, tuple(turns), underruns)

    def _close(self, mouth: MouthTrack) -> MouthTrack:
        share, self._shut = self._shut[: len(mouth)], self._shut[len(mouth) :]
        values = mouth.values.copy()
        values[: len(share)] *= share[:, None]
        return MouthTrack(values)

    def _await(self, started: Segment | None, ended: Segment | None) -> None:
        """Remember when a turn of the frame just taken will be presented."""
        lag = self._mouth.lookahead
        if started is not None and not started.live:
            self._pending.append((self._frame + lag // SAMPLES_PER_FRAME, True, started))
        if ended is not None:
            self._pending.append((self._frame - (-lag // SAMPLES_PER_FRAME), False, ended))

    def _due(self, frame: int) -> list[Turn]:
        """The turns of the frame to be presented now."""
        turns = []
        while self._pending and self._pending[0][0] <= self._frame:
            _, began, segment = self._pending.popleft()
            if began or self._sounding is not None:
                self._sounding = segment if began else None
                turns.append(Turn(frame, began, segment.cause, segment))
        return turns

    def _follow_microphone(self, frames: int) -> list[Turn]:
        """A microphone's turns are told by voice activity."""
        assert self._stream is not None
        speaking = self._mouth.speaking
        self._live_quiet = 0 if speaking else self._live_quiet + frames
        if speaking and self._sounding is None and self._stream.started:
            self._sounding = self._stream
            return [Turn(0, True, self._stream.cause, self._stream)]
        if self._sounding is not None and self._live_quiet > LIVE_HANGOVER_FRAMES:
            self._sounding = None
            return [Turn(0, False, self._stream.cause, self._stream)]
        return []
