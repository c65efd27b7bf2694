"""Where the eyes look: fixations, saccades, aversions, and how the head helps.

Directions are (sideways, down) in degrees from the viewer, positive to the person's own left and
downwards, as yaw and pitch are. The eyes hold their target in space: whatever the head does is
taken off again (vestibulo-ocular reflex), so eye contact survives a moving head.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Final

import numpy as np

from core import FPS
from planner import physiology as ph
from planner.action import Action
from planner.motion import Glide
from planner.saccade import (
    DIRECTIONS,
    FACE_POINTS,
    VIEWER,
    GazeManner,
    Point,
    Saccade,
    Shift,
    in_words,
)
from planner.shared import Forked

AHEAD_SECONDS: Final = 3.0
"How far ahead gaze shifts are decided and announced."
TOLD_DEGREES: Final = 2.0
"Smaller shifts are not worth an announcement."


class Gaze(Forked):
    """Plans gaze shifts some seconds ahead and plays them."""

    def __init__(self, rng: np.random.Generator, manner: GazeManner) -> None:
        self._rng = rng
        self._manner = manner
        self._habit = "left" if rng.random() < 0.5 else "right"
        "The side this person prefers to look away to."
        self._aim: Point = VIEWER
        "What is fixated when nothing is averted."
        self._held = False
        self._joins = True
        "Whether the head joins in when the target is far off."
        self._saccade = Saccade(-1.0, VIEWER, VIEWER)
        self._plan: deque[Shift] = deque()
        self._planned_to = float(rng.uniform(0.3, 1.0))
        self._contact_until = self._draw_contact(0.0)
        self._last_target: Point = VIEWER
        self._head = Glide(2)
        self._head_at = math.inf
        self._head_to: Point = VIEWER
        self._news: list[Action] = []
        self.blinks: list[float] = []
        "Starts of shifts large enough to bring a blink along; the owner takes and clears them."

    # --- commands ----------------------------------------------------------------------------

    def set_manner(self, manner: GazeManner, t: float) -> None:
        """Behave like ``manner`` from ``t`` seconds on."""
        if manner == self._manner:
            return
        self._manner = manner
        self._withdraw(t)
        self._planned_to = t + float(self._rng.uniform(0.25, 0.7))
        if not self._held and _apart(self._last_target, VIEWER) > TOLD_DEGREES:
            self._push(VIEWER, "saccade", "back to the viewer", 0.4)
        self._contact_until = min(self._contact_until, self._draw_contact(t))

    def look(self, point: Point, t: float, *, hold: bool, head: bool, why: str) -> None:
        """Look at ``point`` now.

        Args:
            hold: Keep to it, small saccades around it aside, until `release` or the next `look`.
            head: Whether the head joins when the point is far off.
        """
        self._withdraw(t)
        self._held = hold
        self._joins = head or not hold
        self._aim = point if hold else VIEWER
        kind = "glance" if point != VIEWER else "saccade"
        self._plan.append(Shift(t, point, kind, why, head, t + 0.6))
        self._last_target = point
        self._planned_to = t + float(self._rng.uniform(0.7, 1.4))
        if not hold:
            self._contact_until = self._draw_contact(self._planned_to)
        self._tell(self._plan[-1], self._target_at(t))

    def release(self, t: float) -> None:
        """Nothing is held any longer: back to the viewer and to the usual behaviour."""
        if self._held:
            self.look(VIEWER, t, hold=False, head=True, why="back to the viewer")

    def avert(self, t: float, seconds: float, why: str) -> None:
        """Look away now for about ``seconds``; does nothing while a target is held."""
        if self._held:
            return
        self._withdraw(t)
        self._planned_to = t
        self._plan_aversion(seconds, why)

    def come_back(self, t: float, why: str) -> None:
        """Look at the viewer now, if looking away; does nothing while a target is held."""
        if not self._held and _apart(self._target_at(t), VIEWER) > TOLD_DEGREES:
            self.look(VIEWER, t, hold=False, head=True, why=why)

    # --- playing -----------------------------------------------------------------------------

    def head_at(self, t: float) -> tuple[float, float]:
        """What the head contributes to the present gaze shift at ``t``: yaw, pitch in degrees."""
        while self._plan and self._plan[0].start <= t:
            self._begin(self._plan.popleft())
        while self._planned_to - t < AHEAD_SECONDS:
            self._extend()
        if t >= self._head_at:
            at, self._head_at = self._head_at, math.inf
            self._turn_head(max(at, t - 1 / FPS))
        yaw, pitch = self._head.value(t)
        return float(yaw), float(pitch)

    def eyes_at(self, t: float, yaw: float, pitch: float) -> Point:
        """Eye-in-head rotation at ``t`` with the head at ``yaw``, ``pitch`` degrees."""
        sideways, down = self._saccade.at(t)
        most, up, low = ph.OCULAR_LIMITS
        return (
            min(max(sideways - ph.VOR_GAIN * yaw, -most), most),
            min(max(down - ph.VOR_GAIN * pitch, -up), low),
        )

    def news(self) -> list[Action]:
        """What was decided (or withdrawn) since the last call."""
        told, self._news = self._news, []
        return told

    # --- inside ------------------------------------------------------------------------------

    def _target_at(self, t: float) -> Point:
        return self._saccade.target if t >= self._saccade.start else self._saccade.origin

    def _begin(self, shift: Shift) -> None:
        """Start the eyes; the head follows a little later."""
        self._saccade = Saccade(shift.start, self._saccade.at(shift.start), shift.target)
        if self._saccade.degrees > TOLD_DEGREES:
            self._head_at = shift.start + ph.HEAD_LAG_SECONDS
            self._head_to = shift.target if shift.head else VIEWER
            if self._rng.random() < ph.gaze_blink_chance(self._saccade.degrees):
                self.blinks.append(shift.start)

    def _turn_head(self, at: float) -> None:
        to = [ph.head_share(self._head_to[0]), ph.head_share(self._head_to[1])]
        way = math.hypot(to[0] - self._head.target[0], to[1] - self._head.target[1])
        self._head.retarget((0, 1), to, at, ph.head_turn_seconds(way))

    def _withdraw(self, t: float) -> None:
        """Forget what has not begun, and say so where it was announced."""
        now = before = self._target_at(t)
        for shift in self._plan:
            if _apart(before, shift.target) > TOLD_DEGREES:
                self._news.append(_action(shift, 0.0, "withdrawn"))
            before = shift.target
        self._plan.clear()
        self._last_target = now

    def _extend(self) -> None:
        """Decide the next shift, or the next aversion with its way back."""
        if not self._held and self._planned_to >= self._contact_until:
            self._plan_aversion(None, "looks away for a moment")
            return
        self._fixate(self._aim)

    def _fixate(self, about: Point) -> None:
        """A small saccade around ``about``, after a while: micro, or to another facial feature."""
        rng = self._rng
        rate = (ph.MICROSACCADES_PER_SECOND + 0.35) * max(self._manner.restless, 0.05)
        pause = ph.INTERSACCADIC_SECONDS + float(rng.gamma(2.0, 0.5 / rate))
        pause = min(pause, 4.0)
        if rng.random() < 0.6:
            size = float(rng.uniform(*ph.MICROSACCADE_DEGREES))
            angle = float(rng.uniform(0, 2 * math.pi))
            near = self._last_target
            far = _apart(near, about)
            pull = 0.5 if far > 1.0 else 0.15  # corrective: fixation does not drift off
            point = (
                near[0] + pull * (about[0] - near[0]) + size * math.cos(angle),
                near[1] + pull * (about[1] - near[1]) + size * math.sin(angle),
            )
            self._push(point, "saccade", "fixates", pause)
            return
        points = [p for p, _ in FACE_POINTS]
        x, y = points[_pick(rng, [w for _, w in FACE_POINTS])]
        jitter = rng.normal(0, 0.12, 2)
        point = (about[0] + x + float(jitter[0]), about[1] + y + float(jitter[1]))
        self._push(point, "saccade", "takes in the viewer's face", pause)

    def _plan_aversion(self, seconds: float | None, why: str) -> None:
        """Away, small saccades there, and back."""
        rng, manner = self._rng, self._manner
        point = self._away()
        lasts = float(rng.uniform(*manner.averted)) if seconds is None else seconds
        self._push(point, "glance", f"{why}, {in_words(point)}", 0.35)
        back = self._planned_to - 0.35 + lasts
        while self._planned_to < back - 0.8:  # a second place in the same direction
            size = float(rng.uniform(0.6, 3.0))
            angle = float(rng.uniform(0, 2 * math.pi))
            point = (point[0] + size * math.cos(angle), point[1] + 0.5 * size * math.sin(angle))
            self._push(point, "saccade", "searches", float(rng.uniform(0.3, 0.9)))
        self._planned_to = max(back, self._planned_to)
        self._push(VIEWER, "saccade", "back to the viewer", 0.4)
        self._contact_until = self._draw_contact(self._planned_to)

    def _away(self) -> Point:
        rng, manner = self._rng, self._manner
        where = manner.where[_pick(rng, [w for _, w in manner.where])][0]
        if where.endswith("side"):
            other = "right" if self._habit == "left" else "left"
            side = self._habit if rng.random() < 0.65 else other
            where = where.replace("side", side)
        x, y = DIRECTIONS[where]
        size = float(rng.uniform(*manner.degrees))
        bend = rng.normal(0, 0.1, 2)
        return (size * (x + float(bend[0])), size * (y + float(bend[1])))

    def _push(self, target: Point, kind: str, why: str, then: float) -> None:
        """Append a shift at the end of what is planned; the next comes ``then`` seconds later."""
        before = self._last_target
        shift = Shift(self._planned_to, target, kind, why, self._joins, self._planned_to + then)
        self._plan.append(shift)
        self._tell(shift, before)
        self._last_target = target
        self._planned_to += then

    def _tell(self, shift: Shift, before: Point) -> None:
        size = _apart(before, shift.target)
        if size > TOLD_DEGREES:
            self._news.append(_action(shift, size, shift.why))

    def _draw_contact(self, t: float) -> float:
        mean = self._manner.contact
        if math.isinf(mean):
            return math.inf
        return t + max(0.4, float(self._rng.gamma(3.0, mean / 3.0)))


def _action(shift: Shift, size: float, why: str) -> Action:
    start = math.ceil(shift.start * FPS)
    peak = math.ceil((shift.start + ph.saccade_seconds(size)) * FPS)
    end = max(peak + 1, round(shift.until * FPS))
    return Action(shift.kind, start, peak, end, round(size, 2), why)


def _apart(a: Point, b: Point) -> float:
    return math.hypot(a[0] - b[0], a[1] - b[1])


def _pick(rng: np.random.Generator, weights: list[float]) -> int:
    """An index, with the given weights."""
    at = float(rng.random()) * sum(weights)
    for i, weight in enumerate(weights):
        at -= weight
        if at < 0:
            return i
    return len(weights) - 1
