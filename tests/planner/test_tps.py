"""Thin-plate splines against what they must do exactly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.tps import ThinPlateSpline

RNG = np.random.default_rng(0)
POINTS = (RNG.random((40, 2)) * 500).astype(np.float32)


def test_without_regularisation_it_passes_through_every_target() -> None:
    targets = POINTS + RNG.normal(0, 20, POINTS.shape).astype(np.float32)
    spline = ThinPlateSpline.fit(POINTS, targets, regularisation=0)
    assert spline(POINTS) == pytest.approx(targets, abs=1e-2)


@given(st.lists(st.floats(-2, 2), min_size=6, max_size=6))
@settings(max_examples=30, deadline=None)
def test_affine_maps_are_reproduced_everywhere(numbers: list[float]) -> None:
    """An affine map bends nothing, so it survives any regularisation, far outside too."""
    linear = np.array(numbers[:4], np.float32).reshape(2, 2)
    offset = 100 * np.array(numbers[4:], np.float32)
    spline = ThinPlateSpline.fit(POINTS, POINTS @ linear + offset, regularisation=0.1)
    far = POINTS * 3 - 300
    assert spline(far) == pytest.approx(far @ linear + offset, abs=0.05)


def test_regularisation_bends_less_and_has_no_unit() -> None:
    targets = POINTS + RNG.normal(0, 20, POINTS.shape).astype(np.float32)
    errors = []
    for strength in (0.0, 0.1, 10.0):
        spline = ThinPlateSpline.fit(POINTS, targets, regularisation=strength)
        errors.append(float(np.abs(spline(POINTS) - targets).mean()))
    assert errors == sorted(errors) and errors[2] > 5
    small = ThinPlateSpline.fit(POINTS / 100, targets / 100, regularisation=0.1)
    large = ThinPlateSpline.fit(POINTS, targets, regularisation=0.1)
    assert small(POINTS / 100) * 100 == pytest.approx(large(POINTS), abs=0.05)


def test_coinciding_points_are_no_trouble() -> None:
    points = np.concatenate([POINTS[:5], POINTS[:5], np.full((5, 2), 7, np.float32)])
    spline = ThinPlateSpline.fit(points, points + np.float32(3))
    assert np.isfinite(spline(POINTS)).all()


@pytest.mark.parametrize("shape", [(2, 2), (5, 3), (5,)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError):
        ThinPlateSpline.fit(np.zeros(shape, np.float32), np.zeros(shape, np.float32))
