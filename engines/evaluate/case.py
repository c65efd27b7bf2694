"""The benchmark set: which clips, what they show, and where that is written down.

A manifest is one JSON file (docs/evaluation.md describes it field by field). Paths in it are
relative to the file.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from core import FPS, InvalidInput

VERSION: Final = 1
MOST_CASES: Final = 10_000
MOST_FRAMES: Final = 60 * FPS
"Of one case: a minute."
ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,119}")
"Ids name folders: no separators, no leading dot."


@dataclass(frozen=True, slots=True)
class Annotation:
    """What the eye region does for a while: frames first to last - 1."""

    first: int
    last: int
    what: str
    by: str = "hand"
    "hand, or the extractor that noticed it."


@dataclass(frozen=True, slots=True)
class Case:
    """A clip whose first frame is the portrait and whose rest is the truth."""

    id: str
    clip: Path
    category: str
    "One of the labels of the planner, or empty: nobody knows."
    person: str
    start: float = 0.0
    "Seconds into the clip at which the case begins."
    frames: int = 3 * FPS
    "At 25 a second."
    prompt: str = ""
    annotations: tuple[Annotation, ...] = ()
    portrait: Path | None = None
    """Another person's picture to animate in place of the first frame: the clip then says what is
    to be done, not what it looks like."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The cases of a benchmark."""

    name: str
    cases: tuple[Case, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    "File and why it is no case: broken, without a face, too short."


def save_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest, whole or not at all."""
    base = path.resolve().parent
    data = {
        "version": VERSION,
        "name": manifest.name,
        "cases": [_case_json(case, base) for case in manifest.cases],
        "left_out": dict(manifest.left_out),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def load_manifest(path: Path) -> Manifest:
    """Read what `save_manifest` wrote, or somebody by hand.

    Raises:
        InvalidInput: It can not be read, or says something that is no case; the message says
            which and what.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InvalidInput(f"{path} can not be read as a manifest: {error}.") from error
    if not isinstance(data, dict) or data.get("version") != VERSION:
        raise InvalidInput(f'{path} is no manifest: it needs an object with "version": {VERSION}.')
    rows = data.get("cases")
    if not isinstance(rows, list) or len(rows) > MOST_CASES:
        raise InvalidInput(f'{path}: "cases" has to be a list of at most {MOST_CASES} cases.')
    base = path.resolve().parent
    cases = tuple(_case(row, base, f"{path}: case {i + 1}") for i, row in enumerate(rows))
    ids = [case.id for case in cases]
    if twice := sorted({id for id in ids if ids.count(id) > 1}):
        raise InvalidInput(f"{path}: the id {twice[0]!r} is there twice.")
    left_out = data.get("left_out", {})
    if not isinstance(left_out, dict):
        raise InvalidInput(f'{path}: "left_out" has to be an object.')
    return Manifest(
        str(data.get("name", path.stem)), cases, {str(k): str(v) for k, v in left_out.items()}
    )


def _case_json(case: Case, base: Path) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": case.id,
        "clip": _relative(case.clip, base),
        "category": case.category,
        "person": case.person,
        "start": round(case.start, 3),
        "frames": case.frames,
        "prompt": case.prompt,
        "events": [
            {"first": a.first, "last": a.last, "what": a.what, "by": a.by} for a in case.annotations
        ],
    }
    if case.portrait is not None:
        row["portrait"] = _relative(case.portrait, base)
    return row


def _relative(path: Path, base: Path) -> str:
    return Path(os.path.relpath(path.resolve(), base)).as_posix()


def _case(row: Any, base: Path, where: str) -> Case:
    if not isinstance(row, dict):
        raise InvalidInput(f"{where} is no object.")
    try:
        id, clip = str(row["id"]), str(row["clip"])
        start, frames = float(row.get("start", 0.0)), int(row.get("frames", 3 * FPS))
        annotations = tuple(
            Annotation(int(e["first"]), int(e["last"]), str(e["what"]), str(e.get("by", "hand")))
            for e in row.get("events", ())
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{where} is incomplete or has a wrong type: {error!r}.") from error
    if not ID.fullmatch(id):
        raise InvalidInput(f"{where}: the id {id!r} may hold letters, digits and _ . + - only.")
    if not (0 <= start < 86_400 and 2 <= frames <= MOST_FRAMES):
        raise InvalidInput(f"{where}: start {start:g} s or {frames} frames is out of range.")
    for a in annotations:
        if not 0 <= a.first < a.last <= frames:
            raise InvalidInput(f"{where}: event {a.what!r} lies outside of its {frames} frames.")
    portrait = row.get("portrait")
    return Case(
        id, base / clip, str(row.get("category", "")), str(row.get("person", "")) or id,
        start, frames, str(row.get("prompt", "")), annotations,
        None if portrait is None else base / str(portrait),
    )  # fmt: skip
