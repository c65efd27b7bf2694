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
from engines.audio.evidence.listeners import TOKENS_PER_FRAME, Listener
from engines.audio.sources.sound import read_sound

GAP: Final = 0.15
"Seconds between tracked frames that may be bridged."
SHORTEST: Final = 2.0
"Seconds of face and sound that a correlation needs."
STILL: Final = 0.004
"Lips whose opening has a smaller standard deviation (0.4 mm) do not speak."
SILENT_DBFS: Final = -60.0
MAX_SHIFT: Final = 10
"Frames: lags are looked for within ± 400 ms."
CLEAR: Final = 0.3
"A lag means something where the best correlation is at least this."
ROLLS: Final = 6
"Parts the clip is cut into for `Agreement.chance`: the mouth is moved by one of them, two, …"
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
    power = float(np.mean(np.square(sound, dtype=np.float64))) if len(sound) else 0.0
    if 10 * np.log10(power + 1e-12) < SILENT_DBFS:
        raise InvalidInput("its sound is silent")
    heard = frames_of(lip_gap(listener(sound).mouth))
    times = _sound_start(clip.path) + (np.arange(len(heard)) + 0.5) / FPS
    return agreement(clip, heard, seen_at(lips, times))


def frames_of(rows: F32) -> F32:
    """Rows of 20 ms as video frames of 40 ms, means of two, float32 ``[T, …]`` → ``[T / 2, …]``."""
    whole = len(rows) // TOKENS_PER_FRAME * TOKENS_PER_FRAME
    paired = rows[:whole].reshape(-1, TOKENS_PER_FRAME, *rows.shape[1:])
    frames: F32 = paired.mean(axis=1, dtype=np.float32)
    return frames


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
    by_shift = _by_shift(heard, seen)
    peak = int(by_shift.argmax())
    best = float(by_shift[peak])
    at = float(peak)
    if 0 < peak < len(by_shift) - 1:
        low, high = by_shift[peak - 1], by_shift[peak + 1]
        bend = low - 2 * best + high
        at += 0.5 * float((low - high) / bend) if bend < 0 else 0.0
    lag = 1000 / FPS * (at - MAX_SHIFT) if best >= CLEAR else float("nan")
    rolled = [np.roll(heard, len(heard) * part // ROLLS) for part in range(1, ROLLS)]
    chance = float(np.mean([_by_shift(other, seen).max() for other in rolled]))
    return Agreement(clip, seconds, float(by_shift[MAX_SHIFT]), best, lag, chance)


def _by_shift(heard: F32, seen: F64) -> F64:
    shifts = range(-MAX_SHIFT, MAX_SHIFT + 1)
    return np.array([_correlation(heard, seen, shift) for shift in shifts])


def _correlation(heard: F32, seen: F64, shift: int) -> float:
    """Pearson's of ``heard[k]`` and ``seen[k - shift]``; 0 where one of them is constant."""
    count = min(len(heard), len(seen))
    a = heard[max(shift, 0) : count + min(shift, 0)].astype(np.float64)
    b = seen[max(-shift, 0) : count - max(shift, 0)]
    both = np.isfinite(b)
    a, b = a[both], b[both]
    if len(a) < 3 or a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


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
