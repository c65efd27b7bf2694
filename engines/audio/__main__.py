"""``python -m engines.audio``: make speech data, train, export and judge the audio encoder."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

from core import SaccadeError

COMMANDS = {
    "synthesise": (
        "engines.audio.sources.synthesise",
        "speech of synthetic voices, with phone times",
    ),
    "align": ("engines.audio.sources.align", "phone times for recordings of real speech"),
    "bank": ("engines.audio.bank", "speech to what training reads"),
    "train": ("engines.audio.train", "train the encoder"),
    "export": ("engines.audio.export", "a checkpoint to the files that ship"),
    "evaluate": ("engines.audio.evidence.evaluate", "a table of how well the mouth follows speech"),
    "speed": ("engines.audio.evidence.speed", "what hearing costs on one core"),
    "film": ("engines.audio.evidence.film", "videos and sheets to look at"),
}


def _progress(done: int, total: int, note: str) -> None:
    width = 30
    bar = "#" * (width * done // max(1, total))
    print(f"\r[{bar:<{width}}] {done}/{total} {note:<60.60}", end="", file=sys.stderr, flush=True)


def main() -> int:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(prog="python -m engines.audio", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (module, about) in COMMANDS.items():
        # Each command needs packages of its own: torch, a synthesiser, an aligner.
        if name in sys.argv[1:2]:
            part = import_module(module)
            part.add_arguments(commands.add_parser(name, help=about))
        else:
            commands.add_parser(name, help=about, add_help=False)
    options = parser.parse_args()
    try:
        part.run(options, _progress)
    except SaccadeError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print(file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
