"""The tables of a run: means, intervals, categories, worst and skipped cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import Final

import numpy as np

from engines.evaluate.metrics.catalogue import METRICS, Metric
from engines.evaluate.report.anchors import ANCHORS, SOURCE
from engines.evaluate.report.document import Block, Cell, Points, Row, Table, Text, cells
from engines.evaluate.results import Run
from engines.evaluate.statistics import Interval, estimate, known

ARROWS: Final = {"higher": "↑", "lower": "↓", "nearer 0": "→0"}
NOTHING: Final = "–"
CATEGORICAL: Final = ("au_f1", "au_temp", "eye_lmd")
"Metrics shown by category."
WORST: Final = ("eye_lmd", "au_f1")
"Metrics whose worst cases are shown."
RANKS: Final = 3
MOST_LINES: Final = 200
"Of a list; more are counted."
UNLABELLED: Final = "(none)"
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "Eyes, gaze and head": (
        "eye_lmd", "eye_lmd_aligned", "au_f1", "au_temp", "gaze_error",
        "blink_f1", "blink_precision", "blink_recall", "blink_timing", "pose_error",
    ),
    "Picture, motion and sound": (),
}  # fmt: skip
"Two tables that fit a page; the last takes whatever no other names."


# --- what a run holds, whatever its files say ------------------------------------------------


def values(run: Run, row: str, metric: str) -> dict[str, float]:
    """By case, what is a finite number."""
    return known({
        m.case: m.values.get(metric)
        for m in run.measured if m.row == row and isinstance(m.values, Mapping)
    })  # fmt: skip


def pooled(run: Run, row: str, metric: str) -> float:
    """A metric of all cases of a row; NaN where it was not measured."""
    own = run.pooled.get(row) if isinstance(run.pooled, Mapping) else None
    return known(own).get(metric, float("nan")) if isinstance(own, Mapping) else float("nan")


def mean(run: Run, row: str, metric: str) -> float:
    """Over cases, or pooled; NaN where it was not measured."""
    found = list(values(run, row, metric).values())
    return float(np.mean(found)) if found else pooled(run, row, metric)


def persons(run: Run) -> dict[str, str]:
    """Who each case shows."""
    return {m.case: str(m.person) for m in run.measured}


def categories(run: Run) -> dict[str, str]:
    """Category of each case, `UNLABELLED` where nobody knows."""
    return {m.case: str(m.category or UNLABELLED) for m in run.measured}


def measured_metrics(run: Run) -> list[str]:
    """Keys of the catalogue that any row has, in its order."""
    return [key for key in METRICS if any(isfinite(mean(run, row, key)) for row in run.rows)]


def heading(metric: Metric) -> str:
    """Name, unit and which way is better."""
    unit = f", {metric.unit}" if metric.unit else ""
    return f"{metric.name}{unit} {ARROWS[metric.better]}"


def number(value: float, metric: Metric) -> str:
    """A value as the metric is shown, without its unit."""
    return f"{value:{metric.form}}" if isfinite(value) else NOTHING


def best(of: Mapping[str, float], metric: Metric) -> set[str]:
    """Whose value is best, as shown: two that look the same are both. None of fewer than two."""
    found = {name: value for name, value in of.items() if isfinite(value)}
    if len(found) < 2:
        return set()
    cost = {"higher": lambda v: -v, "lower": lambda v: v, "nearer 0": abs}[metric.better]
    winner = number(min(found.values(), key=cost), metric)
    return {name for name, value in found.items() if number(value, metric) == winner}


# --- the main table --------------------------------------------------------------------------


def main_tables(run: Run) -> list[tuple[str, Table]]:
    """Rows × metrics, means over cases, with the paper's numbers below: by title."""
    keys = measured_metrics(run)
    named = {key for group in GROUPS.values() for key in group}
    out = []
    for title, group in GROUPS.items():
        part = [key for key in keys if (key in group if group else key not in named)]
        if part:
            out.append((title, _main_table(run, part)))
    return out


def _main_table(run: Run, keys: Sequence[str]) -> Table:
    counts = {row: len({m.case for m in run.measured if m.row == row}) for row in run.rows}
    columns = [_column(run, key, counts) for key in keys]
    rows = [
        Row((Cell(row), Cell(str(counts[row])), *(column[row] for column in columns)))
        for row in run.rows
    ]
    for name, numbers in ANCHORS.items():
        if not numbers.keys().isdisjoint(keys):
            shown = (number(numbers.get(key, float("nan")), METRICS[key]) for key in keys)
            rows.append(Row(cells(name, NOTHING, *shown), foreign=True))
    return Table(
        ("row", "cases", *(heading(METRICS[key]) for key in keys)), tuple(rows),
        hints=("", "measured cases", *(METRICS[key].about for key in keys)),
    )  # fmt: skip


def _column(run: Run, key: str, counts: Mapping[str, int]) -> dict[str, Cell]:
    metric = METRICS[key]
    means = {row: mean(run, row, key) for row in run.rows}
    winners = best(means, metric)
    out = {}
    for row, value in means.items():
        count = len(values(run, row, key))
        # Pooled metrics have no cases of their own.
        note = f"({count})" if count and count != counts[row] else ""
        out[row] = Cell(number(value, metric), row in winners, note)
    return out


