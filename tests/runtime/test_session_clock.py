"""Media time: what is due when, what could still be made anew, and what a stall moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import FPS, SAMPLES_PER_FRAME
from runtime.session_clock import SessionClock

LEAD = 0.08


def clock(now: float = 100.0, lead: float = LEAD) -> SessionClock:
    return SessionClock(lambda: lead, now)


def test_the_first_window_is_due_at_once_and_presented_a_lead_later() -> None:
    made = clock()
    assert made.due() == pytest.approx(100.0) and made.presented(0) == pytest.approx(100.0 + LEAD)
    assert made.pts == 0
    made.frame += 8
    assert made.pts == 8 * SAMPLES_PER_FRAME
    assert made.due() == pytest.approx(100.0 + 8 / FPS)
    assert made.late_ms(100.0) == pytest.approx(-8000 / FPS)


def test_a_lead_that_grows_makes_the_next_window_due_earlier_and_moves_no_picture() -> None:
    lead = [LEAD]
    made = SessionClock(lambda: lead[0], 100.0)
    made.frame, shown, due = 50, made.presented(50), made.presented(50) - LEAD
    lead[0] += 0.2
    assert made.presented(50) == shown and made.due() == pytest.approx(due - 0.2)
    assert made.lead == pytest.approx(LEAD + 0.2)


def test_after_a_stall_the_next_window_is_due_now_and_no_frame_is_skipped() -> None:
    made = clock()
    made.frame = 25
    assert made.reanchor(103.0) == pytest.approx(2.0)
    assert made.frame == 25 and made.late_ms(103.0) == pytest.approx(0.0)
    assert made.presented(25) == pytest.approx(103.0 + LEAD)


@given(st.floats(0, 3600), st.floats(0.01, 1.0))
def test_what_could_be_made_anew_is_presented_a_lead_from_now_or_later(
    since: float, lead: float
) -> None:
    made = clock(lead=lead)
    now = 100.0 + since
    frame = made.soonest(now)
    assert made.presented(frame) >= now + lead - 1e-6
    assert frame == 0 or made.presented(frame - 1) < now + lead + 1e-6, "and it is the first"


def test_a_window_that_is_being_rendered_is_waited_for_and_no_longer_than_a_lead() -> None:
    made = clock(lead=0.4)
    now = made.presented(250) + 0.01  # in the middle of a frame
    free = made.soonest(now)
    for since, frames in ((0.0, 10), (0.2, 5), (0.4, 0), (20.0, 0)):
        made.rendering_since = now - since
        assert made.soonest(now) == free + frames
