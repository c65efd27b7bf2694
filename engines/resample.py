"""Sound as Saccade wants it: PCM bytes, channels and wild values made safe, rates changed.

Rates change by a polyphase windowed sinc in numpy rather than by libswresample: a resampler here
must be exact to the sample over a whole run (audio is the master clock), give the same samples
however the run is cut, and wait for no more than it needs. libswresample pads its own latency,
rounds the length of the run, and costs a frame object per call.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, gcd
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from core import F32, InvalidInput

MIN_RATE: Final = 8_000
MAX_RATE: Final = 96_000
ZERO_CROSSINGS: Final = 32
"Half the filter, in samples of the lower of the two rates: 2 ms at 16 kHz, 4 ms at 8 kHz."
STOPBAND_DB: Final = 80.0


def pcm16(data: bytes | bytearray | memoryview) -> F32:
    """Little-endian 16-bit PCM as float32 ``[N]`` in [-1, 1).

    Raises:
        InvalidInput: An odd number of bytes, so that a sample is cut in two.
    """
    if len(data) % 2:
        raise InvalidInput(
            f"The audio message has {len(data)} bytes, which is not a whole number of 16-bit "
            "samples. Send PCM16 little-endian, two bytes a sample.",
            bytes=len(data),
        )
    return np.frombuffer(data, "<i2").astype(np.float32) / np.float32(32768.0)


def to_pcm16(samples: F32) -> bytes:
    """Float samples ``[N]`` as little-endian 16-bit PCM; what lies outside [-1, 1] is clipped."""
    scaled = np.rint(np.clip(samples, -1.0, 1.0) * np.float32(32767.0))
    data: bytes = scaled.astype("<i2").tobytes()
    return data


def mono(interleaved: F32, channels: int) -> F32:
    """The mean of the channels of interleaved samples, float32 ``[N * channels]`` → ``[N]``.

    Raises:
        InvalidInput: No channels, more than eight, or a last sample without all of them.
    """
    if not 1 <= channels <= 8:
        raise InvalidInput(f"{channels} audio channels: send one to eight.", channels=channels)
    if len(interleaved) % channels:
        raise InvalidInput(
            f"{len(interleaved)} samples do not divide into {channels} channels. "
            "Send whole sample frames.",
            samples=len(interleaved),
            channels=channels,
        )
    if channels == 1:
        return interleaved
    mixed: F32 = interleaved.reshape(-1, channels).mean(axis=1, dtype=np.float32)
    return mixed


def sanitise(samples: npt.NDArray[Any]) -> F32:
    """Any real samples ``[N]`` as finite float32 in [-1, 1]: NaN → 0, ±inf and overs → ±1."""
    with np.errstate(over="ignore", invalid="ignore"):  # float64 beyond float32 becomes inf
        out = np.nan_to_num(samples.astype(np.float32), copy=False, nan=0.0, posinf=1, neginf=-1)
    clipped: F32 = np.clip(out, -1.0, 1.0, out=out)
    return clipped


@dataclass(frozen=True, slots=True, eq=False)
class _Bank:
    """A polyphase filter: ``up / down`` is the ratio of the rates in lowest terms."""

    up: int
    down: int
    half: int
    "Input samples needed on each side of an output sample."
    taps: F32
    "float32 ``[up, 2 * half]``; row p is the filter for outputs p/up after an input sample."


@lru_cache(maxsize=16)
def _bank(src: int, dst: int) -> _Bank:
    """Kaiser-windowed sinc, unity gain at DC in every phase.

    Source: Kaiser & Schafer, "On the use of the I0-sinh window for spectrum analysis", IEEE
    Trans. ASSP 28(1), 1980: beta and transition width for a given stop-band attenuation.
    """
    divisor = gcd(src, dst)
    up, down = dst // divisor, src // divisor
    low = min(1.0, dst / src)  # the lower rate, as a share of the input rate
    width = ZERO_CROSSINGS / low
    half = ceil(width) + 1
    beta = 0.1102 * (STOPBAND_DB - 8.7)
    # The transition band ends at the lower Nyquist frequency, so that nothing folds back.
    transition = (STOPBAND_DB - 8.0) / (2.285 * 2.0 * np.pi * 2.0 * ZERO_CROSSINGS)
    cutoff = (0.5 - 0.5 * transition) * low
    phase = np.arange(up)[:, None] / up
    t = np.arange(-half + 1, half + 1)[None, :] - phase  # input index relative to the output
    # One finely sampled window for all phases: rates without a common divisor have thousands.
    grid = np.linspace(0.0, 1.0, 4_096)
    window = np.i0(beta * np.sqrt(1.0 - grid**2)) / np.i0(beta)
    taps = np.sinc(2.0 * cutoff * t) * np.interp(np.abs(t) / width, grid, window, right=0.0)
    taps /= taps.sum(axis=1, keepdims=True)
    taps32 = taps.astype(np.float32)
    taps32.setflags(write=False)
    return _Bank(up, down, half, taps32)


class Resampler:
    """One run of mono sound from one rate to another, in pieces of any length.

    Output sample n is the input at time n / ``dst_rate``, with no shift: the filter waits for
    `delay` seconds of input beyond it instead. N samples in give ⌊N · dst / src + ½⌋ out after
    `flush`, and the same samples however they are cut (to float rounding).
    """

    def __init__(self, src_rate: int, dst_rate: int) -> None:
        """Raises InvalidInput when a rate is not between 8,000 and 96,000 Hz."""
        for rate in (src_rate, dst_rate):
            if not MIN_RATE <= rate <= MAX_RATE:
                raise InvalidInput(
                    f"A sample rate of {rate} Hz is not supported: "
                    f"use {MIN_RATE} to {MAX_RATE} Hz.",
                    rate=rate,
                )
        self.src_rate = src_rate
        self.dst_rate = dst_rate
        self._bank = None if src_rate == dst_rate else _bank(src_rate, dst_rate)
        self._reset()

    def _reset(self) -> None:
        half = self._bank.half if self._bank else 0
        self._held: F32 = np.zeros(max(half - 1, 0), np.float32)  # silence before the run
        self._held_from = 1 - half  # index of the first held input sample
        self._received = 0
        self._sent = 0

    @property
    def delay(self) -> float:
        """Seconds of input waited for beyond an output sample: at most 4.2 ms."""
        return self._bank.half / self.src_rate if self._bank else 0.0

    def push(self, samples: F32) -> F32:
        """The next input, float32 ``[N]`` → all output that it settles, float32 ``[M]``."""
        self._received += len(samples)
        if self._bank is None:
            return samples.copy()
        self._held = np.concatenate((self._held, samples))
        # Output n looks as far as input ⌊n · down / up⌋ + half.
        newest = self._received - 1 - self._bank.half
        until = ((newest + 1) * self._bank.up - 1) // self._bank.down + 1 if newest >= 0 else 0
        return self._make(until)

    def flush(self) -> F32:
        """End the run: the rest of the output, float32 ``[M]``. A new run may then begin."""
        if self._bank is None:
            self._reset()
            return np.zeros(0, np.float32)
        up, down = self._bank.up, self._bank.down
        self._held = np.concatenate((self._held, np.zeros(2 * self._bank.half, np.float32)))
        out = self._make((2 * self._received * up + down) // (2 * down))
        self._reset()
        return out

    def _make(self, until: int) -> F32:
        """Outputs from the last one sent up to ``until``; forgets the input no longer needed."""
        bank = self._bank
        assert bank is not None
        if until <= self._sent:
            return np.zeros(0, np.float32)
        position = np.arange(self._sent, until, dtype=np.int64) * bank.down
        first = position // bank.up - (bank.half - 1) - self._held_from
        windows = np.lib.stride_tricks.sliding_window_view(self._held, 2 * bank.half)
        if bank.up == 1:
            out = windows[first[0] :: bank.down][: len(first)] @ bank.taps[0]
        else:
            out = np.einsum("nk,nk->n", windows[first], bank.taps[position % bank.up])
        self._sent = until
        keep_from = (until * bank.down) // bank.up - (bank.half - 1)
        drop = min(max(keep_from - self._held_from, 0), len(self._held))
        self._held = self._held[drop:].copy()
        self._held_from += drop
        made: F32 = out.astype(np.float32, copy=False)
        return made


def resample(samples: F32, src_rate: int, dst_rate: int) -> F32:
    """A whole piece at once, float32 ``[N]`` → ``[⌊N · dst / src + ½⌋]``."""
    resampler = Resampler(src_rate, dst_rate)
    return np.concatenate((resampler.push(samples), resampler.flush()))
