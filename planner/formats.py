"""Reads one recording of a face, whatever tracker wrote it, into raw channels.

Four CSV forms (plain or gzip), told apart by their column names:

- *arkit61*: Live Link Face (52 blend shapes, head and eye angles in radians)
- *mediapipe52*: MediaPipe blend shape scores and head rotation in degrees
- *openface*: action unit intensities 0-5, gaze and head angles in radians
- *liveportrait*: head pose and implicit keypoint offsets

Signs and sides were checked against pictures and against each other (docs/library.md): what
leaves this module is in the portrait's own left and right, with pitch down, yaw to the left
and roll to the left shoulder positive.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from core import CHANNEL, InvalidInput
from planner.motion import F64

AUS: Final = 10
GAZE: Final = slice(10, 12)
POSE: Final = slice(12, 15)
RAW_WIDTH: Final = 15
"""Columns of raw channels: the 10 action units, gaze in the head in degrees (to the person's left,
downwards), head pitch, yaw and roll in degrees."""
LARGEST: Final = 1e12
"A number beyond this is none."
WILDEST: Final = 1e4
"A raw channel beyond this was lost, whatever the tracker says."
LONGEST_FILE: Final = 64 << 20
"Bytes of text a recording may hold."
CONFIDENCE: Final = 0.8
"OpenFace frames tracked less surely than this are left out."
LID_TRAVEL: Final[Mapping[str, float]] = {
    "arkit61": 0.75, "mediapipe52": 0.5, "openface": 0.4, "liveportrait": 0.015,
}  # fmt: skip
"""Rise of the raw lid channel that counts as closed where nobody closes further (free, after the
blinks in the recordings: about 0.8 ARKit, 0.5-0.8 MediaPipe, 1.5-2.6 of 5 OpenFace)."""
LOOK_DEGREES: Final = (33.0, 25.0, 30.0)
"""Degrees of eye rotation at a blend shape score of 1, sideways, up, down: the slope between the
look scores and the eye angles that Live Link Face records side by side."""
WIDE_GAIN: Final = 6.0
"MediaPipe's eyeWide hardly passes 0.13 on acted surprise; this brings it to AU5 (free)."
BROW_OFFSET: Final = 0.05
"LivePortrait brow keypoint travel that counts as a full brow raise (free)."


@dataclass(frozen=True, slots=True, eq=False)
class Raw:
    """One tracked take: irregular in time, no neutral taken off yet."""

    kind: str
    time: F64
    "float64 ``[N]``, seconds, increasing."
    values: F64
    "float64 ``[N, 15]``: action units (in the tracker's scale / 0-1), gaze and pose in degrees."
    measured: frozenset[str]
    "Of brows, lids, gaze, head: what the tracker saw."

    @property
    def rate(self) -> float:
        """Frames a second."""
        return float((len(self.time) - 1) / (self.time[-1] - self.time[0]))


Table = Mapping[str, F64]


def read_raw(path: Path) -> Raw | None:
    """The longest well-tracked run of ``path``; None when it is a table of something else.

    Raises:
        InvalidInput: The file can not be read or is broken.
    """
    table = read_table(path)
    for kind, (key, reader) in _READERS.items():
        if key in table:
            raw = _longest_run(reader(table))
            return None if raw is None else Raw(kind, *raw, _seen(kind, raw[1]))
    return None


def read_table(path: Path) -> dict[str, F64]:
    """Columns of a CSV file by name, float64; what is no number is NaN.

    Raises:
        InvalidInput: The file can not be read, is too large, or its rows are uneven.
    """
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            unzip = zlib.decompressobj(wbits=31)
            data = unzip.decompress(data, LONGEST_FILE + 1)
        text = data[: LONGEST_FILE + 1].decode("utf-8-sig")
    except (OSError, zlib.error, UnicodeDecodeError, gzip.BadGzipFile) as error:
        raise InvalidInput(f"{path} can not be read as CSV text: {error}.") from error
    if len(text) > LONGEST_FILE:
        raise InvalidInput(f"{path} is larger than {LONGEST_FILE >> 20} MB of text.")
    lines = text.splitlines()
    names = [name.strip() for name in lines[0].split(",")] if lines else []
    rows = [line.split(",") for line in lines[1:] if line]
    if any(len(row) != len(names) for row in rows):
        raise InvalidInput(f"{path}: every row needs {len(names)} columns, as its first line has.")
    columns = np.array([[_number(cell) for cell in row] for row in rows], np.float64)
    columns[np.abs(columns) > LARGEST] = np.nan
    return {name: columns[:, i] if rows else np.zeros(0) for i, name in enumerate(names)}


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return float("nan")


# --- the four forms --------------------------------------------------------------------------


def _shapes(table: Table, capital: bool) -> Callable[[str], F64]:
    """Blend shapes are EyeBlinkLeft in one form and eyeBlinkLeft in the other."""
    missing = np.zeros_like(next(iter(table.values())))

    def shape(name: str) -> F64:
        return table.get(name[0].upper() + name[1:] if capital else name, missing)

    return shape


def _blend_shapes(shape: Callable[[str], F64], rows: int) -> F64:
    """The action units both blend shape forms share."""
    v = np.zeros((rows, RAW_WIDTH))
    for side, name in (("L", "Left"), ("R", "Right")):
        v[:, CHANNEL[f"AU1_{side}"]] = shape("browInnerUp")
        v[:, CHANNEL[f"AU2_{side}"]] = shape(f"browOuterUp{name}")
        v[:, CHANNEL[f"AU45_{side}"]] = shape(f"eyeBlink{name}")
    v[:, CHANNEL["AU4"]] = (shape("browDownLeft") + shape("browDownRight")) / 2
    v[:, CHANNEL["AU5"]] = (shape("eyeWideLeft") + shape("eyeWideRight")) / 2
    v[:, CHANNEL["AU6"]] = (shape("cheekSquintLeft") + shape("cheekSquintRight")) / 2
    v[:, CHANNEL["AU7"]] = (shape("eyeSquintLeft") + shape("eyeSquintRight")) / 2
    return v


def _arkit(table: Table) -> tuple[F64, F64]:
    time = table["time"]
    v = _blend_shapes(_shapes(table, True), len(time))
    v[:, 10] = -np.degrees(table["LeftEyeYaw"] + table["RightEyeYaw"]) / 2
    v[:, 11] = np.degrees(table["LeftEyePitch"] + table["RightEyePitch"]) / 2
    # Live Link Face turns ARKit's left-positive angles around; roll follows by the same rule.
    v[:, 12] = np.degrees(table["HeadPitch"])
    v[:, 13] = -np.degrees(table["HeadYaw"])
    v[:, 14] = -np.degrees(table["HeadRoll"])
    return time, v


def _mediapipe(table: Table) -> tuple[F64, F64]:
    time = table["time"]
    shape = _shapes(table, False)
    v = _blend_shapes(shape, len(time))
    v[:, CHANNEL["AU5"]] *= WIDE_GAIN
    # Its cheekSquint is dead; a squint under a smile is the cheek's (Duchenne), else the lid's.
    smile = (shape("mouthSmileLeft") + shape("mouthSmileRight")) / 2
    squint = v[:, CHANNEL["AU7"]].copy()
    v[:, CHANNEL["AU6"]] = squint * smile
    v[:, CHANNEL["AU7"]] = squint * (1 - smile)
    side, up, down = LOOK_DEGREES
    left = (shape("eyeLookOutLeft") + shape("eyeLookInRight")) / 2
    right = (shape("eyeLookInLeft") + shape("eyeLookOutRight")) / 2
    v[:, 10] = side * (left - right)
    v[:, 11] = down * (shape("eyeLookDownLeft") + shape("eyeLookDownRight")) / 2
    v[:, 11] -= up * (shape("eyeLookUpLeft") + shape("eyeLookUpRight")) / 2
    nothing = np.zeros(len(time))
    v[:, 12] = table.get("head_pitch_deg", nothing)
    v[:, 13] = table.get("head_yaw_deg", nothing)
    v[:, 14] = -table.get("head_roll_deg", nothing)
    v[table.get("tracked", np.ones(len(time))) < 0.5] = np.nan
    return time, v


def _openface(table: Table) -> tuple[F64, F64]:
    time = table["timestamp"]
    v = np.zeros((len(time), RAW_WIDTH))
    nothing = np.zeros(len(time))
    for name in ("AU1", "AU2", "AU4", "AU5", "AU6", "AU7", "AU45"):
        unit, _, number = name.partition("U")
        intensity = table.get(f"{unit}U{int(number):02d}_r", nothing) / 5
        for channel in (name, f"{name}_L", f"{name}_R"):
            if channel in CHANNEL:
                v[:, CHANNEL[channel]] = intensity
    pitch, yaw, roll = (np.degrees(table[f"pose_R{axis}"]) for axis in "xyz")
    v[:, 12], v[:, 13], v[:, 14] = pitch, -yaw, roll
    # Its gaze angle is in the camera's frame: what is left after the head is the eye's.
    v[:, 10] = np.degrees(table["gaze_angle_x"]) - v[:, 13]
    v[:, 11] = np.degrees(table["gaze_angle_y"]) - v[:, 12]
    sure = (table.get("confidence", nothing + 1) >= CONFIDENCE) & (
        table.get("success", nothing + 1) > 0.5
    )
    v[~sure] = np.nan
    return time, v


def _liveportrait(table: Table) -> tuple[F64, F64]:
    """Keypoints 11 and 15 ride on the upper lids, 1 and 2 on the brows (y down).

    Source: which keypoint does what is read from the retargeting sliders of LivePortrait (Guo et
    al. 2024), and 11 / 15 agree with the eye opening ratios some templates carry (r < -0.9).
    """
    time = table["time"]
    v = np.zeros((len(time), RAW_WIDTH))
    v[:, CHANNEL["AU45_R"]] = table["exp34"]
    v[:, CHANNEL["AU45_L"]] = table["exp46"]
    # One raises, two lowers: brows travel against each other on the two keypoints.
    height = (table["exp04"] - table["exp07"]) / BROW_OFFSET
    for name in ("AU1_L", "AU1_R", "AU2_L", "AU2_R"):
        v[:, CHANNEL[name]] = height
    v[:, 12], v[:, 13], v[:, 14] = -table["pitch_deg"], table["yaw_deg"], table["roll_deg"]
    return time, v


_READERS: Final[Mapping[str, tuple[str, Callable[[Table], tuple[F64, F64]]]]] = {
    "arkit61": ("EyeBlinkLeft", _arkit),
    "mediapipe52": ("eyeBlinkLeft", _mediapipe),
    "openface": ("AU45_r", _openface),
    "liveportrait": ("exp00", _liveportrait),
}
"Form: the column that gives it away, and its reader."

GAP_SECONDS: Final = 0.2
"Frames lost for no longer than this are bridged by a straight line."
SHORTEST_SECONDS: Final = 0.4


def _longest_run(raw: tuple[F64, F64]) -> tuple[F64, F64] | None:
    """The longest run without a gap in tracking, short ones bridged."""
    time, values = raw
    good = np.isfinite(time) & (np.abs(values) < WILDEST).all(axis=1)  # false for NaN
    time, values = time[good], values[good]
    if len(time) < 2:
        return None
    order = np.concatenate([[True], np.diff(time) > 1e-6])
    time, values = time[order], values[order]
    edges = np.flatnonzero(np.diff(time) > GAP_SECONDS) + 1
    runs: Sequence[tuple[int, int]] = list(zip([0, *edges], [*edges, len(time)], strict=True))
    start, end = max(runs, key=lambda run: time[run[1] - 1] - time[run[0]])
    if time[end - 1] - time[start] < SHORTEST_SECONDS:
        return None
    return time[start:end] - time[start], values[start:end]


def _seen(kind: str, values: F64) -> frozenset[str]:
    groups = {"brows": slice(0, 5), "lids": slice(8, 10), "gaze": GAZE, "head": POSE}
    return frozenset(name for name, part in groups.items() if np.ptp(values[:, part]) > 1e-6)
