"""The decoder's convolutions in int8, for processors that multiply bytes faster than halves.

Weights have a scale for each output channel, inputs one for all: found on real latents, as what
errs least over a sample of what came in. Everything between the convolutions stays as it is. Those
of flows and colours may be bytes, too: on held-out people the whole differs from float32 by 56 dB,
as bfloat16 does, and is as near to the truth (26.82 to 26.83 dB where something moves).

The transformer needs none of this: its matrices are made bytes when they are loaded, what comes
into them when it comes (`engines.backends.openvino_cpu`).

Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", arXiv 1712.05877 (the scheme).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from copy import deepcopy
from typing import Any, Final, TypeAlias

import numpy as np
import torch
import torch.ao.quantization.fx._decomposed  # has the operators below
from torch import Tensor, nn
from torch.nn.utils import parametrize

from core import LATENT_FRAMES, U8
from engines.video.blocks import Apart, Halves
from engines.video.codec import Codec
from engines.video.coding import decode
from engines.video.data.shards import Shards
from engines.video.decoder import Decoder
from engines.video.latents import Latents

KEPT: Final = ("bent",)
"Convolutions of the decoder that stay as they are: too thin to be worth it."
STRETCHES: Final = 32
"Of latents, over which scales are found."
LENGTH: Final = 6
"Latent frames of each."
SAMPLE: Final = 4096
"Numbers that are kept of each input of each convolution."
SHARES: Final = np.linspace(0.3, 1.0, 29)
"Of the largest number seen, at which the range may end (free)."
LEVELS: Final = 127


class IncomingBytes(nn.Module):
    """What comes into a convolution as bytes would have it, one scale for all."""

    def __init__(self, scale: float, *, signed: bool) -> None:
        super().__init__()
        low, high = (-LEVELS - 1, LEVELS) if signed else (0, 2 * LEVELS + 1)
        self._how = (scale, 0, low, high, torch.int8 if signed else torch.uint8)

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        # `torch.fake_quantize_per_tensor_affine` can not be exported where the batch is free.
        steps = torch.ops.quantized_decomposed.quantize_per_tensor(x, *self._how)
        out: Tensor = torch.ops.quantized_decomposed.dequantize_per_tensor(steps, *self._how)
        return out


class WeightBytes(nn.Module):
    """Weights as bytes would have them, ``[out, …]``, a scale for each output channel."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        most = weight.detach().abs().flatten(1).amax(1).clamp(min=1e-8)
        self.register_buffer("scale", most / LEVELS, persistent=False)
        zero = torch.zeros(len(weight), dtype=torch.int32)
        self.register_buffer("zero", zero, persistent=False)

    scale: Tensor
    zero: Tensor

    def forward(self, weight: Tensor) -> Tensor:
        """The same shape."""
        return torch.fake_quantize_per_channel_affine(
            weight, self.scale, self.zero, 0, -LEVELS - 1, LEVELS
        )


Stretch: TypeAlias = tuple[Tensor, U8]
"Latents ``[1, L, 3, C, 6, 6]`` and the pictures of their reference, uint8 ``[3, 96, 96, 3]``."


def stretches(latents: Latents, clips: Shards) -> Iterator[Stretch]:
    """Some of what was learnt from, to find scales on."""
    rng = np.random.default_rng(0)
    long = np.flatnonzero(latents.counts >= LENGTH)
    for which in rng.choice(long, min(STRETCHES, len(long)), replace=False):
        clip = clips.clip(latents.entries[which].clip, 0, LATENT_FRAMES)
        yield latents.stretch(int(which), 0, LENGTH).latents, clip.reference


def quantised(codec: Codec, seen: Iterable[Stretch]) -> Codec:
    """A copy of a codec that decodes as int8 does.

    Args:
        codec: In evaluation mode.
        seen: What scales are found on; not of people that it is measured on.
    """
    copy = deepcopy(codec)
    take_apart(copy.decoder)
    wanted = dict(_convolutions(copy.decoder))
    for name, (scale, signed) in _scales(copy, wanted, seen).items():
        layer = wanted[name]
        layer.add_module("incoming", IncomingBytes(scale, signed=signed))
        layer.register_forward_pre_hook(lambda module, inputs: module.incoming(inputs[0]))
        parts = (layer.now, layer.past) if isinstance(layer, Apart) else (layer,)
        for part in parts:
            assert isinstance(part, nn.Conv2d)
            parametrize.register_parametrization(part, "weight", WeightBytes(part.weight))
    return copy


def take_apart(decoder: Decoder) -> None:
    """Every `Halves` becomes an `Apart`: the same numbers."""
    for memory in decoder.memories:
        if isinstance(memory.first, Halves):
            memory.first = Apart(memory.first)


def _convolutions(decoder: Decoder) -> Iterator[tuple[str, nn.Module]]:
    """What becomes int8, by name; an `Apart` counts as one."""
    for name, module in decoder.named_modules():
        root = name.split(".")[0]
        if root in KEPT or root in ("pyramid", "offers", "compare"):
            continue
        inside = name.endswith((".now", ".past"))
        if isinstance(module, Apart) or (isinstance(module, nn.Conv2d) and not inside):
            yield name, module


def _scales(
    codec: Codec, wanted: dict[str, nn.Module], seen: Iterable[Stretch]
) -> dict[str, tuple[float, bool]]:
    """Of each input: its scale, and whether it has a sign."""
    rng = np.random.default_rng(0)
    came: dict[str, list[Tensor]] = {name: [] for name in wanted}

    def look(name: str) -> Callable[..., None]:
        def hook(_: nn.Module, inputs: tuple[Tensor]) -> None:
            flat = inputs[0].flatten()
            at = torch.from_numpy(rng.integers(len(flat), size=min(SAMPLE, len(flat))))
            came[name] += [flat[at], flat.max()[None], flat.min()[None]]

        return hook

    with ExitStack() as stack:
        for name, layer in wanted.items():
            stack.callback(layer.register_forward_pre_hook(look(name)).remove)
        for latents, reference in seen:
            decode(codec, latents, reference[None])
    return {name: _least_error(torch.cat(values).numpy()) for name, values in came.items()}


def _least_error(values: np.ndarray[Any, Any]) -> tuple[float, bool]:
    signed = bool(values.min() < 0)
    levels, low = (LEVELS, -LEVELS - 1) if signed else (2 * LEVELS + 1, 0)
    most = max(float(np.abs(values).max()), 1e-8)
    steps = most * SHARES / levels
    errors = [
        np.square(np.clip(np.rint(values / step), low, levels) * step - values).mean()
        for step in steps
    ]
    return float(steps[int(np.argmin(errors))]), signed
