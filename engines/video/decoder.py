"""The codec's decoder: latents and a reference to frames, whole clips or streams.

One code path for both: whatever is remembered from one call to the next is in a `DecoderCache`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from engines.video.blocks import Memory, Pyramid, RegionScale, Residual, Up, each
from engines.video.regions import REGIONS, SIDE

LARGEST_FLOW: Final = 0.6
"Of half the side, 29 pixels: a jaw at its full drop (free)."
LAYERS: Final = 2
"""The reference is bent twice: for skin, and for what is under it (eyeball, teeth), which moves
otherwise than the lids or lips around it. One flow would have to tear at their edge."""


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceFeatures:
    """What the decoder needs of references: once for a portrait."""

    picture: Tensor
    "``[B, 3, 96, 96]`` in [-1, 1]."
    levels: tuple[Tensor, ...]
    "At 48, 24, 12 and 6, ready to be added to the decoder's own: ``[B, width, side, side]``."
    region: Tensor
    "int64 ``[B]``: which of `REGIONS`."


DecoderCache = tuple[Tensor, ...]
"What each `Memory` remembers, ``[B, width, side, side]``, coarse to fine."


class Decoder(nn.Module):
    """Latents and a reference → frames, any number of latents a call."""

    def __init__(
        self,
        widths: tuple[int, int, int, int],
        blocks: tuple[int, int, int, int],
        reference_blocks: tuple[int, int, int, int],
        channels: int,
    ) -> None:
        """An untrained decoder.

        Args:
            widths: Channels at 48, 24, 12 and 6 pixels a side.
            blocks: Of each, in the same order; those at 48 remember nothing.
            reference_blocks: Of the reference's `Pyramid`.
            channels: Of a latent.
        """
        super().__init__()
        fine, third, second, coarse = widths
        self.pyramid = Pyramid(widths, reference_blocks)
        self.offers = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1) for w in widths)
        self.enter = nn.Conv2d(channels, coarse, 3, padding=1)
        # At first the decoder sees how a latent differs from the reference's: what has moved.
        self.compare = nn.Conv2d(channels, coarse, 3, padding=1, bias=False)
        self.compare.weight.data.copy_(-self.enter.weight.data)
        self.ups = nn.ModuleList((Up(coarse, second, 2), Up(second, third, 2), Up(third, fine, 1)))
        self.scales = nn.ModuleList(RegionScale(len(REGIONS), w) for w in (coarse, second, third))
        self.counts = blocks[:0:-1]  # of memories at 6, 12 and 24
        pairs = zip((coarse, second, third), self.counts, strict=True)
        self.widths = [width for width, count in pairs for _ in range(count)]
        self.memories = nn.ModuleList(Memory(width) for width in self.widths)
        self.flow = nn.Conv2d(third, 8 * LAYERS, 3, padding=1)
        # Of each layer across and down, for the two frames a latent has more at the next scale.
        self.sweep = nn.Conv2d(second, 4 * LAYERS, 3, padding=1)
        self.bent = nn.Conv2d(12 * LAYERS, fine, 1)
        self.blocks = nn.Sequential(*(Residual(fine, norm=False) for _ in range(blocks[0])))
        # Colours, and how much of the layers under the skin and of the colours is seen.
        self.paint = nn.Conv2d(fine, 4 * (3 + LAYERS), 3, padding=1)
        for layer in (self.sweep, self.flow, self.paint):
            nn.init.normal_(layer.weight, std=1e-3)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        at = (torch.arange(SIDE) + 0.5) * (2 / SIDE) - 1
        grid = torch.stack(torch.meshgrid(at, at, indexing="xy"), dim=-1)
        self.register_buffer("grid", grid, persistent=False)

    grid: Tensor

    def reference(self, picture: Tensor, still: Tensor, region: Tensor) -> ReferenceFeatures:
        """What is needed of references.

        Args:
            picture: ``[B, 3, 96, 96]`` in [-1, 1].
            still: ``[B, latent, 6, 6]``: their latents.
            region: int64 ``[B]``.
        """
        levels = self.pyramid(picture, region)
        offered = [offer(x) for offer, x in zip(self.offers, levels, strict=True)]
        offered[-1] = offered[-1] + self.compare(still)
        return ReferenceFeatures(picture, tuple(offered), region)

    def cache(self, batch: int) -> DecoderCache:
        """What is remembered at the start: nothing."""
        sides = [SIDE >> (4 - level) for level, n in enumerate(self.counts) for _ in range(n)]
        return tuple(
            self.grid.new_zeros(batch, width, side, side)
            for width, side in zip(self.widths, sides, strict=True)
        )

    def forward(
        self, latents: Tensor, reference: ReferenceFeatures, cache: DecoderCache
    ) -> tuple[Tensor, DecoderCache]:
        """The next frames.

        Args:
            latents: ``[B, L, latent, 6, 6]``.
            reference: Of B pictures.
            cache: As the call before returned it.

        Returns:
            Frames ``[B, 4 L, 3, 96, 96]``, about [-1, 1], and the cache after them.
        """
        frames, _, cache = self.bend_and_paint(latents, reference, cache)
        return frames, cache

    def bend_and_paint(
        self, latents: Tensor, reference: ReferenceFeatures, cache: DecoderCache
    ) -> tuple[Tensor, Tensor, DecoderCache]:
        """As `forward`, with the flows between: ``[B * 4 L, LAYERS, 2, 96, 96]``, half sides.

        A layer shows at p what the reference has at p + flow.
        """
        batch = latents.shape[0]  # not len(): graphs keep it free
        x = self.enter(latents.flatten(0, 1))
        kept: list[Tensor] = []
        for level, count in enumerate(self.counts):
            x = self.ups[level - 1](x) if level else x
            times = x.shape[0] // batch
            x = x + each(reference.levels[3 - level], times)
            x = self.scales[level](x, reference.region.repeat_interleave(times))
            for _ in range(count):
                x, memory = self.memories[len(kept)](x, cache[len(kept)])
                kept.append(memory)
            if level == 1:
                sweep = self.sweep(x).float().reshape(-1, 2 * LAYERS, *x.shape[2:])
        frames, flow = self._finish(x, sweep, reference, x.shape[0] // batch)
        return frames.reshape(batch, -1, 3, SIDE, SIDE), flow, tuple(kept)

    def _finish(
        self, x: Tensor, sweep: Tensor, reference: ReferenceFeatures, times: int
    ) -> tuple[Tensor, Tensor]:
        """Bend the reference, paint, blend.

        Args:
            x: Features at 24, ``[N, width, 24, 24]``.
            sweep: Coarse flows ``[N, 2 LAYERS, 12, 12]``, before their bound.
            reference: Of N / times pictures.
            times: Frames of each.

        Returns:
            ``[N, 3, 96, 96]``, and the flows ``[N, LAYERS, 2, 96, 96]``.
        """
        fine = functional.pixel_shuffle(self.flow(x).float(), 2)
        flow = functional.interpolate(sweep, scale_factor=4, mode="bilinear") + fine
        flow = LARGEST_FLOW * torch.tanh(flow)
        flow = functional.interpolate(flow, scale_factor=2, mode="bilinear")
        flow = flow.reshape(-1, LAYERS, 2, SIDE, SIDE)
        picture = each(reference.picture.float(), times)
        bent = [
            functional.grid_sample(
                picture, self.grid + flow[:, layer].permute(0, 2, 3, 1),
                padding_mode="border", align_corners=False,
            )
            for layer in range(LAYERS)
        ]  # fmt: skip
        x = self.ups[2](x) + each(reference.levels[0], times)
        x = self.blocks(x + self.bent(functional.pixel_unshuffle(torch.cat(bent, 1), 2)))
        painted = functional.pixel_shuffle(self.paint(x).float(), 2)
        skin = torch.zeros_like(painted[:, :1])
        share = torch.cat((skin, painted[:, 3:]), 1).softmax(1)
        # One after the other: a stack of them would be copied before it is summed.
        frames = share[:, :1] * bent[0]
        for k, layer in enumerate((*bent[1:], painted[:, :3]), 1):
            frames = frames + share[:, k : k + 1] * layer
        return frames, flow
