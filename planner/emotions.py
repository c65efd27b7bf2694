"""The six core emotions, after their facial action coding prototypes.

Sources: action units of the emotions after Ekman, Friesen & Hager 2002, FACS Investigator's
Guide (EMFACS prototypes), written above each category; other sources are named in place.
"""

from __future__ import annotations

from typing import Final

from planner.manners import NEVER
from planner.saccade import GazeManner
from planner.stages import Category, Look, Stage

_SOME_CONTACT = GazeManner(4.0, (0.8, 1.8), (7.0, 14.0), (("down_side", 3.0), ("down", 2.0)))
_DOWNCAST = GazeManner(1.8, (1.6, 3.6), (10.0, 18.0), (("down", 3.0), ("down_side", 3.0)))
_FIXED = GazeManner(NEVER, (1.0, 1.0), (0.0, 0.0), (("down", 1.0),), restless=0.5)
_DARTING = GazeManner(
    0.9, (0.25, 0.7), (6.0, 15.0), (("side", 4.0), ("up_side", 1.0), ("down_side", 1.0)), 1.6
)

# AU 1 + 4 (+ 15); looking down, head down (Wallbott 1998, Eur J Soc Psychol 28(6)).
SADNESS: Final = Category(
    "Sadness",
    "Inner brows drawn up and together, heavy lids, eyes and head sinking.",
    "well_up",
    {
        "well_up": Stage(
            (1.6, 2.6), (0.9, 1.4), {"AU1": (0.7, 0.85), "AU4": (0.18, 0.3), "AU7": (0.05, 0.15),
            "pitch": (1, 3), "press": (0.1, 0.25)},
            (("sink", 1.0),), "inner brows rise and knit", gaze=_SOME_CONTACT, blinks=0.9,
            slowness=1.15, drift=0.7,
        ),
        "sink": Stage(
            (3.5, 7.0), (1.2, 2.0), {"AU1": (0.75, 0.95), "AU4": (0.2, 0.35), "AU45": (0.1, 0.2),
            "pitch": (4, 8), "roll?": (1, 4), "press": (0.1, 0.25)},
            (("look_up", 3.0), ("sink", 1.0)), "gaze and head sink",
            look=Look("down_side", (9, 15)), blinks=0.9, slowness=1.4, drift=0.6,
        ),
        "look_up": Stage(
            (2.0, 4.0), (0.7, 1.1), {"AU1": (0.85, 1.0), "AU4": (0.2, 0.35), "AU7": (0.1, 0.2),
            "AU45": (0.02, 0.08), "pitch": (2, 4), "roll?": (1, 3)},
            (("sink", 2.0), ("waver", 1.0)), "looks up for comfort", look=Look("viewer"),
            slowness=1.2, drift=0.7, blink=True,
        ),
        "waver": Stage(
            (1.5, 3.0), (0.8, 1.4), {"AU1": (0.5, 0.65), "AU4": (0.15, 0.25), "AU45": (0.05, 0.12),
            "pitch": (2, 5)},
            (("sink", 1.0), ("look_up", 1.0)), "gathers itself, does not manage", gaze=_DOWNCAST,
            blinks=1.4, slowness=1.2, drift=0.7,
        ),
    },
)  # fmt: skip

