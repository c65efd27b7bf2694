"""The conversation table: what is listed happens, anything else changes nothing."""

from __future__ import annotations

import pytest

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
