"""Prototypes of categories that no recording with clear rights shows, from published kinematics.

Each is a handful of gestures (a channel that rises, holds and falls in the times people take)
with the fine motion of a recorded face over them; all are marked ``synthetic`` and name
their sources. Amplitudes are free unless a source is given.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from core import CHANNEL, CHANNELS, F32, FPS, POSE_SLICE
from planner import physiology as ph
from planner.library import BlinkShapes, Prototype, lend, make_prototype, texture
from planner.motion import minimum_jerk

LICENCE: Final = "Apache-2.0"
VARIANTS: Final = 3
"Of each recipe, drawn around it."
SPREAD: Final = 0.15
"Standard deviation of times and amplitudes between variants, as a share."
QUALITY: Final = 0.5
"Of what is made up (free)."
ENOUGH: Final = 0.06
"Standard deviation of a channel above which a donor is not moving any better (free)."
CALM: Final = 0.7
"Liveliness below which no laughing face lends its motion."
FACS: Final = "FACS (Ekman, Friesen & Hager 2002)"


@dataclass(frozen=True, slots=True)
class Gesture:
    """Channels that go up and come down together."""

    start: float
    rise: float
    hold: float
    fall: float
    amounts: Mapping[str, float]
    "Of channels; AU1, AU2 and AU45 without a side mean both."


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one stretch of a category goes."""

    category: str
    name: str
    seconds: float
    gestures: Sequence[Gesture]
    blinks: Sequence[tuple[float, float]]
    "(seconds of the top, slowness) pairs."
    liveliness: float
    "Factor on the fine motion."
    why: str
    "Sources of the kinematics."


_STAY: Final = 60.0
"Seconds: held beyond the end."

