"""OpenVINO on the processor: bfloat16 where it has arithmetic for that, else float32."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from core import Unavailable
from engines.backends.engine import Arrays

Precision = Literal["auto", "float32"]


class OpenVinoCpu:
    """An `Engine`. Calls at the same time get a request each, which are kept for later ones."""

    def __init__(self, path: Path, threads: int = 1, precision: Precision = "auto") -> None:
        """Load a graph.

        Args:
            path: The file; weights that it names lie beside it.
            threads: That compute one call.
            precision: ``auto`` is what the processor is fastest with.

        Raises:
            Unavailable: It can not be loaded.
        """
        # On import OpenVINO reports to its makers, unless that package can not be imported. A
        # server that somebody hosts for themselves tells nobody.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        try:
            import openvino as ov
            from openvino import properties
            from openvino.properties import hint

            config: dict[Any, Any] = {
                properties.inference_num_threads(): threads,
                hint.performance_mode(): hint.PerformanceMode.LATENCY,
            }
            if precision == "float32":
                config[hint.inference_precision()] = ov.Type.f32
            core = _core()
            model = core.read_model(path)
            self._about = _metadata(model)
            # Compiled, an output may have the names of what it was merged with, too.
            self._inputs = {i.get_any_name(): _shape(i) for i in model.inputs}
            self._outputs = [o.get_any_name() for o in model.outputs]
            self._compiled = core.compile_model(model, "CPU", config)
            chosen = self._compiled.get_property(hint.inference_precision())
        except (ImportError, RuntimeError) as error:
            raise Unavailable(f"OpenVINO can not load the network {path}: {error}.") from error
        self.precision = str(chosen.get_type_name())
        "In which it computes: ``bf16``, ``f32``, …"
        self._idle: list[Any] = []
        self._lock = Lock()

    @property
    def inputs(self) -> Mapping[str, tuple[int | str, ...]]:
        """See `Engine`, as for all below."""
        return self._inputs

    @property
    def about(self) -> Mapping[str, str]:
        return self._about

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[Any]]:
        with self._request() as request:
            # A view is taken as it lies, whatever its strides say.
            request.infer({name: np.asarray(x, order="C") for name, x in feeds.items()})
            made = (request.get_output_tensor(i).data for i in range(len(self._outputs)))
            return {name: np.array(x) for name, x in zip(self._outputs, made, strict=True)}

    @contextmanager
    def _request(self) -> Iterator[Any]:
        with self._lock:
            request = self._idle.pop() if self._idle else None
        if request is None:
            request = self._compiled.create_infer_request()
        yield request  # one that failed is not kept
        with self._lock:
            self._idle.append(request)


@cache
def _core() -> Any:
    """The process's own, never given back: after the last one is gone and its plugin unloaded, the
    next signal ends the process with a segmentation fault (seen with OpenVINO 2026.4.1)."""
    import openvino as ov

    return ov.Core()


def _metadata(model: Any) -> dict[str, str]:
    """What an ONNX file says of itself."""
    if not model.has_rt_info(["framework"]):
        return {}
    return {str(k): str(v) for k, v in model.get_rt_info(["framework"]).value.items()}


def _shape(port: Any) -> tuple[int | str, ...]:
    """Free axes have no names here; they get their number."""
    return tuple(
        side.get_length() if side.is_static else f"axis_{n}"
        for n, side in enumerate(port.partial_shape)
    )
