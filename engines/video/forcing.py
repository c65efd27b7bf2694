"""Teacher forcing: which windows of a clip attend together when all go through at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Windows that remember equally much: they attend together, and no key is masked."""

    which: Tensor
    "int64 ``[n]``: among the clean, then the noisy ones."
    remembered: list[Tensor]
    "int64 ``[n]`` each: the clean windows one before, two before, …"


def groups_of_windows(windows: int, before: int, device: torch.device) -> list[Group]:
    """By how much they remember, least first; ``before`` is the most."""
    number = [*range(windows - 1), *range(windows)]
    groups = []
    for reach in range(min(before, windows - 1) + 1):
        which = [i for i, n in enumerate(number) if min(n, before) == reach]
        remembered = [[number[i] - k for i in which] for k in range(1, reach + 1)]
        groups.append(
            Group(
                torch.tensor(which, device=device),
                [torch.tensor(row, device=device) for row in remembered],
            )
        )
    return groups
