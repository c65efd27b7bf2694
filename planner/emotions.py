"""The six core emotions, after their facial action coding prototypes.

Sources: action units of the emotions after Ekman, Friesen & Hager 2002, FACS Investigator's
Guide (EMFACS prototypes), written above each category; other sources are named in place. How long
stages last and in what order they come is (free), chosen by looking at the eye region alone.
"""

from __future__ import annotations

from typing import Final

from planner.manners import NEVER
from planner.saccade import GazeManner
from planner.stages import Category, Look, Stage

_TEARFUL = GazeManner(1.6, (0.8, 1.6), (9.0, 14.0), (("down_side", 3.0), ("down", 2.0)), 0.8)
_FIXED = GazeManner(NEVER, (1.0, 1.0), (0.0, 0.0), (("down", 1.0),), restless=0.5)

# AU 1 + 4 (+ 15), also 6 + 15; looking down, head down (Wallbott 1998, Eur J Soc Psychol 28(6)).
# Little of AU 4: it knits the brows, and more of it would take the inner ends down again. Lids
# half down, and eyes that come up from under a bowed head, carry it where brows are straight.
SADNESS: Final = Category(
    "Sadness",
    "Inner brows drawn up and together, heavy lids, head bowed, pleading looks and wet blinks.",
    "well_up",
    {
        "well_up": Stage(
            (1.4, 2.4), (0.7, 1.1), {"AU1": (0.85, 1.0), "AU4": (0.14, 0.24), "AU7": (0.1, 0.2),
            "AU45": (0.08, 0.16), "pitch": (2, 5), "roll?": (1, 3), "press": (0.1, 0.25)},
            (("sink", 1.0),), "inner brows rise and knit", look=Look("viewer"), blinks=0.9,
            slowness=1.15, drift=0.7,
        ),
        "sink": Stage(
            (2.8, 5.0), (1.1, 1.7), {"AU1": (0.9, 1.0), "AU4": (0.16, 0.26), "AU45": (0.16, 0.26),
            "AU6": (0.08, 0.18), "AU7": (0.15, 0.25), "pitch": (7, 11), "roll?": (3, 6),
            "press": (0.1, 0.25)},
            (("plead", 3.0), ("blink_back", 1.0)), "gaze and head sink",
            look=Look("down_side", (11, 16)), blinks=0.8, slowness=1.4, drift=0.6,
        ),
        "plead": Stage(
            (2.2, 4.0), (0.7, 1.1), {"AU1": (0.95, 1.0), "AU4": (0.12, 0.2), "AU7": (0.15, 0.25),
            "AU45": (0.05, 0.1), "pitch": (6, 9), "roll?": (3, 6)},
            (("sink", 2.0), ("blink_back", 2.0)), "looks up from under its brows for comfort",
            look=Look("viewer"), blinks=0.8, slowness=1.2, drift=0.7, blink=True,
        ),
        "blink_back": Stage(
            (1.6, 2.8), (0.5, 0.9), {"AU1": (0.85, 1.0), "AU4": (0.18, 0.28), "AU6": (0.15, 0.3),
            "AU7": (0.25, 0.4), "AU45": (0.1, 0.18), "pitch": (3, 6), "roll?": (1, 4),
            "press": (0.25, 0.45)},
            (("sink", 2.0), ("plead", 1.0)), "blinks tears back", gaze=_TEARFUL, blinks=2.4,
            slowness=1.1, drift=0.9, blink=True,
        ),
    },
)  # fmt: skip

# AU 1 + 2 + 4 + 5 (+ 20, 26): against surprise, brows drawn straight and together and tense lower
# lids (Ekman & Friesen 1975, Unmasking the Face, ch. 5), and eyes that leave a head turned off.
FEAR: Final = Category(
    "Fear",
    "Brows up and together, eyes wide and darting, sidelong looks from a head turned away.",
    "freeze",
    {
        "freeze": Stage(
            (0.9, 1.7), (0.2, 0.34), {"AU1": (0.9, 1.0), "AU2": (0.3, 0.45), "AU4": (0.4, 0.55),
            "AU5": (0.9, 1.0), "AU7": (0.15, 0.3), "pitch": (-3, 0), "yaw?": (2, 5),
            "jaw": (0.08, 0.16), "wide": (0.15, 0.3)},
            (("scan", 2.0), ("cower", 1.0)), "freezes, eyes wide", look=Look("viewer"),
            gaze=_FIXED, blinks=0.3, drift=0.4,
        ),
        # Darts are stages of their own: habits of gaze are for calmer people.
        "scan": Stage(
            (0.35, 0.8), (0.2, 0.32), {"AU1": (0.85, 1.0), "AU2": (0.2, 0.35), "AU4": (0.45, 0.6),
            "AU5": (0.8, 0.95), "AU7": (0.2, 0.35), "pitch": (-2, 2), "yaw?": (0, 3),
            "jaw": (0.03, 0.1), "wide": (0.1, 0.25)},
            (("scan", 4.0), ("cower", 1.5), ("freeze", 1.0)), "eyes dart for the threat",
            look=Look("side", (12, 17)), gaze=_FIXED, blinks=0.5, drift=1.3,
        ),
        "cower": Stage(
            (2.0, 3.5), (0.4, 0.7), {"AU1": (0.9, 1.0), "AU2": (0.15, 0.3), "AU4": (0.45, 0.6),
            "AU5": (0.75, 0.9), "AU7": (0.3, 0.45), "pitch": (1, 5), "yaw?": (9, 13),
            "roll?": (1, 4), "press": (0.1, 0.2)},
            (("freeze", 1.0), ("scan", 2.0)), "shrinks away, eyes fixed on it",
            look=Look("viewer"), gaze=_FIXED, blinks=1.1, drift=1.0,
        ),
    },
)  # fmt: skip

