"""The six states beyond the emotions, and being at ease and speaking."""

from __future__ import annotations

from typing import Final

from planner.manners import NEVER
from planner.saccade import GazeManner
from planner.stages import Category, Look, Rhythm, Stage

_FRIENDLY = GazeManner(10.0, (0.5, 1.0), (5.0, 9.0), (("side", 2.0), ("down_side", 2.0)))
_STEADY = GazeManner(NEVER, (1.0, 1.0), (0.0, 0.0), (("down", 1.0),), 0.8)
_SLEEPY = GazeManner(5.0, (1.0, 2.5), (5.0, 10.0), (("down", 3.0), ("down_side", 1.0)), 0.35)

IDLE: Final = Category(
    "At ease",
    "Neutral and attentive: calm eye contact, natural blinks, a quiet head.",
    "rest",
    {
        "rest": Stage(
            (5, 12), (1.0, 1.8), {"AU1": (0.0, 0.05), "AU2": (0.0, 0.06), "AU7": (0.0, 0.08)},
            (("rest", 1.0), ("warm", 1.0), ("attend", 1.0)), "at rest",
        ),
        "warm": Stage(
            (3, 7), (1.0, 1.6), {"AU2": (0.0, 0.06), "AU6": (0.1, 0.2), "smile": (0.25, 0.4)},
            (("rest", 2.0), ("attend", 1.0)), "a hint of a smile",
        ),
        "attend": Stage(
            (2.5, 5), (0.6, 1.0), {"AU1": (0.05, 0.1), "AU2": (0.06, 0.14), "roll?": (0.5, 2.0)},
            (("rest", 2.0), ("warm", 1.0)), "brows lift a little, attentive",
        ),
    },
)  # fmt: skip

SPEAKING: Final = Category(
    "Speaking",
    "Talks to the viewer: livelier head, beats with the brows, looks away while planning words.",
    "talk",
    {
        "talk": Stage(
            (2, 4), (0.3, 0.5), {"AU1": (0.08, 0.14), "AU2": (0.1, 0.18)},
            (("explain", 2.0), ("insist", 1.0)), "talks to the viewer",
        ),
        "explain": Stage(
            (1.5, 3.0), (0.3, 0.5), {"AU1": (0.2, 0.32), "AU2": (0.25, 0.4), "pitch": (-4, -1),
            "yaw?": (2, 5), "roll?": (1, 4)},
            (("talk", 2.0), ("insist", 1.0)), "brows help to explain",
        ),
        "insist": Stage(
            (1.2, 2.2), (0.3, 0.5), {"AU4": (0.2, 0.35), "AU7": (0.15, 0.25), "pitch": (2, 5),
            "yaw?": (2, 5)},
            (("talk", 2.0), ("explain", 1.0)), "leans on a word",
        ),
    },
)  # fmt: skip

THINKING: Final = Category(
    "Thinking",
    "What an avatar at ease shows while an answer is on its way.",
    "ponder",
    {
        "ponder": Stage(
            (2.0, 4.0), (0.5, 0.8), {"AU1": (0.0, 0.12), "AU4": (0.1, 0.25), "AU7": (0.05, 0.15),
            "pitch": (-3, 0), "roll?": (1, 3), "press": (0.05, 0.2)},
            (("ponder", 1.0), ("weigh", 1.0)), "thinks about it",
        ),
        "weigh": Stage(
            (1.5, 3.0), (0.5, 0.8), {"AU1": (0.1, 0.2), "AU2": (0.15, 0.3), "pitch": (-2, 1)},
            (("ponder", 1.0),), "weighs it, brows up",
        ),
    },
)  # fmt: skip

