"""ONNX Runtime on NVIDIA GPUs, with its CUDA or its TensorRT provider.

Nothing of this has been run: no machine with a GPU was at hand. What a call needs is bound to the
device, what it returns comes back to the processor, caches included; keeping those on the device is
the first thing to gain (a stream's caches are 7 MB a pass for the small transformer).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from core import Unavailable
from engines.backends.engine import Arrays

Kind = Literal["cuda", "tensorrt"]
NAMES: Final[dict[Kind, str]] = {
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}


def gpu_there(kind: Kind) -> bool:
    """Whether this ONNX Runtime was built for it; whether a GPU answers shows when it loads."""
    if importlib.util.find_spec("onnxruntime") is None:
        return False
    import onnxruntime as ort

    return NAMES[kind] in ort.get_available_providers()


class OnnxGpu:
    """An `Engine`."""

    def __init__(self, path: Path, threads: int = 1, kind: Kind = "cuda") -> None:
        """Load a graph.

        Args:
            path: The file; weights that it names lie beside it. TensorRT keeps the engines that it
                builds beside it, too, in a folder that names GPU and version.
            threads: Of the processor, for what the GPU can not do.
            kind: The provider; what TensorRT can not run, CUDA does.

        Raises:
            Unavailable: There is no such provider or no GPU, or it can not load the graph.
        """
        import onnxruntime as ort

        name = NAMES[kind]
        if name not in ort.get_available_providers():
            raise Unavailable(
                f"This ONNX Runtime has no {name}. Install the extra 'saccade[gpu]' in place of "
                "onnxruntime."
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        providers: list[Any] = [(NAMES["cuda"], {"cudnn_conv_algo_search": "HEURISTIC"})]
        if kind == "tensorrt":
            cache = path.parent / f"engines-ort-{ort.__version__}"
            cache.mkdir(exist_ok=True)
            wanted = {
                "trt_engine_cache_enable": True,
                "trt_engine_cache_path": str(cache),
                "trt_timing_cache_enable": True,
                "trt_bf16_enable": True,
            }
            providers.insert(0, (name, wanted))
        try:
            self._session = ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # ONNX Runtime's own errors share no base class
            raise Unavailable(f"The network {path} can not be loaded: {error}.") from error
        if name not in self._session.get_providers():  # it fell back to the processor
            raise Unavailable(f"{name} found no GPU that it can use for {path}.")
        self._outputs = [output.name for output in self._session.get_outputs()]
        self._inputs = {i.name: tuple(i.shape) for i in self._session.get_inputs()}
        self._about = dict(self._session.get_modelmeta().custom_metadata_map)

    @property
    def inputs(self) -> Mapping[str, tuple[int | str, ...]]:
        """See `Engine`, as for all below."""
        return self._inputs

    @property
    def about(self) -> Mapping[str, str]:
        return self._about

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[Any]]:
        binding = self._session.io_binding()
        for name, x in feeds.items():
            binding.bind_cpu_input(name, np.ascontiguousarray(x))
        for name in self._outputs:
            binding.bind_output(name)
        self._session.run_with_iobinding(binding)
        return dict(zip(self._outputs, binding.copy_outputs_to_cpu(), strict=True))
