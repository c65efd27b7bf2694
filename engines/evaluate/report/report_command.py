"""Write the report of a run again: ``python -m engines.evaluate report RUN``."""

from __future__ import annotations

import argparse
from pathlib import Path

from engines.evaluate.case import load_manifest
from engines.evaluate.report.document import block_markdown
from engines.evaluate.report.page import main, write_report
from engines.evaluate.report.pictures import Progress
from engines.evaluate.results import load_run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("folder", type=Path, help="folder of a run")
    manifest = "the set it was made from: for prompts and annotations"
    parser.add_argument("--manifest", type=Path, help=manifest)


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Write the report and print its main tables.

    Raises:
        InvalidInput: The folder is no run, or the manifest is none.
    """
    found = load_run(options.folder)
    manifest = load_manifest(options.manifest) if options.manifest is not None else None
    paths = write_report(found, manifest, progress)
    print("\n\n" + "\n\n".join(block_markdown(block) for block in main(found)))
    print("\n" + "\n".join(str(path) for path in paths))
