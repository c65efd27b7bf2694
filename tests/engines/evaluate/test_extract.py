"""What the mesh extractor sees of renders whose controls are known, and what is made of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core import CHANNEL, CHANNELS, F32, MESH_POINTS, U8, InvalidInput, Portrait, Unavailable
from engines.evaluate.agree import run as agree
from engines.evaluate.extract import truth
from engines.evaluate.extract.agreement import closures, compare, correlations, matched, runs
from engines.evaluate.extract.angles import bridged, head_angles
from engines.evaluate.extract.landmarker import Landmarker, Scores, find_landmarker
from engines.evaluate.extract.mesh import MeshExtractor, measure
from engines.evaluate.extract.neutral import neutral_of
from engines.evaluate.extract.table import write_csv
from engines.evaluate.extract_command import run as extract
from engines.evaluate.track import AUS, FaceTrack, as_controls
from engines.rig import Rig, build_rig
from face import FaceModel, rotation
from planner.formats import read_raw

SHAPES = tuple(
    name + side
    for name in ("browDown", "browOuterUp", "cheekSquint", "eyeBlink", "eyeLookDown", "eyeLookIn",
                 "eyeLookOut", "eyeLookUp", "eyeSquint", "eyeWide", "mouthSmile")
    for side in ("Left", "Right")
) + ("browInnerUp",)  # fmt: skip


@pytest.fixture(scope="module")
def extractor() -> Iterator[MeshExtractor]:
    with MeshExtractor() as opened:
        yield opened


@pytest.fixture(scope="module")
def rig(portrait: Portrait) -> Rig:
    return build_rig(portrait, 256)


@pytest.fixture(scope="module")
def poses(rig: Rig, extractor: MeshExtractor) -> FaceTrack:
    """Rest, then every control fully on, one a frame; the head to both sides."""
    values = np.zeros((1 + len(CHANNELS) + 3, len(CHANNELS)), np.float32)
    for k in range(len(CHANNELS)):
        values[1 + k, k] = 1 if k < CHANNEL["pitch"] else 15
    for k in range(3):
        values[1 + len(CHANNELS) + k, CHANNEL["pitch"] + k] = -15
    return extractor.track(truth.render(rig, values))


def moved(track: FaceTrack, control: str, what: str) -> float:
    """How far an action unit is from the first frame, in the frame in which a control is on."""
    at = 1 + CHANNEL[control]
    return float(track.aus[at, CHANNEL[what]] - track.aus[0, CHANNEL[what]])


# --- lids, brows -------------------------------------------------------------------------------


def test_closed_eyes_are_found_closed(rig: Rig, extractor: MeshExtractor) -> None:
    track = extractor.track(truth.render(rig, truth.blinks()))
    closed = closures(track)
    wanted = truth.blinks()[:, CHANNEL["AU45_L"]]
    assert closed[wanted == 1].min() > 3 * closed[wanted == 0].max()
    seen, true = runs(closed, float(closed.max())), runs(wanted, 1.0)
    assert len(seen) == len(true) == truth.BLINKS and matched(true, seen) == truth.BLINKS


@pytest.mark.parametrize(("side", "other"), ["LR", "RL"])
def test_a_wink_is_on_its_own_side(poses: FaceTrack, side: str, other: str) -> None:
    assert moved(poses, f"AU45_{side}", f"AU45_{side}") > 0.25
    assert abs(moved(poses, f"AU45_{side}", f"AU45_{other}")) < 0.08


@pytest.mark.parametrize("unit", ["AU1", "AU2"])
@pytest.mark.parametrize(("side", "other"), ["LR", "RL"])
def test_a_brow_rises_on_its_own_side(poses: FaceTrack, unit: str, side: str, other: str) -> None:
    assert moved(poses, f"{unit}_{side}", f"{unit}_{side}") > 0.05
    assert moved(poses, f"{unit}_{side}", f"{unit}_{other}") < 0.03


def test_inner_and_outer_brow_are_told_apart(poses: FaceTrack) -> None:
    for side in "LR":
        for one, two in (("AU1", "AU2"), ("AU2", "AU1")):
            cross = moved(poses, f"{one}_{side}", f"{two}_{side}")
            assert cross < 0.4 * moved(poses, f"{one}_{side}", f"{one}_{side}")


@pytest.mark.parametrize("unit", ["AU4", "AU5", "AU7"])
def test_units_without_sides_fire(rig: Rig, extractor: MeshExtractor, unit: str) -> None:
    asked = truth.ramp(unit)
    seen = extractor.track(truth.render(rig, asked)).aus[:, CHANNEL[unit]]
    assert np.corrcoef(asked[:, CHANNEL[unit]], seen)[0, 1] > 0.7
    assert seen[truth.STEPS - 1] > seen[0] + 0.01


# --- gaze, head --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("control", "axis", "sign"),
    [("gaze_left", 0, 1), ("gaze_right", 0, -1), ("gaze_up", 1, -1), ("gaze_down", 1, 1)],
)
def test_gaze_signs(poses: FaceTrack, control: str, axis: int, sign: int) -> None:
    change = poses.gaze[1 + CHANNEL[control]] - poses.gaze[0]
    assert sign * change[axis] > (15, 4)[axis]
    assert abs(change[1 - axis]) < 0.5 * abs(change[axis])


@pytest.mark.parametrize(("axis", "control"), [(0, "pitch"), (1, "yaw"), (2, "roll")])
def test_head_signs(poses: FaceTrack, axis: int, control: str) -> None:
    there = poses.pose[1 + CHANNEL[control]] - poses.pose[0]
    back = poses.pose[1 + len(CHANNELS) + axis] - poses.pose[0]
    assert there[axis] > 5 and back[axis] < -5
    assert np.abs(np.delete(there, axis)).max() < 2 and np.abs(np.delete(back, axis)).max() < 2


@given(
    st.tuples(*[st.floats(-40, 40)] * 3), st.floats(0.3, 3), st.tuples(*[st.floats(-99, 99)] * 3)
)
@settings(max_examples=25)
def test_a_rigid_motion_is_read_exactly(
    mesh: F32, angles: tuple[float, ...], scale: float, shift: tuple[float, ...]
) -> None:
    level = measure("x", mesh[None]).pose[0].astype(np.float64)
    turn = rotation(np.array(angles, np.float32)) @ rotation(level.astype(np.float32)).T
    turned = (scale * mesh @ turn.T + np.array(shift)).astype(np.float32)
    seen = measure("x", turned[None])
    assert seen.pose[0] == pytest.approx(angles, abs=0.1)
    assert seen.aus[0] == pytest.approx(measure("x", mesh[None]).aus[0], abs=0.01)


@pytest.fixture(scope="module")
def mesh(portrait: Portrait) -> F32:
    return np.array(portrait.mesh)


def test_eyes_turned_in_a_model_are_read_in_degrees(portrait: Portrait) -> None:
    model = FaceModel.from_mesh(portrait.mesh)
    controls = np.zeros((5, len(CHANNELS)), np.float32)
    for k, name in enumerate(("gaze_left", "gaze_right", "gaze_up", "gaze_down")):
        controls[1 + k, CHANNEL[name]] = 0.5
    seen = measure("x", model.deform(controls).astype(np.float32)).gaze
    change = seen[1:] - seen[0]
    assert change == pytest.approx(np.array([[17.5, 0], [-17.5, 0], [0, -12.5], [0, 15]]), abs=2)


def test_angles_undo_the_rotation_they_came_from() -> None:
    wanted = np.array([[10, 0, 0], [0, 20, 0], [0, 0, 30], [-12, 25, -8]], np.float32)
    assert head_angles(rotation(wanted).astype(np.float64)) == pytest.approx(wanted, abs=1e-3)


# --- what is not seen --------------------------------------------------------------------------


def test_frames_without_a_face_are_not_seen(rig: Rig, extractor: MeshExtractor) -> None:
    rest = np.zeros((1, len(CHANNELS)), np.float32)
    noise = np.random.default_rng(1).integers(0, 256, (1, 256, 256, 3), np.uint8)
    face = truth.render(rig, rest)
    track = extractor.track(np.concatenate([face, noise, face]))
    assert track.seen.tolist() == [True, False, True]
    assert np.isnan(track.mesh[1]).all() and np.isnan(track.aus[1]).all()
    assert np.isnan(track.gaze[1]).all() and np.isnan(track.pose[1]).all()
    # No frame depends on another one.
    assert np.array_equal(track.aus[0], track.aus[2])
    nothing = extractor.track(noise)
    assert not nothing.seen.any()
    with pytest.raises(InvalidInput):
        neutral_of(nothing)


def test_gaze_is_bridged_while_the_eyes_are_shut() -> None:
    values = np.array([[0], [9], [9], [3], [7]], np.float32)
    known = np.array([True, False, False, True, True])
    seen = np.array([True, True, True, True, False])
    assert bridged(values, known, seen)[:, 0].tolist() == [0, 1, 2, 3, 7]
    assert np.array_equal(bridged(values, ~seen, seen), values)


# --- neutral -----------------------------------------------------------------------------------


def synthetic(aus: F32, pose: F32 | None = None, gaze: F32 | None = None) -> FaceTrack:
    count = len(aus)
    return FaceTrack(
        "made up", np.ones(count, bool), np.zeros((count, MESH_POINTS, 3), np.float32), aus,
        np.zeros((count, 2), np.float32) if gaze is None else gaze,
        np.zeros((count, 3), np.float32) if pose is None else pose,
    )  # fmt: skip


def test_neutral_is_what_lies_between_events() -> None:
    rng = np.random.default_rng(0)
    rest = np.linspace(0.1, 0.5, AUS).astype(np.float32)
    aus = rest + 0.01 * rng.standard_normal((75, AUS)).astype(np.float32)
    pose = np.tile(np.array([3, -4, 1], np.float32), (75, 1))
    aus[10:14, 8:] = 0.95
    aus[50:54, 8:] = 0.95  # blinks
    aus[25:45, :4] += 0.4  # brows, for most of a second
    pose[30:45, 1] += np.linspace(0, 25, 15, dtype=np.float32)
    neutral = neutral_of(synthetic(aus, pose))
    assert neutral.aus == pytest.approx(rest, abs=0.03)
    assert neutral.pose == pytest.approx([3, -4, 1], abs=0.5)


def test_neutral_takes_a_render_back_to_its_controls(rig: Rig, extractor: MeshExtractor) -> None:
    asked = np.concatenate([np.zeros((20, len(CHANNELS)), np.float32), truth.ramp("gaze_left"),
                            truth.blinks(), truth.ramp("AU2_L")])  # fmt: skip
    track = extractor.track(truth.render(rig, asked))
    seen = as_controls(track, neutral_of(track))
    for name in ("gaze_left", "AU45_L", "AU45_R", "AU2_L"):
        k = CHANNEL[name]
        assert np.corrcoef(asked[:, k], seen[:, k])[0, 1] > 0.85
    assert np.abs(seen[:20, : CHANNEL["pitch"]]).max() < 0.12
    assert np.abs(seen[:20, CHANNEL["pitch"] :]).max() < 1.5


@settings(max_examples=30)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 80), st.just(AUS)),
               elements=st.floats(0, 1, width=32)),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_neutral_lies_within_what_was_seen(aus: F32, seed: int) -> None:
    track = synthetic(aus)
    seen = np.random.default_rng(seed).random(len(aus)) < 0.7
    track = FaceTrack("x", seen, track.mesh, aus, track.gaze, track.pose)
    if not seen.any():
        return
    neutral = neutral_of(track)
    assert (neutral.aus >= aus[seen].min(axis=0) - 1e-6).all()
    assert (neutral.aus <= aus[seen].max(axis=0) + 1e-6).all()


# --- CSV ---------------------------------------------------------------------------------------


def test_a_table_is_read_back_by_the_planner(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    count = 40
    table = dict(zip(SHAPES, rng.uniform(0, 0.8, (len(SHAPES), count)), strict=True))
    values = np.stack(list(table.values()), axis=1).astype(np.float32)
    pose = rng.uniform(-20, 20, (count, 3)).astype(np.float32)
    aus = np.zeros((count, AUS), np.float32)
    track = synthetic(aus, pose)
    seen = np.ones(count, bool)
    seen[20] = False
    values[20], pose[20] = np.nan, np.nan
    track = FaceTrack("x", seen, track.mesh, aus, track.gaze, pose)
    path = tmp_path / "deep" / "me.csv"
    write_csv(track, Scores(SHAPES, values), path)
    raw = read_raw(path)
    assert raw is not None and raw.kind == "mediapipe52" and raw.rate == pytest.approx(25, rel=0.05)
    assert len(raw.time) == count - 1 and 20 / 25 not in raw.time
    assert raw.values[:, CHANNEL["AU45_L"]] == pytest.approx(
        np.delete(table["eyeBlinkLeft"], 20), abs=1e-4
    )
    assert raw.values[:, 12:] == pytest.approx(np.delete(pose, 20, axis=0), abs=0.01)
    with pytest.raises(ValueError, match="39"):
        write_csv(track, Scores(SHAPES, values[1:]), path)


# --- the landmarker, where its file is -----------------------------------------------------------


def test_a_missing_model_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SACCADE_FACE_LANDMARKER", raising=False)
    with pytest.raises(Unavailable, match="Download"):
        find_landmarker()
    with pytest.raises(Unavailable, match=r"nowhere\.task"):
        find_landmarker(tmp_path / "nowhere.task")
    broken = tmp_path / "face_landmarker.task"
    broken.write_bytes(b"no model")
    monkeypatch.setenv("SACCADE_FACE_LANDMARKER", str(broken))
    assert find_landmarker() == broken
    with pytest.raises(Unavailable, match="no face landmarker"):
        Landmarker(broken)
    options = argparse.Namespace(videos=[broken], out=tmp_path, minutes=1.0, again=False,
                                 landmarker=tmp_path / "nowhere.task", download=True)  # fmt: skip
    with pytest.raises(Unavailable):
        extract(options, lambda *_: None)


@pytest.fixture(scope="module")
def landmarker() -> Iterator[Landmarker]:
    try:
        path = find_landmarker()
    except Unavailable as error:
        pytest.skip(error.message)
    with Landmarker(path) as opened:
        yield opened


def test_the_landmarker_agrees_on_sides_and_signs(
    landmarker: Landmarker, rig: Rig, poses: FaceTrack
) -> None:
    values = np.zeros((1 + len(CHANNELS), len(CHANNELS)), np.float32)
    for k in range(len(CHANNELS)):
        values[1 + k, k] = 1 if k < CHANNEL["pitch"] else 15
    track, scores = landmarker.scores(truth.render(rig, values))
    assert len(scores.names) == 52 and np.isfinite(scores.values).all()
    for side, other in ("LR", "RL"):
        wink = moved(track, f"AU45_{side}", f"AU45_{side}")
        assert wink > 0.1 and moved(track, f"AU45_{side}", f"AU45_{other}") < 0.5 * wink
        assert moved(track, f"AU2_{side}", f"AU2_{side}") > 0.1
    for name, axis, sign in (("gaze_left", 0, 1), ("gaze_right", 0, -1), ("gaze_up", 1, -1)):
        assert sign * (track.gaze[1 + CHANNEL[name]] - track.gaze[0])[axis] > 4
    for axis, name in [(0, "pitch"), (1, "yaw"), (2, "roll")]:
        assert (track.pose[1 + CHANNEL[name]] - track.pose[0])[axis] > 4
    assert np.abs(track.mesh[0, :, :2] - poses.mesh[0, :, :2]).mean() < 4


# --- agreement, commands -------------------------------------------------------------------------


def test_agreement_ranks_obvious_pairs(rig: Rig, extractor: MeshExtractor) -> None:
    controls = np.concatenate([truth.ramp("gaze_left"), truth.ramp("AU45_L")])
    track = extractor.track(truth.render(rig, controls))
    same = compare(track, track)
    late = FaceTrack("late", track.seen, *(np.roll(v, 9, axis=0) for v in
                     (track.mesh, track.aus, track.gaze, track.pose)))  # fmt: skip
    shifted = compare(track, late)
    lid, side = CHANNEL["AU45_L"], AUS
    assert same.r[[lid, side]] == pytest.approx(1) and same.slope[lid] == pytest.approx(1)
    assert shifted.r[lid] < 0.8 and shifted.r[side] < 0.8
    assert np.isnan(same.r[CHANNEL["AU6"]])  # never moves
    assert correlations(np.zeros((9, 1)), np.ones((9, 1))).tolist() == [0]


def write(path: Path, frames: U8) -> Path:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=25)
        stream.width = stream.height = frames.shape[1]
        stream.bit_rate = 4_000_000
        for frame in frames:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        out.mux(stream.encode(None))
    return path


def test_the_commands(
    landmarker: Landmarker, rig: Rig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write(tmp_path / "me.mp4", truth.render(rig, truth.blinks()[:40]))
    bad = tmp_path / "text.mp4"
    bad.write_text("no video")
    options = argparse.Namespace(videos=[good, bad], out=tmp_path / "motion", minutes=1.0,
                                 again=False, landmarker=None, download=False)  # fmt: skip
    extract(options, lambda *_: None)
    told = capsys.readouterr().out
    assert "1 files written" in told and "skipped" in told and "text.mp4" in told
    raw = read_raw(tmp_path / "motion" / "me.csv")
    assert raw is not None and len(raw.time) == 40 and "lids" in raw.measured
    extract(options, lambda *_: None)
    assert "0 files written" in capsys.readouterr().out
    options = argparse.Namespace(clips=[good, bad], limit=5, seconds=4.0, portraits=[], size=256,
                                 landmarker=None)  # fmt: skip
    agree(options, lambda *_: None)
    told = capsys.readouterr().out
    assert "| AU45_L | 1 |" in told and "skipped" in told
