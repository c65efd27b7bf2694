"""The conversational state of a session, as a table.

Anything not listed raises, and nothing changes.
"""

from __future__ import annotations

from enum import StrEnum

from core import SaccadeError


class State(StrEnum):
    """What the avatar does in the conversation."""

    IDLE = "idle"
    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"
    CLOSED = "closed"


class Signal(StrEnum):
    """What can happen to it."""

    ATTENDED = "attended"
    "Somebody speaks to it, or it has just spoken."
    ASKED = "asked"
    "An utterance is on its way but has no sound yet."
    SPEECH_STARTED = "speech_started"
    SPEECH_ENDED = "speech_ended"
    INTERRUPTED = "interrupted"
    RESTED = "rested"
    "Nothing happened for a while, or the client says so."
    CLOSED = "closed"


class IllegalTransition(SaccadeError):
    """A signal that makes no sense in the present state: a bug of the caller."""

    code = "illegal-transition"


_LIVE = {Signal.CLOSED: State.CLOSED}
TRANSITIONS: dict[State, dict[Signal, State]] = {
    State.IDLE: {
        Signal.ATTENDED: State.LISTENING,
        Signal.ASKED: State.THINKING,
        Signal.SPEECH_STARTED: State.SPEAKING,
        Signal.INTERRUPTED: State.IDLE,
        Signal.RESTED: State.IDLE,
        **_LIVE,
    },
    State.LISTENING: {
        Signal.ATTENDED: State.LISTENING,
        Signal.ASKED: State.THINKING,
        Signal.SPEECH_STARTED: State.SPEAKING,
        Signal.INTERRUPTED: State.LISTENING,
        Signal.RESTED: State.IDLE,
        **_LIVE,
    },
    State.THINKING: {
        Signal.ATTENDED: State.LISTENING,
        Signal.ASKED: State.THINKING,
        Signal.SPEECH_STARTED: State.SPEAKING,
        Signal.INTERRUPTED: State.LISTENING,
        Signal.RESTED: State.IDLE,
        **_LIVE,
    },
    State.SPEAKING: {
        Signal.ATTENDED: State.SPEAKING,
        Signal.ASKED: State.SPEAKING,
        Signal.SPEECH_STARTED: State.SPEAKING,
        Signal.SPEECH_ENDED: State.LISTENING,
        Signal.INTERRUPTED: State.LISTENING,
        **_LIVE,
    },
    State.CLOSED: {Signal.CLOSED: State.CLOSED},
}


def fire(state: State, signal: Signal) -> State:
    """The state after ``signal``. Raises IllegalTransition when it is not in the table."""
    try:
        return TRANSITIONS[state][signal]
    except KeyError:
        raise IllegalTransition(f"{signal} can not happen while {state}") from None
