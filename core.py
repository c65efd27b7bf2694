"""The shared vocabulary: time base, channel and point names, the few types that flow, errors.

Everything else may import this module; it imports numpy alone.

Errors::

    SaccadeError                 anything Saccade raises on purpose
    ├── InvalidInput             what the caller sent can not be used; nothing was changed
    │   └── PortraitRejected     an image that can not become a portrait
    ├── NotFound                 a session, portrait or peer that is not (or no longer) there
    ├── NotAllowed               the operator has not allowed it
    ├── Conflict                 not in the state that it is in; nothing was changed
    ├── Busy                     a limit is reached; try again later
    │   └── Full                 no room to store more
    └── Unavailable              an optional part (a voice, a provider) is missing or failed
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

F32: TypeAlias = npt.NDArray[np.float32]
U8: TypeAlias = npt.NDArray[np.uint8]
I32: TypeAlias = npt.NDArray[np.int32]

# --- Time base -----------------------------------------------------------------------------
# Every pts is an integer count of 16 kHz samples since the session began.

SAMPLE_RATE: Final = 16_000
"Audio inside, Hz."
FPS: Final = 25
"Video frames per second."
SAMPLES_PER_FRAME: Final = SAMPLE_RATE // FPS
"640: one video frame of audio."
LATENT_FRAMES: Final = 4
"Video frames in one latent frame (160 ms)."
WINDOW_FRAMES: Final = 2 * LATENT_FRAMES
"Video frames one generation pass of the DiT makes (320 ms)."
CHUNK_FRAMES: Final = 4 * FPS
"Video frames the planner plans at once (4 s)."
WIRE_SAMPLE_RATE: Final = 48_000
"Opus over RTP, Hz (RFC 7587 section 4.1)."
VIDEO_CLOCK: Final = 90_000
"RTP video clock, Hz (RFC 3551 section 5); a frame is exactly 3,600 ticks."

# --- Channels ------------------------------------------------------------------------------
# Left and right are the portrait's own, everywhere: AU1_L is the brow above the person's left
# eye, which a viewer sees on the right of the picture; gaze_left looks to the person's left.

CHANNELS: Final[tuple[str, ...]] = (
    "AU1_L", "AU1_R", "AU2_L", "AU2_R", "AU4", "AU5", "AU6", "AU7", "AU45_L", "AU45_R",
    "gaze_left", "gaze_right", "gaze_up", "gaze_down",
    "pitch", "yaw", "roll",
)  # fmt: skip
"""The 17 control channels (CogPortrait section 3.2).

