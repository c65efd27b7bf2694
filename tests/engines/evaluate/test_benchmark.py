"""The benchmark from a folder of clips to a report, over films whose truth is known.

The clips are puppets, so that what they do is certain; the extractor is the one that needs no
model file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core import CHANNEL, FPS, SAMPLE_RATE, ControlTrack, InvalidInput, MouthTrack, Portrait
from engines.enrol import enrol
from engines.evaluate import manifest_command, run_command
from engines.evaluate.case import load_manifest, save_manifest
from engines.evaluate.generators import Folder, Row, parse_row
from engines.evaluate.planning import open_planning
from engines.evaluate.results import Run, load_curves, load_run
from engines.film import write_film
from engines.puppet import Puppet
from engines.rig import build_rig
from tests.conftest import studio_portrait

FRAMES = 36
SIZE = 256


def quiet(done: int, total: int, note: str) -> None:
    assert done <= total


def acted(kind: str) -> ControlTrack:
    """A second and a half of something plain to see."""
    t = np.arange(FRAMES) / FPS
    values = np.array(ControlTrack.neutral(FRAMES).values)
    blink = np.clip(1 - np.abs(t - 0.5) / 0.12, 0, 1)
    values[:, CHANNEL["AU45_L"]] = values[:, CHANNEL["AU45_R"]] = blink
    later = np.clip((t - 0.8) / 0.2, 0, 1)
    if kind == "surprise":
        for name in ("AU1_L", "AU1_R", "AU2_L", "AU2_R"):
            values[:, CHANNEL[name]] = later
    else:
        values[:, CHANNEL["gaze_left"]] = 0.7 * later
        values[:, CHANNEL["yaw"]] = 8 * later
        values[:, CHANNEL["AU4"]] = later
    return ControlTrack(values)


def film(portrait: Portrait, controls: ControlTrack, path: Path, sound: bool) -> None:
    puppet = Puppet(build_rig(portrait, SIZE))
    mouth = MouthTrack.rest(FRAMES).values
    frames = (puppet.render(c, m) for c, m in zip(controls.values, mouth, strict=True))
    samples = None
    if sound:
        t = np.arange(FRAMES * SAMPLE_RATE // FPS) / SAMPLE_RATE
        samples = (0.2 * np.sin(2 * np.pi * 200 * t)).astype(np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_film(path, frames, samples)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, portrait: Portrait) -> Path:
    """Three good clips and three that are none."""
    folder = tmp_path_factory.mktemp("clips")
    other = enrol(studio_portrait("P002"), "P002")
    film(portrait, acted("surprise"), folder / "a" / "surprise.mp4", sound=True)
    film(portrait, acted("effort"), folder / "a" / "effort.mp4", sound=False)
    film(other, acted("surprise"), folder / "b" / "surprise.mp4", sound=False)
    (folder / "broken.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42" + bytes(500))
    (folder / "text.mp4").write_text("this is no film")
    noise = np.random.default_rng(0).integers(0, 255, (FRAMES, SIZE, SIZE, 3), np.uint8)
    write_film(folder / "noise.mp4", iter(noise))
    (folder / "index.csv").write_text(
        "file,category,person\na/surprise.mp4,surprise,P001\n"
        "a/effort.mp4,cognitive_effort,P001\nb/surprise.mp4,surprise,P002\n"
    )
    return folder


def asked(source: Path, out: Path, *rows: str, workers: int = 1) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    run_command.add_arguments(parser)
    return parser.parse_args(
        [str(source), "--out", str(out), "--extractor", "mesh", "--seconds", str(FRAMES / FPS),
         "--workers", str(workers), "--rows", *rows]
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """A whole run, made by the command."""
    out = tmp_path_factory.mktemp("runs") / "first"
    rows = ("film", "still", "warp:keypoints", "puppet:keypoints", "puppet:inverted",
            "puppet:label", "puppet:other-label")  # fmt: skip
    run_command.run(asked(clips, out, *rows), quiet)
    yield load_run(out)


def mean(run: Run, row: str, metric: str) -> float:
    return float(np.mean(list(run.values(row, metric).values())))


def test_bad_clips_are_named_and_the_rest_is_measured(finished: Run) -> None:
    manifest = load_manifest(finished.folder / "manifest.json")
    assert sorted(case.id for case in manifest.cases) == ["a-effort", "a-surprise", "b-surprise"]
    assert set(manifest.left_out) == {"broken", "text", "noise"}
    assert all(manifest.left_out.values())
    assert not finished.skipped
    assert {case.category for case in manifest.cases} == {"surprise", "cognitive_effort"}


def test_the_builder_notices_what_happens(finished: Run) -> None:
    manifest = load_manifest(finished.folder / "manifest.json")
    events = {case.id: {a.what for a in case.annotations} for case in manifest.cases}
    assert "blink" in events["a-surprise"] and "blink" in events["b-surprise"]
    assert "gaze to the person's left" in events["a-effort"]


def test_rows_rank_as_they_must(finished: Run) -> None:
    """The truth's own film, what is driven by it, and what does nothing at all."""
    for metric in ("eye_lmd", "lpips", "gaze_error"):
        best, driven, nothing = (
            mean(finished, row, metric) for row in ("film", "puppet-keypoints", "still")
        )
        assert best < driven < nothing, metric
    for metric in ("psnr_eyes", "au_f1", "au_temp"):
        assert mean(finished, "film", metric) > mean(finished, "still", metric), metric
    assert mean(finished, "film", "blink_f1") == 1
    assert mean(finished, "still", "blink_f1") == 0
    assert mean(finished, "film", "id_sim") > 0.9
    assert finished.pooled["film"]["fid"] < finished.pooled["warp-keypoints"]["fid"]


