"""Numbers out of files that others wrote: read safely, or refused."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, Final

import numpy as np

from core import F32, InvalidInput

LARGEST: Final = 1 << 30
"Bytes of a file that is read whole."


def read_bytes(path: Path) -> bytes:
    """A file of at most `LARGEST` bytes.

    Raises:
        InvalidInput: It can not be read or is larger.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise InvalidInput(f"{path} is too large for a file of weights.")
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} can not be read: {error.strerror}.") from error


_ALLOWED: Final = {
    (module, name)
    for module, name in (
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy._core.multiarray", "_reconstruct"),
    )
}


class _Arrays(pickle.Unpickler):
    """Builds numpy arrays and plain values; calls nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        if name == "_reconstruct":
            return np.ndarray.__reduce__(np.zeros(0))[0]
        return getattr(np, name)


def load_arrays(path: Path) -> Any:
    """A pickle of numbers and numpy arrays in dicts and lists.

    Raises:
        InvalidInput: It can not be read, or holds anything else.
    """
    data = read_bytes(path)
    try:
        tree = _Arrays(io.BytesIO(data)).load()
    except Exception as error:  # a broken pickle raises anything at all
        raise InvalidInput(f"{path} is no pickle of arrays: {error}.") from error
    _check(tree, path)
    return tree


def _check(tree: Any, path: Path) -> None:
    # Neither recursive nor twice over the same part: a pickle may refer to itself.
    waiting, known = [tree], set[int]()
    while waiting:
        item = waiting.pop()
        if id(item) in known:
            continue
        known.add(id(item))
        if isinstance(item, dict):
            waiting.extend(item.values())
        elif isinstance(item, list | tuple):
            waiting.extend(item)
        elif isinstance(item, np.ndarray):
            if item.dtype.kind not in "fiu" or not np.isfinite(item).all():
                raise InvalidInput(f"{path}: an array holds something that is no finite number.")
        elif not isinstance(item, int | float):
            raise InvalidInput(f"{path}: a {type(item).__name__} among the arrays.")


def leaf(tree: Any, path: Path, *keys: str, rank: int) -> F32:
    """An array of a checkpoint, float32.

    Raises:
        InvalidInput: It is not there, or has other than ``rank`` dimensions.
    """
    for key in keys:
        tree = tree.get(key) if isinstance(tree, dict) else None
    if not isinstance(tree, np.ndarray) or tree.ndim != rank:
        raise InvalidInput(f"{path}: no array of {rank} dimensions at {' / '.join(keys)}.")
    return np.asarray(tree, np.float32)
