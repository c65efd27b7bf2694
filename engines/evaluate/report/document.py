"""What a report is made of, written once as Markdown and once as HTML (see `html`).

Blocks hold plain text, as hostile as file names can be; the two writers make it safe.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from engines.markdown import escape, plain, table


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a table."""

    text: str
    strong: bool = False
    "The best of its kind."
    note: str = ""
    "Small print behind it."
    link: str = ""
    "Id of the `Heading` it leads to."


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table; the first cell is its heading."""

    cells: tuple[Cell, ...]
    foreign: bool = False
    "From somewhere else: set apart from what was measured here."


@dataclass(frozen=True, slots=True)
class Table:
    """A table; every row is as long as ``heads``."""

    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    texts: tuple[int, ...] = (0,)
    "Columns that hold text, not numbers."
    hints: tuple[str, ...] = ()
    "What each column means, shown on pointing at it; none, or one for each."


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 2 begins a section."""

    text: str
    level: int = 2
    id: str = ""


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str
    kind: Literal["", "note", "warning"] = ""


@dataclass(frozen=True, slots=True)
class Points:
    """A list: a name (may be empty) and what is said about it."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture beside the page; ``path`` is relative to it and our own, never foreign."""

    path: str
    about: str
    size: tuple[int, int]
    "Width and height, pixels."


Block: TypeAlias = Table | Heading | Text | Points | Picture


@dataclass(frozen=True, slots=True)
class Document:
    """A report."""

    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)


def cells(*texts: str) -> tuple[Cell, ...]:
    """Cells of plain text."""
    return tuple(Cell(text) for text in texts)


def as_markdown(document: Document) -> str:
    """The whole report, Markdown."""
    parts = [f"# {_safe(document.title)}", *(block_markdown(block) for block in document.blocks)]
    return "\n\n".join(parts) + "\n"


def block_markdown(block: Block) -> str:
    """One block, Markdown."""
    match block:
        case Heading(text, level):
            return f"{'#' * level} {_safe(text)}"
        case Text(text, kind):
            return f"> {_safe(text)}" if kind else _safe(text)
        case Points(items):
            return "\n".join(
                f"- {_safe(name)}{': ' if name and about else ''}{_safe(about)}"
                for name, about in items
            )
        case Picture(path, about):
            return f"![{_safe(about)}]({path})"
        case Table(heads, rows):
            return table([_safe(head) for head in heads], [_cells(row) for row in rows])


def _cells(row: Row) -> list[str]:
    out = []
    for cell in row.cells:
        text = _safe(cell.text)
        # Stars around blanks are no markup.
        text = f"**{text}**" if cell.strong and text else text
        out.append(f"{text} {_safe(cell.note)}" if cell.note else text)
    return out


def _safe(text: str) -> str:
    return escape(plain(text, 2000))
