"""What the codec's pictures are judged by in training.

All pictures are ``[N, 3, H, W]`` in [-1, 1]. The pixels that count most are those that bending
the reference does not give: lids, irises, teeth.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from core import F32
from engines.evaluate.networks.checkpoint import leaf, load_arrays
from engines.evaluate.networks.weights import Weights
from engines.video.blocks import ChannelNorm

SOFT: Final = 1e-3
"Errors below are squared rather than absolute: a thousandth of the range (Charbonnier)."


LIDS: Final = slice(0, 16)
"The ring of the lids among an eye's keypoints."
IRIS: Final = slice(26, 31)
GAZE: Final = 3.0
"How much more a point of an iris counts than others (free)."
NEAR: Final = 0.02
"Half sides (a pixel): errors of bending below are squared rather than absolute."
OPENING: Final = 4.0
"How much more the space between the lids counts (free): who looks where is seen in few pixels."


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Of each part beside the absolute error, which counts 1 (free)."""

    gradient: float = 1.0
    temporal: float = 0.5
    perceptual: float = 0.1
    bending: float = 8.0
    motion: float = 0.5
    "Of `engines.video.motion_reader`."
    adversarial: float = 0.0
    begin: float = 0.6
    "Share of the training after which the adversary enters, over a tenth of it."


def emphasis(frames: Tensor, reference: Tensor, gaze: Tensor | None = None) -> Tensor:
    """How much each pixel counts, ``[N, 1, H, W]``, 1 on average.

    Up to 5 where the frame is not the reference, up to 2 more at edges, and up to `OPENING` times
    that between the lids (free).

    Args:
        frames: The truth.
        reference: What it is compared with.
        gaze: ``[N, 1, H, W]`` from `openings`; None where no eye is seen.
    """
    change = (frames - reference).abs().mean(1, keepdim=True)
    edges = functional.pad(_across(frames).abs(), (0, 1)) + functional.pad(
        _down(frames).abs(), (0, 0, 0, 1)
    )
    edges = edges.mean(1, keepdim=True)
    weight = 1.0 + 4.0 * (change * 2.0).clamp(max=1.0) + 2.0 * (edges * 2.0).clamp(max=1.0)
    weight = functional.avg_pool2d(weight, 5, stride=1, padding=2, count_include_pad=False)
    if gaze is not None:
        weight = weight * (1 + (OPENING - 1) * gaze)
    return weight / weight.mean()


def bending(flow: Tensor, points: Tensor, reference: Tensor) -> Tensor:
    """How far the reference is bent from where its keypoints have gone.

    The gradient of a picture that is bent sees a pixel far: too near for an iris to find its way.
    Lids and brows are of the first layer, irises of the second.

    Args:
        flow: ``[N, 2, 2, H, W]``: each layer shows at p the reference at p + flow; half sides.
        points: ``[N, 31, 2]``: keypoints of an eye, `LIDS` first and `IRIS` last; all zeros for
            a mouth, which has none.
        reference: ``[N, 31, 2]``: of the reference.

    Returns:
        The mean error. Irises count as far as both pictures show them.
    """
    shown_at = torch.cat(
        (flow_at(flow[:, 0], points[:, : IRIS.start]), flow_at(flow[:, 1], points[:, IRIS])), 1
    )
    error = functional.smooth_l1_loss(
        shown_at, reference - points, beta=NEAR, reduction="none"
    ).mean(2)
    shown = (open_share(points) * open_share(reference)).clamp(max=1)
    share = (points.abs().amax(2) < 1).float()
    share[:, IRIS] *= GAZE * shown[:, None]
    share = share * points.flatten(1).any(1)[:, None]
    return (error * share).sum() / share.sum().clamp(min=1)


def flow_at(flow: Tensor, points: Tensor) -> Tensor:
    """A field ``[N, 2, H, W]`` at points ``[N, K, 2]``: as the latter."""
    at = functional.grid_sample(flow, points[:, :, None], align_corners=False)
    return at[..., 0].transpose(1, 2)


def open_share(points: Tensor) -> Tensor:
    """How open eyes are, ``[N]``: 1 where height is a quarter of width."""
    size = points[:, LIDS].amax(1) - points[:, LIDS].amin(1)
    return 4 * size[:, 1] / size[:, 0].clamp(min=1e-3)


def openings(lids: Tensor, side: int) -> Tensor:
    """Where eyes are between their lids, 0 to 1: Gaussians as wide as a third of the eye.

    Args:
        lids: ``[N, 16, 2]``: a ring around each, region coordinates; all zeros for no eye.
        side: Pixels.

    Returns:
        ``[N, 1, side, side]``.
    """
    along = (torch.arange(side, device=lids.device) + 0.5) * (2 / side) - 1
    wide = lids[..., 0].amax(1) - lids[..., 0].amin(1)
    spread = (0.3 * wide).clamp(min=1e-3)[:, None]
    x, y = (torch.exp(-(along - at[:, None]).square() / (2 * spread.square()))
            for at in lids.mean(1).unbind(-1))  # fmt: skip
    near = (y[:, :, None] * x[:, None])[:, None]
    return near * (wide > 0)[:, None, None, None]


