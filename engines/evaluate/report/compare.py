"""Two runs, or two rows of one, over the cases that both have measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from typing import TYPE_CHECKING, Final

from core import InvalidInput
from engines.evaluate.metrics.catalogue import METRICS, Metric
from engines.evaluate.report.document import Block, Cell, Document, Heading, Row, Table, Text
from engines.evaluate.report.plots import (
    COLOURS,
    FAINT,
    INK,
    MOST_ROWS,
    RULE,
    label,
    new_figure,
    style,
)
from engines.evaluate.report.tables import ARROWS, NOTHING, number, persons, pooled, values
from engines.evaluate.results import Run
from engines.evaluate.statistics import Difference, compare

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES: Final = {
    "better": "B better", "worse": "B worse", "no difference": "no difference",
    "too few people": "too few people",
}  # fmt: skip
HUES: Final = {"better": "#2fbf8f", "worse": "#ff7a59", "no difference": FAINT}
WIDEST: Final = 3.0
"Standard deviations shown in a forest plot; what is larger is cut off there."
ABOUT: Final = (
    "B − A over the cases both have measured, with 95 % bootstrap intervals (persons are drawn, "
    "then their cases). B is better or worse where the interval does not hold 0; of twenty such "
    "intervals of equals, one misses 0 by chance. Fewer than six people allow no verdict. Where "
    "nearer to 0 is better, magnitudes are compared."
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A row of A against one of B."""

    first: str
    second: str
    differences: Mapping[str, Difference]
    "By metric: what both have measured in at least one case."
    pooled: Mapping[str, tuple[float, float]]
    "Metrics over all cases of a row: no pairs, no interval."

    @property
    def title(self) -> str:
        """What is compared."""
        return self.first if self.first == self.second else f"{self.first} → {self.second}"


def unlike(a: Run, b: Run) -> list[str]:
    """Why numbers of two runs are not measured by the same ruler; none where they are."""
    out = []
    for name, of_a, of_b in (
        ("extractor", a.facts.extractor, b.facts.extractor),
        ("size of frames", a.facts.size, b.facts.size),
    ):
        if of_a != of_b:
            out.append(f"{name}: {of_a} in A, {of_b} in B")
    if dict(a.facts.scales) != dict(b.facts.scales):
        out.append("scales: what counts as a full action unit differs")
    return out


def other_rulers(a: Run, b: Run) -> dict[str, str]:
    """Metrics that two runs measured with different networks, and which."""
    of_a, of_b = dict(a.facts.stand_ins), dict(b.facts.stand_ins)
    own = "the paper's own"
    return {
        key: f"{of_a.get(key, own)} in A, {of_b.get(key, own)} in B"
        for key in sorted(of_a.keys() | of_b.keys())
        if of_a.get(key) != of_b.get(key)
    }


def pairs_of(a: Run, b: Run, wanted: Sequence[str]) -> list[tuple[str, str]]:
    """Which rows to compare: ``ROW`` of both, or ``ROW_OF_A:ROW_OF_B``; all shared ones of none.

    Raises:
        InvalidInput: A row is not there, or the runs share none.
    """
    if not wanted:
        shared = [(row, row) for row in a.rows if row in b.rows]
        if not shared:
            raise InvalidInput(
                f"The runs share no row: A has {', '.join(a.rows)}; B has {', '.join(b.rows)}. "
                "Choose with --row ROW_OF_A:ROW_OF_B."
            )
        return shared
    out = []
    for text in wanted:
        if text in a.rows and text in b.rows:
            out.append((text, text))
            continue
        cuts = [(text[:i], text[i + 1 :]) for i, c in enumerate(text) if c == ":"]
        found = next(((x, y) for x, y in cuts if x in a.rows and y in b.rows), None)
        if found is None:
            raise InvalidInput(
                f"There is no pair of rows {text!r}: A has {', '.join(a.rows)}; B has "
                f"{', '.join(b.rows)}. Give ROW, or ROW_OF_A:ROW_OF_B."
            )
        out.append(found)
    return out


def pair(a: Run, b: Run, rows: tuple[str, str], without: Mapping[str, str]) -> Pair:
    """Compare two rows.

    Args:
        a: A run.
        b: Another, or the same.
        rows: Of ``a`` and of ``b``.
        without: Metrics that are left out.

    Raises:
        InvalidInput: They have no case in common.
    """
    who = persons(b) | persons(a)
    differences, whole = {}, {}
    for key, metric in METRICS.items():
        if key in without:
            continue
        of_a, of_b = values(a, rows[0], key), values(b, rows[1], key)
        if not of_a.keys().isdisjoint(of_b):
            differences[key] = compare(of_a, of_b, who, metric.better)
        both = pooled(a, rows[0], key), pooled(b, rows[1], key)
        if isfinite(both[0]) and isfinite(both[1]):
            whole[key] = both
    if not differences and not whole:
        raise InvalidInput(f"{rows[0]} of A and {rows[1]} of B have no measured case in common.")
    return Pair(*rows, differences, whole)


