"""What each verb of the instruction grammar makes eyes, lids, brows and head do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

import numpy as np

from core import AU_SLICE, CHANNELS, MOUTH_CHANNELS, POSE_SLICE
from planner import physiology as ph
from planner.cues import Cue
from planner.gaze import VIEWER, Point

LOOK_DEGREES: Final = 17.0
'How far a plain "look left" goes; up and down a little less.'
TURN_DEGREES: Final = 16.0
PITCH_DEGREES: Final = 11.0
TILT_DEGREES: Final = 9.0
DWELL_SECONDS: Final = 1.1
"How long something is kept before the next clause, when nothing is said about it."
ROOM_DEGREES: Final = 4.0
"Kept free between a held head pose and the pose limit: a held head still lives."
OPPOSITE: Final = {"left": "right", "right": "left", "up": "down", "down": "up"}
UNIT: Final[Mapping[str, Point]] = {
    "left": (1.0, 0.0), "right": (-1.0, 0.0), "up": (0.0, -0.75), "down": (0.0, 0.85),
}  # fmt: skip


class Slots(Protocol):
    """What a clause says (see `grammar.Clause`)."""

    verb: str
    part: str
    ways: list[str]
    side: str
    factor: float
    speed: float
    degrees: float | None
    times: int
    hold: float | None
    stopped: bool


@dataclass(frozen=True, slots=True)
class Move:
    """Cues that belong together, relative to their common start."""

    cues: tuple[Cue, ...] = ()
    seconds: float = 0.0
    "When the next move may begin."
    claims: frozenset[str] = frozenset()
    "What it needs for itself."


def moves_for(slots: Slots, rng: np.random.Generator) -> list[Move]:
    """The moves of one clause; empty when it makes no sense."""
    verb = slots.verb or _verb_of(slots)
    if verb == "wait":
        return [Move(seconds=slots.hold)] if slots.hold else []
    for wanted, part, make in RULES:
        if verb == wanted and part in ("*", slots.part):
            moves = make(slots, rng)
            return [_stop(moves)] if slots.stopped else moves
    return []


def _verb_of(slots: Slots) -> str:
    """The verb that goes without saying: "eyes left", "head down", "eyebrows up"."""
    if not slots.ways:
        return ""
    way = slots.ways[0]
    if slots.part in ("eyes", "gaze"):
        return "look"
    if slots.part == "head" or slots.part.endswith("brows") or slots.part == "lids":
        # "left eyebrow up": the last direction is where it goes.
        way = slots.ways[-1]
        return {"up": "raise", "down": "lower"}.get(way, "turn" if slots.part == "head" else "")
    return ""


def _stop(moves: list[Move]) -> Move:
    """Let go of what the moves would have held."""
    names = {name for move in moves for cue in move.cues for name in cue.controls}
    gaze = any(cue.gaze is not None for move in moves for cue in move.cues)
    free = (*sorted(names), *(("gaze",) if gaze else ()))
    return Move((Cue(0.0, "stops", free=free),), 0.3, frozenset(free))


# --- Eyes ------------------------------------------------------------------------------------


def _look(slots: Slots, rng: np.random.Generator) -> list[Move]:
    ways = slots.ways or (["viewer"] if slots.verb == "contact" else [])
    if slots.verb == "away" or "away" in ways:
        ways = [str(rng.choice(["left", "right"])), "down"]
    if "around" in ways:
        order = ["left", "right"] if rng.random() < 0.5 else ["right", "left"]
        return [_gaze(slots, [way], 0.9) for way in (*order, "viewer")]
    if "viewer" in ways or "back" in ways:
        return [_gaze(slots, ["viewer"])]
    ways = [way for way in ways if way in UNIT]
    if not ways:
        return []
    if len(ways) > 1 and OPPOSITE[ways[0]] in ways:  # "left right": one after the other
        return [_gaze(slots, [way]) for way in ways]
    return [_gaze(slots, ways)]


def _gaze(slots: Slots, ways: list[str], dwell: float = DWELL_SECONDS) -> Move:
    point, words = VIEWER, "looks at the viewer"
    if ways != ["viewer"]:
        x = sum(UNIT[way][0] for way in ways)
        y = sum(UNIT[way][1] for way in ways)
        scale = 1 / np.hypot(x, y) if slots.degrees is not None else 0.8 if len(ways) > 1 else 1.0
        size = slots.degrees if slots.degrees is not None else LOOK_DEGREES * slots.factor
        far = ph.OCULAR_LIMITS[0] + ph.POSE_LIMITS[1] - 2 * ROOM_DEGREES
        point = (_within(x * scale * size, far), _within(y * scale * size, 40.0))
        words = "looks " + " and ".join(ways)
    hold = slots.hold
    if slots.verb == "glance" and hold is None:
        hold = 0.9
    cue = Cue(0.0, words, hold=hold, rise=0.3, gaze=point)
    return Move((cue,), dwell if hold is None else hold, frozenset({"gaze"}))


def _level(slots: Slots, rng: np.random.Generator) -> list[Move]:
    """ "Lower your eyes", "raise your gaze"."""
    return [_gaze(slots, ["up" if slots.verb == "raise" else "down"])]


def _roll_eyes(slots: Slots, rng: np.random.Generator) -> list[Move]:
    side = 1.0 if rng.random() < 0.5 else -1.0
    path = ((0.7 * side, -0.5), (0.0, -0.85), (-0.75 * side, -0.5))
    cues = [
        Cue(0.24 * i, "rolls its eyes", hold=0.24, rise=0.2, gaze=(22 * x, 22 * y))
        for i, (x, y) in enumerate(path)
    ]
    return [Move(tuple(cues), 1.0, frozenset({"gaze"}))]


# --- Lids ------------------------------------------------------------------------------------


def _close(slots: Slots, rng: np.random.Generator) -> list[Move]:
    closure = 1.0 if slots.factor >= 0.9 else max(0.2, slots.factor)
    if slots.verb == "half_close" or slots.part == "lids" and slots.verb == "lower":
        closure = min(0.5 * slots.factor, 0.9)
    controls = {f"AU45_{side}": closure for side in _sides(slots, rng)}
    which = "the eyes" if len(controls) == 2 else f"the {slots.ways[0]} eye"
    words = f"closes {which}" if closure > 0.9 else f"half closes {which}"
    return [_hold(slots, controls, words, 0.3)]


def _open(slots: Slots, rng: np.random.Generator) -> list[Move]:
    if slots.factor > 1.0:
        return _widen(slots, rng)
    cue = Cue(0.0, "opens the eyes", rise=0.3 * slots.speed, free=("AU45_L", "AU45_R", "AU7"))
    return [Move((cue,), 0.8, frozenset({"AU45_L", "AU45_R"}))]


def _widen(slots: Slots, rng: np.random.Generator) -> list[Move]:
    size = min(0.85 * max(slots.factor, 0.3), 1.0)
    brow = 0.35 * size
    controls = {"AU45_L": 0.0, "AU45_R": 0.0, "AU7": 0.0, "AU5": size}
    controls |= {"AU1_L": brow, "AU1_R": brow, "AU2_L": brow, "AU2_R": brow}
    return [_hold(slots, controls, "opens the eyes wide", 0.28)]


def _squint(slots: Slots, rng: np.random.Generator) -> list[Move]:
    size = min(slots.factor, 1.4)
    controls = {"AU7": min(0.8 * size, 1.0), "AU4": 0.25 * size, "AU6": min(0.35 * size, 1.0)}
    controls |= {"AU45_L": 0.14 * size, "AU45_R": 0.14 * size, "AU5": 0.0}
    return [_hold(slots, controls, "squints", 0.35)]


def _blink(slots: Slots, rng: np.random.Generator) -> list[Move]:
    closure = 1.0 if slots.factor >= 0.9 else max(0.3, slots.factor)
    slow = min(max(slots.speed, 0.8), 2.4)
    words = "blinks" if slots.times == 1 else f"blinks {slots.times} times"
    cue = Cue(0.0, words, rise=0.1, gesture="blink", times=slots.times, size=closure, slowness=slow)
    return [Move((cue,), 0.1 + 0.42 * slow * slots.times, frozenset({"AU45_L", "AU45_R"}))]


def _wink(slots: Slots, rng: np.random.Generator) -> list[Move]:
    sides = _sides(slots, rng)
    side: Literal["L", "R"] = (
        "R" if sides == ["R"] or len(sides) == 2 and rng.random() < 0.5 else "L"
    )
    name = "left" if side == "L" else "right"
    cue = Cue(
        0.0, f"winks with the {name} eye", rise=0.16, gesture="wink", times=slots.times, side=side
    )
    return [Move((cue,), 0.2 + 0.75 * slots.times, frozenset({f"AU45_{side}"}))]


# --- Brows and mouth -------------------------------------------------------------------------


def _raise_brows(slots: Slots, rng: np.random.Generator) -> list[Move]:
    size = min(0.8 * slots.factor, 1.0)
    inner, outer = (1.0, 0.25) if slots.part == "inner_brows" else (0.75, 1.0)
    if slots.part == "outer_brows":
        inner = 0.2
    sides = _sides(slots, rng)
    controls: dict[str, float] = {}
    for side in sides:
        controls |= {f"AU1_{side}": inner * size, f"AU2_{side}": outer * size}
    if len(sides) == 1:  # one brow up reads best over a calm other one
        other = "R" if sides[0] == "L" else "L"
        controls |= {f"AU1_{other}": 0.0, f"AU2_{other}": 0.0}
    which = "the brows" if len(sides) == 2 else f"the {'left' if sides[0] == 'L' else 'right'} brow"
    return _repeated(slots, controls, f"raises {which}", 0.35)


def _frown(slots: Slots, rng: np.random.Generator) -> list[Move]:
    size = min(0.85 * slots.factor, 1.0)
    return _repeated(slots, {"AU4": size, "AU7": 0.25 * size}, "draws the brows together", 0.4)


def _smile(slots: Slots, rng: np.random.Generator) -> list[Move]:
    size = min(0.8 * slots.factor, 1.0)
    return [_hold(slots, {"smile": size, "AU6": 0.6 * size}, "smiles", 0.6)]


# --- Head ------------------------------------------------------------------------------------


def _turn(slots: Slots, rng: np.random.Generator) -> list[Move]:
    ways = slots.ways
    if slots.verb == "raise" and "down" not in ways:
        ways = ["up", *(way for way in ways if way in ("left", "right"))]
    elif slots.verb == "lower":
        ways = ["down", *(way for way in ways if way in ("left", "right"))]
    if "away" in ways:
        ways = [str(rng.choice(["left", "right"]))]
    tilt = slots.verb == "tilt"
    pose: dict[str, float] = {}
    for way in ways:
        if way in ("left", "right"):
            axis, usual = ("roll", TILT_DEGREES) if tilt else ("yaw", TURN_DEGREES)
            pose[axis] = _angle(slots, usual, axis) * (1 if way == "left" else -1)
        elif way in ("up", "back", "down") or way == "viewer" and tilt:
            sign = -1 if way in ("up", "back") else 1
            pose["pitch"] = _angle(slots, PITCH_DEGREES, "pitch") * sign
        elif way == "viewer":
            return _straighten(slots, rng)
    if not pose:
        if not tilt:
            return []
        pose["roll"] = _angle(slots, TILT_DEGREES, "roll") * (1 if rng.random() < 0.5 else -1)
    far = max(abs(v) for v in pose.values())
    implied = "yaw" in pose or "pitch" in pose
    cue = Cue(
        0.0,
        _head_words(slots.verb, ways),
        hold=slots.hold,
        rise=(0.45 + 0.025 * far) * slots.speed,
        controls=pose,
        gaze=(pose.get("yaw", 0.0), 0.8 * pose.get("pitch", 0.0)) if implied else None,
        implied=implied,
    )
    seconds = cue.rise + 0.6 if slots.hold is None else slots.hold
    return [Move((cue,), seconds, frozenset(pose))]


def _head_words(verb: str, ways: list[str]) -> str:
    if ways in (["up"], ["down"]):
        return "raises the head" if ways == ["up"] else "lowers the head"
    return f"{'tilts' if verb == 'tilt' else 'turns'} the head {' and '.join(ways or ['aside'])}"


def _straighten(slots: Slots, rng: np.random.Generator) -> list[Move]:
    rise = 0.6 * slots.speed
    cue = Cue(0.0, "holds the head straight", rise=rise, free=("pitch", "yaw", "roll", "gaze"))
    return [Move((cue,), rise + 0.3, frozenset({"pitch", "yaw", "roll"}))]


def _nod(slots: Slots, rng: np.random.Generator) -> list[Move]:
    times = slots.times if slots.times > 1 else 2
    size = _within(slots.degrees or 7.0 * slots.factor, 14.0)
    cue = Cue(0.0, "nods", rise=0.2, gesture="nod", times=times, size=size)
    return [Move((cue,), 0.3 + 0.52 * times, frozenset({"pitch"}))]


def _shake(slots: Slots, rng: np.random.Generator) -> list[Move]:
    size = _within(slots.degrees or 8.0 * slots.factor, 16.0)
    times = slots.times if slots.times > 1 else 2
    cue = Cue(0.0, "shakes the head", rise=0.2, gesture="shake", times=times, size=size)
    return [Move((cue,), 0.3 + 0.6 * times, frozenset({"yaw"}))]


def _rest(slots: Slots, rng: np.random.Generator) -> list[Move]:
    free = (*CHANNELS[AU_SLICE], *CHANNELS[POSE_SLICE], *MOUTH_CHANNELS, "gaze")
    return [Move((Cue(0.0, "relaxes", rise=0.7, free=free),), 0.8, frozenset(free))]


# --- Helpers ---------------------------------------------------------------------------------


def _hold(slots: Slots, controls: Mapping[str, float], words: str, rise: float) -> Move:
    rise = max(rise * slots.speed, ph.AU_RISE_SECONDS)
    cue = Cue(0.0, words, hold=slots.hold, rise=rise, controls=dict(controls))
    seconds = rise + DWELL_SECONDS if slots.hold is None else slots.hold
    return Move((cue,), seconds, frozenset(controls))


def _repeated(slots: Slots, controls: Mapping[str, float], words: str, rise: float) -> list[Move]:
    """A hold, or several short ones ("raise your eyebrows twice")."""
    if slots.times == 1:
        return [_hold(slots, controls, words, rise)]
    once = _hold(slots, controls, words, 0.6 * rise).cues[0]
    cues = tuple(replace(once, at=0.9 * i, hold=0.35) for i in range(slots.times))
    return [Move(cues, 0.9 * slots.times, frozenset(controls))]


def _sides(slots: Slots, rng: np.random.Generator) -> list[str]:
    """The sides of the face that are meant: L, R or both."""
    for way in slots.ways:
        if way in ("left", "right"):
            return [way[0].upper()]
    if slots.side == "one":
        return [str(rng.choice(["L", "R"]))]
    return ["L", "R"]


def _angle(slots: Slots, usual: float, axis: str) -> float:
    limit = ph.POSE_LIMITS[("pitch", "yaw", "roll").index(axis)] - ROOM_DEGREES
    return _within(usual * slots.factor if slots.degrees is None else slots.degrees, limit)


def _within(value: float, limit: float) -> float:
    return min(max(float(value), -limit), limit)


Maker = Callable[[Slots, np.random.Generator], list[Move]]

RULES: Final[tuple[tuple[str, str, Maker], ...]] = (
    ("look", "brows", _raise_brows),
    *((verb, "*", _look) for verb in ("look", "glance", "contact", "away")),
    *((verb, part, _look) for verb in ("turn",) for part in ("eyes",)),
    *((verb, part, _level) for verb in ("raise", "lower") for part in ("eyes",)),
    ("roll", "eyes", _roll_eyes),
    ("raise", "lids", _widen),
    ("lower", "lids", _close),
    *(("raise", part, _raise_brows) for part in ("brows", "inner_brows", "outer_brows")),
    *(("lower", part, _frown) for part in ("brows", "inner_brows", "outer_brows")),
    *((verb, part, _close) for verb in ("close", "half_close") for part in ("eyes", "lids", "")),
    *(("open", part, _open) for part in ("eyes", "lids", "")),
    *(("widen", part, _widen) for part in ("eyes", "lids", "")),
    ("squint", "*", _squint),
    ("frown", "*", _frown),
    ("blink", "*", _blink),
    ("wink", "*", _wink),
    ("smile", "*", _smile),
    *((verb, part, _turn) for verb in ("turn", "tilt") for part in ("head", "")),
    *((verb, "head", _turn) for verb in ("raise", "lower")),
    ("roll", "head", _turn),
    ("straighten", "*", _straighten),
    ("nod", "*", _nod),
    *(("shake", part, _shake) for part in ("head", "")),
    ("rest", "*", _rest),
)
"(verb, part, what it does); ``*`` is any part. The first that fits is taken."