def under_main(run: Run) -> list[Block]:
    """What has to be known to read the main table."""
    notes = (
        "Means over cases; the best of each column in bold. ↑ higher is better, ↓ lower, →0 nearer "
        "to 0. A number in brackets: so many cases only could be measured, so the mean is over "
        "others than in the rest of the row."
    )
    out: list[Block] = [Text(notes, "note"), Text(SOURCE, "note")]
    facts = run.facts
    if stand_ins := _named(facts.stand_ins):
        out += [Text("Measured by something else than in the paper:"), Points(stand_ins)]
    shown = measured_metrics(run)
    why = dict(facts.missing) if isinstance(facts.missing, Mapping) else {}
    absent = {key: why.get(key, "no case has it") for key in METRICS if key not in shown}
    absent |= {key: reason for key, reason in why.items() if key not in METRICS or key in shown}
    if absent:
        together: dict[str, list[str]] = {}
        for name, reason in _named(absent):
            together.setdefault(reason, []).append(name)
        items = tuple(("; ".join(names), reason) for reason, names in together.items())
        out += [Text("Not measured:"), Points(items)]
    return out


def _named(metrics: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(metrics, Mapping):
        return ()
    return tuple(
        (METRICS[key].name if key in METRICS else str(key), str(text))
        for key, text in list(metrics.items())[:MOST_LINES]
    )


# --- the other tables ------------------------------------------------------------------------


def intervals(run: Run) -> Table:
    """Metrics × rows: means with their intervals."""
    who = persons(run)
    rows = []
    for key in measured_metrics(run):
        metric = METRICS[key]
        line = [Cell(heading(metric))]
        for row in run.rows:
            found = estimate(values(run, row, key), who)
            if found.cases:
                line.append(Cell(with_interval(found, metric), note=f"n {found.cases}"))
            else:
                line.append(Cell(number(pooled(run, row, key), metric)))
        rows.append(Row(tuple(line)))
    return Table(("metric", *run.rows), tuple(rows))


def with_interval(found: Interval, metric: Metric) -> str:
    """``0.012 [0.010, 0.015]``."""
    shown = number(found.mean, metric)
    if not isfinite(found.low):
        return shown
    return f"{shown} [{number(found.low, metric)}, {number(found.high, metric)}]"


def by_category(run: Run, key: str) -> Table | None:
    """Categories × rows of one metric; None where no case has it."""
    metric, label = METRICS[key], categories(run)
    found = {row: values(run, row, key) for row in run.rows}
    names = in_order(label[case] for of in found.values() for case in of)
    if not names:
        return None
    rows = []
    for name in names:
        of = {row: [v for case, v in found[row].items() if label[case] == name] for row in run.rows}
        means = {row: float(np.mean(v)) if v else float("nan") for row, v in of.items()}
        winners = best(means, metric)
        most = max(len(v) for v in of.values())
        rows.append(Row((
            Cell(name), Cell(str(most)),
            *(Cell(number(means[row], metric), row in winners,
                   f"({len(of[row])})" if 0 < len(of[row]) < most else "") for row in run.rows),
        )))  # fmt: skip
    return Table(("category", "cases", *run.rows), tuple(rows))


def in_order(labels: Iterable[str]) -> list[str]:
    """The most frequent first, the same names in the same order always; unlabelled last."""
    counts = Counter(labels)
    return sorted(counts, key=lambda name: (name == UNLABELLED, -counts[name], name))


def ranked(run: Run, row: str, key: str) -> list[tuple[str, float]]:
    """Cases of a row from the worst on."""
    found = values(run, row, key)
    return sorted(found.items(), key=lambda pair: pair[1], reverse=METRICS[key].better == "lower")


def worst(run: Run, links: Mapping[str, str]) -> Table | None:
    """The worst cases of every row; None where nothing was measured.

    Args:
        run: The run.
        links: Ids of the headings over the pictures of the cases that have some.
    """
    label = categories(run)
    rows = []
    for row in run.rows:
        lists = [ranked(run, row, key)[:RANKS] for key in WORST]
        for rank in range(max(len(found) for found in lists)):
            line = [Cell(row if rank == 0 else "")]
            for key, found in zip(WORST, lists, strict=True):
                if rank < len(found):
                    case, value = found[rank]
                    line += [Cell(case, note=f"({label[case]})", link=links.get(case, "")),
                             Cell(number(value, METRICS[key]))]  # fmt: skip
                else:
                    line += cells(NOTHING, NOTHING)
            rows.append(Row(tuple(line)))
    if not rows:
        return None
    heads = [head for key in WORST for head in (f"worst {METRICS[key].name}", "value")]
    return Table(("row", *heads), tuple(rows), texts=(0, 1, 3))


def skipped(run: Run) -> list[Block]:
    """The cases that were skipped, and why."""
    if not run.skipped:
        return [Text("No case was skipped.")]
    lines = sorted(run.skipped.items())
    rows = tuple(Row(cells(case, why)) for case, why in lines[:MOST_LINES])
    out: list[Block] = [Table(("case", "why it was skipped"), rows, texts=(0, 1))]
    if len(lines) > MOST_LINES:
        out.append(Text(f"… and {len(lines) - MOST_LINES} more.", "note"))
    return out
