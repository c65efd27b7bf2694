"""TensorRT, or TensorRT for RTX, which is called the same: graphs compiled for the GPU at hand.

Graphs are parsed and compiled by TensorRT for RTX in the tests where it is installed: that needs no
GPU. Nothing was ever run.

Shapes are fixed: each set of them has an engine of its own, kept as a file, and buffers that stay
where they are, so that a call is copies on the device and one launch of a CUDA graph. Types are
those of the graph (TensorRT 11 knows no others): products in bfloat16 (`engines.video.mixed`).
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import logging
import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from core import Unavailable
from engines.backends.cuda_memory import CudaMemory, cuda_memory, gpu_there
from engines.backends.engine import Description, Values
from engines.backends.memory import OnDevice
from engines.backends.onnx_cpu import open_session

log = logging.getLogger(__name__)

Kind = Literal["tensorrt", "tensorrt_rtx"]
"Names of the packages."
Shapes: TypeAlias = tuple[tuple[str, tuple[int, ...]], ...]
"Of all inputs, by name."
SHAPES: Final = 16
"Sets of shapes that stay loaded: two of a step for each size of a batch."


def tensorrt_there(kind: Kind) -> bool:
    """Whether the package is installed and a GPU answers."""
    return importlib.util.find_spec(kind) is not None and gpu_there()


class TensorRt:
    """An `Engine`. Calls of one graph wait for each other."""

    def __init__(self, path: Path, threads: int = 1, kind: Kind = "tensorrt") -> None:
        """Load a graph. It is compiled when it is called, for the shapes of the call.

        Args:
            path: The file; weights that it names lie beside it.
            threads: Of the processor: of no use here.
            kind: Which of the two.

        Raises:
            Unavailable: It is not installed, or there is no GPU, or no such graph.
        """
        self._trt = import_tensorrt(kind)
        self._memory = cuda_memory()
        described = Description(open_session(path, threads, ["CPUExecutionProvider"]))
        self.inputs, self.about = described.inputs, described.about
        self._types = described.types
        self._path = path
        self._mark = mark_of(path, f"{kind} {self._trt.__version__} {self._memory.name}")
        self._ready: OrderedDict[Shapes, _Ready] = OrderedDict()
        self._lock = Lock()

    def run(
        self, feeds: Values, outputs: Sequence[str], kept: Sequence[str] = ()
    ) -> dict[str, Any]:
        """See `Engine`."""
        shapes = tuple(sorted((name, tuple(x.shape)) for name, x in feeds.items()))
        with self._lock:
            ready = self._ready.get(shapes)
            if ready is None:
                ready = self._ready[shapes] = self._load(shapes)
                while len(self._ready) > SHAPES:
                    self._ready.popitem(last=False)[1].close()
            self._ready.move_to_end(shapes)
            return ready.run(feeds, outputs, kept)

    def _load(self, shapes: Shapes) -> _Ready:
        """The engine for such shapes: from its file, else compiled."""
        trt = self._trt
        digest = hashlib.sha256(f"{self._mark} {shapes}".encode()).hexdigest()[:24]
        file = engines_folder() / f"{self._path.stem}-{digest}.engine"
        runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        engine = runtime.deserialize_cuda_engine(file.read_bytes()) if file.exists() else None
        if engine is None:  # none yet, or one that is broken
            log.info("compiling %s for this GPU", self._path.name)
            made = build(trt, self._path, shapes)
            engine = runtime.deserialize_cuda_engine(made)
            keep(file, made)
        if engine is None:
            raise Unavailable(f"TensorRT can not load what it compiled of {self._path}.")
        if "dit" in self._path.stem and not fused_attentions(trt, engine):
            log.warning("TensorRT computes the attention of %s unfused", self._path.name)
        return _Ready(runtime, engine, self._memory, shapes, self._types)


class _Ready:
    """An engine with buffers for certain shapes."""

    def __init__(
        self, runtime: Any, engine: Any, memory: CudaMemory, shapes: Shapes,
        types: Mapping[str, str],
    ) -> None:  # fmt: skip
        self._runtime, self._engine = runtime, engine  # each outlives what it made
        self._memory, self._context = memory, engine.create_execution_context()
        if self._context is None:
            raise MemoryError("The GPU has no memory for the generator.")
        self._buffers: dict[str, OnDevice] = {}
        for name, shape in shapes:
            self._context.set_input_shape(name, shape)
            self._buffers[name] = memory.empty(shape, types[name])
        given = set(self._buffers)
        names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
        for name in names:
            if name not in given:
                shape = tuple(self._context.get_tensor_shape(name))
                self._buffers[name] = memory.empty(shape, types[name])
            self._context.set_tensor_address(name, self._buffers[name].address)
        self._graph: Any = None
        "Of the launches of one call, captured after the first."

    def run(self, feeds: Values, outputs: Sequence[str], kept: Sequence[str]) -> dict[str, Any]:
        memory = self._memory
        for name, x in feeds.items():
            if isinstance(x, OnDevice):
                _copy(memory, self._buffers[name], x)
            else:
                memory.fill(self._buffers[name], np.ascontiguousarray(x))
        self._launch()
        made: dict[str, Any] = {}
        for name in kept:
            buffer = self._buffers[name]
            made[name] = memory.empty(buffer.shape, buffer.dtype)
            _copy(memory, made[name], buffer)
        return made | {name: memory.fetch(self._buffers[name]) for name in outputs}

    def close(self) -> None:
        """Give back what no reference counts."""
        if self._graph is not None:
            self._memory.ask(self._memory.runtime.cudaGraphExecDestroy, self._graph)
            self._graph = None

    def _launch(self) -> None:
        memory, cuda = self._memory, self._memory.runtime
        if self._graph is not None:
            memory.ask(cuda.cudaGraphLaunch, self._graph, memory.stream)
            return
        self._enqueue()  # what is set up on first use can not be captured
        memory.ask(cuda.cudaStreamSynchronize, memory.stream)
        mode = cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        memory.ask(cuda.cudaStreamBeginCapture, memory.stream, mode)
        self._enqueue()
        graph = memory.ask(cuda.cudaStreamEndCapture, memory.stream)
        self._graph = memory.ask(cuda.cudaGraphInstantiate, graph, 0)
        memory.ask(cuda.cudaGraphDestroy, graph)

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(int(self._memory.stream)):
            raise RuntimeError("TensorRT could not compute a window.")


def import_tensorrt(kind: Kind) -> Any:
    """The package. Raises Unavailable when it can not be imported."""
    try:
        return importlib.import_module(kind)
    except (ImportError, OSError, RuntimeError) as error:
        package = kind.replace("_", "-")
        raise Unavailable(
            f"{kind} can not be loaded: {error}. Install: pip install {package}"
        ) from error


def build(trt: Any, path: Path, shapes: Shapes, capability: str | None = None) -> bytes:
    """Compile a graph for fixed shapes: a minute or so.

    Args:
        trt: `import_tensorrt`.
        path: The graph's file.
        shapes: Of all its inputs.
        capability: ``SM89`` and so on: for GPUs of that kind, whether or not there is one here.
            TensorRT for RTX alone can. None is for the one that is here.

    Raises:
        Unavailable: It can not.
    """
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(path)):
        problems = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise Unavailable(f"TensorRT can not read the network {path}: {problems}")
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # names of what was fused
    if capability is not None:
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, capability), 0)
    profile = builder.create_optimization_profile()
    wanted, free = dict(shapes), False
    for i in range(network.num_inputs):
        entry = network.get_input(i)
        if -1 in tuple(entry.shape):
            free = True
            profile.set_shape(entry.name, *[wanted[entry.name]] * 3)
    if free:
        config.add_optimization_profile(profile)
    made = builder.build_serialized_network(network, config)
    if made is None:
        raise Unavailable(f"TensorRT can not compile the network {path}.")
    return bytes(made)


def fused_attentions(trt: Any, engine: Any) -> int:
    """Layers of an engine that compute an attention as a whole, by their names."""
    told = engine.create_engine_inspector().get_engine_information(trt.LayerInformationFormat.JSON)
    layers = json.loads(told).get("Layers", [])
    return sum(any(mark in str(layer).lower() for mark in ("mha", "attention")) for layer in layers)


def mark_of(path: Path, where: str) -> str:
    """Tells apart what engines are made of: graph, its weights, and what compiles and runs them."""
    digest = hashlib.sha256(where.encode())
    for file in (path, *sorted(path.parent.glob("*.safetensors"))):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()


def engines_folder() -> Path:
    """Where compiled engines are kept: in the user's cache."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "saccade" / "engines"


def keep(file: Path, made: bytes) -> None:
    """Write a file whole or not at all; without it the next start compiles again."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_suffix(f".{os.getpid()}.part")
        fresh.write_bytes(made)
        fresh.replace(file)
    except OSError as error:
        log.warning("%s can not be kept: %s", file, error)


def _copy(memory: CudaMemory, to: OnDevice, source: OnDevice) -> None:
    memory.copy(to.address, to.nbytes, source.address, source.nbytes, source.nbytes, 1)
