"""ONNX Runtime with its inputs and outputs bound to a device's memory: on NVIDIA GPUs, CUDA.

On a GPU this has never run. Bound to the processor's own memory it is held against the plain back
end by the tests, call for call and stream for stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from core import Unavailable
from engines.backends.cuda_memory import cuda_memory, gpu_there
from engines.backends.engine import Description, Values
from engines.backends.memory import Memory, OnDevice, on_device
from engines.backends.onnx_cpu import open_session

CUDA: Final = "CUDAExecutionProvider"


def cuda_there() -> bool:
    """Whether this ONNX Runtime was built for CUDA and a GPU answers."""
    import onnxruntime as ort

    return CUDA in ort.get_available_providers() and gpu_there()


class OnnxBound:
    """An `Engine`. What it keeps lies in ``memory``."""

    def __init__(self, path: Path, threads: int, memory: Memory, providers: Sequence[Any]) -> None:
        """Load a graph.

        Args:
            path: The file; weights that it names lie beside it.
            threads: Of the processor, for what the device can not do.
            memory: Of the device that the first provider computes on, in the order of the same
                stream.
            providers: As ONNX Runtime takes them.

        Raises:
            Unavailable: It can not be loaded.
        """
        self._memory = memory
        self._session = open_session(path, threads, providers)
        described = Description(self._session)
        self.inputs, self.about = described.inputs, described.about
        self._types = described.types

    def run(
        self, feeds: Values, outputs: Sequence[str], kept: Sequence[str] = ()
    ) -> dict[str, Any]:
        """See `Engine`."""
        kind, binding = self._memory.kind, self._session.io_binding()
        there = {name: on_device(self._memory, x) for name, x in feeds.items()}
        for name, x in there.items():
            binding.bind_input(name, kind, 0, x.dtype.type, x.shape, x.address)
        names = [*outputs, *kept]
        for name in names:
            binding.bind_output(name, kind, 0)
        self._session.run_with_iobinding(binding)  # returns when all is done
        made = dict(zip(names, binding.get_outputs(), strict=True))
        return {name: self._left(name, made[name]) for name in kept} | {
            name: made[name].numpy() for name in outputs
        }

    def _left(self, name: str, value: Any) -> OnDevice:
        dtype = np.dtype(self._types[name])
        return OnDevice(self._memory, value.data_ptr(), tuple(value.shape()), dtype, value)


def open_cuda(path: Path, threads: int = 1) -> OnnxBound:
    """A graph on the GPU, with what CUDA can not do on the processor.

    Raises:
        Unavailable: There is no GPU, no CUDA in this ONNX Runtime, or it can not load the graph.
    """
    import onnxruntime as ort

    if CUDA not in ort.get_available_providers():
        raise Unavailable(
            f"This ONNX Runtime has no {CUDA}. Install the extra 'saccade[gpu]' in place of "
            "onnxruntime."
        )
    memory = cuda_memory()
    wanted = {
        "user_compute_stream": str(int(memory.stream)),
        "cudnn_conv_algo_search": "HEURISTIC",
    }
    made = OnnxBound(path, threads, memory, [(CUDA, wanted), "CPUExecutionProvider"])
    if CUDA not in made._session.get_providers():  # it fell back to the processor
        raise Unavailable(f"{CUDA} found no GPU that it can use for {path}.")
    return made
