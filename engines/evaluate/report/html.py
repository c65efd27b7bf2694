"""A report as one HTML page: no scripts, nothing fetched but the pictures beside it."""

from __future__ import annotations

from html import escape
from typing import Final

from engines.evaluate.report.document import (
    Block,
    Cell,
    Document,
    Heading,
    Picture,
    Points,
    Row,
    Table,
    Text,
)
from engines.markdown import plain

STYLE: Final = """
:root { color-scheme: light dark; --page: #fbfbfa; --ink: #1c1e21; --faint: #63686f;
  --line: #dcdee1; --band: #f1f2f3; --best: #0b6b45; --link: #0a58a8; --warn: #8a4b00;
  --card: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --page: #131518; --ink: #e4e6e8; --faint: #9aa0a8;
  --line: #2e3238; --band: #1c1f24; --best: #5fd3a0; --link: #7db8f5; --warn: #f0b45c;
  --card: #181b1f; } }
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1320px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .6rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: .9rem;
  border-top: 1px solid var(--line); overflow-wrap: anywhere; }
h3 { font-size: 1.02rem; margin: 1.7rem 0 .5rem; overflow-wrap: anywhere; }
p { margin: .5rem 0; max-width: 78ch; overflow-wrap: anywhere; }
.note { color: var(--faint); font-size: .9rem; }
.warning { color: var(--warn); border-left: 3px solid var(--warn); padding-left: .8rem; }
ul { margin: .4rem 0; padding-left: 1.2rem; max-width: 84ch; overflow-wrap: anywhere; }
li { margin: .15rem 0; }
a { color: var(--link); }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1rem; margin: .8rem 0; font-size: .92rem; }
.scroll { overflow-x: auto; margin: .8rem 0; width: fit-content; max-width: 100%;
  border: 1px solid var(--line); border-radius: 8px; background: var(--card); }
table { border-collapse: separate; border-spacing: 0; font-size: .9rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .38rem .8rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
tbody tr:last-child > * { border-bottom: 0; }
thead th { color: var(--faint); font-weight: 600; background: var(--band); vertical-align: bottom; }
thead th[title] { cursor: help; }
.t { text-align: left; }
.w { white-space: normal; min-width: 14rem; max-width: 44rem; overflow-wrap: anywhere; }
th:first-child { position: sticky; left: 0; z-index: 1; text-align: left; font-weight: 600;
  background: var(--card); max-width: 46vw; overflow: hidden; text-overflow: ellipsis; }
thead th:first-child { background: var(--band); }
.foreign > * { color: var(--faint); font-style: italic; font-weight: 400; }
.foreign.first > * { border-top: 3px double var(--line); }
td strong { color: var(--best); }
small { color: var(--faint); font-size: .8em; margin-left: .3em; }
figure { margin: .8rem 0; }
figure .scroll { width: 100%; background: #16181c; border-color: #16181c; margin: 0; }
figure img { display: block; width: 100%; height: auto; min-width: 760px; }
figcaption { color: var(--faint); font-size: .85rem; margin-top: .3rem; overflow-wrap: anywhere; }
@media (max-width: 640px) { main { padding: 16px 12px 48px; } h1 { font-size: 1.35rem; }
  th, td { padding: .34rem .5rem; } }
@media print { .scroll { overflow: visible; } figure img { min-width: 0; } }
"""
WIDE: Final = 40
"Characters from which the text of a cell may take several lines."


def as_html(document: Document) -> str:
    """The whole report, one page."""
    title = _safe(document.title)
    links = [
        f'<a href="#{_safe(block.id)}">{_safe(block.text)}</a>'
        for block in document.blocks
        if isinstance(block, Heading) and block.level == 2 and block.id
    ]
    contents = f"<nav>{' '.join(links)}</nav>\n" if links else ""
    body = "\n".join(_block(block) for block in document.blocks)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # Whatever a name might smuggle in past the escaping could still load and run nothing.
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "img-src 'self' file:; style-src 'unsafe-inline'\">\n"
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{title}</h1>\n{contents}{body}\n</main>\n</body>\n</html>\n"
    )


def _block(block: Block) -> str:
    match block:
        case Heading(text, level, id):
            mark = f' id="{_safe(id)}"' if id else ""
            return f"<h{level}{mark}>{_safe(text)}</h{level}>"
        case Text(text, kind):
            return f'<p class="{kind}">{_safe(text)}</p>' if kind else f"<p>{_safe(text)}</p>"
        case Points(items):
            return f"<ul>{''.join(_point(*item) for item in items)}</ul>"
        case Picture(path, about, (width, height)):
            link, alt = escape(path), _safe(about)
            return (
                f'<figure><div class="scroll"><a href="{link}"><img src="{link}" alt="{alt}" '
                f'width="{width}" height="{height}" loading="lazy"></a></div>'
                f"<figcaption>{alt}</figcaption></figure>"
            )
        case Table():
            return _table(block)


def _point(name: str, about: str) -> str:
    lead = f"<b>{_safe(name)}</b>{': ' if about else ''}" if name else ""
    return f"<li>{lead}{_safe(about)}</li>"


def _table(block: Table) -> str:
    hints = block.hints or ("",) * len(block.heads)
    heads = "".join(
        f'<th scope="col"{" class=t" if i in block.texts else ""}'
        f"{f' title={chr(34)}{_safe(hint)}{chr(34)}' if hint else ''}>{_safe(head)}</th>"
        for i, (head, hint) in enumerate(zip(block.heads, hints, strict=True))
    )
    rows, before = [], False
    for row in block.rows:
        kind = " ".join(["foreign"] * row.foreign + ["first"] * (row.foreign and not before))
        before = row.foreign
        rows.append(f"<tr{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{_row(row, block)}")
    body = "</tr>\n".join(rows) + ("</tr>" if rows else "")
    return (
        f'<div class="scroll"><table>\n<thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _row(row: Row, block: Table) -> str:
    out = []
    for i, cell in enumerate(row.cells):
        kinds = ["t"] * (i in block.texts) + ["w"] * (0 < i and len(cell.text) > WIDE)
        mark = f' class="{" ".join(kinds)}"' if kinds else ""
        if i:
            out.append(f"<td{mark}>{_cell(cell)}</td>")
        else:
            out.append(f'<th scope="row" title="{_safe(cell.text)}"{mark}>{_cell(cell)}</th>')
    return "".join(out)


def _cell(cell: Cell) -> str:
    text = _safe(cell.text)
    if cell.strong:
        text = f"<strong>{text}</strong>"
    if cell.link:
        text = f'<a href="#{_safe(cell.link)}">{text}</a>'
    return f"{text}<small>{_safe(cell.note)}</small>" if cell.note else text


def _safe(text: str) -> str:
    return escape(plain(text, 2000))
