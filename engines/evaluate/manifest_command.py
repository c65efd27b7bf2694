"""``manifest``: a folder of clips as a benchmark set."""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from core import FPS, InvalidInput, Unavailable
from engines.evaluate.case import MOST_FRAMES, Manifest, save_manifest
from engines.evaluate.discover import build, find_clips
from engines.evaluate.extract.choose import open_extractor
from engines.evaluate.planning import Planning, open_planning


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Options that say what becomes a case, and who looks at it."""
    parser.add_argument("--seconds", type=float, default=3.0, help="of a case")
    parser.add_argument("--limit", type=int, default=60, help="at most so many cases")
    parser.add_argument("--extractor", choices=("auto", "landmarker", "mesh"), default="auto")
    parser.add_argument("--landmarker", type=Path, help="the file face_landmarker.task")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("folder", type=Path, help="clips, in folders as they are")
    parser.add_argument("--out", type=Path, default=Path("manifest.json"))
    add_choices(parser)


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Write the manifest and say what is in it.

    Raises:
        SaccadeError: Something named is not there or can not be used.
    """
    manifest = make(options.folder, options, progress)
    save_manifest(manifest, options.out)
    counts = Counter(case.category or "(unknown)" for case in manifest.cases)
    print(f"\n{len(manifest.cases)} cases: " + ", ".join(f"{k} {n}" for k, n in counts.items()))
    for name, reason in manifest.left_out.items():
        print(f"left out: {name}: {reason}")
    print(options.out)


def make(
    folder: Path, options: argparse.Namespace, progress: Callable[[int, int, str], None]
) -> Manifest:
    """The manifest of a folder.

    Raises:
        InvalidInput: Nothing there can be used.
    """
    if not 0.4 <= options.seconds <= MOST_FRAMES / FPS or options.limit < 1:
        raise InvalidInput(
            f"A case lasts 0.4 to {MOST_FRAMES // FPS} s, and there is at least one."
        )
    planning: Planning | None = None
    try:
        planning = open_planning()
    except Unavailable:
        print("No planner is installed: categories come from index.csv alone.")
    clips = find_clips(folder, planning)
    # What is missing is said here, not by every process.
    open_extractor(options.extractor, options.landmarker).close()
    manifest = build(
        clips, (options.extractor, options.landmarker), name=folder.resolve().name,
        seconds=options.seconds, limit=options.limit, workers=max(1, options.workers),
        told=progress,
    )  # fmt: skip
    if not manifest.cases:
        reasons = "; ".join(f"{k}: {v}" for k, v in list(manifest.left_out.items())[:3])
        raise InvalidInput(f"No clip in {folder} can be used ({reasons}).")
    return manifest
