"""What runs a graph: named arrays in, named arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

import numpy.typing as npt

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]


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

    def run(self, feeds: Arrays) -> dict[str, npt.NDArray[Any]]:
        """Compute all outputs. Inputs stay as they are; outputs belong to the caller."""
        ...
