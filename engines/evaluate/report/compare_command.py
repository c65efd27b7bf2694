"""Which of two runs is better: ``python -m engines.evaluate compare A B [--row ROW ...]``."""

from __future__ import annotations

import argparse
from pathlib import Path

from core import InvalidInput
from engines.evaluate.report.compare import (
    as_document,
    forest,
    other_rulers,
    pair,
    pairs_of,
    unlike,
)
from engines.evaluate.report.document import Block, Picture, as_markdown
from engines.evaluate.report.page import write
from engines.evaluate.report.pictures import FOLDER, Progress
from engines.evaluate.report.plots import save
from engines.evaluate.results import load_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("a", type=Path, help="folder of a run")
    parser.add_argument("b", type=Path, help="folder of another, or the same for rows of one run")
    rows = "a row of both, or ROW_OF_A:ROW_OF_B; default: all they share"
    parser.add_argument("--row", action="append", default=[], metavar="ROW", help=rows)
    anyway = "compare although extractor, size or scales differ"
    parser.add_argument("--anyway", action="store_true", help=anyway)
    parser.add_argument("--out", type=Path, help="folder for compare.md and compare.html")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Compare, print, and write if asked to.

    Raises:
        InvalidInput: A folder is no run, rows are not there, or the runs can not be compared.
    """
    a, b = load_run(options.a), load_run(options.b)
    warnings = unlike(a, b)
    if warnings and not options.anyway:
        raise InvalidInput(
            f"The runs were not measured alike ({'; '.join(warnings)}). Measure one of them again "
            "as the other was, or say --anyway."
        )
    left_out = other_rulers(a, b)
    chosen = pairs_of(a, b, options.row)
    found = []
    for rows in chosen:
        found.append(pair(a, b, rows, left_out))
        progress(len(found), len(chosen), rows[0])
    print("\n" + as_markdown(as_document(a, b, found, warnings, left_out)))
    if options.out is None:
        return
    blocks: list[Block] = []
    (options.out / FOLDER).mkdir(parents=True, exist_ok=True)
    if (figure := forest(found)) is not None:
        path = f"{FOLDER}/forest.png"
        about = "Differences with 95 % intervals; right of the line B is better."
        blocks.append(Picture(path, about, save(figure, options.out / path)))
    document = as_document(a, b, found, warnings, left_out, blocks)
    print("\n".join(str(path) for path in write(options.out, "compare", document)))
