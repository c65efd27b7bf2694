"""``python -m engines.video drift``: does a portrait stay itself however long it is on air?

One motion is played over and over, each time with other noise. What differs from one round to the
next is drift: colour, sharpness, who it is, and the pictures themselves at the same moment.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from core import (
    F32,
    FPS,
    U8,
    WINDOW_FRAMES,
    ControlTrack,
    InvalidInput,
    Portrait,
    Unavailable,
)
from engines.enrol import enrol
from engines.evaluate.networks.recogniser import Recogniser
from engines.evaluate.networks.weights import Weights
from engines.film import write_film
from engines.video.generator import Script, VideoGenerator
from engines.video.performance import from_controls
from engines.video.render_frames import PortraitCanvas, scaled
from engines.video.sample import read_bytes, read_track
from engines.video.shipped import SHIPPED, codec_file, dit_file
from engines.video.ways import Way, parse_way

SIZE: Final = 256
"Pixels of the frames by which somebody is recognised."
SHOWN: Final = 12
"Rounds in the strip of pictures."
SPREAD: Final = 6
"Moments of a round in the strip."


@dataclass(frozen=True, slots=True)
class Round:
    """One time through the motion, against the first time."""

    minute: float
    "When it ended."
    colour: float
    "Largest change of a region's mean colour, grey levels of 255."
    sharpness: float
    "Mean strength of edges, 1 as in the first round."
    psnr: float
    "Of the same moments, dB; the first round with itself has none (NaN)."
    identity: float
    "Mean cosine to the portrait, NaN where nothing recognises faces."


class Watch:
    """Takes regions in, window by window, and tells of each round."""

    def __init__(self, frames: int, recognise: Callable[[U8], float]) -> None:
        """Args:
        frames: Of a round, whole windows.
        recognise: Who it is, by regions uint8 ``[3, 96, 96, 3]``.
        """
        if frames < WINDOW_FRAMES or frames % WINDOW_FRAMES:
            raise ValueError(f"frames: expected whole windows, got {frames}")
        self.rounds: list[Round] = []
        self.moments: list[U8] = []
        "Of every round, uint8 ``[SPREAD, 3, 96, 96, 3]``."
        self._frames, self._recognise = frames, recognise
        self._first: list[U8] = []
        self._now: list[U8] = []

    def see(self, crops: U8) -> None:
        """Regions of a window, uint8 ``[8, 3, 96, 96, 3]``."""
        self._now.append(crops)
        if len(self._now) * WINDOW_FRAMES == self._frames:
            self._first = self._first or self._now
            self._close()
            self._now = []

    def _close(self) -> None:
        now, first = np.concatenate(self._now), np.concatenate(self._first)
        colour = np.abs(_colours(now) - _colours(first)).max()
        error = np.square(now.astype(np.float32) - first).mean()
        seen = [self._recognise(crops) for crops in now[::FPS]]
        minute = (len(self.rounds) + 1) * self._frames / FPS / 60
        self.rounds.append(
            Round(
                minute,
                float(colour),
                _sharpness(now) / _sharpness(first),
                float(10 * np.log10(255**2 / error)) if error else float("nan"),
                float(np.mean(seen)),
            )
        )
        at = np.linspace(0, len(now) - 1, SPREAD).astype(int)
        self.moments.append(now[at])


def _colours(frames: U8) -> F32:
    """Mean colour of each region, float32 ``[3, 3]``."""
    return np.asarray(frames.mean(axis=(0, 2, 3)), np.float32)


def _sharpness(frames: U8) -> float:
    """Mean absolute Laplacian, grey levels."""
    edges = [np.abs(cv2.Laplacian(crop, cv2.CV_32F)).mean() for crop in frames.reshape(
        -1, *frames.shape[2:])]  # fmt: skip
    return float(np.mean(edges))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``drift``."""
    add = parser.add_argument
    add("portrait", type=Path, help="a picture of a face")
    add("motion", type=Path, help="npz of a track, from: python -m runtime.export_motion")
    add("out", type=Path, help="folder of the table, the plot, the pictures and a film of the end")
    add("--codec", type=Path, default=codec_file(SHIPPED), help="its weights")
    add("--dit", type=Path, default=dit_file(SHIPPED), help="weights of the transformer")
    add("--minutes", type=float, default=10.0)
    add("--seconds", type=float, default=20.0, help="of a round")
    add("--steps", type=int, default=4)
    add("--guidance", default="none", help="none, eye-aware+high=3, fixed, …")
    add("--device", default="auto")


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Roll out, measure, draw."""
    controls, felt = read_track(options.motion)
    frames = min(len(controls), round(options.seconds * FPS)) // WINDOW_FRAMES * WINDOW_FRAMES
    rounds = round(options.minutes * 60 * FPS / frames) if frames else 0
    if rounds < 2:
        raise InvalidInput("--minutes has to be at least two rounds of --seconds, 0.32 or more.")
    way = parse_way(options.guidance.split("+"), Way(steps=options.steps))
    generator = VideoGenerator.open(
        options.codec, options.dit, way.guidance, way.steps,
        device=options.device,
    )  # fmt: skip
    portrait = enrol(read_bytes(options.portrait), options.portrait.stem)
    canvas = PortraitCanvas(portrait, SIZE)
    watch = Watch(frames, recogniser_of(portrait, canvas))
    script = _script(portrait, controls.values[:frames], felt[:frames], rounds)
    last: list[U8] = []
    total = rounds * frames // WINDOW_FRAMES
    for done, crops in enumerate(generator.regions(portrait, script, canvas.reference), 1):
        watch.see(crops)
        if total - done < frames // WINDOW_FRAMES:
            last.append(crops)
        progress(done, total, f"{done * WINDOW_FRAMES / FPS / 60:.1f} min")
    options.out.mkdir(parents=True, exist_ok=True)
    _write(watch.rounds, options.out / "drift.csv")
    _draw(watch.rounds, options.out / "drift.png")
    cv2.imwrite(str(options.out / "rounds.png"), strip(watch.moments)[..., ::-1])
    pasted = (canvas.render(crop) for crops in last for crop in crops)
    write_film(options.out / "last.mp4", pasted, None)


def recogniser_of(portrait: Portrait, canvas: PortraitCanvas) -> Callable[[U8], float]:
    """Cosine of a face with the portrait's; NaN always where no network is at hand."""
    try:
        network = Recogniser(Weights(None))
    except Unavailable:
        return lambda _: float("nan")
    mesh = scaled(portrait.mesh, portrait, canvas.size)
    own = network.embed(canvas.picture, mesh)
    return lambda crops: float(network.embed(canvas.render(crops), mesh) @ own)


