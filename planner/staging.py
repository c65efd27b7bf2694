"""Plays a category: walks from stage to stage and draws what each one shows this time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from core import CHANNEL, FPS, MOUTH, POSE_SLICE
from planner.action import Action
from planner.motion import F64
from planner.row import MOUTH_START, WIDTH, bound
from planner.saccade import DIRECTIONS, VIEWER, Point
from planner.stages import Category, Look, Range, Stage

AHEAD_SECONDS: Final = 2.0
"How far ahead a stage is announced."
ASKED_SECONDS: Final = 0.7
"Longest way into a category somebody asks for: it must show within a window or two."
SIDE_SPREAD: Final = 0.07
"Left-right difference of an expression, as a share (free; posed faces differ by a few percent)."


@dataclass(frozen=True, slots=True)
class Scene:
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


class Staging:
    """The stage that plays and the one after it."""

    def __init__(self, rng: np.random.Generator, category: Category, t: float) -> None:
        self._rng = rng
        self._one = "L" if rng.random() < 0.5 else "R"
        "The more expressive side: for most people one, always the same."
        self._vigour = float(rng.uniform(0.92, 1.08))
        self._side = 1
        self._news: list[Action] = []
        self._category = category
        self._next = self._draw(category.first, t)
        self._told = False

    def set_category(self, category: Category, t: float) -> None:
        """Begin ``category`` at ``t`` seconds."""
        if self._told:
            self._news.append(_action(self._next, 0.0, "withdrawn"))
        self._category = category
        first = self._draw(category.first, t)
        self._next = replace(first, rise=min(first.rise, ASKED_SECONDS))
        self._told = False

    def step(self, t: float) -> Scene | None:
        """The scene that begins at ``t``, if one does."""
        if not self._told and self._next.start - t <= AHEAD_SECONDS:
            self._told = True
            self._news.append(_action(self._next, _strength(self._next), self._next.stage.why))
        if t < self._next.start:
            return None
        scene = self._next
        self._next = self._draw(self._pick(scene.stage), scene.end)
        self._told = False
        return scene

    def news(self) -> list[Action]:
        """What was decided (or withdrawn) since the last call."""
        told, self._news = self._news, []
        return told

    # --- inside ------------------------------------------------------------------------------

    def _pick(self, stage: Stage) -> str:
        weights = np.array([weight for _, weight in stage.then])
        return stage.then[int(self._rng.choice(len(weights), p=weights / weights.sum()))][0]

    def _draw(self, name: str, start: float) -> Scene:
        stage = self._category.stages[name]
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
