"""``python -m engines.video dit``: train the transformer on latents."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from core import LATENT_FRAMES, U8, InvalidInput
from engines.video.batches import move
from engines.video.codec import Codec, load_codec
from engines.video.coding import codec_id, decode
from engines.video.data.shards import Shards, open_shards
from engines.video.dit import DiT
from engines.video.dit_config import PRESETS, DitConfig, preset
from engines.video.dit_file import save_dit
from engines.video.flow import FLOW, FlowConfig, mix, training_loss
from engines.video.guidance import UNGUIDED
from engines.video.latents import LatentBatch, Latents, join, open_latents
from engines.video.plan import Plan, add_plan_arguments, plan_of
from engines.video.regions import MIRRORED, REGIONS
from engines.video.sampler import generate
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
COLUMNS: Final = 8
CHANGED: Final = 0.05
"Of full scale: what differs more from the reference counts as changed."


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Held-out stretches, as latents and as pictures."""

    parts: tuple[LatentBatch, ...]
    references: U8
    "uint8 ``[B, 3, 96, 96, 3]``."
    frames: U8
    "uint8 ``[B, T, 3, 96, 96, 3]``."


def held_truth(latents: Latents, clips: Shards, count: int, frames: int) -> Truth:
    """``count`` stretches, spread over the clips and so over the people: the same ones always.

    Args:
        latents: Of held-out people.
        clips: What they were made of.
        count: How many; fewer where there are fewer clips.
        frames: Latent frames of each.

    Raises:
        InvalidInput: No clip is that long, or the latents are of other clips.
    """
    long = np.flatnonzero(latents.counts >= frames)
    if not len(long) or max(entry.clip for entry in latents.entries) >= len(clips):
        raise InvalidInput(
            f"The held-out latents have no clip of {frames} latent frames, or are of other clips."
        )
    rng = np.random.default_rng(0)
    picked = long[np.linspace(0, len(long) - 1, min(count, len(long))).astype(int)]
    picked = rng.permutation(picked)  # so that the first few are spread, too
    parts, references, pictures = [], [], []
    for i in picked:
        entry = latents.entries[i]
        first = int(rng.integers(entry.count - frames + 1))
        clip = clips.clip(entry.clip, first * LATENT_FRAMES, frames * LATENT_FRAMES)
        parts.append(latents.stretch(int(i), first, frames))
        references.append(clip.reference)
        pictures.append(clip.frames)
    return Truth(tuple(parts), np.stack(references), np.stack(pictures))


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
        name = codec_id(codec)
        if {latents.codec, held.codec} != {name}:
            raise InvalidInput("The latents were made by another codec. Make them again.")
        if frames % WINDOW or config.channels != latents.latents.shape[2]:
            raise InvalidInput(
                f"{frames} latent frames are no whole windows, or the codec's "
                f"{latents.latents.shape[2]} channels are not the network's {config.channels}."
            )
        self.module: Final = DiT(config)
        self.module.spread.copy_(latents.spread())
        self._latents, self._frames, self._flow = latents, frames, flow
        self._codec, self._codec_id, self._bf16 = codec.eval(), name, bf16
        self._truth = held_truth(held, clips, MEASURED, frames)
        self._best: float | None = None
        "Where the truth changed: what the codec keeps of it, dB. Nothing generated can be better."

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
        batch = self._held(MEASURED)
        measured = {f"flow_{sigma}": self._flow_loss(batch, sigma) for sigma in SIGMAS}
        measured["flow"] = float(np.mean(list(measured.values())))
        scores = self._scores(self._generated(SAMPLED))
        if self._best is None:
            latents = self._held(SAMPLED).latents
            kept = decode(self._codec, latents, self._truth.references[: len(latents)])
            self._best = self._scores(kept)["psnr_changed"]
        return measured | scores | {"psnr_codec": self._best}

    def preview(self, path: Path) -> None:
        made = self._generated(SHOWN)
        rows = zip(self._truth.references, self._truth.frames, made, strict=False)
        cv2.imwrite(str(path), np.vstack([preview_rows(*row) for row in rows])[..., ::-1])

    def export(self, path: Path) -> None:
        save_dit(self.module, self._codec_id, path)

    def _flow_loss(self, batch: LatentBatch, sigma: float) -> float:
        """The loss at one noise level, all conditions given, always with the same noise."""
        x = batch.latents
        rng = torch.Generator().manual_seed(0)
        noise = torch.randn(x.shape, generator=rng).to(x)
        level = x.new_full((len(x), x.shape[1] // WINDOW), sigma)
        noisy = mix(x, noise, level)
        with self._precision(x.device):
            velocity = self.module(noisy, level, batch.reference, batch.conditions, clean=x)
        return float((velocity.float() - (noise - x)).square().mean())

    def _scores(self, made: U8) -> dict[str, float]:
        """Of the first held-out stretches."""
        count = len(made)
        return picture_scores(self._truth.frames[:count], self._truth.references[:count], made)

    def _generated(self, count: int) -> U8:
        """The first held-out stretches as the network makes them, in few steps, unguided."""
        batch = self._held(count)
        seeds = list(range(len(batch.latents)))
        with self._precision(batch.latents.device):
            made = generate(self.module, batch.conditions, batch.reference, seeds, UNGUIDED, STEPS)
        return decode(self._codec.to(made.device), made, self._truth.references[: len(seeds)])

    def _precision(self, device: torch.device) -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=self._bf16)

    def _held(self, count: int) -> LatentBatch:
        """The first held-out stretches, where the network is."""
        batch: LatentBatch = move(
            join(self._truth.parts[:count]), next(self.module.parameters()).device
        )
        return batch


def picture_scores(frames: U8, references: U8, made: U8) -> dict[str, float]:
    """How near generated regions are to the truth.

    Args:
        frames: The truth, uint8 ``[B, T, 3, 96, 96, 3]``.
        references: uint8 ``[B, 3, 96, 96, 3]``.
        made: As ``frames``.

    Returns:
        ``l1`` (of full scale), ``psnr`` (dB), ``psnr_changed`` where the truth differs from the
        reference, the reference's own there, and that of each region.
    """
    true, out = frames.astype(np.float32) / 255, made.astype(np.float32) / 255
    start = references.astype(np.float32)[:, None] / 255
    changed = np.abs(true - start).mean(-1) > CHANGED
    error = np.square(out - true)
    scores = {"l1": float(np.abs(out - true).mean()), "psnr": _decibels(error)}
    scores["psnr_changed"] = _decibels(error[changed])
    scores["psnr_reference"] = _decibels(np.square(start - true)[changed])
    for k, name in enumerate(REGIONS):
        scores[f"psnr_{name}"] = _decibels(error[:, :, k][changed[:, :, k]])
    return scores


def preview_rows(reference: U8, frames: U8, made: U8) -> U8:
    """Three rows, truth, generated and four times the error; the reference in front, then time.

    Args:
        reference: uint8 ``[3, 96, 96, 3]``.
        frames: uint8 ``[T, 3, 96, 96, 3]``.
        made: As ``frames``.

    Returns:
        uint8 ``[288, 9 * 288, 3]``: a cell has the right eye, the left eye and the mouth.
    """
    times = np.linspace(0, len(frames) - 1, COLUMNS).astype(int)
    error = 4 * np.abs(made.astype(np.int16) - frames)
    rows = (frames, made, np.minimum(error, 255).astype(np.uint8))
    return np.vstack([
        np.hstack([_cell(reference), *(_cell(row[t]) for t in times)]) for row in rows
    ])  # fmt: skip


def _cell(crops: U8) -> U8:
    upright = [
        crop[:, ::-1] if mirrored else crop for crop, mirrored in zip(crops, MIRRORED, strict=True)
    ]
    left, right, mouth = upright
    return np.hstack([right, left, mouth])


def _decibels(squared: npt.NDArray[np.float32]) -> float:
    """0 where there is nothing to measure."""
    return float(-10 * np.log10(squared.mean() + 1e-8)) if squared.size else 0.0


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
