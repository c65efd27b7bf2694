"""What the generator is trained on: rectified flow over windows with clean history.

Sources: Liu et al. 2022, arXiv 2209.03003 (rectified flow); Esser et al. 2024, arXiv 2403.03206
(logit-normal times, shift); Ho and Salimans 2022, arXiv 2207.12598 (dropping conditions).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engines.video.conditions import Conditions
from engines.video.dit import DiT
from engines.video.regions import REGIONS
from engines.video.schedule import SHIFT, WINDOW


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """How training draws."""

    shift: float = SHIFT
    drop: float = 0.1
    "Share of clips that lose keypoints and felt mouth; audio; text: each by itself."
    drop_all: float = 0.1
    "Share of clips that lose all of them at once."
    history_noise: float = 0.15
    "Highest noise level of the context, against drift: the network is not told of it."
    history_share: float = 0.5
    "Share of clips whose context is noisy."
    offsets: tuple[int, int] = (4, 30)
    "Lowest and highest distance from a window to its reference, latent frames."
    regions: tuple[float, float, float] = (1.0, 1.0, 1.0)
    "Weight of the loss in each region."


FLOW = FlowConfig()


def mix(x0: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """``(1 - σ) x0 + σ ε``; sigma ``[B, W]`` is the level of each window of two latent frames."""
    level = sigma.repeat_interleave(WINDOW, 1)[..., None, None, None, None].to(x0.dtype)
    return (1 - level) * x0 + level * noise


def draw_sigma(
    shape: tuple[int, ...], shift: float = SHIFT, rng: torch.Generator | None = None
) -> Tensor:
    """Logit-normal times, shifted towards noise; inside (0, 1)."""
    u = torch.sigmoid(_draw(shape, rng, normal=True))
    return shift * u / (1 + (shift - 1) * u)


def random_drop(
    conditions: Conditions, config: FlowConfig = FLOW, rng: torch.Generator | None = None
) -> Conditions:
    """Some clips without some of their conditions."""
    fate = _draw((4, len(conditions)), rng)
    gone = (fate < config.drop) | (fate[3] < config.drop_all)
    return conditions.drop(pose=gone[0], audio=gone[1], text=gone[2])


def training_loss(
    dit: DiT,
    latents: Tensor,
    reference: Tensor,
    conditions: Conditions,
    rng: torch.Generator | None = None,
    config: FlowConfig = FLOW,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The flow-matching loss of some clips.

    Every window has its own noise level. Only noisy windows lose conditions: in a stream the
    context was told everything, whichever branch of guidance looks at it.

    Args:
        dit: The network.
        latents: float32 ``[B, L, 3, C, 6, 6]``, L even.
        reference: float32 ``[B, 3, C, 6, 6]``.
        conditions: Of these clips, none dropped yet.
        rng: Source of all chance; None is torch's own.
        config: How to draw.

    Returns:
        The loss, and without gradient its parts: by region, and for the half of the windows with
        less and with more noise than 0.6.
    """
    batch, frames = latents.shape[:2]
    here = latents.device
    sigma = draw_sigma((batch, frames // WINDOW), config.shift, rng).to(here)
    noise = _draw(tuple(latents.shape), rng, here, normal=True)
    stale = _draw((2, batch, 1), rng)
    level = config.history_noise * stale[0] * (stale[1] < config.history_share)
    grain = _draw(tuple(latents.shape), rng, here, normal=True)
    low, high = config.offsets
    offset = low + int(_draw((1,), rng).item() * (high - low + 1))
    velocity = dit(
        mix(latents, noise, sigma),
        sigma,
        reference,
        random_drop(conditions, config, rng),
        clean=mix(latents, grain, level.to(here).expand_as(sigma)),
        clean_conditions=conditions,
        offset=min(offset, high),
    )
    error = (velocity.float() - (noise - latents)).square().mean((3, 4, 5))
    weight = error.new_tensor(config.regions)
    loss = (error * weight).mean() / weight.mean()
    return loss, _parts(error.detach(), sigma)


def _parts(error: Tensor, sigma: Tensor) -> dict[str, Tensor]:
    """Means of the error ``[B, L, 3]`` to plot."""
    parts = {name: error[:, :, k].mean() for k, name in enumerate(REGIONS)}
    by_frame = error.mean(2)
    noisy = sigma.repeat_interleave(WINDOW, 1) > 0.6
    for name, which in (("less_noise", ~noisy), ("more_noise", noisy)):
        parts[name] = (by_frame * which).sum() / which.sum().clamp(min=1)
    return parts


def _draw(
    shape: tuple[int, ...],
    rng: torch.Generator | None,
    device: torch.device | str = "cpu",
    *,
    normal: bool = False,
) -> Tensor:
    """Normal or even numbers on a device, from a generator that may live elsewhere."""
    where = device if rng is None else rng.device
    make = torch.randn if normal else torch.rand
    return make(shape, generator=rng, device=where).to(device)
