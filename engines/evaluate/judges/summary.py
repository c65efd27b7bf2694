"""What a panel's verdicts say: means of rows, wins of rows, and how far they can be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final

import numpy as np

from engines.evaluate.judges.agreement import (
    SATURATED,
    Accuracy,
    Position,
    Preference,
    accuracy,
    credit,
    krippendorff,
    position,
    saturation,
)
from engines.evaluate.judges.answers import FIRST
from engines.evaluate.judges.rubrics import HIGHEST, LOWEST, RUBRIC, RUBRICS
from engines.evaluate.judges.verdicts import Panel, Verdict
from engines.evaluate.results import TRUTH
from engines.evaluate.statistics import Interval, estimate
from engines.markdown import escape, table

MEAN: Final = "mean"
"Key of the mean over the aspects."
FEW: Final = 30
"Scores below which nothing is said about saturation (free)."
Marks = Mapping[tuple[str, str], Mapping[str, float]]
"By case and row: by aspect, and `MEAN` where every aspect has one."


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table."""

    row: str
    values: Mapping[str, Interval]
    "By aspect and `MEAN`."
    unanswered: int
    "Questions to which no answer could be read."


@dataclass(frozen=True, slots=True)
class Summary:
    """Of one protocol."""

    lines: tuple[Line, ...]
    repeats: Mapping[str, float]
    "By aspect: Krippendorff's α of a judge with itself; NaN for a single go."
    aspects: float
    "The same between the judges of the three aspects; high where they see one and the same."
    high: Mapping[str, float]
    "By aspect: share of scores of 4 and 5, the truth left out."
    position: Position | None
    people: Accuracy | None
    "Against people's preferences."
    warnings: tuple[str, ...]


def film_marks(verdicts: Sequence[Verdict]) -> dict[tuple[str, str], dict[str, float]]:
    """Means over repeats, and over the aspects with equal weight (MAS-MA)."""
    every: dict[tuple[str, str], dict[str, list[float]]] = {}
    for verdict in verdicts:
        if verdict.value is not None and len(verdict.asked.rows) == 1:
            film = every.setdefault((verdict.asked.case, verdict.asked.rows[0]), {})
            film.setdefault(verdict.asked.aspect, []).append(float(verdict.value))
    return {film: _with_mean(marks) for film, marks in every.items()}


def row_wins(verdicts: Sequence[Verdict]) -> dict[tuple[str, str], dict[str, float]]:
    """How often a row of a case is preferred to the case's others, in [0, 1]."""
    every: dict[tuple[str, str], dict[str, list[float]]] = {}
    for (case, a, b, aspect), wins in _preferred(verdicts).items():
        for row, share in ((a, float(np.mean(wins))), (b, 1 - float(np.mean(wins)))):
            every.setdefault((case, row), {}).setdefault(aspect, []).append(share)
    return {film: _with_mean(wins) for film, wins in every.items()}


def summarise(
    panel: Panel,
    rows: Sequence[str],
    persons: Mapping[str, str],
    preferences: Sequence[Preference] = (),
) -> Summary:
    """Means with intervals, agreement, and what to be wary of.

    Args:
        panel: What was said.
        rows: In the order of the table; the truth comes first.
        persons: Of cases, for the bootstrap.
        preferences: Of people.
    """
    verdicts = panel.verdicts
    pairs = panel.plan.protocol == "pairs"
    marks = row_wins(verdicts) if pairs else film_marks(verdicts)
    lines = tuple(_line(row, marks, verdicts, persons) for row in (TRUTH, *rows))
    high = {} if pairs else _high(verdicts)
    sway = _position(verdicts) if pairs else None
    people = None
    if preferences:
        means = {film: by[MEAN] for film, by in marks.items() if MEAN in by}
        people = _pair_accuracy(preferences, verdicts) if pairs else accuracy(preferences, means)
    repeats = {rubric.key: _repeat_alpha(verdicts, rubric.key) for rubric in RUBRICS}
    warnings = _warnings(verdicts, high, sway)
    return Summary(lines, repeats, _aspect_alpha(marks), high, sway, people, warnings)


