"""What a run measured, on disk.

A run is a folder::

    run.json                      `Facts`
    cases/CASE/case.json          category, person, or why the case was skipped
    cases/CASE/truth.npz          controls the extractor saw in the truth; truth.mp4: its frames
    cases/CASE/ROW.json           `Measured` of one row (a generator in a mode)
    cases/CASE/ROW.npz            controls asked for and seen; ROW.mp4: the frames
    pooled.json                   metrics over all cases of a row

Everything is written whole or not at all, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from core import F32, InvalidInput

TRUTH: Final = "truth"


@dataclass(frozen=True, slots=True)
class Facts:
    """What holds for a whole run."""

    name: str
    "Of the manifest."
    created: str
    "ISO 8601, UTC."
    command: str
    size: int
    "Side of the frames, pixels."
    extractor: str
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    "Metric: what measured it where the paper's own network was not to be had."
    missing: Mapping[str, str] = field(default_factory=dict)
    "Metric: why it was not measured."
    scales: Mapping[str, float] = field(default_factory=dict)
    "AU: what counts as full on the extractor's scale (see `engines.evaluate.scales`)."
    seconds: float = 0.0
    "Wall clock of the last go."


@dataclass(frozen=True, slots=True)
class Measured:
    """One row of one case."""

    case: str
    row: str
    category: str
    person: str
    values: Mapping[str, float]
    "By key of `engines.evaluate.metrics.catalogue.METRICS`; what could not be measured is missing."


@dataclass(frozen=True, slots=True, eq=False)
class Curves:
    """Controls of one row of one case, float32 ``[T, 17]`` each, NaN where no face was seen."""

    asked: F32 | None
    "What the generator was told; None where it took something else."
    seen: F32
    "What the extractor saw of it, AUs as shares of `Facts.scales`."
    truth: F32


@dataclass(frozen=True, slots=True)
class Run:
    """A run, read back."""

    folder: Path
    facts: Facts
    rows: tuple[str, ...]
    "In the order in which they were asked for."
    measured: tuple[Measured, ...]
    skipped: Mapping[str, str]
    "Case and why."
    pooled: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    "By row, by metric."

    def values(self, row: str, metric: str) -> dict[str, float]:
        """By case, what was measured."""
        return {m.case: m.values[metric] for m in self.measured
                if m.row == row and metric in m.values}  # fmt: skip


def write_json(path: Path, data: Any) -> None:
    """Write JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def load_run(folder: Path) -> Run:
    """Read a run's folder.

    Raises:
        InvalidInput: It is none, or a file in it is damaged.
    """
    try:
        data = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        rows = tuple(str(row) for row in data.pop("rows"))
        facts = Facts(**data)
        measured, skipped = [], {}
        for note in sorted(folder.glob("cases/*/case.json")):
            case = json.loads(note.read_text(encoding="utf-8"))
            if case.get("skipped"):
                skipped[note.parent.name] = str(case["skipped"])
                continue
            for row in rows:
                path = note.parent / f"{row}.json"
                if path.exists():
                    values = json.loads(path.read_text(encoding="utf-8"))["values"]
                    measured.append(
                        Measured(note.parent.name, row, case["category"], case["person"], values)
                    )
        pooled_at = folder / "pooled.json"
        pooled = json.loads(pooled_at.read_text(encoding="utf-8")) if pooled_at.exists() else {}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{folder} is not the folder of a run: {error!r}.") from error
    return Run(folder, facts, rows, tuple(measured), skipped, pooled)


def save_facts(folder: Path, facts: Facts, rows: tuple[str, ...]) -> None:
    """Write ``run.json``."""
    write_json(folder / "run.json", asdict(facts) | {"rows": list(rows)})


def film_path(folder: Path, case: str, row: str) -> Path:
    """Where the frames of a row (or of `TRUTH`) are."""
    return folder / "cases" / case / f"{row}.mp4"


def load_curves(folder: Path, case: str, row: str) -> Curves:
    """What a row was told and did, beside the truth.

    Raises:
        InvalidInput: It was not measured, or the file is damaged.
    """
    place = folder / "cases" / case
    try:
        # Opened here: numpy leaves a damaged file open.
        with (place / f"{TRUTH}.npz").open("rb") as file, np.load(file) as data:
            truth = data["controls"]
        with (place / f"{row}.npz").open("rb") as file, np.load(file) as data:
            return Curves(data["asked"] if "asked" in data else None, data["controls"], truth)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidInput(f"{folder}: no curves of {row} in {case}: {error!r}.") from error
