"""The report of a run: ``report.md``, ``report.html`` and ``pictures/`` in its folder."""

from __future__ import annotations

from pathlib import Path

from engines.evaluate.case import Manifest
from engines.evaluate.metrics.catalogue import METRICS
from engines.evaluate.report import extras, pictures, tables
from engines.evaluate.report.document import Block, Document, Heading, Text, as_markdown
from engines.evaluate.report.html import as_html
from engines.evaluate.results import Run


def write_report(
    run: Run, manifest: Manifest | None, progress: pictures.Progress | None = None
) -> tuple[Path, Path]:
    """Write the report of a run into its folder.

    Args:
        run: What was measured.
        manifest: The set, for prompts and annotations; a report does without.
        progress: Told after the pictures of every case.

    Returns:
        Paths of the Markdown and of the HTML.
    """
    (run.folder / pictures.FOLDER).mkdir(parents=True, exist_ok=True)
    known = {case.id: case for case in manifest.cases} if manifest is not None else {}
    links = {case: f"case-{n + 1}" for n, case in enumerate(pictures.chosen(run))}
    blocks: list[Block] = [*main(run)]
    blocks += _section("By category", "categories", [*pictures.bars(run), *_by_category(run)])
    table = tables.worst(run, links)
    if table is not None:
        note = "The cases each row does worst. Failures say more than means: look at them first."
        blocks += _section("Worst cases", "worst", [Text(note, "note"), table])
    shown = pictures.of_cases(run, known, links, progress)
    if shown:
        note = (
            "Of every category the case with the largest Eye-LMD (mean over rows), then the next "
            f"ones, up to {pictures.MOST_CASES}."
        )
        blocks += _section("Cases", "cases", [Text(note, "note"), *shown])
    blocks += _section("Judges", "judges", extras.judges(run.folder))
    blocks += _section("Live stream", "live", extras.live(run.folder))
    if tables.measured_metrics(run):
        note = (
            "Means [95 % bootstrap interval: persons are drawn, then their cases] and the number "
            "of cases. Whether one row is better than another is what the command compare tells: "
            "intervals of two rows may overlap although one is better in every case."
        )
        blocks += _section("Intervals", "intervals", [Text(note, "note"), tables.intervals(run)])
    blocks += _section("Skipped cases", "skipped", tables.skipped(run))
    blocks += _section("The run", "run", extras.facts(run, manifest))
    document = Document(f"Evaluation: {run.facts.name}", tuple(blocks))
    return write(run.folder, "report", document)


def main(run: Run) -> list[Block]:
    """The main tables and what has to be known to read them."""
    found = tables.main_tables(run)
    if not found:
        return [Text("Nothing was measured.", "warning"), *tables.under_main(run)]
    blocks: list[Block] = []
    for title, table in found:
        blocks += [Heading(title, 2, title.split(",")[0].lower()), table]
    return blocks + tables.under_main(run)


def write(folder: Path, name: str, document: Document) -> tuple[Path, Path]:
    """Write a document twice, each whole or not at all."""
    out = []
    for suffix, text in ((".md", as_markdown(document)), (".html", as_html(document))):
        path = folder / (name + suffix)
        partial = path.with_name(path.name + ".partial")
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
        out.append(path)
    return out[0], out[1]


def _by_category(run: Run) -> list[Block]:
    out: list[Block] = []
    for key in tables.CATEGORICAL:
        if (table := tables.by_category(run, key)) is not None:
            out += [Heading(tables.heading(METRICS[key]), 3), table]
    return out


def _section(title: str, id: str, body: list[Block]) -> list[Block]:
    """Nothing where there is nothing to say."""
    return [Heading(title, 2, id), *body] if body else []