def absolute(out: Tensor, frames: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean absolute error, smooth at 0.

    Source: Charbonnier et al. 1994, "Two deterministic half-quadratic regularization algorithms
    for computed imaging", ICIP.
    """
    return (weight * _soft(out - frames)).mean()


def gradient(out: Tensor, frames: Tensor, weight: Tensor) -> Tensor:
    """The same of the differences between neighbouring pixels: edges stay edges."""
    error = out - frames
    across = (weight[..., 1:] * _soft(_across(error))).mean()
    return across + (weight[..., 1:, :] * _soft(_down(error))).mean()


def temporal(out: Tensor, frames: Tensor) -> Tensor:
    """The same of the differences between frames, ``[B, T, 3, H, W]``: no flicker."""
    error = out - frames
    return _soft(error[:, 1:] - error[:, :-1]).mean()


class Perceptual(nn.Module):
    """LPIPS: the distance of pictures in the features of a frozen AlexNet.

    Source: Zhang et al. 2018, "The Unreasonable Effectiveness of Deep Features as a Perceptual
    Metric", CVPR, equation 1; version 0.1, as `engines.evaluate.networks.perceptual` has it.
    """

    def __init__(self, weights: Weights) -> None:
        """Find the weights and load them.

        Raises:
            Unavailable, InvalidInput: No weights, or a file that is none.
        """
        super().__init__()
        path = weights.need("lpips").path
        tree = load_arrays(path)
        for layer in range(len(_CONVOLUTIONS)):
            name = ("AlexNet_0", f"Conv_{layer}")
            self._keep(f"kernel{layer}", leaf(tree, path, *name, "kernel", rank=4))
            self._keep(f"bias{layer}", leaf(tree, path, *name, "bias", rank=1))
            head = (f"NetLinLayer_{layer}", "Conv_0", "kernel")
            self._keep(f"head{layer}", leaf(tree, path, *head, rank=4))
        self._keep("shift", np.array([-0.030, -0.088, -0.188], np.float32).reshape(3, 1, 1))
        self._keep("scale", np.array([0.458, 0.448, 0.450], np.float32).reshape(3, 1, 1))

    def _keep(self, name: str, value: F32) -> None:
        """Kernels from height, width, in, out; never in a checkpoint."""
        value = value.transpose(3, 2, 0, 1) if value.ndim == 4 else value
        self.register_buffer(name, torch.tensor(value), persistent=False)

    def forward(self, out: Tensor, frames: Tensor) -> Tensor:
        """Mean distance of two sets of pictures, at least 0."""
        total = out.new_zeros(())
        count = len(out)
        x = (torch.cat((out, frames)) - self.shift) / self.scale
        for layer, (stride, padding) in enumerate(_CONVOLUTIONS):
            kernel, bias = self.get_buffer(f"kernel{layer}"), self.get_buffer(f"bias{layer}")
            x = torch.relu(functional.conv2d(x, kernel, bias, stride, padding))
            unit = x.float() / (x.float().square().sum(1, keepdim=True) + 1e-10).sqrt()
            apart = (unit[:count] - unit[count:]).square()
            head = self.get_buffer(f"head{layer}")  # [1, channels, 1, 1]
            total = total + (apart * head).sum(1).mean()
            if layer in _POOLED:
                x = functional.max_pool2d(x, 3, 2)
        return total

    shift: Tensor
    scale: Tensor


_CONVOLUTIONS: Final = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))
"AlexNet's stride and padding."
_POOLED: Final = (0, 1)
"Convolutions followed by a max pool 3/2."


class Critic(nn.Module):
    """Says of every patch of 46 pixels whether it looks real beside the reference.

    Source: Isola et al. 2017, "Image-to-Image Translation with Conditional Adversarial Networks",
    CVPR (PatchGAN); Lim and Ye 2017, "Geometric GAN" (the hinge).
    """

    def __init__(self, widths: tuple[int, int, int] = (32, 64, 128)) -> None:
        super().__init__()
        steps: list[nn.Module] = [nn.Conv2d(6, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for before, width in zip(widths, widths[1:], strict=False):
            steps += [
                nn.Conv2d(before, width, 4, 2, 1), ChannelNorm(width), nn.LeakyReLU(0.2),
            ]  # fmt: skip
        self.steps = nn.Sequential(*steps, nn.Conv2d(widths[-1], 1, 4, 1, 1))

    def forward(self, pictures: Tensor, reference: Tensor) -> Tensor:
        """``[N, 3, 96, 96]`` each → scores float32 ``[N, 1, 11, 11]``, above 0 for real."""
        return self.steps(torch.cat((pictures, reference), dim=1)).float()  # type: ignore[no-any-return]


def adversarial(
    critic: Critic, out: Tensor, frames: Tensor, reference: Tensor
) -> tuple[Tensor, Tensor]:
    """What the pictures lose to the critic, and the critic's own loss.

    Their sum can be minimised by one optimiser: neither reaches the other's weights.
    """
    fixed = OrderedDict((name, p.detach()) for name, p in critic.named_parameters())
    fooled: Tensor = torch.func.functional_call(critic, fixed, (out, reference))
    false = torch.relu(1.0 + critic(out.detach(), reference)).mean()
    return -fooled.mean(), false + torch.relu(1.0 - critic(frames, reference)).mean()


def _soft(error: Tensor) -> Tensor:
    return (error.square() + SOFT * SOFT).sqrt() - SOFT


def _across(x: Tensor) -> Tensor:
    return x[..., 1:] - x[..., :-1]


def _down(x: Tensor) -> Tensor:
    return x[..., 1:, :] - x[..., :-1, :]
