"""``python -m engines.video codec``: train the codec on windows of single regions."""

from __future__ import annotations

import argparse
import copy
import logging
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from core import U8, SaccadeError
from engines.evaluate.networks.weights import Weights
from engines.video.codec import (
    GRID,
    PRESETS,
    Codec,
    CodecConfig,
    load_codec,
    save_codec,
    to_bytes,
    to_unit,
)
from engines.video.codec_scores import gaze_followed, iris_flow, scores, sheet
from engines.video.data.shards import Shards, open_shards
from engines.video.losses import (
    LIDS,
    Critic,
    LossWeights,
    Perceptual,
    absolute,
    adversarial,
    bending,
    emphasis,
    gradient,
    openings,
    temporal,
)  # fmt: skip
from engines.video.motion_reader import MotionReader
from engines.video.plan import Plan, add_plan_arguments, plan_of
from engines.video.region_windows import Windows, draw
from engines.video.regions import SIDE
from engines.video.training import fit, groups_of

logger = logging.getLogger(__name__)

WINDOWS: Final = (1, 1, 2, 3)
"""Latent frames of a training window, drawn for each batch. Frames of one window are near each
other, so short ones show more for the same work; the longest have nearly a full memory."""
PERCEIVED: Final = 2
"Frames of each window that the perceptual loss looks at: it costs as much as the rest."
HELD: Final = 48
"Windows of the validation, the same every time."
SHOWN: Final = 8
"Rows of the preview."


class Learner(nn.Module):
    """The codec, what reads its latents and, where there is one, its adversary."""

    def __init__(self, codec: Codec, *, critic: bool) -> None:
        super().__init__()
        self.codec = codec
        self.reader = MotionReader(codec.config.latent, GRID)
        self.critic = Critic() if critic else None


