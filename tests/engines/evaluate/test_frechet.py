"""The Fréchet distance against Gaussians whose distance is known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.evaluate.metrics.frechet import frechet_distance

F64 = npt.NDArray[np.float64]


def sample(count: int, mean: F64, covariance: F64, seed: int = 0) -> F64:
    """A set whose mean and covariance are exactly these: whitened, then coloured."""
    x = np.random.default_rng(seed).normal(size=(count, len(mean)))
    x -= x.mean(axis=0)
    white = x @ np.linalg.inv(np.linalg.cholesky(x.T @ x / (count - 1))).T
    return np.asarray(white @ np.linalg.cholesky(covariance).T + mean)


def some_covariance(size: int, seed: int) -> F64:
    root = np.random.default_rng(seed).normal(size=(size, size))
    return np.asarray(root @ root.T + 0.1 * np.eye(size))


def known(mean_a: F64, a: F64, mean_b: F64, b: F64) -> float:
    """The formula, through an eigendecomposition of the product."""
    values = np.linalg.eigvals(a @ b)
    shared = np.sqrt(np.maximum(values.real, 0)).sum()
    return float(np.square(mean_a - mean_b).sum() + np.trace(a + b) - 2 * shared)


def test_gaussians_in_one_dimension() -> None:
    a = sample(50, np.array([1.0]), np.array([[4.0]]))
    b = sample(40, np.array([4.0]), np.array([[9.0]]), 1)
    assert frechet_distance(a, b) == pytest.approx(3**2 + (2 - 3) ** 2)


@given(st.integers(1, 8), st.integers(0, 999))
@settings(max_examples=40, deadline=None)
def test_any_gaussians(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mean_a, mean_b = rng.normal(size=size), rng.normal(size=size)
    a, b = some_covariance(size, seed), some_covariance(size, seed + 1)
    found = frechet_distance(sample(60, mean_a, a), sample(45, mean_b, b, 1))
    assert found == pytest.approx(known(mean_a, a, mean_b, b), rel=1e-6, abs=1e-6)


def test_fewer_samples_than_features() -> None:
    """Rank 9 in 64 dimensions: the same number as in the space the samples span."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(10, 9)), rng.normal(1, 2, size=(12, 9))
    turn = np.linalg.qr(rng.normal(size=(64, 64)))[0][:9]
    assert frechet_distance(a @ turn, b @ turn) == pytest.approx(frechet_distance(a, b), rel=1e-9)
    assert frechet_distance(a @ turn, a @ turn) == pytest.approx(0, abs=1e-9)


def test_it_is_symmetric_and_grows_with_the_difference() -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(30, 64))
    found = [frechet_distance(a, a + shift) for shift in (0, 0.1, 0.5, 2)]
    assert found == pytest.approx([64 * s * s for s in (0, 0.1, 0.5, 2)], abs=1e-8)
    b = rng.normal(0, 3, size=(20, 64)).astype(np.float32)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-9)


def test_few_samples_make_it_too_large() -> None:
    rng = np.random.default_rng(2)
    draws = [frechet_distance(*rng.normal(size=(2, n, 32))) for n in (16, 64, 256, 1024)]
    assert draws == sorted(draws, reverse=True) and draws[0] > 20 and draws[-1] < 2


def test_what_is_no_cloud_is_refused() -> None:
    a = np.zeros((5, 3))
    for b in (np.zeros((5, 4)), np.zeros((1, 3)), np.zeros(3)):
        with pytest.raises(ValueError, match="expected"):
            frechet_distance(a, b)
    with pytest.raises(ValueError, match="NaN"):
        frechet_distance(a, np.full((4, 3), np.nan))
