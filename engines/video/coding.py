"""Clips through the codec: pictures to latents and back."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core import LATENT_FRAMES, U8
from engines.video.clip import Clip
from engines.video.codec import Codec, to_bytes, to_unit
from engines.video.regions import REGIONS

F16 = npt.NDArray[np.float16]
AT_ONCE: Final = {"cpu": 4, "cuda": 64}
"Latent frames that go through the codec together: a CPU wants them to stay in its caches."


@torch.inference_mode()
def encode_clip(codec: Codec, clip: Clip) -> tuple[F16, F16]:
    """A clip's latents ``[L, 3, C, 6, 6]`` and its reference's ``[3, C, 6, 6]``, float16.

    The reference is encoded as four frames that do not move.
    """
    frames = clip.frames.reshape(-1, LATENT_FRAMES, *clip.frames.shape[1:])
    still = np.repeat(clip.reference[None, None], LATENT_FRAMES, axis=1)
    groups = np.concatenate([still, frames])
    step = AT_ONCE.get(next(codec.parameters()).device.type, 4)
    parts = [encode(codec, groups[at : at + step]) for at in range(0, len(groups), step)]
    latents = torch.cat(parts).to("cpu", torch.float16).numpy()
    return latents[1:], latents[0]


def encode(codec: Codec, groups: U8) -> Tensor:
    """Four frames each, uint8 ``[N, 4, 3, 96, 96, 3]`` → float32 ``[N, 3, C, 6, 6]``."""
    device = next(codec.parameters()).device
    pictures = to_unit(torch.from_numpy(np.ascontiguousarray(groups)).to(device))
    count = len(REGIONS)
    region = torch.arange(count, device=device).repeat(len(groups))
    latents = codec.encode(pictures.transpose(1, 2).flatten(0, 1), region)
    return latents.reshape(len(groups), count, *latents.shape[2:])


@torch.inference_mode()
def decode(codec: Codec, latents: Tensor, references: U8) -> U8:
    """Latents to pictures, clip by clip.

    Args:
        codec: In evaluation mode.
        latents: ``[B, L, 3, C, 6, 6]``.
        references: uint8 ``[B, 3, 96, 96, 3]``.

    Returns:
        uint8 ``[B, 4 L, 3, 96, 96, 3]``.
    """
    device = next(codec.parameters()).device
    region = torch.arange(len(REGIONS), device=device)
    made = []
    for clip, reference in zip(latents, references, strict=True):
        known = to_unit(torch.from_numpy(reference).to(device))
        frames = codec.decode(clip.to(device).transpose(0, 1), known, region)
        made.append(to_bytes(frames).swapaxes(0, 1))
    return np.stack(made)


def codec_id(codec: Codec) -> str:
    """Tells encoders, and so latents, apart; a decoder may be trained on beside the latents.

    The same for all precisions down to float16 that one is kept in.
    """
    digest = hashlib.sha256()
    for name, value in sorted(codec.encoder.state_dict().items()):
        digest.update(name.encode() + value.detach().half().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
