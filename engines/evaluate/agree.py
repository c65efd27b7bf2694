"""``agree``: how well the extractors agree, with each other and with renders of known controls."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import numpy as np

from core import CHANNELS, F32, FPS, POSE_SLICE, InvalidInput
from engines.enrol import enrol
from engines.evaluate.discover import VIDEOS
from engines.evaluate.extract import truth
from engines.evaluate.extract.agreement import (
    DEGREES,
    MEASURES,
    Pair,
    closures,
    compare,
    correlations,
    matched,
    rows,
    runs,
)  # fmt: skip
from engines.evaluate.extract.angles import F64
from engines.evaluate.extract.extractor import Extractor
from engines.evaluate.extract.landmarker import Landmarker, find_landmarker
from engines.evaluate.extract.mesh import MeshExtractor
from engines.evaluate.footage import Skipped, read_footage, seconds_of
from engines.evaluate.track import FaceTrack
from engines.landmarks import FaceMesh
from engines.rig import Rig, build_rig

SHORTEST: Final = 1.0
"Seconds of a clip that are worth comparing."
FULL_LIDS: Final = 99.0
"Percentile of lid closure over all clips that counts as an extractor's full closure."
DEAD: Final = 0.01
"An answer to full below this is none."
OWN: Final[dict[str, tuple[int, float]]] = {
    **{name: (i, 1.0) for i, name in enumerate(CHANNELS[:10])},
    "gaze_left": (10, 1.0), "gaze_right": (10, -1.0), "gaze_up": (11, -1.0),
    "gaze_down": (11, 1.0), "pitch": (12, 1.0), "yaw": (13, 1.0), "roll": (14, 1.0),
}  # fmt: skip
"The column of `MEASURES` that a control should move, and its sign there."

Progress = Callable[[int, int, str], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("clips", nargs="*", type=Path, help="videos, or folders of them")
    parser.add_argument("--limit", type=int, default=20, help="of the clips, spread evenly")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each clip, at most")
    parser.add_argument("--portraits", nargs="*", type=Path, default=[], metavar="PICTURE",
                        help="to be rendered with known controls")  # fmt: skip
    parser.add_argument("--size", type=int, choices=(256, 512), default=256)
    parser.add_argument("--landmarker", type=Path, help="the file face_landmarker.task")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Print the tables.

    Raises:
        InvalidInput: There is nothing to look at.
        Unavailable: The landmarker's model file is missing.
    """
    if not 1 <= options.seconds <= 60 or options.limit < 1:
        raise InvalidInput("--seconds: 1 to 60; --limit: at least 1.")
    clips = _spread(options.clips, options.limit)
    if not clips and not options.portraits:
        raise InvalidInput("Name clips to compare on, or --portraits to render.")
    with ExitStack() as stack:
        meshes = stack.enter_context(FaceMesh())
        two = (
            stack.enter_context(Landmarker(find_landmarker(options.landmarker))),
            stack.enter_context(MeshExtractor()),
        )
        if clips:
            seen, skipped = _tracks(clips, two, meshes, options, progress)
            print("\n\n" + "\n".join(_pair_table(seen)))
            for name, reason in skipped.items():
                print(f"skipped {name}: {reason}")
        if options.portraits:
            rigs = [
                build_rig(enrol(path.read_bytes(), path.stem, meshes=meshes), options.size)
                for path in options.portraits
            ]
            for extractor in two:
                print("\n\n" + "\n".join(_truth_table(extractor, rigs, progress)))


def _spread(paths: Sequence[Path], limit: int) -> list[Path]:
    clips: list[Path] = []
    for path in paths:
        if path.is_dir():
            clips += sorted(p for p in path.rglob("*") if p.suffix.lower() in VIDEOS)
        else:
            clips.append(path)
    every = max(1.0, len(clips) / limit)
    return [clips[int(i * every)] for i in range(min(limit, len(clips)))]


def _tracks(
    clips: Sequence[Path], two: Sequence[Extractor], meshes: FaceMesh,
    options: argparse.Namespace, progress: Progress,
) -> tuple[list[tuple[FaceTrack, FaceTrack]], dict[str, str]]:  # fmt: skip
    out: list[tuple[FaceTrack, FaceTrack]] = []
    skipped: dict[str, str] = {}
    for i, clip in enumerate(clips):
        progress(i, len(clips), clip.name)
        try:
            frames = int(FPS * min(options.seconds, seconds_of(clip) - 0.1))
            if frames < SHORTEST * FPS:
                raise Skipped("it is too short")
            footage = read_footage(
                clip, frames=frames, size=options.size, portrait=False, meshes=meshes
            )
        except Skipped as error:
            skipped[str(clip)] = error.message
            continue
        first, second = (extractor.track(footage.frames) for extractor in two)
        out.append((first, second))
    progress(len(clips), len(clips), "done")
    if not out:
        raise InvalidInput("None of the clips can be used: " + "; ".join(skipped.values()))
    return out, skipped


