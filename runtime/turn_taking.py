"""Whose turn it is: the conversational state, driven by commands, by speech and by quiet.

Pure: no clock, no I/O; what is told of a new state is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from core import FPS, InvalidInput
from runtime.state import Signal, State, fire

REST_FRAMES: Final = 6 * FPS
"Six quiet seconds after speaking, the avatar goes from listening to idle."
WORDS: Final = {
    "listening": Signal.ATTENDED,
    "thinking": Signal.ASKED,
    "idle": Signal.RESTED,
}
"What a client may say of the conversation."


class TurnTaking:
    """The state of one session, and how long nobody has spoken in it."""

    def __init__(self, changed: Callable[[State, str | None], None]) -> None:
        """``changed(state, cause)`` is called with each new state."""
        self.state = State.IDLE
        self._changed = changed
        self._quiet = 0

    def fire(self, signal: Signal, cause: str | None = None) -> None:
        """Something happens. Raises IllegalTransition; then nothing changed."""
        before, self.state = self.state, fire(self.state, signal)
        if self.state is not before or signal is Signal.ATTENDED:
            self._quiet = 0
        if self.state is not before:
            self._changed(self.state, cause)

    def signal_of(self, word: str) -> Signal:
        """What it means that a client says ``word`` of the conversation.

        Raises:
            InvalidInput: Another word than those of `WORDS`; or the avatar speaks.
        """
        if word not in WORDS:
            raise InvalidInput(f"state is one of {', '.join(WORDS)}, not {word!r}.")
        if self.state is State.SPEAKING:
            raise InvalidInput("The avatar is speaking; interrupt it first.")
        return WORDS[word]

    def advance(self, frames: int, *, more: bool, active: bool) -> None:
        """A window passes: idle again after a while of nothing; never speaking with nothing to say.

        Args:
            frames: Its length.
            more: Something is left to say.
            active: Something sounds or waits to.
        """
        if self.state is State.SPEAKING and not more:
            self.fire(Signal.SPEECH_ENDED)
        if self.state is State.LISTENING and not active:
            self._quiet += frames
            if self._quiet > REST_FRAMES:
                self.fire(Signal.RESTED)
