"""A stream of windows: what is remembered of those made, and of the reference.

Memory is bounded: the reference's keys (the sink) and those of the last few clean windows. Keys
are kept without positions and get them once a window, counted from that window, so nothing grows.
A window is written at noise level 0, told all its conditions and unguided, so that turning guidance
up or down leaves the past valid.
"""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from engines.video.attention import KeysValues
from engines.video.conditions import Conditions
from engines.video.dit import CLEAN, OFFSET, DiT
from engines.video.rope import positions, rotate
from engines.video.schedule import WINDOW
from engines.video.told import Told


class Stream:
    """Some portraits, window by window. One stream, one thread."""

    def __init__(
        self, dit: DiT, reference: Tensor, reference_points: Tensor, offset: int = OFFSET
    ) -> None:
        """Args:
        dit: The network; shared, not changed.
        reference: ``[B, 3, C, 6, 6]``: latents of the references.
        reference_points: ``[B, 3, 62, 2]``.
        offset: Latent frames from the end of a window to its reference.
        """
        self.dit = dit
        self.sink = dit.remember(reference, reference_points)
        self.made = 0
        "Windows so far."
        head = dit.config.width // dit.config.heads
        after = positions([WINDOW - 1 + offset], head, reference.device)
        self._sink = [(rotate(k, after), v) for k, v in self.sink.layers]
        self._windows: deque[list[KeysValues]] = deque(maxlen=dit.config.context // WINDOW)
        self._head = head

    def memory(self) -> list[KeysValues]:
        """By layer, all that the next window sees beside itself, ready for `DiT.step`."""
        count = len(self._windows)
        if not count:
            return self._sink
        tables = positions(range(-WINDOW * count, 0), self._head, self.sink.beside.device)
        layers = []
        for i, (k, v) in enumerate(self._sink):
            past = rotate(torch.cat([window[i][0] for window in self._windows], 1), tables)
            values = [window[i][1] for window in self._windows]
            layers.append((torch.cat((k, past), 1), torch.cat((v, *values), 1)))
        return layers

    def write(self, latents: Tensor, told: Told, memory: list[KeysValues] | None = None) -> None:
        """Remember a window that is done.

        Args:
            latents: ``[B, 2, 3, C, 6, 6]``: its clean latents.
            told: Its conditions, none dropped.
            memory: What it saw, where it is at hand.
        """
        sigma = latents.new_zeros(len(latents))
        seen = self.memory() if memory is None else memory
        _, written = self.dit.step(latents, sigma, told, self.sink, seen, CLEAN)
        self._windows.append(written)
        self.made += 1

    def forget(self) -> None:
        """Drop the past but for the last window: after an interruption, or a sudden change.

        Source: the "KV flush" of ∞-RoPE, arXiv 2511.20649.
        """
        while len(self._windows) > 1:
            self._windows.popleft()

    def tell(self, conditions: Conditions) -> Told:
        """A window's conditions made ready."""
        if conditions.latents != WINDOW:
            raise ValueError(f"expected {WINDOW} latent frames, got {conditions.latents}")
        return self.dit.tell(conditions)