RECIPES: Final[tuple[Recipe, ...]] = (
    Recipe(
        "idle", "listening", 5.0,
        (
            Gesture(0.6, 0.9, 1.8, 1.1, {"roll": 2.2, "yaw": -2.0}),
            Gesture(1.4, 0.22, 0.04, 0.3, {"pitch": 3.2}),
            Gesture(1.9, 0.22, 0.04, 0.3, {"pitch": 2.4}),
            Gesture(2.9, 0.4, 0.3, 0.6, {"AU1": 0.14, "AU2": 0.16}),
        ),
        ((1.5, 1.0), (4.1, 1.0)), 1.0,
        "small double nods: Hadar, Steiner & Rose 1985, J Nonverbal Behav 9(4)",
    ),
    Recipe(
        "sadness", "sinking", 5.0,
        (
            Gesture(0.2, 1.2, _STAY, 1, {"AU1": 0.5, "AU4": 0.32, "AU7": 0.12, "AU45": 0.14}),
            Gesture(0.8, 1.8, _STAY, 1, {"pitch": 7.0, "roll": 2.0, "gaze_down": 0.25}),
        ),
        ((2.6, 1.25),), 0.6,
        f"1+4 with lowered gaze: {FACS}; slow, slumped movement: Michalak et al. 2009, "
        "Psychosom Med 71(5)",
    ),
    Recipe(
        "fear", "alarm", 3.2,
        (
            Gesture(0.3, 0.28, _STAY, 1, {"AU1": 0.6, "AU2": 0.4, "AU4": 0.35, "AU5": 0.7}),
            Gesture(0.35, 0.45, 1.6, 0.9, {"pitch": -3.0, "AU7": 0.2}),
        ),
        (), 1.2,
        f"1+2+4+5: {FACS}; eyes widen to take in more: Susskind et al. 2008, Nat Neurosci 11(7)",
    ),
    Recipe(
        "disgust", "recoil", 3.6,
        (
            Gesture(0.3, 0.45, 1.9, 0.8, {"AU4": 0.42, "AU7": 0.5, "AU6": 0.25, "AU45": 0.12}),
            Gesture(0.4, 0.6, 1.6, 0.9, {"pitch": -3.5, "yaw": 6.0, "roll": 2.5}),
        ),
        ((1.9, 1.1),), 0.9,
        f"4+7 beside 9/10: {FACS}; eyes narrow: Susskind et al. 2008, Nat Neurosci 11(7)",
    ),
    Recipe(
        "contempt", "looking down", 4.0,
        (
            Gesture(0.3, 0.7, _STAY, 1, {"AU2_L": 0.4, "AU1_L": 0.15, "AU7": 0.15, "AU45": 0.2}),
            Gesture(0.3, 0.9, _STAY, 1, {"pitch": -5.0, "roll": -3.0, "gaze_down": 0.2}),
        ),
        ((2.8, 1.2),), 0.6,
        "one-sided, head raised: Ekman & Friesen 1986, Motiv Emot 10(2)",
    ),
    Recipe(
        "anger", "glare", 4.2,
        (
            Gesture(0.2, 0.5, _STAY, 1, {"AU4": 0.65, "AU5": 0.25, "AU7": 0.4}),
            Gesture(0.4, 0.7, _STAY, 1, {"pitch": 4.5}),
            Gesture(2.1, 0.2, 0.15, 0.3, {"pitch": 2.0, "AU4": 0.12}),
        ),
        (), 1.0,
        f"4+5+7: {FACS}; a lowered head reads as threat: Witkower & Tracy 2019, Psychol Sci 30(6)",
    ),
    Recipe(
        "surprise", "start", 2.8,
        (
            Gesture(0.3, 0.24, 0.7, 0.7, {"AU1": 0.75, "AU2": 0.7, "AU5": 0.6}),
            Gesture(0.32, 0.35, 0.6, 0.8, {"pitch": -3.0}),
        ),
        ((1.7, 1.0),), 1.2,
        f"1+2+5, over within a second: {FACS}; Ekman 2003, Emotions Revealed, ch. 6",
    ),
    Recipe(
        "cognitive_effort", "working it out", 5.0,
        (
            Gesture(0.2, 0.5, _STAY, 1, {"AU4": 0.35, "AU7": 0.3}),
            Gesture(0.7, 0.06, 1.9, 0.06, {"gaze_left": 0.45, "gaze_up": 0.35}),
            Gesture(0.8, 0.6, 1.8, 0.8, {"yaw": 4.0, "pitch": -2.5}),
            Gesture(2.9, 0.6, _STAY, 1, {"pitch": 4.0, "gaze_down": 0.2, "AU4": 0.12}),
        ),
        ((4.2, 1.0),), 0.8,
        "averted gaze: Glenberg, Schroeder & Robertson 1998, Mem Cognit 26(4); frown: de Morree & "
        "Marcora 2010, Biol Psychol 85(3); few blinks: Holland & Tarlow 1972, Psychol Rep 31",
    ),
    Recipe(
        "low_arousal_negative", "flat", 5.0,
        (
            Gesture(0.0, 1.5, _STAY, 1, {"AU1": 0.2, "AU4": 0.15, "AU45": 0.22}),
            Gesture(0.6, 2.0, _STAY, 1, {"pitch": 5.0, "gaze_down": 0.2}),
        ),
        ((2.0, 1.4), (4.4, 1.3)), 0.35,
        "little and slow head motion: Girard et al. 2014, Image Vis Comput 32(10); Alghowinem et "
        "al. 2013, ACII",
    ),
    Recipe(
        "evasive_response", "looking away", 4.4,
        (
            Gesture(0.4, 0.06, 1.2, 0.05, {"gaze_right": 0.6, "gaze_down": 0.3}),
            Gesture(0.5, 0.5, 1.3, 0.7, {"yaw": -8.0, "pitch": 3.0, "roll": -2.0}),
            Gesture(0.4, 0.5, _STAY, 1, {"AU1": 0.15, "AU7": 0.15}),
            Gesture(2.4, 0.05, 0.9, 0.06, {"gaze_left": 0.4, "gaze_down": 0.35}),
            Gesture(2.5, 0.5, 0.8, 0.6, {"yaw": 4.0}),
        ),
        ((0.45, 0.9), (2.4, 0.9), (3.0, 0.9), (3.7, 0.9)), 1.1,
        "a flurry of blinks after the answer: Leal & Vrij 2008, J Nonverbal Behav 32(4)",
    ),
    Recipe(
        "drowsiness", "slow blinks", 5.6,
        (
            Gesture(0.0, 1.0, _STAY, 1, {"AU45": 0.42, "pitch": 4.0, "gaze_down": 0.15}),
            Gesture(0.5, 0.8, 3.0, 1.2, {"AU1": 0.2, "AU2": 0.15}),
        ),
        ((1.4, 2.0), (3.8, 2.3)), 0.3,
        "drooping lids, blinks that last: Caffier et al. 2003, Eur J Appl Physiol 89(3-4); slowed "
        "reopening: Johns et al. 2007, Somnologie 11(4); PERCLOS: Dinges & Grace 1998, FHWA "
        "MCRT-98-006",
    ),
    Recipe(
        "drowsiness", "nodding off", 6.0,
        (
            Gesture(0.0, 0.8, _STAY, 1, {"AU45": 0.5, "pitch": 3.0}),
            Gesture(0.9, 0.9, 1.9, 0.35, {"AU45": 0.48}),
            Gesture(1.2, 2.1, 0.3, 0.45, {"pitch": 11.0, "roll": 3.0}),
            Gesture(3.7, 0.25, 0.4, 0.9, {"AU1": 0.3, "AU2": 0.25, "AU5": 0.1}),
        ),
        ((5.3, 1.6),), 0.3,
        "lids over 80 % shut for more than a second (PERCLOS: Dinges & Grace 1998, FHWA "
        "MCRT-98-006); the head sinks slowly and is caught fast (free)",
    ),
    Recipe(
        "social_engagement", "bright", 4.0,
        (
            Gesture(0.3, 0.6, 2.0, 1.0, {"AU6": 0.4, "AU7": 0.15}),
            Gesture(0.5, 0.35, 0.4, 0.5, {"AU1": 0.35, "AU2": 0.35}),
            Gesture(1.6, 0.2, 0.05, 0.3, {"pitch": 4.0}),
            Gesture(2.1, 0.2, 0.05, 0.3, {"pitch": 3.0}),
            Gesture(0.2, 1.0, _STAY, 1, {"roll": 3.0}),
        ),
        ((2.9, 1.0),), 1.0,
        "brow flash: Grammer et al. 1988, Ethology 77(4); nods: Hadar, Steiner & Rose 1985, "
        "J Nonverbal Behav 9(4); smiles rise in 0.5-0.75 s: Schmidt, Cohn & Tian 2003, Biol "
        "Psychol 65(1)",
    ),
)  # fmt: skip


