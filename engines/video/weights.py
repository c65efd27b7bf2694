"""Weights that ship: safetensors in half precision, with the network's sizes beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from core import InvalidInput, Unavailable

LARGEST: Final = 40_000_000
"Bytes of one file: what a public repository takes without large-file storage."


def save_weights(module: nn.Module, config: Mapping[str, Any], path: Path) -> None:
    """Write a network: one file up to `LARGEST`, else ``NAME-2.safetensors`` and so on beside it.

    Args:
        module: Its parameters and kept buffers.
        config: What makes such a network again; numbers, text and lists of them.
        path: The first file; all are written whole or not at all.

    Raises:
        InvalidInput: A number is none, or too large for half precision.
    """
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, value in module.state_dict().items():
        half = value.detach().to("cpu", torch.float16 if value.is_floating_point() else None)
        half = half.contiguous()
        if half.is_floating_point() and not torch.isfinite(half).all():
            raise InvalidInput(f"{name} does not fit into half precision: {path} is not written.")
        if size and size + half.nbytes > LARGEST:
            shards.append({})
            size = 0
        shards[-1][name] = half.clone()
        size += half.nbytes
    about = {"config": json.dumps(dict(config), sort_keys=True), "files": str(len(shards))}
    # The first last: whoever finds it finds them all.
    for number in range(len(shards), 0, -1):
        file = _part(path, number)
        fresh = file.with_name(f"{file.name}.part")
        fresh.write_bytes(save(shards[number - 1], about))
        fresh.replace(file)


def read_weights(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The config and the float32 tensors of a network that `save_weights` wrote.

    Raises:
        InvalidInput: There is no such file, or it is of something else.
        Unavailable: A file beside it is missing.
    """
    config, count, tensors = _read(path)
    for number in range(2, count + 1):
        part = _part(path, number)
        if not part.exists():
            raise Unavailable(f"{path} has {count} parts and {part.name} is missing beside it.")
        tensors |= _read(part)[2]
    return config, tensors


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a file a tensor's bytes are."""

    dtype: str
    begin: int
    length: int


def places_in(path: Path) -> dict[str, Place]:
    """Where the tensors of a weights file are, for those who read it without this module.

    Source: the format of safetensors: eight bytes of length, a header in JSON, then the tensors.

    Raises:
        InvalidInput: It is no such file.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(min(length, LARGEST)))
        header.pop("__metadata__", None)
        places = {}
        for name, entry in header.items():
            begin, end = entry["data_offsets"]
            places[name] = Place(entry["dtype"], 8 + length + begin, end - begin)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path} holds no weights: {error}.") from error
    return places


def _part(path: Path, number: int) -> Path:
    return path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")


def _read(path: Path) -> tuple[dict[str, Any], int, dict[str, Tensor]]:
    if not path.is_file():
        raise InvalidInput(f"There are no weights at {path}. Train them, or name another file.")
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            config, count = json.loads(about["config"]), int(about["files"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except (SafetensorError, KeyError, ValueError) as error:
        raise InvalidInput(f"{path} holds no weights of Saccade: {error}.") from error
    return config, count, {n: t.float() if t.is_floating_point() else t for n, t in tensors.items()}
