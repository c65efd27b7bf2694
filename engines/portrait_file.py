"""Enrolled portraits on disk: npz files without pickles, written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from core import Portrait


def save_portrait(portrait: Portrait, path: Path) -> None:
    """Write a portrait as npz, atomically: a reader sees all of it or nothing."""
    note = {"id": portrait.id, "name": portrait.name, "extra": portrait.extra}
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(
                file, crop=portrait.crop, mesh=portrait.mesh, note=np.array(json.dumps(note))
            )
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def load_portrait(path: Path) -> Portrait:
    """Read what `save_portrait` wrote.

    Raises:
        OSError: The file can not be opened; FileNotFoundError: there is none.
        ValueError: The file is damaged or of another kind.
    """
    with _stored(path) as stored:
        note = json.loads(str(stored["note"]))
        return Portrait(note["id"], note["name"], stored["crop"], stored["mesh"], note["extra"])


def load_note(path: Path) -> tuple[str, list[str]]:
    """Name and warnings of a stored portrait, without its pixels. Raises as `load_portrait`."""
    with _stored(path) as stored:
        note = json.loads(str(stored["note"]))
        return str(note["name"]), [str(warning) for warning in note["extra"]["warnings"]]


@contextlib.contextmanager
def _stored(path: Path) -> Iterator[Mapping[str, npt.NDArray[Any]]]:
    """An open npz file, with one kind of error for all the ways in which it can be damaged."""
    with path.open("rb") as file:  # what fails here says nothing about the file's content
        try:
            with np.load(file, allow_pickle=False) as stored:
                yield stored
        except Exception as error:  # zip, zlib, npy headers and JSON: a dozen kinds when damaged
            raise ValueError(f"{path} is not a portrait: {error}") from error