def lends(prototype: Prototype) -> bool:
    """Whether a recording shows brows and lids in motion, so that it can lend it."""
    moving = np.ptp(prototype.controls, axis=0) > 0.02
    return bool(moving[:5].any() and moving[5:8].any())


def synthesise(
    missing: frozenset[str], donors: Sequence[Prototype], blinks: BlinkShapes
) -> list[Prototype]:
    """Prototypes of the categories in ``missing`` that there is a recipe for.

    Args:
        missing: Categories.
        donors: Recorded prototypes whose fine motion is lent.
        blinks: Recorded blinks.
    """
    found = []
    for recipe in RECIPES:
        if recipe.category in missing:
            found += [_play(recipe, i, donors, blinks) for i in range(VARIANTS)]
    return found


def _play(
    recipe: Recipe, variant: int, donors: Sequence[Prototype], blinks: BlinkShapes
) -> Prototype:
    name = f"synthetic/{recipe.category}/{recipe.name.replace(' ', '-')}-{variant + 1}"
    rng = np.random.default_rng(zlib.crc32(name.encode()))

    def about(value: float) -> float:
        return value * float(np.clip(rng.normal(1, SPREAD), 1 - 2 * SPREAD, 1 + 2 * SPREAD))

    frames = round(about(recipe.seconds) * FPS)
    t = np.arange(frames) / FPS
    values = np.zeros((frames, len(CHANNELS)), np.float32)
    for g in recipe.gestures:
        start, rise, hold, fall = g.start, about(g.rise), about(g.hold), about(g.fall)
        up = np.array([minimum_jerk((x - start) / rise) for x in t])
        down = np.array([minimum_jerk((x - start - rise - hold) / fall) for x in t])
        for key, amount in g.amounts.items():
            size = about(amount)
            for channel in _channels(key):
                values[:, channel] += size * up * (1 - down)
    values = _mirror(values) if rng.random() < 0.5 else values
    source = recipe.why
    donor: Prototype | None = None
    if donors:
        fitting = _fitting(recipe, values, donors)
        donor = fitting[variant % len(fitting)]
        values += texture(donor, frames, values.mean(axis=0), rng) * recipe.liveliness
        source += f"; fine motion from {donor.source}"
    for at, slowness in recipe.blinks:
        _blink(values, about(at), slowness, blinks, rng)
    np.clip(values[:, : POSE_SLICE.start], 0, 1, out=values[:, : POSE_SLICE.start])
    np.clip(
        values[:, POSE_SLICE], [-x for x in ph.POSE_LIMITS], ph.POSE_LIMITS, values[:, POSE_SLICE]
    )
    made = make_prototype(name, recipe.category, values, source, LICENCE, "synthetic", QUALITY)
    return made if donor is None else lend(made, donor, recipe.liveliness)


