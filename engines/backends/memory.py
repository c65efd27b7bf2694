"""Arrays on a device, and what is done with them there: joined, cut in rows, brought back.

Graphs compute; between graphs a stream only moves what it remembers. So a device needs no more than
to allocate and to copy blocks of bytes, and nothing has to cross to the processor and back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt


class Memory(Protocol):
    """Of a device. Copies happen in the order in which they are asked for."""

    @property
    def kind(self) -> str:
        """As ONNX Runtime calls it: ``cpu``, ``cuda``."""
        ...

    def empty(self, shape: Sequence[int], dtype: npt.DTypeLike) -> OnDevice:
        """Room for an array in C order; given back when nothing refers to it any more.

        Raises:
            MemoryError: There is none.
        """
        ...

    def fill(self, target: OnDevice, source: npt.NDArray[Any]) -> None:
        """Copy an array of the same shape and type onto the device."""
        ...

    def fetch(self, source: OnDevice) -> npt.NDArray[Any]:
        """A copy for the processor, once all that was asked for before is done."""
        ...

    def copy(
        self, to: int, to_pitch: int, source: int, source_pitch: int, width: int, rows: int
    ) -> None:
        """Copy ``rows`` blocks of ``width`` bytes, on either side ``pitch`` bytes apart."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class OnDevice:
    """An array in C order."""

    memory: Memory
    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: object
    "Gives the memory back when it goes."

    @property
    def nbytes(self) -> int:
        """Of all of it."""
        return math.prod(self.shape) * self.dtype.itemsize

    def reshape(self, shape: Sequence[int]) -> OnDevice:
        """The same numbers in another shape of as many."""
        if math.prod(shape) != math.prod(self.shape):
            raise ValueError(f"{self.shape} has not as many numbers as {tuple(shape)}")
        return replace(self, shape=tuple(shape))


Value: TypeAlias = npt.NDArray[Any] | OnDevice
"What graphs take and leave."


def on_device(memory: Memory, value: Value) -> OnDevice:
    """A value where graphs of a device can read it; copied there if it is not yet."""
    if isinstance(value, OnDevice):
        return value
    made = memory.empty(value.shape, value.dtype)
    memory.fill(made, np.ascontiguousarray(value))
    return made


def concatenate(parts: Sequence[Value], axis: int) -> Value:
    """Like ``np.concatenate``, on the device of the first part that is on one; of one part that
    part itself."""
    if len(parts) == 1:
        return parts[0]
    memory = next((part.memory for part in parts if isinstance(part, OnDevice)), None)
    if memory is None:
        return np.concatenate([part for part in parts if isinstance(part, np.ndarray)], axis)
    there = [on_device(memory, part) for part in parts]
    first = there[0]
    shape = list(first.shape)
    shape[axis] = sum(part.shape[axis] for part in there)
    made = memory.empty(shape, first.dtype)
    rows = math.prod(shape[:axis])
    pitch, at = made.nbytes // max(rows, 1), made.address
    for part in there:
        width = part.nbytes // max(rows, 1)
        memory.copy(at, pitch, part.address, width, width, rows)
        at += width
    return made


def part_of(value: Value, axis: int, index: int) -> Value:
    """``value[…, index : index + 1, …]`` along an axis: a view on the processor, and where there is
    no more than that."""
    if isinstance(value, np.ndarray):
        view: npt.NDArray[Any] = value[(slice(None),) * axis + (slice(index, index + 1),)]
        return view
    if value.shape[axis] == 1:
        return value
    shape = (*value.shape[:axis], 1, *value.shape[axis + 1 :])
    made = value.memory.empty(shape, value.dtype)
    rows = math.prod(shape[:axis])
    width = made.nbytes // rows
    pitch = value.nbytes // rows
    value.memory.copy(made.address, width, value.address + index * width, pitch, width, rows)
    return made
