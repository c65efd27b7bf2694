"""The line: in order, bounded, and nobody who is gone holds it up."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.waiting import KEPT, Line, end_of, eta


def line(most: int = 4) -> Line:
    names = count(1)
    return Line(most, secret=lambda: f"t{next(names)}")


def refused(waiting: Line, ticket: str | None, now: float) -> str:
    assert not waiting.admit(ticket, 0, now)
    got = waiting.stand(ticket, now).ticket
    assert got is not None
    return got


def test_who_came_first_gets_the_place() -> None:
    waiting = line()
    first, second = refused(waiting, None, 0), refused(waiting, None, 1)
    assert refused(waiting, first, 2) == first and refused(waiting, second, 2) == second
    assert waiting.stand(second, 2).position == 2
    assert not waiting.admit(second, 1, 3)  # a place is free, and it is the first one's
    assert not waiting.admit(None, 1, 3)
    assert waiting.admit(first, 1, 4)
    assert waiting.admit(second, 1, 4) and len(waiting) == 0


def test_as_many_places_as_wait_before_are_not_mine() -> None:
    waiting = line()
    tickets = [refused(waiting, None, 0) for _ in range(3)]
    for ticket in tickets:
        refused(waiting, ticket, 1)
    assert not waiting.admit(tickets[2], 2, 2)
    assert waiting.admit(tickets[2], 3, 2)


def test_callers_who_know_no_tickets_hold_nobody_up_not_even_themselves() -> None:
    waiting = line()
    for now in range(3):
        refused(waiting, None, now)
    assert waiting.admit(None, 1, 3)


def test_a_ticket_that_is_not_shown_is_forgotten() -> None:
    waiting = line()
    gone = refused(waiting, refused(waiting, None, 0), 0)
    late = refused(waiting, None, 1)
    refused(waiting, late, KEPT)
    assert not waiting.admit(late, 1, KEPT)
    assert waiting.admit(late, 1, KEPT + 0.1)
    again = waiting.stand(gone, KEPT + 0.1)
    assert again.ticket != gone


def test_the_line_is_bounded_and_holders_are_not_pushed_out() -> None:
    waiting = line(2)
    for ticket in [refused(waiting, None, 0) for _ in range(2)]:
        refused(waiting, ticket, 0)
    turn = waiting.stand(None, 1)
    assert (turn.ticket, turn.position) == (None, 3)
    assert line(0).stand(None, 0).ticket is None


def test_callers_who_never_come_back_make_room_for_others() -> None:
    waiting = line(2)
    for _ in range(50):
        refused(waiting, None, 0)
    assert len(waiting) == 2


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=60))
def test_whatever_happens_the_line_is_bounded_and_admits_no_more_than_is_free(
    steps: list[tuple[int, int]],
) -> None:
    waiting = line(3)
    known: list[str] = []
    for now, (who, free) in enumerate(steps):
        ticket = known[who] if who < len(known) else None
        if waiting.admit(ticket, free, now):
            assert free > 0
            continue
        got = waiting.stand(ticket, now).ticket
        if got is not None and got not in known:
            known.append(got)
        assert len(waiting) <= 3


def test_the_wait_is_told_from_ends_that_are_known() -> None:
    assert eta([30.0, 10.0], 1, None) == 10
    assert eta([30.0, 10.0], 2, None) == 30
    assert eta([30.0, 10.0], 3, 60.0) == 70
    assert eta([30.0, 10.0], 3, None) is None
    assert eta([None, 10.0], 1, None) == 10 and eta([None, 10.0], 2, None) is None
    assert eta([None, None], 1, None) is None and eta([], 1, 5.0) is None
    assert eta([1e9], 1, None) is None


def test_the_end_of_a_session_is_its_limit_or_what_its_like_did() -> None:
    assert end_of(None, 10, None) is None
    assert end_of(20.0, 10, None) == 20 and end_of(20.0, 10, 25) == 15
    assert end_of(None, 1000, 40) == pytest.approx(10)  # it could end any moment, or not