AUs and gaze are in [0, 1]; pose is in degrees relative to the portrait. Positive pitch lowers
the chin to look down, positive yaw turns to the person's left, positive roll tilts the head
towards the person's left shoulder.
"""
CHANNEL: Final[dict[str, int]] = {name: i for i, name in enumerate(CHANNELS)}
AU_SLICE: Final = slice(0, 10)
GAZE_SLICE: Final = slice(10, 14)
POSE_SLICE: Final = slice(14, 17)
GAZE_DEGREES: Final = (35.0, 25.0, 30.0)
"Eye rotation at channel value 1: horizontal, up, down (degrees from the portrait's own gaze)."

MOUTH_CHANNELS: Final[tuple[str, ...]] = (
    "jaw", "wide", "pucker", "press", "smile", "upper_lip", "lower_lip", "tuck", "tongue",
)  # fmt: skip
"""Mouth controls in [0, 1]: jaw drop, corners apart, corners together and forward, lips pressed
shut (closes even an open-lipped portrait), corners up, upper lip raised, lower lip depressed,
lower lip under the upper teeth (f, v), tongue tip shown behind the teeth."""
MOUTH: Final[dict[str, int]] = {name: i for i, name in enumerate(MOUTH_CHANNELS)}

# --- Points --------------------------------------------------------------------------------
# Indices into the 478-point MediaPipe face mesh with iris refinement. Lid rings start at the
# outer corner, run along the lower lid to the inner corner and back along the upper lid.

LID_LEFT: Final = (263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466)
LID_RIGHT: Final = (33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246)
BROW_LEFT: Final = (276, 283, 282, 295, 285, 300, 293, 334, 296, 336)
"Lower edge, outer to inner, then upper edge, outer to inner."
BROW_RIGHT: Final = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107)
IRIS_LEFT: Final = (473, 474, 475, 476, 477)
"Pupil, then the four points of the iris rim."
IRIS_RIGHT: Final = (468, 469, 470, 471, 472)
KEYPOINTS: Final[tuple[int, ...]] = (
    *LID_LEFT, *LID_RIGHT, *BROW_LEFT, *BROW_RIGHT, *IRIS_LEFT, *IRIS_RIGHT,
)  # fmt: skip
"Mesh indices of the 62 keypoints, in the order of a `KeypointTrack`."
KEYPOINT_SLICES: Final[dict[str, slice]] = {
    "lid_left": slice(0, 16), "lid_right": slice(16, 32),
    "brow_left": slice(32, 42), "brow_right": slice(42, 52),
    "iris_left": slice(52, 57), "iris_right": slice(57, 62),
}  # fmt: skip
MESH_POINTS: Final = 478


# --- Errors --------------------------------------------------------------------------------


class SaccadeError(Exception):
    """Base of all errors raised on purpose. ``str(error)`` is fit to show to a user."""

    code = "error"
    "Stable machine-readable name, used as the problem type on the wire."

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.message = message
        self.facts = facts


class InvalidInput(SaccadeError):
    """What the caller sent can not be used; nothing was changed."""

    code = "invalid-input"


class PortraitRejected(InvalidInput):
    """An image that can not become a portrait: ``facts["reason"]`` says which rule it broke."""

    code = "portrait-rejected"


class NotFound(SaccadeError):
    """A session, portrait or peer that is not (or no longer) there."""

    code = "not-found"


class Conflict(SaccadeError):
    """Not in the state that something is in; nothing was changed."""

    code = "conflict"


class Busy(SaccadeError):
    """A limit is reached. ``facts["retry_after"]`` is in seconds where known."""

    code = "busy"


class Full(Busy):
    """There is no room to store more until something is deleted or a limit is raised."""

    code = "storage-full"


class NotAllowed(SaccadeError):
    """The operator has not allowed it; the message names the setting that would."""

    code = "not-allowed"


class Unavailable(SaccadeError):
    """An optional part (a voice, a provider) is missing or failed."""

    code = "unavailable"


# --- What flows ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """A run of speech. Chunks of one session touch: the next ``pts`` is this ``end``."""

    samples: F32
    "float32 ``[N]``, mono, in [-1, 1]."
    pts: int
    "Its first sample, counted at 16 kHz since the session began."

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(f"samples: expected float32 [N], got {_shape(self.samples)}")

    @property
    def end(self) -> int:
        """The pts right after the last sample."""
        return self.pts + len(self.samples)

    @property
    def seconds(self) -> float:
        """Session time of the first sample."""
        return self.pts / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """A picture made from the audio that starts at the same ``pts``."""

    pixels: U8
    "uint8 ``[H, W, 3]``, RGB."
    pts: int

    def __post_init__(self) -> None:
        if self.pixels.ndim != 3 or self.pixels.dtype != np.uint8:
            raise ValueError(f"pixels: expected uint8 [H, W, 3], got {_shape(self.pixels)}")

    @property
    def seconds(self) -> float:
        """Session time."""
        return self.pts / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class ControlTrack:
    """What eyes, lids, brows and head do, one row a video frame, channels as in `CHANNELS`."""

    values: F32
    "float32 ``[T, 17]``; AUs and gaze in [0, 1], pose in degrees."

    def __post_init__(self) -> None:
        v = self.values
        if v.ndim != 2 or v.shape[1] != len(CHANNELS) or v.dtype != np.float32:
            raise ValueError(f"values: expected float32 [T, {len(CHANNELS)}], got {_shape(v)}")
        if not np.isfinite(v).all():
            raise ValueError("values: NaN or infinity in a control track")
        bounded = v[:, : POSE_SLICE.start]
        if bounded.size and (bounded.min() < -1e-4 or bounded.max() > 1 + 1e-4):
            raise ValueError(
                f"values: AU and gaze are in [0, 1], got [{bounded.min():.3f}, {bounded.max():.3f}]"
            )

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def neutral(cls, frames: int, **channels: float) -> ControlTrack:
        """``frames`` rows of rest, with the named channels held at the given value."""
        values = np.zeros((frames, len(CHANNELS)), np.float32)
        for name, value in channels.items():
            values[:, CHANNEL[name]] = value
        return cls(values)


@dataclass(frozen=True, slots=True)
class MouthTrack:
    """What the mouth does, one row a video frame, channels as in `MOUTH_CHANNELS`."""

    values: F32
    "float32 ``[T, 9]`` in [0, 1]."

    def __post_init__(self) -> None:
        v = self.values
        if v.ndim != 2 or v.shape[1] != len(MOUTH_CHANNELS) or v.dtype != np.float32:
            raise ValueError(
                f"values: expected float32 [T, {len(MOUTH_CHANNELS)}], got {_shape(v)}"
            )
        if not np.isfinite(v).all():
            raise ValueError("values: NaN or infinity in a mouth track")

    def __len__(self) -> int:
        return len(self.values)

    @classmethod
    def rest(cls, frames: int, **channels: float) -> MouthTrack:
        """``frames`` rows of the portrait's own mouth, with the named channels held."""
        values = np.zeros((frames, len(MOUTH_CHANNELS)), np.float32)
        for name, value in channels.items():
            values[:, MOUTH[name]] = value
        return cls(values)


