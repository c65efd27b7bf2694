"""How eyes and head behave in each state of the conversation, whatever is felt."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from planner.idle import HeadManner
from planner.saccade import GazeManner

State: TypeAlias = Literal["idle", "listening", "thinking", "speaking"]


@dataclass(frozen=True, slots=True)
class Manner:
    """The habits of one conversational state. Blink rates are in `physiology`."""

    gaze: GazeManner
    head: HeadManner


MANNERS: Final[Mapping[State, Manner]] = {
    # Nobody speaks: friendly attention, with the odd look aside.
    "idle": Manner(
        GazeManner(7.5, (0.6, 1.3), (6.0, 13.0), (("side", 3.0), ("down_side", 2.0))),
        HeadManner(drift=1.0),
    ),
    # Listeners look longer and away more briefly: about 7 s between aversions of about 1 s
    # (Andrist, Mutlu & Gleicher 2013, IVA, table 1; Kendon 1967, Acta Psychol 26), and nod.
    "listening": Manner(
        GazeManner(7.2, (0.7, 1.3), (5.0, 11.0), (("side", 2.0), ("down_side", 2.0))),
        HeadManner(drift=0.8, nods=8.0),
    ),
    # Before an answer: long looks up and aside (Glenberg, Schroeder & Robertson 1998, Mem
    # Cognit 26(4); cognitive aversions of about 3.5 s, Andrist et al. 2013).
    "thinking": Manner(
        GazeManner(1.2, (1.8, 3.6), (9.0, 17.0), (("up_side", 5.0), ("side", 2.0), ("down", 0.6))),
        HeadManner(drift=0.9),
    ),
    # Speakers look away more often and longer: every 5 s or so, for about 2 s (ibid.).
    "speaking": Manner(
        GazeManner(
            4.75, (0.7, 1.9), (5.0, 13.0), (("side", 3.0), ("down_side", 2.0), ("up_side", 1.0))
        ),
        HeadManner(drift=1.5),
    ),
}  # fmt: skip

UNHEARD: Final = HeadManner(drift=1.5, accents=38.0)
"The head of one who seems to speak without a sound; with sound, the beats come from it."
PHRASE_BLINK: Final = 0.45
"""Chance of a blink at the end of a spoken phrase. Speakers' blinks gather at breakpoints of speech
(Nakano & Kitazawa 2010, Exp Brain Res 205(4)); the share is free."""

TURN_START_AVERSION: Final = 0.55
"""Chance that a speaker looks away while beginning a turn. Kendon 1967 saw it in most long
utterances; a greeting avatar is forgiven less (free)."""
TURN_START_SECONDS: Final = (0.7, 1.4)
THINK_AT_ONCE_SECONDS: Final = (1.2, 2.6)
"How long the first look away of a thinking avatar lasts."
NEVER: Final = math.inf
"Contact that is not broken."