# AU 6 + 12 (25/26), head back, rhythmic at 4-5 Hz, eyes narrowed (Ruch & Ekman 2001, The
# expressive pattern of laughter; notes every 0.21 s: Provine & Yong 1991, Ethology 89). Lids narrow
# from below (AU 7) more than from above: that is what tells mirth from sleep.
LAUGHTER: Final = Category(
    "Laughter",
    "Cheeks up, eyes narrowed to crescents, shaking in bouts; smiles in between.",
    "burst",
    {
        "burst": Stage(
            (1.4, 2.6), (0.32, 0.46), {"AU6": (0.85, 1.0), "AU7": (0.85, 1.0), "AU45": (0.1, 0.2),
            "AU1": (0.18, 0.3), "AU2": (0.25, 0.4), "pitch": (-9, -6), "roll?": (2, 5),
            "smile": (0.95, 1.0), "jaw": (0.26, 0.36), "wide": (0.65, 0.85),
            "upper_lip": (0.3, 0.45)},
            (("catch_breath", 1.0), ("shake", 2.0)), "bursts out, head back", look=Look("viewer"),
            blinks=0.3, rhythm=Rhythm(4.7, {"pitch": 0.9, "jaw": 0.07, "AU6": 0.04}),
        ),
        "shake": Stage(
            (1.2, 2.2), (0.45, 0.65), {"AU6": (0.85, 1.0), "AU7": (0.8, 0.95), "AU45": (0.5, 0.65),
            "AU1": (0.18, 0.3), "AU2": (0.25, 0.4), "pitch": (5, 9), "roll?": (3, 6),
            "smile": (0.9, 1.0), "jaw": (0.14, 0.24), "wide": (0.65, 0.85),
            "upper_lip": (0.25, 0.4)},
            (("catch_breath", 2.0), ("burst", 1.0)), "shakes with it, eyes nearly shut",
            look=Look("down", (3, 6)), blinks=0.3, rhythm=Rhythm(4.7, {"pitch": 1.0, "jaw": 0.06}),
        ),
        "catch_breath": Stage(
            (1.4, 2.4), (0.5, 0.8), {"AU6": (0.7, 0.85), "AU7": (0.5, 0.65), "AU1": (0.12, 0.25),
            "AU2": (0.18, 0.32), "pitch": (-2, 1), "roll?": (3, 6),
            "smile": (0.85, 1.0), "jaw": (0.04, 0.1), "wide": (0.4, 0.6),
            "upper_lip": (0.15, 0.25)},
            (("burst", 2.0), ("shake", 1.0)), "catches its breath, still smiling",
            look=Look("viewer"), gaze=_FRIENDLY, blinks=1.2, drift=1.3, blink=True,
        ),
    },
)  # fmt: skip

# Looks away to think (Glenberg et al. 1998; Doherty-Sneddon & Phelps 2005, Mem Cognit 33(4)); AU 4
# and 7 with effort (Rozin & Cohen 2003, Emotion 3(1); Craig et al. 2008, Cogn Emot 22(5)); blinks
# held back while working, let go at the end (Fukuda 2001, Percept Mot Skills 93).
COGNITIVE_EFFORT: Final = Category(
    "Cognitive effort",
    "Thinks hard: long looks up and aside, brows knit, few blinks, back with the answer.",
    "take_in",
    {
        "take_in": Stage(
            (0.5, 0.9), (0.25, 0.4), {"AU4": (0.3, 0.45), "AU5": (0.1, 0.2), "AU1": (0.0, 0.1),
            "roll?": (1, 3)},
            (("search", 1.0),), "takes in the question", look=Look("viewer"), blinks=0.5,
        ),
        "search": Stage(
            (2.4, 4.2), (0.5, 0.8), {"AU4": (0.55, 0.75), "AU7": (0.35, 0.5), "pitch": (-6, -3),
            "yaw?": (3, 6), "roll?": (2, 4), "press": (0.1, 0.3)},
            (("narrow_down", 2.0), ("search", 1.0), ("check", 1.0)),
            "searches, looking up and aside", look=Look("up_side", (17, 22)), blinks=0.35,
            drift=0.7,
        ),
        "narrow_down": Stage(
            (1.6, 2.8), (0.5, 0.9), {"AU4": (0.75, 0.95), "AU7": (0.55, 0.75),
            "AU45": (0.04, 0.1), "pitch": (1, 4), "yaw?": (2, 5), "roll?": (1, 4),
            "press": (0.25, 0.45)},
            (("check", 1.0), ("search", 2.0)), "narrows it down, brows knit",
            look=Look("side", (13, 18)), blinks=0.4, drift=0.6,
        ),
        "check": Stage(
            (0.9, 1.7), (0.35, 0.6), {"AU1": (0.3, 0.45), "AU2": (0.4, 0.6), "AU4": (0.1, 0.2),
            "pitch": (-2, 1)},
            (("search", 1.0),), "comes back with a thought",
            look=Look("viewer"), blinks=2.2, blink=True,
        ),
    },
)  # fmt: skip

