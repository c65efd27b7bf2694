"""The processor's own memory, used as if it were a device's: what a GPU does, without one."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from engines.backends.memory import OnDevice


class HostMemory:
    """A `engines.backends.memory.Memory`."""

    kind = "cpu"

    def __init__(self) -> None:
        self.crossed = 0
        "Bytes that were brought in or out."

    def empty(self, shape: Sequence[int], dtype: npt.DTypeLike) -> OnDevice:
        array = np.empty(shape, dtype)
        return OnDevice(self, array.ctypes.data, tuple(shape), array.dtype, array)

    def fill(self, target: OnDevice, source: npt.NDArray[Any]) -> None:
        self.crossed += source.nbytes
        ctypes.memmove(target.address, source.ctypes.data, source.nbytes)

    def fetch(self, source: OnDevice) -> npt.NDArray[Any]:
        self.crossed += source.nbytes
        made = np.empty(source.shape, source.dtype)
        ctypes.memmove(made.ctypes.data, source.address, source.nbytes)
        return made

    def copy(
        self, to: int, to_pitch: int, source: int, source_pitch: int, width: int, rows: int
    ) -> None:
        for row in range(rows):
            ctypes.memmove(to + row * to_pitch, source + row * source_pitch, width)
