"""How far judges agree: with themselves, with each other, with people."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from core import InvalidInput
from engines.evaluate.judges.answers import FIRST

F64 = npt.NDArray[np.float64]
HIGH: Final = 4
"From this mark on a score counts as high."
SATURATED: Final = 0.9
"""Share of high scores from which a judge tells little apart (free). FlowPortrait, section 2.2,
gave up a model whose scores were nearly all 4 or 5."""
MOST_LINES: Final = 1_000_000
TIE: Final = "tie"
COLUMNS: Final = ("case", "a", "b", "preferred")


def krippendorff(ratings: F64) -> float:
    """Krippendorff's α for ordinal data.

    Args:
        ratings: float64 ``[observers, units]``, NaN where an observer did not rate a unit.

    Returns:
        1 for agreement, 0 for chance, negative below it; NaN where no unit has two ratings, or
        where all ratings are alike: then there is nothing by which units could be told apart.

    Source: Krippendorff, Computing Krippendorff's Alpha-Reliability (2011): coincidences of
    values within units against those expected, weighted by the squared ordinal distance.
    """
    if ratings.ndim != 2:
        raise ValueError(f"ratings: expected [observers, units], got {list(ratings.shape)}")
    rated = np.isfinite(ratings)
    paired = ratings[:, rated.sum(axis=0) >= 2]
    values = np.unique(paired[np.isfinite(paired)])
    if len(values) < 2:
        return float("nan")
    # counts[u, c]: how often unit u got value c.
    counts = (paired.T[:, :, None] == values).sum(axis=1).astype(np.float64)
    sizes = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :]
    diagonal = np.arange(len(values))
    pairs[:, diagonal, diagonal] -= counts
    observed = (pairs / (sizes - 1)[:, None, None]).sum(axis=0)
    totals = observed.sum(axis=1)
    expected = np.outer(totals, totals)
    expected[diagonal, diagonal] -= totals
    expected /= totals.sum() - 1
    distance = _ordinal(totals)
    return float(1 - (observed * distance).sum() / (expected * distance).sum())


def _ordinal(totals: F64) -> F64:
    """Squared ordinal distances ``[V, V]``: the ratings that lie between two values, the ends
    counted half."""
    upto = np.cumsum(totals) - totals / 2
    squared: F64 = np.square(upto[:, None] - upto[None, :])
    return squared


def saturation(scores: Sequence[float]) -> float:
    """Share of scores that are `HIGH`; NaN for none."""
    return float(np.mean(np.asarray(scores) >= HIGH)) if len(scores) else float("nan")


# --- with people -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Preference:
    """Which of two rows of a case people prefer."""

    case: str
    better: str
    worse: str


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often a judge prefers what people prefer."""

    pairs: int
    accuracy: float
    "Acc: ties of the judge count half."
    coverage: float
    "Share of pairs that are no tie to the judge."
    untied: float
    "Acc_nt: among those alone; NaN where there are none."


def read_preferences(path: Path) -> tuple[list[Preference], int]:
    """Read people's preferences: a CSV file with the columns case, a, b, preferred.

    Columns a and b are rows of the run (or ``truth``), preferred is one of them or ``tie``. A pair
    may come on several lines, one for each person who was asked; as in the paper only pairs
    which all prefer alike are kept.

    Returns:
        The preferences, and the number of pairs on which people are not of one mind.

    Raises:
        InvalidInput: It can not be read; the message says which line.
    """
    votes: dict[tuple[str, str, str], set[str]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := set(COLUMNS) - set(reader.fieldnames or ()):
                raise InvalidInput(f"{path} has no column {min(missing)}: {', '.join(COLUMNS)}.")
            for line, row in enumerate(reader, start=2):
                if line > MOST_LINES:
                    raise InvalidInput(f"{path} has more than {MOST_LINES} lines.")
                pair, vote = _vote(row, f"{path}, line {line}")
                votes.setdefault(pair, set()).add(vote)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} can not be read as a CSV file: {error}.") from error
    kept = []
    for (case, a, b), said in votes.items():
        if len(said) == 1 and (better := next(iter(said))) != TIE:
            kept.append(Preference(case, better, b if better == a else a))
    return kept, len(votes) - len(kept)


def _vote(row: Mapping[str, str | None], where: str) -> tuple[tuple[str, str, str], str]:
    case, a, b, vote = ((row.get(k) or "").strip() for k in COLUMNS)
    if not (case and a and b and a != b):
        raise InvalidInput(f"{where}: needs a case and two rows of it, a and b.")
    if vote not in (a, b, TIE):
        raise InvalidInput(f"{where}: preferred is {vote!r}, which is not {a!r}, {b!r} or {TIE!r}.")
    return (case, min(a, b), max(a, b)), vote


def accuracy(
    preferences: Sequence[Preference], scores: Mapping[tuple[str, str], float]
) -> Accuracy | None:
    """How often the film that people prefer has the higher score.

    Args:
        preferences: What people prefer.
        scores: By case and row; pairs of which one is missing are left out.

    Returns:
        None where no pair has both scores.

    Source: FlowPortrait, table 1: Acc gives ties half credit, Acc_nt leaves them out.
    """
    gaps = [
        scores[p.case, p.better] - scores[p.case, p.worse]
        for p in preferences
        if (p.case, p.better) in scores and (p.case, p.worse) in scores
    ]
    return credit(gaps)


def credit(gaps: Sequence[float]) -> Accuracy | None:
    """`Accuracy` of score differences, positive where the judge is with the people."""
    if not gaps:
        return None
    # Means of thirds differ in their last bits where the marks do not.
    signs = np.sign(np.round(np.asarray(gaps, np.float64), 9))
    untied = signs[signs != 0]
    return Accuracy(
        len(signs),
        float(np.mean((signs + 1) / 2)),
        float(len(untied) / len(signs)),
        float(np.mean(untied > 0)) if len(untied) else float("nan"),
    )


# --- with itself, of pairs -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Position:
    """What showing a video first does to a judge."""

    asked: int
    first: float
    "Share of answers for the video that was shown first; one half is fair."
    swayed: float
    "Share of pairs, asked in both orders, whose answer changed with the order."


def position(answers: Sequence[tuple[str, str]]) -> Position | None:
    """Position bias of pairs that were asked in both orders.

    Args:
        answers: For each pair what was said (`answers.FIRST` or `answers.SECOND`) to the one
            order and to the other.

    Returns:
        None for no pairs.
    """
    if not answers:
        return None
    said = [word == FIRST for pair in answers for word in pair]
    # The same word in both orders names both videos.
    swayed = [a == b for a, b in answers]
    return Position(len(said), float(np.mean(said)), float(np.mean(swayed)))
