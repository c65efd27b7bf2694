"""``python -m engines.video dit``: train the transformer on latents."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from core import InvalidInput
from engines.video.codec import Codec, load_codec
from engines.video.data.shards import Shards, open_shards
from engines.video.dit import DiT
from engines.video.dit_config import PRESETS, DitConfig, preset
from engines.video.dit_file import save_dit
from engines.video.flow import FLOW, FlowConfig, mix, training_loss
from engines.video.guidance import UNGUIDED
from engines.video.held_out import HeldOut, held_truth
from engines.video.latents import LatentBatch, Latents, open_latents, require_latents_of
from engines.video.plan import Plan, add_plan_arguments, plan_of
from engines.video.schedule import WINDOW
from engines.video.training import fit, groups_of

FRAMES: Final = 8
"Latent frames of a training clip: four windows, of which the last two have all their context."
SIGMAS: Final = (0.2, 0.5, 0.8, 0.95)
"Noise levels at which the held-out loss is measured."
MEASURED: Final = 16
"Held-out stretches for the loss."
SAMPLED: Final = 12
"Held-out stretches that are generated and compared with the truth."
STEPS: Final = 8
"Euler steps of those."
SHOWN: Final = 4


class DitTask:
    """What `engines.video.training.fit` trains."""

    def __init__(
        self,
        config: DitConfig,
        latents: Latents,
        held: Latents,
        clips: Shards,
        codec: Codec,
        frames: int = FRAMES,
        flow: FlowConfig = FLOW,
        *,
        bf16: bool = False,
    ) -> None:
        """Args:
            config: Sizes of the network.
            latents: To learn from.
            held: Of people that are not among them.
            clips: What ``held`` was made of.
            codec: What made both.
            frames: Latent frames of a training clip.
            flow: How to draw noise.
            bf16: Measure in bfloat16, too.

        Raises:
            InvalidInput: The parts do not fit together.
        """
        name = require_latents_of(codec, latents, held)
        if frames % WINDOW or config.channels != latents.latents.shape[2]:
            raise InvalidInput(
                f"{frames} latent frames are no whole windows, or the codec's "
                f"{latents.latents.shape[2]} channels are not the network's {config.channels}."
            )
        self.module: Final = DiT(config)
        self.module.spread.copy_(latents.spread())
        self._latents, self._frames, self._flow = latents, frames, flow
        self._codec_id = name
        self._held = HeldOut(held_truth(held, clips, MEASURED, frames), codec, bf16=bf16)

    def groups(self) -> list[dict[str, Any]]:
        """See `engines.video.training.Task`, as for all below."""
        return groups_of(self.module)

    def batch(self, rng: np.random.Generator, size: int) -> LatentBatch:
        return self._latents.batch(rng, size, self._frames)

    def loss(
        self, batch: LatentBatch, step: int, done: float
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        loss, parts = training_loss(
            self.module, batch.latents, batch.reference, batch.conditions, config=self._flow
        )
        return loss, {"loss": loss.detach(), **parts}

    def validate(self) -> dict[str, float]:
        batch = self._held.batch(MEASURED, self._device)
        measured = {f"flow_{sigma}": self._flow_loss(batch, sigma) for sigma in SIGMAS}
        measured["flow"] = float(np.mean(list(measured.values())))
        made = self._held.generated(self.module, SAMPLED, UNGUIDED, STEPS)
        return measured | self._held.scores(made) | {"psnr_codec": self._held.best(SAMPLED)}

    def preview(self, path: Path) -> None:
        self._held.preview(self._held.generated(self.module, SHOWN, UNGUIDED, STEPS), path)

    def export(self, path: Path) -> None:
        save_dit(self.module, self._codec_id, path)

    def _flow_loss(self, batch: LatentBatch, sigma: float) -> float:
        """The loss at one noise level, all conditions given, always with the same noise."""
        x = batch.latents
        rng = torch.Generator().manual_seed(0)
        noise = torch.randn(x.shape, generator=rng).to(x)
        level = x.new_full((len(x), x.shape[1] // WINDOW), sigma)
        noisy = mix(x, noise, level)
        with self._held.precision(x.device):
            velocity = self.module(noisy, level, batch.reference, batch.conditions, clean=x)
        return float((velocity.float() - (noise - x)).square().mean())

    @property
    def _device(self) -> torch.device:
        return next(self.module.parameters()).device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``dit``."""
    add = parser.add_argument
    add("latents", type=Path, help="folder of latents to learn from (from: latents)")
    add("held", type=Path, help="folder of latents of other people, to measure on")
    add("clips", type=Path, help="folder of clips that the latter were made of")
    add("codec", type=Path, help="the codec that made both")
    add("out", type=Path, help="checkpoints, curves, previews and weights")
    add("--size", default="mini", help=f"one of: {', '.join(PRESETS)}")
    add("--frames", type=int, default=FRAMES, help="latent frames of a training clip")
    add_plan_arguments(parser, Plan(rate=5e-4, batch=32, average=0.9995))


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Train as the options say."""
    plan = plan_of(options)
    torch.manual_seed(plan.seed)
    task = DitTask(
        preset(options.size), open_latents(options.latents), open_latents(options.held),
        open_shards(options.clips), load_codec(options.codec), options.frames,
        bf16=plan.use_bf16,
    )  # fmt: skip
    fit(task, plan, options.out, progress)
