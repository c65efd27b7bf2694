"""Controls come back from the keypoints they made, wherever the head is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import (
    CHANNEL,
    F32,
    KEYPOINTS,
    MESH_POINTS,
    POSE_SLICE,
    ControlTrack,
    KeypointTrack,
    Portrait,
)
from engines.evaluate.fit import fit_controls, held, keypoints_of, relative_pose
from engines.evaluate.track import FaceTrack
from face import FaceModel, rotation


def points_of(portrait: Portrait, controls: F32) -> F32:
    face = FaceModel.from_mesh(portrait.mesh)
    return face.pose(face.deform(controls), controls)[:, list(KEYPOINTS), :2]


@pytest.mark.parametrize(
    ("channel", "value", "slack"),
    [
        ("gaze_left", 0.6, 0.03), ("gaze_right", 0.3, 0.03), ("gaze_up", 0.5, 0.05),
        ("gaze_down", 0.5, 0.05), ("AU45_L", 0.9, 0.08), ("AU45_R", 0.5, 0.08),
        ("AU1_L", 0.8, 0.05), ("AU2_R", 0.8, 0.05), ("AU4", 0.7, 0.05),
    ],
)  # fmt: skip
def test_each_channel_comes_back(
    portrait: Portrait, channel: str, value: float, slack: float
) -> None:
    controls = np.array(ControlTrack.neutral(3, **{channel: value}).values)
    controls[0] = 0
    controls[2, POSE_SLICE] = (6, -10, 4)
    points = KeypointTrack(points_of(portrait, controls).astype(np.float32))
    found = fit_controls(points, controls[:, POSE_SLICE], portrait).values
    assert found[1:, CHANNEL[channel]] == pytest.approx(value, abs=slack)
    assert np.abs(found[0, : POSE_SLICE.start]).max() < 0.02
    others = np.delete(found[1:, : POSE_SLICE.start], CHANNEL[channel], axis=1)
    assert others.max() < value / 2


def test_a_head_that_moves_is_no_expression(portrait: Portrait) -> None:
    points = points_of(portrait, ControlTrack.neutral(4).values)
    shifts = np.array([0, 5, -20, 40], np.float32)[:, None, None]
    scales = np.array([1, 1.1, 0.8, 1.3], np.float32)[:, None, None]
    moved = KeypointTrack((points * scales + shifts).astype(np.float32))
    found = fit_controls(moved, np.zeros((4, 3), np.float32), portrait).values
    assert np.abs(found).max() < 0.02


@settings(max_examples=40)
@given(st.lists(st.tuples(*[st.floats(-40, 40)] * 3), min_size=1, max_size=5))
def test_poses_are_told_against_the_first(poses: list[tuple[float, float, float]]) -> None:
    pose = np.array(poses, np.float32)
    turns = rotation(pose)
    assert rotation(relative_pose(pose)) == pytest.approx(turns @ turns[0].T, abs=1e-4)
    assert relative_pose(pose)[0] == pytest.approx(0, abs=1e-3)


def test_lost_frames_hold_the_last(portrait: Portrait) -> None:
    rows = np.array([[np.nan], [1], [np.nan], [np.nan], [2]], np.float32)
    assert held(rows)[:, 0].tolist() == [1, 1, 1, 1, 2]
    assert not held(np.full((3, 2), np.nan, np.float32)).any()
    mesh = np.repeat(portrait.mesh[None] / 2, 3, axis=0).astype(np.float32)
    mesh[1] = np.nan
    mesh[2, :, 0] += 4
    nothing = np.zeros((3, 3), np.float32)
    track = FaceTrack(
        "test", np.array([True, False, True]), mesh, np.zeros((3, 10), np.float32), nothing[:, :2],
        nothing,
    )  # fmt: skip
    assert mesh.shape == (3, MESH_POINTS, 3)
    points = keypoints_of(track, portrait, portrait.size // 2).points
    assert points[0] == pytest.approx(portrait.keypoints) and (points[1] == points[0]).all()
    assert points[2] - points[0] == pytest.approx(np.array([[8, 0]] * len(KEYPOINTS)), abs=1e-3)
