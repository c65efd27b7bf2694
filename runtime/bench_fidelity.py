"""Stage-1 fidelity: does a plan made from a label alone look like real people of that label?

Planned controls are compared with recordings of people the library was not built from, by AU-F1
and AU-Temp (`engines.evaluate.metrics.action_units`), for the ablations of CogPortrait's table 3
and three references. Controls are compared with controls: nothing is rendered, and what a tracker
saw of a real face is taken as it is, so all values include the tracker's noise and its scale.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, TypeAlias

import numpy as np

from core import CHANNEL, CHUNK_FRAMES, F32, FPS, ControlTrack
from engines.evaluate.metrics.action_units import (
    AUS,
    THRESHOLDS,
    UNITS,
    activations,
    au_f1,
    au_temp,
    intensities,
    shape,
    targets,
)
from planner.behaviour import Behaviour
from planner.categories import LABELS
from planner.library import Library, load_library
from planner.motion import F64, minimum_jerk
from planner.recordings import Recording
from planner.rules import check
from runtime.lookahead import Lookahead

MOST_FRAMES: Final = 4 * CHUNK_FRAMES
"Of one take, so that long ones do not decide alone."
LEAST_FRAMES: Final = round(1.6 * FPS)
"A shorter rest of a take is left out."
MOST_PERSONS: Final = 30
"Of one category; only speaking has more."
GLIDE_SECONDS: Final = 0.8
"The way of the direct variant from rest to its pose."
F1, TEMP, SHAPE, SOUND, MOTION, REAL_MOTION, F1_LOW, F1_HIGH = range(8)
"""What is measured of a pair. `SHAPE` is AU-Temp on the scale of each side's own peaks; `SOUND` is
1 where what is planned passes the critic; `MOTION` is the mean speed of the target units, full
scales a second: AU-Temp hardly punishes a face that does not move. The last two are AU-F1 at
other thresholds: a result that hangs on one is none."""
SHARES_OF_TAU: Final = (1.0, 0.5, 1.5)


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """A recording to compare with."""

    name: str
    person: str
    category: str
    controls: F32
    "float32 ``[T, 17]``."


# --- what is compared with -------------------------------------------------------------------


def held_out(recordings: Iterable[Recording], library: Library) -> list[Take]:
    """Takes of people, and of collections, that nothing in ``library`` comes from.

    Two names of one collection may be one person, so a collection the library draws on is left
    out as a whole.
    """
    known = list(recordings)
    names = {p.name.partition("@")[0] for p in library.prototypes if p.kind == "recorded"}
    used = [r for r in known if r.training or r.name in names]
    persons = {r.person for r in used}
    collections = {collection(r.source) for r in used}
    takes = [
        Take(r.name, r.person, r.category, r.controls.values[:MOST_FRAMES])
        for r in known
        if r.category and r.person not in persons and collection(r.source) not in collections
    ]
    kept: dict[str, set[str]] = {}
    for label in LABELS:
        there = {take.person for take in takes if take.category == label}
        kept[label] = set(sorted(there, key=_number)[:MOST_PERSONS])
    long_enough = [take for take in takes if len(take.controls) >= LEAST_FRAMES]
    return [take for take in long_enough if take.person in kept[take.category]]


def collection(source: str) -> str:
    """Owner and repository at the start of a source."""
    return source.partition(" ")[0]


def pieces(values: F32) -> list[F32]:
    """``values`` cut into chunks, a short rest left out."""
    cut = [values[i : i + CHUNK_FRAMES] for i in range(0, len(values), CHUNK_FRAMES)]
    return [piece for piece in cut if len(piece) >= LEAST_FRAMES]


# --- what is compared ------------------------------------------------------------------------

Variant: TypeAlias = Callable[[str, int, int], F32]
"(label, frames, seed) to controls, float32 ``[frames, 17]``."


def direct(label: str, frames: int, seed: int) -> F32:
    """Label to one pose, without time: glides to the category's mean pose and stays there."""
    t = np.arange(frames) / FPS
    way = np.array([minimum_jerk(float(x) / GLIDE_SECONDS) for x in t])
    return (way[:, None] * mean_pose(label)).astype(np.float32)


def retrieval(label: str, frames: int, seed: int) -> F32:
    """One prototype of the category, drawn at random, over and over."""
    library = load_library()
    found = [p for p in library.prototypes if p.category == label] or library.prototypes
    controls: F32 = found[int(np.random.default_rng(seed).integers(len(found)))].controls
    looped: F32 = controls[np.arange(frames) % len(controls)]
    return looped


def planner_only(label: str, frames: int, seed: int) -> F32:
    """Staged events, performed without recorded dynamics."""
    return Behaviour(seed, label=label).advance(frames).values


def composition(label: str, frames: int, seed: int) -> F32:
    """Staged events with the dynamics of retrieved prototypes."""
    return Behaviour(seed, label=label, library=load_library()).advance(frames).values


def full(label: str, frames: int, seed: int) -> F32:
    """What a session plays: chunk after chunk, checked and mended."""
    performer = Behaviour(seed, label=label, library=load_library())
    return Lookahead(performer, label=label, seed=seed).take(frames)[0].values


