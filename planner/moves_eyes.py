"""What the verbs of the instruction grammar make eyes and lids do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

import numpy as np

from planner import physiology as ph
from planner.clause import DWELL_SECONDS, ROOM_DEGREES, Clause, Move, hold, sides_of, within
from planner.cues import Cue
from planner.saccade import VIEWER, Point

LOOK_DEGREES: Final = 17.0
'How far a plain "look left" goes; up and down a little less.'
OPPOSITE: Final = {"left": "right", "right": "left", "up": "down", "down": "up"}
UNIT: Final[Mapping[str, Point]] = {
    "left": (1.0, 0.0), "right": (-1.0, 0.0), "up": (0.0, -0.75), "down": (0.0, 0.85),
}  # fmt: skip


def look(clause: Clause, rng: np.random.Generator) -> list[Move]:
    ways = clause.ways or (["viewer"] if clause.verb == "contact" else [])
    if clause.verb == "away" or "away" in ways:
        ways = [str(rng.choice(["left", "right"])), "down"]
    if "around" in ways:
        order = ["left", "right"] if rng.random() < 0.5 else ["right", "left"]
        return [_gaze(clause, [way], 0.9) for way in (*order, "viewer")]
    if "viewer" in ways or "back" in ways:
        return [_gaze(clause, ["viewer"])]
    ways = [way for way in ways if way in UNIT]
    if not ways:
        return []
    if len(ways) > 1 and OPPOSITE[ways[0]] in ways:  # "left right": one after the other
        return [_gaze(clause, [way]) for way in ways]
    return [_gaze(clause, ways)]


def _gaze(clause: Clause, ways: list[str], dwell: float = DWELL_SECONDS) -> Move:
    point, words = VIEWER, "looks at the viewer"
    if ways != ["viewer"]:
        x = sum(UNIT[way][0] for way in ways)
        y = sum(UNIT[way][1] for way in ways)
        scale = 1 / np.hypot(x, y) if clause.degrees is not None else 0.8 if len(ways) > 1 else 1.0
        size = clause.degrees if clause.degrees is not None else LOOK_DEGREES * clause.factor
        far = ph.OCULAR_LIMITS[0] + ph.POSE_LIMITS[1] - 2 * ROOM_DEGREES
        point = (within(x * scale * size, far), within(y * scale * size, 40.0))
        words = "looks " + " and ".join(ways)
    hold = clause.hold
    if clause.verb == "glance" and hold is None:
        hold = 0.9
    cue = Cue(0.0, words, hold=hold, rise=0.3, gaze=point)
    return Move((cue,), dwell if hold is None else hold, frozenset({"gaze"}))


def level(clause: Clause, rng: np.random.Generator) -> list[Move]:
    """ "Lower your eyes", "raise your gaze"."""
    return [_gaze(clause, ["up" if clause.verb == "raise" else "down"])]


def roll_eyes(clause: Clause, rng: np.random.Generator) -> list[Move]:
    side = 1.0 if rng.random() < 0.5 else -1.0
    path = ((0.7 * side, -0.5), (0.0, -0.85), (-0.75 * side, -0.5))
    cues = [
        Cue(0.24 * i, "rolls its eyes", hold=0.24, rise=0.2, gaze=(22 * x, 22 * y))
        for i, (x, y) in enumerate(path)
    ]
    return [Move(tuple(cues), 1.0, frozenset({"gaze"}))]


def close(clause: Clause, rng: np.random.Generator) -> list[Move]:
    closure = 1.0 if clause.factor >= 0.9 else max(0.2, clause.factor)
    if clause.verb == "half_close" or clause.part == "lids" and clause.verb == "lower":
        closure = min(0.5 * clause.factor, 0.9)
    controls = {f"AU45_{side}": closure for side in sides_of(clause, rng)}
    which = "the eyes" if len(controls) == 2 else f"the {clause.ways[0]} eye"
    words = f"closes {which}" if closure > 0.9 else f"half closes {which}"
    return [hold(clause, controls, words, 0.3)]


def open_lids(clause: Clause, rng: np.random.Generator) -> list[Move]:
    if clause.factor > 1.0:
        return widen(clause, rng)
    cue = Cue(0.0, "opens the eyes", rise=0.3 * clause.speed, free=("AU45_L", "AU45_R", "AU7"))
    return [Move((cue,), 0.8, frozenset({"AU45_L", "AU45_R"}))]


def widen(clause: Clause, rng: np.random.Generator) -> list[Move]:
    size = min(0.85 * max(clause.factor, 0.3), 1.0)
    brow = 0.35 * size
    controls = {"AU45_L": 0.0, "AU45_R": 0.0, "AU7": 0.0, "AU5": size}
    controls |= {"AU1_L": brow, "AU1_R": brow, "AU2_L": brow, "AU2_R": brow}
    return [hold(clause, controls, "opens the eyes wide", 0.28)]


def squint(clause: Clause, rng: np.random.Generator) -> list[Move]:
    size = min(clause.factor, 1.4)
    controls = {"AU7": min(0.8 * size, 1.0), "AU4": 0.25 * size, "AU6": min(0.35 * size, 1.0)}
    controls |= {"AU45_L": 0.14 * size, "AU45_R": 0.14 * size, "AU5": 0.0}
    return [hold(clause, controls, "squints", 0.35)]


def blink(clause: Clause, rng: np.random.Generator) -> list[Move]:
    closure = 1.0 if clause.factor >= 0.9 else max(0.3, clause.factor)
    slow = min(max(clause.speed, 0.8), 2.4)
    words = "blinks" if clause.times == 1 else f"blinks {clause.times} times"
    cue = Cue(
        0.0, words, rise=0.1, gesture="blink", times=clause.times, size=closure, slowness=slow
    )
    return [Move((cue,), 0.1 + 0.42 * slow * clause.times, frozenset({"AU45_L", "AU45_R"}))]


def wink(clause: Clause, rng: np.random.Generator) -> list[Move]:
    sides = sides_of(clause, rng)
    side: Literal["L", "R"] = (
        "R" if sides == ["R"] or len(sides) == 2 and rng.random() < 0.5 else "L"
    )
    name = "left" if side == "L" else "right"
    cue = Cue(
        0.0, f"winks with the {name} eye", rise=0.16, gesture="wink", times=clause.times, side=side
    )
    return [Move((cue,), 0.2 + 0.75 * clause.times, frozenset({f"AU45_{side}"}))]
