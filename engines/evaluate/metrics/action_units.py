"""AU-F1 and AU-Temp: do the right action units fire, and do they move as real ones do?

Both compare what was planned (or tracked in a rendered video) with what a real person did, as
intensities of facial units, float32 ``[T, U]`` in [0, 1]. Source: CogPortrait section 4.1,
equations 6 and 7. Thresholds, normaliser, target sets and the width of the warp are not in the
paper; the choices made here are written beside each and do not depend on any recording.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numba as nb
import numpy as np
import numpy.typing as npt

from core import CHANNEL, CHANNELS, F32, FPS
from engines.warp import kernel

AUS: Final[tuple[str, ...]] = CHANNELS[:10]
"The action units of AU-F1: the U of equation 6."
UNITS: Final[tuple[str, ...]] = (*AUS, "gaze_aside", "gaze_up", "gaze_down")
"""All units in the order of `intensities`. Which side somebody looks to says nothing about a
category, so both sides are one unit."""
UNIT: Final[Mapping[str, int]] = {name: i for i, name in enumerate(UNITS)}

ACTIVE: Final = 0.2
"""τ of brows, cheeks, lids that rise and gaze: one fifth of full, the least of the five FACS
intensities A-E, as OpenFace's 0-5 scale has them (free)."""
BLINKED: Final = 0.5
"τ of AU45: a lid that covers half the eye; less is a lid that follows the gaze (free)."
THRESHOLDS: Final[F32] = np.array(
    [BLINKED if name.startswith("AU45") else ACTIVE for name in UNITS], np.float32
)
"τ of equation 6, by unit."
THRESHOLDS.setflags(write=False)
BAND: Final = FPS
"""Frames by which two trajectories may be warped against each other (a band as in Sakoe & Chiba
1978, IEEE Trans ASSP 26(1)): a second, since a label does not say when things happen (free)."""

_BROWS: Final = ("AU1_L", "AU1_R", "AU2_L", "AU2_R")
_INNER: Final = ("AU1_L", "AU1_R")
_OUTER: Final = ("AU2_L", "AU2_R")
_LIDS: Final = ("AU45_L", "AU45_R")
TARGETS: Final[Mapping[str, tuple[str, ...]]] = {
    # What of the EMFACS prototypes (Ekman, Friesen & Hager 2002) lies in the eye region.
    "sadness": (*_INNER, "AU4", *_LIDS),  # 1 + 4; lids droop
    "fear": (*_BROWS, "AU4", "AU5", "AU7"),  # 1 + 2 + 4 + 5 (+ 7)
    "disgust": ("AU4", "AU6", "AU7"),  # 9 or 10 bring 4, 6 and 7 along
    "contempt": (*_OUTER, *_LIDS),  # 14 is the mouth's; one brow and lowered lids are left (free)
    "anger": ("AU4", "AU5", "AU7"),  # 4 + 5 + 7
    "surprise": (*_BROWS, "AU5"),  # 1 + 2 + 5
    "laughter": ("AU6", "AU7", *_LIDS),  # 6 + 12, eyes narrowed (Ruch & Ekman 2001)
    # No coded prototypes: what the categories are described by (free).
    "social_engagement": (*_BROWS, "AU6", *_LIDS),
    "cognitive_effort": ("AU4", "AU7", *_LIDS, "gaze_aside", "gaze_up"),
    "low_arousal_negative": (*_INNER, "AU4", *_LIDS, "gaze_down"),
    "evasive_response": (*_INNER, *_LIDS, "gaze_aside", "gaze_down"),
    "drowsiness": (*_BROWS, *_LIDS, "gaze_down"),
    # Nothing is meant: brows that rest or underline words, and blinks.
    "idle": (*_BROWS, *_LIDS),
    "speaking": (*_BROWS, "AU4", *_LIDS),
}
"S of equation 7: the units that make a category."


def intensities(values: F32) -> F32:
    """Rows of controls as intensities of `UNITS`.

    Args:
        values: float32 ``[T, 17]``, channels as in `core.CHANNELS`.

    Returns:
        float32 ``[T, 13]`` in [0, 1]; the head is left out.
    """
    if values.ndim != 2 or values.shape[1] != len(CHANNELS):
        raise ValueError(f"values: expected [T, {len(CHANNELS)}], got {list(values.shape)}")
    out = np.empty((len(values), len(UNITS)), np.float32)
    out[:, : len(AUS)] = values[:, : len(AUS)]
    left, right = CHANNEL["gaze_left"], CHANNEL["gaze_right"]
    out[:, UNIT["gaze_aside"]] = np.maximum(values[:, left], values[:, right])
    out[:, UNIT["gaze_up"]] = values[:, CHANNEL["gaze_up"]]
    out[:, UNIT["gaze_down"]] = values[:, CHANNEL["gaze_down"]]
    return np.clip(out, 0, 1)


def targets(category: str) -> list[int]:
    """Columns of the target units of ``category``."""
    return [UNIT[name] for name in TARGETS[category]]


