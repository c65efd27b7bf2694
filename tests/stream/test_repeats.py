"""Pictures are sent twice where packets get lost and asking again takes too long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from stream.repeats import FAR, KEEP, PATIENCE, PATIENCE_MOST, Repeats


def told(repeats: Repeats, shares: list[float], *, trip: float | None = 0.1, at: int = 0) -> int:
    """One share a second; returns the second that follows."""
    for second, share in enumerate(shares, at):
        repeats.report(share, trip, float(second))
    return at + len(shares)


def test_a_lossy_long_way_is_sent_twice() -> None:
    repeats = Repeats()
    assert (repeats.on, repeats.copies) == (False, 1)
    told(repeats, [0.05, 0.05, 0.05])
    assert (repeats.on, repeats.copies) == (True, 2)


def test_a_short_way_or_an_unknown_one_is_not() -> None:
    for trip in (None, FAR / 2):
        repeats = Repeats()
        told(repeats, [0.05] * 20, trip=trip)
        assert not repeats.on


def test_a_single_packet_in_a_while_is_no_reason() -> None:
    repeats = Repeats()
    told(repeats, [0.01, 0, 0, 0, 0.01, 0, 0] * 10)
    assert not repeats.on


def test_it_ends_some_time_after_the_last_loss() -> None:
    repeats = Repeats()
    second = told(repeats, [0.05] * 5)
    second = told(repeats, [0.0] * round(KEEP / 2), at=second)
    assert repeats.on
    told(repeats, [0.0] * round(KEEP), at=second)
    assert not repeats.on


def test_losses_that_grow_with_it_end_it_for_ever_longer() -> None:
    repeats, tried, second = Repeats(), [], 0
    while second < 4000:  # a full network: 5 % lost when sent once, 40 % when twice
        was = repeats.on
        second = told(repeats, [0.4 if repeats.on else 0.05], at=second)
        if repeats.on and not was:
            tried.append(second)
    waits = [b - a for a, b in zip(tried, tried[1:], strict=False)]
    assert PATIENCE < waits[0] < PATIENCE + 5
    assert waits == sorted(waits)
    assert PATIENCE_MOST < waits[-1] < PATIENCE_MOST + 5
    assert 5 < len(tried) < 15


def test_chance_does_not_end_it() -> None:
    repeats = Repeats()
    second = told(repeats, [0.04] * 3)
    told(repeats, [0.1, 0.02, 0.1, 0.05, 0.0, 0.08] * 10, at=second)
    assert repeats.on


@given(st.lists(st.tuples(st.floats(0, 1), st.none() | st.floats(0, 9)), max_size=60))
def test_hardly_anything_lost_for_long_is_sent_once(seen: list[tuple[float, float | None]]) -> None:
    repeats = Repeats()
    for second, (share, trip) in enumerate(seen):
        repeats.report(share, trip, float(second))
    told(repeats, [0.0] * 40, at=len(seen))
    assert not repeats.on
