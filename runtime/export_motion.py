"""What the planner plays, as numbers: ``python -m runtime.export_motion OUT [--tracks N]``.

Training clips are driven by it (``python -m engines.video render --motion OUT``): the engines do
not know the planner. A file is one track: ``controls`` float32 ``[T, 17]``, ``felt`` float32
``[T, 9]`` (the mouth beside speech), ``label`` and ``text``, an instruction where one is carried
out. Tracks that are there already are kept.
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
TOLD_SECONDS: Final = 4
"Of a track that carries out an instruction: about as long as that takes."
INSTRUCTIONS: Final = (
    "wink", "wink with your right eye", "blink twice", "close your eyes for 1 second",
    "half close your eyes", "open your eyes wide", "squint", "raise your left eyebrow",
    "raise your right eyebrow", "raise both eyebrows", "frown", "smile", "look up", "look down",
    "look to the left", "look to the right", "look to the left then to the right",
    "look up to the right", "smile and look down", "frown and look away",
)  # fmt: skip


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m runtime.export_motion", description=__doc__)
    parser.add_argument("out", type=Path, help="folder the tracks are written to")
    parser.add_argument("--tracks", type=int, default=24, help="for each label (default: 24)")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="of each track (default: 20)")
    parser.add_argument("--told", type=int, default=6, help="for each instruction (default: 6)")
    options = parser.parse_args(argv)
    export(options.out, options.tracks, options.seconds * FPS, options.told)
    print(file=sys.stderr)
    return 0


def export(out: Path, tracks: int, frames: int, told: int) -> None:
    """Write ``tracks`` files of so many frames for every label, and ``told`` for instructions."""
    out.mkdir(parents=True, exist_ok=True)
    todo = [(label, "", seed, frames) for seed in range(tracks) for label in LABELS]
    todo += [
        ("idle", text, seed, TOLD_SECONDS * FPS) for seed in range(told) for text in INSTRUCTIONS
    ]
    for done, (label, text, seed, length) in enumerate(todo):
        name = text.replace(" ", "-") or label
        path = out / f"{name}-{seed:04d}.npz"
        if not path.exists():
            controls, felt = play(label, text, length, seed)
            partial = path.with_suffix(".partial")
            with partial.open("wb") as file:
                np.savez_compressed(
                    file, controls=controls.values, felt=felt.values, label=np.array(label),
                    text=np.array(text),
                )  # fmt: skip
            partial.replace(path)
        progress(done + 1, len(todo), name)


def play(label: str, text: str, frames: int, seed: int) -> tuple[ControlTrack, MouthTrack]:
    """What a session that plays the label, and is told the text, shows."""
    performer = Behaviour(seed, label=label, library=load_library())
    if text:
        performer.set_instruction(text)
    return Lookahead(performer, label=label, instruction=text, seed=seed).take(frames)


if __name__ == "__main__":
    raise SystemExit(main())
