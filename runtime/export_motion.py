"""What the planner plays, as numbers: ``python -m runtime.export_motion OUT [--tracks N]``.

Training clips are driven by it (``python -m engines.video render --motion OUT``): the engines do
not know the planner. A file is one track: ``controls`` float32 ``[T, 17]``, ``felt`` float32
``[T, 9]`` (the mouth beside speech) and ``label``. Tracks that are there already are kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from core import FPS, ControlTrack, MouthTrack
from engines.commands import progress
from planner.behaviour import Behaviour
from planner.categories import LABELS
from planner.library import load_library
from runtime.lookahead import Lookahead

SECONDS: Final = 20


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m runtime.export_motion", description=__doc__)
    parser.add_argument("out", type=Path, help="folder the tracks are written to")
    parser.add_argument("--tracks", type=int, default=24, help="for each label (default: 24)")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each track (default: 20)")
    options = parser.parse_args(argv)
    export(options.out, options.tracks, options.seconds * FPS)
    print(file=sys.stderr)
    return 0


def export(out: Path, tracks: int, frames: int) -> None:
    """Write ``tracks`` files for every label."""
    out.mkdir(parents=True, exist_ok=True)
    todo = [(label, seed) for seed in range(tracks) for label in LABELS]
    for done, (label, seed) in enumerate(todo):
        path = out / f"{label}-{seed:04d}.npz"
        if not path.exists():
            controls, felt = play(label, frames, seed)
            partial = path.with_suffix(".partial")
            with partial.open("wb") as file:
                np.savez_compressed(
                    file, controls=controls.values, felt=felt.values, label=np.array(label)
                )
            partial.replace(path)
        progress(done + 1, len(todo), label)


def play(label: str, frames: int, seed: int) -> tuple[ControlTrack, MouthTrack]:
    """What a session that plays the label shows."""
    performer = Behaviour(seed, label=label, library=load_library())
    return Lookahead(performer, label=label, seed=seed).take(frames)


if __name__ == "__main__":
    raise SystemExit(main())
