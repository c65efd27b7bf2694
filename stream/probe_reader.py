"""Reads what the probe burnt in, and tells what it means. Pure: no clock, no I/O.

Tracks are aligned as browsers do: a sender report says which RTP timestamp belongs to which moment
of the sender's clock (RFC 3550 section 6.4.1). What is burnt in says which moment of media that is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from core import FPS, VIDEO_CLOCK, WIRE_SAMPLE_RATE
from stream.pacer import NTP_UNIX
from stream.probe_mark import COLUMNS, ID_BITS, ROWS, beep, crc8, unit

WRAP: Final = 1 << 32
ALIKE: Final = 0.6
"Correlation with the beep above which a sound is one."
QUIET: Final = 0.05
"Share of a beep's own energy below which nothing sounds."
BLOCK: Final = WIRE_SAMPLE_RATE // 10
"Samples that are searched for beeps at once: reports may change while they are collected."
KEPT: Final = 250
"Pictures remembered: ten seconds."
NEAR: Final = 12
"Frames between a beep and the picture it is compared with, at most."
FAR: Final = 3 * 1.4826
"Median deviations (in standard deviations of a normal one) from the line that count as off it."
LEAST_FAR: Final = 1e-3
"Seconds that never do."

F64 = npt.NDArray[np.float64]


def read_number(luma: npt.NDArray[np.uint8]) -> int | None:
    """The frame number burnt into a picture, uint8 ``[H, W]``; None where there is none."""
    u = unit(len(luma))
    if luma.shape[0] < (ROWS + 1) * u or luma.shape[1] < (COLUMNS + 1) * u:
        return None
    grid = luma[u : (ROWS + 1) * u, u : (COLUMNS + 1) * u]
    squares = grid.reshape(ROWS, u, COLUMNS, u)[:, u // 4 : u - u // 4, :, u // 4 : u - u // 4]
    word = 0
    for bit in squares.mean(axis=(1, 3)).ravel() > 128:
        word = word << 1 | int(bit)
    number, check = word >> 8, word & 0xFF
    return number if crc8(number.to_bytes(ID_BITS // 8, "big")) == check else None


class SenderClock:
    """Maps one track's RTP timestamps to the sender's wall clock, by its latest report."""

    def __init__(self, rate: int) -> None:
        """``rate`` is the track's RTP clock, Hz."""
        self._rate = rate
        self._report: tuple[float, int] | None = None

    def report(self, ntp: int, rtp: int) -> None:
        """A sender report: 64-bit NTP time, 32-bit RTP timestamp."""
        self._report = ntp / WRAP - NTP_UNIX, rtp

    def at(self, rtp: float) -> float | None:
        """Unix time at which ``rtp`` is presented; None before the first report."""
        if self._report is None:
            return None
        wall, base = self._report
        ticks = (rtp - base + WRAP / 2) % WRAP - WRAP / 2
        return wall + ticks / self._rate


