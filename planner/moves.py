"""Which verb, with which part of the face, makes which move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

import numpy as np

from planner import moves_eyes as eyes
from planner import moves_head as head
from planner.clause import Clause, Move
from planner.cues import Cue


def moves_for(clause: Clause, rng: np.random.Generator) -> list[Move]:
    """The moves of one clause; empty when it makes no sense."""
    verb = clause.verb or _verb_of(clause)
    if clause.negated:
        return _forbid(verb, clause, rng)
    if clause.label and verb in ("", "look", "act", "turn"):
        return [_act(clause)]
    if verb == "wait":
        return [Move(seconds=clause.hold)] if clause.hold else []
    for wanted, part, make in _TABLE:
        if verb == wanted and part in ("*", clause.part):
            moves = make(clause, rng)
            return [_stop(moves)] if clause.stopped else moves
    return []


ACTED_SECONDS: Final = 4.0
"How long a state is acted, when nothing is said about it."
UNBLINKING_SECONDS: Final = 8.0
MOST_UNBLINKING_SECONDS: Final = 20.0
"Eyes that are told not to blink do in the end."


def _act(clause: Clause) -> Move:
    """ "Look sad": the state's own stages for a while."""
    lasts = ACTED_SECONDS if clause.hold is None else clause.hold
    words = f"acts {clause.label.replace('_', ' ')}"
    return Move((Cue(0.0, words, hold=lasts, label=clause.label),), lasts, frozenset({"label"}))


def _forbid(verb: str, clause: Clause, rng: np.random.Generator) -> list[Move]:
    """What not to do, where something can be done about it."""
    if verb == "blink":
        lasts = UNBLINKING_SECONDS if clause.hold is None else clause.hold
        lasts = min(lasts, MOST_UNBLINKING_SECONDS)
        cue = Cue(0.0, "does not blink", hold=lasts, no_blink=lasts)
        return [Move((cue,), 0.1, frozenset({"blinks"}))]
    if verb == "look" and clause.ways in (["viewer"], []) or verb == "contact":
        return eyes.look(replace(clause, verb="away", ways=[]), rng)
    if verb in ("turn", "nod", "shake", "tilt") and clause.part in ("head", ""):
        return still(clause, rng)
    return []


def still(clause: Clause, rng: np.random.Generator) -> list[Move]:
    """ "Keep your head still", "without moving your head"."""
    cue = Cue(0.0, "holds the head still", hold=clause.hold, still=True)
    return [Move((cue,), 0.0, frozenset({"still"}))]


def _verb_of(clause: Clause) -> str:
    """The verb that goes without saying: "eyes left", "head down", "eyebrows up"."""
    if not clause.ways:
        return ""
    if clause.part == "eyes" or not clause.part and not clause.strange:
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
    ("still *", still),
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
