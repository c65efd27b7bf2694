"""When the lids close by themselves, and how."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from core import F32, FPS
from planner import physiology as ph
from planner.action import Action
from planner.library import load_library
from planner.shared import Forked, Shared

WHOLE: Final = 0.85
"A blink asked to close this far is played by one that closed, a slighter one by one that did not."
STRETCH_DOWN: Final = 0.7
"""Exponent on slowness of the closing: drowsy lids slow down less on the way shut than they linger
there (Caffier et al. 2003, Eur J Appl Physiol 89(3-4))."""
STRETCH_HELD: Final = 3
"Exponent on slowness of the time shut (ibid.: long closures; exponent free)."
ANNOUNCE_SECONDS: Final = 2.0
"A blink nearer than this is decided: it is announced, and only a closed eye swallows it."


@dataclass(frozen=True, slots=True, eq=False)
class Blink(Shared):
    """One closing and reopening of both eyes, as a real pair of lids went."""

    peak: float
    "When the lids meet, seconds: always the time of a frame, so that a frame shows it."
    curves: F32
    "float32 ``[2, N]``: recorded closure, left and right, of a library that all share."
    top: int
    "Sample of the curves' top."
    first: int
    "Last sample before either lid moves."
    last: int
    "First sample at which both are open again."
    rate: float
    "Samples a second."
    down: float
    "Factor on the time before the peak."
    held: float
    "Seconds added at the peak."
    up: float
    "Factor on the time after it."
    closure: float
    "How far, in [0, 1]."
    weaker: float
    "Closure of the weaker lid as a share of the stronger's."
    left_weaker: bool
    why: str

    @property
    def start(self) -> float:
        """When the first lid begins to move, seconds."""
        return self.peak - self.down * (self.top - self.first) / self.rate

    @property
    def end(self) -> float:
        """When both are open again, seconds."""
        return self.peak + self.held + self.up * (self.last - self.top) / self.rate

    def at(self, t: float) -> tuple[float, float]:
        """Closure of the left and of the right eye at ``t`` seconds."""
        since = t - self.peak
        if since <= 0:
            x = self.top + since / self.down * self.rate
        else:
            x = self.top + max(since - self.held, 0.0) / self.up * self.rate
        if not 0 <= x < self.curves.shape[1] - 1:
            return 0.0, 0.0
        i = int(x)
        share = x - i
        (left, left_next), (right, right_next) = self.curves[:, i : i + 2].tolist()
        left = self.closure * (left + share * (left_next - left))
        right = self.closure * (right + share * (right_next - right))
        return (self.weaker * left, right) if self.left_weaker else (left, self.weaker * right)


class Blinks(Forked):
    """Plans blinks one ahead and plays them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._rate = ph.BLINKS_PER_MINUTE["idle"]
        self._slowness = 1.0
        self._left_weaker = bool(rng.random() < 0.5)
        self._now: list[Blink] = []
        self._double = False
        self._next: Blink | None = None
        self._told = False
        self._last = -math.inf
        self._news: list[Action] = []
        self._seed_first()

    def set_manner(self, per_minute: float, slowness: float, t: float) -> None:
        """Blink ``per_minute`` times, each ``slowness`` times as long, from ``t`` seconds on.

        A blink that has been announced stays as announced.
        """
        if (per_minute, slowness) == (self._rate, self._slowness):
            return
        self._rate, self._slowness = per_minute, slowness
        if not self._told:
            self._next = None

    def ask(self, t: float, why: str, *, closure: float = 1.0, slowness: float = 1.0) -> Blink:
        """A blink that begins at ``t`` seconds, or a little later to meet a frame."""
        blink = self._make(t, why, slowness, closure, begins=True)
        self._now.append(blink)
        self._last = max(self._last, blink.peak)
        if not self._told:
            self._next = None
        return blink

    def accompany(self, t: float, why: str = "with the gaze shift") -> Blink | None:
        """A blink along with something else at ``t``, unless one has just been or is just due."""
        due = self._next.peak if self._next is not None and self._told else math.inf
        if t - self._last < 0.7 or due - t < 0.7:
            return None
        return self.ask(t, why, slowness=self._slowness)

    def hold_off(self, until: float, t: float) -> None:
        """No blink of its own before ``until``: something else is shown with the lids."""
        if self._next is None or self._next.start < until:
            if self._next is not None and self._told:
                self._news.append(as_action(self._next, withdrawn=True))
            self._next, self._told = None, False
            self._last = max(self._last, until - ph.BLINK_GAP_SECONDS)

    def news(self) -> list[Action]:
        """What was decided (or withdrawn) since the last call."""
        told, self._news = self._news, []
        return told

    def step(self, t: float) -> tuple[float, float]:
        """Closure of the left and the right eye at ``t``."""
        if self._next is None:
            self._next = self._draw(t)
            self._told = False
        if not self._told and self._next.start - t <= ANNOUNCE_SECONDS:
            self._told = True
            self._news.append(as_action(self._next))
        if t >= self._next.start - 1 / FPS:
            self._now.append(self._next)
            self._last = max(self._last, self._next.peak)
            self._next = None
        left = right = 0.0
        if self._now:
            for blink in self._now:
                one, other = blink.at(t)
                left = 1 - (1 - left) * (1 - one)
                right = 1 - (1 - right) * (1 - other)
            self._now = [b for b in self._now if b.end > t]
        return left, right

    # --- inside ------------------------------------------------------------------------------

    def _seed_first(self) -> None:
        """The first blink comes soon, at a moment of its own: the session begins mid-life."""
        soon = float(self._rng.uniform(0.4, 2.2))
        self._next = self._make(soon, "moistens the eyes", 1.0, 1.0)

    def _draw(self, t: float) -> Blink:
        rng = self._rng
        if self._double:
            self._double = False
            return self._make(
                max(t, self._last) + float(rng.uniform(*ph.DOUBLE_BLINK_SECONDS)) * self._slowness,
                "second of a double blink",
                self._slowness,
                1.0,
            )
        mean = 60 / self._rate * (1 + ph.EXTRA_BLINKS_SHARE)
        spread = ph.BLINK_INTERVAL_SPREAD
        gap = float(rng.lognormal(math.log(mean) - spread * spread / 2, spread))
        gap = min(max(gap, ph.BLINK_GAP_SECONDS), max(ph.BLINK_INTERVAL_LONGEST, 1.5 * mean))
        since = max(self._last, t - gap)  # never in the past, whatever was asked in between
        closure = 1.0
        if rng.random() < ph.PARTIAL_BLINK_SHARE:
            closure = float(rng.uniform(*ph.PARTIAL_BLINK_CLOSURE))
        self._double = closure == 1.0 and bool(rng.random() < ph.DOUBLE_BLINK_SHARE)
        peak = max(since + gap, t + 0.3 * self._slowness)
        return self._make(peak, "moistens the eyes", self._slowness, closure)

    def _make(
        self, t: float, why: str, slowness: float, closure: float, *, begins: bool = False
    ) -> Blink:
        """A blink that is shut at ``t``, or ``begins`` there, or a little later to meet a frame."""
        rng = self._rng
        shapes = load_library().blinks
        pool = _pool(closure >= WHOLE)
        curves = shapes.curves[pool[int(rng.integers(len(pool)))]]
        first, last = _extent(curves)
        down = slowness**STRETCH_DOWN
        peak = t + down * (shapes.top - first) / shapes.rate if begins else t
        blink = Blink(
            peak=math.ceil(peak * FPS - 1e-6) / FPS,
            curves=curves,
            top=shapes.top,
            first=first,
            last=last,
            rate=shapes.rate,
            down=down,
            held=ph.CLOSED_SECONDS[0] * max(slowness**STRETCH_HELD - 1, 0.0),
            up=slowness,
            closure=closure,
            weaker=1 - float(rng.uniform(0, ph.BLINK_SIDE_SHARE)),
            left_weaker=self._left_weaker,
            why=why,
        )
        if rng.random() < 0.15:  # now and then the other side lags
            blink = replace(blink, left_weaker=not self._left_weaker)
        return blink


def as_action(blink: Blink, *, withdrawn: bool = False) -> Action:
    """What to tell about ``blink``."""
    start = math.ceil(blink.start * FPS)
    peak = round(blink.peak * FPS)
    end = max(peak + 1, math.ceil(blink.end * FPS))
    if withdrawn:
        return Action("blink", start, peak, end, 0.0, "withdrawn")
    return Action("blink", start, peak, end, round(blink.closure, 3), blink.why)


@cache
def _pool(whole: bool) -> npt.NDArray[np.intp]:
    """Recorded blinks that closed, or that did not."""
    depth = load_library().blinks.depth
    fitting = np.flatnonzero((depth >= WHOLE) if whole else (depth < WHOLE))
    return fitting if len(fitting) else np.arange(len(depth))


def _extent(curves: F32) -> tuple[int, int]:
    """Last sample before either lid moves, and the first at which both are open again."""
    moving = np.flatnonzero(curves.max(axis=0) > 0)
    return max(int(moving[0]) - 1, 0), min(int(moving[-1]) + 1, curves.shape[1] - 1)