def other_label(label: str, frames: int, seed: int) -> F32:
    """The full planner under a label that was not asked for: what chance gets."""
    others = [name for name in LABELS if name != label]
    return full(others[seed % len(others)], frames, seed)


VARIANTS: Final[Mapping[str, Variant]] = {
    "direct label": direct,
    "rule retrieval": retrieval,
    "planner only": planner_only,
    "+ composition": composition,
    "+ critic (full)": full,
}
"The rows of table 3."
CHANCE: Final = "(full, another label)"
HUMAN: Final = "(another real person)"


@cache
def mean_pose(label: str) -> F32:
    """Where the category is on average, float32 ``[17]``: two minutes of four performers."""
    performed = [planner_only(label, 30 * FPS, seed) for seed in range(4)]
    mean: F32 = np.concatenate(performed).mean(axis=0, dtype=np.float32)
    for one, other in (("gaze_left", "gaze_right"), ("gaze_up", "gaze_down")):
        both = [CHANNEL[one], CHANNEL[other]]
        mean[both] -= mean[both].min()  # eyes look one way
    return mean


# --- comparing -------------------------------------------------------------------------------

Found: TypeAlias = dict[str, dict[str, F64]]
"Measures by category and person, float64 ``[n, 8]``."


def measure(planned: F32, real: F32, category: str) -> list[float]:
    """All measures of one pair of rows of controls, float32 ``[T, 17]`` each."""
    a, b = intensities(planned), intensities(real)
    target = targets(category)
    n = len(AUS)
    f1 = [au_f1(a[:, :n], b[:, :n], THRESHOLDS[:n] * np.float32(k)) for k in SHARES_OF_TAU]
    shapes = au_temp(shape(a, THRESHOLDS), shape(b, THRESHOLDS), target)
    temp = au_temp(a, b, target)
    sound = float(not check(ControlTrack(planned)))
    return [f1[0], temp, shapes, sound, _motion(a, target), _motion(b, target), *f1[1:]]


def compare(
    takes: Sequence[Take], variant: Variant, seeds: int, told: Callable[[str], None]
) -> Found:
    """Measures of ``variant`` against every piece of every take, ``seeds`` times."""
    rows: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for i, take in enumerate(takes):
        told(f"{i + 1} of {len(takes)}")
        for k in range(seeds):
            planned = variant(take.category, len(take.controls), _number(take.name) + k)
            for a, b in zip(pieces(planned), pieces(take.controls), strict=True):
                rows[take.category][take.person].append(measure(a, b, take.category))
    return _arrays(rows)


def compare_people(takes: Sequence[Take], seeds: int) -> Found:
    """Measures of real people against other real people of the same category."""
    rows: dict[str, dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for take in takes:
        others = [o for o in takes if o.category == take.category and o.person != take.person]
        rng = np.random.default_rng(_number(take.name))
        for piece in pieces(take.controls) if others else ():
            for _ in range(seeds):
                parts = pieces(others[int(rng.integers(len(others)))].controls)
                part = parts[int(rng.integers(len(parts)))]
                frames = min(len(part), len(piece))
                pair = measure(part[:frames], piece[:frames], take.category)
                rows[take.category][take.person].append(pair)
    return _arrays(rows)


# --- diagnosis -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shown:
    """How much of one unit one category shows, every person counting the same."""

    fires: float
    "Share of pieces in which it passes its threshold."
    median: float
    high: float
    "90th percentile."


def shown(takes: Iterable[Take]) -> dict[str, dict[str, Shown]]:
    """What takes show, by category and unit."""
    persons: dict[str, dict[str, list[F32]]] = defaultdict(lambda: defaultdict(list))
    for take in takes:
        persons[take.category][take.person] += [intensities(p) for p in pieces(take.controls)]
    found: dict[str, dict[str, Shown]] = {}
    for category, people in persons.items():
        each = []
        for parts in people.values():
            fires = np.mean([activations(part, THRESHOLDS) for part in parts], axis=0)
            each.append([fires, *np.percentile(np.concatenate(parts), (50, 90), axis=0)])
        mean = np.mean(each, axis=0)
        found[category] = {name: Shown(*map(float, mean[:, i])) for i, name in enumerate(UNITS)}
    return found


def performed(takes: Iterable[Take], variant: Variant, seeds: int) -> list[Take]:
    """What ``variant`` plays in place of each take."""
    return [
        Take(
            t.name, t.person, t.category, variant(t.category, len(t.controls), _number(t.name) + k)
        )
        for t in takes
        for k in range(seeds)
    ]


def _motion(units: F32, target: Sequence[int]) -> float:
    return float(np.abs(np.diff(units[:, list(target)], axis=0)).mean() * FPS)


def _arrays(rows: Mapping[str, Mapping[str, list[list[float]]]]) -> Found:
    return {c: {p: np.array(v) for p, v in people.items()} for c, people in rows.items()}


def _number(name: str) -> int:
    """A number for a name, the same in every run."""
    return zlib.crc32(name.encode())
