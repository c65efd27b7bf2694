"""Phones with times → what the mouth does: targets blended by dominance.

Each phone pulls every channel towards its own mouth, strongest while it is said and less before
and after; at any time a channel is the average of what all phones ask for, weighted by how much
each dominates it there. So rounding spreads over consonants that do not care, while the closure of
p, b, m and the touch of f, v happen whatever stands beside them.

Source: Cohen & Massaro, "Modeling coarticulation in synthetic visual speech", in Models and
Techniques in Computer Animation, Springer 1993: D = α exp(-θ |τ|), F = Σ D T / Σ D. Strengths and
rates here are our own (free), set by eye on rendered speech.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from core import F32, MOUTH, MOUTH_CHANNELS, SAMPLE_RATE
from engines.audio.corpus import I16, Phone
from engines.audio.encoder import TOKEN
from engines.audio.visemes import VISEME, VISEMES, mouth_of, viseme_of

F64: TypeAlias = npt.NDArray[np.float64]

TOKEN_SECONDS: Final = TOKEN / SAMPLE_RATE
_VOWELS: Final = frozenset("aeiou")
_CHANNELS: Final = len(MOUTH_CHANNELS)

_SPEED: Final[dict[str, float]] = {
    "jaw": 22.0, "wide": 16.0, "pucker": 15.0, "press": 70.0, "smile": 10.0, "upper_lip": 20.0,
    "lower_lip": 20.0, "tuck": 70.0, "tongue": 35.0,
}  # fmt: skip
"θ, per second: how fast a phone's hold on a channel fades outside it. Rounding spreads furthest."
_STRENGTH: Final[dict[str, dict[str, float]]] = {
    "sil": {"*": 0.6},
    "pbm": {"*": 0.2, "press": 8.0, "jaw": 1.6, "tuck": 1.0, "tongue": 1.0, "lower_lip": 1.2},
    "fv": {"*": 0.2, "tuck": 8.0, "jaw": 1.4, "press": 1.0, "tongue": 1.0, "lower_lip": 0.8},
    "th": {"*": 0.25, "tongue": 4.0, "jaw": 0.8, "lower_lip": 0.6},
    "td": {"*": 0.15, "tongue": 1.0, "jaw": 0.8, "press": 1.0, "tuck": 1.0},
    "kg": {"*": 0.1, "jaw": 0.35, "press": 1.0, "tuck": 1.0, "tongue": 1.0},
    "u": {"*": 1.0, "pucker": 3.0},
    "o": {"*": 1.0, "pucker": 2.0},
    "i": {"*": 1.0, "wide": 1.5},
    "ch": {"*": 0.7, "pucker": 1.5, "jaw": 1.3, "lower_lip": 1.0},
    "sz": {"*": 0.3, "jaw": 1.5, "wide": 0.5, "lower_lip": 1.0, "press": 1.0, "tuck": 1.0},
    "nl": {"*": 0.15, "tongue": 1.2, "jaw": 0.6, "press": 1.0, "tuck": 1.0},
    "r": {"*": 0.5, "pucker": 0.7, "jaw": 0.6},
}
"α by class; ``*`` stands for the channels not named. Vowels rule every channel."
_VOWEL_STRENGTH: Final = 1.0
_CORE: Final = (0.2, 0.8)
"The part of a phone in which it dominates fully."
_STOP_CORE: Final = (-0.1, 0.62)
"Of p and b: the lips meet before the voice stops and part at the burst."
_CLASS_SPEED: Final = 60.0
_REST: Final = 0.3
"Seconds of silence after which the mouth is at rest in its middle."


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What a listener should say of each token of 20 ms."""

    visemes: F32
    "float32 ``[T, 15]``, sums to 1."
    mouth: F32
    "float32 ``[T, 9]``, `core.MOUTH_CHANNELS`."
    activity: F32
    "float32 ``[T]``: 1 where something is said."


