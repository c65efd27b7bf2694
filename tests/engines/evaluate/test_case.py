"""Manifests survive the way to disk and back, and wild ones are refused in plain words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import InvalidInput
from engines.evaluate.case import ID, Annotation, Case, Manifest, load_manifest, save_manifest
from engines.evaluate.discover import Found, case_id, in_turn

CASE = Case(
    "W009-angry", Path("clips/angry.mp4"), "anger", "W009", 0.2, 70, "glares",
    (Annotation(0, 12, "lids droop", "hand"), Annotation(12, 70, "blink", "mesh")),
)  # fmt: skip


def test_a_manifest_comes_back(tmp_path: Path) -> None:
    case = replace(CASE, clip=tmp_path / "clips/angry.mp4", portrait=tmp_path / "other.png")
    manifest = Manifest("ours", (case,), {"bad.mp4": "it can not be decoded"})
    path = tmp_path / "sets" / "manifest.json"
    save_manifest(manifest, path)
    assert "angry.mp4" in path.read_text() and str(tmp_path) not in path.read_text()
    back = load_manifest(path)
    assert back.left_out == manifest.left_out
    assert back.cases[0].clip.resolve() == case.clip.resolve()
    assert replace(back.cases[0], clip=case.clip, portrait=case.portrait) == case


def minimal(**more: object) -> str:
    return json.dumps({"version": 1, "cases": [{"id": "a", "clip": "a.mp4", **more}]})


def test_a_line_by_hand_needs_little(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text(minimal())
    case = load_manifest(tmp_path / "m.json").cases[0]
    assert (case.person, case.category, case.frames, case.annotations) == ("a", "", 75, ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json", "can not be read"),
        ("[]", "no manifest"),
        ('{"version": 2, "cases": []}', "no manifest"),
        ('{"version": 1, "cases": {}}', "list"),
        ('{"version": 1, "cases": [3]}', "case 1 is no object"),
        ('{"version": 1, "cases": [{"id": "a"}]}', "clip"),
        (minimal(id="../../etc"), "letters"),
        (minimal(start=-1), "out of range"),
        (minimal(frames=1_000_000), "out of range"),
        (minimal(frames="many"), "wrong type"),
        (minimal(events=[{"first": 70, "last": 90, "what": "x"}]), "outside"),
        (minimal(events=[{"first": 5}]), "incomplete"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(InvalidInput, match=said):
        load_manifest(tmp_path / "m.json")


def test_an_id_may_not_be_there_twice(tmp_path: Path) -> None:
    row = {"id": "a", "clip": "a.mp4"}
    (tmp_path / "m.json").write_text(json.dumps({"version": 1, "cases": [row, row]}))
    with pytest.raises(InvalidInput, match="twice"):
        load_manifest(tmp_path / "m.json")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "wild.json"
    path.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(InvalidInput):
        load_manifest(path)


@given(st.text(min_size=1, max_size=150), st.text(min_size=1, max_size=150))
def test_ids_are_valid_and_tell_names_apart(one: str, other: str) -> None:
    assert ID.fullmatch(case_id(one))
    if case_id(one) == case_id(other):
        # A slash and a dash may meet where that is all that differs.
        assert one.replace("/", "-") == other.replace("/", "-")


def test_categories_and_people_take_turns() -> None:
    names = [("anger", "A"), ("anger", "A"), ("anger", "B"), ("fear", "C")]
    clips = [Found(Path(f"{i}.mp4"), str(i), c, p, "") for i, (c, p) in enumerate(names)]
    order = [(c.category, c.person) for c in in_turn(clips)]
    assert order == [("anger", "A"), ("fear", "C"), ("anger", "B"), ("anger", "A")]
