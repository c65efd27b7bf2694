"""People that nobody learns from: what the networks make of their clips, beside the truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt
import torch

from core import LATENT_FRAMES, U8, InvalidInput
from engines.video.batches import move
from engines.video.codec import Codec
from engines.video.coding import decode
from engines.video.data.shards import Shards
from engines.video.dit import DiT
from engines.video.guidance import Guidance
from engines.video.latents import LatentBatch, Latents, join
from engines.video.regions import MIRRORED, REGIONS
from engines.video.sampler import generate

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


class HeldOut:
    """Generates the truth's stretches and measures them."""

    def __init__(self, truth: Truth, codec: Codec, *, bf16: bool) -> None:
        """Args:
        truth: From `held_truth`.
        codec: What made its latents.
        bf16: Compute in bfloat16.
        """
        self._truth, self._codec, self._bf16 = truth, codec.eval(), bf16
        self._best: float | None = None

    def batch(self, count: int, device: torch.device) -> LatentBatch:
        """The first stretches, on a device."""
        batch: LatentBatch = move(join(self._truth.parts[:count]), device)
        return batch

    def latents(self, dit: DiT, count: int, guidance: Guidance, steps: int) -> torch.Tensor:
        """The first stretches as a network makes them, always with the same noise."""
        batch = self.batch(count, next(dit.parameters()).device)
        seeds = list(range(len(batch.latents)))
        with self.precision(batch.latents.device):
            return generate(dit, batch.conditions, batch.reference, seeds, guidance, steps)

    def generated(self, dit: DiT, count: int, guidance: Guidance, steps: int) -> U8:
        """As pictures."""
        return self.pictures(self.latents(dit, count, guidance, steps))

    def pictures(self, latents: torch.Tensor) -> U8:
        """Latents of the first stretches as pictures, uint8 ``[B, T, 3, 96, 96, 3]``."""
        codec = self._codec.to(latents.device)
        return decode(codec, latents, self._truth.references[: len(latents)])

    def scores(self, made: U8) -> dict[str, float]:
        """Of the first stretches: `picture_scores`."""
        count = len(made)
        return picture_scores(self._truth.frames[:count], self._truth.references[:count], made)

    def best(self, count: int) -> float:
        """Where the truth changed: what the codec keeps of it, dB. Nothing made can be better."""
        if self._best is None:
            device = next(self._codec.parameters()).device
            kept = self.pictures(self.batch(count, device).latents)
            self._best = self.scores(kept)["psnr_changed"]
        return self._best

    def preview(self, made: U8, path: Path) -> None:
        """Write a sheet of the first stretches."""
        rows = zip(self._truth.references, self._truth.frames, made, strict=False)
        cv2.imwrite(str(path), np.vstack([preview_rows(*row) for row in rows])[..., ::-1])

    def precision(self, device: torch.device) -> torch.autocast:
        """What networks are run in."""
        return torch.autocast(device.type, torch.bfloat16, enabled=self._bf16)


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
