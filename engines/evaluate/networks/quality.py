"""BRISQUE: how natural a picture looks, with nothing to compare it with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from core import U8, InvalidInput
from engines.evaluate.networks.checkpoint import load_arrays, read_bytes
from engines.evaluate.networks.weights import Weights

FEATURES: Final = 36
SMALLEST: Final = 32
"Pixels a side: of half of that, the statistics are of too few points (free)."
_Doubles = npt.NDArray[np.float64]


class Brisque:
    """About 0 for a clean photograph, about 100 for a ruined one; it may go beyond both.

    Features are those of OpenCV (its ``quality`` module): statistics of locally normalised luma
    and of its products with four neighbours, at full and half size. A support vector regression
    with Gaussian kernels, trained on the LIVE database, turns them into the score.

    Source: Mittal, Moorthy & Bovik 2012, "No-Reference Image Quality Assessment in the Spatial
    Domain", IEEE TIP 21(12).
    """

    def __init__(self, weights: Weights) -> None:
        """Find the weights and load them.

        Raises:
            Unavailable, InvalidInput: No weights, or files that are none.
        """
        found = weights.need("brisque_svm")
        self._gamma, self._rho, self._weights, self._vectors = _read_svr(found.path)
        self._low, self._high = _read_range(weights.need("brisque_range").path)
        self.name: Final = found.title
        "As tables show it."

    def score(self, frame: U8) -> float:
        """Args: frame: uint8 ``[H, W, 3]``, RGB, sides of at least `SMALLEST`.

        Returns:
            Lower is better; NaN for a picture with too little texture to have statistics.
        """
        if frame.ndim != 3 or min(frame.shape[:2]) < SMALLEST or frame.dtype != np.uint8:
            raise ValueError(f"frame: expected uint8 [H, W, 3], got {frame.dtype} {frame.shape}")
        measured = features(frame)
        if not np.isfinite(measured).all():
            return float("nan")
        scaled = 2 * (measured - self._low) / (self._high - self._low) - 1
        distances = np.square(self._vectors - scaled).sum(axis=1)
        return float(self._weights @ np.exp(-self._gamma * distances) - self._rho)


def features(frame: U8) -> _Doubles:
    """The 36 features of a picture, float64; NaN where there is nothing to measure."""
    quality: Any = cv2.quality
    bgr = np.ascontiguousarray(frame[..., ::-1])
    return np.asarray(quality.QualityBRISQUE_computeFeatures(bgr), np.float64).ravel()


def _read_svr(path: Path) -> tuple[float, float, _Doubles, _Doubles]:
    """γ, ρ, ``[N]`` weights and ``[N, 36]`` vectors of a libsvm model file.

    Raises:
        InvalidInput: It is no ε-SVR with an RBF kernel over 36 features.
    """
    try:
        head, body = read_bytes(path).decode("ascii").split("\nSV\n")
        facts = dict(line.split(" ", 1) for line in head.splitlines())
        rows = [line.split() for line in body.splitlines() if line.strip()]
        weights = np.array([float(row[0]) for row in rows])
        vectors = np.zeros((len(rows), FEATURES))
        for vector, row in zip(vectors, rows, strict=True):
            for entry in row[1:]:  # sparse: zeros may be left out
                at, value = entry.split(":")
                vector[int(at) - 1] = float(value)
        gamma, rho = float(facts["gamma"]), float(facts["rho"])
        if (facts["svm_type"], facts["kernel_type"]) != ("epsilon_svr", "rbf") or not rows:
            raise ValueError("another kind of machine")
    except (UnicodeDecodeError, ValueError, IndexError, KeyError) as error:
        raise InvalidInput(f"{path} is no libsvm model of BRISQUE: {error}.") from error
    return gamma, rho, weights, vectors


def _read_range(path: Path) -> tuple[_Doubles, _Doubles]:
    """The values of each feature that are scaled to -1 and 1.

    Raises:
        InvalidInput: It is no pickle of ``min_`` and ``max_``.
    """
    tree = load_arrays(path)
    try:
        low, high = (np.asarray(tree[name], np.float64) for name in ("min_", "max_"))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InvalidInput(f"{path} has to hold the numbers min_ and max_.") from error
    if low.shape != (FEATURES,) or high.shape != (FEATURES,) or not (low < high).all():
        raise InvalidInput(f"{path} has to hold {FEATURES} pairs of min_ below max_.")
    return low, high
