"""What a session measures about itself."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from planner.plan import Plan
from runtime.latency import Histogram


@dataclass(slots=True)
class Stats:
    """Counters since the session began, and a short memory for rates."""

    frames: int = 0
    "Frames delivered with a new picture."
    held: int = 0
    "Frames delivered with the last picture because rendering was late."
    dropped: int = 0
    "Frames that a viewer was too slow to take."
    stalls: int = 0
    "Times the session's clock had to be moved."
    underruns: int = 0
    "Frames that waited in the middle of speech for more of it."
    plans: int = 0
    "Chunks planned."
    plans_written: int = 0
    "Of these, with a score that a language model wrote."
    plans_mended: int = 0
    "Of these, with rows that the physiological critic had to mend."
    level: str = ""
    "How pictures are made: `runtime.renderer.Renderer.level`."
    fps: float = 0.0
    "Fresh pictures a second, between the last two snapshots."
    reaction: Histogram = field(default_factory=Histogram)
    "From `behave` to the first picture planned after it."
    hush: Histogram = field(default_factory=Histogram)
    "From `interrupt` to the end of the fade."
    first_picture: Histogram = field(default_factory=Histogram)
    "From a viewer's offer to the first picture sent to it."
    render_ms: deque[float] = field(default_factory=lambda: deque(maxlen=100))
    "Time from plan to picture, per frame, ms."
    late_ms: deque[float] = field(default_factory=lambda: deque(maxlen=100))
    "How late windows were planned, ms."
    _since: float | None = None
    _seen: int = 0

    def delivered(self, fresh: bool) -> None:
        """Count one frame."""
        if fresh:
            self.frames += 1
        else:
            self.held += 1

    def planned(self, plan: Plan) -> None:
        """Count one chunk."""
        self.plans += 1
        self.plans_written += plan.score.source != "embedded"
        self.plans_mended += bool(plan.repaired)

    def absorb(self, other: Stats) -> None:
        """Add another session's counters: totals go on when a session ends."""
        self.frames += other.frames
        self.held += other.held
        self.dropped += other.dropped
        self.stalls += other.stalls
        self.underruns += other.underruns
        self.plans += other.plans
        self.plans_written += other.plans_written
        self.plans_mended += other.plans_mended
        self.reaction.absorb(other.reaction)
        self.hush.absorb(other.hush)
        self.first_picture.absorb(other.first_picture)

    def snapshot(self, now: float) -> dict[str, Any]:
        """JSON-ready numbers; ``fps`` counts fresh pictures since the last snapshot."""
        if self._since is not None and now > self._since:
            self.fps = (self.frames - self._seen) / (now - self._since)
        self._since, self._seen = now, self.frames
        return {
            "fps": round(self.fps, 1),
            "render_ms": round(median(self.render_ms), 1) if self.render_ms else 0.0,
            "late_ms": round(max(self.late_ms), 1) if self.late_ms else 0.0,
            "level": self.level,
            "frames": self.frames,
            "held": self.held,
            "dropped": self.dropped,
            "stalls": self.stalls,
            "underruns": self.underruns,
            "plans": self.plans,
            "plans_written": self.plans_written,
            "plans_mended": self.plans_mended,
        }
