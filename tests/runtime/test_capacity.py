"""Places: what was measured decides, the operator may lower it, and it is never nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime.capacity import FULL, MOST, UNMEASURED, Cost, capacity, usable_cores
from runtime.latency import BOUNDS, Awaited, Histogram
from runtime.settings import RuntimeSettings

LAPTOP = Cost(plan_ms=3.5, render_ms=9.0)


def places(most: int = 0, cost: Cost | None = LAPTOP, cores: float = 2, share: float = 0.7) -> int:
    return capacity(most, cost, size=512, share=share, cores=cores).places


def test_a_machine_carries_what_its_cores_can_paint_and_send() -> None:
    # 25 · (3.5 + 1.5 + 9 + 2.4) ms = 0.41 of a core each: 0.7 of two cores are 3 sessions.
    assert places() == 3
    assert places(cores=4) == 5  # now the event loop: 25 · 5 ms = 0.125 of the one core it has
    assert places(cores=64) == 5
    assert places(cost=replace(LAPTOP, plan_ms=0.1), cores=64) == 17


def test_a_dearer_frame_or_a_smaller_machine_never_admits_more() -> None:
    by_cores = [places(cores=c / 2) for c in range(1, 20)]
    assert by_cores == sorted(by_cores)
    by_cost = [places(cost=replace(LAPTOP, render_ms=float(ms))) for ms in range(1, 100, 7)]
    assert by_cost == sorted(by_cost, reverse=True)


def test_the_operator_lowers_it_but_does_not_raise_it() -> None:
    assert places(2) == 2 and places(9) == places(0) == 3


def test_there_is_always_one_place_and_an_end() -> None:
    assert places(cost=Cost(50.0, 900.0)) == 1
    assert places(cost=Cost(0.0, 0.0), cores=1e6, share=1e3) == MOST


def test_before_the_warm_up_the_limit_is_the_operator_s() -> None:
    found = capacity(0, None, size=512, share=0.7)
    assert (found.places, found.measured) == (UNMEASURED, None)
    assert places(7, cost=None) == 7


def test_the_generator_may_fall_to_the_puppet_so_it_does_not_limit_places() -> None:
    found = capacity(0, replace(LAPTOP, generator_share=0.34), size=512, share=0.7, cores=2)
    assert found.places == 3
    assert found.full_quality == int(FULL / 0.34) == 2
    slow = capacity(0, replace(LAPTOP, generator_share=3.0), size=512, share=0.7, cores=2)
    assert (slow.places, slow.full_quality) == (3, 1)


def test_cores_are_those_this_process_may_use() -> None:
    assert 0 < usable_cores() <= 4096


@pytest.mark.parametrize(
    "wrong", [{"max_sessions": -1}, {"max_waiting": -1}, {"capacity_share": 0}]
)
def test_nonsense_is_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RuntimeSettings(**wrong)  # type: ignore[arg-type]


# --- latencies ---------------------------------------------------------------------------------


def test_a_histogram_counts_up_to_and_including_its_bounds() -> None:
    found = Histogram()
    for seconds in (0.01, BOUNDS[0], 0.12, 99.0):
        found.observe(seconds)
    buckets = dict(found.buckets())
    assert buckets["0.05"] == 2 and buckets["0.1"] == 2 and buckets["0.15"] == 3
    assert buckets["5.0"] == 3 and buckets["+Inf"] == 4
    other = Histogram()
    other.absorb(found)
    other.absorb(found)
    assert other.buckets()[-1] == ("+Inf", 8) and other.total == pytest.approx(2 * found.total)


def test_a_command_is_measured_to_the_first_frame_planned_after_it() -> None:
    took = Histogram()
    awaited = Awaited(took)
    awaited.expect(10, 1.0)
    awaited.left(9, 1.1)
    assert took.total == 0
    awaited.left(11, 1.25)  # 10 was held
    awaited.left(12, 1.3)
    assert took.total == pytest.approx(0.25) and sum(took.counts) == 1


def test_commands_that_are_never_shown_are_bounded() -> None:
    awaited = Awaited(Histogram())
    for frame in range(1000):
        awaited.expect(10_000 + frame, 0.0)
    assert len(awaited._waiting) == 16
    awaited.forget()
    assert not awaited._waiting
