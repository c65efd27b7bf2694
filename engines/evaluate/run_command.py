"""``run``: the benchmark over a manifest or a folder of clips, with its tables and its report."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from core import InvalidInput
from engines.evaluate.bench import Settings
from engines.evaluate.case import Manifest, load_manifest, save_manifest
from engines.evaluate.generators import TAKES, parse_row
from engines.evaluate.manifest_command import add_choices, make
from engines.evaluate.report.document import Document, as_markdown
from engines.evaluate.report.page import main as main_blocks
from engines.evaluate.report.page import write_report
from engines.evaluate.run import run_benchmark
from engines.video.shipped import SHIPPED

ROWS: Final = (
    "film", "still", "warp:keypoints", "puppet:keypoints", "puppet:inverted", "puppet:label",
)  # fmt: skip
"What is measured unless asked otherwise."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("source", type=Path, help="a manifest, or a folder of clips to make one of")
    known = ", ".join(f"{n}:{m}" if m != "none" else n for n, ms in TAKES.items() for m in ms)
    parser.add_argument("--rows", nargs="+", default=list(ROWS), metavar="ROW",
                        help=f"{known}, or folder:PATH of videos named CASE.mp4")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("evaluation"), help="the run's folder")
    parser.add_argument("--size", type=int, choices=(256, 512), default=256)
    parser.add_argument("--weights", type=Path, help="folder of networks' weights")
    parser.add_argument("--networks", type=Path, default=SHIPPED,
                        help="folder of the generator's weights, for rows of dit")  # fmt: skip
    parser.add_argument("--fvd", action="store_true", help="clip features too: seconds a clip")
    parser.add_argument("--no-films", action="store_true", help="keep no videos: no sheets then")
    add_choices(parser)


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Measure, print the table, write the report.

    Raises:
        SaccadeError: Something named is not there or can not be used.
    """
    rows = [parse_row(spec) for spec in dict.fromkeys(options.rows)]
    if len({row.name for row in rows}) < len(rows):
        raise InvalidInput("Two rows have the same name: rename one of the folders.")
    settings = Settings(
        options.out, options.size, options.extractor, options.landmarker, options.weights,
        films=not options.no_films, video_features=options.fvd,
        networks=options.networks,
    )  # fmt: skip
    manifest = _manifest(options, progress)
    run_ = run_benchmark(manifest, rows, settings, workers=max(1, options.workers), told=progress)
    pages = write_report(run_, manifest, progress)
    print("\n" + as_markdown(Document(run_.facts.name, tuple(main_blocks(run_)))))
    print("\n" + "\n".join(str(page) for page in pages))


def _manifest(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> Manifest:
    if options.source.is_file():
        return load_manifest(options.source)
    path: Path = options.out / "manifest.json"
    if path.exists():
        return load_manifest(path)
    manifest = make(options.source, options, progress)
    save_manifest(manifest, path)
    return manifest