# Lowered gaze and head, little movement (Waxer 1974, J Abnorm Psychol 83(3); Girard et al. 2014,
# Image Vis Comput 32(10)); a trace of AU 4, lids half down. Against sadness, flat brows and an
# empty look; against drowsiness, lids and head that stay where they are.
LOW_AROUSAL_NEGATIVE: Final = Category(
    "Low-arousal negative",
    "Flat and weary: half lidded, an empty look at nothing, head leaning, hardly any movement.",
    "sag",
    {
        "sag": Stage(
            (4.0, 7.0), (1.1, 1.8), {"AU1": (0.0, 0.06), "AU4": (0.22, 0.36),
            "AU45": (0.24, 0.32), "pitch": (3, 6), "roll?": (6, 9), "press": (0.05, 0.15)},
            (("glance", 1.0), ("sigh", 1.0)), "sags, stares at nothing",
            look=Look("down_side", (10, 15)), blinks=0.6, slowness=1.6, drift=0.35,
        ),
        "glance": Stage(
            (1.5, 2.6), (0.8, 1.2), {"AU1": (0.0, 0.08), "AU4": (0.16, 0.28),
            "AU45": (0.28, 0.36), "pitch": (2, 4), "roll?": (5, 8)},
            (("sag", 1.0),), "a dull look at the viewer", look=Look("viewer"), blinks=0.7,
            slowness=1.6, drift=0.35,
        ),
        "sigh": Stage(
            (1.6, 2.4), (0.8, 1.2), {"AU1": (0.0, 0.08), "AU4": (0.1, 0.2),
            "AU45": (0.36, 0.46), "pitch": (-4, -1), "roll?": (3, 6), "jaw": (0.02, 0.06)},
            (("sag", 1.0),), "sighs, lids sinking", look=Look("down", (8, 12)), blinks=0.8,
            slowness=1.9, drift=0.5, blink=True,
        ),
    },
)  # fmt: skip

# Eye contact, AU 6 + 12, the eyebrow flash of greeting (Grammer et al. 1988, Ethology 77(4)), head
# tilt and nods (Kendon 1970, Acta Psychol 32).
SOCIAL_ENGAGEMENT: Final = Category(
    "Social engagement",
    "Warm and interested: smiling eyes, steady contact, brow flashes, tilts and nods.",
    "greet",
    {
        "greet": Stage(
            (0.6, 0.95), (0.2, 0.3), {"AU1": (0.75, 0.95), "AU2": (0.85, 1.0), "AU5": (0.1, 0.2),
            "AU6": (0.4, 0.55), "pitch": (-5, -2), "roll?": (1, 4), "smile": (0.6, 0.8)},
            (("engage", 1.0),), "an eyebrow flash", look=Look("viewer"), blinks=0.4,
        ),
        "engage": Stage(
            (2.8, 5.0), (0.4, 0.7), {"AU1": (0.15, 0.3), "AU2": (0.25, 0.4), "AU6": (0.65, 0.85),
            "AU7": (0.15, 0.28), "pitch": (0, 3), "roll?": (5, 8), "smile": (0.75, 0.95),
            "wide": (0.1, 0.25)},
            (("follow", 2.0), ("greet", 1.0)), "smiles with the eyes", look=Look("viewer"),
            gaze=_STEADY, drift=1.2, nods=8.0,
        ),
        "follow": Stage(
            (2.0, 3.6), (0.4, 0.7), {"AU1": (0.3, 0.45), "AU2": (0.4, 0.6), "AU5": (0.05, 0.15),
            "AU6": (0.45, 0.6), "AU7": (0.1, 0.2), "pitch": (1, 4), "roll?": (5, 8),
            "smile": (0.5, 0.7)},
            (("engage", 2.0), ("greet", 1.0)), "leans in, follows with interest",
            look=Look("viewer"), gaze=_STEADY, drift=1.1, nods=16.0,
        ),
    },
)  # fmt: skip