# AU 1 + 2 + 4 + 5 (+ 20, 26).
FEAR: Final = Category(
    "Fear",
    "Brows up and together, eyes wide, staring and darting, head drawn back.",
    "freeze",
    {
        "freeze": Stage(
            (1.0, 2.0), (0.25, 0.4), {"AU1": (0.85, 1.0), "AU2": (0.4, 0.6), "AU4": (0.3, 0.45),
            "AU5": (0.8, 1.0), "pitch": (-5, -2), "jaw": (0.08, 0.16), "wide": (0.15, 0.3)},
            (("scan", 1.0),), "freezes, eyes wide", look=Look("viewer"), blinks=0.35, drift=0.5,
        ),
        "scan": Stage(
            (2.5, 5.0), (0.5, 0.8), {"AU1": (0.75, 0.95), "AU2": (0.3, 0.45), "AU4": (0.3, 0.45),
            "AU5": (0.6, 0.85), "AU7": (0.1, 0.25), "pitch": (-3, 1), "yaw?": (1, 4),
            "jaw": (0.03, 0.1), "wide": (0.1, 0.25)},
            (("freeze", 2.0), ("cower", 1.0)), "eyes dart for the threat", gaze=_DARTING,
            blinks=1.5, drift=1.3,
        ),
        "cower": Stage(
            (2.0, 3.5), (0.5, 0.9), {"AU1": (0.8, 0.95), "AU2": (0.2, 0.35), "AU4": (0.4, 0.5),
            "AU5": (0.45, 0.65), "AU7": (0.25, 0.4), "pitch": (2, 5), "yaw?": (3, 7),
            "press": (0.1, 0.2)},
            (("freeze", 1.0), ("scan", 1.0)), "shrinks away, eyes on it", look=Look("viewer"),
            blinks=1.3, drift=1.0, blink=True,
        ),
    },
)  # fmt: skip

# AU 9 or 10 (+ 4, 7, 6): of the eye region, lowered brows and raised lower lids.
DISGUST: Final = Category(
    "Disgust",
    "Brows lowered, lids narrowed, lip raised, head turning away.",
    "recoil",
    {
        "recoil": Stage(
            (1.2, 2.2), (0.3, 0.5), {"AU4": (0.55, 0.75), "AU6": (0.35, 0.5), "AU7": (0.55, 0.75),
            "pitch": (-5, -2), "yaw?": (4, 8), "upper_lip": (0.5, 0.75)},
            (("regard", 1.0),), "recoils, narrows the eyes", look=Look("viewer"), blinks=0.7,
            blink=True,
        ),
        "regard": Stage(
            (2.5, 4.5), (0.6, 1.0), {"AU4": (0.4, 0.6), "AU6": (0.25, 0.4), "AU7": (0.45, 0.6),
            "AU45": (0.05, 0.14), "pitch": (-3, 0), "yaw?": (3, 7), "roll?": (1, 3),
            "upper_lip": (0.3, 0.5)},
            (("turn_away", 2.0), ("recoil", 1.0)), "regards it through narrow lids",
            look=Look("viewer"), blinks=0.8, drift=0.8,
        ),
        "turn_away": Stage(
            (1.6, 3.0), (0.6, 1.0), {"AU4": (0.35, 0.5), "AU6": (0.2, 0.35), "AU7": (0.4, 0.55),
            "AU45": (0.08, 0.16), "yaw?": (7, 12), "pitch": (0, 3), "upper_lip": (0.25, 0.4),
            "press": (0.1, 0.2)},
            (("regard", 1.0), ("recoil", 1.0)), "turns away from it",
            look=Look("down_side", (10, 16)), blinks=1.2, blink=True,
        ),
    },
)  # fmt: skip

# Unilateral AU 14 (12); chin up, lids half down, one brow (Ekman & Friesen 1986, Motiv Emot 10(2)).
CONTEMPT: Final = Category(
    "Contempt",
    "Chin up, looking down the nose through lowered lids, one brow raised.",
    "look_down_on",
    {
        "look_down_on": Stage(
            (3.0, 5.5), (0.7, 1.1), {"AU1_one": (0.3, 0.5), "AU2_one": (0.65, 0.9),
            "AU4": (0.12, 0.22), "AU7": (0.2, 0.35), "AU45": (0.14, 0.24), "pitch": (-8, -5),
            "roll?": (1, 4), "press": (0.25, 0.4), "smile": (0.05, 0.12)},
            (("dismiss", 1.0), ("measure", 1.0)), "looks down at the viewer, one brow up",
            look=Look("viewer"), blinks=0.6, slowness=1.3, drift=0.6,
        ),
        "measure": Stage(
            (2.0, 3.5), (0.6, 1.0), {"AU2_one": (0.35, 0.5), "AU2_other": (0.05, 0.1),
            "AU4": (0.15, 0.25), "AU7": (0.35, 0.5), "AU45": (0.12, 0.2), "pitch": (-6, -3),
            "yaw?": (3, 6), "press": (0.2, 0.35)},
            (("look_down_on", 1.0), ("dismiss", 1.0)), "measures the viewer", look=Look("viewer"),
            blinks=0.6, slowness=1.2, drift=0.6,
        ),
        "dismiss": Stage(
            (1.4, 2.4), (0.6, 0.9), {"AU1_one": (0.3, 0.45), "AU2_one": (0.5, 0.7),
            "AU7": (0.15, 0.25), "AU45": (0.22, 0.34), "pitch": (-6, -4), "yaw?": (3, 6),
            "press": (0.25, 0.35), "smile": (0.08, 0.15)},
            (("look_down_on", 1.0),), "glances off, bored", look=Look("up_side", (10, 15)),
            blinks=0.9, slowness=1.4, blink=True,
        ),
    },
)  # fmt: skip

