"""Keypoints, felt mouth and words on their way into the generator.

The keypoints of an eye are drawn as soft planes of 24 x 24 (lines of both lids, both edges of the
brow, iris disc, pupil) and a 3D convolution brings four frames of them to the grid of one latent
frame. The felt mouth has no place, so its planes would be constant: a small network of the numbers
says the same for less. Both are added to the patch embeddings.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import F32, KEYPOINT_SLICES, LATENT_FRAMES, MOUTH_CHANNELS
from engines.video.guidance import CELLS
from engines.video.text import LENGTH, WORDS

GRID: Final = 24
"Side of a plane: four pixels to a latent cell."
PLANES: Final = 6
SOFT: Final = 0.7
"Standard deviation of a line across, plane pixels (free): wide enough to move between pixels."
_DOTS: Final = 32
"Dots a line is made of: closer than `SOFT` for any brow that fits the region."
OF_EYE: Final = tuple(
    [i for part in ("lid", "brow", "iris")
     for i in range(*KEYPOINT_SLICES[f"{part}_{side}"].indices(62))]
    for side in ("left", "right")
)  # fmt: skip
"Which of the 62 keypoints are of the eye in the first and in the second region: 31 each."
_LINES: Final = (
    tuple(range(9)),  # lower lid, corner to corner
    (8, 9, 10, 11, 12, 13, 14, 15, 0),  # upper lid
    tuple(range(16, 21)),  # brow, lower edge
    tuple(range(21, 26)),  # brow, upper edge
)
"Polylines over the 31 points of one eye: lid ring, brow, iris."
_PUPIL: Final = 26


class Raster(nn.Module):
    """Draws the eyes' keypoints. Nothing to learn."""

    def __init__(self) -> None:
        super().__init__()
        dots, steps = _dotted()
        self.register_buffer("own", torch.tensor(OF_EYE), False)
        self.register_buffer("dots", torch.from_numpy(dots), False)
        self.register_buffer("steps", torch.from_numpy(steps), False)

    own: Tensor
    dots: Tensor
    steps: Tensor

    def forward(self, points: Tensor) -> Tensor:
        """``[N, 3, 62, 2]`` in region coordinates → float32 ``[N, 2, 6, 24, 24]``, 0 to about 1."""
        eyes = torch.stack([points[:, k, self.own[k]] for k in range(2)], 1).float()
        with torch.autocast(points.device.type, enabled=False):  # a line is finer than bf16
            eyes = (eyes + 1) * (GRID / 2) - 0.5  # pixels, centres at integers
            # The dots of a line weigh as much as the line they stand for, so that a line is
            # equally bright however far its points are apart.
            weight = (self.steps @ eyes).norm(dim=-1) / (SOFT * math.sqrt(2 * math.pi))
            weight = torch.unflatten(weight, -1, (len(_LINES), _DOTS))
            at = torch.unflatten(self.dots @ eyes, -2, (len(_LINES), _DOTS))
            lines = _splat(at, weight, SOFT)
            pupil, rim = eyes[:, :, _PUPIL], eyes[:, :, _PUPIL + 1 :]
            radius = (rim - pupil[:, :, None]).norm(dim=-1).mean(-1)
            along = torch.arange(GRID, device=eyes.device, dtype=torch.float32)
            away = (along - pupil[..., :1]).square()[..., None, :]
            away = (away + (along - pupil[..., 1:]).square()[..., :, None]).sqrt()
            disc = torch.sigmoid((radius[..., None, None] - away) / (SOFT / 2))
            spot = torch.exp(-away.square() / 2)
            return torch.cat((lines, disc[:, :, None], spot[:, :, None]), 2)


