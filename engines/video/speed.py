"""What the generator costs on this machine, and what it would at least cost.

The floor of a graph is the longer of two times: its multiplications at the rate at which the same
back end multiplies large matrices here, and its weights at the rate at which memory is read. Norms,
softmax, activations and everything that only moves numbers are not in it.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

import numpy as np

from core import F32, KEYPOINTS, MOUTH_CHANNELS, WINDOW_FRAMES
from engines.backends.openvino_cpu import shared_core
from engines.backends.providers import Name
from engines.video.clip import OWN, REACH, TOKEN_WIDTH
from engines.video.guidance import EYE_AWARE
from engines.video.live import GRAPHS, Asked, LiveStream, Networks, make_windows
from engines.video.regions import REGIONS, SIDE
from engines.video.schedule import WINDOW
from engines.video.shipped import graph_file
from engines.video.text import tokenise

SQUARE: Final = 1024
"Side of the matrices whose product tells a machine's rate."
GPU_SQUARE: Final = 8192
ON_GPU: Final = ("tensorrt", "tensorrt-rtx", "cuda")
ROUNDS: Final = 15
LARGE: Final = 32 * 1024 * 1024
"Numbers that are read to tell the rate of memory: more than caches hold."


@dataclass(frozen=True, slots=True)
class Work:
    """What a graph does in a window."""

    flops: int
    "Multiplications and additions of matrix products and convolutions."
    weights: int
    "Numbers that stay the same from window to window."

    def floor(self, rate: float, memory: float, width: int, rows: int = 1) -> float:
        """Seconds it takes at least.

        Args:
            rate: Multiplications and additions a second.
            memory: Bytes a second.
            width: Bytes of a weight.
            rows: Of the batch: they share the weights.
        """
        return max(rows * self.flops / rate, self.weights * width / memory)


def grey_window() -> tuple[Asked, np.ndarray[Any, Any], F32]:
    """A window that asks for nothing, a picture of nobody, its keypoints: of the right shapes."""
    points = np.zeros((WINDOW_FRAMES, len(REGIONS), len(KEYPOINTS), 2), np.float32)
    heard = REACH + OWN * WINDOW
    asked = Asked(
        points, np.zeros((WINDOW_FRAMES, len(MOUTH_CHANNELS)), np.float32),
        np.zeros((heard, TOKEN_WIDTH), np.float32), np.ones(heard, np.bool_), tokenise(""),
    )  # fmt: skip
    return asked, np.full((len(REGIONS), SIDE, SIDE, 3), 128, np.uint8), points[0]


def seconds_a_window(networks: Networks, steps: int, rounds: int = 5) -> float:
    """How long a window takes here: the fastest of some, after those that warm up.

    What else the machine does only makes it slower.
    """
    return min(_times(warm(networks, steps, 1), rounds))


def warm(networks: Networks, steps: int, rows: int) -> Callable[[], object]:
    """Make the first windows of some streams at once, so that what their graphs are compiled for,
    keys seen and sizes of a batch, is there; what is returned makes the next ones."""
    asked, picture, points = grey_window()
    prepared = networks.prepare(picture, points)
    streams = [
        LiveStream(networks, prepared, steps, guidance=EYE_AWARE, seed=seed) for seed in range(rows)
    ]

    def make() -> object:
        return make_windows(streams, [asked] * rows)

    for _ in range(networks.past + 1):
        make()
    return make


def seconds_by_graph(
    networks: Networks, steps: int, rounds: int = ROUNDS, rows: int = 1
) -> dict[str, float]:
    """Medians of the calls of each graph of a window, and of the whole ``window``.

    Args:
        networks: To be measured.
        steps: Of a window.
        rounds: Windows that are measured.
        rows: Windows that are made at once.
    """
    make = warm(networks, steps, rows)
    spent: dict[str, list[float]] = {name: [] for name in GRAPHS}
    run = networks.run

    def timed(graph: str, *arguments: Any) -> Any:
        began = time.perf_counter()
        made = run(graph, *arguments)
        spent[graph].append(time.perf_counter() - began)
        return made

    networks.run = timed  # type: ignore[method-assign, assignment]
    try:
        whole = _times(make, rounds)
    finally:
        networks.run = run  # type: ignore[method-assign]
    return {name: median(times) for name, times in spent.items() if times} | {
        "window": median(whole)
    }


def work_of(folder: Path, name: str, count: int) -> Work:
    """What one call of a graph does.

    Args:
        folder: Of the graphs.
        name: One of `live.GRAPHS`.
        count: Keys of earlier windows that a step sees.
    """
    from openvino import passes

    model = shared_core().read_model(graph_file(folder, name))
    shapes = {}
    for port in model.inputs:
        shape = [side.get_length() if side.is_static else 1 for side in port.partial_shape]
        if port.get_any_name() in ("keys", "values"):
            shape[2] = count
        shapes[port.get_any_name()] = shape
    model.reshape(shapes)
    folding = passes.Manager()
    folding.register_pass(passes.ConstantFolding())  # what shapes are made of
    folding.run_passes(model)
    flops = weights = 0
    for node in model.get_ops():
        kind = node.get_type_name()
        if kind == "Constant":
            weights += math.prod(node.get_output_shape(0))
        elif kind in ("MatMul", "Convolution"):
            left, right = (tuple(node.get_input_shape(i)) for i in range(2))
            inner = math.prod(right[1:])
            if kind == "MatMul":
                inner = left[-2 if node.get_attributes()["transpose_a"] else -1]
            flops += 2 * math.prod(node.get_output_shape(0)) * inner
    return Work(flops, weights)


def multiply_rate(backend: Name, threads: int) -> float:
    """Multiplications and additions a second in products of large matrices, as a back end does; on
    GPUs in bfloat16 by torch, and NaN where that is not installed."""
    if backend in ON_GPU:
        return _gpu_rate()
    import openvino as ov
    from openvino import opset13 as ops
    from openvino import properties
    from openvino.properties import hint

    rng = np.random.default_rng(0)
    entered = ops.parameter([SQUARE, SQUARE], ov.Type.f32)
    matrix = ops.constant(rng.standard_normal((SQUARE, SQUARE)).astype(np.float32))
    left, right = entered, matrix
    if backend == "openvino-int8":
        left = _as_bytes(entered, 4 * 127 / 128, 256)
        right = _as_bytes(matrix, 4.0, 255)
    model = ov.Model([ops.matmul(left, right, False, False)], [entered])
    config: dict[Any, Any] = {
        properties.inference_num_threads(): threads,
        hint.performance_mode(): hint.PerformanceMode.LATENCY,
    }
    if backend == "onnxruntime":  # in float32, where both are about as fast
        config[hint.inference_precision()] = ov.Type.f32
    request = shared_core().compile_model(model, "CPU", config).create_infer_request()
    x = rng.standard_normal((SQUARE, SQUARE)).astype(np.float32)
    request.infer([x])
    return 2 * SQUARE**3 / min(_times(lambda: request.infer([x]), ROUNDS))


def _gpu_rate() -> float:
    if importlib.util.find_spec("torch") is None:
        return math.nan
    import torch

    if not torch.cuda.is_available():
        return math.nan
    x = torch.randn(GPU_SQUARE, GPU_SQUARE, device="cuda", dtype=torch.bfloat16)

    def multiply() -> None:
        x @ x
        torch.cuda.synchronize()

    return 2 * GPU_SQUARE**3 / min(_times(multiply, ROUNDS))


def _as_bytes(numbers: Any, high: float, levels: int) -> Any:
    """From -4 to ``high`` in steps, as OpenVINO wants it to multiply in bytes."""
    from openvino import opset13 as ops

    bounds = [ops.constant(np.float32(x)) for x in (-4.0, high, -4.0, high)]
    return ops.fake_quantize(numbers, *bounds, levels)


def memory_rate() -> float:
    """Bytes a second that one core reads in a row."""
    numbers = np.ones(LARGE, np.float32)
    return numbers.nbytes / min(_times(numbers.sum, ROUNDS))


def _times(call: Callable[[], Any], rounds: int) -> list[float]:
    took = []
    for _ in range(rounds):
        began = time.perf_counter()
        call()
        took.append(time.perf_counter() - began)
    return took
