"""Convolutional building blocks of the codec. Nothing here mixes one frame with a later one.

No layer takes statistics over time or space, so that a stream decodes exactly like a whole clip.
Dense convolutions only: on CPUs a depthwise one costs nearly as much as a dense one and does less.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.video.regions import REGIONS


class ChannelNorm(nn.Module):
    """Root mean square over the channels of each position becomes 1, then a learned scale.

    Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization", NeurIPS.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """``[N, width, h, w]`` → the same shape and type."""
        size = (x.float().square().mean(1, keepdim=True) + 1e-6).rsqrt()
        out: Tensor = x * (size * self.scale).to(x.dtype)
        return out


class RegionScale(nn.Module):
    """A scale and a bias for each channel, by region; at first it changes nothing."""

    def __init__(self, regions: int, width: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(regions, 2, width))

    def forward(self, x: Tensor, region: Tensor) -> Tensor:
        """``[N, width, h, w]`` and int64 ``[N]`` → the same shape."""
        scale, bias = self.table[region].to(x.dtype)[..., None, None].unbind(1)
        return torch.addcmul(bias, x, 1.0 + scale)


class Residual(nn.Module):
    """Two 3x3 convolutions beside an identity; at first the identity alone."""

    def __init__(self, width: int, *, norm: bool) -> None:
        super().__init__()
        self.norm = ChannelNorm(width) if norm else nn.Identity()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        _silence(self.second)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, width, h, w]`` → the same shape."""
        added: Tensor = self.second(torch.relu(self.first(self.norm(x))))
        return x + added


class Halves(nn.Conv2d):
    """A convolution whose output is wanted in two halves of the channels."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """``[N, width, h, w]`` → twice ``[N, out / 2, h, w]``."""
        return super().forward(x).chunk(2, dim=1)


class Apart(nn.Module):
    """The same as `Halves` by a convolution each: what graphs want, where a split is a copy.

    Source: measured; OpenVINO spends a quarter of an int8 convolution's time on its split.
    """

    def __init__(self, both: Halves) -> None:
        super().__init__()
        self.now, self.past = (_half(both, k) for k in range(2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As `Halves`."""
        return self.now(x), self.past(x)


def _half(both: Halves, which: int) -> nn.Conv2d:
    assert both.bias is not None
    half = nn.Conv2d(both.in_channels, both.out_channels // 2, 3, padding=1)
    half.weight.data = both.weight.detach().chunk(2)[which]
    assert half.bias is not None
    half.bias.data = both.bias.detach().chunk(2)[which]
    return half


class Memory(nn.Module):
    """A `Residual` whose first convolution also sees this block's input one frame ago.

    The convolution of frame and previous frame is split by the sum: both halves are taken of
    every frame at once and the second is moved on by one. What is remembered is that half of the
    last frame, so a whole clip runs in parallel and a stream gives the same numbers.

    Source: the memory blocks of TAEHV (Ollin Boer Bohan, github.com/madebyollin/taehv), of which
    this is an equivalent form.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.first: Halves | Apart = Halves(width, 2 * width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        _silence(self.second)

    def forward(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Frames of several clips, clip by clip.

        Args:
            x: ``[B * T, width, h, w]``.
            memory: ``[B, width, h, w]``: what the call before returned, zeros at the start.

        Returns:
            ``[B * T, width, h, w]`` and the memory after the last frame.
        """
        now, past = self.first(x)
        clips = past.reshape(memory.shape[0], -1, *past.shape[1:])
        before = torch.cat((memory.to(past.dtype)[:, None], clips[:, :-1]), dim=1)
        return x + self.second(torch.relu(now + before.flatten(0, 1))), clips[:, -1]


class Down(nn.Module):
    """Half the side: 2x2 pixels into channels, then a 1x1 convolution."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(4 * width, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, width, h, w]`` → ``[N, out, h / 2, w / 2]``."""
        return self.mix(functional.pixel_unshuffle(x, 2))  # type: ignore[no-any-return]


class Up(nn.Module):
    """Twice the side and ``frames`` times the frames, both taken out of the channels.

    Source: the time upsampling of TAEHV (as `Memory`); Shi et al. 2016, "Real-Time Single Image
    and Video Super-Resolution Using an Efficient Sub-Pixel Convolutional Neural Network", CVPR.
    """

    def __init__(self, width: int, out: int, frames: int) -> None:
        super().__init__()
        self.frames = frames
        self.mix = nn.Conv2d(width, 4 * out * frames, 1)

    def forward(self, x: Tensor) -> Tensor:
        """``[N, width, h, w]`` → ``[N * frames, out, 2 h, 2 w]``, frames of one input together."""
        x = functional.pixel_shuffle(self.mix(x), 2)
        return x.reshape(-1, x.shape[1] // self.frames, *x.shape[2:])


class Pyramid(nn.Module):
    """A picture of a region at four scales."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(12, widths[0], 3, padding=1)
        self.downs = nn.ModuleList(Down(*pair) for pair in zip(widths, widths[1:], strict=False))
        self.scales = nn.ModuleList(RegionScale(len(REGIONS), w) for w in widths)
        self.blocks = nn.ModuleList(
            nn.Sequential(*(Residual(width, norm=True) for _ in range(count)))
            for width, count in zip(widths, blocks, strict=True)
        )

    def forward(self, pictures: Tensor, region: Tensor) -> list[Tensor]:
        """``[N, 3, 96, 96]`` and int64 ``[N]`` → ``[N, width, side, side]`` at 48, 24, 12, 6."""
        x = self.stem(functional.pixel_unshuffle(pictures, 2))
        out = []
        for level, blocks in enumerate(self.blocks):
            if level:
                x = self.downs[level - 1](x)
            x = blocks(self.scales[level](x, region))
            out.append(x)
        return out


def each(x: Tensor, times: int) -> Tensor:
    """``[B, …]`` → ``[B * times, …]``, each of the batch so often in a row."""
    return x[:, None].expand(-1, times, *x.shape[1:]).flatten(0, 1)


def _silence(layer: nn.Conv2d) -> None:
    """Zero weights: a block that adds nothing at first trains without normalisation."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