def targets(phones: Sequence[Phone], tokens: int, samples: I16 | None = None) -> Targets:
    """The targets of ``tokens`` tokens; token k covers seconds [0.02 k, 0.02 (k + 1)).

    Args:
        phones: In order; what no phone covers is silence.
        samples: The clean speech; when given, louder vowels open wider.

    Raises:
        KeyError: A phone without a viseme.
    """
    spoken = _with_rests(phones, tokens * TOKEN_SECONDS)
    times = (np.arange(tokens) + 0.5) * TOKEN_SECONDS
    classes = np.array([viseme_of(p.symbol) for p in spoken])
    away = np.stack([_distance(p, k, times) for p, k in zip(spoken, classes, strict=True)])
    visemes = np.zeros((tokens, len(VISEMES)), np.float32)
    hold = np.exp(-_CLASS_SPEED * away)
    for row, kind in zip(hold / hold.sum(0), classes, strict=True):
        visemes[:, kind] += row
    mouths = np.stack([_mouth(p.symbol) for p in spoken])
    if samples is not None:
        mouths[:, MOUTH["jaw"]] *= _emphasis(spoken, classes, samples)
    mouth = np.empty((tokens, _CHANNELS), np.float32)
    alphas = np.stack([_strength(k) for k in classes])
    for c, name in enumerate(MOUTH_CHANNELS):
        pull = alphas[:, c, None] * np.exp(-_SPEED[name] * away)
        mouth[:, c] = (pull * mouths[:, c, None]).sum(0) / pull.sum(0)
    _insist(mouth, spoken, classes, away)
    silent = np.isin(classes, VISEME["sil"])
    activity = np.zeros(tokens, np.float32)
    for phone, quiet in zip(spoken, silent, strict=True):
        if not quiet:
            activity[(times >= phone.start) & (times < phone.end)] = 1.0
    return Targets(visemes, mouth, activity)


def _with_rests(phones: Sequence[Phone], end: float) -> list[Phone]:
    """Silence put where no phone is, long silences cut so that their middle is at rest."""
    filled: list[Phone] = []
    at = 0.0
    for phone in [*phones, Phone("", end, end)]:
        if phone.start - at > 1e-3:
            filled.append(Phone("", at, phone.start))
        if phone.end > phone.start:
            filled.append(phone)
        at = max(at, phone.end)
    return filled or [Phone("", 0.0, end)]


def _distance(phone: Phone, kind: int, times: F64) -> F64:
    """Seconds from each time to the phone's core; 0 within."""
    low, high = _CORE
    if phone.symbol.lower()[:1] in ("p", "b") and kind == VISEME["pbm"]:
        low, high = _STOP_CORE
    elif kind in (VISEME["pbm"], VISEME["fv"]):
        low, high = 0.05, 0.9
    length = phone.end - phone.start
    start, end = phone.start + low * length, phone.start + high * length
    away: F64 = np.maximum(np.maximum(start - times, times - end), 0.0)
    return away


def _mouth(symbol: str) -> F64:
    mouth = np.zeros(_CHANNELS)
    if symbol:
        for name, value in mouth_of(symbol).items():
            mouth[MOUTH[name]] = value
    return mouth


def _strength(kind: int) -> F64:
    table = _STRENGTH.get(VISEMES[kind], {"*": _VOWEL_STRENGTH})
    return np.array([table.get(name, table["*"]) for name in MOUTH_CHANNELS])


def _insist(mouth: F32, phones: list[Phone], classes: npt.NDArray[np.int64], away: F64) -> None:
    """Closures and touches are made in full at their time, rests reach rest."""
    jaw, press, tuck = MOUTH["jaw"], MOUTH["press"], MOUTH["tuck"]
    for phone, kind, far in zip(phones, classes, away, strict=True):
        inside = far <= 0.5 * TOKEN_SECONDS
        if kind == VISEME["pbm"] and phone.symbol not in "βɸ":
            mouth[inside, press] = np.maximum(mouth[inside, press], 0.85)
            mouth[inside, jaw] = np.minimum(mouth[inside, jaw], 0.05)
        elif kind == VISEME["fv"]:
            mouth[inside, tuck] = np.maximum(mouth[inside, tuck], 0.8)
            mouth[inside, jaw] = np.minimum(mouth[inside, jaw], 0.12)
        elif kind == VISEME["sil"] and phone.end - phone.start > _REST:
            mouth[far <= 0.0] *= 0.15


def _emphasis(phones: list[Phone], classes: npt.NDArray[np.int64], samples: I16) -> F64:
    """Jaw of each phone against usual: vowels louder than this voice's median open wider."""
    levels = np.full(len(phones), np.nan)
    for k, (phone, kind) in enumerate(zip(phones, classes, strict=True)):
        part = samples[int(phone.start * SAMPLE_RATE) : int(phone.end * SAMPLE_RATE)]
        if VISEMES[kind] in _VOWELS and len(part):
            power = np.mean(np.square(part.astype(np.float64) / 32768))
            levels[k] = 10 * np.log10(power + 1e-9)
    if np.all(np.isnan(levels)):
        return np.ones(len(phones))
    louder = np.nan_to_num(levels - np.nanmedian(levels), nan=0.0)
    gain: F64 = np.clip(1.0 + louder / 20.0, 0.65, 1.3)
    return gain