def as_document(
    a: Run, b: Run, pairs: Sequence[Pair], warnings: Sequence[str],
    left_out: Mapping[str, str], forest: Sequence[Block] = (),
) -> Document:  # fmt: skip
    """What a comparison shows.

    Args:
        a: The first run.
        b: The second.
        pairs: Of `pair`.
        warnings: Of `unlike`.
        left_out: Of `other_rulers`.
        forest: The picture of them, where one was drawn.
    """
    blocks: list[Block] = [Text(f"A: {_made(a)}"), Text(f"B: {_made(b)}"), Text(ABOUT, "note")]
    if a.facts.name != b.facts.name:
        warnings = [*warnings, "sets: cases are paired by their id only"]
    blocks += [Text(f"Not alike. {text}.", "warning") for text in warnings]
    for key, why in left_out.items():
        name = METRICS[key].name if key in METRICS else key
        blocks.append(Text(f"{name} is left out: measured by {why}.", "warning"))
    blocks += forest
    for found in pairs:
        blocks += [Heading(found.title), pair_table(found)]
    return Document(f"{a.facts.name}: A and B compared", tuple(blocks))


def pair_table(found: Pair) -> Table:
    """Metrics × means, difference and verdict."""
    rows = []
    for key, of in found.differences.items():
        metric = METRICS[key]
        by = of.by
        shown = _signed(by.mean, metric)
        if isfinite(by.low):
            shown += f" [{_signed(by.low, metric)}, {_signed(by.high, metric)}]"
        rows.append(Row((
            Cell(_title(metric)), Cell(_level(of.first, metric)), Cell(_level(of.second, metric)),
            Cell(shown), Cell(NAMES[of.verdict], of.verdict in ("better", "worse")),
            Cell(f"{by.cases} of {by.persons}"),
        )))  # fmt: skip
    for key, (first, second) in found.pooled.items():
        metric = METRICS[key]
        rows.append(Row((
            Cell(_title(metric)), Cell(number(first, metric)), Cell(number(second, metric)),
            Cell(_signed(second - first, metric)), Cell(NOTHING), Cell("pooled"),
        )))  # fmt: skip
    heads = ("metric", "A", "B", "B − A [95 %]", "verdict", "cases of people")
    return Table(heads, tuple(rows))


def _title(metric: Metric) -> str:
    unit = f", {metric.unit}" if metric.unit else ""
    if metric.better == "nearer 0":
        return f"{metric.name}, magnitude{unit} ↓"
    return f"{metric.name}{unit} {ARROWS[metric.better]}"


def _level(value: float, metric: Metric) -> str:
    """A mean; magnitudes need no sign."""
    return number(value, replace(metric, form=metric.form.lstrip("+")))


def _signed(value: float, metric: Metric) -> str:
    return f"{value:+{metric.form.lstrip('+')}}" if isfinite(value) else NOTHING


def _made(run: Run) -> str:
    return f"{run.facts.name}, {run.facts.created}, extractor {run.facts.extractor}"


# --- forest plot -----------------------------------------------------------------------------


def forest(pairs: Sequence[Pair]) -> Figure | None:
    """Differences with intervals, right is better for B; None where no interval is known.

    Metrics have units of their own, so differences are shown in standard deviations of the
    difference between cases (Cohen's d for pairs).
    """
    lines = []
    for found in pairs[:MOST_ROWS]:
        for key, of in found.differences.items():
            if of.spread > 0 and isfinite(of.by.low):
                lines.append((found, key, of))
    if not lines:
        return None
    tall = 1.5 + 0.36 * len(lines) + 0.42 * len(pairs)
    figure = new_figure(tall)
    ax = figure.add_axes((0.29, 0.75 / tall, 0.42, 1 - 1.15 / tall))
    style(ax)
    at, shown = 0.0, None
    for found, key, of in lines:
        if found is not shown:
            at, shown = at + 1.15, found
            ax.text(-0.68, at, label(found.title, 70), transform=ax.get_yaxis_transform(),
                    color=INK, fontsize=13, va="center", parse_math=False)  # fmt: skip
        at += 1.0
        _line(ax, at, METRICS[key], of)
    ax.axvline(0, color=INK, lw=1)
    ax.set_xlim(-WIDEST, WIDEST)
    ax.set_ylim(at + 0.8, 0.4)
    ax.set_yticks([])
    ax.grid(axis="x", color=RULE, lw=0.8)
    ax.set_xlabel("A better  ←   difference between cases, standard deviations   →  B better",
                  color=INK, fontsize=12)  # fmt: skip
    return figure


def _line(ax: Axes, at: float, metric: Metric, of: Difference) -> None:
    sign = (1 if metric.better == "higher" else -1) / of.spread
    low, high = sorted((sign * of.by.low, sign * of.by.high))
    colour = HUES.get(of.verdict, COLOURS[1])
    ax.plot((max(low, -WIDEST), min(high, WIDEST)), (at, at), color=colour, lw=3,
            solid_capstyle="butt")  # fmt: skip
    middle = sign * of.by.mean
    mark = "o" if abs(middle) < WIDEST else (">" if middle > 0 else "<")
    ax.plot(min(max(middle, -WIDEST), WIDEST), at, mark, color=colour, ms=8, clip_on=False)
    move = ax.get_yaxis_transform()
    ax.text(-0.02, at, _title(metric), transform=move, color=INK, fontsize=12, ha="right",
            va="center", parse_math=False)  # fmt: skip
    text = (f"{_signed(of.by.mean, metric)} [{_signed(of.by.low, metric)}, "
            f"{_signed(of.by.high, metric)}]   {NAMES[of.verdict]}")  # fmt: skip
    ax.text(1.02, at, text, transform=move, color=INK, fontsize=12, va="center",
            parse_math=False)  # fmt: skip