@dataclass(frozen=True, slots=True)
class KeypointTrack:
    """The 62 eye-region keypoints of every frame, in pixels of the portrait crop."""

    points: F32
    "float32 ``[T, 62, 2]``, x then y, point order as in `KEYPOINTS`."

    def __post_init__(self) -> None:
        p = self.points
        if p.ndim != 3 or p.shape[1:] != (len(KEYPOINTS), 2) or p.dtype != np.float32:
            raise ValueError(f"points: expected float32 [T, {len(KEYPOINTS)}, 2], got {_shape(p)}")

    def __len__(self) -> int:
        return len(self.points)


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """One person, ready to animate. Immutable; caches keyed by ``id`` live elsewhere."""

    id: str
    "Content hash of the enrolled image and the enrolment version: same picture, same id."
    name: str
    crop: U8
    "uint8 ``[S, S, 3]`` RGB, the head and shoulders."
    mesh: F32
    """float32 ``[478, 3]``, crop pixels: x right, y down, z away from the camera, all three at
    the same scale (MediaPipe's lifted mesh)."""
    extra: dict[str, Any] = field(default_factory=dict)
    "Notes of the enrolment: warnings, source size, which of several faces was taken."

    def __post_init__(self) -> None:
        if self.crop.ndim != 3 or self.crop.shape[0] != self.crop.shape[1]:
            raise ValueError(f"crop: expected uint8 [S, S, 3], got {_shape(self.crop)}")
        if self.mesh.shape != (MESH_POINTS, 3) or self.mesh.dtype != np.float32:
            raise ValueError(f"mesh: expected float32 [478, 3], got {_shape(self.mesh)}")
        self.crop.setflags(write=False)
        self.mesh.setflags(write=False)

    @property
    def size(self) -> int:
        """Side of the square crop, pixels."""
        return int(self.crop.shape[0])

    @property
    def keypoints(self) -> F32:
        """The 62 neutral keypoints, float32 ``[62, 2]``."""
        return self.mesh[list(KEYPOINTS), :2]


def _shape(a: npt.NDArray[Any]) -> str:
    return f"{a.dtype} {list(a.shape)}"
