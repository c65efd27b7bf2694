"""How long planning takes, how soon a label shows, and whether all that plays passes the critic.

Times are of the processor, not of the wall: what one core spends, whoever else is on the machine.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import permutations
from typing import Final

import numpy as np
import numpy.typing as npt

from core import CHANNELS, CHUNK_FRAMES, F32, FPS, POSE_SLICE, ControlTrack
from planner.behaviour import CHOICE, Behaviour
from planner.categories import LABELS
from planner.library import load_library, texture
from planner.manners import MANNERS
from planner.repair import repair
from planner.rules import check, check_played
from runtime.draft import Draft
from runtime.lookahead import PAST_FRAMES, Lookahead

STEPS: Final = ("plan", "perform", "check", "repair", "retrieve")
"""The whole of a chunk: events, performance, critic. Then its parts; retrieval is that of one
stage, and part of the performance."""
VISIBLE_UNIT: Final = 0.05
"Difference of an action unit or of gaze that can be seen (free) …"
VISIBLE_DEGREES: Final = 1.0
"… and of the head."
WATCHED_FRAMES: Final = 4 * FPS
"After a new label."

AT_RANDOM: Final = "commands at random"
INSTRUCTIONS: Final = (
    "",
    "look slightly left, then lower the head smoothly",
    "wink, then blink twice, then look up",
    "turn your head 30 degrees right while looking at me",
    "close your eyes for 2 seconds, then open them wide",
    "shake your head twice quickly",
    "raise your left eyebrow and keep it raised",
)

Told = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Spread:
    """Many measurements of one thing."""

    median: float
    late: float
    "95th percentile."
    most: float


def spread(values: Sequence[float]) -> Spread:
    """Median, 95th percentile and maximum."""
    median, late = np.percentile(values, (50, 95))
    return Spread(float(median), float(late), float(max(values)))


def plan_times(chunks: int, told: Told) -> dict[str, Spread]:
    """Milliseconds of `STEPS` for a chunk of 4 s, ``chunks`` in a row under every label."""
    library, rng = load_library(), np.random.default_rng(0)
    spent: dict[str, list[float]] = {step: [] for step in STEPS}
    for seed, label in enumerate(LABELS):
        told(f"planning {label}")
        performer = Behaviour(seed, label=label, library=library)
        before = performer.advance(PAST_FRAMES).values
        for k in range(chunks):
            with _timed(spent["plan"]):
                draft = Draft(performer, CHUNK_FRAMES, index=k, label=label, instruction="")
                plan = draft.finish(before)
            copy = performer.fork()
            with _timed(spent["perform"]):
                rows = copy.advance(CHUNK_FRAMES).values
            with _timed(spent["repair"]):
                repair(rows, ControlTrack(before))
            with _timed(spent["check"]):
                check(plan.controls, ControlTrack(before))
            with _timed(spent["retrieve"]):
                chosen = library.nearest(rows[0], category=label, count=CHOICE)[-1][0]
                texture(chosen, CHUNK_FRAMES, rows[0], rng)
            performer = draft.after
            before = np.concatenate([before, plan.controls.values])[-PAST_FRAMES:]
    return {step: spread(values) for step, values in spent.items()}


@dataclass(frozen=True, slots=True)
class Change:
    """What a new label does."""

    differs: Spread
    "Milliseconds until the first frame that is another at all."
    visible: Spread
    "Milliseconds until the first frame that can be seen to be another."
    call: Spread
    "Milliseconds of processor time that the command takes."
    frame: Spread
    "Milliseconds of processor time of each frame taken after it, planning ahead included."
    unseen: int
    "Changes that could not be seen within `WATCHED_FRAMES`."
    pairs: int


def label_change(told: Told) -> Change:
    """From every label to every other: when does it show, against the same face left alone?"""
    differs: list[int] = []
    visible: list[int] = []
    call: list[float] = []
    frame: list[float] = []
    unseen = 0
    for seed, (old, new) in enumerate(permutations(LABELS, 2)):
        told(f"{old} to {new}")
        left_alone, changed = (_session(old, seed) for _ in range(2))
        settled = 2 * FPS + 7 * seed % (2 * CHUNK_FRAMES)  # at any moment of a chunk
        left_alone.take(settled), changed.take(settled)
        with _timed(call):
            changed.behave(label=new)
        other = left_alone.take(WATCHED_FRAMES)[0].values
        shown = np.concatenate([_next(changed, frame) for _ in range(WATCHED_FRAMES)])
        differs.append(_first(np.abs(shown - other) > 1e-6))
        seen = _first(_visible(shown, other))
        visible += [seen] if seen <= WATCHED_FRAMES else []
        unseen += seen > WATCHED_FRAMES
    ms = 1000 / FPS
    return Change(
        spread([ms * n for n in differs]),
        spread([ms * n for n in visible]),
        spread(call),
        spread(frame),
        unseen,
        len(differs),
    )


@dataclass(frozen=True, slots=True)
class Soundness:
    """What the critic says of one label's chunks."""

    chunks: int
    passed: int
    "Chunks that play without a violation."
    raw: int
    "Chunks that had none before they were mended."
    rules: tuple[tuple[str, int], ...]
    "The rules most often broken before mending, and in how many chunks."


