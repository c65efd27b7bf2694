"""Means over a few people, and how far they can be trusted."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from planner.motion import F64

RESAMPLES: Final = 2000
CONFIDENCE: Final = 95.0
"Per cent."


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """A mean with bootstrap draws of it (Efron & Tibshirani 1993), of M measures at once."""

    mean: F64
    "float64 ``[M]``."
    draws: F64
    "float64 ``[RESAMPLES, M]``."

    def interval(self, measure: int) -> tuple[float, float]:
        """The middle `CONFIDENCE` % of the draws."""
        rest = (100 - CONFIDENCE) / 2
        low, high = np.percentile(self.draws[:, measure], (rest, 100 - rest))
        return float(low), float(high)

    def minus(self, other: Estimate) -> Estimate:
        """The difference, draw by draw, of two estimates over the same people."""
        return Estimate(self.mean - other.mean, self.draws - other.draws)


def estimate(persons: Mapping[str, F64]) -> Estimate:
    """The mean over people, every one counting the same.

    People are resampled, and what there is of each. The same names give the same people in each
    draw, so that differences between two ways to measure them can be told.

    Args:
        persons: float64 ``[n, M]`` of each; n may differ, and is at least 1.
    """
    rng = np.random.default_rng(zlib.crc32("\n".join(persons).encode()))
    means = np.array([rows.mean(axis=0) for rows in persons.values()])
    redrawn = np.empty((len(means), RESAMPLES, means.shape[1]))
    for i, rows in enumerate(persons.values()):
        counts = rng.multinomial(len(rows), [1 / len(rows)] * len(rows), size=RESAMPLES)
        redrawn[i] = counts @ rows / len(rows)
    who = rng.integers(len(means), size=(RESAMPLES, len(means)))
    draws: F64 = redrawn[who, np.arange(RESAMPLES)[:, None]].mean(axis=1)
    return Estimate(means.mean(axis=0), draws)


def total(groups: Iterable[Estimate]) -> Estimate:
    """The mean over groups, each counting the same."""
    parts = list(groups)
    return Estimate(
        np.mean([part.mean for part in parts], axis=0),
        np.mean([part.draws for part in parts], axis=0),
    )
