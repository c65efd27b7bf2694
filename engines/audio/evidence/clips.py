"""Real talking faces: how well a heard mouth follows the lips of clips with sound.

A frame stands for the time it is shown, in the clip as in what we draw: the middle of that time is
where its value is put.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np
from av.error import FFmpegError

from core import F32, FPS, InvalidInput
from engines.audio.evidence.contacts import lip_gap
from engines.audio.evidence.lip_tracking import F64, Lips
from engines.audio.evidence.listeners import Listener
from engines.audio.sources.sound import read_sound
from engines.evaluate.metrics.sync import (
    CLEAR,
    SHORTEST,
    STILL,
    check_loud,
    follow,
    frames_of,
)

GAP: Final = 0.15
"Seconds between tracked frames that may be bridged."
DRAWS: Final = 2000
TALK: Final = re.compile(r"\b(talk|talking|address|lecture|politician|interview)\b", re.I)
MADE: Final = re.compile(r"\bAI\b|AI-")


@dataclass(frozen=True, slots=True)
class Clip:
    """A line of the clips' index."""

    path: Path
    name: str
    talking: bool
    "By the index's description: somebody is said to talk. Others sing, laugh or pull faces."
    made: bool
    "The motion is a generator's, not a person's."


@dataclass(frozen=True, slots=True)
class Agreement:
    """How a heard mouth follows the lips of one clip."""

    clip: Clip
    seconds: float
    "Face and sound together."
    correlation: float
    "Pearson's, without any shift."
    best: float
    "At the best lag."
    lag: float
    "ms, positive where the heard mouth is late; NaN where the best correlation is not `CLEAR`."
    chance: float
    "What `best` is when the heard mouth is that of another part of the clip: to be subtracted."


def read_index(folder: Path) -> list[Clip]:
    """The clips with sound of a folder with ``index.csv``, in its order.

    Raises:
        InvalidInput: No index, or not one of clips.
    """
    try:
        with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [
            Clip(
                folder / row["file"],
                row["file"],
                bool(TALK.search(shown)),
                bool(MADE.search(shown)),
            )
            for row in rows
            if row["audio"] == "yes"
            for shown in [row["what_it_shows"]]
        ]
    except (OSError, KeyError, csv.Error) as error:
        raise InvalidInput(
            f"{folder} has no index of clips ({error}): a CSV file index.csv with the columns "
            "file, audio (yes or no) and what_it_shows."
        ) from error


def compare(listener: Listener, clip: Clip, lips: Lips) -> Agreement:
    """Hear a clip and hold the mouth against its lips.

    Raises:
        InvalidInput: No sound, silence, still lips, or too little of both together.
    """
    sound = read_sound(clip.path)
    check_loud(sound)
    heard = frames_of(lip_gap(listener(sound).mouth))
    times = _sound_start(clip.path) + (np.arange(len(heard)) + 0.5) / FPS
    return agreement(clip, heard, seen_at(lips, times))


def seen_at(lips: Lips, times: F64) -> F64:
    """The opening at any times, NaN where no frame with a face is near."""
    seen = np.isfinite(lips.opening)
    at, value = lips.times[seen], lips.opening[seen]
    if len(at) < 2:
        return np.full(len(times), np.nan)
    after = np.clip(np.searchsorted(at, times), 1, len(at) - 1)
    near = (at[after] - at[after - 1] <= GAP) & (times >= at[0]) & (times <= at[-1])
    return np.where(near, np.interp(times, at, value), np.nan)


def agreement(clip: Clip, heard: F32, seen: F64) -> Agreement:
    """Correlation and lag of two openings at 25 Hz, ``seen`` NaN where unknown.

    The lag is refined between frames by a parabola through the peak and its neighbours.

    Raises:
        InvalidInput: Too little in common, or one of them does not move.
    """
    known = np.isfinite(seen)
    seconds = int(known.sum()) / FPS
    if seconds < SHORTEST:
        raise InvalidInput(f"face and sound are together for {seconds:.1f} s only")
    if float(np.nanstd(seen)) < STILL:
        raise InvalidInput("its lips do not move")
    match = follow(heard, seen)
    lag = 1000 / FPS * match.late if match.best >= CLEAR else float("nan")
    return Agreement(clip, seconds, match.r, match.best, lag, match.chance)


def _sound_start(path: Path) -> float:
    """When the sound of a clip begins on its clock, seconds."""
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(audio=0):
                return float(frame.time or 0.0)
    except (FFmpegError, OSError) as error:
        raise InvalidInput(f"its sound can not be decoded: {error}") from error
    return 0.0


def median_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """The median of what is not NaN, and the middle 95 % of bootstrap draws of it; NaN of none.

    Source: Efron & Tibshirani, "An Introduction to the Bootstrap", 1993 (percentile interval).
    """
    known = np.array([v for v in values if np.isfinite(v)])
    if not len(known):
        return float("nan"), float("nan"), float("nan")
    drawn = np.random.default_rng(seed).choice(known, (DRAWS, len(known)))
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return float(np.median(known)), float(low), float(high)
