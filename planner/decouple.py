"""From raw channels to controls: neutral off, lids freed of gaze, 25 frames a second.

The steps of CogPortrait section 3.2: residuals against the person's own neutral, and gaze, lids
and head recovered apart from each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from core import CHANNEL, FPS, GAZE_DEGREES, POSE_SLICE, ControlTrack
from planner import physiology as ph
from planner.formats import AUS, GAZE, LID_TRAVEL, POSE, RAW_WIDTH, Raw
from planner.motion import F64

Mask: TypeAlias = npt.NDArray[np.bool_]
LIDS: Final = slice(CHANNEL["AU45_L"], CHANNEL["AU45_R"] + 1)
FOLLOWERS: Final = [CHANNEL["AU45_L"], CHANNEL["AU45_R"], CHANNEL["AU7"]]
"Channels that follow the eyes down."
NEUTRAL_PERCENTILE: Final = 25.0
"""Of calm frames: at rest an action unit is near the bottom of what a talking face shows (free)."""
OPEN_PERCENTILE: Final = 20.0
"Of the raw lid channel in calm recordings: eyes open (free)."
STILL_SHARE: Final = 0.6
"Share of the frames, the stillest, from which a neutral is taken."
TOP_PERCENTILE: Final = 99.5
"Of the raw lid channel: a person's own full blink, where it is fuller than `LID_TRAVEL`."
BEGUN: Final = 0.25
"Closure from which a lid that is back within `BLINK_SECONDS` has blinked."
BLINK_SECONDS: Final = 0.5
"Longer ones are drooping or lowered lids (Caffier et al. 2003, Eur J Appl Physiol 89(3-4))."
COVERED: Final = 0.75
"Closure from which no tracker sees the iris, however long it lasts (free)."
COVERED_SECONDS: Final = 0.06
"What is doubted on either side."
LID_FOLLOWS: Final = 0.02
"""Most raw closure a degree of downward gaze may explain: the upper lid follows the eye almost one
to one (Becker & Fuchs 1988, J Neurophysiol 60(4)), which is 30 deg for the whole lid."""
LEAST_LOOKING: Final = 2.0
"Standard deviation of downward gaze, degrees, from which its hold on the lids can be learnt."
LANCZOS: Final = 3
"Lobes of the resampling kernel."
FLOOR: Final = 0.03
"Closure below which a lid is at rest: tracker noise (free)."


@dataclass(frozen=True, slots=True, eq=False)
class Neutral:
    """A person at rest, as one tracker sees them."""

    values: F64
    "float64 ``[15]``."
    lid_travel: F64
    "float64 ``[2]``: raw closure from open to closed, left and right."
    follows: F64
    "float64 ``[3]``: what a degree of downward gaze adds to the raw left lid, right lid and AU7."


def neutral_of(calm: Sequence[Raw], everything: Sequence[Raw]) -> Neutral:
    """The neutral of a person.

    Args:
        calm: Recordings in which nothing is acted; their stillest frames count.
        everything: All recordings of the person: who blinks how fully.
    """
    calm = calm or everything
    rest = np.concatenate([raw.values for raw in calm])
    still = np.concatenate([_stillest(raw) for raw in calm])
    straight = np.median(rest, axis=0)
    open_ = np.percentile(rest[:, LIDS], OPEN_PERCENTILE, axis=0)
    fullest = np.percentile(
        np.concatenate([raw.values[:, LIDS] for raw in everything]), TOP_PERCENTILE, axis=0
    )
    travel = np.maximum(fullest - open_, LID_TRAVEL[everything[0].kind])
    seen = ~np.concatenate([np.any(_blinking(raw, open_, travel), axis=0) for raw in calm])
    down = np.maximum(rest[:, 11] - straight[11], 0)
    follows = np.array([_slope(down[seen], rest[seen, column]) for column in FOLLOWERS])
    values = np.percentile(still, NEUTRAL_PERCENTILE, axis=0)
    values[GAZE.start :] = straight[GAZE.start :]
    freed = rest[:, FOLLOWERS] - down[:, None] * follows
    values[LIDS] = np.percentile(freed[:, :2], OPEN_PERCENTILE, axis=0)
    return Neutral(values, travel, follows)


def residual(raw: Raw, neutral: Neutral, *, own_pose: bool) -> F64:
    """``raw`` against the neutral, gaze, lids and head apart, at its own rate.

    Args:
        raw: One recording.
        neutral: The person's, from the same tracker.
        own_pose: Take gaze and head against the middle of this recording, since the camera may
            have stood elsewhere in the others.

    Returns:
        float64 ``[N, 15]``: action units (about 0-1, not clipped), gaze and pose in degrees.
    """
    v = raw.values - neutral.values
    if own_pose:
        v[:, GAZE.start :] = raw.values[:, GAZE.start :]
        v[:, GAZE.start :] -= np.median(raw.values[:, GAZE.start :], axis=0)
    if raw.kind == "liveportrait":  # one height for the brows: what is below rest is AU4
        v[:, CHANNEL["AU4"]] = np.maximum(-v[:, 0], 0)
    blinking, covered = _blinking(raw, neutral.values[LIDS], neutral.lid_travel)
    _bridge(v, blinking | covered, range(GAZE.start, GAZE.stop))
    # Trackers see a squint in every blink: what the lids do for a moment is theirs alone.
    _bridge(v, blinking, (CHANNEL["AU5"], CHANNEL["AU6"], CHANNEL["AU7"]))
    v[:, FOLLOWERS] -= np.maximum(v[:, 11], 0)[:, None] * neutral.follows
    closure = v[:, LIDS] / neutral.lid_travel
    v[:, :AUS] /= np.maximum(1 - neutral.values[:AUS], 0.3)
    v[:, LIDS] = np.where(closure < FLOOR, 0.0, (closure - FLOOR) / (1 - FLOOR))
    return v


def resample(time: F64, values: F64) -> F64:
    """Raw channels at 25 frames a second, float64 ``[T, 15]``.

    Brows, cheeks and head go through a Lanczos kernel that is as wide as the slower of the two
    rates asks for; gaze is interpolated, which keeps saccades steep; a blink's top is moved to
    the nearest frame, so that the 40 ms grid can not step over it.
    """
    frames = max(int(np.floor(time[-1] * FPS + 1e-6)) + 1, 1)
    at = np.arange(frames) / FPS
    out = np.empty((frames, RAW_WIDTH))
    native = (len(time) - 1) / time[-1]
    width = LANCZOS / min(native, FPS)
    smooth = np.r_[0 : LIDS.start, POSE]
    spacing = np.gradient(time)
    for k, t in enumerate(at):
        a, b = np.searchsorted(time, (t - width, t + width))
        x = (time[a:b] - t) / width
        weights = np.sinc(LANCZOS * x) * np.sinc(x) * spacing[a:b]
        out[k, smooth] = weights @ values[a:b, smooth] / weights.sum()
    for column in np.r_[LIDS, GAZE]:
        out[:, column] = np.interp(at, time, values[:, column])
    for column in range(LIDS.start, LIDS.stop):
        lid = values[:, column]
        tops = np.flatnonzero((lid[1:-1] >= lid[:-2]) & (lid[1:-1] > lid[2:])) + 1
        for i in tops[lid[tops] > 0.2]:
            nearest = min(round(time[i] * FPS), frames - 1)
            out[nearest, column] = max(out[nearest, column], lid[i])
    return out


def as_track(v: F64) -> ControlTrack:
    """Raw channels, float64 ``[T, 15]`` at 25 fps, as a track within the limits of each channel."""
    side, up, low = GAZE_DEGREES
    out = np.zeros((len(v), POSE_SLICE.stop), np.float32)
    out[:, :AUS] = v[:, :AUS]
    out[:, 10], out[:, 11] = v[:, 10] / side, -v[:, 10] / side
    out[:, 12], out[:, 13] = -v[:, 11] / up, v[:, 11] / low
    np.clip(out[:, : POSE_SLICE.start], 0, 1, out=out[:, : POSE_SLICE.start])
    limits = np.array(ph.POSE_LIMITS)
    out[:, POSE_SLICE] = np.clip(v[:, POSE], -limits, limits)
    return ControlTrack(out)


# --- inside ----------------------------------------------------------------------------------


def _stillest(raw: Raw) -> F64:
    """Frames in which the face moves least, blinks aside."""
    v = raw.values
    speed = np.abs(np.gradient(v, raw.time, axis=0))
    scale = np.percentile(speed, 75, axis=0) + 1e-9
    activity = (speed / scale)[:, np.r_[0 : LIDS.start, POSE]].mean(axis=1)
    still: F64 = v[activity <= np.quantile(activity, STILL_SHARE)]
    return still


def _slope(x: F64, y: F64) -> float:
    """Least squares slope of a raw channel over downward gaze, within what lids do."""
    if len(x) < 10 or x.std() < LEAST_LOOKING:
        return 0.0
    slope = float(np.mean((x - x.mean()) * (y - y.mean())) / x.var())
    return min(max(slope, 0.0), LID_FOLLOWS)


def _blinking(raw: Raw, open_: F64, travel: F64) -> tuple[Mask, Mask]:
    """Frames of ``raw`` in which a lid covers the eye for a moment, and in which it does wholly."""
    closure = ((raw.values[:, LIDS] - open_) / travel).max(axis=1)
    blinking = np.zeros(len(closure), bool)
    edges = np.flatnonzero(np.diff(np.r_[0, (closure > BEGUN).astype(int), 0]))
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if raw.time[end - 1] - raw.time[start] < BLINK_SECONDS:
            blinking[start:end] = True
    around = max(1, round(COVERED_SECONDS * raw.rate))
    return _widen(blinking, around), _widen(closure > COVERED, around)


def _widen(mask: Mask, frames: int) -> Mask:
    for _ in range(frames):
        mask = mask | np.r_[mask[1:], False] | np.r_[False, mask[:-1]]
    return mask


def _bridge(v: F64, hidden: Mask, columns: Iterable[int]) -> None:
    """What is hidden goes on from what was before to what comes after; in place."""
    if hidden.any() and not hidden.all():
        rows = np.arange(len(v))
        for column in columns:
            v[hidden, column] = np.interp(rows[hidden], rows[~hidden], v[~hidden, column])
