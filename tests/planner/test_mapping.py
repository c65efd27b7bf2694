"""Controls to keypoints: every channel moves the right points the right way.

"Left" is the portrait's own: on the right of the picture, where x is larger.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from core import (
    BROW_LEFT,
    BROW_RIGHT,
    F32,
    KEYPOINT_SLICES,
    KEYPOINTS,
    LID_LEFT,
    LID_RIGHT,
    ControlTrack,
    Portrait,
)
from face import FaceModel
from planner.mapping import align, to_keypoints
from planner.tps import ThinPlateSpline

S = KEYPOINT_SLICES
OTHER = {"left": "right", "right": "left"}


@pytest.fixture(params=["real", "symmetric"])
def face(request: pytest.FixtureRequest, portrait: Portrait) -> Iterator[FaceModel]:
    """A real face, and the same made exactly symmetric."""
    mesh = portrait.mesh
    if request.param == "symmetric":
        mesh = symmetric(mesh)
    yield FaceModel.from_mesh(mesh)


def symmetric(mesh: F32) -> F32:
    """The mean of a mesh and its mirror: eyes and brows paired by name, the rest by nearness."""
    middle = float(mesh[:, 0].mean())
    mirrored = mesh * np.array([-1, 1, 1], np.float32) + np.array([2 * middle, 0, 0], np.float32)
    partner = np.array([((mirrored[:468] - p) ** 2).sum(1).argmin() for p in mesh[:468]])
    for left, right in zip((*LID_LEFT, *BROW_LEFT), (*LID_RIGHT, *BROW_RIGHT), strict=True):
        partner[[left, right]] = right, left
    out = mesh.copy()
    out[:468] = 0.5 * (mesh[:468] + mirrored[partner])
    for left, right in zip((473, 474, 475, 476, 477), (468, 471, 470, 469, 472), strict=True):
        out[left] = 0.5 * (mesh[left] + mirrored[right])
        out[right] = out[left] * [-1, 1, 1] + [2 * middle, 0, 0]
    return out


def moved(face: FaceModel, **controls: float) -> F32:
    """How far each keypoint goes: float32 ``[62, 2]``."""
    track = to_keypoints(ControlTrack.neutral(2, **controls), face)
    assert np.array_equal(track.points[0], track.points[1])
    out: F32 = track.points[0] - face.neutral[list(KEYPOINTS), :2]
    return out


def gap(points: F32, eye: str) -> float:
    """Mean opening of an eye: lower lid minus upper lid, pixels."""
    lid = points[S[f"lid_{eye}"]]
    return float((lid[1:8, 1] - lid[:8:-1, 1]).mean())


def open_gap(face: FaceModel, eye: str, **controls: float) -> float:
    """Opening of an eye under controls, as a share of the neutral one."""
    neutral = face.neutral[list(KEYPOINTS), :2]
    return gap(neutral + moved(face, **controls), eye) / gap(neutral, eye)


def test_rest_is_the_portrait_itself(face: FaceModel) -> None:
    assert np.abs(moved(face)).max() < 1e-3


@pytest.mark.parametrize("eye", ["left", "right"])
def test_a_wink_closes_one_eye_only(face: FaceModel, eye: str) -> None:
    side = eye[0].upper()
    controls = {f"AU45_{side}": 1.0}
    assert open_gap(face, eye, **controls) < 0.15
    assert open_gap(face, OTHER[eye], **controls) == pytest.approx(1, abs=0.02)
    half = open_gap(face, eye, **{f"AU45_{side}": 0.5})
    assert 0.35 < half < 0.65


@pytest.mark.parametrize("eye", ["left", "right"])
@pytest.mark.parametrize("unit", ["AU1", "AU2"])
def test_one_brow_rises_alone(face: FaceModel, eye: str, unit: str) -> None:
    """AU1 lifts the inner end, AU2 the outer one, of its own side."""
    d = moved(face, **{f"{unit}_{eye[0].upper()}": 1.0})
    brow, other = d[S[f"brow_{eye}"]], d[S[f"brow_{OTHER[eye]}"]]
    outer, inner = brow[[0, 5], 1].mean(), brow[[4, 9], 1].mean()
    rise = -min(outer, inner)
    assert rise > 3
    assert (inner < 0.6 * outer) if unit == "AU1" else (outer < 0.6 * inner)
    assert np.abs(other).max() < 0.2 * rise


def test_brows_lower_and_draw_together(face: FaceModel) -> None:
    d = moved(face, AU4=1.0)
    left, right = d[S["brow_left"]], d[S["brow_right"]]
    assert left[[4, 9], 1].min() > 2 and right[[4, 9], 1].min() > 2  # inner ends go down
    assert left[[4, 9], 0].mean() < -1 < 1 < right[[4, 9], 0].mean()  # and to the middle


def test_lids_widen_and_tighten(face: FaceModel) -> None:
    for eye in ("left", "right"):
        assert open_gap(face, eye, AU5=1.0) > 1.12
        assert open_gap(face, eye, AU7=1.0) < 0.8
        assert open_gap(face, eye, AU6=1.0) < 0.97


def test_tightening_lifts_the_lower_lid(face: FaceModel) -> None:
    d = moved(face, AU7=1.0)
    for eye in ("left", "right"):
        lid = d[S[f"lid_{eye}"]]
        assert lid[1:8, 1].mean() < -2 * abs(lid[9:, 1].mean())


@pytest.mark.parametrize(
    ("controls", "x", "y"),
    [
        ({"gaze_left": 1.0}, 1, 0),
        ({"gaze_right": 1.0}, -1, 0),
        ({"gaze_up": 1.0}, 0, -1),
        ({"gaze_down": 1.0}, 0, 1),
        ({"gaze_left": 0.7, "gaze_up": 0.7}, 1, -1),
        ({"gaze_left": 0.7, "gaze_down": 0.7}, 1, 1),
        ({"gaze_right": 0.7, "gaze_up": 0.7}, -1, -1),
        ({"gaze_right": 0.7, "gaze_down": 0.7}, -1, 1),
    ],
)
def test_gaze_moves_both_irises(
    face: FaceModel, controls: dict[str, float], x: int, y: int
) -> None:
    d = moved(face, **controls)
    eye = face.neutral[list(KEYPOINTS), :2][S["iris_left"]]
    radius = float(np.hypot(*(eye[1:] - eye[0]).T).mean())
    for iris in ("iris_left", "iris_right"):
        pupil = d[S[iris]][0]
        for axis, sign in zip(pupil, (x, y), strict=True):
            if sign:
                assert sign * axis > 0.25 * radius
            else:
                assert abs(axis) < 0.1 * radius
    assert np.abs(d[S["brow_left"]]).max() < 0.05  # gaze moves no brow


def test_lids_follow_vertical_gaze(face: FaceModel) -> None:
    for eye in ("left", "right"):
        assert open_gap(face, eye, gaze_down=1.0) < 0.8
        assert open_gap(face, eye, gaze_up=1.0) > 1.1
        assert open_gap(face, eye, gaze_left=1.0) == pytest.approx(1, abs=0.02)


def test_pitch_lowers_the_face(face: FaceModel) -> None:
    assert moved(face, pitch=10.0)[:, 1].mean() > 3
    assert moved(face, pitch=-10.0)[:, 1].mean() < -3


def test_yaw_turns_to_the_persons_left(face: FaceModel) -> None:
    """Everything in front of the pivot goes to the right of the picture, the far eye narrows."""
    neutral = face.neutral[list(KEYPOINTS), :2]
    for sign in (1, -1):
        d = moved(face, yaw=15.0 * sign)
        assert sign * d[:, 0].mean() > 5
        width = [
            np.ptp((neutral + d)[S[f"lid_{eye}"], 0]) / np.ptp(neutral[S[f"lid_{eye}"], 0])
            for eye in ("left", "right")
        ]
        assert (width[0] < width[1]) == (sign > 0)


def test_roll_tilts_to_the_persons_left_shoulder(face: FaceModel) -> None:
    d = moved(face, roll=10.0)
    assert d[S["iris_left"]][0, 1] > 0 > d[S["iris_right"]][0, 1]
    assert d[:, 0].mean() > 3  # the head leans to the right of the picture


def test_sides_mirror_on_a_symmetric_face(portrait: Portrait) -> None:
    face = FaceModel.from_mesh(symmetric(portrait.mesh))
    for unit in ("AU1", "AU2", "AU45"):
        left, right = moved(face, **{f"{unit}_L": 1.0}), moved(face, **{f"{unit}_R": 1.0})
        for part in ("lid", "brow"):
            a, b = left[S[f"{part}_left"]], right[S[f"{part}_right"]] * [-1, 1]
            assert np.abs(a - b).max() < 1.0
    a, b = moved(face, yaw=12.0), moved(face, yaw=-12.0)
    assert np.abs(a[S["brow_left"]] - b[S["brow_right"]] * [-1, 1]).max() < 1.0


def test_alignment_is_the_identity_on_the_own_mesh(portrait: Portrait) -> None:
    face = FaceModel.from_mesh(portrait.mesh)
    controls = ControlTrack.neutral(3, yaw=10.0, gaze_left=0.5, AU45_L=0.7)
    plain = to_keypoints(controls, face)
    aligned = to_keypoints(controls, face, portrait.keypoints)
    assert np.abs(plain.points - aligned.points).max() < 1e-6
    # And the spline itself, were it used:
    spline = ThinPlateSpline.fit(portrait.keypoints, portrait.keypoints)
    assert np.abs(spline(plain.points) - plain.points).max() < 1e-2


def test_another_face_lands_on_the_portrait(portrait: Portrait) -> None:
    """A turned, smaller, narrower head: neutral fits, and a wink stays a wink."""
    narrow = portrait.mesh * np.array([0.5, 0.6, 0.55], np.float32) + np.float32(40)
    other = FaceModel.from_mesh(narrow.astype(np.float32))
    at_rest = to_keypoints(ControlTrack.neutral(1), other, portrait.keypoints).points[0]
    assert np.abs(at_rest - portrait.keypoints).max() < 1.0
    wink = to_keypoints(ControlTrack.neutral(1, AU45_L=1.0), other, portrait.keypoints).points[0]
    assert gap(wink, "left") < 0.2 * gap(at_rest, "left")
    assert gap(wink, "right") == pytest.approx(gap(at_rest, "right"), rel=0.05)


def test_an_empty_track_maps_to_an_empty_track(portrait: Portrait) -> None:
    face = FaceModel.from_mesh(portrait.mesh)
    assert to_keypoints(ControlTrack.neutral(0), face).points.shape == (0, 62, 2)


def test_align_takes_any_leading_shape(portrait: Portrait) -> None:
    shifted = portrait.keypoints + np.float32(5)
    points = np.repeat(portrait.keypoints[None], 4, 0)
    assert align(points, portrait.keypoints, shifted) == pytest.approx(points + 5, abs=1e-2)
