"""The ways of running graphs, by name, in the order in which they are tried."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Literal, TypeVar

from core import Unavailable
from engines.backends.engine import Engine
from engines.backends.onnx_cpu import OnnxCpu
from engines.backends.openvino_cpu import OpenVinoCpu

log = logging.getLogger(__name__)

Backend = Literal["auto", "openvino", "onnxruntime"]
Open = Callable[[Path, int], Engine]
PROVIDERS: Final[dict[str, Open]] = {"openvino": OpenVinoCpu, "onnxruntime": OnnxCpu}
"""On a Zen 5 core OpenVINO takes half the time in bfloat16, and as long as ONNX Runtime in float32:
the faster first."""
T = TypeVar("T")


def first_that_loads(backend: Backend, load: Callable[[Open], T]) -> T:
    """What ``load`` makes of the first provider on which it can.

    Args:
        backend: One of `PROVIDERS`, or ``auto``: whichever can.
        load: Opens graphs.

    Raises:
        Unavailable: None of them can.
    """
    names: Sequence[str] = tuple(PROVIDERS) if backend == "auto" else (backend,)
    problems = []
    for name in names:
        try:
            made = load(PROVIDERS[name])
        except Unavailable as error:
            problems.append(str(error))
        else:
            for problem in problems:
                log.warning("%s runs the networks instead: %s", name, problem)
            return made
    raise Unavailable(" ".join(problems))
