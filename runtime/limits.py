"""When a session ends by itself, and why. Pure; times are monotonic seconds."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.settings import RuntimeSettings


@dataclass(slots=True)
class Limits:
    """Of one session."""

    settings: RuntimeSettings
    created: float
    touched: float
    "When a command was last seen, or somebody on the way to watch."
    watched: float = 0.0
    "When a viewer was last seen."
    drained: float | None = None
    "When a server that is about to stop ends it."

    def first(self, *, watched: bool) -> tuple[float, str] | None:
        """The limit that comes first and its name: ``ttl``, ``idle`` or ``drain``; None for none.

        Args:
            watched: Somebody does, so it is not idle.
        """
        ends = []
        if self.settings.session_ttl:
            ends.append((self.created + self.settings.session_ttl, "ttl"))
        if self.settings.idle_timeout and not watched:
            ends.append((max(self.touched, self.watched) + self.settings.idle_timeout, "idle"))
        if self.drained is not None:
            ends.append((self.drained, "drain"))
        return min(ends, default=None)
