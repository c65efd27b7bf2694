"""Eye-LMD and gaze error: zero for the truth, exact for known changes, blind to the rest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import CHANNEL, CHANNELS, F32, Portrait
from engines.evaluate.metrics.eyes import (
    FACE_SHARE,
    RIGID,
    eye_lmd,
    eye_lmd_aligned,
    face_crop,
    gaze_error,
    interocular,
    similarity,
)
from face import CHIN, FOREHEAD, FaceModel, rotation


@pytest.fixture(scope="module")
def face(portrait: Portrait) -> FaceModel:
    return FaceModel.from_mesh(portrait.mesh)


def posed(face: FaceModel, frames: int = 5, **channels: float) -> F32:
    """The face held in a pose and an expression, float32 ``[T, 478, 3]``."""
    controls = np.zeros((frames, len(CHANNELS)), np.float32)
    for name, value in channels.items():
        controls[:, CHANNEL[name]] = value
    return face.pose(face.deform(controls), controls)


# --- Eye-LMD -------------------------------------------------------------------------------


def test_a_shift_is_measured_in_sides_of_a_face_crop(face: FaceModel) -> None:
    truth = posed(face)
    height = float(np.linalg.norm(truth[0, CHIN, :2] - truth[0, FOREHEAD, :2]))
    side = height / FACE_SHARE
    assert face_crop(truth) == pytest.approx(side)
    moved = truth + np.array([0.03 * side, -0.04 * side, 9], np.float32)
    assert eye_lmd(moved, truth) == pytest.approx(0.05, rel=1e-3)
    apart = interocular(truth)
    assert eye_lmd(moved, truth, unit="interocular") == pytest.approx(0.05 * side / apart, rel=1e-3)
    assert eye_lmd(truth, truth) == 0


def test_framing_does_not_matter(face: FaceModel) -> None:
    truth, made = posed(face), posed(face, AU45_L=1, AU45_R=1, AU1_L=0.5)
    value = eye_lmd(made, truth)
    assert value > 0.003
    assert eye_lmd(made * 0.5 + 40, truth * 0.5 + 40) == pytest.approx(value, rel=1e-3)


def test_frames_without_a_face_do_not_count(face: FaceModel) -> None:
    truth = posed(face)
    made = posed(face, AU45_L=1)
    expected = eye_lmd(made, truth)
    made[1], truth[3] = np.nan, np.nan
    assert eye_lmd(made, truth) == pytest.approx(expected, rel=1e-5)
    assert eye_lmd_aligned(made, truth) > 0
    made[:] = np.nan
    assert np.isnan(eye_lmd(made, truth)) and np.isnan(eye_lmd_aligned(made, truth))


@pytest.mark.parametrize("metric", [eye_lmd, eye_lmd_aligned])
def test_the_right_expression_is_nearer_than_a_wrong_one(face: FaceModel, metric: object) -> None:
    assert callable(metric)
    truth = posed(face, AU45_L=0.8, AU45_R=0.8, gaze_down=0.3)
    nearly = posed(face, AU45_L=0.7, AU45_R=0.7, gaze_down=0.3)
    wrong = posed(face, AU5=0.8, AU1_L=1, AU1_R=1)
    noise = truth + np.random.default_rng(0).normal(0, 20, truth.shape).astype(np.float32)
    values = [metric(made, truth) for made in (truth, nearly, wrong, noise)]
    assert values == sorted(values) and values[0] < 1e-6 < values[1]


def test_without_the_head_only_the_eyes_are_left(face: FaceModel) -> None:
    truth = posed(face)
    turned = posed(face, yaw=12, pitch=-6, roll=8)
    assert eye_lmd(turned, truth) > 0.03
    assert eye_lmd_aligned(turned, truth) < 1e-5
    shut = posed(face, yaw=12, pitch=-6, roll=8, AU45_L=1, AU45_R=1)
    alone = eye_lmd_aligned(posed(face, AU45_L=1, AU45_R=1), truth)
    assert eye_lmd_aligned(shut, truth) == pytest.approx(alone, rel=0.05)


def test_a_face_without_depth_is_still_aligned(face: FaceModel) -> None:
    truth = posed(face)
    made = posed(face, roll=10) * 1.1
    truth[..., 2] = made[..., 2] = 0
    assert eye_lmd_aligned(made, truth) < 1e-4 < eye_lmd(made, truth)


def test_the_rigid_points_are_rigid(face: FaceModel) -> None:
    """No action unit moves them by more than 2 % of the eyes' distance on average."""
    rest = posed(face, 1)
    for name in CHANNELS[:14]:
        moved = np.linalg.norm(posed(face, 1, **{name: 1.0}) - rest, axis=-1)[0, list(RIGID)]
        assert moved.mean() < 0.02 * interocular(rest), name


@given(
    st.tuples(st.floats(-60, 60), st.floats(-60, 60), st.floats(-170, 170)),
    st.floats(0.1, 10),
    st.integers(0, 99),
)
@settings(max_examples=30, deadline=None)
def test_any_similarity_is_found(turn: tuple[float, ...], scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(0, 50, (2, 8, 3)).astype(np.float32)
    true = rotation(np.array(turn, np.float32)).astype(np.float64) * scale
    onto = (points @ true.T + rng.normal(0, 100, 3)).astype(np.float32)
    found, shift = similarity(points, onto)
    assert found == pytest.approx(np.stack([true, true]), abs=1e-3 * scale)
    back = points @ found.swapaxes(1, 2) + shift[:, None]
    assert back == pytest.approx(onto, abs=0.02 * scale + 1e-2)


def test_other_shapes_are_refused(face: FaceModel) -> None:
    truth = posed(face)
    with pytest.raises(ValueError, match="478"):
        eye_lmd(truth[:3], truth)
    with pytest.raises(ValueError, match="478"):
        eye_lmd(truth[:, :400], truth[:, :400])


# --- gaze ----------------------------------------------------------------------------------


@given(st.floats(-40, 40), st.floats(-30, 30))
def test_straight_ahead_is_as_far_away_as_one_looks(left: float, down: float) -> None:
    made = np.array([[left, down]], np.float32)
    ahead = np.zeros((1, 2), np.float32)
    together = np.degrees(np.arccos(np.cos(np.radians(left)) * np.cos(np.radians(down))))
    assert gaze_error(made, ahead) == pytest.approx(together, abs=1e-3)
    assert gaze_error(made, made) == pytest.approx(0, abs=1e-5)
    assert gaze_error(ahead, made) == pytest.approx(gaze_error(made, ahead))


def test_small_angles_are_exact() -> None:
    made = np.full((4, 2), (0.001, 0), np.float32)
    assert gaze_error(made, np.zeros_like(made)) == pytest.approx(0.001, rel=1e-3)


def test_hidden_and_unseen_eyes_do_not_count() -> None:
    truth = np.zeros((4, 2), np.float32)
    made = np.array([[10, 0], [50, 0], [np.nan, 0], [20, 0]], np.float32)
    shut = np.array([False, True, False, False])
    assert gaze_error(made, truth, leave_out=shut) == pytest.approx(15, rel=1e-4)
    assert np.isnan(gaze_error(made, truth, leave_out=np.ones(4, bool)))