# AU 4 + 5 + 7 (+ 23): the glare.
ANGER: Final = Category(
    "Anger",
    "Brows down and together over a hard, unblinking stare.",
    "flare",
    {
        "flare": Stage(
            (1.0, 1.8), (0.25, 0.45), {"AU4": (0.8, 1.0), "AU5": (0.5, 0.7), "AU7": (0.4, 0.55),
            "pitch": (2, 5), "press": (0.35, 0.55)},
            (("stare", 1.0),), "brows come down hard", look=Look("viewer"), gaze=_FIXED,
            blinks=0.4, drift=0.7,
        ),
        "stare": Stage(
            (3.5, 6.5), (0.7, 1.1), {"AU4": (0.7, 0.9), "AU5": (0.3, 0.45), "AU7": (0.5, 0.7),
            "pitch": (4, 7), "roll?": (0.5, 2), "press": (0.3, 0.5)},
            (("contain", 2.0), ("flare", 1.0)), "holds a hard stare from under the brows",
            look=Look("viewer"), gaze=_FIXED, blinks=0.45, drift=0.5,
        ),
        "contain": Stage(
            (1.2, 2.4), (0.5, 0.8), {"AU4": (0.55, 0.7), "AU7": (0.55, 0.75),
            "AU45": (0.03, 0.08), "pitch": (1, 4), "yaw?": (2, 5), "press": (0.5, 0.7)},
            (("flare", 1.0), ("stare", 2.0)), "looks aside to contain it",
            look=Look("side", (7, 12)), blinks=1.3, drift=1.1, blink=True,
        ),
    },
)  # fmt: skip

# AU 1 + 2 + 5 (+ 26): brief by nature (Ekman & Friesen 1975, Unmasking the Face, ch. 4).
SURPRISE: Final = Category(
    "Surprise",
    "Brows high, eyes wide, a blink of disbelief; it fades and comes back.",
    "startle",
    {
        "startle": Stage(
            (0.9, 1.5), (0.2, 0.32), {"AU1": (0.8, 1.0), "AU2": (0.8, 1.0), "AU5": (0.75, 0.95),
            "pitch": (-6, -3), "jaw": (0.2, 0.35)},
            (("wonder", 1.0),), "brows shoot up, eyes wide", look=Look("viewer"), blinks=0.3,
            drift=0.7,
        ),
        "wonder": Stage(
            (1.8, 3.2), (0.5, 0.9), {"AU1": (0.5, 0.7), "AU2": (0.5, 0.7), "AU5": (0.3, 0.5),
            "pitch": (-2, 1), "roll?": (2, 5), "jaw": (0.05, 0.15)},
            (("startle", 1.0), ("disbelief", 2.0)), "takes it in", look=Look("viewer"), blinks=1.4,
            blink=True,
        ),
        "disbelief": Stage(
            (1.5, 2.6), (0.5, 0.8), {"AU1": (0.6, 0.8), "AU2": (0.65, 0.85), "AU5": (0.15, 0.3),
            "AU4": (0.05, 0.15), "yaw?": (2, 5), "jaw": (0.03, 0.1)},
            (("startle", 2.0), ("wonder", 1.0)), "can not believe it", gaze=_SOME_CONTACT,
            blinks=1.5, blink=True,
        ),
    },
)  # fmt: skip
