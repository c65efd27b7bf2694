"""What moved, read out of latents: a loss that makes them say it plainly.

An iris that moves is a few dozen pixels, so pictures alone teach an encoder late where somebody
looks. Here a linear map of a latent and of the reference's has to tell how the eye's keypoints
have moved, or what the mouth does. Only training has it: the decoder never sees keypoints.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from core import LATENT_FRAMES, MOUTH_CHANNELS
from engines.video.regions import REGIONS

POINTS: Final = 31
"Keypoints of one eye."
REACH: Final = 0.1
"How far keypoints move, half sides of a region (free): what is read is counted in it."
SOFT: Final = 0.1
"Errors below are squared rather than absolute."


class MotionReader(nn.Module):
    """Linear maps, one for both eyes and one for the mouth."""

    def __init__(self, channels: int, cells: int) -> None:
        """Args:
        channels: Of a latent.
        cells: Of a latent, a side.
        """
        super().__init__()
        told = 2 * channels * cells * cells
        self.eyes = nn.Linear(told, LATENT_FRAMES * POINTS * 2)
        self.mouth = nn.Linear(told, LATENT_FRAMES * len(MOUTH_CHANNELS))

    def forward(
        self, latents: Tensor, still: Tensor, moved: Tensor, mouth: Tensor, region: Tensor
    ) -> Tensor:
        """How badly it can be read.

        Args:
            latents: ``[B, L, C, 6, 6]``.
            still: ``[B, C, 6, 6]``: of the references.
            moved: ``[B, 4 L, 31, 2]``: the eye's keypoints less the reference's; not looked at
                where the region is the mouth.
            mouth: ``[B, 4 L, 9]``: what the mouth does.
            region: int64 ``[B]``: which of `REGIONS`.

        Returns:
            A mean error; keypoints count in `REACH`.
        """
        told = torch.cat((latents.flatten(2), still.flatten(1)[:, None].expand(
            -1, latents.shape[1], -1)), 2)  # fmt: skip
        speaks = region == len(REGIONS) - 1
        parts = []
        for read, wanted, which in (
            (self.eyes, moved.flatten(2) / REACH, ~speaks),
            (self.mouth, mouth, speaks),
        ):
            if which.any():
                out = read(told[which]).float()
                true = wanted[which].reshape(out.shape)
                parts.append(functional.smooth_l1_loss(out, true, beta=SOFT) * which.float().mean())
        return torch.stack(parts).sum()
