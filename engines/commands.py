"""Command lines of several commands, each loaded only when asked for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from importlib import import_module

from core import SaccadeError


def main(name: str, about: str | None, commands: Mapping[str, tuple[str, str]]) -> int:
    """Run one of ``commands``; returns the exit status.

    Args:
        name: Of the package, as in ``python -m NAME``.
        about: Shown by ``--help``.
        commands: By name: the module, which has ``add_arguments(parser)`` and
            ``run(options, progress)``, and a line about it. Each may need packages of its own.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {name}", description=about)
    chosen = parser.add_subparsers(dest="command", required=True)
    for command, (module, line) in commands.items():
        if command in sys.argv[1:2]:
            part = import_module(module)
            part.add_arguments(chosen.add_parser(command, help=line))
        else:
            chosen.add_parser(command, help=line, add_help=False)
    options = parser.parse_args()
    try:
        part.run(options, progress)
    except SaccadeError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    print(file=sys.stderr)
    return 0


def progress(done: int, total: int, note: str) -> None:
    """A bar on standard error."""
    width = 30
    bar = "#" * (width * done // max(1, total))
    print(f"\r[{bar:<{width}}] {done}/{total} {note:<60.60}", end="", file=sys.stderr, flush=True)
