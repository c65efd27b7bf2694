"""The embedded planning agent's answer: what is about to be shown, as events that add up."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from core import FPS
from planner.cues import Cue, CueSheet, announce
from planner.plan import Event, Score
from planner.staging import Scene

SHORTEST_FRAMES: Final = 5
"Events nearer to each other are told as one."


def outline(scenes: Sequence[Scene], sheet: CueSheet, first: int, frames: int) -> Score:
    """The events of ``frames`` frames from frame ``first`` on.

    An event begins with a stage, or where something that was asked for begins or ends; what
    began earlier or goes on longer is cut.

    Args:
        scenes: In order; the first has begun by ``first``, the last lasts to the end.
        sheet: What was asked for.
    """
    starts = [max(0, math.ceil(scene.start * FPS) - first) for scene in scenes]
    stages = list(zip(starts, [*starts[1:], frames], scenes, strict=True))
    asked = list(_asked(sheet, first, frames))
    cuts = _apart({*starts, *(at for a, b, _ in asked for at in (a, b))}, frames)
    events = []
    for start, end in zip(cuts, cuts[1:], strict=False):
        shown = end - 1  # what began a moment late still names the event
        stage = next(scene.stage for a, b, scene in stages if a <= shown < b)
        words = [words for a, b, words in asked if a <= shown < b]
        events.append(Event(start, end, "; ".join([*words, stage.why]), stage))
    return Score(tuple(events), "embedded")


def _apart(wanted: Iterable[int], frames: int) -> list[int]:
    """Cuts from 0 to ``frames`` that leave no event shorter than can be read."""
    cuts = [0]
    for at in sorted(wanted):
        if at - cuts[-1] >= SHORTEST_FRAMES and frames - at >= SHORTEST_FRAMES:
            cuts.append(at)
    return [*cuts, frames]


def _asked(sheet: CueSheet, first: int, frames: int) -> Iterable[tuple[int, int, str]]:
    """(start, end, words) of each cue that falls into the frames."""
    for cue in (*sheet.playing, *sheet.waiting):
        action = announce(cue, sheet.start)
        start = max(0, action.start - first)
        end = frames if _is_kept(cue) else min(frames, action.end - first)
        if start < end:
            yield start, end, cue.words


def _is_kept(cue: Cue) -> bool:
    return cue.hold is None and not cue.gesture and not cue.free
