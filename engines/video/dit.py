"""The video diffusion transformer of the three regions: velocity of noisy latents, told conditions.

A window is two latent frames of 108 tokens. It sees the reference (clean tokens with a time after
the window: the pseudo last frame), the clean windows just before, and itself. The reference sees
itself alone and is told nothing, so its keys are made once a portrait; clean windows never look
ahead, so theirs are made once, when the window is done.

In the reference's own pose most of the picture stays as it is. So the network works on how latents
differ from the reference's (`tokens.relative`): at first it paints the portrait standing still.

In training all windows of a clip go through at once: each is there noisy and, but for the last,
clean, and a noisy window sees the clean ones before it (teacher forcing), each with its own noise
level. `DiT.forward` is that pass, `DiT.step` one window of a stream; the numbers are the same.

Sources: Peebles and Xie 2023, arXiv 2212.09748 (DiT); Chen et al. 2024, "Diffusion Forcing",
arXiv 2407.01392; CogPortrait section 3.4 (order of the block, adapter).
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from core import LATENT_FRAMES
from engines.video.adapter import PoseAdapter, TextEncoder
from engines.video.attention import Block, KeysValues, attend
from engines.video.clip import TOKEN_WIDTH
from engines.video.conditions import Conditions
from engines.video.dit_config import NEAR, DitConfig
from engines.video.forcing import groups_of_windows
from engines.video.guidance import FRAME
from engines.video.rope import positions, rotate
from engines.video.schedule import WINDOW
from engines.video.text import LENGTH
from engines.video.tokens import as_latents, by_window, flat, near, relative
from engines.video.told import Sink, Told

NOISY, CLEAN, REFERENCE = range(3)
OFFSET: Final = 8
"Latent frames from the end of a window to its reference; 4 to 30 in training (free)."
PULL: Final = 2.0
"How far Ω usually is from 1: maps go in as multiples of it."
_WAVES: Final = 128


class DiT(nn.Module):
    """See the module."""

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.enter = nn.Linear(config.channels, width)
        self.beside = nn.Linear(config.channels, width, bias=False)
        self.beside_pose = nn.Linear(width, width, bias=False)
        self.place = nn.Parameter(torch.randn(FRAME, width) * 0.1)
        self.kind = nn.Parameter(torch.randn(3, width) * 0.1)
        self.time = nn.Sequential(nn.Linear(_WAVES, width), nn.SiLU(), nn.Linear(width, width))
        self.modulation = nn.Linear(width, 6 * width)
        self.pose = PoseAdapter(width)
        self.words = TextEncoder(config.text)
        self.blocks = nn.ModuleList(
            Block(width, config.heads, config.feed, (config.text, LENGTH), (TOKEN_WIDTH, NEAR))
            for _ in range(config.blocks)
        )
        self.final = nn.Linear(width, 2 * width)
        self.leave = nn.Linear(width, config.channels)
        self.silence = nn.Parameter(torch.zeros(TOKEN_WIDTH))
        self.register_buffer("spread", torch.ones(FRAME, config.channels))
        for last in (self.modulation, self.final, self.leave):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        nn.init.zeros_(self.beside_pose.weight)
        if config.maps:
            self.pull = nn.Linear(config.maps, width, bias=False)
            nn.init.zeros_(self.pull.weight)

    spread: Tensor
    "How far latents are from the reference's, root mean square: set before training."

    def forward(
        self,
        noisy: Tensor,
        sigma: Tensor,
        reference: Tensor,
        conditions: Conditions,
        *,
        clean: Tensor | None = None,
        clean_conditions: Conditions | None = None,
        offset: int = OFFSET,
        pull: Tensor | None = None,
    ) -> Tensor:
        """Velocity of all windows of some clips at once.

        Args:
            noisy: float32 ``[B, L, 3, C, 6, 6]``, L even.
            sigma: ``[B]`` or ``[B, L / 2]``: noise level of each window.
            reference: ``[B, 3, C, 6, 6]``: latents of the reference.
            conditions: Of the L latent frames.
            clean: Like ``noisy``, without noise: the context. Needed when there are two windows.
            clean_conditions: What the context was told; None is ``conditions``.
            offset: Latent frames from the end of a window to its reference.
            pull: ``[B, L, 3, 6, 6, 2]``, of a student: `guidance.pull_of`. None is no guidance.

        Returns:
            The shape of ``noisy``.
        """
        windows = noisy.shape[1] // WINDOW
        sigma = sigma[:, None].expand(-1, windows) if sigma.ndim == 1 else sigma
        sink = self.remember(reference, conditions.reference_points)
        told = self.tell(conditions)
        y, base, gain = relative(noisy, sink.latents, sigma, self.spread)
        x = self._tokens(y, sink.beside, NOISY) + self._pulled(pull)
        past = windows - 1
        if past:
            if clean is None:
                raise ValueError("clean latents are needed for more than one window")
            known = (clean_conditions or conditions).stretch(0, WINDOW * past)
            told = told.after(self.tell(known))
            still = torch.zeros_like(sigma[:, :past])
            y = relative(clean[:, : WINDOW * past], sink.latents, still, self.spread)[0]
            x = torch.cat((self._tokens(y, sink.beside, CLEAN), x), 1)
            sigma = torch.cat((still, sigma), 1)
        out = self._windows(x + by_window(told.pose), sigma, told, sink, windows, offset)
        return as_latents(base + gain * out[:, past:])

    def tell(self, conditions: Conditions) -> Told:
        """Everything of the conditions that no noise level changes."""
        heard = F.layer_norm(conditions.audio, conditions.audio.shape[-1:])
        heard = torch.where(conditions.hears[..., None], heard, self.silence)
        words = self.words(conditions.words)[:, None]
        pose = self.pose(conditions.points, conditions.felt, conditions.posed)
        text, audio = [], []
        for block in self._blocks():
            text.append(block.text.keys_values(words))
            k, v = block.audio.keys_values(heard)
            audio.append((near(k), near(v)))
        return Told(pose, text, audio)

    def remember(self, reference: Tensor, points: Tensor) -> Sink:
        """Keys and values of the reference.

        Args:
            reference: ``[B, 3, C, 6, 6]``.
            points: ``[B, 3, 62, 2]``: its keypoints; they go in as those of a frame do.
        """
        still = points[:, None].expand(-1, LATENT_FRAMES, -1, -1, -1)
        felt = still.new_zeros(*still.shape[:2], 9)
        posed = torch.ones(len(points), dtype=torch.bool, device=points.device)
        latents = flat(reference[:, None])
        pose = self.pose(still, felt, posed)
        beside = (self.beside(latents) + self.beside_pose(pose))[:, 0]
        x = self.place + self.kind[REFERENCE] + beside[:, None] + pose
        shared, _ = self._times(x.new_zeros(len(x), 1))
        tables = self._tables([0], x.device)  # itself alone: only differences count
        layers: list[KeysValues] = []
        for block in self._blocks():
            m = block.modulations(shared)
            q, k, v = block.project(x, m)
            layers.append((k[:, 0], v[:, 0]))
            if len(layers) < len(self.blocks):  # nothing sees what the last layer makes of it
                seen = attend(rotate(q, tables), rotate(k, tables), v)
                x = block.finish(x, seen, m, None)
        return Sink(latents[:, 0], beside, layers)

    def step(
        self,
        latents: Tensor,
        sigma: Tensor,
        told: Told,
        sink: Sink,
        memory: list[KeysValues],
        kind: int | Tensor = NOISY,
        pull: Tensor | None = None,
    ) -> tuple[Tensor, list[KeysValues]]:
        """One pass over one window.

        Args:
            latents: ``[B, 2, 3, C, 6, 6]``.
            sigma: ``[B]``.
            told: Its conditions.
            sink: The reference; its layers are not used here, but those in ``memory``.
            memory: By layer, keys with positions and values of all that the window sees beside
                itself, ``[B, M, heads, head]``. See `windows.Stream`.
            kind: `NOISY`, or `CLEAN` to write what later windows remember.
            pull: As in `forward`, ``[B, 2, 3, 6, 6, 2]``.

        Returns:
            The velocity, and by layer the window's keys (without positions) and values,
            ``[B, 216, heads, head]``.
        """
        y, base, gain = relative(latents, sink.latents, sigma[:, None], self.spread)
        x = self._tokens(y, sink.beside, kind) + self._pulled(pull) + by_window(told.pose)
        shared, last = self._times(sigma[:, None])
        tables = self._tables(range(WINDOW), x.device)
        written: list[KeysValues] = []
        for i, block in enumerate(self._blocks()):
            m = block.modulations(shared)
            q, k, v = block.project(x, m)
            written.append((k[:, 0], v[:, 0]))
            keys = torch.cat((memory[i][0][:, None], rotate(k, tables)), 2)
            seen = attend(rotate(q, tables), keys, torch.cat((memory[i][1][:, None], v), 2))
            x = block.finish(x, seen, m, (told.text[i], told.audio[i]))
        return as_latents(base + gain * self._leave(x, last)), written

    def _windows(
        self, x: Tensor, sigma: Tensor, told: Told, sink: Sink, windows: int, offset: int
    ) -> Tensor:
        """Tokens ``[B, V, 216, width]`` of clean, then noisy windows through all layers.

        ``windows`` are noisy, all but the last of them clean. Times are counted from each window's
        own start, as in `step`.
        """
        past, here = windows - 1, x.device
        groups = groups_of_windows(windows, self.config.context // WINDOW, here)
        order = torch.cat([group.which for group in groups]).argsort()
        own, after = self._tables(range(WINDOW), here), self._tables([WINDOW - 1 + offset], here)
        ago = [self._tables(range(-t, WINDOW - t), here)
               for t in range(WINDOW, WINDOW * len(groups[-1].remembered) + 1, WINDOW)]  # fmt: skip
        shared, last = self._times(sigma)
        for i, block in enumerate(self._blocks()):
            m = block.modulations(shared)
            q, k, v = block.project(x, m)
            sunk = rotate(sink.layers[i][0], after)[:, None], sink.layers[i][1][:, None]
            earlier = [rotate(k[:, :past], tables) for tables in ago]
            q, k = rotate(q, own), rotate(k, own)
            seen = []
            for group in groups:
                count = len(group.which)
                keys = [sunk[0].expand(-1, count, -1, -1, -1)]
                values = [sunk[1].expand(-1, count, -1, -1, -1)]
                for n, which in enumerate(group.remembered):
                    keys.append(earlier[n].index_select(1, which))
                    values.append(v.index_select(1, which))
                keys.append(k.index_select(1, group.which))
                values.append(v.index_select(1, group.which))
                asked = q.index_select(1, group.which)
                seen.append(attend(asked, torch.cat(keys, 2), torch.cat(values, 2)))
            x = block.finish(
                x, torch.cat(seen, 1).index_select(1, order), m, (told.text[i], told.audio[i])
            )
        return self._leave(x, last)

    def _tokens(self, y: Tensor, beside: Tensor, kind: int | Tensor) -> Tensor:
        """`tokens.relative`'s ``[B, W, 216, C]`` → tokens ``[B, W, 216, width]``."""
        twice = beside.repeat(1, WINDOW, 1)[:, None]
        return self.enter(y) + twice + (self.place + self.kind[kind]).repeat(WINDOW, 1)  # type: ignore[no-any-return]

    def _pulled(self, pull: Tensor | None) -> Tensor | float:
        """What guidance adds to the tokens: nothing where Ω is 1, as in windows that are done."""
        if pull is None or not self.config.maps:
            return 0.0
        out: Tensor = self.pull((by_window(pull.flatten(2, 4)) - 1) / PULL)
        return out

    def _times(self, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """``[B, W]`` → the modulations shared by all layers, ``[B, W, 6, width]``, and the last."""
        half = _WAVES // 2
        rates = torch.exp(torch.arange(half, device=sigma.device) * (-math.log(1e4) / half))
        angles = sigma.float()[..., None] * (1000.0 * rates)
        time = F.silu(self.time(torch.cat((angles.cos(), angles.sin()), -1)))
        return self.modulation(time).unflatten(-1, (6, -1)), self.final(time)

    def _leave(self, x: Tensor, last: Tensor) -> Tensor:
        scale, shift = last.unsqueeze(2).chunk(2, -1)
        out: Tensor = self.leave(F.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift)
        return out

    def _tables(self, times: range | list[int], device: torch.device) -> tuple[Tensor, Tensor]:
        return positions(times, self.config.width // self.config.heads, device)

    def _blocks(self) -> list[Block]:
        return [block for block in self.blocks if isinstance(block, Block)]
