"""Markdown tables, and text from anywhere made safe to stand in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

LONGEST: Final = 300
"Characters of one foreign text."
_SPECIAL: Final = re.compile(
    r"[\\`*<>|#~$]"  # code, emphasis, HTML, cells, headings, mathematics
    r"|\](?=[(\[:])"  # links, pictures, definitions
    r"|&(?=[#\w])"  # entities
    r"|(?<!\w)_|_(?!\w)"  # emphasis, which begins and ends at the ends of words
)


def plain(text: str, longest: int = LONGEST) -> str:
    """One line of printable characters, cut where it is too long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * longest]).split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def escape(text: str) -> str:
    """Text that Markdown shows as it is: no markup, no HTML, no end of a cell."""
    return _SPECIAL.sub(r"\\\g<0>", text)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table with even columns; cells are Markdown already (see `escape`)."""
    every = [heads, *rows]
    widths = [max(len(cell) for cell in column) for column in zip(*every, strict=True)]
    lines = [
        " | ".join(cell.ljust(n) for cell, n in zip(cells, widths, strict=True)) for cells in every
    ]
    lines.insert(1, " | ".join("-" * n for n in widths))
    return "\n".join(f"| {line} |" for line in lines)
