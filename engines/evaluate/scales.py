"""What counts as full: a tracker's action units brought to shares of what people do.

A tracker's scores use little of their range, and of each unit another part: MediaPipe's widened
eyes hardly pass 0.1 where its blinks reach 0.7. One threshold for all of them means nothing
before they are divided by what people reach in the same tracker's eyes. These divisors belong to
a run: they come from its truth clips, are written into its facts, and hold for all its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from core import AU_SLICE, CHANNELS, F32, POSE_SLICE

FULL: Final = 95.0
"Percentile over all truth frames that counts as full (free)."
FULL_LID: Final = 99.0
"""The same for AU45: lids are shut for a few per cent of the time, so that the 95th percentile
lies on the flank of a blink, and the more so the less people blink (free)."""
FLOOR: Final = 0.1
"""No unit counts as full below this. What nobody in a run does would otherwise be blown up from
the tracker's drift: a quiet second spans up to 0.07 of the face landmarker's scale (free)."""
DEAD: Final = 0.01
"A unit that never gets here in a whole run is not measured by this tracker (free)."

_UNITS: Final = tuple(name.split("_")[0] for name in CHANNELS[AU_SLICE])
"The unit of every AU channel: left and right share one scale."

THRESHOLDS: Final[F32] = np.array(
    [{"AU6": 0.5, "AU7": 0.6, "AU45": 0.5}.get(unit, 0.4) for unit in _UNITS], np.float32
)
"""τ of equation 6 for tracked faces, float32 ``[10]``, in shares as `normalise` gives them (free).

Chosen so that a unit fires in about a third to two thirds of what people do (0.35, AU5, to 0.67,
AU7, of 135 three-second pieces of 82 clips seen by the face landmarker), and does not fire in a
median second of a quiet face, which spans 0.21 at most; noise between frames is 0.02. AU45 fires
where a lid covers half the eye. AU-F1 between two pieces of one clip is then 0.77, between people
in the same mood 0.57, by chance 0.49 and in different moods 0.41. What people plan needs no such
care: `engines.evaluate.metrics.action_units.THRESHOLDS` are for controls.
"""
THRESHOLDS.setflags(write=False)


def scales_of(truths: Sequence[F32]) -> dict[str, float]:
    """What counts as full for every action unit that the extractor measures.

    Args:
        truths: float32 ``[T, 17]`` each: controls seen in truth clips against their neutrals
            (`engines.evaluate.track.as_controls`); rows of NaN are frames without a face.

    Returns:
        By unit (AU1, AU2, …, both sides together): a percentile over all frames (`FULL`), at
        least `FLOOR`. A unit that is not measured is missing.
    """
    rows = np.concatenate([np.zeros((0, len(CHANNELS)), np.float32), *truths])[:, AU_SLICE]
    out = {}
    for unit in dict.fromkeys(_UNITS):
        values = rows[:, [name == unit for name in _UNITS]]
        values = values[np.isfinite(values)]
        if values.size and values.max() > DEAD:
            full = np.percentile(values, FULL_LID if unit == "AU45" else FULL)
            out[unit] = round(max(float(full), FLOOR), 4)
    return out


def normalise(controls: F32, scales: Mapping[str, float]) -> F32:
    """Controls with action units as shares of full, clipped to [0, 1].

    Gaze is in shares of degrees already and is only clipped; the head stays as it is. Columns of
    units without a scale become NaN: nobody measured them.

    Args:
        controls: float32 ``[T, 17]``, rows of NaN where no face was seen.
        scales: As `scales_of` gives them.

    Returns:
        float32 ``[T, 17]``.
    """
    divisor = np.array([scales.get(unit, np.nan) for unit in _UNITS], np.float32)
    out = np.array(controls, np.float32)
    out[:, AU_SLICE] /= divisor
    bounded = slice(0, POSE_SLICE.start)
    out[:, bounded] = np.clip(out[:, bounded], 0, 1)
    return out


def measurable(scales: Mapping[str, float]) -> list[int]:
    """Columns of `core.CHANNELS` whose action unit has a scale: the U of equation 6."""
    return [i for i, unit in enumerate(_UNITS) if unit in scales]
