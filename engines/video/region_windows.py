"""Windows of single regions, drawn from clips: what the codec learns from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from core import LATENT_FRAMES, MOUTH_CHANNELS
from engines.video.adapter import OF_EYE
from engines.video.data.shards import Shards
from engines.video.motion_reader import POINTS
from engines.video.regions import REGIONS, SIDE


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """A batch: single regions over time."""

    frames: Tensor
    "uint8 ``[B, T, 96, 96, 3]``."
    reference: Tensor
    "uint8 ``[B, 96, 96, 3]``."
    region: Tensor
    "int64 ``[B]``."
    points: Tensor
    "float32 ``[B, T, 31, 2]``: the eye's keypoints, zeros for a mouth."
    reference_points: Tensor
    "float32 ``[B, 31, 2]``."
    mouth: Tensor
    "float32 ``[B, T, 9]``: what the mouth does."


def draw(shards: Shards, rng: np.random.Generator, size: int, latents: int) -> Windows:
    """Random windows of random regions; a clip that is shorter stands still at its end."""
    count = latents * LATENT_FRAMES
    frames = np.empty((size, count, SIDE, SIDE, 3), np.uint8)
    reference = np.empty((size, SIDE, SIDE, 3), np.uint8)
    points = np.zeros((size, count, POINTS, 2), np.float32)
    reference_points = np.zeros((size, POINTS, 2), np.float32)
    mouth = np.empty((size, count, len(MOUTH_CHANNELS)), np.float32)
    region = rng.integers(len(REGIONS), size=size)
    for row, k in enumerate(region):
        i = int(rng.integers(len(shards)))
        length = min(count, shards.lengths[i])
        first = int(rng.integers(shards.lengths[i] - length + 1))
        clip = shards.clip(i, first, length)
        held = np.minimum(np.arange(count), length - 1)
        frames[row] = clip.frames[held, k]
        reference[row] = clip.reference[k]
        mouth[row] = np.clip(clip.heard_mouth + clip.felt, 0, 1)[held]
        if k < len(OF_EYE):
            points[row] = clip.points[held, k][:, OF_EYE[k]]
            reference_points[row] = clip.reference_points[k, OF_EYE[k]]
    arrays = (frames, reference, region, points, reference_points, mouth)
    return Windows(*map(torch.from_numpy, arrays))
