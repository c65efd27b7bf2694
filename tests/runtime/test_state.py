"""The conversation table: what is listed happens, anything else changes nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.state import TRANSITIONS, IllegalTransition, Signal, State, fire


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("signal", Signal)
def test_table(state: State, signal: Signal) -> None:
    target = TRANSITIONS[state].get(signal)
    if target is None:
        with pytest.raises(IllegalTransition, match=signal.value):
            fire(state, signal)
    else:
        assert fire(state, signal) is target


def test_every_state_can_be_left_by_closing() -> None:
    assert all(fire(s, Signal.CLOSED) is State.CLOSED for s in State)


def test_every_state_is_reachable() -> None:
    reached = {State.IDLE}
    for _ in State:
        reached |= {t for s in reached for t in TRANSITIONS[s].values()}
    assert reached == set(State)


@given(st.lists(st.sampled_from(list(Signal)), max_size=30))
def test_whatever_is_signalled_an_illegal_one_changes_nothing(signals: list[Signal]) -> None:
    state = State.IDLE
    for signal in signals:
        before, legal = state, signal in TRANSITIONS[state]
        try:
            state = fire(state, signal)
        except IllegalTransition:
            assert not legal and state is before
        else:
            assert legal
        if before is State.CLOSED:
            assert state is State.CLOSED
