"""Gaze targets, and the ballistic rotations that take the eyes from one to the next."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from planner import physiology as ph
from planner.shared import Shared

Point: TypeAlias = tuple[float, float]
"Degrees from the viewer, to the person's own left and downwards."

VIEWER: Final[Point] = (0.0, 0.0)

FACE_POINTS: Final[tuple[tuple[Point, float], ...]] = (
    ((1.1, -0.4), 0.34),
    ((-1.1, -0.4), 0.34),
    ((0.0, 0.0), 0.17),
    ((0.0, 1.5), 0.15),
)
"""What is looked at in a viewer's face, and how often: mostly the eyes, sometimes the mouth
(Yarbus 1967, Eye Movements and Vision, ch. 7). Nearer together than a face across a table, so
that every one of them still feels like eye contact (Gamer & Hecht 2007, JEP:HPP 33(3))."""

DIRECTIONS: Final[Mapping[str, Point]] = {
    "left": (1.0, 0.0),
    "right": (-1.0, 0.0),
    "up": (0.0, -0.7),
    "down": (0.0, 1.0),
    "up_left": (0.85, -0.5),
    "up_right": (-0.85, -0.5),
    "down_left": (0.75, 0.65),
    "down_right": (-0.75, 0.65),
}
"The vertical range is smaller upwards, as the eyes' own is."


def in_words(point: Point) -> str:
    """Which way ``point`` lies: "up and right", the person's own right."""
    x, y = point
    parts = []
    if abs(y) > 0.4 * abs(x):
        parts.append("up" if y < 0 else "down")
    if abs(x) > 0.4 * abs(y):
        parts.append("left" if x > 0 else "right")
    return " and ".join(parts) or "at the viewer"


@dataclass(frozen=True, slots=True)
class GazeManner(Shared):
    """How the eyes behave for a while."""

    contact: float
    "Mean seconds of eye contact between two aversions; infinity for none."
    averted: tuple[float, float]
    "Seconds an aversion lasts."
    degrees: tuple[float, float]
    "How far away it looks."
    where: tuple[tuple[str, float], ...]
    "(direction, weight) pairs, directions as in `DIRECTIONS`, or `side`, `up_side`, `down_side`."
    restless: float = 1.0
    "Small saccades, as a multiple of the usual number."


@dataclass(frozen=True, slots=True)
class Saccade(Shared):
    """One ballistic rotation of the eyes in space."""

    start: float
    origin: Point
    target: Point

    @property
    def degrees(self) -> float:
        """Its size."""
        return math.hypot(self.target[0] - self.origin[0], self.target[1] - self.origin[1])

    @property
    def seconds(self) -> float:
        """How long it takes (main sequence)."""
        return ph.saccade_seconds(self.degrees)

    def at(self, t: float) -> Point:
        """Gaze direction at ``t`` seconds: a sine velocity profile."""
        s = min(max((t - self.start) / self.seconds, 0.0), 1.0)
        share = 0.5 - 0.5 * math.cos(math.pi * s)
        return (
            self.origin[0] + (self.target[0] - self.origin[0]) * share,
            self.origin[1] + (self.target[1] - self.origin[1]) * share,
        )


@dataclass(frozen=True, slots=True)
class Shift(Shared):
    """A planned change of where the eyes look."""

    start: float
    target: Point
    kind: str
    why: str
    head: bool
    "Whether the head may join."
    until: float
    "When the next one is due, as far as known."