def _fitting(recipe: Recipe, values: F32, donors: Sequence[Prototype]) -> list[Prototype]:
    """The few donors that move most in what the recipe uses; no laughter for the calm."""
    calm = [d for d in donors if d.category != "laughter"]
    pool = calm if calm and recipe.liveliness < CALM else donors
    used = np.flatnonzero(values[:, :8].max(axis=0) > 0.1)

    def suits(donor: Prototype) -> float:
        spread = donor.controls[:, used].std(axis=0)
        return float(np.minimum(spread, ENOUGH).sum()) + (ENOUGH if _nods(donor) else 0.0)

    return sorted(pool, key=suits, reverse=True)[:VARIANTS]


def _nods(donor: Prototype) -> bool:
    return bool(np.ptp(donor.controls[:, POSE_SLICE], axis=0).any())


def _blink(
    values: F32, at: float, slowness: float, shapes: BlinkShapes, rng: np.random.Generator
) -> None:
    """Close the lids over whatever they do, at the frame nearest to ``at`` seconds."""
    curve = shapes.curves[int(rng.integers(len(shapes)))]
    samples = np.arange(curve.shape[1])
    since = (np.arange(len(values)) - round(at * FPS)) / FPS
    held = ph.CLOSED_SECONDS[0] * max(slowness**3 - 1, 0)
    x = np.where(since <= 0, since / slowness**0.7, np.maximum(since - held, 0) / slowness)
    for side, name in enumerate(("AU45_L", "AU45_R")):
        closure = np.interp(shapes.top + x * shapes.rate, samples, curve[side], left=0, right=0)
        lid = values[:, CHANNEL[name]]
        lid[:] = 1 - (1 - np.clip(lid, 0, 1)) * (1 - closure)
    values[:, CHANNEL["AU5"]] *= 1 - values[:, CHANNEL["AU45_L"]]


def _mirror(values: F32) -> F32:
    """The same to the other side."""
    order = [1, 0, 3, 2, 4, 5, 6, 7, 9, 8, 11, 10, 12, 13, 14, 15, 16]
    other = values[:, order].copy()
    other[:, [CHANNEL["yaw"], CHANNEL["roll"]]] *= -1
    return other


def _channels(key: str) -> list[int]:
    return [CHANNEL[n] for n in (key, f"{key}_L", f"{key}_R") if n in CHANNEL]
