"""What runs a graph: named arrays in, named arrays out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

from engines.backends.memory import Value

Values: TypeAlias = Mapping[str, Value]


class Engine(Protocol):
    """One graph, loaded. Thread-safe unless an implementation says otherwise."""

    @property
    def inputs(self) -> Mapping[str, tuple[int | str, ...]]:
        """Shapes by name; an axis whose length is free has a name."""
        ...

    @property
    def about(self) -> Mapping[str, str]:
        """What the file says of itself."""
        ...

    def run(
        self, feeds: Values, outputs: Sequence[str], kept: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Compute some outputs.

        Args:
            feeds: All inputs: arrays, or what calls of this back end left on its device. They stay
                as they are.
            outputs: Names of those that come back as arrays, the caller's own.
            kept: Names of those that stay where they were made, to be fed to later calls: arrays
                where that is the processor's memory.
        """
        ...


class Description:
    """What an ONNX file says: shapes and types of its inputs and outputs, and about itself."""

    def __init__(self, session: Any) -> None:
        """Args:
        session: An ``onnxruntime.InferenceSession`` of it.
        """
        self.inputs = {i.name: tuple(i.shape) for i in session.get_inputs()}
        self.types = {
            value.name: DTYPES[value.type]
            for value in (*session.get_inputs(), *session.get_outputs())
        }
        self.about = dict(session.get_modelmeta().custom_metadata_map)


DTYPES: Final[Mapping[str, str]] = {
    "tensor(float)": "float32",
    "tensor(uint8)": "uint8",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}
"numpy's names of those types that our graphs take and give."
