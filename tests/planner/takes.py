"""Writes recordings in the four CSV forms, for tests."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from planner.motion import F64

ARKIT = [
    "EyeBlinkLeft", "EyeBlinkRight", "EyeSquintLeft", "EyeSquintRight", "EyeWideLeft",
    "EyeWideRight", "BrowDownLeft", "BrowDownRight", "BrowInnerUp", "BrowOuterUpLeft",
    "BrowOuterUpRight", "CheekSquintLeft", "CheekSquintRight", "HeadYaw", "HeadPitch", "HeadRoll",
    "LeftEyeYaw", "LeftEyePitch", "RightEyeYaw", "RightEyePitch",
]  # fmt: skip
MEDIAPIPE = [
    "tracked", "eyeBlinkLeft", "eyeBlinkRight", "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft",
    "eyeWideRight", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft",
    "browOuterUpRight", "cheekSquintLeft", "cheekSquintRight", "mouthSmileLeft", "mouthSmileRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft",
    "eyeLookUpRight", "eyeLookDownLeft", "eyeLookDownRight", "head_pitch_deg", "head_yaw_deg",
    "head_roll_deg",
]  # fmt: skip
OPENFACE = [
    "confidence", "success", "gaze_angle_x", "gaze_angle_y", "pose_Rx", "pose_Ry", "pose_Rz",
    "AU01_r", "AU02_r", "AU04_r", "AU05_r", "AU06_r", "AU07_r", "AU45_r",
]  # fmt: skip
TEMPLATE = ["pitch_deg", "yaw_deg", "roll_deg", *(f"exp{i:02d}" for i in range(63))]


def write(
    root: Path,
    name: str,
    names: list[str],
    columns: Mapping[str, F64 | float],
    *,
    frames: int,
    rate: float = 30.0,
    clock: str = "time",
) -> Path:
    """One take at ``root/motion/name``; columns not given are 0 (tracking columns 1)."""
    table = {clock: np.arange(frames) / rate}
    for column in names:
        rest = 1.0 if column in ("tracked", "confidence", "success") else 0.0
        table[column] = np.zeros(frames) + columns.get(column, rest)
    lines = [",".join(table)]
    lines += [",".join(f"{x:.5f}" for x in row) for row in zip(*table.values(), strict=True)]
    path = root / "motion" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
    else:
        path.write_text(text)
    return path


def index(root: Path, rows: list[dict[str, str]]) -> None:
    """The ``index.csv`` of a data folder."""
    names = ["file", "kind", "person", "category", "source", "licence", "use"]
    lines = [",".join(names)] + [",".join(row.get(n, "") for n in names) for row in rows]
    (root / "motion" / "index.csv").write_text("\n".join(lines) + "\n")


def bump(frames: int, rate: float, at: float, *, down: float = 0.08, up: float = 0.2) -> F64:
    """A lid that shuts by ``at`` seconds and opens again."""
    t = np.arange(frames) / rate - at
    return np.clip(np.where(t < 0, 1 + t / down, 1 - t / up), 0, 1)


def eye_openness(root: Path, name: str, blinks: int = 6) -> None:
    """A take of an eye tracker with ``blinks`` clean blinks."""
    rate, frames = 90.0, 90 * (2 + 3 * blinks)
    closed = sum(bump(frames, rate, 2 + 3 * k, down=0.09, up=0.22) for k in range(blinks))
    write(
        root,
        name,
        ["openness_L", "openness_R"],
        {"openness_L": 1 - 0.95 * closed, "openness_R": 1 - 0.9 * closed},
        frames=frames,
        rate=rate,
    )