def test_every_row_is_there_with_its_curves(finished: Run) -> None:
    assert len(finished.rows) == 7
    for row in finished.rows:
        assert len(finished.values(row, "eye_lmd")) == 3, row
    curves = load_curves(finished.folder, "a-effort", "puppet-label")
    assert curves.asked is not None and curves.asked.shape == curves.truth.shape
    assert load_curves(finished.folder, "a-effort", "still").asked is None


def test_the_report_is_written(finished: Run) -> None:
    html = (finished.folder / "report.html").read_text()
    assert "Eye-LMD" in html and "puppet-label" in html
    assert "SFace" in html, "a stand-in has to be named"
    assert list((finished.folder / "pictures").glob("*.png"))


def test_a_second_go_does_nothing_and_a_gap_is_filled(finished: Run, clips: Path) -> None:
    rows = ("film", "still")
    files = sorted(finished.folder.glob("cases/*/still.json"))
    before = {path: path.stat().st_mtime_ns for path in files}
    files[0].unlink()
    run_command.run(asked(clips, finished.folder, *rows), quiet)
    after = {path: path.stat().st_mtime_ns for path in files}
    assert [path for path in files if after[path] != before[path]] == files[:1]
    assert load_run(finished.folder).rows == rows


def test_a_clip_that_breaks_between_two_goes_is_skipped(clips: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.json"
    good = {"id": "good", "clip": str(clips / "a/surprise.mp4"), "frames": 30}
    gone = {"id": "gone", "clip": str(clips / "nowhere.mp4")}
    long = {"id": "long", "clip": str(clips / "a/effort.mp4"), "frames": 400}
    manifest.write_text(json.dumps({"version": 1, "cases": [good, gone, long]}))
    run_command.run(asked(manifest, tmp_path / "out", "still", "puppet:label", workers=2), quiet)
    run = load_run(tmp_path / "out")
    assert set(run.skipped) == {"gone", "long"} and all(run.skipped.values())
    assert run.values("still", "eye_lmd").keys() == {"good"}
    # Nobody knows its category, so nothing can be planned for it.
    assert not run.values("puppet-label", "eye_lmd")


def test_videos_of_another_program_are_measured(finished: Run, clips: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    made = finished.folder / "cases" / "a-effort" / "truth.mp4"
    (theirs / "a-effort.mp4").symlink_to(made)  # of the other case they made none
    out = tmp_path / "out"
    whole = load_manifest(finished.folder / "manifest.json")
    two = [case for case in whole.cases if case.id in ("a-effort", "b-surprise")]
    save_manifest(replace(whole, cases=tuple(two)), tmp_path / "manifest.json")
    run_command.run(asked(tmp_path / "manifest.json", out, f"folder:{theirs}", "still"), quiet)
    run = load_run(out)
    assert run.values("theirs", "eye_lmd").keys() == {"a-effort"}
    assert run.values("still", "eye_lmd").keys() == {"a-effort", "b-surprise"}
    assert mean(run, "theirs", "psnr_eyes") > mean(run, "still", "psnr_eyes")


def test_rows_are_checked_before_anything_is_done(tmp_path: Path) -> None:
    for spec in ("puppet", "puppet:magic", "robot:label", "still:label", f"folder:{tmp_path}/no"):
        with pytest.raises(InvalidInput):
            parse_row(spec)
    assert parse_row("puppet:label") == Row("puppet:label")
    assert Folder(tmp_path / "my videos").name == "my_videos"


def test_a_folder_without_clips_is_refused(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    manifest_command.add_arguments(parser)
    with pytest.raises(InvalidInput, match="no video"):
        manifest_command.run(parser.parse_args([str(tmp_path)]), quiet)
    with pytest.raises(InvalidInput, match="no folder"):
        manifest_command.run(parser.parse_args([str(tmp_path / "x")]), quiet)


def test_the_installed_planner_plans() -> None:
    planning = open_planning()
    assert "drowsiness" in planning.labels()
    one = planning.plan("drowsiness", 50, 1, "")
    assert len(one) == 50 and (one.values == planning.plan("drowsiness", 50, 1, "").values).all()
    assert planning.describe("anything/else", {}) == ("", "anything/else")
