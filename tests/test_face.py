"""The parametric face: every channel moves what it names, on the right side."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core import (
    BROW_LEFT,
    BROW_RIGHT,
    CHANNEL,
    CHANNELS,
    F32,
    IRIS_LEFT,
    IRIS_RIGHT,
    LID_LEFT,
    LID_RIGHT,
    MOUTH,
    MOUTH_CHANNELS,
    Portrait,
)
from face import IRIS_MM, FaceModel, amplitudes, rotation

UPPER_LEFT, LOWER_LEFT = list(LID_LEFT[9:]), list(LID_LEFT[1:8])
UPPER_RIGHT, LOWER_RIGHT = list(LID_RIGHT[9:]), list(LID_RIGHT[1:8])


@pytest.fixture(scope="module")
def face(portrait: Portrait) -> FaceModel:
    return FaceModel.from_mesh(portrait.mesh)


def controls(**values: float) -> F32:
    c = np.zeros(len(CHANNELS), np.float32)
    for name, value in values.items():
        c[CHANNEL[name]] = value
    return c


def lips(**values: float) -> F32:
    m = np.zeros(len(MOUTH_CHANNELS), np.float32)
    for name, value in values.items():
        m[MOUTH[name]] = value
    return m


def moved(face: FaceModel, c: F32, m: F32 | None = None) -> F32:
    """How far each point goes, ``[478, 2]`` pixels."""
    return np.asarray(face.deform(c, m)[:, :2] - face.neutral[:, :2])


def mouth_gap(face: FaceModel, m: F32) -> float:
    points = face.deform(controls(), m)
    return float(points[14, 1] - points[13, 1])


def test_rest_is_the_portrait(face: FaceModel) -> None:
    """No controls, no change: to the last bit."""
    assert np.array_equal(face.deform(controls(), lips()), face.neutral)


def test_a_track_is_its_frames(face: FaceModel) -> None:
    """deform([T]) equals T single calls."""
    rng = np.random.default_rng(1)
    c = rng.uniform(0, 1, (5, 17)).astype(np.float32)
    m = rng.uniform(0, 1, (5, 9)).astype(np.float32)
    track = face.deform(c, m)
    assert track.shape == (5, 478, 3) and track.dtype == np.float32
    for i in range(5):
        np.testing.assert_allclose(track[i], face.deform(c[i], m[i]), atol=1e-3)


@pytest.mark.parametrize(("channel", "closes", "stays"), [("AU45_L", 0, 1), ("AU45_R", 1, 0)])
def test_a_wink_closes_the_persons_own_eye(
    face: FaceModel, channel: str, closes: int, stays: int
) -> None:
    """AU45_L closes the eye at the picture's right, and no other; and the other way round."""
    after = face.deform(controls(**{channel: 1}))[:, :2]
    uppers, lowers = (UPPER_LEFT, UPPER_RIGHT), (LOWER_LEFT, LOWER_RIGHT)
    gap = np.abs(after[uppers[closes]].mean(0) - after[lowers[closes]].mean(0))[1]
    before = face.neutral[uppers[closes], 1].mean() - face.neutral[lowers[closes], 1].mean()
    assert gap < 0.12 * abs(before)
    ring = (LID_LEFT, LID_RIGHT)[stays]
    assert np.abs(after[list(ring)] - face.neutral[list(ring), :2]).max() < 0.01
    assert face.eyes[0].centre[0] > face.eyes[1].centre[0]  # left eye: image right


@pytest.mark.parametrize("channel", ["AU1_L", "AU1_R", "AU2_L", "AU2_R"])
def test_one_brow_rises_alone(face: FaceModel, channel: str) -> None:
    """Brow raisers move the named brow up, the other not, and no lid margin."""
    d = moved(face, controls(**{channel: 1}))
    own, other = (BROW_LEFT, BROW_RIGHT) if channel.endswith("L") else (BROW_RIGHT, BROW_LEFT)
    assert d[list(own), 1].min() < -2 * face.mm
    assert np.abs(d[list(other)]).max() < 0.35 * np.abs(d[list(own)]).max()
    assert np.abs(d[list(LID_LEFT + LID_RIGHT)]).max() < 0.05
    inner, outer = d[[own[4], own[9]], 1].mean(), d[[own[0], own[5]], 1].mean()
    assert (inner < outer) == channel.startswith("AU1")


def test_frown_lowers_and_knits(face: FaceModel) -> None:
    """AU4 brings both brows down and together."""
    d = moved(face, controls(AU4=1))
    assert d[285, 1] > face.mm and d[55, 1] > face.mm
    assert d[285, 0] < 0 < d[55, 0]


def test_lids_tighten_and_widen(face: FaceModel) -> None:
    """AU7 lifts the lower lids, AU5 the upper ones, AU6 the cheeks."""
    assert moved(face, controls(AU7=1))[LOWER_LEFT, 1].max() < 0
    assert moved(face, controls(AU5=1))[UPPER_RIGHT, 1].max() < 0
    assert moved(face, controls(AU6=1))[[425, 205], 1].min() < 0.1
    assert moved(face, controls(AU6=1))[[348, 119], 1].max() < -face.mm


@pytest.mark.parametrize(
    ("channel", "axis", "sign"),
    [("gaze_left", 0, 1), ("gaze_right", 0, -1), ("gaze_up", 1, -1), ("gaze_down", 1, 1)],
)
def test_gaze_turns_both_irises(face: FaceModel, channel: str, axis: int, sign: int) -> None:
    """The person's left is image right; the pupil travels as a 12 mm ball would carry it."""
    d = moved(face, controls(**{channel: 1}))
    for ring, mm in ((IRIS_LEFT, face.iris_mm[0]), (IRIS_RIGHT, face.iris_mm[1])):
        travel = sign * d[ring[0], axis]
        assert 4.0 * mm < travel < 7.0 * mm
        assert abs(d[ring[0], 1 - axis]) < 0.1 * travel


