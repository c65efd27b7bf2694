"""Numbers of the living eye, lid and head, each with its unit and source.

Where a line says *free*, no measurement was at hand and the value was chosen by eye; where only a
part is measured, it says which.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

# --- Blinks ----------------------------------------------------------------------------------

BLINKS_PER_MINUTE: Final[Mapping[str, float]] = {
    "idle": 17.0,
    "listening": 15.0,
    "thinking": 9.0,
    "speaking": 24.0,
}
"""Rest 17, conversation 26, reading 4.5 (Bentivoglio et al. 1997, Mov Disord 12(6)); ranges 8-21,
10.5-32.5 and 1.4-14.4 (Doughty 2001, Optom Vis Sci 78(10)); fewer under mental load (Holland &
Tarlow 1972, Psychol Rep 31(1); the number is free). Speaking stays a little under the mean: a face
that fills a picture looks nervous above it (free)."""
BLINK_INTERVAL_SPREAD: Final = 0.55
"""Standard deviation of log intervals (free): they are right-skewed (Ponder & Kennedy 1927, Q J Exp
Physiol 18)."""
BLINK_GAP_SECONDS: Final = 0.9
"No two separate blinks closer than this (free; doubles are drawn apart)."
BLINK_INTERVAL_LONGEST: Final = 14.0
"Seconds; the tail is cut so that nobody seems to stare (free)."
CLOSING_SECONDS: Final = (0.092, 0.010, 0.070, 0.120)
"""Mean, standard deviation, least, most. About 100 ms (Stern, Walrath & Goldstein 1984,
Psychophysiology 21(1)), less where the eyes look up (VanderWerf et al. 2003, J Neurophysiol 89(5));
the middle is fastest, 17-20 cm/s and up to 40 (Doane 1980, Am J Ophthalmol 89(4)). Spread free."""
CLOSED_SECONDS: Final = (0.020, 0.008, 0.005, 0.045)
"""Lid contact of a normal blink is short, and grows with sleepiness (Caffier et al. 2003, Eur J
Appl Physiol 89(3-4); numbers free)."""
OPENING_SECONDS: Final = (0.215, 0.030, 0.150, 0.290)
"""The up phase is slower (closing is 40-47 % faster at its peak: Sforza et al. 2008, Ophthalmic
Physiol Opt 28(4)) and fades out slowly (Trutoiu et al. 2011, ACM Trans Appl Percept 8(3)); numbers
free."""
BLINK_SIDE_SECONDS: Final = 0.008
"Most by which one lid leads the other (free; conjugate, see Kassem & Evinger 2006, IOVS 47(1))."
BLINK_SIDE_SHARE: Final = 0.03
"""Most by which one lid closes less: each person has a stronger side (Kassem & Evinger 2006). Kept
small enough that the weaker lid still covers 95 %."""
PARTIAL_BLINK_SHARE: Final = 0.14
"""Share of blinks that do not close. Video counts half of them (53 % in healthy eyes: Ousler et al.
2014, Clin Ophthalmol 8); in conversation, whole ones read better (free)."""
PARTIAL_BLINK_CLOSURE: Final = (0.55, 0.8)
DOUBLE_BLINK_SHARE: Final = 0.05
"Share of blinks followed at once by a second (free)."
DOUBLE_BLINK_SECONDS: Final = (0.36, 0.5)
"From peak to peak (free; just over one blink)."
EXTRA_BLINKS_SHARE: Final = 0.10
"Doubles and blinks with gaze shifts come on top; spontaneous ones leave room for them (free)."
SMALLEST_GAZE_BLINK: Final = 12.0
"Degrees; smaller gaze shifts do not bring a blink along (free)."
SURE_GAZE_BLINK: Final = 33.0
"Degrees from which 97 % of gaze shifts come with a blink (Evinger et al. 1994, see below)."


def gaze_blink_chance(degrees: float) -> float:
    """Chance that a gaze shift of ``degrees`` brings a blink along.

    Source: Evinger et al. 1994, Exp Brain Res 100(2): 97 % above 33 deg. What is below is free:
    fewer, and fewest where something is to be seen (Williamson et al. 2005, J Neurophysiol 93(1)).
    """
    share = (degrees - SMALLEST_GAZE_BLINK) / (SURE_GAZE_BLINK - SMALLEST_GAZE_BLINK)
    return 0.97 * math.pow(min(1.0, max(0.0, share)), 0.6)


# --- Gaze ------------------------------------------------------------------------------------

OCULAR_LIMITS: Final = (35.0, 25.0, 30.0)
"""Eye-in-head range the avatar uses: sideways, up, down, degrees. Eyes reach about 55 sideways and
their saccades end at 45 (Guitton & Volle 1987, J Neurophysiol 58(3)); people stay well inside."""
INTERSACCADIC_SECONDS: Final = 0.15
"""No new saccade before this (free): latency is 180-200 ms, 100-120 at its shortest (Fischer &
Ramsperger 1984, Exp Brain Res 57(1)), though pairs of saccades can be closer (Bahill et al. 1975,
Invest Ophthalmol 14(4))."""
MICROSACCADE_DEGREES: Final = (0.15, 0.5)
"Fixational saccades (Martinez-Conde, Macknik & Hubel 2004, Nat Rev Neurosci 5(3))."
MICROSACCADES_PER_SECOND: Final = 1.0
"1-2 while fixating (ibid.); the larger scan of the viewer's face replaces some."
EYE_ONLY_DEGREES: Final = 15.0
"""Up to here a gaze shift hardly moves the head; beyond, the head takes most of the rest
(Stahl 1999, Exp Brain Res 126(1); Freedman & Sparks 1997, J Neurophysiol 77(5))."""
HEAD_SHARE_SMALL: Final = 0.1
HEAD_SHARE_LARGE: Final = 0.75
HEAD_LAG_SECONDS: Final = 0.045
"The eyes lead the head by some tens of ms (Zangemeister & Stark 1982, Exp Neurol 77(3))."
VOR_GAIN: Final = 1.0
"Counter-rotation of the eyes when the head moves, during fixation (Leigh & Zee 2015, ch. 3)."


def saccade_seconds(degrees: float) -> float:
    """Duration of a saccade of ``degrees`` (>= 0): 2.2 ms a degree + 21 ms.

    Source: Bahill, Clark & Stark 1975, Math Biosci 24(3-4); coefficients as in Carpenter 1988.
    """
    return 0.0022 * abs(degrees) + 0.021


def saccade_peak_velocity(degrees: float) -> float:
    """Peak velocity of a saccade, degrees a second.

    A sine velocity profile has its peak at pi / 2 of the mean; measured ratios are about
    1.6 (Becker 1989, in Wurtz & Goldberg, The Neurobiology of Saccadic Eye Movements). It gives
    245, 436 and 542 deg/s at 5, 15 and 30 deg, where Hopf et al. 2018, PLoS ONE 13(9), measured
    213 +- 29, 352 +- 50 and 455 +- 67: quick eyes, and less slow than they would look at 25 fps.
    """
    return 1.5708 * abs(degrees) / saccade_seconds(degrees)


def head_share(degrees: float) -> float:
    """Signed degrees that the head contributes to a gaze shift to ``degrees`` off straight."""
    size = abs(degrees)
    beyond = max(0.0, size - EYE_ONLY_DEGREES)
    share = HEAD_SHARE_SMALL * min(size, EYE_ONLY_DEGREES) + HEAD_SHARE_LARGE * beyond
    return share if degrees >= 0 else -share


def head_turn_seconds(degrees: float) -> float:
    """Time the head takes to turn by ``degrees``.

    Duration grows gently with amplitude, so that peak velocity is near proportional to it
    (Zangemeister, Jones & Stark 1981, Exp Neurol 71(1)).
    """
    return 0.32 + 0.011 * abs(degrees)


# --- Head ------------------------------------------------------------------------------------

BREATHS_PER_SECOND: Final = (0.2, 0.3)
"12-18 breaths a minute at rest (Guyton & Hall, Textbook of Medical Physiology, ch. 38)."
BREATH_PITCH_DEGREES: Final = 0.22
"What breathing does to the head (free: just visible)."
NOD_CYCLE_SECONDS: Final = (0.36, 0.6)
"""Symmetrical, cyclic movements say yes and no (Hadar, Steiner & Rose 1985, J Nonverbal Behav
9(4)); ordinary head movements in conversation are at 1.8-3.7 Hz (Hadar et al. 1983, Hum Mov Sci
2(1-2))."""
NOD_DEGREES: Final = (2.5, 5.5)
"Free."
ACCENT_SECONDS: Final = (0.14, 0.24)
"Rise and fall of a head beat on a stressed syllable (Hadar et al. 1983, Lang Speech 26(2))."
ACCENT_DEGREES: Final = 1.7
"Head beat at strength 1 (free, after the few degrees of Munhall et al. 2004, Psychol Sci 15(2))."
ACCENT_BROW: Final = 0.22
"""Brow raise that comes with some accents: brows and pitch accents coincide (Cave et al. 1996,
ICSLP; Flecha-Garcia 2010, Speech Commun 52(6))."""
POSTURE_SHIFT_SECONDS: Final = (5.0, 20.0)
"From one resettling of the head to the next (free)."

# --- Limits ----------------------------------------------------------------------------------

POSE_LIMITS: Final = (25.0, 35.0, 20.0)
"""Most pitch, yaw and roll shown, degrees. Necks reach 50-80 (Youdas et al. 1992, Phys Ther
72(11)); one picture does not."""
HEAD_SPEED_LIMIT: Final = 150.0
"Degrees a second; voluntary turns of this size peak near it (Zangemeister et al. 1981)."
AU_RISE_SECONDS: Final = 0.16
"""No facial action other than a lid's rises faster (free). The onset of spontaneous smiles takes
several tenths of a second (Schmidt, Cohn & Tian 2003, Biol Psychol 65(1)); deliberate smiles and
brow raises are faster (Schmidt, Bhattacharya & Denlinger 2009, J Nonverbal Behav 33(1))."""