def as_markdown(summary: Summary, panel: Panel) -> str:
    """The table, and under it what it is worth."""
    keys = [rubric.key for rubric in RUBRICS] + [MEAN]
    heads = ["row", *(rubric.name for rubric in RUBRICS), "mean", "films", "no answer"]
    rows = [
        [
            escape(line.row),
            *(_cell(line.values[key]) for key in keys),
            str(max(line.values[key].cases for key in keys)),
            str(line.unanswered),
        ]
        for line in summary.lines
    ]
    pairs = panel.plan.protocol == "pairs"
    what = (
        "Share of comparisons with the case's other rows that are won"
        if pairs
        else f"Marks from {LOWEST} to {HIGHEST}"
    )
    said = [
        f"{what}, mean over films [95 % of a bootstrap over people]. Judge: {escape(panel.model)}, "
        f"shown {panel.plan.showing.input}, asked {panel.plan.repeats} x.",
        "",
        table(heads, rows),
        "",
    ]
    said += [f"- {line}" for line in _notes(summary)]
    said += [f"- **{warning}**" for warning in summary.warnings]
    if panel.left_out:
        said.append(f"- Not asked about: {len(panel.left_out)}, for instance {_first(panel)}.")
    return "\n".join(said)


# --- parts -----------------------------------------------------------------------------------


def _with_mean(marks: Mapping[str, Sequence[float]]) -> dict[str, float]:
    means = {aspect: float(np.mean(values)) for aspect, values in marks.items()}
    if all(rubric.key in means for rubric in RUBRICS):
        means[MEAN] = float(np.mean([means[rubric.key] for rubric in RUBRICS]))
    return means


def _preferred(verdicts: Sequence[Verdict]) -> dict[tuple[str, str, str, str], list[float]]:
    """By case, two rows and aspect: 1 for each answer that prefers the first of the two rows."""
    out: dict[tuple[str, str, str, str], list[float]] = {}
    for verdict in verdicts:
        asked = verdict.asked
        if verdict.value is None or len(asked.rows) != 2:
            continue
        a, b = sorted(asked.rows)
        better = asked.rows[0 if verdict.value == FIRST else 1]
        out.setdefault((asked.case, a, b, asked.aspect), []).append(float(better == a))
    return out


def _line(row: str, marks: Marks, verdicts: Sequence[Verdict], persons: Mapping[str, str]) -> Line:
    values = {}
    for key in (*RUBRIC, MEAN):
        mine = {case: by[key] for (case, of), by in marks.items() if of == row and key in by}
        values[key] = estimate(mine, persons)
    missing = sum(v.value is None and not v.open and row in v.asked.rows for v in verdicts)
    return Line(row, values, missing)


def _repeat_alpha(verdicts: Sequence[Verdict], aspect: str) -> float:
    """Units are questions, observers their repeats."""
    units: dict[tuple[str, tuple[str, ...]], dict[int, float]] = {}
    for verdict in verdicts:
        asked = verdict.asked
        if asked.aspect == aspect and verdict.value is not None:
            number = float(verdict.value == FIRST) if len(asked.rows) == 2 else float(verdict.value)
            units.setdefault((asked.case, asked.rows), {})[asked.repeat] = number
    goes = sorted({repeat for unit in units.values() for repeat in unit})
    return _alpha([[unit.get(go, np.nan) for unit in units.values()] for go in goes])


def _aspect_alpha(marks: Marks) -> float:
    """Units are films, observers the aspects."""
    return _alpha([[by.get(rubric.key, np.nan) for by in marks.values()] for rubric in RUBRICS])


def _alpha(ratings: list[list[float]]) -> float:
    array = np.array(ratings, np.float64)
    return krippendorff(array) if array.ndim == 2 and array.size else float("nan")


def _high(verdicts: Sequence[Verdict]) -> dict[str, float]:
    out = {}
    for rubric in RUBRICS:
        scores = [
            float(v.value)
            for v in verdicts
            if v.value is not None and v.asked.aspect == rubric.key and TRUTH not in v.asked.rows
        ]
        if scores:
            out[rubric.key] = saturation(scores)
    return out


