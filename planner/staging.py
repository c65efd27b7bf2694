"""Plays a category: walks from stage to stage and draws what each one shows this time."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from core import CHANNEL, FPS, MOUTH, POSE_SLICE
from planner.action import Action
from planner.motion import F64
from planner.plan import Event
from planner.row import MOUTH_START, WIDTH, bound
from planner.saccade import DIRECTIONS, VIEWER, Point
from planner.shared import Forked, Shared
from planner.stages import Category, Look, Range, Stage

AHEAD_SECONDS: Final = 2.0
"How far ahead a stage is announced."
ASKED_SECONDS: Final = 0.7
"Longest way into a category somebody asks for: it must show within a window or two."
SIDE_SPREAD: Final = 0.07
"Left-right difference of an expression, as a share (free; posed faces differ by a few percent)."


@dataclass(frozen=True, slots=True)
class Scene(Shared):
    """A stage as it is played this time."""

    stage: Stage
    start: float
    rise: float
    seconds: float
    targets: F64
    "float64 ``[26]``: controls, then mouth controls."
    look: Point | None
    side: int
    "1 when turned to the person's left, -1 to the right."

    @property
    def end(self) -> float:
        """When the next stage begins, seconds."""
        return self.start + self.seconds


class Staging(Forked):
    """The stages to come: drawn from the category's graph, or written in a score."""

    def __init__(self, rng: np.random.Generator, category: Category, t: float) -> None:
        self._rng = rng
        self._one = "L" if rng.random() < 0.5 else "R"
        "The more expressive side: for most people one, always the same."
        self._vigour = float(rng.uniform(0.92, 1.08))
        self._side = 1
        self._news: list[Action] = []
        self._category = category
        self._queue = deque([self._draw(category.stages[category.first], t)])
        self._told = False

    def set_category(self, category: Category, t: float) -> None:
        """Begin ``category`` at ``t`` seconds."""
        self._drop()
        self._category = category
        first = self._draw(category.stages[category.first], t)
        self._queue.append(replace(first, rise=min(first.rise, ASKED_SECONDS)))

    def play(self, events: Sequence[Event], t: float) -> None:
        """Play ``events`` from ``t`` seconds on, then go on with the category's own stages."""
        self._drop()
        for event in events:
            scene = self._draw(event.stage, t + event.start / FPS)
            self._queue.append(replace(scene, seconds=(event.end - event.start) / FPS))

    def until(self, t: float) -> list[Scene]:
        """The scenes to come, drawn up to ``t`` seconds at least."""
        while self._queue[-1].end < t:
            self._extend()
        return [scene for scene in self._queue if scene.start < t]

    def step(self, t: float) -> Scene | None:
        """The scene that begins at ``t``, if one does."""
        soon = self._queue[0]
        if not self._told and soon.start - t <= AHEAD_SECONDS:
            self._told = True
            self._news.append(_action(soon, _strength(soon), soon.stage.why))
        if t < soon.start:
            return None
        if len(self._queue) == 1:
            self._extend()
        self._told = False
        return self._queue.popleft()

    def news(self) -> list[Action]:
        """What was decided (or withdrawn) since the last call."""
        told, self._news = self._news, []
        return told

    # --- inside ------------------------------------------------------------------------------

    def _drop(self) -> None:
        if self._told:
            self._news.append(_action(self._queue[0], 0.0, "withdrawn"))
        self._queue.clear()
        self._told = False

    def _extend(self) -> None:
        """Draw the scene after the last one that is known."""
        last, stages = self._queue[-1], self._category.stages
        name = self._category.first
        if last.stage.then:
            weights = np.array([weight for _, weight in last.stage.then])
            pick = int(self._rng.choice(len(weights), p=weights / weights.sum()))
            name = last.stage.then[pick][0]
        self._queue.append(self._draw(stages[name], last.end))

    def _draw(self, stage: Stage, start: float) -> Scene:
        rng = self._rng
        self._side = -self._side if rng.random() < 0.45 else self._side
        targets = np.zeros(WIDTH)
        for key, span in stage.controls.items():
            self._put(targets, key, self._value(key, span))
        rise, seconds = float(rng.uniform(*stage.rise)), float(rng.uniform(*stage.seconds))
        look = None if stage.look is None else self._point(stage.look)
        return Scene(stage, start, rise, max(seconds, rise + 0.1), bound(targets), look, self._side)

    def _value(self, key: str, span: Range) -> float:
        value = float(self._rng.uniform(*span))
        # A lid is as low as it is said to be: closed eyes must close whoever the person is.
        return value if key.startswith("AU45") else value * self._vigour

    def _put(self, targets: F64, key: str, value: float) -> None:
        name, _, part = key.partition("_")
        if key in MOUTH:
            targets[MOUTH_START + MOUTH[key]] = value
        elif key in CHANNEL:
            targets[CHANNEL[key]] = value
        elif key.endswith("?"):
            targets[CHANNEL[key[:-1]]] = value * self._side
        elif part:
            other = "R" if self._one == "L" else "L"
            targets[CHANNEL[f"{name}_{self._one if part == 'one' else other}"]] = value
        else:
            spread = 0.0 if name == "AU45" else float(self._rng.normal(0, SIDE_SPREAD))
            targets[CHANNEL[f"{name}_L"]] = value * (1 + spread)
            targets[CHANNEL[f"{name}_R"]] = value * (1 - spread)

    def _point(self, look: Look) -> Point:
        if look.where == "viewer":
            return VIEWER
        where = look.where.replace("side", "left" if self._side > 0 else "right")
        size = float(self._rng.uniform(*look.degrees))
        x, y = DIRECTIONS[where]
        return (size * x, size * y)


def _strength(scene: Scene) -> float:
    """The strongest action unit of the scene, for people to read."""
    return max(0.01, float(scene.targets[: POSE_SLICE.start].max()))


def _action(scene: Scene, amount: float, why: str) -> Action:
    start = math.ceil(scene.start * FPS)
    peak = math.ceil((scene.start + scene.rise) * FPS)
    end = max(peak, math.ceil(scene.end * FPS))
    return Action("stage", start, peak, end, round(amount, 2), why)
