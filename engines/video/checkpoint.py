"""Checkpoints of a training run: written whole or not at all, the last two kept."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor, nn

from core import InvalidInput

NAME: Final = "checkpoint.pt"
PREVIOUS: Final = "checkpoint.previous.pt"


@dataclass(frozen=True, slots=True, eq=False)
class Checkpoint:
    """All that a run needs to go on as if it had never stopped."""

    step: int
    seconds: float
    "Wall clock of training so far."
    skipped: int
    "Steps without a number for a loss."
    averaged: int
    "Steps in the running average."
    module: dict[str, Tensor]
    average: dict[str, Tensor]
    optimiser: dict[str, Any]


def write_checkpoint(state: Checkpoint, folder: Path) -> None:
    """Write it; the one before is kept under another name."""
    path, fresh = folder / NAME, folder / f"{NAME}.part"
    with fresh.open("wb") as file:
        torch.save({name: getattr(state, name) for name in Checkpoint.__slots__}, file)
        file.flush()
        os.fsync(file.fileno())
    if path.exists():
        path.replace(folder / PREVIOUS)
    fresh.replace(path)


def read_checkpoint(folder: Path, device: torch.device, module: nn.Module) -> Checkpoint | None:
    """The newest checkpoint of a folder, None where there is none.

    Raises:
        InvalidInput: It can not be read, or is of another network than ``module``.
    """
    # Between the two renamings of a write that was cut short there is only the previous one.
    path = next((p for p in (folder / NAME, folder / PREVIOUS) if p.exists()), None)
    if path is None:
        return None
    try:
        state = Checkpoint(**torch.load(path, map_location=device, weights_only=True))
    except Exception as error:  # torch raises whatever its unpickler does
        raise InvalidInput(
            f"{path} can not be read: {error}. Remove it to go on from {PREVIOUS} or from nothing."
        ) from error
    here = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    there = {name: tuple(value.shape) for name, value in state.module.items()}
    if here != there:
        first = sorted(set(here.items()) ^ set(there.items()))[0][0]
        raise InvalidInput(
            f"{path} is of another network (the first difference is at {first}). "
            "Train with the same sizes, or into another folder."
        )
    return state
