"""``python -m engines.video gallery``: what the generator makes of portraits, beside the puppet.

A sheet for each portrait: a row for each way of making it, a column for each thing to do. They are
done one after the other, a window each, and the last frame of each window is shown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from core import F32, SAMPLES_PER_FRAME, U8, WINDOW_FRAMES, ControlTrack, InvalidInput, Portrait
from engines.audio.encoder import hear
from engines.audio_file import decode_audio
from engines.contact_sheet import Pose, both
from engines.enrol import enrol
from engines.puppet import Puppet
from engines.rig import build_rig
from engines.video.clip import TOKENS_PER_FRAME
from engines.video.generator import Script, VideoGenerator
from engines.video.performance import from_controls
from engines.video.sample import read_bytes
from engines.video.shipped import SHIPPED, codec_file, dit_file
from engines.video.ways import Way, parse_way

POSES: Final = (
    Pose("rest"),
    Pose("lids half", both("AU45", 0.5)),
    Pose("lids closed", both("AU45", 1)),
    Pose("gaze left", {"gaze_left": 0.8}),
    Pose("gaze right", {"gaze_right": 0.8}),
    Pose("gaze up", {"gaze_up": 0.8}),
    Pose("gaze down", {"gaze_down": 0.8}),
    Pose("surprise", both("AU1", 1) | both("AU2", 1) | {"AU5": 1}),
    Pose("frown", {"AU4": 1}),
    Pose("smile", {"AU6": 0.8, "AU7": 0.4}, {"smile": 0.9}),
    Pose("thinking", {"gaze_up": 0.6, "gaze_left": 0.5, "yaw": 8, "pitch": -5} | both("AU1", 0.4)),
)
SPOKEN: Final = 4
"Moments of the sound, a third of a second apart."
PUPPET: Final = "puppet"
SIZE: Final = 512
MOST_SECONDS: Final = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``gallery``."""
    add = parser.add_argument
    add("portraits", type=Path, nargs="+", help="pictures of faces")
    add("--out", type=Path, required=True, help="folder of the sheets")
    add("--codec", type=Path, default=codec_file(SHIPPED), help="its weights")
    add("--dit", type=Path, default=dit_file(SHIPPED), help="weights of the transformer")
    add(
        "--rows",
        nargs="+",
        default=[PUPPET, "eye-aware"],
        metavar="WAY",
        help="puppet, or a way of sampling: none, eye-aware+high=3+low=2, fixed+12, …",
    )
    add("--sound", type=Path, help="speech: four more columns")
    add("--steps", type=int, default=8)
    add("--cell", type=int, default=180, help="pixels of a column")
    add("--eyes", action="store_true", help="show the eyes alone, enlarged")
    add("--device", default="auto")


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Draw the sheets; who can not be enrolled is left out and named."""
    made = {name: _open(options, name) for name in options.rows if name != PUPPET}
    samples = np.zeros(0, np.float32)
    if options.sound:
        samples = decode_audio(read_bytes(options.sound), limit=MOST_SECONDS).samples
    options.out.mkdir(parents=True, exist_ok=True)
    for done, path in enumerate(options.portraits):
        progress(done, len(options.portraits), path.name)
        try:
            portrait = enrol(read_bytes(path), path.stem)
        except InvalidInput as error:
            progress(done, len(options.portraits), f"{path.name}: {error}\n")
            continue
        controls, mouth, felt, sound = _performance(samples)
        rows = []
        for name in options.rows:
            if name == PUPPET:
                frames = _puppet(portrait, controls, mouth)
            else:
                acted = from_controls(portrait, ControlTrack(controls), mouth, felt)
                shown = made[name].frames(portrait, Script(acted, sound), SIZE)
                frames = [f for i, f in enumerate(shown) if i % WINDOW_FRAMES == WINDOW_FRAMES - 1]
            rows.append(_row(frames, _box(portrait, eyes=options.eyes), options.cell, name))
        cv2.imwrite(str(options.out / f"{path.stem}.png"), np.vstack(rows)[..., ::-1])
    progress(len(options.portraits), len(options.portraits), "")


def _open(options: argparse.Namespace, name: str) -> VideoGenerator:
    way = parse_way(name.split("+"), Way(steps=options.steps))
    return VideoGenerator.open(
        options.codec, options.dit, way.guidance, way.steps, device=options.device
    )


def _performance(samples: F32) -> tuple[F32, F32, F32, F32]:
    """Controls ``[T, 17]``, whole mouth and felt mouth ``[T, 9]``, sound."""
    held = [(*pose.arrays(),) for pose in POSES for _ in range(WINDOW_FRAMES)]
    controls, felt = (np.array(part, np.float32) for part in zip(*held, strict=True))
    if len(samples):
        count = SPOKEN * WINDOW_FRAMES
        heard = np.zeros(count * SAMPLES_PER_FRAME, np.float32)
        first = _loudest(samples, len(heard))
        part = samples[first : first + len(heard)]
        heard[: len(part)] = part
        quiet = np.zeros(len(controls) * SAMPLES_PER_FRAME, np.float32)
        sound = np.concatenate((quiet, heard))
        controls = np.pad(controls, ((0, count), (0, 0)))
        felt = np.pad(felt, ((0, count), (0, 0)))
    else:
        sound = np.zeros(len(controls) * SAMPLES_PER_FRAME, np.float32)
    mouth = hear(sound).mouth[::TOKENS_PER_FRAME][: len(controls)]
    return controls, np.clip(mouth + felt, 0, 1).astype(np.float32), felt, sound


def _loudest(samples: F32, length: int) -> int:
    """Where the loudest stretch of so many samples begins, to a frame."""
    if len(samples) <= length:
        return 0
    power = np.cumsum(np.square(samples, dtype=np.float64))[::SAMPLES_PER_FRAME]
    span = length // SAMPLES_PER_FRAME
    gained = power[span:] - power[:-span]
    return int(np.argmax(gained)) * SAMPLES_PER_FRAME if len(gained) else 0


def _puppet(portrait: Portrait, controls: F32, mouth: F32) -> list[U8]:
    puppet = Puppet(build_rig(portrait, SIZE))
    last = slice(WINDOW_FRAMES - 1, None, WINDOW_FRAMES)
    return [puppet.render(c, m).copy() for c, m in zip(controls[last], mouth[last], strict=True)]


def _box(portrait: Portrait, *, eyes: bool) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of what is shown."""
    if not eyes:
        return 0, 0, SIZE, SIZE
    points = portrait.keypoints * (SIZE / portrait.size)
    (x0, y0), (x1, y1) = points.min(axis=0), points.max(axis=0)
    pad = 0.15 * (x1 - x0)
    corners = np.clip((x0 - pad, y0 - pad, x1 + pad, y1 + pad), 0, SIZE).astype(int)
    return int(corners[0]), int(corners[1]), int(corners[2]), int(corners[3])


def _row(frames: list[U8], box: tuple[int, int, int, int], cell: int, name: str) -> U8:
    x0, y0, x1, y1 = box
    size = (cell, round(cell * (y1 - y0) / (x1 - x0)))
    cells = [
        cv2.resize(np.ascontiguousarray(frame[y0:y1, x0:x1]), size, interpolation=cv2.INTER_AREA)
        for frame in frames
    ]
    row = np.ascontiguousarray(np.pad(np.hstack(cells), ((16, 0), (0, 0), (0, 0))))
    titles = [pose.title for pose in POSES] + ["speech"] * SPOKEN
    titles[0] = name
    for k, title in enumerate(titles[: len(cells)]):
        where = (k * cell + 3, 12)
        cv2.putText(row, title, where, 0, 0.4, (230, 230, 230), 1, cv2.LINE_AA)
    return np.asarray(row, np.uint8)
