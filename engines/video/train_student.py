"""``python -m engines.video student``: a teacher's guidance in one pass, its steps in a few."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from core import InvalidInput
from engines.video.codec import Codec, load_codec
from engines.video.data.shards import Shards, open_shards
from engines.video.distil import (
    DistilConfig,
    Lesson,
    draw_guidance,
    guided_loss,
    lesson,
    phased_loss,
    step_loss,
)
from engines.video.dit import DiT
from engines.video.dit_file import load_dit_of, save_dit
from engines.video.guidance import EYE_AWARE
from engines.video.held_out import HeldOut, held_truth
from engines.video.latents import Latents, open_latents, require_latents_of
from engines.video.plan import Plan, add_plan_arguments, plan_of
from engines.video.training import fit, groups_of

FRAMES: Final = 4
"Latent frames of a training clip: two windows."
COMPARED: Final = 8
"Held-out stretches in which student and teacher are compared."
LENGTH: Final = 6
"Latent frames of each."
TEACHER_STEPS: Final = 20
"Of the teacher there."
FREE_STEPS: Final = 8
"Of a student that is not bound to nodes."
SHOWN: Final = 4
MAPS: Final = 2


def student_of(dit: DiT) -> DiT:
    """A student that begins as its teacher; a student goes on as it is."""
    if dit.config.maps:
        return dit
    student = DiT(replace(dit.config, maps=MAPS))
    student.load_state_dict(student.state_dict() | dit.state_dict())
    return student


class StudentTask:
    """What `engines.video.training.fit` trains."""

    def __init__(
        self,
        teacher: DiT,
        begin: DiT,
        latents: Latents,
        held: Latents,
        clips: Shards,
        codec: Codec,
        config: DistilConfig,
        *,
        bf16: bool = False,
    ) -> None:
        """Args:
            teacher: Two passes a step, as many steps as it needs.
            begin: What the student begins as: the teacher, or a student of an earlier stage.
            latents: To learn from.
            held: Of people that are not among them.
            clips: What ``held`` was made of.
            codec: What made both.
            config: How it is taught.
            bf16: Measure in bfloat16, too.

        Raises:
            InvalidInput: The parts do not fit together.
        """
        name = require_latents_of(codec, latents, held)
        if replace(begin.config, maps=0) != replace(teacher.config, maps=0):
            raise InvalidInput("The student and its teacher are of different sizes.")
        self.module: Final = student_of(begin)
        self._teacher = teacher.eval().requires_grad_(requires_grad=False)
        self._latents, self._config, self._codec_id = latents, config, name
        self._held = HeldOut(held_truth(held, clips, COMPARED, LENGTH), codec, bf16=bf16)
        self._wanted: Tensor | None = None

    def groups(self) -> list[dict[str, Any]]:
        """See `engines.video.training.Task`, as for all below."""
        return groups_of(self.module)

    def batch(self, rng: np.random.Generator, size: int) -> Lesson:
        return lesson(self._latents.batch(rng, size, FRAMES), draw_guidance(rng, size))

    def loss(self, batch: Lesson, step: int, done: float) -> tuple[Tensor, Mapping[str, Tensor]]:
        self._teacher.to(batch.pull.device)
        few = phased_loss if self._config.phased else step_loss
        teach = few if self._config.nodes else guided_loss
        loss = teach(self.module, self._teacher, batch, self._config)
        return loss, {"loss": loss.detach()}

    def validate(self) -> dict[str, float]:
        device = next(self.module.parameters()).device
        if self._wanted is None:
            self._teacher.to(device)
            self._wanted = self._held.latents(self._teacher, COMPARED, EYE_AWARE, TEACHER_STEPS)
        made = self._held.latents(self.module, COMPARED, EYE_AWARE, self._steps)
        theirs = self._held.pictures(self._wanted)
        pictures = self._held.pictures(made)
        error = np.square(pictures.astype(np.float32) - theirs).mean()
        apart = {
            "apart": float((made - self._wanted).square().mean().sqrt()),
            "psnr_to_teacher": float(20 * np.log10(255) - 10 * np.log10(error + 1e-6)),
        }
        mine, best = self._held.scores(pictures), self._held.scores(theirs)
        return apart | mine | {f"teacher_{name}": value for name, value in best.items()}

    def preview(self, path: Path) -> None:
        self._held.preview(self._held.generated(self.module, SHOWN, EYE_AWARE, self._steps), path)

    def export(self, path: Path) -> None:
        save_dit(self.module, self._codec_id, path)

    @property
    def _steps(self) -> int:
        return self._config.nodes or FREE_STEPS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``student``."""
    add = parser.add_argument
    known = DistilConfig()
    add("latents", type=Path, help="folder of latents to learn from (from: latents)")
    add("held", type=Path, help="folder of latents of other people, to measure on")
    add("clips", type=Path, help="folder of clips that the latter were made of")
    add("codec", type=Path, help="the codec that made both")
    add("teacher", type=Path, help="weights of the teacher")
    add("out", type=Path, help="checkpoints, curves, previews and weights")
    add("--begin-with", type=Path, metavar="WEIGHTS", help="a student of an earlier stage")
    add("--nodes", type=int, default=known.nodes, help="steps; 0: any, guidance alone is learnt")
    add("--solve", type=int, default=known.solve, help="the teacher's steps inside one")
    add("--own", type=float, default=known.own, help="share that goes on from its own steps")
    add("--rolled", type=float, default=known.rolled, help="share of those with own contexts")
    add("--phased", action="store_true", help="learn few steps the second way")
    add_plan_arguments(parser, Plan(rate=2e-4, batch=16, average=0.999))


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Train as the options say."""
    plan = plan_of(options)
    torch.manual_seed(plan.seed)
    try:
        config = DistilConfig(
            options.nodes, options.solve, options.own, options.rolled, options.phased
        )
    except ValueError as error:
        raise InvalidInput(
            f"--nodes, --solve, --own or --rolled is out of range: {error}"
        ) from error
    codec = load_codec(options.codec)
    teacher = load_dit_of(codec, options.teacher)
    begin = load_dit_of(codec, options.begin_with or options.teacher)
    task = StudentTask(
        teacher, begin, open_latents(options.latents), open_latents(options.held),
        open_shards(options.clips), codec, config, bf16=plan.use_bf16,
    )  # fmt: skip
    fit(task, plan, options.out, progress)
