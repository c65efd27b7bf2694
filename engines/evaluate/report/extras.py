"""What others put beside a run: judges and the live stream; and the facts of the run itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, Final

from core import FPS
from engines.evaluate.case import Manifest
from engines.evaluate.report.document import Block, Cell, Heading, Points, Row, Table, Text, cells
from engines.evaluate.report.tables import MOST_LINES, NOTHING, UNLABELLED, in_order
from engines.evaluate.results import Run

LARGEST: Final = 64_000_000
"Bytes of a file that is read: judges keep every answer in theirs."
JUDGED: Final[Mapping[str, str]] = {
    "judges.json": "Scores",
    "judge_pairs.json": "Share of comparisons that are won",
}


def read_object(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None where there is no such file, or nothing of the kind in it."""
    try:
        if path.stat().st_size > LARGEST:
            return None
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def judges(folder: Path) -> list[Block]:
    """What judges said: rows × aspects, means with intervals; nothing where none were asked."""
    out: list[Block] = []
    for name, title in JUDGED.items():
        if (folder / name).exists():
            out += [Heading(title, 3), *_judged(folder / name)]
    return out


def _judged(path: Path) -> list[Block]:
    data = read_object(path) or {}
    rows = data.get("rows")
    if not isinstance(rows, dict) or not rows:
        return [Text(f"{path.name} is there, but holds no table of rows and aspects.", "warning")]
    marks = {row: of for row, of in list(rows.items())[:MOST_LINES] if isinstance(of, dict)}
    aspects = list(dict.fromkeys(aspect for of in marks.values() for aspect in of))[:24]
    lines = [Row((Cell(row), *(_mark(of.get(a)) for a in aspects))) for row, of in marks.items()]
    out: list[Block] = [Table(("row", *aspects), tuple(lines))]
    if isinstance(model := data.get("model"), str):
        out.append(Text(f"Asked: {model}. Means with 95 % intervals.", "note"))
    if isinstance(warnings := data.get("warnings"), list):
        out += [Text(text, "warning") for text in warnings[:MOST_LINES] if isinstance(text, str)]
    return out


def _mark(mark: Any) -> Cell:
    if not isinstance(mark, dict):
        return Cell(_shown(mark))
    text = _shown(mark.get("mean"))
    low, high = _shown(mark.get("low")), _shown(mark.get("high"))
    if NOTHING not in (text, low, high):
        text += f" [{low}, {high}]"
    count = mark.get("n")
    return Cell(text, note=f"n {count}" if isinstance(count, int) else "")


def live(folder: Path) -> list[Block]:
    """The table of ``live.json``: name, value, unit and goal; nothing if there is none."""
    path = folder / "live.json"
    if not path.exists():
        return []
    data = read_object(path)
    if not data:
        return [Text("live.json is there, but holds no measurements.", "warning")]
    rows = []
    for name, entry in list(data.items())[:MOST_LINES]:
        of = entry if isinstance(entry, dict) else {"value": entry}
        rows.append(Row(cells(name, *(_shown(of.get(key)) for key in ("value", "unit", "goal")))))
    return [Table(("live", "value", "unit", "goal"), tuple(rows), texts=(0, 3))]


def _shown(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            return "yes" if value else "no"
        case int():
            return str(value)[:24]
        case float() if isfinite(value):
            return f"{value:.4g}"
        case _:
            return NOTHING


def facts(run: Run, manifest: Manifest | None) -> list[Block]:
    """How the run was made."""
    told = run.facts
    items = [
        ("set", str(told.name)),
        ("made", str(told.created)),
        ("command", str(told.command)),
        ("frames", f"{told.size} × {told.size} pixels, {FPS} a second"),
        ("extractor", str(told.extractor)),
    ]
    if isinstance(told.scales, Mapping) and told.scales:
        scales = ", ".join(f"{au} {_shown(full)}" for au, full in told.scales.items())
        items.append(("full intensity on the extractor's scale", scales))
    if told.seconds:
        items.append(("last go took", f"{_shown(told.seconds)} s"))
    if manifest is not None:
        seconds = sum(case.frames for case in manifest.cases) / FPS
        labels = in_order(case.category or UNLABELLED for case in manifest.cases)
        people = len({case.person for case in manifest.cases})
        items.append((
            "cases in the set", f"{len(manifest.cases)} of {people} people, {seconds:.0f} s; "
            f"{len(manifest.left_out)} files left out; categories: {', '.join(labels[:40])}",
        ))  # fmt: skip
    return [Points(tuple(items))]
