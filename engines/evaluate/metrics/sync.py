"""Do the lips follow the sound? Correlation and lag of a seen mouth against a heard one.

The heard mouth is this project's own: the opening that its audio encoder gives to the sound. That
is no SyncNet: it judges how far and when a mouth opens, not which sound it forms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from core import F32, FPS, MESH_POINTS, SAMPLE_RATE, SAMPLES_PER_FRAME, InvalidInput
from engines.evaluate.metrics.eyes import EYE_CORNERS

F64: TypeAlias = npt.NDArray[np.float64]
Openings: TypeAlias = npt.NDArray[Any]
"Of either float."

LIPS: Final = (13, 14)
"Middle of the inner edge of the upper and lower lip."
MAX_SHIFT: Final = 10
"Frames: lags are looked for within ± 400 ms."
CLEAR: Final = 0.3
"A lag means something where the best correlation is at least this."
ROLLS: Final = 6
"Parts the clip is cut into for the chance level: the mouth is moved by one of them, two, …"
SHORTEST: Final = 2.0
"Seconds of face and sound that a correlation needs."
STILL: Final = 0.004
"Lips whose opening has a smaller standard deviation (0.4 mm) do not speak."
SILENT_DBFS: Final = -60.0
ROWS_PER_FRAME: Final = 2
"Rows of 20 ms that a listener gives for a video frame."


class Mouths(Protocol):
    """What a listener made of a recording."""

    @property
    def mouth(self) -> F32:
        """float32 ``[T, 9]``, a row every 20 ms, columns as `core.MOUTH_CHANNELS`."""


@dataclass(frozen=True, slots=True)
class Match:
    """How one curve follows another."""

    r: float
    "Pearson's, without any shift."
    best: float
    "At the best shift."
    late: float
    "That shift, frames: positive where the first curve is late."
    chance: float
    "Mean of the best where the first curve is another part of itself."


@dataclass(frozen=True, slots=True)
class Sync:
    """How lips follow the sound."""

    r: float
    "Pearson's, without any shift."
    best: float
    "At the best lag within ± 400 ms."
    lag_ms: float
    "Positive where the lips are late; NaN where the best correlation is not `CLEAR`."
    chance: float
    """What ``best`` is when the heard mouth is that of another part of the clip. The best of many
    shifts is never 0: subtract it before calling a small correlation one."""


def mouth_sync(heard: F32, seen: F32) -> Sync:
    """Correlation and lag of seen lips against the mouth heard in the sound.

    The idea is that of SyncNet's offset (Chung & Zisserman 2016, ACCV workshops): slide one
    against the other and see where they agree best; the features are openings.

    Args:
        heard: float32 ``[T]`` at 25 a second, as `heard_mouth` gives it.
        seen: float32 ``[T']``, as `lips_of` gives it; NaN is unseen. The longer one is cut.

    Raises:
        InvalidInput: Too little in common, or one of them does not move; the message says which.
    """
    count = min(len(heard), len(seen))
    heard, seen = heard[:count], seen[:count]
    known = np.isfinite(seen)
    seconds = int(known.sum()) / FPS
    if seconds < SHORTEST:
        raise InvalidInput(f"face and sound are together for {seconds:.1f} s only")
    if float(np.std(seen[known])) < STILL:
        raise InvalidInput("its lips do not move")
    if float(np.std(heard)) < 1e-6:
        raise InvalidInput("no mouth moves in its sound")
    match = follow(heard, seen)
    lag = -1000 / FPS * match.late if match.best >= CLEAR else float("nan")
    return Sync(match.r, match.best, lag, match.chance)


def lips_of(mesh: F32) -> F32:
    """How far the inner lips are apart, in distances of the outer eye corners, float32 ``[T]``.

    Both are measured in three dimensions, so that turning the head changes neither.

    Args:
        mesh: float32 ``[T, 478, 3]``; rows of NaN give NaN.
    """
    if mesh.shape[1:] != (MESH_POINTS, 3):
        raise ValueError(f"mesh: expected [T, {MESH_POINTS}, 3], got {list(mesh.shape)}")
    upper, lower, right, left = (mesh[:, i] for i in (*LIPS, *EYE_CORNERS))
    width = np.maximum(np.linalg.norm(left - right, axis=1), 1e-6)
    return np.asarray(np.linalg.norm(lower - upper, axis=1) / width, np.float32)


def heard_mouth(samples: F32, listener: Callable[[F32], Mouths] | None = None) -> F32:
    """Opening of the mouth that is heard in a sound, in half mouth widths, float32 ``[T]``.

    Args:
        samples: float32 ``[N]`` at 16 kHz; row t is of the video frame t, at 25 a second.
        listener: What hears it; None for the encoder that ships, over the whole recording.

    Raises:
        InvalidInput: The sound is silent.
        Unavailable: The encoder can not be loaded.
    """
    # Imported here: they open an ONNX session, and the other metrics do not need one.
    from engines.audio.evidence.contacts import lip_gap
    from engines.audio.evidence.listeners import open_listener

    check_loud(samples)
    hear = open_listener("trained") if listener is None else listener
    return frames_of(lip_gap(hear(samples).mouth))[: len(samples) // SAMPLES_PER_FRAME]


def check_loud(samples: F32) -> None:
    """Refuse silence.

    Raises:
        InvalidInput: The mean power is below `SILENT_DBFS`, or there is less than a frame.
    """
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    if len(samples) < SAMPLE_RATE // FPS or 10 * np.log10(power + 1e-12) < SILENT_DBFS:
        raise InvalidInput("its sound is silent")


def frames_of(rows: F32) -> F32:
    """Rows of 20 ms as video frames of 40 ms, means of two, float32 ``[T, …]`` → ``[T / 2, …]``."""
    whole = len(rows) // ROWS_PER_FRAME * ROWS_PER_FRAME
    paired = rows[:whole].reshape(-1, ROWS_PER_FRAME, *rows.shape[1:])
    frames: F32 = paired.mean(axis=1, dtype=np.float32)
    return frames


def follow(curve: Openings, fixed: Openings, max_shift: int = MAX_SHIFT) -> Match:
    """Correlation of two curves by shift, its peak refined by a parabola, and what chance gives.

    Args:
        curve: ``[T]``, finite; it is this one that is moved about for the chance level.
        fixed: ``[T']``, NaN where unknown.
        max_shift: Frames.
    """
    by_shift = _by_shift(curve, fixed, max_shift)
    peak = int(by_shift.argmax())
    best, at = float(by_shift[peak]), float(peak)
    if 0 < peak < len(by_shift) - 1:
        low, high = by_shift[peak - 1], by_shift[peak + 1]
        bend = low - 2 * best + high
        at += 0.5 * float((low - high) / bend) if bend < 0 else 0.0
    rolled = [np.roll(curve, len(curve) * part // ROLLS) for part in range(1, ROLLS)]
    chance = float(np.mean([_by_shift(other, fixed, max_shift).max() for other in rolled]))
    return Match(float(by_shift[max_shift]), best, at - max_shift, chance)


def _by_shift(curve: Openings, fixed: Openings, max_shift: int) -> F64:
    shifts = range(-max_shift, max_shift + 1)
    return np.array([_correlation(curve, fixed, shift) for shift in shifts])


def _correlation(curve: Openings, fixed: Openings, shift: int) -> float:
    """Pearson's of ``curve[k]`` and ``fixed[k - shift]``; 0 where one of them is constant."""
    count = min(len(curve), len(fixed))
    a = curve[max(shift, 0) : count + min(shift, 0)].astype(np.float64)
    b = fixed[max(-shift, 0) : count - max(shift, 0)].astype(np.float64)
    both = np.isfinite(b)
    a, b = a[both], b[both]
    if len(a) < 3 or a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
