"""What a person looks like at rest, from one clip of them."""

from __future__ import annotations

from typing import Final

import numpy as np

from core import AU_SLICE, CHANNEL, FPS, InvalidInput
from engines.evaluate.extract.angles import F64
from engines.evaluate.track import Bools, FaceTrack, Neutral

RESTING: Final = 25.0
"Percentile of an action unit over calm frames that counts as rest (as docs/library.md has it)."
CALM: Final = 60.0
"Per cent of the frames, the stillest ones, that count as calm."
SPAN: Final = FPS // 5
"Frames over which stillness is judged."
FEWEST: Final = 8
"Calm frames with open eyes that are needed before anything is left out."
BLINK_SHARE: Final = 0.4
"Closer to the clip's most closed than this share of the way is a blink, and no rest."
TURN_DEGREES: Final = 10.0
"Degrees of head motion that count like an action unit going all the way, for stillness."


def neutral_of(track: FaceTrack) -> Neutral:
    """A person at rest: a low percentile of each action unit, median of gaze and head.

    Only calm frames count, blinks aside; the whole clip does where too few are left.

    Args:
        track: Of one person, a second or more.

    Raises:
        InvalidInput: No face was seen in any frame.
    """
    if not track.seen.any():
        raise InvalidInput("no face was seen in any frame")
    seen = np.flatnonzero(track.seen)
    aus = track.aus[seen].astype(np.float64)
    pose = track.pose[seen].astype(np.float64)
    rest = _calm(aus, pose) & ~_shut(aus)
    if rest.sum() < FEWEST:
        rest = ~_shut(aus)
    if rest.sum() < FEWEST:
        rest = np.ones(len(seen), bool)
    return Neutral(
        np.percentile(aus[rest], RESTING, axis=0).astype(np.float32),
        np.median(track.gaze[seen][rest], axis=0).astype(np.float32),
        np.median(pose[rest], axis=0).astype(np.float32),
    )


def _calm(aus: F64, pose: F64) -> Bools:
    """The stillest frames: those around which units and head change least."""
    if len(aus) < 3:
        return np.ones(len(aus), bool)
    spread = np.maximum(np.ptp(aus, axis=0), 1e-3)  # a unit that hardly moves is noise
    lids = [CHANNEL["AU45_L"], CHANNEL["AU45_R"]]
    units = np.delete(np.abs(np.gradient(aus, axis=0)) / np.maximum(spread, 0.05), lids, axis=1)
    head = np.abs(np.gradient(pose, axis=0)) / TURN_DEGREES
    motion = units.mean(axis=1) + head.mean(axis=1)
    window = np.ones(SPAN) / SPAN
    smooth = np.convolve(np.pad(motion, SPAN // 2, mode="edge"), window, "valid")[: len(motion)]
    calm: Bools = smooth <= np.percentile(smooth, CALM)
    return calm


def _shut(aus: F64) -> Bools:
    """Frames in which lids are on their way down or up again."""
    lids = aus[:, AU_SLICE][:, [CHANNEL["AU45_L"], CHANNEL["AU45_R"]]].max(axis=1)
    low, high = np.percentile(lids, (RESTING, 99))
    if high - low < 0.1:  # nobody blinks
        return np.zeros(len(lids), bool)
    shut: Bools = lids > low + BLINK_SHARE * (high - low)
    return shut
