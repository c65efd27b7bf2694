"""The pictures of a report: which cases are shown, and their sheets and curves."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, TypeAlias
from zipfile import BadZipFile, is_zipfile

import numpy as np

from core import CHANNELS, F32, InvalidInput
from engines.evaluate.case import Case
from engines.evaluate.report.document import Block, Heading, Picture, Text
from engines.evaluate.report.moments import Moment, moments
from engines.evaluate.report.plots import MOST_ROWS, case_curves, category_bars, save
from engines.evaluate.report.sheets import eye_boxes, load_stills, save_jpeg, sheet
from engines.evaluate.report.tables import categories, in_order, values
from engines.evaluate.results import TRUTH, Curves, Run, film_path, load_curves
from engines.landmarks import FaceMesh

Progress: TypeAlias = Callable[[int, int, str], None]

FOLDER: Final = "pictures"
MOST_CASES: Final = 8
MOMENTS: Final = 8


def chosen(run: Run) -> list[str]:
    """Cases that are shown: of every category the one with the largest Eye-LMD, then the next ones.

    Eye-LMD is the mean over rows, so that all rows are looked at where they are hard pressed.
    """
    of = categories(run)
    marks: dict[str, list[float]] = {case: [] for case in of}
    for row in run.rows:
        for case, value in values(run, row, "eye_lmd").items():
            marks[case].append(value)
    worst = sorted(of, key=lambda case: (-float(np.mean(marks[case] or [0])), case))
    firsts = {name: next(c for c in worst if of[c] == name) for name in in_order(of.values())}
    return list(dict.fromkeys([*firsts.values(), *worst]))[:MOST_CASES]


def bars(run: Run) -> list[Block]:
    """The plot of AU-F1 and AU-Temp by category."""
    figure = category_bars(run)
    if figure is None:
        return []
    path = f"{FOLDER}/categories.png"
    size = save(figure, run.folder / path)
    return [Picture(path, "AU-F1 and AU-Temp by category.", size)]


def of_cases(
    run: Run, known: Mapping[str, Case], links: Mapping[str, str], progress: Progress | None
) -> list[Block]:
    """Sheets and curves of some cases.

    Args:
        run: The run.
        known: Cases of the manifest by id, where there is one.
        links: By case, the id of its heading: what is shown, in order.
        progress: Told after every case.
    """
    out: list[Block] = []
    if not links:
        return out
    with FaceMesh() as meshes:
        for done, (case, link) in enumerate(links.items()):
            out += _case(run, case, known.get(case), link, meshes)
            if progress is not None:
                progress(done + 1, len(links), f"pictures of {case}")
    return out


def _case(run: Run, case: str, known: Case | None, link: str, meshes: FaceMesh) -> list[Block]:
    out: list[Block] = [Heading(f"{case} · {categories(run)[case]}", 3, link)]
    if known is not None and known.prompt:
        out.append(Text(f"“{known.prompt}”", "note"))
    rows = [row for row in run.rows if any(m.case == case and m.row == row for m in run.measured)]
    rows = rows[:MOST_ROWS]
    curves = {row: found for row in rows if (found := _curves(run.folder, case, row)) is not None}
    truth = next(iter(curves.values())).truth if curves else None
    when = moments(truth, MOMENTS) if truth is not None else []
    # Without curves nothing is known of the length: the first two seconds, evenly.
    when = when or [Moment(7 * k) for k in range(MOMENTS)]
    stills = load_stills(run.folder, case, rows, when)
    boxes = eye_boxes(stills[0], when, meshes)
    for name, about, part in (
        ("eyes", "Eyes where the truth does most; all rows show the same part", boxes),
        ("face", "The same moments, whole picture", {}),
    ):
        picture = sheet(stills, when, part)
        path = f"{FOLDER}/{link}-{name}.jpg"
        save_jpeg(run.folder / path, picture)
        out.append(Picture(path, f"{about}: {case}.", (picture.shape[1], picture.shape[0])))
    figure = case_curves(curves, known.annotations if known else (), case)
    if figure is None:
        out.append(Text("Its curves are not there.", "note"))
    else:
        path = f"{FOLDER}/{link}-curves.png"
        size = save(figure, run.folder / path)
        out.append(
            Picture(path, f"Asked for (dashed), seen (blue) and truth (grey): {case}.", size)
        )
    return out


def _curves(folder: Path, case: str, row: str) -> Curves | None:
    """Curves of a row, None where there are none or they make no sense."""
    beside = film_path(folder, case, TRUTH).parent
    try:
        if not all(is_zipfile(beside / f"{name}.npz") for name in (TRUTH, row)):
            return None
        curves = load_curves(folder, case, row)
    except (InvalidInput, OSError, ValueError, BadZipFile, zlib.error):
        return None
    parts = [_checked(part) for part in (curves.asked, curves.seen, curves.truth)]
    asked, seen, truth = parts
    return None if seen is None or truth is None else Curves(asked, seen, truth)


def _checked(controls: F32 | None) -> F32 | None:
    if controls is None or controls.ndim != 2 or controls.shape[1] != len(CHANNELS):
        return None
    if not np.issubdtype(controls.dtype, np.floating) or not len(controls):
        return None
    return controls.astype(np.float32)
