"""The ways of running graphs, by name, in the order in which they are tried."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeVar

from core import Unavailable
from engines.backends.engine import Engine
from engines.backends.onnx_bound import cuda_there, open_cuda
from engines.backends.onnx_cpu import OnnxCpu
from engines.backends.openvino_cpu import OpenVinoCpu
from engines.backends.tensorrt_gpu import TensorRt, tensorrt_there

log = logging.getLogger(__name__)

Name = Literal[
    "tensorrt", "tensorrt-rtx", "cuda", "openvino-int8", "openvino", "onnxruntime", "torch"
]
Backend = Literal[
    "auto", "tensorrt", "tensorrt-rtx", "cuda", "openvino-int8", "openvino", "onnxruntime", "torch"
]
Open = Callable[[Path, int], Engine]


@dataclass(frozen=True, slots=True)
class Provider:
    """A way of running graphs."""

    open: Open
    suffix: str = ""
    "Of the graphs that it takes where they are there; others are the usual ones."
    there: Callable[[], bool] = lambda: True
    "Whether it is worth a try; one that is named is tried anyway."


def _torch(path: Path, threads: int) -> Engine:
    try:
        from engines.video.torch_graphs import TorchGraph
    except ImportError as error:
        raise Unavailable(f"torch is not installed: {error}. It is in 'saccade[train]'.") from error
    return TorchGraph(path, threads)


PROVIDERS: Final[dict[Name, Provider]] = {
    "tensorrt": Provider(TensorRt, "-bf16", partial(tensorrt_there, "tensorrt")),
    "tensorrt-rtx": Provider(
        partial(TensorRt, kind="tensorrt_rtx"), "-bf16", partial(tensorrt_there, "tensorrt_rtx")
    ),
    "cuda": Provider(open_cuda, there=cuda_there),
    "openvino-int8": Provider(partial(OpenVinoCpu, precision="int8"), "-int8"),
    "openvino": Provider(OpenVinoCpu),
    "onnxruntime": Provider(OnnxCpu),
    "torch": Provider(_torch, there=lambda: False),  # too large to be loaded unasked
}
"""On a Zen 5 core, OpenVINO in bfloat16 takes half of ONNX Runtime's time, and a third less again
with int8; in float32 both take as long. The fastest first."""
T = TypeVar("T")


def names_of(backend: Backend) -> Sequence[Name]:
    """The providers that a setting stands for, in the order in which they are tried."""
    if backend != "auto":
        return (backend,)
    return tuple(name for name, provider in PROVIDERS.items() if provider.there())


def first_that_loads(backend: Backend, load: Callable[[Provider], T]) -> T:
    """What ``load`` makes of the first provider on which it can.

    Args:
        backend: One of `PROVIDERS`, or ``auto``: whichever can.
        load: Opens graphs.

    Raises:
        Unavailable: None of them can.
    """
    problems = []
    for name in names_of(backend):
        try:
            made = load(PROVIDERS[name])
        except Unavailable as error:
            problems.append(str(error))
        else:
            for problem in problems:
                log.warning("%s runs the networks instead: %s", name, problem)
            return made
    raise Unavailable(" ".join(problems))