class PoseAdapter(nn.Module):
    """Keypoints and felt mouth → what is added to the tokens; zeros at first."""

    def __init__(self, width: int, first: int = 32, second: int = 96) -> None:
        super().__init__()
        self.raster = Raster()
        # Together a 3D convolution: its stride in time is its length, so time goes to channels.
        self.space = nn.Conv2d(PLANES, first, 4, 2, 1)
        self.time = nn.Conv2d(LATENT_FRAMES * first, second, 4, 2, 1)
        self.eyes = nn.Linear(second, width)
        self.felt = nn.Linear(LATENT_FRAMES * len(MOUTH_CHANNELS), second)
        self.mouth = nn.Linear(second, width)
        self.without = nn.Parameter(torch.zeros(width))
        for last in (self.eyes, self.mouth):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, points: Tensor, felt: Tensor, posed: Tensor) -> Tensor:
        """Args:
            points: ``[B, T, 3, 62, 2]``.
            felt: ``[B, T, 9]``.
            posed: bool ``[B]``: where it is False, the others are not looked at.

        Returns:
            ``[B, T / 4, 108, width]``.
        """
        batch, frames = felt.shape[:2]
        count = frames // LATENT_FRAMES
        drawn = F.silu(self.space(self.raster(points.flatten(0, 1)).flatten(0, 1)))
        # [B L, 4 frames, 2 eyes, ...] → an eye's four frames side by side.
        drawn = torch.unflatten(drawn, 0, (-1, LATENT_FRAMES, 2)).transpose(1, 2).flatten(2, 3)
        folded = F.silu(self.time(drawn.flatten(0, 1)))
        eyes = self.eyes(folded.flatten(2).transpose(1, 2))
        eyes = eyes.reshape(batch, count, 2 * CELLS * CELLS, -1)
        wanted = F.silu(self.felt(felt.reshape(batch, count, -1)))
        mouth = self.mouth(wanted)[:, :, None].expand(-1, -1, CELLS * CELLS, -1)
        seen = torch.cat((eyes, mouth), 2)
        return torch.where(posed[:, None, None, None], seen, self.without.to(seen.dtype))


class TextEncoder(nn.Module):
    """Word numbers → text tokens, by one small transformer layer."""

    def __init__(self, width: int, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.table = nn.Embedding(WORDS, width)
        self.place = nn.Parameter(torch.randn(LENGTH, width) * 0.5)
        self.before, self.after, self.last = (nn.LayerNorm(width) for _ in range(3))
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.rise, self.fall = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, words: Tensor) -> Tensor:
        """int64 ``[B, 16]`` → ``[B, 16, width]``."""
        x = self.table(words) + self.place
        q, k, v = self.qkv(self.before(x)).unflatten(-1, (3, self.heads, -1)).unbind(2)
        mixed = F.scaled_dot_product_attention(
            q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
        )
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        x = x + self.fall(F.gelu(self.rise(self.after(x))))
        out: Tensor = self.last(x)
        return out


def _splat(at: Tensor, weight: Tensor, soft: float) -> Tensor:
    """Sums of Gaussian dots: ``[..., n, 2]`` pixels and ``[..., n]`` → ``[..., 24, 24]``.

    A Gaussian is a product over x and y, so a plane is one small matrix product.
    """
    along = torch.arange(GRID, device=at.device, dtype=at.dtype)
    near = torch.exp((at[..., None] - along).square() / (-2 * soft * soft))
    x, y = near.unbind(-2)
    return (y * weight[..., None]).transpose(-1, -2) @ x


def _dotted() -> tuple[F32, F32]:
    """Matrices ``[lines * dots, 31]``: where the dots are, and the stretch each stands for."""
    dots = np.zeros((len(_LINES), _DOTS, 31), np.float32)
    steps = np.zeros_like(dots)
    for line, points in enumerate(_LINES):
        each = _DOTS // (len(points) - 1)
        for dot in range(_DOTS):
            a, b = points[dot // each], points[dot // each + 1]
            share = (dot % each + 0.5) / each
            dots[line, dot, a] += 1 - share
            dots[line, dot, b] += share
            steps[line, dot, b] += 1 / each
            steps[line, dot, a] -= 1 / each
    return dots.reshape(-1, 31), steps.reshape(-1, 31)
