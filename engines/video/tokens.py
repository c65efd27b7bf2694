"""Latents as the transformer's tokens: their layout, and how they differ from the reference's.

Source of the preconditioning: Karras et al. 2022, arXiv 2206.00364, section 5; here for rectified
flow and a mean that is not zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engines.video.clip import OWN
from engines.video.dit_config import NEAR
from engines.video.guidance import CELLS
from engines.video.regions import REGIONS
from engines.video.schedule import WINDOW


def relative(
    latents: Tensor, reference: Tensor, sigma: Tensor, spread: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Latents as the network wants them, and what makes a velocity of its output.

    Were ``x0`` normal around the reference with deviation s, then ``x - (1 - σ) reference``
    has variance ``(1 - σ)² s² + σ²``, and the mean of ``ε - x0`` given x is linear in it. The
    network's output is what has to be added to that.

    Args:
        latents: ``[B, L, 3, C, 6, 6]``.
        reference: ``[B, 108, C]``.
        sigma: ``[B, L / 2]``: noise level of each window.
        spread: ``[108, C]``: s.

    Returns:
        ``[B, L / 2, 216, C]`` each: the difference to the reference with deviation 1, that
        mean, and how far from it the velocity still is.
    """
    level = sigma.repeat_interleave(WINDOW, 1)[..., None, None]
    away = flat(latents) - (1 - level) * reference[:, None]
    square = spread.square()
    variance = ((1 - level).square() * square + level.square()).clamp(min=1e-6)
    base = away * ((level - (1 - level) * square) / variance) - reference[:, None]
    root = variance.rsqrt()
    return by_window(away * root), by_window(base), by_window(spread * root)


def flat(latents: Tensor) -> Tensor:
    """``[B, L, 3, C, 6, 6]`` → ``[B, L, 108, C]``."""
    return latents.movedim(3, -1).flatten(2, 4)


def by_window(x: Tensor) -> Tensor:
    """``[B, L, 108, ...]`` → ``[B, L / 2, 216, ...]``."""
    return torch.unflatten(x, 1, (-1, WINDOW)).flatten(2, 3)


def as_latents(x: Tensor) -> Tensor:
    """``[B, W, 216, C]`` → ``[B, 2 W, 3, C, 6, 6]``."""
    grid = torch.unflatten(x, 2, (WINDOW, len(REGIONS), CELLS, CELLS))
    return grid.flatten(1, 2).movedim(-1, 3)


def near(x: Tensor) -> Tensor:
    """Sound ``[B, 8 + 8 L, ...]`` → what each latent frame hears, ``[B, L, 16, ...]``."""
    return x.unfold(1, NEAR, OWN).movedim(-1, 2)