def soundness(minutes: float, told: Told) -> dict[str, Soundness]:
    """Plays ``minutes`` of every label, and of commands at random, past the critic."""
    chunks = max(1, round(minutes * 60 * FPS / CHUNK_FRAMES))
    found = {}
    for seed, label in enumerate(LABELS):
        told(f"playing {label}")
        found[label] = _sound(_session(label, seed), chunks, None)
    told(f"playing {AT_RANDOM}")
    found[AT_RANDOM] = _sound(_session("idle", 99), chunks * len(LABELS), np.random.default_rng(0))
    return found


def _sound(ahead: Lookahead, chunks: int, rng: np.random.Generator | None) -> Soundness:
    past: F32 = np.zeros((0, len(CHANNELS)), np.float32)
    passed = raw = 0
    broken: Counter[str] = Counter()
    for _ in range(chunks):
        played, rules = np.zeros_like(past[:0]), set()
        while len(played) < CHUNK_FRAMES:
            if rng is not None:
                _command(ahead, rng)
            frames = CHUNK_FRAMES if rng is None else int(rng.integers(1, CHUNK_FRAMES))
            rows = ahead.take(min(frames, CHUNK_FRAMES - len(played)))[0].values
            rules |= {violation.rule for violation in ahead.playing.repaired}
            played = np.concatenate([played, rows])
        broken.update(rules)
        raw += not rules
        passed += not check_played(ControlTrack(played), ControlTrack(past))
        past = np.concatenate([past, played])[-PAST_FRAMES:]
    return Soundness(chunks, passed, raw, tuple(broken.most_common(3)))


def _command(ahead: Lookahead, rng: np.random.Generator) -> None:
    match int(rng.integers(3)):
        case 0:
            ahead.behave(label=str(rng.choice(list(LABELS))))
        case 1:
            ahead.behave(instruction=str(rng.choice(INSTRUCTIONS)))
        case _:
            ahead.set_state(list(MANNERS)[int(rng.integers(len(MANNERS)))])


# --- inside ----------------------------------------------------------------------------------


def _session(label: str, seed: int) -> Lookahead:
    performer = Behaviour(seed, label=label, library=load_library())
    return Lookahead(performer, label=label, seed=seed)


def _next(ahead: Lookahead, spent: list[float]) -> F32:
    with _timed(spent):
        return ahead.take(1)[0].values


@contextmanager
def _timed(into: list[float]) -> Iterator[None]:
    start = time.thread_time()
    yield
    into.append(1e3 * (time.thread_time() - start))


def _visible(a: F32, b: F32) -> npt.NDArray[np.bool_]:
    limits = np.full(a.shape[1], VISIBLE_UNIT, np.float32)
    limits[POSE_SLICE] = VISIBLE_DEGREES
    seen: npt.NDArray[np.bool_] = np.abs(a - b) > limits
    return seen


def _first(marks: npt.NDArray[np.bool_]) -> int:
    """Frames until one is marked: 1 for the very next, one more than there are for none."""
    rows = np.flatnonzero(marks.any(axis=1))
    return int(rows[0]) + 1 if len(rows) else len(marks) + 1
