"""Eye-aware guidance against numbers worked out by hand."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import KEYPOINTS, Portrait
from engines.video.guidance import (
    UNGUIDED,
    Guidance,
    eye_map,
    fixed,
    needs_both,
    omega,
    spatial_only,
    temporal_only,
)
from engines.video.regions import Regions
from tests.engines.video.faces_in_regions import keypoints

PAPER = Guidance()


@pytest.mark.parametrize(
    ("rho", "weight"),
    [(0, 8), (0.2499, 8), (0.25, 8), (0.4, 6), (0.475, 5), (0.55, 4), (0.8, 4), (0.975, 4)],
)
def test_the_weight_falls_as_on_paper(rho: float, weight: float) -> None:
    assert PAPER.weight(rho) == pytest.approx(weight)


def test_omega_at_the_eyes_and_far_away() -> None:
    # G by hand: between the eyes, one eye distance away, two away, out of the picture.
    gauss = np.array([1, math.exp(-0.5), math.exp(-2), 0], np.float32)
    early = omega(PAPER, gauss, 0.1)
    assert early == pytest.approx([8, 8 * 0.60653 + 0.39347, 8 * 0.13534 + 0.86466, 1], abs=1e-4)
    late = omega(PAPER, gauss, 0.9)
    assert late == pytest.approx([4, 4 * 0.60653 + 0.39347, 4 * 0.13534 + 0.86466, 1], abs=1e-4)
    assert omega(PAPER, gauss, 0.4)[0] == pytest.approx(6)
    assert omega(Guidance(background=0.5), gauss, 0.9)[3] == 0.5


def test_the_map_by_hand() -> None:
    rest = np.zeros(4, np.float32)
    points = keypoints(rest, rest)  # the eyes are 3 apart; in the mouth's region 1.5
    gauss = eye_map(points)
    assert gauss.shape == (1, 3, 6, 6) and gauss.dtype == np.float32
    # The right eye's region: pupils at (0, .3) and (3, .3), so the middle is (1.5, .3).
    x, y = 5 / 6 - 1.5, 0.5 - 0.3  # the last but one row, last column
    assert gauss[0, 1, 4, 5] == pytest.approx(math.exp(-(x * x + y * y) / (2 * 9)), rel=1e-5)
    # The left eye's is mirrored: the nose is at its right side too.
    np.testing.assert_allclose(gauss[0, 0], gauss[0, 1], rtol=1e-5)
    # The mouth's: middle of the eyes at ((1.5 - 1.5) / 2, (.3 - 4) / 2).
    x, y = 1 / 6, 5 / 6 + 1.85
    assert gauss[0, 2, 5, 3] == pytest.approx(math.exp(-(x * x + y * y) / (2 * 2.25)), rel=1e-5)
    tight = eye_map(points, 0.5)
    np.testing.assert_allclose(tight, gauss**4, rtol=1e-4)


def test_regions_show_the_gaussian_of_the_picture(portrait: Portrait) -> None:
    """Equation 4 in pixels of the picture, at the places where the tokens lie in it."""
    regions = Regions.of(portrait.mesh)
    spots = portrait.mesh[list(KEYPOINTS), :2]
    left, right = spots[52], spots[57]
    along = (np.arange(6) + 0.5) / 3 - 1
    grid = np.stack(np.meshgrid(along, along), -1)
    gauss = eye_map(np.repeat(regions.to_region(spots)[None], 4, 0), 0.7)
    spread = 2 * (0.7 * np.linalg.norm(left - right)) ** 2
    for k in range(3):
        place = grid * [-1 if k == 0 else 1, 1] * regions.halves[k] + regions.centres[k]
        away = np.square(place - (left + right) / 2).sum(-1)
        np.testing.assert_allclose(gauss[0, k], np.exp(-away / spread), rtol=1e-3)
    assert gauss[0, :2].max() > 0.9 > 0.4 > gauss[0, 2].min()


def test_variants_of_the_ablation() -> None:
    gauss = np.linspace(0, 1, 5, dtype=np.float32)
    rest = np.zeros(4, np.float32)
    points = keypoints(rest, rest)
    everywhere = eye_map(points, fixed().kappa)
    assert np.all(everywhere == 1)
    for rho in (0.0, 0.4, 0.9):
        assert np.all(omega(fixed(5.0), everywhere, rho) == 5)
        assert np.allclose(omega(temporal_only(PAPER), everywhere, rho), PAPER.weight(rho))
        spatial = omega(spatial_only(PAPER, 3.0), gauss, rho)
        np.testing.assert_allclose(spatial, 1 + 2 * gauss, rtol=1e-6)
    assert temporal_only(PAPER).kappa == math.inf and spatial_only(PAPER).kappa == 1


def test_when_the_unconditional_velocity_is_needed() -> None:
    assert needs_both(PAPER) and needs_both(fixed(1.5)) and needs_both(Guidance(high=1, low=2))
    assert needs_both(Guidance(high=1, low=1, background=0.5))
    assert not needs_both(UNGUIDED) and not needs_both(fixed(1.0))
    assert np.all(omega(UNGUIDED, np.linspace(0, 1, 7, dtype=np.float32), 0.3) == 1)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 20), st.floats(0, 20))
def test_weights_stay_between_high_and_low(
    rho: float, a: float, b: float, high: float, low: float
) -> None:
    knobs = Guidance(high, low, min(a, b), max(a, b))
    assert min(high, low) - 1e-9 <= knobs.weight(rho) <= max(high, low) + 1e-9


@pytest.mark.parametrize(
    "knobs",
    [{"alpha": 0.6}, {"gamma": 1.5}, {"kappa": 0}, {"high": math.nan}, {"kappa": math.nan}],
)
def test_knobs_that_can_not_be(knobs: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="guidance"):
        Guidance(**knobs)


def test_eyes_at_one_place_give_no_nan() -> None:
    assert np.isfinite(eye_map(np.zeros((4, 3, 62, 2), np.float32))).all()
    with pytest.raises(ValueError, match="points"):
        eye_map(np.zeros((4, 62, 2), np.float32))


def test_the_run_time_needs_no_torch() -> None:
    names = ("guidance", "schedule", "text", "dit_config")
    code = ";".join(f"import engines.video.{name}" for name in names)
    code += ";import sys;sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
