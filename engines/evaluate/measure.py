"""One row of one case: a made clip held against the truth, by every metric that needs both.

Here are numbers from points and pixels. Networks (faces, LPIPS, SyncNet) and the sound, which has
no truth but itself, are asked elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from core import CHANNEL, F32, FPS, GAZE_SLICE, U8, InvalidInput
from engines.evaluate.metrics.action_units import TARGETS, au_f1, au_temp, intensities, targets
from engines.evaluate.metrics.blinks import DEPTH, Blink, find_blinks, match_blinks
from engines.evaluate.metrics.eyes import eye_lmd, eye_lmd_aligned, gaze_error
from engines.evaluate.metrics.jitter import flow_jitter, point_jitter
from engines.evaluate.metrics.pixels import eye_box, face_box, psnr, ssim
from engines.evaluate.metrics.pose import pose_error
from engines.evaluate.scales import THRESHOLDS, measurable, normalise
from engines.evaluate.track import FaceTrack

Bools: TypeAlias = npt.NDArray[np.bool_]

SHORTEST: Final = 0.8
"Of the truth's length, at least this has to be made."
SEEN: Final = 0.5
"Of the frames, at least this has to show both faces for what is measured on faces (free)."
EVERY: Final = 2
"PSNR and SSIM take one frame in so many: neighbours hardly differ."


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A clip and what the extractor saw of it. Frame 0 is the portrait."""

    frames: U8
    "uint8 ``[T, S, S, 3]``, RGB, 25 a second."
    track: FaceTrack
    controls: F32
    "float32 ``[T, 17]`` against the truth's neutral, AUs on the extractor's scale."

    def __post_init__(self) -> None:
        lengths = len(self.frames), len(self.track), len(self.controls)
        if len(set(lengths)) != 1:
            raise ValueError(f"frames, track and controls differ in length: {lengths}")


def measure(
    made: Seen,
    truth: Seen,
    *,
    category: str,
    scales: Mapping[str, float],
) -> dict[str, float]:
    """Everything that can be said of a made clip beside the truth.

    Frame 0 is given to every generator and does not count; the head's turn is measured against it.
    AU-F1 counts only the units that the extractor measures (those with a scale), AU-Temp only
    those of its targets.

    Args:
        made: What was made.
        truth: What really happened. If one is longer, its end is cut off.
        category: A label with target units; any other gives no AU-Temp.
        scales: What counts as full, see `engines.evaluate.scales`.

    Returns:
        By key of `engines.evaluate.metrics.catalogue.METRICS`; what can not be measured is missing.

    Raises:
        InvalidInput: The made clip is too short, or the pictures differ in size.
    """
    count = _common(made, truth)
    found = _pictures(made.frames[1:count], truth.frames[1:count], truth.track.mesh[1:count])
    a, b = made.track, truth.track
    found["face_seen"] = float(a.seen[1:count].mean())
    found["point_jitter"] = point_jitter(a.mesh[1:count])
    both = a.seen[:count] & b.seen[:count]
    if both[1:].mean() >= SEEN:
        found["eye_lmd"] = eye_lmd(a.mesh[1:count], b.mesh[1:count])
        found["eye_lmd_aligned"] = eye_lmd_aligned(a.mesh[1:count], b.mesh[1:count])
        found["pose_error"] = pose_error(a.pose[:count], b.pose[:count]).angle
        shares = [normalise(x.controls[1:count], scales) for x in (made, truth)]
        found |= _units(shares[0], shares[1], category, scales)
        found |= _eyes(shares[0], shares[1], a.gaze[1:count], b.gaze[1:count])
    return {key: float(value) for key, value in found.items() if math.isfinite(value)}


def _common(made: Seen, truth: Seen) -> int:
    """Frames to compare."""
    if made.frames.shape[1:] != truth.frames.shape[1:]:
        sizes = [" × ".join(map(str, x.frames.shape[2:0:-1])) for x in (made, truth)]
        raise InvalidInput(
            f"The made frames are {sizes[0]} pixels, the truth's {sizes[1]}. Scale one of them."
        )
    if len(truth.frames) < 2 or len(made.frames) < SHORTEST * len(truth.frames):
        raise InvalidInput(
            f"{len(made.frames)} frames were made of {len(truth.frames)}. "
            f"At least {SHORTEST:.0%}, and two, are needed to compare them."
        )
    return min(len(made.frames), len(truth.frames))


def _pictures(made: U8, truth: U8, mesh: F32) -> dict[str, float]:
    size = truth.shape[1]
    similar, ratio, eyes = [], [], []
    for t in range(0, len(truth), EVERY):
        similar.append(ssim(made[t], truth[t]))
        ratio.append(psnr(made[t], truth[t]))
        box = eye_box(mesh[t], size)
        if box is not None:
            eyes.append(psnr(made[t], truth[t], box=box))
    found = {"ssim": float(np.mean(similar)), "psnr": float(np.mean(ratio))}
    if eyes:
        found["psnr_eyes"] = float(np.mean(eyes))
    # The truth's face over the whole clip: all rows of a case are looked at in one place.
    flow, true_flow = (flow_jitter(x, box=face_box(mesh, size)) for x in (made, truth))
    found["flow_jitter"] = flow.jitter
    found["flow_motion"] = flow.motion - true_flow.motion
    return found


def _units(made: F32, truth: F32, category: str, scales: Mapping[str, float]) -> dict[str, float]:
    """AU-F1 and AU-Temp of shares ``[T, 17]``, over frames that show both faces."""
    columns = measurable(scales)
    told = [*columns, *range(GAZE_SLICE.start, GAZE_SLICE.stop)]
    known = np.isfinite(made[:, told]).all(axis=1) & np.isfinite(truth[:, told]).all(axis=1)
    a, b = intensities(made[known]), intensities(truth[known])
    found: dict[str, float] = {}
    if len(a) and columns:
        found["au_f1"] = au_f1(a[:, columns], b[:, columns], THRESHOLDS[columns])
    # Units after the AUs are gazes, which need no scale.
    wanted = targets(category) if category in TARGETS else []
    wanted = [i for i in wanted if i in columns or i >= len(THRESHOLDS)]
    if len(a) and wanted:
        found["au_temp"] = au_temp(a, b, wanted)
    return found


def _eyes(made: F32, truth: F32, gaze: F32, true_gaze: F32) -> dict[str, float]:
    """Blinks of shares ``[T, 17]``, and gaze ``[T, 2]`` where the eyes are open."""
    lids = [CHANNEL["AU45_L"], CHANNEL["AU45_R"]]
    a, b = made[:, lids].mean(axis=1), truth[:, lids].mean(axis=1)
    blinks, true_blinks = find_blinks(a, FPS), find_blinks(b, FPS)
    match = match_blinks(blinks, true_blinks, FPS)
    timing = 1000 * float(np.median(np.abs(match.errors))) if len(match.errors) else math.nan
    hidden = _hidden(a, blinks) | _hidden(b, true_blinks)
    return {
        "blink_precision": match.precision,
        "blink_recall": match.recall,
        "blink_f1": match.f1,
        "blink_timing": timing,
        "gaze_error": gaze_error(gaze, true_gaze, leave_out=hidden),
    }


def _hidden(closure: F32, blinks: list[Blink]) -> Bools:
    """Frames whose eyes are half shut or blink."""
    hidden: Bools = closure >= DEPTH
    for blink in blinks:
        hidden[blink.start : blink.end] = True
    return hidden
