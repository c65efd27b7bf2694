"""The generator's networks as graphs of plain tensors, to be exported: ``[layers, …]`` stacks
instead of lists, the sampler's update inside a step, bytes for pictures.

A portrait is prepared once, a window told once, stepped a few times, remembered and decoded. The
batch B of a window's graphs are sessions. All positions are
constants of the graphs: what a window leaves behind is turned already for every age it can reach,
so whoever runs the graphs moves tensors and does no arithmetic.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from core import WINDOW_FRAMES
from engines.video.attention import KeysValues
from engines.video.codec import Codec, to_unit
from engines.video.conditions import Conditions
from engines.video.decoder import ReferenceFeatures
from engines.video.dit import OFFSET, DiT
from engines.video.regions import REGIONS, SIDE
from engines.video.rope import positions, rotate
from engines.video.schedule import WINDOW
from engines.video.told import Sink, Told

LEVELS: Final = 4
"Scales of the reference's features, see `ReferenceFeatures`."


class PortraitGraph(nn.Module):
    """A portrait's own regions → all that later graphs need of it."""

    def __init__(self, codec: Codec, dit: DiT) -> None:
        super().__init__()
        self.codec, self.dit = codec, dit
        self.register_buffer("region", torch.arange(len(REGIONS)), persistent=False)
        cos, sin = positions([WINDOW - 1 + OFFSET], dit.config.width // dit.config.heads)
        self.register_buffer("turn_cos", cos, persistent=False)
        self.register_buffer("turn_sin", sin, persistent=False)

    region: Tensor
    turn_cos: Tensor
    turn_sin: Tensor

    def forward(self, pictures: Tensor, points: Tensor) -> tuple[Tensor, ...]:
        """Args:
            pictures: uint8 ``[3, 96, 96, 3]``.
            points: float32 ``[1, 3, 62, 2]``: its keypoints in region coordinates.

        Returns:
            The reference's latents ``[1, 108, C]``, what is beside every token
            ``[1, 108, width]``, keys (turned) and values ``[layers, 1, 108, heads, head]``, and
            the decoder's features at 48, 24, 12 and 6, ``[1, 3, width, side, side]``.
        """
        unit = to_unit(pictures)
        still = self.codec.encoder.still(unit, self.region)
        sink = self.dit.remember(still[None], points)
        features = self.codec.decoder.reference(unit, still, self.region)
        keys = torch.stack([rotate(k, (self.turn_cos, self.turn_sin)) for k, _ in sink.layers])
        values = torch.stack([v for _, v in sink.layers])
        levels = (level[None] for level in features.levels)
        return sink.latents, sink.beside, keys, values, *levels


class TellGraph(nn.Module):
    """A window's conditions → what its steps are told."""

    def __init__(self, dit: DiT) -> None:
        super().__init__()
        self.dit = dit

    def forward(
        self, points: Tensor, felt: Tensor, audio: Tensor, hears: Tensor, words: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Args as the fields of `Conditions`, of one window.

        Returns:
            The pose ``[B, 2, 108, width]``; keys and values of the text
            ``[layers, 2, B, 16, heads / 2, head]`` and of the sound
            ``[layers, 2, B, 2, 16, heads, head]``.
        """
        posed = torch.ones_like(points[:, 0, 0, 0, 0], dtype=torch.bool)
        still = points[:, 0]  # not looked at here
        told = self.dit.tell(Conditions(points, still, felt, audio, hears, words, posed))
        text = torch.stack([torch.stack((k[:, 0], v[:, 0])) for k, v in told.text])
        sound = torch.stack([torch.stack(kv) for kv in told.audio])
        return told.pose, text, sound


class DitGraph(nn.Module):
    """One pass over a window: an Euler step, or the writing of what later windows remember."""

    def __init__(self, dit: DiT) -> None:
        super().__init__()
        self.dit = dit
        head = dit.config.width // dit.config.heads
        ages = range(1, dit.config.context // WINDOW + 1)
        tables = [positions(range(-WINDOW * age, -WINDOW * (age - 1)), head) for age in ages]
        self.register_buffer("turn_cos", torch.stack([cos for cos, _ in tables]), persistent=False)
        self.register_buffer("turn_sin", torch.stack([sin for _, sin in tables]), persistent=False)

    turn_cos: Tensor
    turn_sin: Tensor

    def forward(
        self,
        latents: Tensor,
        sigma: Tensor,
        after: Tensor,
        kind: Tensor,
        pose: Tensor,
        text: Tensor,
        sound: Tensor,
        reference: Tensor,
        beside: Tensor,
        keys: Tensor,
        values: Tensor,
        pull: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Args:
            latents: float32 ``[B, 2, 3, C, 6, 6]`` at noise level ``sigma``.
            sigma: ``[B]``.
            after: ``[B]``: the noise level after the step.
            kind: int64 ``[]``: `dit.NOISY` for a step. `dit.CLEAN`, both levels 0, for a window
                that is done and is to be remembered.
            pose: From `TellGraph`, as ``text`` and ``sound``.
            text: See ``pose``.
            sound: See ``pose``.
            reference: From `PortraitGraph`, as ``beside``: ``[B, 108, …]``.
            beside: See ``reference``.
            keys: ``[layers, B, M, heads, head]``: of the reference, then of earlier windows from
                the oldest on.
            values: As ``keys``.
            pull: ``[B, 2, 3, 6, 6, 2]``, of a student: `guidance.pull_of`, or 1 for no guidance.

        Returns:
            The latents at ``after``; the window's keys as a window sees them that comes 1, 2, …
            windows later, ``[ages, layers, B, 216, heads, head]``; its values
            ``[layers, B, 216, heads, head]``.
        """
        velocity, written = self.dit.step(
            latents, sigma, _told(pose, text, sound), Sink(reference, beside, []),
            _layers(keys, values), kind, pull,
        )  # fmt: skip
        stride = (after - sigma)[:, None, None, None, None, None]
        own = torch.stack([k for k, _ in written])
        turned = [
            rotate(own, (self.turn_cos[age], self.turn_sin[age]))
            for age in range(len(self.turn_cos))
        ]
        later = torch.stack(turned) if turned else own[None, :, :, :0]
        return latents + stride * velocity.float(), later, torch.stack([v for _, v in written])


class DecodeGraph(nn.Module):
    """Latents of a window → pictures of its regions."""

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.codec = codec
        self.register_buffer("region", torch.arange(len(REGIONS)), persistent=False)

    region: Tensor

    def forward(self, latents: Tensor, pictures: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """Args:
            latents: float32 ``[B, 2, 3, C, 6, 6]``.
            pictures: uint8 ``[B, 3, 96, 96, 3]``: the portraits' own.
            states: Four features of `PortraitGraph`, then what the decoder remembers, as it left
                the call before (zeros at first): ``[B, 3, width, side, side]``.

        Returns:
            uint8 ``[B, 8, 3, 96, 96, 3]``, then what the decoder remembers.
        """
        batch = latents.shape[0]
        rows = latents.transpose(1, 2).flatten(0, 1)
        flat = [state.flatten(0, 1) for state in states]
        picture = to_unit(pictures).flatten(0, 1)
        features = ReferenceFeatures(picture, tuple(flat[:LEVELS]), self.region.repeat(batch))
        frames, memory = self.codec.decoder(rows, features, tuple(flat[LEVELS:]))
        shown = frames.float().clamp(-1, 1) * 127.5 + 128.0
        shown = shown.reshape(batch, len(REGIONS), WINDOW_FRAMES, 3, SIDE, SIDE)
        kept = [x.reshape(batch, len(REGIONS), *x.shape[1:]) for x in memory]
        # Bytes are cast and nothing else: TensorRT does not even turn them.
        return shown.permute(0, 2, 1, 4, 5, 3).contiguous().to(torch.uint8), *kept


def _told(pose: Tensor, text: Tensor, sound: Tensor) -> Told:
    return Told(
        pose,
        [(kv[0][:, None], kv[1][:, None]) for kv in text],
        [(kv[0], kv[1]) for kv in sound],
    )


def _layers(keys: Tensor, values: Tensor) -> list[KeysValues]:
    return [(keys[i], values[i]) for i in range(len(keys))]
