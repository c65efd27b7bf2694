"""Rotary positions of tokens in time, y and x.

Time is counted from the window's own first latent frame: the window is 0 and 1, its context -1, -2
and so on, the reference a fixed distance after the window's end. Keys are kept unrotated and turned
when they are used, so a stream may run for ever: no index grows, and the tables are constants.

Both eyes have the same y and x: the left one is mirrored, so what lies at the same place belongs
together. The mouth lies below them, apart from both. A learned embedding of each place tells the
regions from one another.

Source: Su et al. 2021, "RoFormer", arXiv 2104.09864; the reference after the window ("pseudo last
frame"): OmniHuman-1.5, arXiv 2508.19209, section 3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor

from engines.video.guidance import CELLS, FRAME
from engines.video.regions import REGIONS

DOWN: Final = (0, 0, CELLS + 2)
"Rows that lie above each region."
BASE: Final = 100.0
"Slowest wave, in units of the fastest (free): distances stay under 40."


def positions(
    times: Sequence[int], head: int, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Cosines and sines for latent frames at these times.

    Args:
        times: Time index of each latent frame; some hundred at most, for the sake of float32.
        head: Width of an attention head, even.
        device: Where they are made.

    Returns:
        Two float32 ``[len(times) * 108, head / 2]``.
    """
    spatial = head // 6
    along = torch.arange(CELLS, device=device)
    down = torch.tensor(DOWN, device=device)
    rows = (down[:, None] + along).flatten().repeat_interleave(CELLS)
    columns = along.repeat(len(REGIONS) * CELLS)
    when = torch.tensor(list(times), device=device).repeat_interleave(FRAME)
    phase = torch.cat(
        (
            _phases(when, head // 2 - 2 * spatial),
            _phases(rows, spatial).repeat(len(times), 1),
            _phases(columns, spatial).repeat(len(times), 1),
        ),
        1,
    )
    return phase.cos(), phase.sin()


def rotate(x: Tensor, tables: tuple[Tensor, Tensor]) -> Tensor:
    """Turn queries or keys.

    Args:
        x: ``[..., N, heads, head]``.
        tables: Cosines and sines, ``[..., N, head / 2]``.
    """
    cos, sin = (t.unsqueeze(-2) for t in tables)
    a, b = x.float().chunk(2, -1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1).to(x.dtype)


def _phases(index: Tensor, count: int) -> Tensor:
    """Int64 ``[N]`` → float32 ``[N, count]``: one wave each, from fast to slow."""
    waves = BASE ** (-torch.arange(count, device=index.device) / max(count, 1))
    return index[:, None] * waves
