"""PSNR and SSIM against their definitions, and against what anybody would call worse."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import KEYPOINTS, U8, Portrait
from engines.evaluate.metrics.pixels import eye_box, face_box, psnr, ssim


@pytest.fixture(scope="module")
def picture(portrait: Portrait) -> U8:
    return np.asarray(cv2.resize(portrait.crop, (256, 256), interpolation=cv2.INTER_AREA), np.uint8)


def noisy(picture: U8, sigma: float, seed: int = 0) -> U8:
    noise = np.random.default_rng(seed).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).round().astype(np.uint8)


def slow_ssim(made: U8, truth: U8) -> float:
    """The definition, with the window written out."""
    at = np.arange(11) - 5
    line = np.exp(-(at**2) / (2 * 1.5**2))
    weight = np.outer(line, line) / line.sum() ** 2
    x, y = (
        np.lib.stride_tricks.sliding_window_view(
            cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.float64), (11, 11)
        )
        for p in (made, truth)
    )
    mx, my = (weight * x).sum((2, 3)), (weight * y).sum((2, 3))
    dx, dy = x - mx[..., None, None], y - my[..., None, None]
    vx, vy, xy = ((weight * v).sum((2, 3)) for v in (dx * dx, dy * dy, dx * dy))
    c1, c2 = 6.5025, 58.5225
    value = (2 * mx * my + c1) * (2 * xy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float(value.mean())


@given(st.floats(0, 60), st.integers(0, 99))
@settings(max_examples=15, deadline=None)
def test_ssim_is_that_of_the_paper(sigma: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    grain = rng.integers(0, 256, (40, 48, 3), np.uint8)
    truth = np.asarray(cv2.GaussianBlur(grain, (0, 0), 2), np.uint8)
    made = noisy(truth, sigma, seed)
    assert ssim(made, truth) == pytest.approx(slow_ssim(made, truth), abs=2e-4)


def test_psnr_of_a_known_error() -> None:
    truth = np.full((20, 20, 3), 100, np.uint8)
    assert psnr(np.full_like(truth, 110), truth) == pytest.approx(20 * np.log10(25.5))
    assert psnr(truth, truth) == pytest.approx(58.92, abs=0.01)
    made = truth.copy()
    made[:5, :5] = 200
    assert psnr(made, truth, box=(5, 5, 20, 20)) > 58
    assert psnr(made, truth, box=(0, 0, 5, 5)) == pytest.approx(20 * np.log10(2.55))
    mask = np.zeros((20, 20), np.uint8)
    mask[:5, :5] = 1
    assert psnr(made, truth, mask=mask) == pytest.approx(20 * np.log10(2.55))
    assert psnr(made, truth, mask=mask, box=(0, 0, 5, 10)) == pytest.approx(20 * np.log10(2.55))
    assert np.isnan(psnr(made, truth, mask=mask, box=(6, 6, 9, 9)))


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_worse_pictures_have_less(picture: U8, metric: object) -> None:
    assert callable(metric)
    soft = [np.asarray(cv2.GaussianBlur(picture, (0, 0), s), np.uint8) for s in (0.6, 1.5, 4)]
    for worse in (
        [picture, *soft],
        [noisy(picture, s) for s in (0, 3, 10, 40)],
        [np.roll(picture, s, axis=1) for s in (0, 1, 3, 12)],
    ):
        values = [metric(made, picture) for made in worse]
        assert values == sorted(values, reverse=True) and len(set(values)) == len(values)


def test_ssim_forgives_brightness_and_psnr_does_not(picture: U8) -> None:
    """The paper's own argument: the same error in numbers, quite another to the eye."""
    lighter = np.clip(picture.astype(int) + 12, 0, 255).astype(np.uint8)
    grainy = noisy(picture, 12)
    assert abs(psnr(lighter, picture) - psnr(grainy, picture)) < 1
    assert ssim(lighter, picture) > ssim(grainy, picture) + 0.1


def test_the_box_holds_eyes_and_brows(portrait: Portrait) -> None:
    box = eye_box(portrait.mesh, portrait.size)
    assert box is not None
    left, top, right, bottom = box
    points = portrait.mesh[list(KEYPOINTS), :2]
    assert (points >= (left, top)).all() and (points <= (right, bottom)).all()
    assert bottom < portrait.mesh[2, 1]  # the nose
    around = face_box(portrait.mesh[None], portrait.size)
    assert around is not None and around[3] > bottom


def test_a_box_ends_with_the_picture(portrait: Portrait) -> None:
    aside = portrait.mesh - np.array([portrait.mesh[168, 0], 0, 0], np.float32)
    box = eye_box(aside, portrait.size)
    assert box is not None and box[0] == 0
    assert eye_box(portrait.mesh - 5000, portrait.size) is None
    assert eye_box(np.full_like(portrait.mesh, np.nan), portrait.size) is None
    assert face_box(np.full((2, 478, 3), np.nan, np.float32), 256) is None


def test_other_sizes_are_refused(picture: U8) -> None:
    for metric in (psnr, ssim):
        with pytest.raises(ValueError, match="twice"):
            metric(picture[:100], picture)
    with pytest.raises(ValueError, match="11"):
        ssim(picture[:5, :5], picture[:5, :5])
