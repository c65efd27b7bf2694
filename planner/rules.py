"""What a living face can not do: physiological rules over a track of controls.

Each rule has its number and its source beside it, or the word *free* where none was at hand:
`planner.rules_face` (units, head), `planner.rules_lids`, `planner.rules_gaze`. The limits are those
of what people do at all, not of what is usual: what is usual is the planner's business.

Rules see the rows before the track too, so that nothing hides in a seam. Those rows are not judged
again, and whatever they are, there is a track that passes after them: what they make impossible at
the seam is not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import numpy as np

from core import CHANNELS, FPS, POSE_SLICE, ControlTrack
from planner import rules_face, rules_gaze, rules_lids
from planner.evidence import F64, LEAST, MOST, SLACK, Rows, Violation

__all__ = ["LONGEST", "RULES", "Violation", "check", "check_played", "settled"]

LONGEST: Final = 40 * FPS
"Rows before a track that are looked at."
REMEMBERED: Final = 2 * FPS
"Of these, rows whose units are looked at."

Rule: TypeAlias = Callable[[Rows], Iterator[Violation]]
RULES: Final[tuple[Rule, ...]] = (
    rules_face.pose_too_far, rules_face.head_too_fast, rules_face.head_jolts,
    rules_face.head_shakes, rules_face.units_too_fast, rules_face.units_twitch,
    rules_face.units_shake, rules_face.exclusions,
    rules_lids.open_too_fast, rules_lids.flutter, rules_lids.blinks, rules_lids.stares,
    rules_gaze.both_ways, rules_gaze.eyes, rules_gaze.far_out, rules_gaze.frozen,
)  # fmt: skip


def check(
    track: ControlTrack, before: ControlTrack | None = None, *, state: str = "idle"
) -> list[Violation]:
    """Every rule that ``track`` breaks.

    Args:
        track: float32 ``[T, 17]``.
        before: The rows played right before it; the more, the longer a stare can be seen.
        state: What the conversation is at.
    """
    if not len(track):
        return []
    if found := _impossible(track):
        return found
    past = settled(before)
    rows = Rows(np.concatenate([past, track.values]), len(past), state)
    return [violation for rule in RULES for violation in rule(rows)]


def check_played(track: ControlTrack, before: ControlTrack | None = None) -> list[Violation]:
    """The same of what was planned in chunks that begin anywhere, which can not be seen in the
    rows: a chunk may take `rules_gaze.FAR_GRACE` frames for what another had begun."""
    grace = rules_gaze.FAR_GRACE
    found = check(track, before)
    return [v for v in found if v.rule != "eyes-far-out" or v.end - v.start > grace]


def settled(before: ControlTrack | None) -> F64:
    """The rows before, float64 ``[N, 17]``, as they would be if they kept to their ranges.

    A head can not come back from where none can be, nor brows part that never met.
    """
    if before is None:
        return np.zeros((0, len(CHANNELS)))
    past = np.nan_to_num(before.values[-LONGEST:].astype(np.float64))
    np.clip(past, LEAST, MOST, out=past)
    rules_face.settle(past[-REMEMBERED:])
    return past


def _impossible(track: ControlTrack) -> list[Violation]:
    """Values that no channel has: a track had none when it was made, but arrays can be changed."""
    values = track.values
    wrong = ~((values >= LEAST - SLACK) & (values <= MOST + SLACK))
    wrong[:, POSE_SLICE] = ~np.isfinite(values[:, POSE_SLICE])
    if not wrong.any():
        return []
    frames = np.flatnonzero(wrong.any(axis=1))
    names = tuple(CHANNELS[i] for i in np.flatnonzero(wrong.any(axis=0)))
    return [Violation("range", names, int(frames[0]), int(frames[-1]) + 1, float(wrong.sum()), 0.0)]
