"""Recordings become controls: sides, signs, neutral, decoupling, and blinks that survive 25 fps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import CHANNEL, FPS, GAZE_DEGREES, InvalidInput
from planner.categories import LABELS
from planner.decouple import resample
from planner.formats import RAW_WIDTH, read_raw
from planner.motion import F64
from planner.recordings import Recording, read_eyes, read_recordings
from planner.sources import SOURCES, facts_of
from tests.planner.takes import (
    ARKIT,
    MEDIAPIPE,
    OPENFACE,
    TEMPLATE,
    bump,
    eye_openness,
    index,
    write,
)

N, RATE = 150, 30.0
T = np.arange(N) / RATE
LATER = T > 3.0


def read_one(root: Path) -> Recording:
    (found,) = read_recordings(root)
    return found


def column(recording: Recording, name: str) -> F64:
    return recording.controls.values[:, CHANNEL[name]].astype(np.float64)


# --- sides and signs -------------------------------------------------------------------------


def test_a_mediapipe_wink_is_on_its_own_side(tmp_path: Path) -> None:
    wink = bump(N, RATE, 2.0, up=0.3) * 0.6
    write(tmp_path, "me/a.csv", MEDIAPIPE, {"eyeBlinkLeft": wink}, frames=N)
    got = read_one(tmp_path)
    assert column(got, "AU45_L").max() > 0.9
    assert column(got, "AU45_R").max() == 0


@pytest.mark.parametrize(
    ("names", "channel"),
    [
        (("eyeLookOutLeft", "eyeLookInRight"), "gaze_left"),
        (("eyeLookInLeft", "eyeLookOutRight"), "gaze_right"),
        (("eyeLookUpLeft", "eyeLookUpRight"), "gaze_up"),
        (("eyeLookDownLeft", "eyeLookDownRight"), "gaze_down"),
    ],
)
def test_mediapipe_looks(tmp_path: Path, names: tuple[str, str], channel: str) -> None:
    write(tmp_path, "me/a.csv", MEDIAPIPE, {n: 0.5 * LATER for n in names}, frames=N)
    got = read_one(tmp_path)
    assert 0.4 < column(got, channel).max() < 0.6
    others = {"gaze_left", "gaze_right", "gaze_up", "gaze_down"} - {channel}
    assert all(column(got, other).max() < 1e-6 for other in others)


@pytest.mark.parametrize(
    ("given_", "pose"),
    [
        ({"head_pitch_deg": 9.0}, (9, 0, 0)),
        ({"head_yaw_deg": 9.0}, (0, 9, 0)),
        ({"head_roll_deg": 9.0}, (0, 0, -9)),  # MediaPipe tilts to the right shoulder
    ],
)
def test_mediapipe_pose(
    tmp_path: Path, given_: dict[str, float], pose: tuple[float, float, float]
) -> None:
    columns: dict[str, F64 | float] = {k: np.where(LATER, v, 0.0) for k, v in given_.items()}
    write(tmp_path, "me/a.csv", MEDIAPIPE, columns, frames=N)
    end = read_one(tmp_path).controls.values[-20:, 14:].mean(axis=0)
    assert end == pytest.approx(pose, abs=0.2)


def test_openface_signs_and_gaze_in_the_head(tmp_path: Path) -> None:
    """A head turned to the own left (Ry < 0) by eyes that stay on the camera."""
    turn: F64 = np.where(LATER, np.radians(10), 0.0)
    columns = {"pose_Ry": -turn, "pose_Rx": turn, "pose_Rz": turn}
    write(tmp_path, "me/a.csv", OPENFACE, columns, frames=N, clock="timestamp")
    end = read_one(tmp_path).controls.values[-20:].mean(axis=0)
    assert end[14:] == pytest.approx((10, 10, 10), abs=0.2)
    assert end[CHANNEL["gaze_right"]] == pytest.approx(10 / GAZE_DEGREES[0], abs=0.02)
    assert end[CHANNEL["gaze_up"]] == pytest.approx(10 / GAZE_DEGREES[1], abs=0.02)


def test_openface_units_are_a_fifth(tmp_path: Path) -> None:
    write(tmp_path, "me/a.csv", OPENFACE, {"AU04_r": 2.5 * LATER}, frames=N, clock="timestamp")
    assert column(read_one(tmp_path), "AU4").max() == pytest.approx(0.5, abs=0.05)


def test_arkit_eyes_turn_left_when_yaw_is_negative(tmp_path: Path) -> None:
    look = np.radians(-14) * LATER
    columns = {"LeftEyeYaw": look, "RightEyeYaw": look, "BrowOuterUpRight": 0.6 * LATER}
    write(tmp_path, "me/a.csv.gz", ARKIT, columns, frames=N, rate=60.0)
    write(tmp_path, "me/b.csv.gz", ARKIT, {}, frames=N, rate=60.0)
    got = read_recordings(tmp_path)[0]
    assert column(got, "gaze_left").max() == pytest.approx(14 / GAZE_DEGREES[0], abs=0.03)
    assert column(got, "gaze_right").max() < 0.05
    assert column(got, "AU2_R").max() > 0.5 > 0.01 > column(got, "AU2_L").max()
    assert got.measured == {"brows", "gaze"}


def test_template_lids_brows_and_pose(tmp_path: Path) -> None:
    lid = bump(N, RATE, 2.0) * 0.02
    later = LATER.astype(np.float64)
    columns = {"exp34": lid, "exp04": 0.03 * later, "exp07": -0.02 * later, "pitch_deg": -6 * later}
    write(tmp_path, "me/a.csv", TEMPLATE, columns, frames=N)
    got = read_one(tmp_path)
    assert column(got, "AU45_R").max() > 0.9 and column(got, "AU45_L").max() == 0
    assert column(got, "AU1_L").max() > 0.8
    assert column(got, "pitch").max() == pytest.approx(6, abs=0.7)


# --- neutral and decoupling ------------------------------------------------------------------


def test_a_resting_face_is_neutral_whatever_its_tracker_says(tmp_path: Path) -> None:
    habit = {"browInnerUp": 0.3, "eyeSquintLeft": 0.4, "eyeBlinkLeft": 0.15, "head_yaw_deg": 8.0}
    write(tmp_path, "me/a.csv", MEDIAPIPE, habit, frames=N)
    assert np.abs(read_one(tmp_path).controls.values).max() < 1e-6


def test_acted_emotion_is_measured_against_the_same_person_at_rest(tmp_path: Path) -> None:
    write(tmp_path, "me/rest.csv", MEDIAPIPE, {"browDownLeft": 0.2}, frames=N)
    angry = {"browDownLeft": 0.8, "browDownRight": 0.6, "head_pitch_deg": 5.0}
    write(tmp_path, "me/angry.csv", MEDIAPIPE, angry, frames=N)
    rows = [("rest", "idle"), ("angry", "anger")]
    index(tmp_path, [{"file": f"me/{f}.csv", "person": "me", "category": c} for f, c in rows])
    found = {r.category: r for r in read_recordings(tmp_path)}
    assert column(found["anger"], "AU4").min() > 0.5
    assert column(found["anger"], "pitch") == pytest.approx(5, abs=0.1)
    assert column(found["idle"], "AU4").max() < 0.01


def test_lids_that_follow_the_gaze_are_no_blink(tmp_path: Path) -> None:
    down = np.clip(1.6 * np.sin(2 * np.pi * T / 2.5) - 0.6, 0, 1)  # now and then, for a second
    columns = {
        "eyeLookDownLeft": down, "eyeLookDownRight": down,
        "eyeBlinkLeft": 0.1 + 0.2 * down, "eyeBlinkRight": 0.1 + 0.2 * down,
    }  # fmt: skip
    write(tmp_path, "me/a.csv", MEDIAPIPE, columns, frames=N)
    got = read_one(tmp_path)
    assert column(got, "gaze_down").max() > 0.4
    assert column(got, "AU45_L").max() < 0.08


def test_what_a_closed_lid_hides_is_not_a_glance(tmp_path: Path) -> None:
    lid = bump(N, RATE, 2.0)
    columns = {
        "eyeBlinkLeft": 0.6 * lid, "eyeBlinkRight": 0.6 * lid,
        "eyeLookDownLeft": 0.9 * (lid > 0.3), "eyeLookDownRight": 0.9 * (lid > 0.3),
    }  # fmt: skip
    write(tmp_path, "me/a.csv", MEDIAPIPE, columns, frames=N)
    got = read_one(tmp_path)
    assert column(got, "AU45_L").max() > 0.9
    assert column(got, "gaze_down").max() < 0.02


def test_the_squint_of_a_blink_is_no_squint(tmp_path: Path) -> None:
    lid = bump(N, RATE, 2.0)
    columns = {name: 0.6 * lid for name in ("eyeBlinkLeft", "eyeBlinkRight")}
    columns |= {name: 0.5 * lid + 0.2 * LATER for name in ("eyeSquintLeft", "eyeSquintRight")}
    write(tmp_path, "me/a.csv", MEDIAPIPE, columns, frames=N)
    got = read_one(tmp_path)
    assert column(got, "AU7")[:70].max() < 0.03
    assert column(got, "AU7")[-20:].min() > 0.15


def test_a_smile_squints_with_the_cheek(tmp_path: Path) -> None:
    columns = {"eyeSquintLeft": 0.8 * LATER, "eyeSquintRight": 0.8 * LATER}
    smile = {"mouthSmileLeft": 1.0 * LATER, "mouthSmileRight": 1.0 * LATER}
    write(tmp_path, "me/a.csv", MEDIAPIPE, columns | smile, frames=N)
    write(tmp_path, "me/b.csv", MEDIAPIPE, columns, frames=N)
    smiling, squinting = read_recordings(tmp_path)
    assert column(smiling, "AU6").max() > 0.7 > 0.05 > column(smiling, "AU7").max()
    assert column(squinting, "AU7").max() > 0.7 > 0.05 > column(squinting, "AU6").max()


# --- time ------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.floats(23.0, 120.0), st.floats(1.0, 1.2), st.floats(0.3, 1.0))
def test_no_blink_falls_between_two_frames(rate: float, at: float, depth: float) -> None:
    frames = int(3 * rate)
    values = np.zeros((frames, RAW_WIDTH))
    values[:, 8] = values[:, 9] = depth * bump(frames, rate, at, down=0.06, up=0.15)
    out = resample(np.arange(frames) / rate, values)
    assert out[:, 8].max() == pytest.approx(values[:, 8].max(), abs=1e-9)
    assert abs(int(out[:, 8].argmax()) / FPS - at) < 0.5 / FPS + 1 / rate
    assert out[out[:, 8].argmax() - 3 :, 8].size >= 3 and (out[:20, 8] == 0).all()


@pytest.mark.parametrize("rate", [24.0, 30.0, 60.0])
@pytest.mark.parametrize("hertz", [0.5, 2.0, 5.0])
def test_head_motion_keeps_its_amplitude(rate: float, hertz: float) -> None:
    t = np.arange(int(6 * rate)) / rate
    values = np.zeros((len(t), RAW_WIDTH))
    values[:, 12] = 5 * np.sin(2 * np.pi * hertz * t)
    out = resample(t, values)
    expected = 5 * np.sin(2 * np.pi * hertz * np.arange(len(out)) / FPS)
    inside = slice(10, -10)
    assert np.abs(out[inside, 12] - expected[inside]).max() < 0.5


def test_motion_above_half_the_frame_rate_does_not_fold_down() -> None:
    t = np.arange(360) / 60
    values = np.zeros((len(t), RAW_WIDTH))
    values[:, 12] = 5 * np.sin(2 * np.pi * 22 * t)  # would show as 3 Hz
    assert np.abs(resample(t, values)[10:-10, 12]).max() < 1.0


def test_lost_frames_are_bridged_and_long_losses_cut(tmp_path: Path) -> None:
    tracked = np.ones(N)
    tracked[20:23] = 0
    tracked[60:90] = 0
    write(tmp_path, "me/a.csv", MEDIAPIPE, {"tracked": tracked}, frames=N)
    assert len(read_one(tmp_path).controls) == pytest.approx(60 / RATE * FPS, abs=2)


# --- facts -----------------------------------------------------------------------------------


def test_only_what_is_marked_so_may_be_passed_on() -> None:
    shipped = {name for name, source in SOURCES.items() if source.use == "training"}
    assert shipped == {
        "JMTechArt_Pipeline-Examples",
        "KwaiVGI_LivePortrait_templates",
        "SimonGeb_IER_2023",
        "cosanlab_py-feat",
        "antgroup_echomimic",
    }
    assert SOURCES["AnimaVR_NeuroSync_Player"].use == "limited"
    assert facts_of("clips_blendshapes/unheard_of/a", {}).source.use == "evaluation"


def test_the_index_says_what_the_tables_do_not(tmp_path: Path) -> None:
    write(tmp_path, "mine/a.csv", MEDIAPIPE, {}, frames=N)
    row = {
        "file": "mine/a.csv", "person": "Ada", "category": "surprise",
        "source": "my camera", "licence": "CC0", "use": "training ok",
    }  # fmt: skip
    index(tmp_path, [row])
    got = read_one(tmp_path)
    assert (got.person, got.category, got.source, got.licence) == (
        "Ada", "surprise", "my camera", "CC0",
    )  # fmt: skip
    assert got.training


def test_known_files_have_known_categories() -> None:
    name = "clips_blendshapes/ali-vilab_dreamtalk/M030_front_disgusted_level3_001"
    facts = facts_of(name, {})
    assert (facts.person, facts.category) == ("M030", "disgust")
    assert facts_of("AnimaVR_NeuroSync_Player/sad_167", {"person": "NS-A"}).category == "sadness"


def test_eye_openness(tmp_path: Path) -> None:
    eye_openness(tmp_path, "lab/p1.csv.gz")
    (eyes,) = read_eyes(tmp_path)
    assert eyes.openness.min() < 0.1 and eyes.openness.max() == 1
    assert read_recordings(tmp_path) == []


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"time,eyeBlinkLeft\n0,1,2\n", "every row needs"),
        (b"\xff\xfe\x00time", "can not be read"),
        (b"\x1f\x8bnot gzip", "can not be read"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "motion" / "me" / ("a.csv.gz" if content[:2] == b"\x1f\x8b" else "a.csv")
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=said) as error:
        read_recordings(tmp_path)
    assert "a.csv" in str(error.value)


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no folder"):
        read_recordings(tmp_path)


@pytest.mark.parametrize("row", [{"category": "joy"}, {"use": "whatever"}])
def test_an_index_that_makes_no_sense_is_refused(tmp_path: Path, row: dict[str, str]) -> None:
    write(tmp_path, "me/a.csv", MEDIAPIPE, {}, frames=N)
    index(tmp_path, [{"file": "me/a.csv", **row}])
    with pytest.raises(InvalidInput, match="me/a"):
        read_recordings(tmp_path)


def test_other_tables_are_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "me/a.csv", ["mean_x", "label"], {}, frames=10)
    write(tmp_path, "me/b.csv", MEDIAPIPE, {}, frames=2)
    assert read_recordings(tmp_path) == []


CELLS = st.one_of(
    st.floats(-1e6, 1e6).map(str), st.sampled_from(["", "nan", "inf", "-inf", "x", "1e308", " 1 "])
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from([ARKIT, MEDIAPIPE, OPENFACE, TEMPLATE]), st.data())
def test_any_numbers_make_a_track_or_nothing(
    tmp_path: Path, names: list[str], data: st.DataObject
) -> None:
    clock = "timestamp" if names is OPENFACE else "time"
    rows = [[f"{k / 30:.4f}"] + ["1"] * len(names) for k in range(40)]
    for _ in range(data.draw(st.integers(0, 12))):
        row, cell = data.draw(st.integers(0, 39)), data.draw(st.integers(0, len(names)))
        rows[row][cell] = data.draw(CELLS)
    path = tmp_path / "motion" / "me" / "a.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(",".join(row) for row in [[clock, *names], *rows]))
    for recording in read_recordings(tmp_path):
        values: Any = recording.controls.values
        assert np.isfinite(values).all() and len(values) >= 1
        assert recording.category in {"", *LABELS}


def test_raw_is_none_for_what_is_too_short(tmp_path: Path) -> None:
    assert read_raw(write(tmp_path, "me/a.csv", MEDIAPIPE, {}, frames=3)) is None
