"""Sound from outside → float32 mono at 16 kHz."""

from __future__ import annotations

from typing import Any

import av
import numpy as np

from core import F32, SAMPLE_RATE, WIRE_SAMPLE_RATE, InvalidInput
from engines.resample import Resampler, mono, pcm16

MAX_SECONDS = 10
"Longest piece of sound in one binary message."


class PcmStream:
    """PCM16 little endian, in pieces of any length, as one continuous run of sound."""

    def __init__(self, rate: int = SAMPLE_RATE, channels: int = 1) -> None:
        self._rate = rate
        self._channels = channels
        self._resampler = Resampler(rate, SAMPLE_RATE)
        self._rest = b""

    def push(self, data: bytes) -> F32:
        """The next bytes → the samples they settle, float32 ``[N]`` at 16 kHz.

        A sample cut between two messages is carried over.

        Raises:
            InvalidInput: More than ten seconds at once.
        """
        frame = 2 * self._channels
        if len(data) > MAX_SECONDS * self._rate * frame:
            raise InvalidInput(
                f"One message holds at most {MAX_SECONDS} s of sound; send smaller pieces."
            )
        data = self._rest + data
        whole = len(data) // frame * frame
        self._rest = data[whole:]
        return self._resampler.push(mono(pcm16(data[:whole]), self._channels))

    def flush(self) -> F32:
        """End the run: the last samples."""
        self._rest = b""
        return self._resampler.flush()


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
