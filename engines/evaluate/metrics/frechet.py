"""The Fréchet distance between two clouds of features: FID of frames, FVD of clips."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

F64: TypeAlias = npt.NDArray[np.float64]
Features: TypeAlias = npt.NDArray[Any]
"Of any type of number."


def frechet_distance(a: Features, b: Features) -> float:
    """Squared Fréchet distance of the Gaussians fitted to two sets.

    ``|μa - μb|² + tr(Ca + Cb - 2 (Ca Cb)^½)``. With centred features A, ``Ca = AᵀA / (N - 1)``,
    the last trace is the sum of the singular values of ``A Bᵀ / √((N - 1)(M - 1))``: no square
    root of a singular D × D matrix is taken, which fails or turns complex where N < D. Sets with
    more rows than columns go through the R of their QR decomposition, which has the same ``AᵀA``.

    Fitted on few samples it is too large, for both covariances are noisy, and the fewer the more
    (Bińkowski et al. 2018, ICLR; Chong & Forsyth 2020, CVPR): two sets of one distribution do not
    give 0. Only numbers made with the same N and M can be compared.

    Args:
        a: ``[N, D]``, N >= 2, finite.
        b: ``[M, D]``, M >= 2, finite.

    Returns:
        At least 0.

    Source: Heusel et al. 2017, NeurIPS, equation 6 (Dowson & Landau 1982).
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"expected [N, D] and [M, D], got {list(a.shape)} and {list(b.shape)}")
    mean_a, root_a = _gaussian(a)
    mean_b, root_b = _gaussian(b)
    shared = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    spread = np.square(root_a).sum() + np.square(root_b).sum() - 2 * shared
    return max(float(np.square(mean_a - mean_b).sum() + spread), 0.0)


def _gaussian(features: Features) -> tuple[F64, F64]:
    """Mean ``[D]`` and a root R ``[min(N, D), D]`` of the covariance, ``C = RᵀR``."""
    x = features.astype(np.float64)
    if not np.isfinite(x).all():
        raise ValueError("features: NaN or infinity")
    mean = x.mean(axis=0)
    x = (x - mean) / np.sqrt(len(x) - 1)
    return mean, np.asarray(np.linalg.qr(x, mode="r")) if len(x) > x.shape[1] else x
