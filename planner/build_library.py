"""``python -m planner.library``: build the prototype library from recordings, or report on it."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, TextIO

from core import InvalidInput, SaccadeError
from planner.blink_shapes import blink_shapes
from planner.categories import LABELS
from planner.library import SHIPPED, Library, load_library, save_library
from planner.recordings import Eyes, Recording, read_eyes, read_recordings
from planner.segments import segment
from planner.sources import Use
from planner.synthesis import lends, synthesise

DATA: Final = Path("data")
ENOUGH: Final = 4
"A category with fewer recorded prototypes than this gets synthetic ones beside them."
TO_SHIP: Final[tuple[Use, ...]] = ("training",)
BAR: Final = 30


def build(
    recordings: Sequence[Recording],
    eyes: Sequence[Eyes],
    *,
    without: Collection[str] = (),
    uses: Collection[Use] = TO_SHIP,
) -> Library:
    """A library of what may be used of these recordings; the same input gives the same library.

    Args:
        recordings: From `read_recordings`.
        eyes: From `read_eyes`.
        without: Persons to leave out, for instance to measure against them.
        uses: Terms that are good enough.

    Raises:
        InvalidInput: There is no clean blink to be had.
    """
    taken = [r for r in recordings if r.use in uses and r.person not in without]
    lids = [e for e in eyes if e.use in uses and e.person not in without]
    if not lids:
        raise InvalidInput("There is no eye openness recording that may be used for blinks.")
    blinks = blink_shapes(lids)
    recorded = [p for recording in taken for p in segment(recording)]
    count = Counter(p.category for p in recorded)
    missing = frozenset(label for label in LABELS if count[label] < ENOUGH)
    donors = [p for p in recorded if lends(p)]
    return Library((*recorded, *synthesise(missing, donors, blinks)), blinks)


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = _parser().parse_args(argv)
    try:
        if options.command == "report":
            from planner.library_report import report

            report(load_library(options.library), options.data, sys.stdout)
        else:
            _build(options)
    except SaccadeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _build(options: argparse.Namespace) -> None:
    bar = _Bar(sys.stderr, sum(1 for _ in options.data.glob("motion/**/*.csv*")))
    recordings = read_recordings(options.data, bar.step)
    bar.finish()
    uses: list[Use] = ["training"]
    uses += ["limited"] if options.include_limited else []
    uses += ["evaluation"] if options.include_evaluation else []
    library = build(recordings, read_eyes(options.data), without=options.exclude_person, uses=uses)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_library(library, options.out)
    kinds = Counter((p.category or "(none)", p.kind) for p in library.prototypes)
    for (category, kind), count in sorted(kinds.items()):
        print(f"{category:22s} {kind:10s} {count:4d}")
    size = options.out.stat().st_size
    print(f"{len(library.prototypes)} prototypes, {len(library.blinks)} blinks: {options.out}")
    print(f"{size / 1024:.0f} KiB")
    if options.include_limited or options.include_evaluation:
        print("This file holds material that may not be passed on: keep it to yourself.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m planner.library", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="make a library from recordings")
    make.add_argument("--data", type=Path, default=DATA, help="folder that holds motion/")
    make.add_argument("--out", type=Path, default=SHIPPED, help="file to write")
    make.add_argument(
        "--exclude-person", action="append", default=[], metavar="NAME", help="may be repeated"
    )
    make.add_argument(
        "--include-limited",
        action="store_true",
        help="also use recordings licensed below a revenue limit (for your own library)",
    )
    make.add_argument(
        "--include-evaluation",
        action="store_true",
        help="also use recordings meant for measuring only (never pass the result on)",
    )
    tell = commands.add_parser("report", help="print what building and retrieval do to dynamics")
    tell.add_argument("--data", type=Path, default=DATA, help="folder that holds motion/")
    tell.add_argument("--library", type=Path, default=SHIPPED, help="library to report on")
    return parser


class _Bar:
    """A progress bar on a terminal, and nothing elsewhere."""

    def __init__(self, out: TextIO, total: int) -> None:
        self._out, self._total, self._done = out, max(total, 1), 0
        self._live = out.isatty()

    def step(self, name: str) -> None:
        """One more file."""
        self._done += 1
        if self._live:
            share = min(self._done / self._total, 1.0)
            filled = "█" * round(BAR * share)
            self._out.write(f"\r{filled:░<{BAR}} {share:4.0%} {name[-44:]:44s}")
            self._out.flush()

    def finish(self) -> None:
        """Clear the line."""
        if self._live:
            self._out.write("\r" + " " * (BAR + 52) + "\r")