# AU 9 or 10 (+ 4, 7, 6): of the eye region, lowered brows and raised lower lids. Turning away and
# shutting out what is seen: Darwin 1872, ch. 11. The chin is tucked in and the brows are knit: the
# difference from laughter, which narrows the lids as well.
DISGUST: Final = Category(
    "Disgust",
    "Brows lowered, lids screwed up, lip raised, chin tucked in, head turned away.",
    "recoil",
    {
        "recoil": Stage(
            (1.0, 1.8), (0.32, 0.46), {"AU4": (0.85, 1.0), "AU6": (0.5, 0.7), "AU7": (0.75, 0.95),
            "AU45": (0.06, 0.14), "pitch": (1, 4), "yaw?": (7, 10), "upper_lip": (0.6, 0.85)},
            (("wince", 1.0), ("regard", 2.0)), "recoils, screws up the eyes",
            look=Look("viewer"), gaze=_FIXED, blinks=0.6,
        ),
        "regard": Stage(
            (2.2, 3.8), (0.5, 0.9), {"AU4": (0.7, 0.9), "AU6": (0.4, 0.55), "AU7": (0.65, 0.85),
            "AU45": (0.04, 0.12), "pitch": (-2, 1), "yaw?": (8, 11), "roll?": (2, 5),
            "upper_lip": (0.4, 0.6)},
            (("turn_away", 2.0), ("wince", 1.0)), "regards it askance through narrow lids",
            look=Look("viewer"), gaze=_FIXED, blinks=0.7, drift=0.8,
        ),
        "wince": Stage(
            (0.65, 1.0), (0.3, 0.42), {"AU4": (0.92, 1.0), "AU6": (0.65, 0.85), "AU7": (0.9, 1.0),
            "AU45": (0.4, 0.55), "pitch": (2, 5), "yaw?": (8, 11), "upper_lip": (0.7, 0.9)},
            (("regard", 1.0), ("turn_away", 1.0)), "winces, eyes nearly shut", blinks=0.3,
        ),
        "turn_away": Stage(
            (1.5, 2.6), (0.5, 0.9), {"AU4": (0.7, 0.85), "AU6": (0.35, 0.5), "AU7": (0.6, 0.75),
            "AU45": (0.08, 0.16), "yaw?": (7, 10), "pitch": (0, 3), "upper_lip": (0.35, 0.5),
            "press": (0.1, 0.2)},
            (("regard", 1.0), ("recoil", 1.0)), "turns away from it",
            look=Look("down_side", (13, 18)), blinks=1.2, blink=True,
        ),
    },
)  # fmt: skip

# Unilateral AU 14 (12); chin up, lids half down, one brow (Ekman & Friesen 1986, Motiv Emot 10(2)).
# The rolled eyes and the look up and down are everyday signs of it (free).
CONTEMPT: Final = Category(
    "Contempt",
    "Chin up, looking down the nose through lowered lids, one brow raised, eyes rolled.",
    "look_down_on",
    {
        "look_down_on": Stage(
            (2.6, 4.5), (0.6, 0.95), {"AU1_one": (0.35, 0.55), "AU2_one": (0.85, 1.0),
            "AU4": (0.06, 0.14), "AU7": (0.15, 0.3), "AU45": (0.16, 0.26), "pitch": (-10, -7),
            "roll?": (2, 5), "press": (0.25, 0.4), "smile": (0.05, 0.12)},
            (("roll_eyes", 1.0), ("size_up", 1.0)), "looks down its nose, one brow up",
            look=Look("viewer"), gaze=_FIXED, blinks=0.5, slowness=1.4, drift=0.6,
        ),
        "size_up": Stage(
            (0.9, 1.5), (0.4, 0.6), {"AU1_one": (0.3, 0.45), "AU2_one": (0.75, 0.95),
            "AU4": (0.06, 0.14), "AU7": (0.2, 0.35), "AU45": (0.06, 0.12), "pitch": (-9, -6),
            "roll?": (1, 4), "press": (0.2, 0.35)},
            (("look_down_on", 1.0),), "looks the viewer up and down",
            look=Look("down", (6, 9)), blinks=0.4, drift=0.6,
        ),
        "roll_eyes": Stage(
            (1.0, 1.7), (0.45, 0.7), {"AU1_one": (0.4, 0.6), "AU2_one": (0.8, 1.0),
            "AU2_other": (0.02, 0.08), "AU7": (0.1, 0.2), "AU45": (0.24, 0.34),
            "pitch": (-7, -4), "yaw?": (5, 9), "roll?": (1, 3), "press": (0.25, 0.35),
            "smile": (0.08, 0.15)},
            (("look_down_on", 1.0),), "rolls its eyes and looks off",
            look=Look("up_side", (17, 22)), blinks=0.5, slowness=1.4,
        ),
    },
)  # fmt: skip

