"""What is asked of a panel, what it said, and the file that holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from core import InvalidInput
from engines.evaluate.judges import evidence, rubrics
from engines.evaluate.judges.endpoint import Sampling
from engines.evaluate.judges.evidence import Showing
from engines.evaluate.judges.sheets import Word
from engines.evaluate.results import write_json

Protocol = Literal["scores", "pairs"]
FILES: Final[Mapping[str, str]] = {"scores": "judges.json", "pairs": "judge_pairs.json"}
"In the run's folder."
MOST_REPEATS: Final = 20


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked, and how."""

    protocol: Protocol = "scores"
    repeats: int = 1
    seed: int = 0
    "Of the order, and of the model's draws."
    showing: Showing = field(default_factory=Showing)
    sampling: Sampling = field(default_factory=Sampling)
    words: Mapping[str, tuple[Word, ...]] = field(default_factory=dict)
    "By case, what is said."

    def __post_init__(self) -> None:
        if not 1 <= self.repeats <= MOST_REPEATS:
            raise InvalidInput(f"A judge can be asked 1 to {MOST_REPEATS} times over.")


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: a film for a mark, or two for a choice."""

    case: str
    rows: tuple[str, ...]
    "In the order in which they are shown."
    aspect: str
    repeat: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a question."""

    asked: Asked
    value: str | None
    "The mark, or ``first`` or ``second``."
    why: str = ""
    "Why there is none."
    open: bool = False
    "Whether it is still to be asked: the judge could not be reached, or refused it."


@dataclass(slots=True)
class Panel:
    """All verdicts on a run so far."""

    model: str
    plan: Plan
    total: int
    verdicts: list[Verdict] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    "Film, or film and aspect, and why no judge was asked."
    complete: bool = False
    "Whether nothing is left to be asked."


def save(folder: Path, panel: Panel) -> None:
    """Write all verdicts, in an order that says nothing about when they were asked."""
    plan = panel.plan
    verdicts = sorted(
        panel.verdicts, key=lambda v: (v.asked.case, v.asked.rows, v.asked.aspect, v.asked.repeat)
    )
    data = {
        "model": panel.model,
        "protocol": plan.protocol,
        "rubrics": rubrics.VERSION,
        "evidence": evidence.VERSION,
        "showing": asdict(plan.showing),
        "sampling": asdict(plan.sampling),
        "repeats": plan.repeats,
        "questions": panel.total,
        "complete": panel.complete,
        "left_out": dict(sorted(panel.left_out.items())),
        "verdicts": [_verdict_json(verdict) for verdict in verdicts],
    }
    write_json(folder / FILES[plan.protocol], data)


def _verdict_json(verdict: Verdict) -> dict[str, Any]:
    asked = verdict.asked
    mark = verdict.value is not None and len(asked.rows) == 1
    row: dict[str, Any] = {
        "case": asked.case, "rows": list(asked.rows), "aspect": asked.aspect,
        "repeat": asked.repeat, "value": int(verdict.value or 0) if mark else verdict.value,
    }  # fmt: skip
    return row | ({"why": verdict.why} if verdict.why else {})
