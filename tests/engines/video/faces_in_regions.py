"""Conditions of faces that are drawn with a few numbers, for the tests of the generator."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from core import F32, KEYPOINT_SLICES
from engines.video.clip import REACH
from engines.video.conditions import Conditions
from engines.video.dit import DiT
from engines.video.dit_config import PRESETS, DitConfig
from engines.video.text import tokenise


def keypoints(gaze: F32, shut: F32) -> F32:
    """Keypoints in region coordinates, float32 ``[T, 3, 62, 2]``; arguments ``[T]`` in [-1, 1]."""
    out = np.zeros((len(gaze), 62, 2), np.float32)
    ring = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    for side, x in (("left", 3.0), ("right", 0.0)):
        lid = np.stack([-0.5 * np.cos(ring), 0.25 * np.sin(ring)], -1)
        lids = np.repeat(lid[None], len(gaze), 0)
        lids[:, 9:, 1] *= 1 - np.clip(shut, 0, 1)[:, None]
        brow = np.stack([np.tile(np.linspace(-0.7, 0.7, 5), 2), np.repeat([-0.6, -0.7], 5)], -1)
        iris = np.array([[0, 0], [0.2, 0], [0, 0.2], [-0.2, 0], [0, -0.2]])
        irises = np.repeat(iris[None], len(gaze), 0)
        irises[..., 0] += 0.3 * gaze[:, None]
        for part, points in (("lid", lids), ("brow", brow), ("iris", irises)):
            out[:, KEYPOINT_SLICES[f"{part}_{side}"]] = points + [x, 0.3]
    # The left region is centred on the left eye and mirrored, the mouth's is twice as large.
    left = (out - [3.0, 0]) * [-1, 1]
    mouth = (out - [1.5, 4.0]) / 2
    seen: F32 = np.stack([left, out, mouth], 1).astype(np.float32)
    return seen


def conditions(clips: int, latents: int, seed: int = 0) -> Conditions:
    """Random ones; a clip keeps its gaze, felt mouth and label for a latent frame, clip, clip."""
    rng = np.random.default_rng(seed)
    held = rng.uniform(-1, 1, (clips, latents, 3)).repeat(4, 1).astype(np.float32)
    points = np.stack([keypoints(h[:, 0], h[:, 1]) for h in held])
    rest = np.zeros(1, np.float32)
    felt = np.zeros((clips, 4 * latents, 9), np.float32)
    felt[..., 0] = (held[..., 2] + 1) / 2
    audio = rng.normal(size=(clips, 8 * latents + REACH, 256)).astype(np.float32)
    words = np.stack([tokenise(rng.choice(["idle", "anger"]), "look left") for _ in range(clips)])
    return Conditions(
        points=torch.from_numpy(points),
        reference_points=torch.from_numpy(keypoints(rest, rest)).expand(clips, -1, -1, -1),
        felt=torch.from_numpy(felt),
        audio=torch.from_numpy(audio),
        hears=torch.ones(audio.shape[:2], dtype=torch.bool),
        words=torch.from_numpy(words),
        posed=torch.ones(clips, dtype=torch.bool),
    )


def random_latents(*shape: int, seed: int = 0) -> Tensor:
    """Normal latents ``[*shape, 3, 8, 6, 6]``."""
    return torch.randn(*shape, 3, 8, 6, 6, generator=torch.Generator().manual_seed(seed))


def stirred(seed: int = 0, context: int = 4) -> DiT:
    """A tiny network whose every part has a say: at first most of it is silent."""
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    tiny = PRESETS["tiny"].as_dict() | {"context": context}
    dit = DiT(DitConfig(**tiny)).eval()
    for parameter in dit.parameters():
        nn.init.normal_(parameter, 0.0 if parameter.ndim > 1 else 0.5, 0.1)
    return dit
