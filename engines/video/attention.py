"""Attention and the transformer block, in the paper's order: self, text, audio, feed-forward.

Tokens are kept by window, ``[B, W, N, width]``: the windows of a clip side by side in training, one
at a time in a stream. All keys a window sees are handed in, so both run the same code.
"""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.video.guidance import CELLS, FRAME

KeysValues: TypeAlias = tuple[Tensor, Tensor]


class QKNorm(nn.Module):
    """Root mean square of each head becomes 1, then a learned scale.

    Keeps attention logits bounded, in half precision too.
    Source: Henry et al. 2020, "Query-Key Normalization", arXiv 2010.04245.
    """

    def __init__(self, head: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(head))

    def forward(self, x: Tensor) -> Tensor:
        """``[..., head]`` → the same shape and type."""
        return F.rms_norm(x.float(), self.scale.shape, self.scale.float(), 1e-6).to(x.dtype)


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention.

    Args:
        q: ``[..., N, heads, head]``.
        k: ``[..., M, heads, head]``.
        v: As ``k``.

    Returns:
        ``[..., N, heads * head]``.
    """
    before = q.shape[:-3]
    q, k, v = (t.to(v.dtype).flatten(0, -4).transpose(1, 2) for t in (q, k, v))
    if v.dtype == torch.bfloat16 and v.device.type == "cpu":
        out = _spelt_out(q, k, v)
    else:
        out = F.scaled_dot_product_attention(q, k, v)
    return torch.unflatten(out.transpose(1, 2).flatten(2), 0, before)


def _spelt_out(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attention by matrix products, ``[N, heads, n, head]``.

    In bfloat16 on CPUs torch's own kernel uses no matrix instructions: two to six times slower in
    training (measured on two Zen 5 cores, torch 2.13).
    """
    with torch.autocast("cpu", enabled=False):
        scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
        out: Tensor = scores.softmax(-1) @ v
    return out


class CrossAttention(nn.Module):
    """Queries from tokens, keys and values from a condition; adds nothing at first."""

    def __init__(self, width: int, source: int, heads: int, head: int, slots: int) -> None:
        super().__init__()
        inner = heads * head
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, inner)
        self.kv = nn.Linear(source, 2 * inner)
        self.q_norm, self.k_norm = QKNorm(head), QKNorm(head)
        # Where in the stretch a key lies; values carry no place, heads choose one by its key.
        self.slots = nn.Parameter(torch.randn(slots, heads, head) * 0.5)
        self.out = nn.Linear(inner, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def keys_values(self, source: Tensor) -> KeysValues:
        """``[..., source]`` → keys without their slots and values, ``[..., heads, head]``."""
        k, v = self.kv(source).unflatten(-1, (2, self.heads, -1)).unbind(-3)
        return self.k_norm(k), v

    def forward(self, x: Tensor, kv: KeysValues) -> Tensor:
        """``[..., N, width]`` and ``[..., slots, heads, head]`` → what to add to x."""
        k, v = kv
        q = self.q_norm(self.query(self.norm(x)).unflatten(-1, (self.heads, -1)))
        out: Tensor = self.out(attend(q, k + self.slots.to(k.dtype), v))
        return out


class Block(nn.Module):
    """One layer. All layers share six modulations by time, each with a bias (adaLN-single).

    Source: Chen et al. 2023, "PixArt-α", arXiv 2310.00426, section 2.3 (adaLN-single).
    """

    def __init__(
        self, width: int, heads: int, feed: int, text: tuple[int, int], audio: tuple[int, int]
    ) -> None:
        """Args:
        width: Of the tokens.
        heads: Of self- and audio attention; text has half as many.
        feed: Width inside the feed-forward.
        text: Width and number of the text tokens.
        audio: Width and number of the audio tokens that a latent frame hears.
        """
        super().__init__()
        head = width // heads
        self.heads = heads
        self.modulation = nn.Parameter(torch.zeros(6, width))
        self.qkv = nn.Linear(width, 3 * width)
        self.q_norm, self.k_norm = QKNorm(head), QKNorm(head)
        self.out = nn.Linear(width, width)
        self.text = CrossAttention(width, text[0], max(heads // 2, 1), head, text[1])
        self.audio = CrossAttention(width, audio[0], heads, head, audio[1])
        self.rise, self.fall = nn.Linear(width, feed), nn.Linear(feed, width)

    def modulations(self, shared: Tensor) -> Tensor:
        """``[B, W, 6, width]`` of all layers → this layer's, ``[6, B, W, 1, width]``."""
        return (shared + self.modulation).movedim(2, 0).unsqueeze(3)

    def project(self, x: Tensor, m: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys (both without positions) and values, ``[B, W, N, heads, head]``."""
        h = F.layer_norm(x, x.shape[-1:]) * (1 + m[1]) + m[0]
        q, k, v = self.qkv(h).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        return self.q_norm(q), self.k_norm(k), v

    def finish(
        self, x: Tensor, attended: Tensor, m: Tensor, told: tuple[KeysValues, KeysValues] | None
    ) -> Tensor:
        """The rest of the layer after attention.

        Args:
            x: ``[B, W, N, width]``.
            attended: The same shape: what the tokens saw of each other.
            m: `modulations`.
            told: Text ``[B, W or 1, 16, heads / 2, head]`` and audio ``[B, L, 16, heads, head]``
                of every latent frame; None for the reference, which is told nothing.
        """
        x = x + m[2] * self.out(attended)
        if told is not None:
            text, (k, v) = told
            windows = x.shape[1]
            x = x + self.text(x, (text[0].expand(-1, windows, -1, -1, -1),
                                  text[1].expand(-1, windows, -1, -1, -1)))  # fmt: skip
            # What the eyes do with speech is in their keypoints: the mouth alone listens.
            frames = torch.unflatten(x, 2, (-1, FRAME))
            eyes, mouth = frames[:, :, :, : -CELLS * CELLS], frames[:, :, :, -CELLS * CELLS :]
            heard = self.audio(mouth.flatten(1, 2), (k, v)).reshape(mouth.shape)
            x = torch.cat((eyes, mouth + heard), 3).flatten(2, 3)
        h = F.layer_norm(x, x.shape[-1:]) * (1 + m[4]) + m[3]
        out: Tensor = x + m[5] * self.fall(F.gelu(self.rise(h), approximate="tanh"))
        return out
