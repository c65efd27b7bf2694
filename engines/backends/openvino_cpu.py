"""OpenVINO on the processor: bfloat16 where it has arithmetic for that, else float32.

A graph is compiled for the very shapes it is called with: where axes stay free, a pass of the
transformer took half as long again (beside other work, so roughly). A stream has two of them, so a
few are kept.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from core import Unavailable
from engines.backends.engine import Values

Precision = Literal["auto", "float32", "int8"]
Shapes: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
"Of all inputs, by name."
SHAPES: Final = 6
"Sets of shapes that a graph is kept compiled for."
GROUP: Final = 256
"""Numbers of a row that share a scale, where a matrix product is made of bytes: as fast as larger
ones, and 32, which is usual, is no faster than bfloat16 (two Zen 5 cores)."""
LEAST: Final = 64
"Rows and columns of a matrix that is worth it."


class OpenVinoCpu:
    """An `Engine`. Calls at the same time get a request each, which are kept for later ones."""

    def __init__(self, path: Path, threads: int = 1, precision: Precision = "auto") -> None:
        """Load a graph. It is compiled when it is called, for the shapes of the call.

        Args:
            path: The file; weights that it names lie beside it.
            threads: That compute one call.
            precision: ``auto`` is what the processor is fastest with among floating-point types.
                ``int8`` multiplies matrices as bytes, with scales found as rows come in.

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

            self._config: dict[Any, Any] = {
                properties.inference_num_threads(): threads,
                hint.performance_mode(): hint.PerformanceMode.LATENCY,
            }
            if precision == "float32":
                self._config[hint.inference_precision()] = ov.Type.f32
            self._model = shared_core().read_model(path)
            if precision == "int8":
                self._config[hint.dynamic_quantization_group_size()] = GROUP
                _make_bytes(self._model)
            self._about = _metadata(self._model)
            # Compiled, an output may have the names of what it was merged with, too.
            self._inputs = {i.get_any_name(): _shape(i) for i in self._model.inputs}
            self._outputs = [o.get_any_name() for o in self._model.outputs]
        except (ImportError, RuntimeError) as error:
            raise Unavailable(f"OpenVINO can not load the network {path}: {error}.") from error
        self._path = path
        self._ready: OrderedDict[Shapes, _Compiled] = OrderedDict()
        self._lock = Lock()

    @property
    def inputs(self) -> Mapping[str, tuple[int | str, ...]]:
        """See `Engine`, as for all below."""
        return self._inputs

    @property
    def about(self) -> Mapping[str, str]:
        return self._about

    def run(
        self, feeds: Values, outputs: Sequence[str], kept: Sequence[str] = ()
    ) -> dict[str, Any]:
        with self._for(feeds).request() as request:
            # A view is taken as it lies, whatever its strides say.
            request.infer({name: np.asarray(x, order="C") for name, x in feeds.items()})
            places = {name: self._outputs.index(name) for name in (*outputs, *kept)}
            return {n: np.array(request.get_output_tensor(i).data) for n, i in places.items()}

    def _for(self, feeds: Values) -> _Compiled:
        """The graph, compiled for such feeds."""
        shapes = tuple(sorted((name, x.shape) for name, x in feeds.items()))
        with self._lock:  # others wait: they will want the same
            ready = self._ready.get(shapes)
            if ready is None:
                ready = self._ready[shapes] = self._compile(shapes)
                while len(self._ready) > SHAPES:
                    self._ready.popitem(last=False)
            self._ready.move_to_end(shapes)
            return ready

    def _compile(self, shapes: Shapes) -> _Compiled:
        try:
            model = self._model.clone()
            model.reshape({name: list(shape) for name, shape in shapes})
            return _Compiled(shared_core().compile_model(model, "CPU", self._config))
        except RuntimeError as error:
            raise Unavailable(
                f"OpenVINO can not compile the network {self._path}: {error}."
            ) from error


class _Compiled:
    """For certain shapes."""

    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._idle: list[Any] = []
        self._lock = Lock()

    @contextmanager
    def request(self) -> Iterator[Any]:
        """What computes; nobody else's until it is given back."""
        with self._lock:
            request = self._idle.pop() if self._idle else None
        if request is None:
            request = self._compiled.create_infer_request()
        yield request  # one that failed is not kept
        with self._lock:
            self._idle.append(request)


def _make_bytes(model: Any) -> None:
    """Make the matrices of a model bytes, with a scale for each column."""
    from openvino import Type
    from openvino import opset13 as ops

    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul" or node.get_attributes()["transpose_b"]:
            continue
        matrix = _matrix(node.input_value(1).get_node())
        if matrix is None or matrix.ndim != 2 or min(matrix.shape) < LEAST:
            continue
        scale = np.maximum(np.abs(matrix).max(0, keepdims=True), 1e-12) / 127
        rounded = np.rint(matrix / scale).astype(np.int8)
        wide = ops.convert(ops.constant(rounded, Type.i8), Type.f32)
        matrix_again = ops.multiply(wide, ops.constant(scale.astype(np.float32)))
        node.input(1).replace_source_output(matrix_again.output(0))


def _matrix(node: Any) -> npt.NDArray[np.float32] | None:
    """A constant, perhaps turned and of another type; None for anything else."""
    kind = node.get_type_name()
    if kind == "Constant":
        return np.asarray(node.get_data(), np.float32)
    if kind not in ("Convert", "Transpose"):
        return None
    below = _matrix(node.input_value(0).get_node())
    if below is None or kind == "Convert":
        return below
    order = _matrix(node.input_value(1).get_node())
    return None if order is None else below.transpose([int(axis) for axis in order])


@cache
def shared_core() -> Any:
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
