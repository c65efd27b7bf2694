"""Whose turn it is: what clients say, how speech ends, and how long quiet lasts."""

from __future__ import annotations

import pytest

from core import InvalidInput
from runtime.state import IllegalTransition, Signal, State
from runtime.turn_taking import REST_FRAMES, TurnTaking

Told = list[tuple[str, str | None]]


def taking() -> tuple[TurnTaking, Told]:
    told: Told = []
    return TurnTaking(lambda state, cause: told.append((state.value, cause))), told


def quiet(turns: TurnTaking, frames: int, window: int = 1) -> None:
    for _ in range(frames // window):
        turns.advance(window, more=False, active=False)


def test_a_state_is_told_when_it_is_new_and_with_its_cause() -> None:
    turns, told = taking()
    for signal in (Signal.ASKED, Signal.ASKED, Signal.SPEECH_STARTED, Signal.SPEECH_STARTED):
        turns.fire(signal, "a")
    turns.fire(Signal.SPEECH_ENDED)
    assert told == [("thinking", "a"), ("speaking", "a"), ("listening", None)]


def test_an_illegal_signal_changes_and_tells_nothing() -> None:
    turns, told = taking()
    with pytest.raises(IllegalTransition):
        turns.fire(Signal.SPEECH_ENDED)
    assert turns.state is State.IDLE and not told


def test_a_client_s_word_is_refused_while_the_avatar_speaks_or_when_it_means_nothing() -> None:
    turns, told = taking()
    assert turns.signal_of("listening") is Signal.ATTENDED
    with pytest.raises(InvalidInput, match="listening, thinking, idle, not 'asleep'"):
        turns.signal_of("asleep")
    turns.fire(Signal.SPEECH_STARTED)
    with pytest.raises(InvalidInput, match="interrupt it first"):
        turns.signal_of("listening")
    assert told == [("speaking", None)]


@pytest.mark.parametrize("window", [1, 8])
def test_after_six_quiet_seconds_listening_becomes_idle_and_no_sooner(window: int) -> None:
    turns, told = taking()
    turns.fire(Signal.ATTENDED)
    quiet(turns, REST_FRAMES, window)
    assert turns.state is State.LISTENING
    quiet(turns, window, window)
    assert told == [("listening", None), ("idle", None)]


def test_a_client_that_says_again_that_somebody_talks_begins_the_quiet_anew() -> None:
    turns, _ = taking()
    turns.fire(Signal.ATTENDED)
    quiet(turns, REST_FRAMES)
    turns.fire(Signal.ATTENDED)
    quiet(turns, REST_FRAMES)
    assert turns.state is State.LISTENING


def test_what_sounds_is_no_quiet() -> None:
    turns, _ = taking()
    turns.fire(Signal.ATTENDED)
    for _ in range(2 * REST_FRAMES):
        turns.advance(1, more=True, active=True)
    assert turns.state is State.LISTENING


def test_nobody_speaks_with_nothing_left_to_say() -> None:
    turns, told = taking()
    turns.fire(Signal.SPEECH_STARTED, "a")
    turns.advance(1, more=True, active=False)  # the next utterance has no sound yet
    assert turns.state is State.SPEAKING
    turns.advance(1, more=False, active=False)
    assert told == [("speaking", "a"), ("listening", None)]
