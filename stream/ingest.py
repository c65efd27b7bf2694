"""Sound from outside → float32 mono at 16 kHz."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from weakref import WeakKeyDictionary

import av
import numpy as np

from core import F32, SAMPLE_RATE, WIRE_SAMPLE_RATE, InvalidInput
from engines.resample import Resampler, mono, pcm16
from runtime.session import Session

MAX_SECONDS: Final = 10
"Longest piece of sound in one binary message."
SLICE: Final = 0.25
"Seconds of sound that are resampled at once: 7 ms of work at the least convenient rate."


PAUSE: Final = SAMPLE_RATE // 2
"Samples: a pause this long ends an utterance, where nothing else tells."
SILENCE: Final = 1e-3
"Loudest sample of silence: -60 dBFS."


class PcmStream:
    """PCM16 little endian, in pieces of any length, as one continuous run of sound."""

    def __init__(self, rate: int = SAMPLE_RATE, channels: int = 1) -> None:
        self._rate = rate
        self._channels = channels
        self._frame = 2 * channels
        self._resampler = Resampler(rate, SAMPLE_RATE)
        self._rest = b""

    def check(self, data: bytes) -> None:
        """Raises InvalidInput for more than ten seconds in one message."""
        if len(data) > MAX_SECONDS * self._rate * self._frame:
            raise InvalidInput(
                f"One message holds at most {MAX_SECONDS} s of sound; send smaller pieces."
            )

    def slices(self, data: bytes) -> Iterator[bytes]:
        """The message in pieces of a quarter second, so that no piece takes long."""
        step = int(SLICE * self._rate) * self._frame
        for at in range(0, len(data), step):
            yield data[at : at + step]

    def push(self, data: bytes) -> F32:
        """The next bytes → the samples they settle, float32 ``[N]`` at 16 kHz.

        A sample cut between two messages is carried over.
        """
        data = self._rest + data
        whole = len(data) // self._frame * self._frame
        self._rest = data[whole:]
        return self._resampler.push(mono(pcm16(data[:whole]), self._channels))

    def flush(self) -> F32:
        """End the run: the last samples."""
        self._rest = b""
        return self._resampler.flush()


class Runs:
    """To which turn of the conversation a client's sound belongs. Pure.

    Another client may interrupt while this one is sending: what it sends until it has learnt of
    that, or for the rest of the utterance if it does not care, is not to be spoken in the new turn.
    So sound belongs to the turn that its *run* began in. A client ends a run with a command. For
    those that only ever send sound, half a second of silence does, sent or not.
    """

    def __init__(self, turn: int) -> None:
        self._turn = turn
        self._named = False
        self._quiet = 0
        "Samples of silence, up to now."
        self._heard = 0.0
        "When the last sound came."

    def begin(self, turn: int, *, named: bool = False) -> None:
        """What follows is meant for that turn; ``named``: and for no other, pauses or not."""
        self._turn, self._named, self._quiet = turn, named, 0

    def now(self, turn: int) -> bool:
        """Whether the present turn is that of the run."""
        return self._turn == turn

    def fits(self, sound: F32, turn: int, now: float) -> bool:
        """Whether float32 ``[N]`` at 16 kHz, come at ``now``, seconds, is meant for ``turn``."""
        pause = round((now - self._heard) * SAMPLE_RATE)
        if not self._named and max(self._quiet, pause) >= PAUSE:
            self._turn = turn
        loud = np.flatnonzero(np.abs(sound) > SILENCE)
        self._quiet = len(sound) - 1 - int(loud[-1]) if len(loud) else self._quiet + len(sound)
        self._heard = now
        return self._turn == turn


class RtpAudio:
    """Decoded WebRTC audio frames, any layout and rate, as one run of sound."""

    def __init__(self) -> None:
        self._resampler = Resampler(WIRE_SAMPLE_RATE, SAMPLE_RATE)
        self._rate = WIRE_SAMPLE_RATE

    def push(self, frame: av.AudioFrame) -> F32:
        """One decoded frame → float32 ``[N]`` at 16 kHz."""
        if frame.sample_rate != self._rate:
            self._rate = frame.sample_rate
            self._resampler = Resampler(self._rate, SAMPLE_RATE)
        values: Any = frame.to_ndarray()
        channels = len(frame.layout.channels)
        planes = (
            values.reshape(channels, -1)
            if frame.format.is_planar
            else values.reshape(-1, channels).T
        )
        scale = 1 / 32768 if np.issubdtype(values.dtype, np.integer) else 1.0
        sound = np.asarray(planes.mean(axis=0) * scale, np.float32)
        return self._resampler.push(sound)


class Floor:
    """Who speaks into a session: the first microphone, until it leaves.

    Two at once would not be a conversation but a chopped mixture of both.
    """

    def __init__(self) -> None:
        self._speakers: WeakKeyDictionary[Session, object] = WeakKeyDictionary()

    def take(self, session: Session, who: object) -> bool:
        """Whether ``who`` may speak now; takes the floor when it is free."""
        return self._speakers.setdefault(session, who) is who

    def leave(self, session: Session, who: object) -> bool:
        """Give the floor back; whether ``who`` had it."""
        if self._speakers.get(session) is not who:
            return False
        del self._speakers[session]
        return True