def _pair_table(tracks: Sequence[tuple[FaceTrack, FaceTrack]]) -> list[str]:
    """The two against each other, over clips."""
    first, second = tracks[0][0].extractor, tracks[0][1].extractor
    pairs = [compare(a, b) for a, b in tracks]
    lines = [
        f"**{second} against {first}**, {len(tracks)} clips, "
        f"{sum(len(a) for a, _ in tracks)} frames",
        "",
        "| channel | clips in which it moves | r, median (quartiles) | scale | apart, median |",
        "|---|---|---|---|---|",
    ]
    for c, name in enumerate(MEASURES):
        r, slope, apart = (_column(pairs, what, c) for what in ("r", "slope", "apart"))
        degrees = c >= DEGREES.start
        if not len(r):
            lines.append(f"| {name} | 0 | - | - | - |")
            continue
        low, middle, high = np.percentile(r, (25, 50, 75))
        distance = f"{np.median(apart):.1f}°" if degrees else "-"
        lines.append(
            f"| {name} | {len(r)} | {middle:.2f} ({low:.2f} to {high:.2f}) | "
            f"{np.median(slope):.2f} | {distance} |"
        )
    return [*lines, "", *_blink_lines(tracks)]


def _column(pairs: Sequence[Pair], what: str, column: int) -> F64:
    values = np.array([getattr(pair, what)[column] for pair in pairs], np.float64)
    known: F64 = values[np.isfinite(values)]
    return known


def _blink_lines(tracks: Sequence[tuple[FaceTrack, FaceTrack]]) -> list[str]:
    sides = [[closures(pair[k]) for pair in tracks] for k in (0, 1)]
    full = [float(np.percentile(np.concatenate(side), FULL_LIDS)) for side in sides]
    found = [[runs(c, f) for c in side] for side, f in zip(sides, full, strict=True)]
    counts = [sum(map(len, side)) for side in found]
    right = sum(matched(b, a) for a, b in zip(*found, strict=True))
    hit = sum(matched(a, b) for a, b in zip(*found, strict=True))
    names = [track.extractor for track in tracks[0]]
    return [
        f"Closings of the lids: {names[0]} {counts[0]}, {names[1]} {counts[1]};"
        f" {right} of the latter are the former's too (precision"
        f" {right / max(counts[1], 1):.2f}), {hit} of the former are found (recall"
        f" {hit / max(counts[0], 1):.2f})."
    ]


def _truth_table(extractor: Extractor, rigs: Sequence[Rig], progress: Progress) -> list[str]:
    """One extractor against renders of known controls, over portraits."""
    r, answers = [], []
    hits = made = false = 0
    for i, rig in enumerate(rigs):
        progress(i, len(rigs), extractor.name)
        own, moved = _responses(extractor, rig)
        r.append(own)
        answers.append(moved)
        track = extractor.track(truth.render(rig, truth.blinks()))
        wanted = truth.blinks()[:, CHANNELS.index("AU45_L")]
        closed = closures(track)
        seen, true = runs(closed, float(closed.max())), runs(wanted, 1.0)
        hits, made = hits + matched(true, seen), made + len(true)
        false += len(seen) - matched(seen, true)
    progress(len(rigs), len(rigs), "done")
    answer = np.median(answers, axis=0)
    lines = [
        f"**{extractor.name} against rendered controls**, {len(rigs)} portraits",
        "",
        "| control | r, median (worst) | answer to full | moves along, in shares of their own |",
        "|---|---|---|---|",
    ]
    for k, name in enumerate(CHANNELS):
        column, sign = OWN[name]
        unit = "°" if column >= DEGREES.start else ""
        mine = [row[k] for row in r]
        if sign * answer[k, column] < DEAD:
            lines.append(f"| {name} | not measured | - | - |")
            continue
        lines.append(
            f"| {name} | {np.median(mine):.2f} ({min(mine):.2f}) | "
            f"{sign * answer[k, column]:.2f}{unit} | {_cross_talk(answer, k)} |"
        )
    return [*lines, "", f"Blinks: {hits} of {made} found, {false} where there is none."]


def _responses(extractor: Extractor, rig: Rig) -> tuple[F64, F64]:
    """By control: r of its own measure, float64 ``[17]``; what each measure does, ``[17, 15]``."""
    r, moved = np.zeros(len(CHANNELS)), np.zeros((len(CHANNELS), len(MEASURES)))
    for k, name in enumerate(CHANNELS):
        column, sign = OWN[name]
        signs = (1.0, -1.0) if k >= POSE_SLICE.start else (1.0,)
        asked: F32 = np.concatenate([truth.ramp(name, s)[:, k] for s in signs])
        parts = [rows(extractor.track(truth.render(rig, truth.ramp(name, s)))) for s in signs]
        seen = np.concatenate(parts)
        known = np.isfinite(seen).all(axis=1)
        if known.sum() < truth.STEPS:
            continue
        x, y = asked[known].astype(np.float64)[:, None], seen[known]
        r[k] = sign * correlations(np.broadcast_to(x, y.shape), y)[column]
        centred = x - x.mean()
        slope = (centred * (y - y.mean(axis=0))).sum(axis=0) / np.square(centred).sum()
        moved[k] = slope * np.abs(asked).max()
    return r, moved


def _cross_talk(answer: F64, control: int) -> str:
    """The two other measures that a control moves most, each in shares of its own control's.

    Action units that fall below rest count for nothing later on, so they do not count here.
    """
    shares = []
    for k, name in enumerate(CHANNELS):
        column, sign = OWN[name]
        own = sign * answer[k, column]
        if column == OWN[CHANNELS[control]][0] or own < DEAD:
            continue
        share = sign * answer[control, column] / own
        if share > 0:
            shares.append((share, name))
    return ", ".join(f"{name} {share:.2f}" for share, name in sorted(shares, reverse=True)[:2])
