"""What an extractor saw of a face, frame by frame, and the same as controls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from core import AU_SLICE, CHANNELS, F32, GAZE_DEGREES, GAZE_SLICE, MESH_POINTS, POSE_SLICE

Bools = npt.NDArray[np.bool_]
AUS: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class FaceTrack:
    """A face over T frames, as one extractor saw it; no neutral is taken off."""

    extractor: str
    "Its name, as tables show it."
    seen: Bools
    "bool ``[T]``; where False everything else is NaN."
    mesh: F32
    "float32 ``[T, 478, 3]``, pixels of the picture."
    aus: F32
    "float32 ``[T, 10]``: intensities on the extractor's own scale, as in `core.CHANNELS`."
    gaze: F32
    "float32 ``[T, 2]``: eyes in the head, degrees, to the person's left and downwards."
    pose: F32
    "float32 ``[T, 3]``: pitch, yaw and roll against the camera, degrees, signs as `core.CHANNELS`."

    def __post_init__(self) -> None:
        frames = len(self.seen)
        for name, shape in (
            ("mesh", (frames, MESH_POINTS, 3)), ("aus", (frames, AUS)),
            ("gaze", (frames, 2)), ("pose", (frames, 3)),
        ):  # fmt: skip
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name}: expected {shape}, got {getattr(self, name).shape}")

    def __len__(self) -> int:
        return len(self.seen)


@dataclass(frozen=True, slots=True, eq=False)
class Neutral:
    """A person at rest, as one extractor sees them."""

    aus: F32
    "float32 ``[10]``."
    gaze: F32
    "float32 ``[2]``, degrees."
    pose: F32
    "float32 ``[3]``, degrees."


def as_controls(track: FaceTrack, neutral: Neutral) -> F32:
    """A track against a neutral, in the channels of `core.CHANNELS`.

    AUs stay on the extractor's scale (0 is the neutral, negative is cut off); gaze is in shares of
    `core.GAZE_DEGREES`, pose in degrees. NaN where no face was seen.

    Returns:
        float32 ``[T, 17]``.
    """
    out = np.zeros((len(track), len(CHANNELS)), np.float32)
    out[:, AU_SLICE] = np.clip(track.aus - neutral.aus, 0, 1)
    left, down = (track.gaze - neutral.gaze).T
    side, up, low = GAZE_DEGREES
    shares = np.stack([left / side, -left / side, -down / up, down / low], axis=1)
    out[:, GAZE_SLICE] = np.clip(shares, 0, 1)
    out[:, POSE_SLICE] = track.pose - neutral.pose
    out[~track.seen] = np.nan
    return out
