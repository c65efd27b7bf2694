"""Reports and comparisons: of real films of puppets, and of whatever a run's files may say."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core import CHANNEL, CHANNELS, InvalidInput, Portrait
from engines.evaluate.case import Annotation, Manifest, save_manifest
from engines.evaluate.metrics.catalogue import METRICS
from engines.evaluate.report import compare_command, report_command
from engines.evaluate.report.anchors import ANCHORS
from engines.evaluate.report.compare import other_rulers, pair, pairs_of, unlike
from engines.evaluate.report.document import (
    Cell,
    Document,
    Heading,
    Picture,
    Points,
    Row,
    Table,
    Text,
    as_markdown,
    cells,
)
from engines.evaluate.report.extras import judges, live
from engines.evaluate.report.films import stills
from engines.evaluate.report.html import as_html
from engines.evaluate.report.moments import APART, moments
from engines.evaluate.report.page import write_report
from engines.evaluate.report.pictures import chosen
from engines.evaluate.report.plots import PANELS, case_curves, category_bars, label, save
from engines.evaluate.report.sheets import EYES, WIDTH, Stills, eye_boxes, load_stills, sheet
from engines.evaluate.report.tables import best, heading, main_tables, number, values, worst
from engines.evaluate.results import (
    Curves,
    Facts,
    Measured,
    Run,
    film_path,
    load_curves,
    load_run,
    write_json,
)
from engines.landmarks import FaceMesh
from engines.markdown import escape, plain, table
from tests.engines.evaluate.fake_run import ROWS, build_run

HOSTILE = (
    "<script>alert(1)</script> | `x` \\| $\\frac$ _a_ [l](javascript:1) \ud800 \x00 \U0001f9ff"
)
FACTS = Facts("set", "2025-01-01T00:00:00Z", "command", 256, "extractor")


class Page(HTMLParser):
    """Tags, attributes and tables of a page; raises where tags do not match."""

    EMPTY = ("meta", "img", "br", "link", "input")

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if "small" not in self.open and ("td" in self.open or "th" in self.open):
            self.tables[-1][-1][-1] += data


@pytest.fixture(scope="session")
def puppets(tmp_path_factory: pytest.TempPathFactory, portrait: Portrait) -> tuple[Run, Manifest]:
    return build_run(tmp_path_factory.mktemp("run"), portrait)


@pytest.fixture(scope="session")
def report(puppets: tuple[Run, Manifest]) -> tuple[Path, Path]:
    return write_report(*puppets)


def made_up(measured: list[Measured], rows: tuple[str, ...], folder: Path, **more: Any) -> Run:
    return Run(folder, FACTS, rows, tuple(measured), more.pop("skipped", {}), **more)


# --- the whole report ------------------------------------------------------------------------


def test_the_report_has_all_its_parts(
    puppets: tuple[Run, Manifest], report: tuple[Path, Path]
) -> None:
    run, manifest = puppets
    markdown, html = (path.read_text() for path in report)
    page = Page(html)
    ids = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    assert {"eyes", "picture", "categories", "worst", "cases", "intervals", "skipped",
            "run", "case-1", "case-2", "case-3"} <= ids  # fmt: skip
    for text in ("SFace instead of ArcFace", "I3D weights not found", "no face is found",
                 manifest.cases[0].prompt, "not be compared one to one"):  # fmt: skip
        assert text in "".join(page.texts)
        assert escape(text) in markdown
    links = {attrs["href"] for tag, attrs in page.tags if tag == "a"}
    assert {link for link in links if link and link.startswith("#")} <= {f"#{id}" for id in ids}


def test_every_picture_is_there_and_as_large_as_said(report: tuple[Path, Path]) -> None:
    page = Page(report[1].read_text())
    pictures = [attrs for tag, attrs in page.tags if tag == "img"]
    assert len(pictures) == 1 + 3 * 3
    for attrs in pictures:
        with Image.open(report[1].parent / str(attrs["src"])) as picture:
            assert [str(n) for n in picture.size] == [attrs["width"], attrs["height"]]
            assert picture.size[0] == WIDTH
            assert np.asarray(picture).std() > 5
        assert f"]({attrs['src']})" in report[0].read_text()


def test_the_page_fetches_nothing_from_elsewhere(report: tuple[Path, Path]) -> None:
    html = report[1].read_text()
    page = Page(html)
    assert "script" not in {tag for tag, _ in page.tags}
    targets = [v for _, attrs in page.tags for k, v in attrs.items() if k in ("href", "src")]
    assert targets and all(str(t).startswith(("#", "pictures/")) for t in targets)
    assert "://" not in html.split("</style>")[0] and "@import" not in html


def test_the_report_can_be_written_again_by_command(
    puppets: tuple[Run, Manifest], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, manifest = puppets
    folder = tmp_path / "copy"
    shutil.copytree(run.folder, folder)
    for case in list(manifest.cases)[1:]:
        shutil.rmtree(folder / "cases" / case.id)
    save_manifest(manifest, tmp_path / "set.json")
    parser = argparse.ArgumentParser()
    report_command.add_arguments(parser)
    told: list[tuple[int, int, str]] = []
    options = parser.parse_args([str(folder), "--manifest", str(tmp_path / "set.json")])
    report_command.run(options, lambda *a: told.append(a))
    assert told[-1][:2] == (1, 1)
    assert "Eye-LMD ↓" in capsys.readouterr().out
    assert (folder / "report.html").exists()


# --- tables ----------------------------------------------------------------------------------

NAME = st.text(min_size=1, max_size=12) | st.just(HOSTILE)
VALUE: st.SearchStrategy[Any] = (
    st.floats() | st.integers() | st.none() | st.text(max_size=3) | st.booleans()
)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(NAME, max_size=3, unique=True),
    names=st.lists(NAME, max_size=4, unique=True),
    data=st.data(),
)
def test_whatever_a_run_holds_its_report_says_the_means(
    rows: list[str], names: list[str], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("wild")
    keys = st.sampled_from([*list(METRICS)[:4], "fid", "unknown"])
    measured = [
        Measured(case, row, data.draw(NAME | st.just("")), "person",
                 data.draw(st.dictionaries(keys, VALUE, max_size=4)))
        for row in rows for case in names
    ]  # fmt: skip
    notes = data.draw(st.dictionaries(NAME, NAME, max_size=2))
    run = made_up(measured, tuple(rows), folder, skipped=notes)
    run = replace(run, facts=replace(FACTS, name=HOSTILE, missing=notes, stand_ins=notes))
    # Pictures of cases without any file are made by a test of their own: they take a second.
    quick = pytest.MonkeyPatch()
    with quick.context() as patch:
        patch.setattr("engines.evaluate.report.pictures.of_cases", lambda *_: [])
        patch.setattr("engines.evaluate.report.pictures.bars", lambda *_: [])
        markdown, html = write_report(run, None)
    page = Page(html.read_text(encoding="utf-8"))
    assert "script" not in {tag for tag, _ in page.tags}
    main = [t for t in page.tables if t and t[0][:2] == ["row", "cases"]]
    lines = [line.split(" | ") for line in markdown.read_text(encoding="utf-8").splitlines()]
    for key in ("eye_lmd", "au_f1"):
        for at, row in enumerate(rows):
            found = list(values(run, row, key).values())
            if not found:
                continue
            shown = number(float(np.mean(found)), METRICS[key])
            column = main[0][0].index(heading(METRICS[key]))
            assert main[0][1 + at][column] == shown
            assert any(shown in cell for line in lines for cell in line)


def test_best_is_bold_and_ties_are_all_best(tmp_path: Path) -> None:
    numbers = {"x": (0.01, 0.9, -40.0), "y": (0.02, 0.90001, 30.0), "z": (0.5, 0.1, 80.0)}
    keys = ("eye_lmd", "au_f1", "sync_lag")
    measured = [
        Measured("a", row, "fear", "P", dict(zip(keys, of, strict=True)))
        for row, of in numbers.items()
    ]
    run = made_up(measured, ("x", "y", "z"), tmp_path)
    strong = {
        (table.heads[i], row.cells[0].text)
        for _, table in main_tables(run) for row in table.rows
        for i, cell in enumerate(row.cells) if cell.strong
    }  # fmt: skip
    assert strong == {("Eye-LMD ↓", "x"), ("AU-F1 ↑", "x"), ("AU-F1 ↑", "y"),
                      ("mouth/audio lag, ms →0", "y")}  # fmt: skip
    assert best({"only": 1.0}, METRICS["au_f1"]) == set()
    assert best({"one": 1.0, "none": float("nan")}, METRICS["au_f1"]) == set()


def test_the_papers_numbers_stand_apart_and_as_printed(puppets: tuple[Run, Manifest]) -> None:
    rows = [row for _, table in main_tables(puppets[0]) for row in table.rows]
    foreign = [row for row in rows if row.foreign]
    assert {row.cells[0].text for row in foreign} == set(ANCHORS)
    assert not any(cell.strong for row in foreign for cell in row.cells)
    sonic = next(row for row in foreign if row.cells[0].text == "Sonic")
    assert [cell.text for cell in sonic.cells[2:5]] == ["0.0395", "0.571", "0.525"]


def test_fewer_cases_are_said(tmp_path: Path) -> None:
    measured = [
        Measured("a", "x", "fear", "P", {"eye_lmd": 0.1, "au_f1": 0.5}),
        Measured("b", "x", "fear", "P", {"eye_lmd": 0.2}),
    ]
    cell = main_tables(made_up(measured, ("x",), tmp_path))[0][1].rows[0].cells
    assert [(c.text, c.note) for c in cell] == [
        ("x", ""), ("2", ""), ("0.1500", ""), ("0.500", "(1)"),
    ]  # fmt: skip


def test_worst_cases_come_first(tmp_path: Path) -> None:
    measured = [
        Measured(case, "x", "fear", "P", {"eye_lmd": lmd, "au_f1": f1})
        for case, lmd, f1 in (("a", 0.01, 0.1), ("b", 0.9, 0.8), ("c", 0.5, 0.3), ("d", 0.02, 0.9))
    ]
    found = worst(made_up(measured, ("x",), tmp_path), {"b": "case-1"})
    assert found is not None
    assert [row.cells[1].text for row in found.rows] == ["b", "c", "d"]
    assert [row.cells[3].text for row in found.rows] == ["a", "c", "b"]
    assert found.rows[0].cells[1].link == "case-1"


def test_shown_cases_are_of_every_category_first(tmp_path: Path) -> None:
    measured = [
        Measured(f"{category}{i}", "x", category, "P", {"eye_lmd": i / 10})
        for category in ("fear", "anger", "idle") for i in range(9)
    ]  # fmt: skip
    found = chosen(made_up(measured, ("x",), tmp_path))
    assert found[:3] == ["anger8", "fear8", "idle8"]
    assert len(found) == 8 and found[3:6] == ["anger7", "fear7", "idle7"]


# --- Markdown and HTML -----------------------------------------------------------------------


@given(st.text())
def test_foreign_text_stays_text(text: str) -> None:
    table_ = Table(("a", "b"), (Row((Cell(text, True, text, text), Cell(text))),))
    document = Document(text, (Heading(text, 2, text), Text(text), Points(((text, text),)), table_,
                               Picture("p.png", text, (1, 1))))  # fmt: skip
    page = Page(as_html(document))
    assert {tag for tag, _ in page.tags} <= {
        "html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "nav", "a", "p",
        "ul", "li", "b", "div", "table", "thead", "tbody", "tr", "th", "td", "strong", "small",
        "figure", "img", "figcaption",
    }  # fmt: skip
    assert page.tables[0][1] == [plain(text, 2000)] * 2
    markdown = as_markdown(document)
    markdown.encode("utf-8")
    bare = markdown.replace("\\\\", "").replace("\\|", "")
    lines = [line for line in bare.splitlines() if line.startswith("| ")]
    assert len(lines) == 3 and all(line.count("|") == 3 for line in lines)


def test_markdown_tables_have_even_columns() -> None:
    lines = table(["a", "long head"], [["x|y".replace("|", "\\|"), "1"], ["z", "2"]]).splitlines()
    assert len({len(line) for line in lines}) == 1
    assert escape("a|b<c>") == "a\\|b\\<c\\>"
    assert plain("a\nb\x00\ud800c" + "d" * 400) == "a b c" + "d" * 294 + "…"


# --- judges and live -------------------------------------------------------------------------

KEYS = st.sampled_from(["rows", "x", "mean", "low", "n", "model"])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(KEYS, part, max_size=4),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(JSON)
def test_any_judges_and_live_file_is_borne(
    tmp_path_factory: pytest.TempPathFactory, data: object
) -> None:
    folder = tmp_path_factory.mktemp("extras")
    for name in ("judges.json", "judge_pairs.json", "live.json"):
        write_json(folder / name, data)
    blocks = judges(folder) + live(folder)
    assert blocks
    Page(as_html(Document("x", blocks)))


def test_judges_and_live_are_shown(tmp_path: Path) -> None:
    mark = {"mean": 3.25, "low": 3, "high": 3.5, "n": 12}
    write_json(
        tmp_path / "judges.json",
        {"rows": {"x": {"motion": mark}}, "model": "m", "warnings": ["unsure"]},
    )
    fps = {"value": 24.97, "unit": "1/s", "goal": "25"}
    write_json(tmp_path / "live.json", {"fps": fps, "freezes": 0})
    (_, marks, _, unsure), stream = judges(tmp_path), live(tmp_path)[0]
    assert unsure == Text("unsure", "warning")
    assert isinstance(marks, Table) and isinstance(stream, Table)
    assert marks.rows[0].cells == (Cell("x"), Cell("3.25 [3, 3.5]", note="n 12"))
    assert [row.cells for row in stream.rows] == [
        cells("fps", "24.97", "1/s", "25"), cells("freezes", "0", "–", "–"),
    ]  # fmt: skip
    (tmp_path / "live.json").write_text("[" * 100_000)
    assert isinstance(live(tmp_path)[0], Text)
    assert judges(tmp_path / "none") == live(tmp_path / "none") == []


# --- moments, films, sheets ------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 90), st.integers(1, 10), st.integers(0, 2**32 - 1))
def test_moments_are_in_order_and_within_the_clip(frames: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.random((frames, len(CHANNELS)), np.float32)
    truth[rng.random(frames) < 0.2] = np.nan
    found = [moment.frame for moment in moments(truth, count)]
    assert found == sorted(set(found)) and len(found) == min(count, frames)
    assert all(0 <= frame < frames for frame in found)


def test_moments_find_what_the_eyes_do() -> None:
    truth = np.zeros((75, len(CHANNELS)), np.float32)
    for name, at in (("AU45_L", 20), ("AU45_R", 20), ("gaze_left", 40), ("AU4", 41), ("AU1_L", 60),
                     ("AU1_R", 60), ("AU2_L", 60), ("AU2_R", 60)):  # fmt: skip
        truth[at, CHANNEL[name]] = 1
    found = {moment.frame: moment.why for moment in moments(truth, 6)}
    assert found[20] == "lids shut 1.00" and found[40] == "gaze left 1.00"
    assert found[60] == "brows up 1.00"
    assert 40 + 1 not in found, f"{APART} frames apart"
    assert [moment.frame for moment in moments(np.zeros_like(truth), 3)] == [0, 37, 74]


def test_stills_are_the_frames_asked_for(puppets: tuple[Run, Manifest]) -> None:
    run, manifest = puppets
    case = next(case.id for case in manifest.cases if case.category == "drowsiness")
    found = stills(film_path(run.folder, case, "truth"), [0, 22, 29, 500])
    assert sorted(found) == [0, 22, 29]
    assert all(frame.shape == (256, 256, 3) for frame in found.values())
    # The lids are shut in frame 22.
    assert abs(found[22][90:140].astype(int) - found[0][90:140]).mean() > 2
    assert abs(found[29][90:140].astype(int) - found[0][90:140]).mean() < 2


def test_films_that_are_none_are_blank_with_a_reason(
    puppets: tuple[Run, Manifest], tmp_path: Path
) -> None:
    run, manifest = puppets
    case = manifest.cases[0].id
    path = film_path(tmp_path, case, ROWS[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a film" * 100)
    whole = film_path(run.folder, case, "truth").read_bytes()
    film_path(tmp_path, case, "truth").write_bytes(whole)
    film_path(tmp_path, case, "cut").write_bytes(whole[: len(whole) // 40])
    when = moments(np.zeros((30, 17), np.float32), 3)
    rows = load_stills(tmp_path, case, [ROWS[0], "cut", "none"], when)
    assert [row.lacks for row in rows] == [
        "",
        "can not be decoded",
        "can not be decoded",
        "no film",
    ]
    picture = sheet(rows, when, {})
    assert picture.shape[1] == WIDTH
    band = len(picture) // 4
    assert picture[60 : 40 + band, 200:].std() > 30 > picture[-band // 2 :, 200:].std()


def test_the_eyes_are_found_and_the_box_is_the_same_for_all(
    puppets: tuple[Run, Manifest], portrait: Portrait
) -> None:
    run, manifest = puppets
    when = moments(np.zeros((30, 17), np.float32), 3)
    truth = load_stills(run.folder, manifest.cases[1].id, [], when)[0]
    with FaceMesh() as meshes:
        boxes = eye_boxes(truth, when, meshes)
        none = eye_boxes(Stills("truth", lacks="no film"), when, meshes)
    points = portrait.keypoints / portrait.size
    left, top, right, bottom = boxes[0]
    assert (points[:, 0] > left).all() and (points[:, 0] < right).all()
    assert (points[:, 1] > top).all() and (points[:, 1] < bottom).all()
    sizes = np.array([(b[2] - b[0], b[3] - b[1]) for b in boxes.values()])
    assert np.ptp(sizes, axis=0).max() < 1e-6
    assert set(none.values()) == {EYES}


# --- plots -----------------------------------------------------------------------------------


def test_curves_bear_gaps_and_hostile_names(puppets: tuple[Run, Manifest], tmp_path: Path) -> None:
    run, manifest = puppets
    of = load_curves(run.folder, manifest.cases[0].id, ROWS[0])
    gone = Curves(None, np.full((5, 17), np.nan, np.float32), of.truth[:0])
    notes = [Annotation(0, 3, HOSTILE), Annotation(900, 999, "after the end")]
    figure = case_curves({HOSTILE: of, "_hidden $x$": gone}, notes, HOSTILE)
    assert figure is not None
    assert len(figure.axes) == 2 * len(PANELS)
    assert save(figure, tmp_path / "curves.png")[0] == WIDTH
    assert case_curves({}, [], "x") is None


def test_bars_bear_one_case_none_and_hostile_names(tmp_path: Path) -> None:
    measured = [
        Measured("a", HOSTILE, HOSTILE, "P", {"au_f1": 0.0}),
        Measured("b", "_x", "", "Q", {"au_temp": float("nan"), "au_f1": 1.0}),
    ]
    figure = category_bars(made_up(measured, (HOSTILE, "_x", "empty"), tmp_path))
    assert figure is not None
    assert save(figure, tmp_path / "bars.png")[0] == WIDTH
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [label(HOSTILE, 32), "_x"]
    assert category_bars(made_up([], ("x",), tmp_path)) is None


@given(st.text(max_size=60))
def test_labels_hold_only_what_the_font_can_draw(text: str) -> None:
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont("DejaVu Sans")).get_charmap()
    assert all(ord(c) in known for c in label(text))


def test_damaged_curves_and_no_films_are_borne(tmp_path: Path) -> None:
    measured = [Measured(case, "x", "fear", case, {"au_f1": 0.5}) for case in ("a", "b", "c")]
    odd = ["\x00", "\ud800", "../" * 9, "long" * 200]
    measured += [Measured("c", row, "fear", "c", {"au_f1": 0.5}) for row in odd]
    run = made_up(measured, ("x", "y", *odd), tmp_path)
    for case in "abc":
        (tmp_path / "cases" / case).mkdir(parents=True)
    np.savez(tmp_path / "cases/a/truth.npz", controls=np.zeros((9, 3)))
    np.savez(tmp_path / "cases/a/x.npz", controls=np.zeros(4))
    (tmp_path / "cases/b/truth.npz").write_bytes(b"PK\x03\x04 damaged")
    html = write_report(run, None)[1].read_text()
    assert html.count("Its curves are not there.") == 3


# --- comparing -------------------------------------------------------------------------------


def ranked_runs(folder: Path) -> tuple[Run, Run]:
    """B is better in AU-F1, worse in Eye-LMD, the same in the gaze."""
    rng = np.random.default_rng(11)
    made = []
    for by in (0.0, 0.2):
        measured = [
            Measured(f"c{i}", "x", "fear", f"P{i % 10}", {
                "au_f1": 0.5 + by + 0.05 * rng.normal(), "eye_lmd": 0.02 + by / 10,
                "gaze_error": 3 + rng.normal(), "sync_lag": (by - 0.3) * 200 + rng.normal(),
            }) for i in range(20)
        ]  # fmt: skip
        made.append(made_up(measured, ("x", f"own {by}"), folder, pooled={"x": {"fid": 20 + by}}))
    return made[0], made[1]


def test_the_verdicts_are_right(tmp_path: Path) -> None:
    a, b = ranked_runs(tmp_path)
    found = pair(a, b, ("x", "x"), {})
    assert {key: of.verdict for key, of in found.differences.items()} == {
        "au_f1": "better", "eye_lmd": "worse", "gaze_error": "no difference",
        "sync_lag": "better",
    }  # fmt: skip
    assert found.pooled == {"fid": (20.0, 20.2)}
    assert "au_f1" not in pair(a, b, ("x", "x"), {"au_f1": "other network"}).differences
    with pytest.raises(InvalidInput, match="no measured case in common"):
        pair(a, b, ("own 0.0", "x"), {})


def test_rows_are_chosen_by_name_or_pair(tmp_path: Path) -> None:
    a, b = ranked_runs(tmp_path)
    assert pairs_of(a, b, []) == [("x", "x")]
    assert pairs_of(a, b, ["x", "x:own 0.2"]) == [("x", "x"), ("x", "own 0.2")]
    colons = replace(a, rows=("p:q", "p"))
    assert pairs_of(colons, colons, ["p:q", "p:q:p", "p:p:q"]) == [
        ("p:q", "p:q"), ("p:q", "p"), ("p", "p:q"),
    ]  # fmt: skip
    for wrong in ("y", "x:y", "own 0.2:x", ""):
        with pytest.raises(InvalidInput, match="pair of rows"):
            pairs_of(a, b, [wrong])
    with pytest.raises(InvalidInput, match="share no row"):
        pairs_of(a, replace(b, rows=("z",)), [])


def test_other_rulers_are_noticed(tmp_path: Path) -> None:
    a, b = ranked_runs(tmp_path)
    assert unlike(a, b) == [] and other_rulers(a, b) == {}
    for change in ({"extractor": "other"}, {"size": 512}, {"scales": {"AU4": 0.5}}):
        assert len(unlike(a, replace(b, facts=replace(FACTS, **change)))) == 1
    changed = replace(b, facts=replace(FACTS, stand_ins={"id_sim": "SFace"}))
    assert list(other_rulers(a, changed)) == ["id_sim"]


def compared(*arguments: object) -> None:
    parser = argparse.ArgumentParser()
    compare_command.add_arguments(parser)
    compare_command.run(parser.parse_args([str(a) for a in arguments]), lambda *_: None)


def test_the_command_prints_and_writes(
    puppets: tuple[Run, Manifest], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = puppets[0].folder
    compared(folder, folder, "--row", ":".join(ROWS), "--out", tmp_path)
    printed = capsys.readouterr().out
    assert "| Eye-LMD ↓" in printed and "too few people" in printed
    page = Page((tmp_path / "compare.html").read_text())
    assert len(page.tables) == 1
    with Image.open(tmp_path / "pictures/forest.png") as picture:
        assert picture.size[0] == WIDTH
    assert f"## {ROWS[0]} → {ROWS[1]}" in (tmp_path / "compare.md").read_text()


def test_runs_of_different_rulers_are_refused(
    puppets: tuple[Run, Manifest], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = puppets[0].folder
    other = tmp_path / "other"
    shutil.copytree(folder, other, ignore=shutil.ignore_patterns("*.mp4", "*.npz"))
    data: Mapping[str, Any] = {"name": "n", "created": "", "command": "", "size": 256,
                               "extractor": "another", "rows": list(ROWS)}  # fmt: skip
    write_json(other / "run.json", data)
    assert load_run(other).facts.extractor == "another"
    with pytest.raises(InvalidInput, match="extractor: blendshapes in A, another in B"):
        compared(folder, other)
    compared(folder, other, "--anyway")
    printed = capsys.readouterr().out
    assert "Not alike" in printed and "ID-Sim is left out" in printed