class CodecTask:
    """What `engines.video.training.fit` trains."""

    def __init__(
        self,
        config: CodecConfig,
        shards: Shards,
        unseen: Shards,
        weights: LossWeights,
        perceptual: Perceptual | None,
        trained: Codec | None = None,
        *,
        fixed: bool = False,
    ) -> None:
        """A task with an untrained codec, or with a trained one that learns on.

        Args:
            config: Sizes of an untrained codec.
            shards: To learn from.
            unseen: People to be measured on.
            weights: Of the losses.
            perceptual: None leaves that loss out.
            trained: To begin with, instead of an untrained one.
            fixed: Its encoder stays as it is, so latents that were made by it stay good.
        """
        codec = trained or Codec(config)
        self._fixed = fixed
        if self._fixed:
            codec.encoder.requires_grad_(requires_grad=False)
        self.module: Final = Learner(codec, critic=weights.adversarial > 0)
        self._shards, self._weights, self._perceptual = shards, weights, perceptual
        self._held = draw(unseen, np.random.default_rng(0), HELD, max(WINDOWS))
        self._few = [draw(shards, np.random.default_rng((1, n)), 16, 2) for n in range(4)]

    def groups(self) -> list[dict[str, Any]]:
        """See `engines.video.training.Task`, as for all below."""
        return groups_of(self.module)

    def batch(self, rng: np.random.Generator, size: int) -> Windows:
        return draw(self._shards, rng, size, int(rng.choice(WINDOWS)))

    def loss(self, batch: Windows, step: int, done: float) -> tuple[Tensor, Mapping[str, Tensor]]:
        if self._fixed:
            self.module.codec.encoder.eval()  # nor do its statistics follow the batches
        frames, reference = to_unit(batch.frames), to_unit(batch.reference)
        through = self.module.codec(frames, reference, batch.region)
        out, latents = through.frames, through.latents
        true, beside = frames.flatten(0, 1), reference.repeat_interleave(frames.shape[1], 0)
        gaze = openings(batch.points[:, :, LIDS].flatten(0, 1), SIDE)
        made, weight = out.flatten(0, 1), emphasis(true, beside, gaze)
        parts = {
            "absolute": absolute(made, true, weight),
            "gradient": self._weights.gradient * gradient(made, true, weight),
            "temporal": self._weights.temporal * temporal(out, frames),
            "bending": self._weights.bending
            * bending(
                through.flow,
                batch.points.flatten(0, 1),
                batch.reference_points.repeat_interleave(frames.shape[1], 0),
            ),
        }
        if not self._fixed:
            moved = batch.points - batch.reference_points[:, None]
            read = self.module.reader(latents, through.still, moved, batch.mouth, batch.region)
            parts["motion"] = self._weights.motion * read
        picked = torch.randint(frames.shape[1], (len(frames), PERCEIVED), device=frames.device)
        rows = (torch.arange(len(frames), device=frames.device)[:, None], picked)
        seen, real = out[rows].flatten(0, 1), frames[rows].flatten(0, 1)
        if self._perceptual is not None:
            apart = self._perceptual.to(frames.device)(seen, real)
            parts["perceptual"] = self._weights.perceptual * apart
        total = torch.stack(list(parts.values())).sum()
        enters = min(1.0, max(0.0, (done - self._weights.begin) / 0.1))
        if self.module.critic is not None and enters > 0:
            with_it = reference.repeat_interleave(PERCEIVED, 0)
            fooled, judged = adversarial(self.module.critic, seen, real, with_it)
            parts |= {"fooled": enters * self._weights.adversarial * fooled, "critic": judged}
            total = total + parts["fooled"] + judged
        with torch.no_grad():
            parts["latent_mean"] = latents.mean((0, 1, 3, 4)).abs().max()
        return total, {name: value.detach() for name, value in parts.items()}

    def validate(self) -> dict[str, float]:
        made, flow = self._decoded(self._calibrated(), self._held)
        return scores(self._held, made) | {"gaze_followed": gaze_followed(self._held, flow)}

    def preview(self, path: Path) -> None:
        held = Windows(*(getattr(self._held, f.name)[:SHOWN] for f in fields(Windows)))
        made, _ = self._decoded(self._calibrated(), held)
        cv2.imwrite(str(path), sheet(held, made)[..., ::-1])

    def export(self, path: Path) -> None:
        save_codec(path, self._calibrated())

    def _calibrated(self) -> Codec:
        """A copy whose statistics of the latents are those of its own weights."""
        codec = copy.deepcopy(self.module.codec).eval()
        if self._fixed:
            return codec
        device = codec.decoder.grid.device
        codec.calibrate((to_unit(w.frames.to(device)), w.region.to(device)) for w in self._few)
        return codec

    @torch.no_grad()
    def _decoded(self, codec: Codec, windows: Windows) -> tuple[U8, Tensor]:
        """Through the codec and back, uint8 ``[B, T, 96, 96, 3]``, and `iris_flow` on the way."""
        device = codec.decoder.grid.device
        made, irises = [], []
        for first in range(0, len(windows.frames), 8):
            rows = slice(first, first + 8)
            region = windows.region[rows].to(device)
            latents = codec.encode(to_unit(windows.frames[rows].to(device)), region)
            seen = codec.reference(to_unit(windows.reference[rows].to(device)), region)
            cache = codec.decoder.cache(len(region))
            frames, flow, _ = codec.decoder.bend_and_paint(latents, seen, cache)
            made.append(to_bytes(frames))
            irises.append(iris_flow(flow.cpu(), windows.points[rows]))
        return np.concatenate(made), torch.cat(irises)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    weights = LossWeights()
    parser.add_argument("shards", type=Path, help="folder of clips to learn from (from: render)")
    parser.add_argument("unseen", type=Path, help="folder of clips of other people, to measure on")
    parser.add_argument("out", type=Path, help="checkpoints, curves, previews and weights")
    parser.add_argument("--size", choices=tuple(PRESETS), default="mini")
    parser.add_argument("--begin-with", type=Path, metavar="WEIGHTS",
                        help="a trained codec, instead of an untrained one")  # fmt: skip
    parser.add_argument("--decoder-of", type=Path, metavar="WEIGHTS",
                        help="train a trained codec's decoder on; latents stay good")  # fmt: skip
    parser.add_argument("--perceptual", type=float, default=weights.perceptual)
    parser.add_argument("--adversarial", type=float, default=weights.adversarial, help="0: none")
    parser.add_argument("--begin", type=float, default=weights.begin, help="share when it enters")
    parser.add_argument("--weights", type=Path, help="folder with weights of LPIPS")
    add_plan_arguments(parser, Plan(rate=7e-4, batch=24))


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Train as the options say."""
    plan = plan_of(options)
    torch.manual_seed(plan.seed)
    weights = LossWeights(
        perceptual=options.perceptual, adversarial=options.adversarial, begin=options.begin
    )
    judge = open_perceptual(options.weights) if weights.perceptual > 0 else None
    shards, unseen = open_shards(options.shards), open_shards(options.unseen)
    known = options.decoder_of or options.begin_with
    task = CodecTask(
        PRESETS[options.size], shards, unseen, weights, judge,
        load_codec(known) if known else None, fixed=options.decoder_of is not None,
    )  # fmt: skip
    fit(task, plan, options.out, progress)


def open_perceptual(folder: Path | None) -> Perceptual | None:
    """The perceptual loss, or None and a warning where its weights are missing."""
    try:
        return Perceptual(Weights(folder))
    except SaccadeError as error:
        logger.warning("Training goes on without the perceptual loss: %s", error)
        return None