def activations(units: F32, thresholds: F32) -> npt.NDArray[np.bool_]:
    """Which units fire at all: bool ``[U]``, max over time of float32 ``[T, U]`` above τ."""
    fires: npt.NDArray[np.bool_] = units.max(axis=0, initial=0.0) > thresholds
    return fires


def au_f1(planned: F32, real: F32, thresholds: F32) -> float:
    """AU-F1 of equation 6: harmonic mean of precision and recall over the units that fire.

    Where neither side shows any unit they agree, and the value is 1.

    Args:
        planned: float32 ``[T, U]``.
        real: float32 ``[T', U]``.
        thresholds: float32 ``[U]``, τ.

    Returns:
        A value in [0, 1].
    """
    _same_units(planned, real)
    mine, theirs = activations(planned, thresholds), activations(real, thresholds)
    fired = int(mine.sum()) + int(theirs.sum())
    # 2PR / (P + R) with P = both / mine and R = both / theirs.
    return 2 * int((mine & theirs).sum()) / fired if fired else 1.0


def au_temp(planned: F32, real: F32, target: Sequence[int], *, band: int = BAND) -> float:
    """AU-Temp of equation 7: one less the mean warped distance of the target units.

    Z is the longer length in frames: what the distance would be were one side at rest and the
    other at its utmost throughout, so that the value lies in [0, 1].

    Args:
        planned: float32 ``[T, U]`` in [0, 1], T >= 1.
        real: float32 ``[T', U]`` in [0, 1], T' >= 1.
        target: Columns of the target units S, at least one.
        band: As in `dtw`.
    """
    _same_units(planned, real)
    if not target:
        raise ValueError("target: AU-Temp needs at least one unit")
    columns = list(target)
    distance = dtw(planned[:, columns], real[:, columns], band=band)
    return float(1 - distance.mean() / max(len(planned), len(real)))


def shape(units: F32, thresholds: F32) -> F32:
    """Trajectories on the scale of their own peaks: what moves when, however strongly.

    Not in the paper. A tracker's scale and a control's are not the same, and the distance of
    equation 7 is mostly that difference; here it is divided out. A unit that never fires is
    divided by τ.

    Args:
        units: float32 ``[T, U]`` in [0, 1], T >= 1.
        thresholds: float32 ``[U]``, τ.
    """
    scaled: F32 = units / np.maximum(units.max(axis=0), thresholds)
    return scaled


def dtw(a: F32, b: F32, *, band: int = BAND) -> F32:
    """Dynamic time warping distance of each column: the least sum of |a(i) - b(j)| over all paths.

    A path goes from both beginnings to both ends by steps of (1, 0), (0, 1) and (1, 1), all of
    the same weight, and strays from the diagonal by ``band`` frames at most (or by the
    difference in length, where that is more).

    Args:
        a: float32 ``[T, U]``, T >= 1.
        b: float32 ``[T', U]``, T' >= 1.
        band: Frames, at least 0; 0 compares frame by frame.

    Returns:
        float32 ``[U]``.
    """
    _same_units(a, b)
    if not len(a) or not len(b):
        raise ValueError(f"dtw: nothing to compare in {len(a)} and {len(b)} frames")
    if band < 0:
        raise ValueError(f"band: expected at least 0 frames, got {band}")
    width = max(band, abs(len(a) - len(b)))
    out = np.empty(a.shape[1], np.float32)
    rows = [np.ascontiguousarray(x.T, np.float32) for x in (a, b)]
    _warp(rows[0], rows[1], width, np.empty((2, len(b) + 1), np.float32), out)
    return out


_FAR: Final = np.float32(1e30)
"Beyond any distance, and still finite: the kernels are compiled without infinities."


@kernel(
    nb.void(nb.float32[:, ::1], nb.float32[:, ::1], nb.int64, nb.float32[:, ::1], nb.float32[::1])
)
def _warp(a: Any, b: Any, width: Any, rows: Any, out: Any) -> None:
    """``a`` ``[U, N]`` against ``b`` ``[U, M]`` into ``out`` ``[U]``; ``rows`` ``[2, M + 1]``."""
    n, m = a.shape[1], b.shape[1]
    for unit in range(len(a)):
        rows[:] = _FAR
        rows[0, 0] = 0
        for i in range(1, n + 1):
            last, here = rows[(i - 1) & 1], rows[i & 1]
            first, end = max(1, i - width), min(m, i + width)
            here[first - 1] = _FAR
            for j in range(first, end + 1):
                least = min(last[j], here[j - 1], last[j - 1])
                here[j] = least + abs(a[unit, i - 1] - b[unit, j - 1])
            if end < m:
                here[end + 1] = _FAR
        out[unit] = rows[n & 1, m]


def _same_units(a: F32, b: F32) -> None:
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"expected [T, U] twice, got {list(a.shape)} and {list(b.shape)}")