# Avoided eye contact, blinks that make up for lost ones (Leal & Vrij 2008, J Nonverbal Behav
# 32(4)); lips pressed (DePaulo et al. 2003, Psychol Bull 129(1)). Eyes slide off a head that still
# faces the viewer, and come back to check from one that has turned off (free).
EVASIVE_RESPONSE: Final = Category(
    "Evasive response",
    "Eyes slide off to the side, jump about, and check the viewer from the corner of the eye.",
    "deflect",
    {
        "deflect": Stage(
            (1.5, 2.8), (0.4, 0.7), {"AU1": (0.2, 0.35), "AU2": (0.1, 0.2), "AU4": (0.1, 0.2),
            "AU7": (0.05, 0.15), "yaw?": (-1, 2), "pitch": (0, 3), "press": (0.2, 0.4)},
            (("peek", 3.0), ("shuffle", 1.0)), "eyes slide off to the side",
            look=Look("side", (17, 21)), blinks=1.4, drift=1.2, blink=True,
        ),
        "peek": Stage(
            (0.6, 1.1), (0.35, 0.5), {"AU1": (0.35, 0.5), "AU2": (0.2, 0.3), "AU4": (0.1, 0.2),
            "yaw?": (9, 13), "pitch": (2, 5), "press": (0.15, 0.3)},
            (("deflect", 1.0), ("drop", 1.0), ("shuffle", 1.0)),
            "checks the viewer from the corner of the eye",
            look=Look("viewer"), blinks=0.6,
        ),
        "drop": Stage(
            (1.0, 2.0), (0.5, 0.8), {"AU1": (0.25, 0.4), "AU4": (0.1, 0.2), "AU45": (0.03, 0.1),
            "pitch": (4, 7), "yaw?": (4, 8), "press": (0.3, 0.5)},
            (("peek", 2.0), ("shuffle", 1.0)), "drops its eyes", look=Look("down_side", (15, 20)),
            blinks=1.4, drift=1.1,
        ),
        "shuffle": Stage(
            (0.5, 1.0), (0.3, 0.45), {"AU1": (0.25, 0.4), "AU2": (0.15, 0.3), "AU4": (0.1, 0.2),
            "yaw?": (0, 4), "pitch": (0, 3), "press": (0.15, 0.35)},
            (("shuffle", 3.0), ("peek", 1.0), ("deflect", 1.0), ("drop", 1.0)),
            "can not settle on anything", look=Look("side", (12, 18)), blinks=1.2, drift=1.5,
        ),
    },
)  # fmt: skip

# Droopy lids, blinks that last (Wierwille et al. 1994, DOT HS 808 247: PERCLOS; Caffier et al.
# 2003; Schleicher et al. 2008, Ergonomics 51(7)), the head sinking and jerking back up
# (Ghoddoosian, Galib & Athitsos 2019, CVPRW: UTA-RLDD). Brows that pull at lids which stay down.
DROWSINESS: Final = Category(
    "Drowsiness",
    "Lids sink, blinks grow long, the head nods off and jerks back up.",
    "heavy",
    {
        "heavy": Stage(
            (2.4, 4.4), (1.1, 1.8), {"AU45": (0.4, 0.52), "AU1": (0.15, 0.3), "AU2": (0.15, 0.3),
            "pitch": (1, 4), "roll?": (1, 3)},
            (("slow_blink", 2.0), ("sink", 1.0)), "lids grow heavy", gaze=_SLEEPY, blink=True,
            blinks=0.9, slowness=1.9, drift=0.7,
        ),
        "slow_blink": Stage(
            (0.8, 1.5), (0.4, 0.6), {"AU45": (0.97, 1.0), "pitch": (3, 6), "roll?": (1, 4)},
            (("reopen", 2.0), ("sink", 1.0)), "a blink that lasts", gaze=_SLEEPY, blinks=0.3,
            drift=0.5,
        ),
        "reopen": Stage(
            (1.8, 3.0), (0.7, 1.1), {"AU1": (0.55, 0.75), "AU2": (0.6, 0.8), "AU45": (0.42, 0.54),
            "pitch": (-2, 1)},
            (("heavy", 2.0), ("sink", 1.0)), "brows pull at lids that stay heavy",
            look=Look("viewer"), blinks=1.2, slowness=1.8, drift=0.7,
        ),
        "sink": Stage(
            (1.8, 3.0), (1.6, 2.4), {"AU45": (0.85, 1.0), "pitch": (11, 15), "roll?": (3, 7),
            "jaw": (0.02, 0.06)},
            (("start_up", 1.0),), "nods off, head sinking", look=Look("down", (9, 13)), blinks=0.2,
            drift=0.3,
        ),
        "start_up": Stage(
            (0.7, 1.3), (0.28, 0.4), {"AU1": (0.5, 0.7), "AU2": (0.55, 0.75), "AU5": (0.2, 0.35),
            "pitch": (-4, -1)},
            (("blink_awake", 1.0),), "starts up, eyes open", look=Look("viewer"), blinks=0.5,
            drift=0.8,
        ),
        "blink_awake": Stage(
            (1.4, 2.4), (0.5, 0.8), {"AU1": (0.25, 0.4), "AU2": (0.3, 0.45), "AU45": (0.22, 0.32),
            "pitch": (-1, 2)},
            (("heavy", 1.0),), "blinks itself awake", look=Look("viewer"), blinks=2.4,
            slowness=1.3, drift=1.2, blink=True,
        ),
    },
)  # fmt: skip