def test_a_turned_iris_is_seen_narrower(face: FaceModel) -> None:
    """At 35 degrees to the side the disc's width falls to cos 35°, its height stays."""
    after = face.deform(controls(gaze_left=1))[list(IRIS_LEFT), :2]
    before = face.neutral[list(IRIS_LEFT), :2]

    def spans(points: F32) -> F32:
        return np.asarray(np.ptp(points[1:], axis=0), np.float32)

    np.testing.assert_allclose(
        spans(after)[0] / spans(before)[0], np.cos(np.radians(35)), atol=0.02
    )
    np.testing.assert_allclose(spans(after)[1] / spans(before)[1], 1, atol=0.02)
    assert np.ptp(before[:, 0]) / face.iris_mm[0] == pytest.approx(IRIS_MM, rel=0.15)


def test_lids_follow_the_gaze(face: FaceModel) -> None:
    """Looking down lowers the upper lids, looking up raises them."""
    assert moved(face, controls(gaze_down=1))[UPPER_LEFT, 1].min() > 0.5
    assert moved(face, controls(gaze_up=1))[UPPER_LEFT, 1].max() < -0.5
    assert np.abs(moved(face, controls(gaze_left=1))[UPPER_LEFT]).max() < 0.01


@pytest.mark.parametrize(
    ("channel", "point", "axis", "sign"),
    [
        ("jaw", 152, 1, 1), ("jaw", 14, 1, 1), ("wide", 308, 0, 1), ("wide", 78, 0, -1),
        ("pucker", 308, 0, -1), ("pucker", 78, 0, 1), ("smile", 308, 1, -1), ("smile", 78, 1, -1),
        ("upper_lip", 13, 1, -1), ("lower_lip", 14, 1, 1),
    ],
)  # fmt: skip
def test_mouth_channels(face: FaceModel, channel: str, point: int, axis: int, sign: int) -> None:
    """Each mouth control moves its own landmark the right way, and no eye."""
    d = moved(face, controls(), lips(**{channel: 1}))
    assert sign * d[point, axis] > face.mm
    assert np.abs(d[list(LID_LEFT + LID_RIGHT + IRIS_LEFT + IRIS_RIGHT)]).max() < 0.3 * face.mm


def test_teeth_stay_while_the_jaw_drops(face: FaceModel) -> None:
    """The upper lip's middle hardly moves under jaw: what opens, opens downwards."""
    d = moved(face, controls(), lips(jaw=0.5))
    assert abs(d[13, 1]) < 0.1 * d[14, 1]


@pytest.mark.parametrize("jaw", [0.0, 0.3, 0.8])
def test_press_shuts_the_lips_over_any_jaw(face: FaceModel, jaw: float) -> None:
    """A bilabial closes although the jaw is down, and the chin stays down."""
    open_gap = mouth_gap(face, lips(jaw=jaw, lower_lip=0.5))
    assert open_gap > 1.0
    assert mouth_gap(face, lips(jaw=jaw, lower_lip=0.5, press=1)) < 0.3
    if jaw:
        assert moved(face, controls(), lips(jaw=jaw, press=1))[152, 1] > 3 * jaw


@pytest.mark.parametrize(
    ("channel", "point", "axis", "sign"),
    [("pitch", 1, 1, 1), ("yaw", 1, 0, 1), ("roll", 10, 0, 1)],
)
def test_pose_signs(face: FaceModel, channel: str, point: int, axis: int, sign: int) -> None:
    """Positive pitch lowers the nose, positive yaw and roll go to the person's left."""
    c = controls(**{channel: 10})
    d = face.pose(face.neutral, c) - face.neutral
    assert sign * d[point, axis] > 5 * face.mm
    back = face.pose(face.pose(face.neutral, c), -c)
    np.testing.assert_allclose(back, face.neutral, atol=1e-2)


def test_pose_is_rigid(face: FaceModel) -> None:
    """Distances keep, tracks broadcast."""
    c = np.stack([controls(pitch=9, yaw=-20, roll=7), controls()])
    posed = face.pose(face.deform(c), c)
    gaps = np.linalg.norm(np.diff(posed[0], axis=0), axis=1)
    np.testing.assert_allclose(
        gaps, np.linalg.norm(np.diff(face.neutral, axis=0), axis=1), atol=1e-2
    )
    np.testing.assert_allclose(posed[1], face.neutral, atol=1e-3)
    turn = rotation(c[0, 14:])
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-5)


def test_wrong_shapes_are_refused(face: FaceModel) -> None:
    """The message says what was expected."""
    with pytest.raises(ValueError, match="478"):
        FaceModel.from_mesh(np.zeros((468, 3), np.float32))
    with pytest.raises(ValueError, match="478"):
        FaceModel.from_mesh(np.full((478, 3), np.nan, np.float32))
    with pytest.raises(ValueError, match="17"):
        face.deform(np.zeros(16, np.float32))
    with pytest.raises(ValueError, match="9"):
        face.deform(controls(), np.zeros(8, np.float32))


UNIT = st.floats(0, 1, width=32)


@settings(max_examples=40, deadline=None)
@given(c=hnp.arrays(np.float32, 17, elements=UNIT), m=hnp.arrays(np.float32, 9, elements=UNIT))
def test_lids_never_cross(face: FaceModel, c: F32, m: F32) -> None:
    """Whatever the controls, the upper lid stays on or above the lower one, all is finite."""
    points = face.deform(c, m)
    assert np.isfinite(points).all()
    weights = amplitudes(face, c[None], m)[0]
    for side in range(2):
        assert weights[side] + weights[2 + side] <= 1 + 1e-5