# AU 4 + 5 + 7 (+ 23): the glare, from under a lowered head, hardly blinking.
ANGER: Final = Category(
    "Anger",
    "Brows down and together over a hard, unblinking stare from a lowered head.",
    "flare",
    {
        "flare": Stage(
            (1.0, 1.8), (0.22, 0.38), {"AU4": (0.92, 1.0), "AU5": (0.7, 0.9), "AU7": (0.4, 0.55),
            "pitch": (5, 8), "press": (0.35, 0.55)},
            (("stare", 1.0),), "brows come down hard, eyes flare", look=Look("viewer"),
            gaze=_FIXED, blinks=0.25, drift=0.6,
        ),
        "stare": Stage(
            (3.0, 5.5), (0.6, 1.0), {"AU4": (0.9, 1.0), "AU5": (0.3, 0.45), "AU7": (0.55, 0.7),
            "AU6": (0.1, 0.2), "pitch": (7, 10), "roll?": (0.5, 2), "press": (0.3, 0.5)},
            (("contain", 2.0), ("flare", 2.0)), "holds a hard stare from under the brows",
            look=Look("viewer"), gaze=_FIXED, blinks=0.35, drift=0.5,
        ),
        "contain": Stage(
            (1.0, 1.8), (0.4, 0.7), {"AU4": (0.85, 1.0), "AU7": (0.75, 0.95),
            "AU6": (0.15, 0.3), "AU45": (0.03, 0.08), "pitch": (5, 8), "yaw?": (3, 6),
            "press": (0.5, 0.7)},
            (("flare", 2.0), ("stare", 1.0)), "narrows its eyes to contain it",
            look=Look("viewer"), gaze=_FIXED, blinks=0.6, drift=1.1,
        ),
    },
)  # fmt: skip

# AU 1 + 2 + 5 (+ 26): brief by nature (Ekman & Friesen 1975, Unmasking the Face, ch. 4). Smooth
# high arches, no AU 4, no tension under the eye: the difference from fear.
SURPRISE: Final = Category(
    "Surprise",
    "Brows high in an arch, eyes wide and round; blinks of disbelief, a second look.",
    "startle",
    {
        "startle": Stage(
            (1.0, 1.7), (0.18, 0.3), {"AU1": (0.9, 1.0), "AU2": (0.92, 1.0), "AU5": (0.85, 1.0),
            "pitch": (-7, -4), "jaw": (0.2, 0.35)},
            (("wonder", 2.0), ("blink_at", 1.0)), "brows shoot up, eyes wide",
            look=Look("viewer"), gaze=_FIXED, blinks=0.25, drift=0.6,
        ),
        "wonder": Stage(
            (1.6, 2.8), (0.5, 0.9), {"AU1": (0.7, 0.85), "AU2": (0.75, 0.9), "AU5": (0.45, 0.6),
            "pitch": (-2, 1), "roll?": (3, 6), "jaw": (0.05, 0.15)},
            (("look_twice", 1.0), ("blink_at", 2.0)), "takes it in", look=Look("viewer"),
            gaze=_FIXED, blinks=0.9, blink=True,
        ),
        "blink_at": Stage(
            (1.2, 2.0), (0.4, 0.7), {"AU1": (0.75, 0.9), "AU2": (0.8, 0.95), "AU5": (0.4, 0.6),
            "pitch": (-3, 0), "yaw?": (2, 5), "jaw": (0.03, 0.1)},
            (("startle", 2.0), ("look_twice", 1.0)), "blinks, can not believe it",
            look=Look("viewer"), blinks=2.2, blink=True,
        ),
        "look_twice": Stage(
            (0.5, 0.8), (0.24, 0.36), {"AU1": (0.5, 0.65), "AU2": (0.55, 0.7), "AU5": (0.1, 0.25),
            "yaw?": (4, 7), "pitch": (1, 3)},
            (("startle", 1.0),), "looks away, about to look twice",
            look=Look("down_side", (8, 11)), blinks=0.3,
        ),
    },
)  # fmt: skip