def strip(moments: list[U8]) -> U8:
    """Some rounds, a row each, at the same moments: right eye, left eye, mouth."""
    picked = np.linspace(0, len(moments) - 1, min(SHOWN, len(moments))).astype(int)
    rows = [
        np.hstack([np.hstack([crops[1], crops[0][:, ::-1], crops[2]]) for crops in moments[i]])
        for i in picked
    ]
    return np.vstack(rows)


def _script(portrait: Portrait, controls: F32, felt: F32, rounds: int) -> Script:
    """The motion over and over, the head at rest: it is turned after generation."""
    values = np.tile(controls, (rounds, 1))
    again = np.tile(felt, (rounds, 1))
    return Script(from_controls(portrait, ControlTrack(values), again, again))


def _write(rounds: list[Round], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        names = [f.name for f in fields(Round)]
        table.writerow(names)
        table.writerows([f"{getattr(r, name):.5g}" for name in names] for r in rounds)


def _draw(rounds: list[Round], path: Path) -> None:
    from matplotlib.figure import Figure

    names = [f.name for f in fields(Round)][1:]
    figure = Figure((9, 5), layout="constrained")
    minutes = [r.minute for r in rounds]
    for axis, name in zip(figure.subplots(2, 2).ravel(), names, strict=True):
        axis.plot(minutes, [getattr(r, name) for r in rounds], ".-", linewidth=1)
        axis.set_title(name, fontsize=10)
        axis.set_xlabel("minutes", fontsize=8)
        axis.tick_params(labelsize=8)
    limits = {"colour": (0, 5), "sharpness": (0.8, 1.2), "identity": (0.5, 1.0)}
    for axis, name in zip(figure.axes, names, strict=True):
        if name in limits:
            axis.set_ylim(*limits[name])
    figure.savefig(path, dpi=90)
