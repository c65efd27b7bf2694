"""A picture of every channel at several strengths, to look at.

``python -m engines.contact_sheet IMAGE... --out DIR`` writes, per portrait, NAME_head.png (whole
faces) and NAME_eyes.png and NAME_mouth.png (enlarged).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from core import CHANNEL, CHANNELS, F32, MOUTH, MOUTH_CHANNELS, U8, Portrait
from engines.puppet import Puppet
from engines.rig import Rig, build_rig
from face import CHIN


@dataclass(frozen=True, slots=True)
class Pose:
    """One cell: named controls and mouth controls, all others at rest."""

    title: str
    controls: dict[str, float] = field(default_factory=dict)
    mouth: dict[str, float] = field(default_factory=dict)

    def arrays(self) -> tuple[F32, F32]:
        """``[17]`` and ``[9]``."""
        c, m = np.zeros(len(CHANNELS), np.float32), np.zeros(len(MOUTH_CHANNELS), np.float32)
        for name, value in self.controls.items():
            c[CHANNEL[name]] = value
        for name, value in self.mouth.items():
            m[MOUTH[name]] = value
        return c, m


def both(au: str, value: float) -> dict[str, float]:
    """The same value on both sides of a sided AU."""
    return {f"{au}_L": value, f"{au}_R": value}


GAZES = {
    "left": {"gaze_left": 1.0}, "right": {"gaze_right": 1.0},
    "up": {"gaze_up": 1.0}, "down": {"gaze_down": 1.0},
    "up left": {"gaze_up": 0.7, "gaze_left": 0.7}, "up right": {"gaze_up": 0.7, "gaze_right": 0.7},
    "down left": {"gaze_down": 0.7, "gaze_left": 0.7},
    "down right": {"gaze_down": 0.7, "gaze_right": 0.7},
}  # fmt: skip

EYES: tuple[Pose, ...] = (
    Pose("rest"),
    *(Pose(f"lids {v}", both("AU45", v)) for v in (0.25, 0.5, 0.75, 0.9, 1.0)),
    Pose("wink L", {"AU45_L": 1, "AU6": 0.3}),
    Pose("wink R", {"AU45_R": 1, "AU6": 0.3}),
    *(Pose(f"gaze {name}", values) for name, values in GAZES.items()),
    *(Pose(f"gaze left {v}", {"gaze_left": v}) for v in (0.2, 0.5)),
    Pose("AU5 0.5", {"AU5": 0.5}),
    Pose("AU5 1", {"AU5": 1}),
    Pose("AU7 0.5", {"AU7": 0.5}),
    Pose("AU7 1", {"AU7": 1}),
    Pose("AU6 1", {"AU6": 1}),
    Pose("AU1 L", {"AU1_L": 1}),
    Pose("AU1 R", {"AU1_R": 1}),
    Pose("AU2 L", {"AU2_L": 1}),
    Pose("AU2 R", {"AU2_R": 1}),
    Pose("AU1+2", both("AU1", 1) | both("AU2", 1)),
    Pose("AU4", {"AU4": 1}),
    Pose("AU1+4", both("AU1", 1) | {"AU4": 0.8}),
    Pose("surprise", both("AU1", 1) | both("AU2", 1) | {"AU5": 1}, {"jaw": 0.4}),
    Pose("drowsy", both("AU45", 0.55) | {"gaze_down": 0.4}),
    Pose("squint smile", {"AU7": 0.6, "AU6": 0.8}, {"smile": 0.8}),
)

SPEECH: tuple[Pose, ...] = (
    Pose("rest"),
    *(Pose(f"jaw {v}", {}, {"jaw": v}) for v in (0.1, 0.25, 0.4, 0.6, 1.0)),
    Pose("wide 1", {}, {"wide": 1}),
    Pose("pucker 1", {}, {"pucker": 1}),
    Pose("press 1", {}, {"press": 1}),
    Pose("smile 0.5", {}, {"smile": 0.5}),
    Pose("smile 1", {}, {"smile": 1}),
    Pose("upper_lip 1", {}, {"upper_lip": 1}),
    Pose("lower_lip 1", {}, {"lower_lip": 1}),
    Pose("tuck 1", {}, {"tuck": 1, "jaw": 0.12, "upper_lip": 0.3}),
    Pose("a", {}, {"jaw": 0.5, "wide": 0.15, "lower_lip": 0.2}),
    Pose("e", {}, {"jaw": 0.25, "wide": 0.5, "upper_lip": 0.2, "lower_lip": 0.3}),
    Pose("i", {}, {"jaw": 0.12, "wide": 0.7, "upper_lip": 0.3, "lower_lip": 0.4}),
    Pose("o", {}, {"jaw": 0.35, "pucker": 0.5}),
    Pose("u", {}, {"jaw": 0.15, "pucker": 0.85}),
    Pose("s", {}, {"jaw": 0.08, "wide": 0.4, "upper_lip": 0.3, "lower_lip": 0.45}),
    Pose("sh", {}, {"jaw": 0.14, "pucker": 0.5, "lower_lip": 0.4, "upper_lip": 0.3}),
    Pose("l", {}, {"jaw": 0.28, "wide": 0.2, "tongue": 1}),
    Pose("m over jaw", {}, {"jaw": 0.25, "press": 1}),
    Pose("smile talk", {}, {"jaw": 0.25, "smile": 0.6, "upper_lip": 0.3}),
)

HEAD: tuple[Pose, ...] = (
    Pose("rest"),
    *(Pose(f"yaw {v}", {"yaw": v}) for v in (-18, -9, 9, 18)),
    *(Pose(f"pitch {v}", {"pitch": v}) for v in (-12, -6, 6, 12)),
    *(Pose(f"roll {v}", {"roll": v}) for v in (-12, 12)),
    Pose("yaw 12 pitch 8 blink", {"yaw": 12, "pitch": 8} | both("AU45", 0.8)),
    Pose("talk turned", {"yaw": -14, "roll": 5}, {"jaw": 0.35, "wide": 0.3}),
    Pose("think", {"gaze_up": 0.6, "gaze_left": 0.5, "yaw": 8, "pitch": -5} | both("AU1", 0.4)),
    Pose("sad", both("AU1", 0.8) | {"AU4": 0.4, "pitch": 8, "gaze_down": 0.4}),
    Pose("laugh", {"AU6": 1, "AU7": 0.5, "pitch": -5}, {"smile": 1, "jaw": 0.4, "upper_lip": 0.5}),
)


def sheet(puppet: Puppet, poses: Iterable[Pose], box: tuple[int, int, int, int],
          cell: int, columns: int) -> U8:  # fmt: skip
    """Render poses side by side.

    Args:
        puppet: The puppet.
        poses: What to show.
        box: x0, y0, x1, y1 of the part of the frame to show.
        cell: width of a cell, pixels.
        columns: cells a row.

    Returns:
        uint8 RGB.
    """
    x0, y0, x1, y1 = box
    height = round(cell * (y1 - y0) / (x1 - x0))
    cells = []
    for pose in poses:
        frame = puppet.render(*pose.arrays())[y0:y1, x0:x1]
        how = cv2.INTER_CUBIC if cell > x1 - x0 else cv2.INTER_AREA
        tile = cv2.resize(np.ascontiguousarray(frame), (cell, height), interpolation=how)
        tile = np.ascontiguousarray(np.pad(tile, ((0, 16), (0, 2), (0, 0)), constant_values=30))
        cv2.putText(tile, pose.title, (3, height + 12), 0, 0.4, (230, 230, 230), 1, cv2.LINE_AA)
        cells.append(tile)
    while len(cells) % columns:
        cells.append(np.zeros_like(cells[0]))
    rows = [np.hstack(cells[i : i + columns]) for i in range(0, len(cells), columns)]
    return np.asarray(np.vstack(rows), np.uint8)


def boxes(rig: Rig) -> dict[str, tuple[int, int, int, int]]:
    """Where the eyes, the mouth and the whole head are in a frame."""
    mesh, mm = rig.face.neutral, rig.face.mm
    left, right = rig.face.eyes
    middle = (left.centre + right.centre) / 2
    mouth = rig.face.mouth.centre
    chin = mesh[CHIN, 1]

    def clip(x0: float, y0: float, x1: float, y1: float) -> tuple[int, int, int, int]:
        top = rig.size
        low = [int(min(max(v, 0), top - 8)) for v in (x0, y0)]
        high = [int(min(max(v, a + 8), top)) for v, a in zip((x1, y1), low, strict=True)]
        return low[0], low[1], high[0], high[1]

    return {
        "whole": (0, 0, rig.size, rig.size),
        "eyes": clip(middle[0] - 62 * mm, middle[1] - 36 * mm, middle[0] + 62 * mm,
                     middle[1] + 30 * mm),
        "mouth": clip(mouth[0] - 48 * mm, mouth[1] - 32 * mm, mouth[0] + 48 * mm, chin + 26 * mm),
    }  # fmt: skip


def write_sheets(portrait: Portrait, out: Path, size: int = 512) -> list[Path]:
    """Write the sheets of one portrait into ``out``; returns their paths."""
    rig = build_rig(portrait, size)
    puppet = Puppet(rig)
    box = boxes(rig)
    sheets = {
        "eyes": sheet(puppet, EYES, box["eyes"], 380, 5),
        "mouth": sheet(puppet, SPEECH, box["mouth"], 300, 6),
        "head": sheet(puppet, HEAD, box["whole"], 340, 5),
    }
    out.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, image in sheets.items():
        path = out / f"{Path(portrait.name).stem}_{name}.png"
        cv2.imwrite(str(path), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        paths.append(path)
    return paths


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="engines.contact_sheet", description=__doc__)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, default=Path("contact_sheets"))
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    from engines.enrol import enrol  # mediapipe is slow to import: not for callers of sheet()

    for image in options.images:
        portrait = enrol(image.read_bytes(), image.name)
        for path in write_sheets(portrait, options.out, options.size):
            print(path)


if __name__ == "__main__":
    main()
