"""Windows of different sessions keep away from each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.stagger import delay

PERIOD = 0.32
TIMES = st.floats(0, 1e5)


def apart(a: float, b: float) -> float:
    """Distance of two phases."""
    return min((a - b) % PERIOD, (b - a) % PERIOD)


def test_alone_nobody_waits() -> None:
    assert delay(12.3, [], PERIOD) == 0


def test_two_are_half_a_period_apart() -> None:
    assert delay(10.0, [10.0], PERIOD) == pytest.approx(PERIOD / 2)
    assert delay(10.0, [10.0 + 7 * PERIOD], PERIOD) == pytest.approx(PERIOD / 2)


def test_who_is_in_the_right_place_stays() -> None:
    assert delay(5.16, [5.0], PERIOD) == pytest.approx(0, abs=1e-9)


@given(TIMES, st.lists(TIMES, min_size=1, max_size=6))
def test_nobody_else_is_nearer_than_the_widest_gap_allows(due: float, others: list[float]) -> None:
    found = delay(due, others, PERIOD)
    assert 0 <= found < PERIOD
    nearest = min(apart(due + found, other) for other in others)
    assert nearest >= PERIOD / (2 * len(others)) - 1e-6
