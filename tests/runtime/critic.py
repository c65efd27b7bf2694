"""What the critic says of a whole run that was planned in chunks."""

from __future__ import annotations

from core import F32, ControlTrack
from planner.rules import Violation, check
from planner.rules_gaze import FAR_GRACE


def violations(rows: F32) -> list[Violation]:
    """Of float32 ``[N, 17]``. Eyes that were far out when a chunk began may take `FAR_GRACE` frames
    to come back, and where it ends before, as many of the next; where chunks began can not be seen
    in the rows."""
    found = check(ControlTrack(rows))
    return [v for v in found if v.rule != "eyes-far-out" or v.end - v.start > 2 * FAR_GRACE]