def _position(verdicts: Sequence[Verdict]) -> Position | None:
    said: dict[tuple[str, tuple[str, ...], str, int], list[str]] = {}
    for v in verdicts:
        if v.value is not None and len(v.asked.rows) == 2:
            pair = v.asked.case, tuple(sorted(v.asked.rows)), v.asked.aspect, v.asked.repeat
            said.setdefault(pair, []).append(v.value)
    return position([(both[0], both[1]) for both in said.values() if len(both) == 2])


def _pair_accuracy(
    preferences: Sequence[Preference], verdicts: Sequence[Verdict]
) -> Accuracy | None:
    """Of direct comparisons: the mean over aspects, orders and repeats says who wins."""
    shares: dict[tuple[str, str, str], list[float]] = {}
    for (case, a, b, _), wins in _preferred(verdicts).items():
        shares.setdefault((case, a, b), []).append(float(np.mean(wins)))
    gaps = []
    for p in preferences:
        a, b = sorted((p.better, p.worse))
        if (found := shares.get((p.case, a, b))) is not None:
            gap = float(np.mean(found)) - 0.5
            gaps.append(gap if a == p.better else -gap)
    return credit(gaps)


def _warnings(
    verdicts: Sequence[Verdict], high: Mapping[str, float], sway: Position | None
) -> tuple[str, ...]:
    out = []
    for aspect, share in high.items():
        count = sum(v.value is not None and v.asked.aspect == aspect for v in verdicts)
        if count >= FEW and share >= SATURATED:
            out.append(
                f"{share:.0%} of the marks for {RUBRIC[aspect].name} are 4 or 5: this judge tells "
                "little apart."
            )
    if sway is not None and sway.asked >= FEW and sway.swayed > 0.5:
        out.append("Most choices change with the order of the films: this judge does not look.")
    missing = sum(verdict.value is None and not verdict.open for verdict in verdicts)
    if verdicts and missing > 0.1 * len(verdicts):
        out.append(f"{missing} of {len(verdicts)} questions have no answer that can be read.")
    unasked = sum(verdict.open for verdict in verdicts)
    if unasked:
        why = next(verdict.why for verdict in verdicts if verdict.open)
        out.append(f"{unasked} questions are open ({escape(why)}): run the command again.")
    return tuple(out)


def _notes(summary: Summary) -> list[str]:
    notes = []
    alphas = [
        f"{RUBRIC[key].name} {alpha:.2f}"
        for key, alpha in summary.repeats.items()
        if isfinite(alpha)
    ]
    if alphas:
        notes.append(f"Krippendorff's α between repeats: {', '.join(alphas)}.")
    if isfinite(summary.aspects):
        notes.append(f"Krippendorff's α between the three aspects: {summary.aspects:.2f}.")
    if summary.high:
        shares = ", ".join(f"{RUBRIC[key].name} {v:.0%}" for key, v in summary.high.items())
        notes.append(f"Marks of 4 and 5, without the truth: {shares}.")
    if (sway := summary.position) is not None:
        notes.append(
            f"The film shown first wins {sway.first:.0%} of {sway.asked} choices; "
            f"{sway.swayed:.0%} of choices change with the order."
        )
    if (people := summary.people) is not None:
        notes.append(
            f"Agrees with people on {people.accuracy:.1%} of {people.pairs} pairs (ties count "
            f"half), {people.untied:.1%} of the {people.coverage:.1%} that are no ties."
        )
    return notes


def _cell(value: Interval) -> str:
    if not isfinite(value.mean):
        return "–"
    if not isfinite(value.low):
        return f"{value.mean:.2f}"
    return f"{value.mean:.2f} [{value.low:.2f}, {value.high:.2f}]"


def _first(panel: Panel) -> str:
    name, why = next(iter(panel.left_out.items()))
    return f"{escape(name)} ({escape(why.rstrip('.'))})"
