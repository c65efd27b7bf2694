"""The small student's decoder in int8, and where its graph lies beside the others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from engines.video.codec import Codec
from engines.video.quantise import Stretch, quantised
from engines.video.shipped import INT8, graph_file


def stretch(seed: int) -> Stretch:
    """Noise to find scales on, or to look at."""
    rng = np.random.default_rng(seed)
    latents = torch.randn(1, 2, 3, 32, 6, 6, generator=torch.Generator().manual_seed(seed))
    return latents, rng.integers(0, 256, (3, 96, 96, 3), np.uint8)


def in_bytes(codec: Codec) -> Codec:
    """The same from the same weights."""
    return quantised(codec, [stretch(seed) for seed in range(4)])


def bytes_file(networks: Path) -> Path:
    """Not where a session would look for it: ONNX Runtime can not run it without VNNI."""
    return graph_file(networks, "decode" + INT8).with_stem("decode-as-bytes")
