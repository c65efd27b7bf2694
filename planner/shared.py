"""Values that nobody changes need no copy."""

from __future__ import annotations

from typing import Self


class Shared:
    """Base of immutable values that copies of a performer share instead of copying."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self
