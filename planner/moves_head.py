"""What the verbs of the instruction grammar make brows, mouth and head do."""

from __future__ import annotations

from typing import Final

import numpy as np

from core import AU_SLICE, CHANNELS, MOUTH_CHANNELS, POSE_SLICE
from planner.clause import Clause, Move, angle, hold, repeated, sides_of, within
from planner.cues import Cue

TURN_DEGREES: Final = 16.0
PITCH_DEGREES: Final = 11.0
TILT_DEGREES: Final = 9.0


def raise_brows(clause: Clause, rng: np.random.Generator) -> list[Move]:
    size = min(0.95 * clause.factor, 1.0)
    inner, outer = (1.0, 0.25) if clause.part == "inner_brows" else (0.75, 1.0)
    if clause.part == "outer_brows":
        inner = 0.2
    sides = sides_of(clause, rng)
    controls: dict[str, float] = {}
    for side in sides:
        controls |= {f"AU1_{side}": inner * size, f"AU2_{side}": outer * size}
    if len(sides) == 1:  # one brow up reads best over a calm other one
        other = "R" if sides[0] == "L" else "L"
        controls |= {f"AU1_{other}": 0.0, f"AU2_{other}": 0.0}
    which = "the brows" if len(sides) == 2 else f"the {'left' if sides[0] == 'L' else 'right'} brow"
    if len(sides) == 2 and inner < outer:  # brows that are up are not knit
        controls["AU4"] = 0.0
    return repeated(clause, controls, f"raises {which}", 0.35)


def frown(clause: Clause, rng: np.random.Generator) -> list[Move]:
    size = min(0.85 * clause.factor, 1.0)
    controls = {"AU4": size, "AU7": 0.25 * size, "AU2_L": 0.0, "AU2_R": 0.0}
    return repeated(clause, controls, "draws the brows together", 0.4)


def smile(clause: Clause, rng: np.random.Generator) -> list[Move]:
    size = min(0.8 * clause.factor, 1.0)
    return [hold(clause, {"smile": size, "AU6": 0.6 * size}, "smiles", 0.6)]


def turn(clause: Clause, rng: np.random.Generator) -> list[Move]:
    ways = clause.ways
    if clause.verb == "raise" and "down" not in ways:
        ways = ["up", *(way for way in ways if way in ("left", "right"))]
    elif clause.verb == "lower":
        ways = ["down", *(way for way in ways if way in ("left", "right"))]
    if "away" in ways:
        ways = [str(rng.choice(["left", "right"]))]
    tilt = clause.verb == "tilt"
    pose: dict[str, float] = {}
    for way in ways:
        if way in ("left", "right"):
            axis, usual = ("roll", TILT_DEGREES) if tilt else ("yaw", TURN_DEGREES)
            pose[axis] = angle(clause, usual, axis) * (1 if way == "left" else -1)
        elif way in ("up", "back", "down") or way == "viewer" and tilt:
            sign = -1 if way in ("up", "back") else 1
            pose["pitch"] = angle(clause, PITCH_DEGREES, "pitch") * sign
        elif way == "viewer":
            return straighten(clause, rng)
    if not pose:
        if not tilt:
            return []
        pose["roll"] = angle(clause, TILT_DEGREES, "roll") * (1 if rng.random() < 0.5 else -1)
    far = max(abs(v) for v in pose.values())
    implied = "yaw" in pose or "pitch" in pose
    cue = Cue(
        0.0,
        _head_words(clause.verb, ways),
        hold=clause.hold,
        rise=(0.45 + 0.025 * far) * clause.speed,
        controls=pose,
        gaze=(pose.get("yaw", 0.0), 0.8 * pose.get("pitch", 0.0)) if implied else None,
        implied=implied,
    )
    seconds = cue.rise + 0.6 if clause.hold is None else clause.hold
    return [Move((cue,), seconds, frozenset(pose))]


def _head_words(verb: str, ways: list[str]) -> str:
    if ways in (["up"], ["down"]):
        return "raises the head" if ways == ["up"] else "lowers the head"
    return f"{'tilts' if verb == 'tilt' else 'turns'} the head {' and '.join(ways or ['aside'])}"


def straighten(clause: Clause, rng: np.random.Generator) -> list[Move]:
    rise = 0.6 * clause.speed
    cue = Cue(0.0, "holds the head straight", rise=rise, free=("pitch", "yaw", "roll", "gaze"))
    return [Move((cue,), rise + 0.3, frozenset({"pitch", "yaw", "roll"}))]


def nod(clause: Clause, rng: np.random.Generator) -> list[Move]:
    times = clause.times if clause.times > 1 else 2
    size = within(clause.degrees or 7.0 * clause.factor, 14.0)
    cue = Cue(0.0, "nods", rise=0.2, gesture="nod", times=times, size=size)
    return [Move((cue,), 0.3 + 0.52 * times, frozenset({"pitch"}))]


def shake(clause: Clause, rng: np.random.Generator) -> list[Move]:
    size = within(clause.degrees or 8.0 * clause.factor, 16.0)
    times = clause.times if clause.times > 1 else 2
    cue = Cue(0.0, "shakes the head", rise=0.2, gesture="shake", times=times, size=size)
    return [Move((cue,), 0.3 + 0.6 * times, frozenset({"yaw"}))]


def rest(clause: Clause, rng: np.random.Generator) -> list[Move]:
    free = (*CHANNELS[AU_SLICE], *CHANNELS[POSE_SLICE], *MOUTH_CHANNELS, "gaze")
    return [Move((Cue(0.0, "relaxes", rise=0.7, free=free),), 0.8, frozenset(free))]
