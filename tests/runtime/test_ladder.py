"""What gives way under load, and how it comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.ladder import LONGEST, QUIET, SETTLED, Ladder, Rung, rungs

WINDOW = 0.32


def run(ladder: Ladder, shares: list[float], now: float = 0.0) -> float:
    for share in shares:
        now += WINDOW
        ladder.took(share, now)
    return now


def test_rungs_go_from_many_steps_to_every_other_frame_of_the_puppet() -> None:
    assert rungs(4) == (Rung(4), Rung(2), Rung(1), Rung(0), Rung(0, every=2))
    assert rungs(1) == (Rung(1), Rung(0), Rung(0, every=2))
    assert [str(r) for r in rungs(1)] == ["1 step", "puppet", "puppet, every 2. frame"]


def test_one_late_window_is_nothing_and_two_are_a_step_down() -> None:
    ladder = Ladder(2, 0.0)
    now = run(ladder, [0.4, 1.5, 0.4, 0.4, 0.4, 1.5, 0.4])
    assert ladder.top
    run(ladder, [1.5], now)
    assert ladder.rung == Rung(1) and not ladder.top


def test_it_climbs_after_a_quiet_while_and_only_where_there_is_room() -> None:
    ladder = Ladder(2, 0.0)
    now = run(ladder, [2.0, 2.0])
    now = run(ladder, [0.8] * int(2 * QUIET / WINDOW), now)
    assert ladder.rung == Rung(1)  # it keeps up, with nothing to spare
    run(ladder, [0.3] * int(2.1 * QUIET / WINDOW), now)
    assert ladder.top


def test_a_climb_that_was_too_early_is_tried_again_ever_later() -> None:
    ladder, now, falls = Ladder(1, 0.0), 0.0, []
    while now < 600:
        now += WINDOW
        before = ladder.top
        ladder.took(1.5 if ladder.rung.steps else 0.1, now)
        if before and not ladder.top:
            falls.append(now)
    gaps = [b - a for a, b in zip(falls, falls[1:], strict=False)]
    assert len(falls) < 8
    assert all(later > 1.5 * sooner for sooner, later in zip(gaps, gaps[1:], strict=False))


def test_after_settling_it_is_trusted_again() -> None:
    ladder = Ladder(1, 0.0)
    now = run(ladder, [2.0, 2.0])
    for _ in range(4):
        now = run(ladder, [0.1] * int((ladder._quiet + 1) / WINDOW), now)
        now = run(ladder, [2.0, 2.0], now)
    assert ladder._quiet > 4 * QUIET
    now = run(ladder, [0.1] * int((LONGEST + SETTLED + 10) / WINDOW), now)
    assert ladder.top and ladder._quiet == QUIET


def test_a_failure_goes_to_the_puppet_at_once() -> None:
    ladder = Ladder(4, 0.0)
    ladder.failed(1.0)
    assert ladder.rung == Rung(0)
    ladder.failed(2.0)
    assert ladder.rung == Rung(0)


@given(st.lists(st.tuples(st.floats(0, 20), st.floats(0, 10), st.booleans()), max_size=200))
def test_it_always_stands_on_a_rung(steps: list[tuple[float, float, bool]]) -> None:
    ladder, now = Ladder(4, 0.0), 0.0
    for wait, share, fails in steps:
        now += wait
        before = rungs(4).index(ladder.rung)
        if fails:
            ladder.failed(now)
        else:
            ladder.took(share, now)
            assert abs(rungs(4).index(ladder.rung) - before) <= 1
        assert ladder.rung in rungs(4)
