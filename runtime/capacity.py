"""How many sessions this machine carries: pure arithmetic over what was measured at warm-up.

The generator may fall to the puppet when it is too much (`runtime.ladder`), so what counts is the
puppet: its pictures on all cores, and what only one core can do, planning and sending.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from core import FPS

ENCODE_MS: Final = 2.4
"Encoding a picture of 512 × 512 for one viewer, VP8 or H.264 (see `stream.codecs`)."
SEND_MS: Final = 1.5
"Packets, encryption and sound of a frame for one viewer, on the event loop (free)."
FULL: Final = 0.9
"Of real time that windows of all sessions may take before a ladder steps down (`ladder.DOWN`)."
MOST: Final = 64
"Sessions at once, whatever the machine: one event loop plans for all."
UNMEASURED: Final = 2
"Places before anything was measured, when nothing else limits them."


@dataclass(frozen=True, slots=True)
class Cost:
    """What one frame of one session takes of a core, ms."""

    plan_ms: float
    "On the event loop."
    render_ms: float
    "By the puppet, in a thread."
    generator_share: float | None = None
    "Of real time that one session's windows take of the whole machine; None for the puppet."


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many sessions are admitted, and why."""

    places: int
    "Sessions at once."
    measured: int | None
    "What the machine carries at 25 frames a second; None before the warm-up."
    full_quality: int | None
    "Of these, with the generator as it was asked for; None where the puppet is shown anyway."

    def facts(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "places": self.places,
            "measured": self.measured,
            "full_quality": self.full_quality,
        }


def capacity(
    most: int, cost: Cost | None, *, size: int, share: float, cores: float | None = None
) -> Capacity:
    """Places for sessions.

    Args:
        most: The operator's limit; 0 for none.
        cost: What was measured; None when nothing was yet.
        size: Side of the picture, pixels.
        share: Of the machine that sessions may take.
        cores: Cores there are; by default, this process's.
    """
    if cost is None:
        return Capacity(min(most or UNMEASURED, MOST), None, None)
    cores = usable_cores() if cores is None else cores
    encode = ENCODE_MS * (size / 512) ** 2
    loop = FPS * (cost.plan_ms + SEND_MS) / 1000
    whole = loop + FPS * (cost.render_ms + encode) / 1000
    measured = max(1, min(int(share * cores / whole), int(share / loop), MOST))
    generated = cost.generator_share
    full = None if generated is None else max(1, min(measured, int(FULL / generated)))
    return Capacity(min(most or MOST, measured), measured, full)


def usable_cores() -> float:
    """Cores this process may use: affinity, and a container's quota (cgroup v2 ``cpu.max``)."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = float(len(affinity(0)) if affinity else os.cpu_count() or 1)
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return min(cores, int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # not Linux, or "max": no quota
        return cores