class BeepFinder:
    """Finds beeps in sound that comes in pieces; positions are those of their first sample."""

    def __init__(self) -> None:
        self._tone = beep(WIRE_SAMPLE_RATE).astype(np.float64)
        self._energy = float(self._tone @ self._tone)
        self._kept: F64 = np.zeros(0)
        self._start = 0  # position of the first sample kept

    def push(self, samples: F64, position: int) -> list[float]:
        """More mono sound in [-1, 1] at 48 kHz; gaps and overlaps begin anew.

        Returns:
            Positions of beeps, to fractions of a sample.
        """
        if position != self._start + len(self._kept):
            self._kept, self._start = np.zeros(0), position
        self._kept = np.concatenate((self._kept, samples))
        if len(self._kept) < BLOCK + 2 * len(self._tone):
            return []
        found = self._search()
        self._kept, self._start = self._kept[BLOCK:], self._start + BLOCK
        return found

    def _search(self) -> list[float]:
        x, count = self._kept, len(self._tone)
        match = np.correlate(x, self._tone, "valid")
        power = np.convolve(x * x, np.ones(count), "valid")
        alike = match / np.sqrt(self._energy * np.maximum(power, QUIET * self._energy))
        found = []
        # One block at a time is looked at, with a tone's length around it to compare with.
        for i in range(count // 2, min(count // 2 + BLOCK, len(alike) - 1)):
            near = alike[max(0, i - count) : i + count + 1]
            if alike[i] > ALIKE and alike[i] == near.max():
                a, b, c = alike[i - 1], alike[i], alike[i + 1]
                bend = a - 2 * b + c
                found.append(self._start + i + (0.5 * (a - c) / bend if bend else 0.0))
        return found


@dataclass(frozen=True, slots=True)
class Found:
    """What a probe found. Milliseconds unless the name says otherwise."""

    seconds: float
    beeps: int
    offset_median: float
    "Sound is later than the picture by this; negative: earlier."
    offset_p95: float
    "Of the offset's size."
    drift_per_hour: float
    "Of the offset, ms/h, by a line through all beeps."
    drift_error: float
    "Standard error of that."
    outliers: int
    "Beeps far off the line, such as after a stall of the server; not in the drift."
    latency_median: float
    "From the moment a picture is due on the sender's clock to its being decoded."
    latency_p95: float
    frames: int
    lost: int
    "Numbers between the first and the last that were never seen."
    unreadable: int


class Tally:
    """Collects moments of both tracks."""

    def __init__(self) -> None:
        self.picture = SenderClock(VIDEO_CLOCK)
        self.sound = SenderClock(WIRE_SAMPLE_RATE)
        self.frames = self.unreadable = 0
        self._first: int | None = None
        self._last = 0
        self._seen = 0
        self._began: float | None = None
        self._early: deque[tuple[int, float, float]] = deque(maxlen=KEPT)  # before any report
        self._shown: deque[tuple[int, float]] = deque(maxlen=KEPT)  # number, when it is presented
        self._offsets: list[tuple[float, float]] = []
        self._latencies: list[float] = []

    def saw(self, number: int | None, rtp: float, now: float) -> None:
        """A decoded picture.

        Args:
            number: Burnt in; None when it could not be read.
            rtp: Its RTP timestamp.
            now: Unix time.
        """
        self.frames += 1
        if number is None:
            self.unreadable += 1
            return
        if self._first is None or number > self._last:
            self._seen += 1
        self._first = number if self._first is None else self._first
        self._last = max(self._last, number)
        self._early.append((number, rtp, now))
        while self._early and (at := self.picture.at(self._early[0][1])) is not None:
            shown, _, arrived = self._early.popleft()
            self._began = at if self._began is None else self._began
            self._shown.append((shown, at))
            self._latencies.append(arrived - at)

    def heard(self, rtp: float) -> None:
        """A beep that begins at an RTP timestamp."""
        at = self.sound.at(rtp)
        if at is None or self._began is None:
            return
        # The picture presented next to it tells which second it was; that second's own picture,
        # or the nearest there is, tells when that should have sounded.
        number, shown = min(self._shown, key=lambda pair: abs(pair[1] - at))
        second = round(number / FPS + at - shown)
        number, shown = min(self._shown, key=lambda pair: abs(pair[0] - second * FPS))
        if abs(number - second * FPS) <= NEAR:
            due = shown + second - number / FPS
            self._offsets.append((at - self._began, at - due))

    def found(self) -> Found | None:
        """What it means; None before there were three beeps."""
        if len(self._offsets) < 3:
            return None
        when, offset = np.array(self._offsets).T
        near = ~outliers(when, offset)
        slope, error = line(when[near], offset[near])
        latency = np.array(self._latencies)
        first = self._first or 0
        return Found(
            seconds=float(when[-1] - when[0]),
            beeps=len(offset),
            offset_median=float(np.median(offset)) * 1e3,
            offset_p95=float(np.percentile(np.abs(offset), 95)) * 1e3,
            drift_per_hour=slope * 3600e3,
            drift_error=error * 3600e3,
            outliers=int((~near).sum()),
            latency_median=float(np.median(latency)) * 1e3,
            latency_p95=float(np.percentile(latency, 95)) * 1e3,
            frames=self.frames,
            lost=self._last - first + 1 - self._seen - self.unreadable,
            unreadable=self.unreadable,
        )


def line(x: F64, y: F64) -> tuple[float, float]:
    """Slope of the least-squares line through points, and its standard error."""
    dx = x - x.mean()
    spread = float(dx @ dx)
    slope = float(dx @ y) / spread
    rest = y - y.mean() - slope * dx
    return slope, float(np.sqrt(rest @ rest / max(1, len(x) - 2) / spread))


def outliers(x: F64, y: F64) -> npt.NDArray[np.bool_]:
    """Which points are far off a line between the medians of the first and the last third."""
    third = max(1, len(x) // 3)
    order = np.argsort(x)
    first, last = order[:third], order[-third:]
    run = float(np.median(x[last]) - np.median(x[first]))
    slope = float(np.median(y[last]) - np.median(y[first])) / run if run else 0.0
    rest = y - slope * x
    off = np.abs(rest - np.median(rest))
    return np.asarray(off > max(LEAST_FAR, FAR * float(np.median(off))))
