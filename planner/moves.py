"""Which verb, with which part of the face, makes which move."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np

from planner import moves_eyes as eyes
from planner import moves_head as head
from planner.clause import Clause, Move
from planner.cues import Cue


def moves_for(clause: Clause, rng: np.random.Generator) -> list[Move]:
    """The moves of one clause; empty when it makes no sense."""
    verb = clause.verb or _verb_of(clause)
    if verb == "wait":
        return [Move(seconds=clause.hold)] if clause.hold else []
    for wanted, part, make in _TABLE:
        if verb == wanted and part in ("*", clause.part):
            moves = make(clause, rng)
            return [_stop(moves)] if clause.stopped else moves
    return []


def _verb_of(clause: Clause) -> str:
    """The verb that goes without saying: "eyes left", "head down", "eyebrows up"."""
    if not clause.ways:
        return ""
    way = clause.ways[0]
    if clause.part in ("eyes", "gaze"):
        return "look"
    if clause.part == "head" or clause.part.endswith("brows") or clause.part == "lids":
        # "left eyebrow up": the last direction is where it goes.
        way = clause.ways[-1]
        return {"up": "raise", "down": "lower"}.get(way, "turn" if clause.part == "head" else "")
    return ""


def _stop(moves: list[Move]) -> Move:
    """Let go of what the moves would have held."""
    names = {name for move in moves for cue in move.cues for name in cue.controls}
    gaze = any(cue.gaze is not None for move in moves for cue in move.cues)
    free = (*sorted(names), *(("gaze",) if gaze else ()))
    return Move((Cue(0.0, "stops", free=free),), 0.3, frozenset(free))


Maker: TypeAlias = Callable[[Clause, np.random.Generator], list[Move]]

RULES: Final[tuple[tuple[str, Maker], ...]] = (
    ("look brows", head.raise_brows),
    ("look * / glance * / contact * / away * / turn eyes", eyes.look),
    ("raise eyes / lower eyes", eyes.level),
    ("roll eyes", eyes.roll_eyes),
    ("raise lids / widen eyes / widen lids / widen", eyes.widen),
    ("lower lids / close eyes / close lids / close", eyes.close),
    ("half_close eyes / half_close lids / half_close", eyes.close),
    ("open eyes / open lids / open", eyes.open_lids),
    ("squint *", eyes.squint),
    ("blink *", eyes.blink),
    ("wink *", eyes.wink),
    ("raise brows / raise inner_brows / raise outer_brows", head.raise_brows),
    ("frown * / lower brows / lower inner_brows / lower outer_brows", head.frown),
    ("smile *", head.smile),
    ("turn head / turn / tilt head / tilt / raise head / lower head / roll head", head.turn),
    ("straighten *", head.straighten),
    ("nod *", head.nod),
    ("shake head / shake", head.shake),
    ("rest *", head.rest),
)
"""(what is said, what it does): verbs with a part of the face, with none, or with any (``*``). The
first that fits is taken."""

_TABLE: Final = tuple(
    (verb, part, make)
    for said, make in RULES
    for verb, _, part in (pair.strip().partition(" ") for pair in said.split("/"))
)
