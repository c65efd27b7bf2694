"""The audio encoder as a torch module: log-mel → causal convolutions → tokens → heads.

One code path for whole files and for streams: every layer takes what it must remember and
returns it anew. Nothing looks ahead; a *look-ahead* of n tokens means that the heads at token k
speak of token k - n, so there is one set of heads for each look-ahead trained.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import log, pi

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from core import MOUTH_CHANNELS, SAMPLE_RATE
from engines.audio.visemes import VISEMES

FLOOR = 1e-8
"Power that silence counts as."
MEL_RANGE = (50.0, 7_600.0)
"Hz."
HOP = 160
WINDOW = 400
TOKEN_HOPS = 2
HEADS = len(VISEMES) + len(MOUTH_CHANNELS) + 2
"Viseme logits, mouth logits, activity logit, loudness."


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the network."""

    mels: int = 64
    width: int = 256
    expansion: int = 2
    kernel: int = 5
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    lookaheads: tuple[int, ...] = (0, 2, 4)
    "Tokens of 20 ms."

    @property
    def memory(self) -> list[int]:
        """Rows that each block remembers."""
        return [(self.kernel - 1) * d for d in self.dilations]

    def as_dict(self) -> dict[str, object]:
        """For the header of a weights file."""
        return asdict(self)


def mel_filters(mels: int, bins: int) -> npt.NDArray[np.float64]:
    """Triangles over `MEL_RANGE`, even on the mel scale, float64 ``[bins, mels]``.

    Source: O'Shaughnessy, "Speech Communication: Human and Machine", 1987 (the scale).
    """
    low, high = (2595.0 * np.log10(1.0 + f / 700.0) for f in MEL_RANGE)
    edges = 700.0 * (10.0 ** (np.linspace(low, high, mels + 2) / 2595.0) - 1.0)
    hertz = np.linspace(0.0, SAMPLE_RATE / 2, bins)
    rising = (hertz[:, None] - edges[None, :-2]) / np.diff(edges)[None, :-1]
    falling = (edges[None, 2:] - hertz[:, None]) / np.diff(edges)[None, 1:]
    filters: npt.NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    return filters


class LogMel(nn.Module):
    """Sound → log-mel rows every 10 ms, by convolution with a windowed Fourier basis.

    Row h sees the 25 ms that end at sample 160 (h + 1).
    """

    def __init__(self, mels: int, fft: int = 512) -> None:
        super().__init__()
        bins = fft // 2 + 1
        time = np.arange(WINDOW)
        window = 0.5 - 0.5 * np.cos(2 * pi * (time + 0.5) / WINDOW)
        phase = 2 * pi * np.arange(bins)[:, None] * time[None] / fft
        basis = np.concatenate([np.cos(phase), np.sin(phase)]) * window / np.sqrt(WINDOW)
        self.register_buffer("basis", torch.tensor(basis[:, None], dtype=torch.float32), False)
        filters = torch.tensor(mel_filters(mels, bins) / FLOOR, dtype=torch.float32)
        self.register_buffer("filters", filters, False)
        self.bins = bins

    basis: Tensor
    filters: Tensor

    def forward(self, samples: Tensor) -> Tensor:
        """float32 ``[B, 240 + 160 H]``, the first 240 remembered → ``[B, H, mels]``, about ±2."""
        spectrum = nn.functional.conv1d(samples.unsqueeze(1), self.basis, stride=HOP)
        real, imaginary = spectrum[:, : self.bins], spectrum[:, self.bins :]
        power = (real * real + imaginary * imaginary).transpose(1, 2)
        # In units of the floor: graph optimisers take an addend of 1e-8 for nothing.
        return (torch.log(power @ self.filters + 1.0) + (log(FLOOR) + 10.0)) * 0.25


