"""Intervals and verdicts: against what is known of them, and for any values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.evaluate import statistics
from engines.evaluate.statistics import FEWEST, Better, compare, estimate, known

VALUES = st.dictionaries(st.text(max_size=3), st.floats(-1e6, 1e6), max_size=12)


def many(rng: np.random.Generator, count: int, mean: float = 0.0) -> dict[str, float]:
    return {f"c{i}": float(v) for i, v in enumerate(rng.normal(mean, 1, count))}


@settings(max_examples=40, deadline=None)
@given(VALUES, st.dictionaries(st.text(max_size=3), st.sampled_from("PQR"), max_size=12))
def test_an_interval_holds_its_mean_or_is_not_there(
    values: dict[str, float], persons: dict[str, str]
) -> None:
    found = estimate(values, persons)
    assert found.cases == len(values)
    if not values:
        assert np.isnan(found.mean)
    elif len(values) == 1:
        assert found.mean == next(iter(values.values())) and np.isnan(found.low)
    else:
        assert found.mean == pytest.approx(np.mean(list(values.values())))
        slack = 1e-6 * (1 + max(map(abs, values.values())))
        # Percentiles of a skewed few may lie beside the mean, but not outside of the values.
        assert min(values.values()) - slack <= found.low <= found.high
        assert found.high <= max(values.values()) + slack


def test_independent_cases_give_the_textbook_interval() -> None:
    values = many(np.random.default_rng(1), 400)
    found = estimate(values, {})
    half = 1.96 * np.std(list(values.values())) / 20
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.08)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    held = 0
    for _ in range(100):
        # 8 persons of 3 cases each, who differ more than their cases do.
        people = rng.normal(0, 1, 8)
        values = {f"{p}-{k}": float(people[p] + rng.normal(0, 0.3))
                  for p in range(8) for k in range(3)}  # fmt: skip
        found = estimate(values, {case: case.split("-")[0] for case in values})
        held += found.low <= 0 <= found.high
    assert 90 <= held <= 99


def test_cases_of_one_person_count_less_than_cases_of_many() -> None:
    values = {f"{p}-{k}": float(p) for p in range(8) for k in range(10)}
    grouped = estimate(values, {case: case.split("-")[0] for case in values})
    alone = estimate(values, {})
    assert grouped.persons == 8 and alone.persons == 80
    assert grouped.high - grouped.low > 2.5 * (alone.high - alone.low)


def test_the_same_values_give_the_same_interval_in_any_order() -> None:
    values = many(np.random.default_rng(2), 30)
    turned = dict(reversed(values.items()))
    assert estimate(values, {}) == estimate(turned, {})


def test_draws_in_parts_are_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {f"{i % 12}-{i}": float(i) for i in range(30)}
    persons = {case: case.split("-")[0] for case in values}
    whole = estimate(values, persons)
    monkeypatch.setattr(statistics, "AT_ONCE", 7000)
    parts = estimate(values, persons)
    assert parts != whole
    assert (parts.low, parts.high) == pytest.approx((whole.low, whole.high), rel=0.05)


@pytest.mark.parametrize(
    "better, first, second",
    [("higher", 0.2, 0.8), ("lower", 0.8, 0.2), ("nearer 0", -0.9, 0.1)],
)
def test_the_verdict_knows_which_way_is_better(better: Better, first: float, second: float) -> None:
    rng = np.random.default_rng(3)
    a = {f"c{i}": first + float(rng.normal(0, 0.05)) for i in range(20)}
    b = {f"c{i}": second + float(rng.normal(0, 0.05)) for i in range(20)}
    assert compare(a, b, {}, better).verdict == "better"
    assert compare(b, a, {}, better).verdict == "worse"
    assert compare(a, a, {}, better).verdict == "no difference"


def test_pairs_see_what_means_do_not() -> None:
    rng = np.random.default_rng(4)
    a = many(rng, 30)
    b = {case: value + 0.1 + 0.05 * float(rng.normal()) for case, value in a.items()}
    alone, other = estimate(a, {}), estimate(b, {})
    assert alone.high > other.low
    found = compare(a, b, {}, "higher")
    assert found.verdict == "better"
    assert found.by.mean == pytest.approx(0.1, abs=0.03)


def test_few_people_allow_no_verdict() -> None:
    a = {f"c{i}": 0.0 for i in range(30)}
    b = {f"c{i}": 1.0 + i / 100 for i in range(30)}
    persons = {f"c{i}": f"P{i % (FEWEST - 1)}" for i in range(30)}
    assert compare(a, b, persons, "higher").verdict == "too few people"
    assert compare(a, b, {}, "higher").verdict == "better"
    assert compare({}, b, {}, "higher").verdict == "too few people"
    assert compare({"x": 1.0}, b, {}, "higher").by.cases == 0


def test_only_cases_of_both_are_compared() -> None:
    a = {"one": 1.0, "two": 2.0, "three": 50.0}
    b = {"one": 2.0, "two": 4.0, "four": -9.0}
    found = compare(a, b, {}, "higher")
    assert (found.first, found.second, found.by.mean, found.by.cases) == (1.5, 3.0, 1.5, 2)


def test_equals_are_seldom_told_apart() -> None:
    rng = np.random.default_rng(5)
    wrong = sum(
        compare(many(rng, 10), many(rng, 10), {}, "higher").verdict != "no difference"
        for _ in range(100)
    )
    assert wrong <= 10


def test_what_is_no_number_is_left_out() -> None:
    odd = {"nan": float("nan"), "inf": float("inf"), "text": "1", "none": None, "yes": True,
           "huge": 10**400, "list": [1]}  # fmt: skip
    assert known(odd | {"fine": 2}) == {"fine": 2.0}
