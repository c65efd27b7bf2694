"""Real recordings of faces as controls: the raw material of the prototype library.

Reads ``<root>/motion`` (a folder of folders of CSV files, see docs/library.md) and gives every
take of a face as a `ControlTrack` of residuals against the person's own neutral.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from core import ControlTrack, InvalidInput
from planner.decouple import as_track, neutral_of, resample, residual
from planner.formats import Raw, read_raw, read_table
from planner.motion import F64
from planner.sources import CALM, Facts, Use, facts_of, read_index

SLOWEST: Final = 14.0
"Frames a second below which a take says nothing about motion."


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One take of one person."""

    name: str
    "Folder and file below ``motion``, without the suffix."
    person: str
    category: str
    "One of `planner.categories.LABELS`, or empty."
    controls: ControlTrack
    "25 frames a second, against the person's own neutral."
    source: str
    licence: str
    use: Use
    measured: frozenset[str]
    "Of brows, lids, gaze, head: what the tracker saw; the other channels are at rest."
    native_rate: float
    "Frames a second of the original."
    time: F64
    "float64 ``[N]``, seconds, of the original."
    native: F64
    "float64 ``[N, 15]``: the same residuals before resampling (see `planner.decouple.residual`)."

    @property
    def training(self) -> bool:
        """What is derived from it may be passed on with the project."""
        return self.use == "training"


@dataclass(frozen=True, slots=True, eq=False)
class Eyes:
    """Openness of both eyes as a head-mounted eye tracker saw it."""

    name: str
    person: str
    time: F64
    "float64 ``[N]``, seconds, about 90 a second."
    openness: F64
    "float64 ``[N, 2]``: left, right; 1 is open."
    source: str
    licence: str
    use: Use


Told = Callable[[str], None]


def read_recordings(root: Path, told: Told | None = None) -> list[Recording]:
    """Every take below ``root/motion``, by name.

    Args:
        root: The data folder.
        told: Called with the name of each file before it is read.

    Raises:
        InvalidInput: There is no such folder, or a file in it is broken.
    """
    takes: list[tuple[str, Facts, Raw]] = []
    for name, path, row in _files(root):
        if told is not None:
            told(name)
        raw = read_raw(path)
        if raw is not None and raw.rate >= SLOWEST:
            takes.append((name, facts_of(name, row), raw))
    groups: dict[tuple[str, str], list[tuple[str, Facts, Raw]]] = defaultdict(list)
    for take in takes:
        groups[take[1].person, take[2].kind].append(take)
    found = [recording for group in groups.values() for recording in _against_neutral(group)]
    return sorted(found, key=lambda recording: recording.name)


def read_eyes(root: Path) -> list[Eyes]:
    """Every eye openness recording below ``root/motion``, by name.

    Raises:
        InvalidInput: There is no such folder, or a file in it is broken.
    """
    found = []
    for name, path, row in _files(root):
        if not (row.get("kind") or "eye openness").startswith("eye openness"):
            continue
        table = read_table(path)
        if "openness_L" not in table or "openness_R" not in table:
            continue
        facts = facts_of(name, row)
        found.append(_eyes(name, facts, table["time"], table["openness_L"], table["openness_R"]))
    return found


# --- inside ----------------------------------------------------------------------------------


def _files(root: Path) -> list[tuple[str, Path, dict[str, str]]]:
    folder = root / "motion"
    if not folder.is_dir():
        raise InvalidInput(f"There is no folder {folder}: point to the one that holds motion/.")
    index = read_index(folder / "index.csv")
    found = []
    for path in sorted([*folder.rglob("*.csv"), *folder.rglob("*.csv.gz")]):
        file = path.relative_to(folder).as_posix()
        if "/" in file:
            found.append((file.removesuffix(".gz").removesuffix(".csv"), path, index.get(file, {})))
    return found


def _against_neutral(group: Sequence[tuple[str, Facts, Raw]]) -> list[Recording]:
    """Recordings of one person by one kind of tracker."""
    calm = [raw for _, facts, raw in group if facts.category in CALM]
    everything = [raw for _, _, raw in group]
    neutral = neutral_of(calm, everything)
    found = []
    for name, facts, raw in group:
        own_pose = facts.category in CALM or not calm
        native = residual(raw, neutral, own_pose=own_pose)
        controls = as_track(resample(raw.time, native))
        s = facts.source
        found.append(
            Recording(
                name, facts.person, facts.category, controls, s.source, s.licence, s.use,
                raw.measured, raw.rate, raw.time, native,
            )
        )  # fmt: skip
    return found


def _eyes(name: str, facts: Facts, time: F64, left: F64, right: F64) -> Eyes:
    both = np.stack([left, right], axis=1)
    good = np.isfinite(time) & np.isfinite(both).all(axis=1)
    s = facts.source
    return Eyes(name, facts.person, time[good], both[good], s.source, s.licence, s.use)
