"""An NVIDIA GPU's memory, through the CUDA runtime's own bindings (package ``cuda-bindings``).

Never run on a GPU; without one, that it says so is tested. All copies and all graphs go on one
stream, so what is asked for first is done first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from core import Unavailable
from engines.backends.memory import OnDevice

KEEP: Final = (1 << 64) - 1
"Bytes that the driver's pool keeps for the next allocation: all."


class CudaMemory:
    """A `Memory`: device 0, or the first that ``CUDA_VISIBLE_DEVICES`` leaves."""

    kind: Final = "cuda"

    def __init__(self) -> None:
        """Raises Unavailable where there is no GPU, or not the package."""
        try:
            from cuda.bindings import driver, runtime
        except ImportError as error:
            raise Unavailable(
                f"CUDA's bindings are not installed: {error}. They are in 'saccade[gpu]'."
            ) from error
        self.runtime: Final = runtime
        code, count = runtime.cudaGetDeviceCount()
        if code != runtime.cudaError_t.cudaSuccess or not count:
            raise Unavailable(f"No GPU answers: {_reason(runtime, code)}.")
        self.stream: Final = self.ask(
            runtime.cudaStreamCreateWithFlags, runtime.cudaStreamNonBlocking
        )
        pool = self.ask(runtime.cudaDeviceGetDefaultMemPool, 0)
        self.ask(
            runtime.cudaMemPoolSetAttribute, pool,
            runtime.cudaMemPoolAttr.cudaMemPoolAttrReleaseThreshold,
            driver.cuuint64_t(KEEP),
        )  # fmt: skip
        about = self.ask(runtime.cudaGetDeviceProperties, 0)
        name = about.name.decode() if isinstance(about.name, bytes) else str(about.name)
        driver = self.ask(runtime.cudaDriverGetVersion)
        self.name: Final = f"{name} {about.major}.{about.minor}, driver {driver}"
        "Of GPU and driver: what is compiled for one may not run on another."

    def empty(self, shape: Sequence[int], dtype: npt.DTypeLike) -> OnDevice:
        """See `Memory`, as for all below."""
        kind = np.dtype(dtype)
        block = _Block(self, max(math.prod(shape) * kind.itemsize, 1))
        return OnDevice(self, block.address, tuple(shape), kind, block)

    def fill(self, target: OnDevice, source: npt.NDArray[Any]) -> None:
        way = self.runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        # From memory that is not pinned this returns when the source may change again.
        self.ask(
            self.runtime.cudaMemcpyAsync, target.address, source.ctypes.data, source.nbytes, way,
            self.stream,
        )  # fmt: skip

    def fetch(self, source: OnDevice) -> npt.NDArray[Any]:
        made = np.empty(source.shape, source.dtype)
        way = self.runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self.ask(
            self.runtime.cudaMemcpyAsync, made.ctypes.data, source.address, source.nbytes, way,
            self.stream,
        )  # fmt: skip
        self.ask(self.runtime.cudaStreamSynchronize, self.stream)
        return made

    def copy(
        self, to: int, to_pitch: int, source: int, source_pitch: int, width: int, rows: int
    ) -> None:
        way = self.runtime.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        self.ask(
            self.runtime.cudaMemcpy2DAsync, to, to_pitch, source, source_pitch, width, rows, way,
            self.stream,
        )  # fmt: skip

    def ask(self, call: Any, *arguments: Any) -> Any:
        """Call the runtime; what it returns beside its code.

        Raises:
            MemoryError: The device has no more.
            RuntimeError: Anything else it complains of.
        """
        code, *made = call(*arguments)
        errors = self.runtime.cudaError_t
        if code == errors.cudaErrorMemoryAllocation:
            raise MemoryError("The GPU has no more memory.")
        if code != errors.cudaSuccess:
            raise RuntimeError(f"CUDA: {_reason(self.runtime, code)}.")
        return made[0] if made else None


class _Block:
    """Memory that is given back with it."""

    def __init__(self, memory: CudaMemory, size: int) -> None:
        self._memory = memory
        runtime = memory.runtime
        self.address = int(memory.ask(runtime.cudaMallocAsync, size, memory.stream))

    def __del__(self) -> None:
        if hasattr(self, "address"):
            self._memory.runtime.cudaFreeAsync(self.address, self._memory.stream)


@cache
def cuda_memory() -> CudaMemory:
    """The process's own, shared by all graphs: they leave values for each other.

    Raises:
        Unavailable: As `CudaMemory`.
    """
    return CudaMemory()


def gpu_there() -> bool:
    """Whether a GPU answers."""
    try:
        cuda_memory()
    except Unavailable:
        return False
    return True


def _reason(runtime: Any, code: Any) -> str:
    _, text = runtime.cudaGetErrorString(code)
    return text.decode() if isinstance(text, bytes) else str(text or code)
