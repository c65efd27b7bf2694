"""Copies of a performer: what nobody changes is shared, what changes is copied.

A copy is made for every chunk and every command, on the event loop. `copy.deepcopy` takes ten
times as long: it looks into values that never change, and pickles random generators.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from numpy.random.bit_generator import ISeedSequence

from core import MouthTrack


class Shared:
    """Base of immutable values that copies of a performer share instead of copying."""

    __slots__ = ()


class Forked:
    """Base of the moving parts of a performer, which can be copied in the middle of it.

    Attributes are moving parts themselves, `Shared` or plain values, arrays, random generators, and
    lists, deques and dicts of what nobody changes. Read-only arrays are shared.
    """

    def fork(self) -> Self:
        """An independent copy as of now, which goes on exactly as this would.

        Raises:
            TypeError: An attribute is none of the above.
        """
        twin: Self = _fork(self, {})
        return twin


_PLAIN: Final = (float, int, str, tuple, type(None), np.generic, MouthTrack, Shared)


def _fork(value: Any, generators: dict[int, np.random.Generator]) -> Any:
    """A copy of ``value``; parts that drew from one of ``generators`` go on sharing its copy."""
    kind = type(value)
    if issubclass(kind, _PLAIN):
        return value
    if kind is np.ndarray:
        return value.copy() if value.flags.writeable else value
    if kind in (list, deque, dict):
        return value.copy()
    if issubclass(kind, Forked):
        twin = object.__new__(kind)
        twin.__dict__ = {name: _fork(part, generators) for name, part in value.__dict__.items()}
        return twin
    if kind is np.random.Generator:
        if id(value) not in generators:
            generators[id(value)] = _same_draws(value)
        return generators[id(value)]
    raise TypeError(f"Nobody said how to copy a {kind.__name__}.")


class _NoSeed(ISeedSequence):
    """For a generator whose state is replaced at once: real seeds cost more than all the rest."""

    def generate_state(
        self, n_words: int, dtype: npt.DTypeLike = np.uint32
    ) -> npt.NDArray[np.uint32 | np.uint64]:
        return np.zeros(n_words, dtype)


_NO_SEED: Final = _NoSeed()


def _same_draws(rng: np.random.Generator) -> np.random.Generator:
    # numpy takes any ISeedSequence; its stubs know of its own only.
    bits = type(rng.bit_generator)(_NO_SEED)  # type: ignore[arg-type]
    bits.state = rng.bit_generator.state
    return np.random.Generator(bits)
