"""What the transformer's layers are told beside the latents: conditions and the reference."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from engines.video.attention import KeysValues
from engines.video.schedule import WINDOW


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """Conditions made ready for the layers: the same at every step of a window."""

    pose: Tensor
    "``[B, L, 108, width]``: what is added to the tokens."
    text: list[KeysValues]
    "By layer, ``[B, W or 1, 16, heads / 2, head]``."
    audio: list[KeysValues]
    "By layer, ``[B, L, 16, heads, head]``: what each latent frame hears."

    def after(self, other: Told) -> Told:
        """``other``'s windows, then these: one batch of windows with two kinds of conditions."""

        def wide(told: Told, kv: KeysValues) -> KeysValues:
            windows = told.pose.shape[1] // WINDOW
            return kv[0].expand(-1, windows, -1, -1, -1), kv[1].expand(-1, windows, -1, -1, -1)

        text = [
            _join(wide(other, a), wide(self, b)) for a, b in zip(other.text, self.text, strict=True)
        ]
        audio = [_join(a, b) for a, b in zip(other.audio, self.audio, strict=True)]
        return Told(torch.cat((other.pose, self.pose), 1), text, audio)


@dataclass(frozen=True, slots=True, eq=False)
class Sink:
    """The reference as the layers see it: made once a portrait."""

    latents: Tensor
    "``[B, 108, C]``: its latents."
    beside: Tensor
    """``[B, 108, width]``: its latents and keypoints at their own places, added to every frame's
    tokens."""
    layers: list[KeysValues]
    "Keys without positions, and values, ``[B, 108, heads, head]``."


def _join(a: KeysValues, b: KeysValues) -> KeysValues:
    return torch.cat((a[0], b[0]), 1), torch.cat((a[1], b[1]), 1)
