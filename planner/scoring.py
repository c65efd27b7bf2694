"""From the agents' answers to a score, and from a performance to what the critic is told.

Spans are mended until they touch and add up; ranges become stages in the terms the performer
knows. Nothing here trusts that a model can count.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np

from core import CHANNEL, CHANNELS, F32, FPS, GAZE_DEGREES, POSE_SLICE, ControlTrack, InvalidInput
from planner.categories import LABELS
from planner.messages import ChannelName, ComposedEvent, Flaw, PlannedEvent, Shown, Span, Start
from planner.plan import Event, Score
from planner.rules import Violation
from planner.saccade import DIRECTIONS, Point
from planner.stages import Look, Range, Stage
from planner.tidy import MOST_EVENTS, channel_limits

SHORTEST_FRAMES: Final = 4
"No event is shorter: 160 ms, about the time between two saccades (free)."
DIRECT_DEGREES: Final = 2.0
"Gaze nearer to the viewer than this is eye contact (free; faces are a few degrees wide)."
MOST_TOLD: Final = 12
"Flaws, and stages of a category, that a model is told of."
VISIBLE: Final = 0.04
"Channels that stay below this share are not worth telling of (free)."
VISIBLE_DEGREES: Final = 1.0
CLOSED: Final = 0.5
"Lid closure that counts as a blink."
_PARTS: Final = frozenset(name.split("_")[0] for name in CHANNELS)
GAZE: Final = ("gaze_left", "gaze_right", "gaze_up", "gaze_down")


@dataclass(frozen=True, slots=True)
class Staged:
    """A planned event with its span in frames."""

    start: int
    end: int
    event: PlannedEvent


# --- Spans -----------------------------------------------------------------------------------


def stage_events(events: Sequence[PlannedEvent], frames: int) -> list[Staged]:
    """``events`` in order of time, touching, and adding up to exactly ``frames``.

    Each lasts until the next one begins. When events lie beyond the end (written in frames, or for
    another duration), all of them are scaled to fit. Events too short to be seen are left out, and
    so are the shortest ones where there are too many.

    Raises:
        InvalidInput: None of them lasts, or there are no frames.
    """
    lasting = sorted((e for e in events if e.end > e.start), key=lambda e: (e.start, e.end))
    if not lasting or frames < 1:
        raise InvalidInput("No event lasts: give every event a start and a later end, in seconds.")
    origin = max(0.0, lasting[0].start) if lasting[0].start * FPS >= frames else 0.0
    beyond = any(e.start * FPS >= frames for e in lasting)
    whole = max(e.end for e in lasting) - origin
    scale = frames / whole if beyond and whole > 0 else float(FPS)
    starts = [min(max(0, round((e.start - origin) * scale)), frames) for e in lasting]
    starts[0] = 0
    staged = [
        Staged(start, end, event)
        for start, end, event in zip(starts, [*starts[1:], frames], lasting, strict=True)
    ]
    return _thin_out(staged)


def _thin_out(staged: list[Staged]) -> list[Staged]:
    """Leave out the shortest until all can be seen; the one before lasts longer instead."""
    while len(staged) > 1:
        lengths = [s.end - s.start for s in staged]
        shortest = int(np.argmin(lengths))
        if lengths[shortest] >= SHORTEST_FRAMES and len(staged) <= MOST_EVENTS:
            break
        gone = staged.pop(shortest)
        if shortest == 0:
            staged[0] = Staged(gone.start, staged[0].end, staged[0].event)
        else:
            before = staged[shortest - 1]
            staged[shortest - 1] = Staged(before.start, gone.end, before.event)
    return staged


def as_planned(staged: Sequence[Staged]) -> tuple[PlannedEvent, ...]:
    """The events with the times they really have, in seconds."""
    return tuple(
        s.event.model_copy(update={"start": s.start / FPS, "end": s.end / FPS}) for s in staged
    )


# --- Stages ----------------------------------------------------------------------------------


def write(staged: Sequence[Staged], composed: Sequence[ComposedEvent], source: str) -> Score:
    """The score: each event with the ranges composed for it.

    Events for which nothing was composed are at rest; what was composed beyond them is dropped.
    """
    rest = ComposedEvent(channels=())
    given = [*composed, *([rest] * len(staged))]
    return Score(
        tuple(
            Event(s.start, s.end, s.event.semantics, _stage(s, c))
            for s, c in zip(staged, given, strict=False)
        ),
        source,
    )


def _stage(staged: Staged, composed: ComposedEvent) -> Stage:
    seconds = (staged.end - staged.start) / FPS
    rise = min(composed.rise, seconds)
    ranges: dict[str, Range] = {
        c.channel: _within(c.channel, c.low, c.high) for c in composed.channels
    }
    controls = {name: span for name, span in ranges.items() if name not in GAZE}
    return Stage(
        seconds=(seconds, seconds),
        rise=(rise, rise),
        controls=controls,
        then=(),
        why=staged.event.semantics or "as planned",
        look=_look(ranges, composed.gaze == "viewer"),
        blinks=composed.blink_rate,
        slowness=composed.blink_slowness,
        drift=composed.liveliness,
        nods=composed.nods_per_minute,
        blink=composed.begins_with_blink,
    )


def _within(channel: str, low: float, high: float) -> Range:
    least, most = channel_limits(channel)
    low, high = sorted((min(max(low, least), most), min(max(high, least), most)))
    return low, high


def _look(ranges: dict[str, Range], viewer: bool) -> Look | None:
    """Where the gaze channels point, as the nearest of the known directions."""
    side, up, down = GAZE_DEGREES
    spans = [ranges.get(name, (0.0, 0.0)) for name in GAZE]
    ends: list[Point] = []
    for i in (0, 1):
        left, right, high, low = (span[i] for span in spans)
        ends.append((side * (left - right), down * low - up * high))
    x, y = ((a + b) / 2 for a, b in zip(*ends, strict=True))
    if math.hypot(x, y) < DIRECT_DEGREES:
        return Look("viewer") if viewer or any(name in ranges for name in GAZE) else None

    def along(point: Point, direction: Point) -> float:
        return (point[0] * direction[0] + point[1] * direction[1]) / math.hypot(*direction)

    where = max(DIRECTIONS, key=lambda name: along((x, y), DIRECTIONS[name]))
    direction = DIRECTIONS[where]
    # A look is a multiple of its direction, and directions are not all of length 1.
    sizes = sorted(max(0.0, along(end, direction)) / math.hypot(*direction) for end in ends)
    return Look(where, (sizes[0], sizes[1]))


# --- What is told ----------------------------------------------------------------------------


def shown(score: Score, track: ControlTrack) -> tuple[Shown, ...]:
    """What every event of ``score`` became in ``track``.

    Raises:
        InvalidInput: The track is shorter than the score.
    """
    if len(track) < score.frames:
        raise InvalidInput(f"The track has {len(track)} frames, the score {score.frames}.")
    return tuple(
        Shown(
            start=round(e.start / FPS, 2),
            end=round(e.end / FPS, 2),
            semantics=e.semantics,
            channels=_moved(track.values[e.start : e.end]),
            blinks=_blinks(track.values[e.start : e.end]),
        )
        for e in score.events
    )


def _moved(rows: F32) -> dict[ChannelName, Span]:
    told: dict[ChannelName, Span] = {}
    for i, name in enumerate(get_args(ChannelName)):
        least = VISIBLE_DEGREES if i >= POSE_SLICE.start else VISIBLE
        column = rows[:, i]
        if np.abs(column).max() >= least:
            low, mean, high = (round(float(f(column)), 2) for f in (np.min, np.mean, np.max))
            told[name] = Span(least=low, mean=mean, most=high)
    return told


def _blinks(rows: F32) -> int:
    closed = rows[:, CHANNEL["AU45_L"] : CHANNEL["AU45_R"] + 1].mean(1) > CLOSED
    return int(np.count_nonzero(closed[1:] & ~closed[:-1]) + closed[0])


def flaws(violations: Sequence[Violation]) -> tuple[Flaw, ...]:
    """The first violations, in seconds."""
    return tuple(
        Flaw(
            rule=v.rule,
            channels=v.channels[: len(CHANNELS)],
            start=round(v.start / FPS, 2),
            end=round(v.end / FPS, 2),
        )
        for v in violations[:MOST_TOLD]
    )


def start_of(row: Sequence[float]) -> Start:
    """Pose and gaze of one row of controls.

    Raises:
        InvalidInput: It does not have 17 finite values.
    """
    if len(row) != len(CHANNELS) or not all(math.isfinite(x) for x in row):
        raise InvalidInput(f"A start has {len(CHANNELS)} finite values, got {len(row)}.")
    return Start.model_validate({n: round(float(row[CHANNEL[n]]), 2) for n in Start.model_fields})


def typical(label: str) -> tuple[str, ...]:
    """The stages ``label`` usually has, one a line, for the agents to start from."""
    category = LABELS.get(label)
    if category is None:
        return ()
    return tuple(_typical_line(stage) for stage in list(category.stages.values())[:MOST_TOLD])


def _typical_line(stage: Stage) -> str:
    ranges = [
        f"{name.rstrip('?')} {low:g}..{high:g}"
        for name, (low, high) in stage.controls.items()
        if name.split("_")[0].rstrip("?") in _PARTS
    ]
    look = "" if stage.look is None else f", looks {stage.look.where}"
    least, most = stage.seconds
    return f"{stage.why} ({least:g}-{most:g} s{look}): {', '.join(ranges)}"
