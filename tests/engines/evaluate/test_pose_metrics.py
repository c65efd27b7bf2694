"""Head pose error: exact for one axis, blind to how the head was held at first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core import F32
from engines.evaluate.metrics.pose import pose_error

POSES = hnp.arrays(np.float32, (6, 3), elements=st.floats(-40, 40, width=32))


def head(**axes: float) -> F32:
    """A head that goes from rest to the given angles in one step and stays there."""
    out = np.zeros((5, 3), np.float32)
    for name, value in axes.items():
        out[1:, ("pitch", "yaw", "roll").index(name)] = value
    return out


@pytest.mark.parametrize("axis", ["pitch", "yaw", "roll"])
def test_one_axis_is_its_own_angle(axis: str) -> None:
    error = pose_error(head(**{axis: 17}), head(**{axis: 5}))
    assert error.angle == pytest.approx(12, abs=1e-3)
    assert getattr(error, axis) == pytest.approx(12, abs=1e-3)
    assert error.pitch + error.yaw + error.roll == pytest.approx(12, abs=1e-3)


def test_small_angles_are_exact() -> None:
    assert pose_error(head(yaw=0.01), head()).angle == pytest.approx(0.01, rel=0.02)


def test_how_the_head_is_held_at_first_drops_out() -> None:
    askew = head(yaw=10) + np.array([0, 20, 0], np.float32)
    assert pose_error(askew, head(yaw=10)).angle == pytest.approx(0, abs=1e-3)
    assert pose_error(askew, head()).angle == pytest.approx(10, abs=1e-3)


def test_a_late_head_is_worse_than_one_in_time() -> None:
    t = np.arange(76) / 25
    truth = np.stack([8 * np.sin(3 * t), 12 * np.sin(2 * t), 3 * np.sin(t)], 1).astype(np.float32)
    errors = [pose_error(np.roll(truth, k, axis=0), truth).angle for k in (0, 2, 5)]
    still = pose_error(np.zeros_like(truth), truth).angle
    assert errors == sorted(errors) and errors[0] < 1e-4 and errors[1] < still


def test_unseen_frames_do_not_count() -> None:
    made, truth = head(yaw=10), head(yaw=4)
    made[2], truth[3] = np.nan, np.nan
    made[4] = made[0]
    assert pose_error(made, truth).yaw == pytest.approx((6 + 4) / 2, abs=1e-3)
    made[0] = np.nan  # the reference is now frame 1
    assert pose_error(made, truth).yaw == pytest.approx(10, abs=1e-3)
    made[1:] = np.nan
    assert np.isnan(pose_error(made, truth).angle)


@given(POSES, POSES)
def test_it_is_a_distance(a: F32, b: F32) -> None:
    there, back = pose_error(a, b).angle, pose_error(b, a).angle
    assert 0 <= there <= 180 and there == pytest.approx(back, abs=1e-3)
    assert pose_error(a, a).angle == pytest.approx(0, abs=1e-3)
