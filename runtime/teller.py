"""What a session tells its listeners: events, each with the media time it belongs to."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from core import F32, FPS, SAMPLES_PER_FRAME, ControlTrack
from planner.action import Action
from runtime import explain
from runtime.events import Event, EventFeed, EventHub
from runtime.lookahead import Chunk
from runtime.session_clock import SessionClock

log = logging.getLogger(__name__)

CONTROLS_FRAMES: Final = 5
"Frames in one `controls` event: five events a second are smooth in a chart and cheap to send."


class Teller:
    """Publishes the events of one session."""

    def __init__(self, id: str, clock: SessionClock) -> None:
        self._about = {"session": id}
        self._clock = clock
        self._hub = EventHub()
        self._controls: list[F32] = []
        self._degraded = False

    def subscribe(self) -> EventFeed:
        """A feed of events, to be entered with ``async with``."""
        return self._hub.subscribe()

    def tell(
        self, type: str, data: dict[str, Any], cause: str | None = None, *, pts: int | None = None
    ) -> None:
        """Publish an event, of ``pts`` or else of the next window."""
        self._hub.publish(Event(type, data, self._clock.pts if pts is None else pts, cause))

    def close(self) -> None:
        """End all feeds. Closing twice is fine."""
        self._hub.close()

    # --- what the eyes do --------------------------------------------------------------------

    def plan(self, chunk: Chunk) -> None:
        """A chunk was planned."""
        self.tell("score", explain.outline(chunk))

    def actions(self, actions: Sequence[Action]) -> None:
        """What is about to be done, or withdrawn; nothing is told of none."""
        if actions:
            self.tell("plan", {"actions": [explain.action(a) for a in actions]})

    def controls(self, start: int, controls: ControlTrack) -> None:
        """Of the frames from ``start`` on, which follow those before; told some at once."""
        self._controls.extend(controls.values)
        if len(self._controls) >= CONTROLS_FRAMES:
            first = start + len(controls) - len(self._controls)
            # As float64: a rounded float32 has eighteen digits in JSON.
            values = np.round(np.stack(self._controls).astype(np.float64), 3).tolist()
            self._controls.clear()
            self.tell("controls", {"rate": FPS, "values": values}, pts=first * SAMPLES_PER_FRAME)

    def take_back(self, frames: int) -> None:
        """Of the last ``frames`` frames the controls are not told, unless they were."""
        del self._controls[max(0, len(self._controls) - frames) :]

    # --- what goes wrong ---------------------------------------------------------------------

    def failed(self, error: Exception, cause: str | None) -> None:
        """An utterance could not be spoken."""
        log.warning("utterance failed: %s", error, extra=self._about)
        code = getattr(error, "code", "error")
        self.tell("error", {"code": code, "detail": str(error)}, cause)

    def stalled(self, shift: float) -> None:
        """The session's clock was moved by so many seconds."""
        ms = round(shift * 1000)
        log.warning("clock moved", extra=self._about | {"late_ms": ms})
        self.tell("degraded", {"reason": "stall", "shift_ms": ms})

    def pictures(self, level: str, *, degraded: bool) -> None:
        """How they are made; told when that is less than was asked for, or no longer is."""
        if degraded != self._degraded:
            self._degraded = degraded
            log.warning("pictures: %s", level, extra=self._about)
            data = {"reason": "load", "level": level, "restored": not degraded}
            self.tell("degraded", data)

    def planner(self, trouble: str) -> None:
        """A language model does not plan, for this reason, or ("") does again."""
        if trouble:
            log.warning("planner: %s", trouble, extra=self._about)
        self.tell("degraded", {"reason": "planner", "detail": trouble})