class Block(nn.Module):
    """A causal dilated depthwise convolution and a feed-forward, each with a residual.

    Source: the ConvNeXt block (Liu et al., 2022, arXiv 2201.03545), made causal over time.
    """

    def __init__(self, shape: Shape, dilation: int) -> None:
        super().__init__()
        width = shape.width
        self.memory = (shape.kernel - 1) * dilation
        self.dilation = dilation
        self.taps = nn.Parameter(torch.randn(shape.kernel, width) / shape.kernel**0.5)
        self.bias = nn.Parameter(torch.zeros(width))
        self.norm = nn.LayerNorm(width)
        self.rise = nn.Linear(width, shape.expansion * width)
        self.fall = nn.Linear(shape.expansion * width, width)
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, T, width]`` and ``[B, memory, width]`` → the same two, one block later."""
        held = torch.cat((memory, x), dim=1)
        length = x.shape[1]
        # Spelt out: a depthwise Conv1d is several times slower on CPUs, and transposes.
        mixed = self.bias + sum(
            tap * held[:, k * self.dilation : k * self.dilation + length]
            for k, tap in enumerate(self.taps)
        )
        risen = nn.functional.gelu(self.rise(self.norm(mixed)), approximate="tanh")
        return x + self.scale * self.fall(risen), held[:, held.shape[1] - self.memory :]


class AudioNetwork(nn.Module):
    """Log-mel rows → tokens and heads."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.enter = nn.Linear(TOKEN_HOPS * shape.mels, shape.width)
        self.blocks = nn.ModuleList(Block(shape, d) for d in shape.dilations)
        self.norm = nn.LayerNorm(shape.width)
        self.heads = nn.Linear(shape.width, len(shape.lookaheads) * HEADS)

    def memories(self, batch: int = 1) -> list[Tensor]:
        """What the blocks remember at the start: nothing."""
        width = self.shape.width
        return [torch.zeros(batch, rows, width) for rows in self.shape.memory]

    def forward(
        self, mels: Tensor, memories: list[Tensor] | None = None
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Mels ``[B, 2 T, mels]`` → tokens ``[B, T, width]``, heads ``[B, T, L, 26]``, memory."""
        batch, hops, bands = mels.shape
        x = self.enter(mels.reshape(batch, hops // TOKEN_HOPS, TOKEN_HOPS * bands))
        before = self.memories(batch) if memories is None else memories
        after: list[Tensor] = []
        for block, memory in zip(self.blocks, before, strict=True):
            x, held = block(x, memory.to(x))
            after.append(held)
        tokens = self.norm(x)
        heads = self.heads(tokens).reshape(batch, -1, len(self.shape.lookaheads), HEADS)
        return tokens, heads, after


class Streaming(nn.Module):
    """What is exported: sound and memory in, everything heard and memory out."""

    def __init__(self, network: AudioNetwork) -> None:
        super().__init__()
        self.mel = LogMel(network.shape.mels)
        self.network = network

    def forward(self, samples: Tensor, tail: Tensor, memory: Tensor) -> tuple[Tensor, ...]:
        """``[1, 320 T]`` and what was returned last → tokens ``[1, T, width]``, visemes
        ``[1, T, L, 15]``, mouth ``[1, T, L, 9]``, activity and loudness ``[1, T, L]``, tail and
        memory; the blocks' memories lie one after the other in ``[1, M, width]``."""
        held = torch.cat((tail, samples), dim=1)
        parts = torch.split(memory, self.network.shape.memory, dim=1)
        tokens, heads, after = self.network(self.mel(held), list(parts))
        v, m = len(VISEMES), len(MOUTH_CHANNELS)
        visemes = torch.softmax(heads[..., :v], -1)
        mouth = torch.sigmoid(heads[..., v : v + m])
        activity = torch.sigmoid(heads[..., v + m])
        loudness = 20.0 * heads[..., v + m + 1]
        tail = held[:, held.shape[1] - (WINDOW - HOP) :]
        return tokens, visemes, mouth, activity, loudness, tail, torch.cat(after, dim=1)
