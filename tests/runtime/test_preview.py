"""Previews: what is performed, which moments are shown, films that players read."""

from __future__ import annotations

import math
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import FPS, U8, ControlTrack, InvalidInput, MouthTrack, Portrait
from engines.film import write_film
from engines.puppet import Puppet
from engines.rig import build_rig
from planner.action import Action
from runtime import preview
from runtime.preview import Performance


def played(frames: int, *actions: Action) -> Performance:
    """A performance of rest in which ``actions`` were announced."""
    return Performance("rest", ControlTrack.neutral(frames), MouthTrack.rest(frames), actions)


def stage(peak: int) -> Action:
    return Action("stage", max(0, peak - 5), peak, peak + 20, 0.5, "feels")


def test_a_performance_is_as_long_as_asked_and_says_what_was_not_understood() -> None:
    shown = preview.perform("fear", 1.2, seed=3, instruction="look left and juggle")
    assert len(shown) == len(shown.mouth) == 30
    assert shown.title == "fear"
    assert any("juggle" in part for part in shown.unknown)
    again = preview.perform("fear", 1.2, seed=3, instruction="look left and juggle")
    assert np.array_equal(shown.controls.values, again.controls.values)


@pytest.mark.parametrize("seconds", [0, -1, 1e9, math.nan, math.inf, 0.001])
def test_absurd_durations_are_refused(seconds: float) -> None:
    with pytest.raises(InvalidInput, match="seconds"):
        preview.perform("idle", seconds, seed=1)


@given(
    frames=st.integers(1, 300),
    count=st.integers(1, 12),
    peaks=st.lists(st.integers(0, 400), max_size=20),
)
def test_moments_are_in_order_and_within_the_performance(
    frames: int, count: int, peaks: list[int]
) -> None:
    chosen = preview.moments(played(frames, *map(stage, peaks)), count)
    assert len(chosen) == min(count, frames)
    assert sorted(set(chosen)) == chosen
    assert 0 <= chosen[0] and chosen[-1] < frames


def test_moments_show_stages_at_their_peaks() -> None:
    chosen = preview.moments(played(200, stage(20), stage(150)), 4)
    assert {20, 150} <= set(chosen)
    assert any(40 < at < 130 for at in chosen)  # the long stretch between is not left out


def test_no_moment_of_a_stage_is_hidden_by_a_blink() -> None:
    blink = Action("blink", 18, 20, 26, 1.0, "moistens the eyes")
    withdrawn = Action("blink", 148, 151, 158, 0.0, "withdrawn")
    chosen = preview.moments(played(200, stage(20), stage(150), blink, withdrawn), 2)
    assert chosen == [26, 150]
    assert preview.moments(played(41, blink), 1) == [26]  # the middle would be 20


def test_the_eye_box_holds_eyes_and_brows_and_no_mouth(portrait: Portrait) -> None:
    rig = build_rig(portrait, 256)
    x0, y0, x1, y1 = preview.eye_box(rig)
    assert (x1 - x0) % 2 == (y1 - y0) % 2 == 0
    assert 0 <= x0 < x1 <= 256 and 0 <= y0 < y1 <= 256
    inside = rig.face.neutral[[33, 263, 105, 334, 168], :2]  # eye corners, brows, between them
    assert ((inside > (x0, y0)) & (inside < (x1, y1))).all()
    assert rig.face.neutral[13, 1] > y1  # upper lip


def test_films_play(tmp_path: Path) -> None:
    ramp = [np.full((48, 64, 3), 10 * i, np.uint8) for i in range(20)]
    assert write_film(tmp_path / "a.mp4", ramp) == 20
    with av.open(str(tmp_path / "a.mp4")) as film:
        video = film.streams.video[0]
        assert video.codec_context.name == "h264"
        assert video.codec_context.pix_fmt == "yuv420p"
        assert video.average_rate == FPS
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video)]
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 20
    assert abs(float(frames[15].mean()) - 150) < 6


def test_rendering_shows_the_box_only(portrait: Portrait) -> None:
    puppet = Puppet(build_rig(portrait, 128))
    frames = list(preview.render(puppet, played(2), (10, 20, 74, 60)))
    whole = puppet.render(np.zeros(17, np.float32), np.zeros(9, np.float32))
    assert len(frames) == 2
    assert np.array_equal(frames[1], whole[20:60, 10:74])
    assert frames[0] is not frames[1]


def test_short_rows_are_filled_up() -> None:
    tile: U8 = np.full((4, 6, 3), 255, np.uint8)
    picture = preview.stack([[tile, tile], [tile]])
    assert picture.shape == (8, 12, 3)
    assert picture[:4].all() and picture[4:, :6].all() and not picture[4:, 6:].any()


@pytest.mark.parametrize("eyes", [False, True])
def test_a_preview_is_films_and_a_sheet(portrait: Portrait, tmp_path: Path, eyes: bool) -> None:
    shown = [preview.perform(label, 0.4, seed=1) for label in ("surprise", "anger")]
    paths = preview.preview(portrait, shown, tmp_path, eyes=eyes, columns=3, size=128)
    name = "P001_eyes" if eyes else "P001"
    names = [f"{name}_surprise.mp4", f"{name}_anger.mp4", f"{name}_sheet.png"]
    assert [path.name for path in paths] == names
    sheet = cv2.imread(str(paths[-1]))
    assert sheet is not None
    width = preview.CELL[eyes] + 2
    assert sheet.shape[1] == 3 * width and sheet.shape[0] % 2 == 0
    half = sheet.shape[0] // 2
    assert np.abs(sheet[:half].astype(int) - sheet[half:]).max() > 60  # two labels, two looks
    with av.open(str(paths[0])) as film:
        assert film.streams.video[0].frames == 10


def test_the_command_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], portrait: Portrait,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    with pytest.raises(SystemExit) as stopped:
        preview.main([str(tmp_path / "nobody.jpg"), "--label", "idle", "--seconds", "1"])
    assert stopped.value.code == 2
    assert "nobody.jpg" in capsys.readouterr().err
    image = tmp_path / "somebody.jpg"
    image.write_bytes(b"")
    with pytest.raises(SystemExit):
        preview.main([str(image), "--label", "bored", "--seconds", "1"])
    assert "no label 'bored'" in capsys.readouterr().err

    monkeypatch.setattr(preview, "enrol", lambda data, name: portrait)  # it has tests of its own
    preview.main([str(image), "--label", "idle", "--seconds", "0.2", "--instruction", "juggle",
                  "--out", str(tmp_path)])  # fmt: skip
    said = capsys.readouterr().out
    assert "not understood: juggle" in said
    assert str(tmp_path / "P001_sheet.png") in said


def test_progress_passes_everything_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(preview.progress(["a", "b"], "P001")) == ["a", "b"]
    assert capsys.readouterr().err == ""  # nobody watches
