"""What a student learns from its teacher: guided velocities in one pass, then long steps.

First (`guided_loss`) the student is told the maps of Ω and gives in one pass the velocity that its
teacher needs two for, at any noise level. Then (`step_loss`) each step of a sampler with few of
them has to land where the teacher's many small ones do: the velocity to learn is the mean one from
this node to the next. Steps begin where noise was added to a real clip, or (a share of the batches)
where the student's own steps have led: what it meets in use. And some contexts are windows that the
student made itself, so that streams do not drift.

There is a second way to the same end (`phased_loss`): one small step of the teacher, and the
student's own word for the rest of the way to the next node. It takes fewer passes, but errors at
the end of a stretch have to travel to its beginning.

Sources: Meng et al. 2022, "On Distillation of Guided Diffusion Models", arXiv 2210.03142 (guidance
as an input); Yan et al. 2024, "PeRFlow", arXiv 2405.07510 (piecewise straight flow); Huang et al.
2025, "Self Forcing", arXiv 2506.08009 (contexts that were made, not given); Wang et al. 2024,
"Phased Consistency Models", arXiv 2405.18407.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import torch
from torch import Tensor

from engines.video.conditions import Conditions
from engines.video.dit import OFFSET, DiT
from engines.video.flow import draw_sigma, mix
from engines.video.guidance import EYE_AWARE, UNGUIDED, Guidance, eye_map, pull_of
from engines.video.latents import LatentBatch
from engines.video.schedule import SHIFT, WINDOW, flow_times, progress

USUAL: Final = 0.3
"Share of clips that are guided as sessions are by default."
UNPULLED: Final = 0.1
"Share of clips that are not guided at all."
STRONGEST: Final = 6.0
"Highest weight that students are told: above it teachers paint what no face has."


@dataclass(frozen=True, slots=True)
class DistilConfig:
    """How the student is taught."""

    nodes: int = 0
    "Steps of its sampler; 0 teaches velocities at any noise level, with guidance alone."
    solve: int = 4
    "Steps of the teacher inside one of the student's."
    own: float = 0.5
    "Share of batches whose steps begin where the student's own have led."
    rolled: float = 0.5
    "Share of those in which contexts are windows that it made."
    phased: bool = False
    "Of two ways to few steps, `phased_loss`, not `step_loss`."
    shift: float = SHIFT

    def __post_init__(self) -> None:
        if self.nodes < 0 or self.solve < 1 or not 0 <= min(self.own, self.rolled) <= 1:
            raise ValueError(f"distillation: numbers out of range: {self}")


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A batch, and how each of its clips is guided."""

    batch: LatentBatch
    guidance: tuple[Guidance, ...]
    gauss: Tensor
    "float32 ``[B, L, 3, 6, 6]``: G of each clip."
    pull: Tensor
    "float32 ``[B, L, 3, 6, 6, 2]``: `guidance.pull_of`."


def draw_guidance(rng: np.random.Generator, count: int) -> tuple[Guidance, ...]:
    """Knobs for some clips: often the usual ones, sometimes none, else anything sensible."""
    out = []
    for fate in rng.random(count):
        if fate < USUAL:
            out.append(EYE_AWARE)
        elif fate < USUAL + UNPULLED:
            out.append(UNGUIDED)
        else:
            high = rng.uniform(1, STRONGEST)
            out.append(
                Guidance(
                    high=high,
                    low=rng.uniform(1, high),
                    kappa=float(np.exp(rng.uniform(np.log(0.5), np.log(2)))),
                    background=rng.uniform(0.8, 1.5),
                )
            )
    return tuple(out)


def lesson(batch: LatentBatch, guidance: Sequence[Guidance]) -> Lesson:
    """A batch and how its clips are guided, on the CPU."""
    points = batch.conditions.points.numpy()
    maps = [eye_map(clip, g.kappa) for clip, g in zip(points, guidance, strict=True)]
    pulls = [pull_of(g, gauss) for g, gauss in zip(guidance, maps, strict=True)]
    return Lesson(
        batch, tuple(guidance), torch.from_numpy(np.stack(maps)), torch.from_numpy(np.stack(pulls))
    )


class Pass:
    """Networks over all windows of a lesson at once, with one context."""

    def __init__(self, told: Lesson, clean: Tensor, offset: int = OFFSET) -> None:
        """Args:
        told: The lesson.
        clean: ``[B, L, 3, C, 6, 6]``: the context.
        offset: Latent frames from the end of a window to its reference.
        """
        self._told, self._clean, self._offset = told, clean, offset
        self._nothing = told.batch.conditions.unconditional()

    def student(self, dit: DiT, x: Tensor, sigma: Tensor) -> Tensor:
        """Its guided velocity; ``sigma`` is ``[B, L / 2]``."""
        return self._run(dit, x, sigma, self._told.batch.conditions, self._told.pull)

    @torch.no_grad()
    def teacher(self, dit: DiT, x: Tensor, sigma: Tensor, shift: float) -> Tensor:
        """The same by two passes: CogPortrait equation 5. A student of guidance takes one."""
        if dit.config.maps:
            return self.student(dit, x, sigma)
        with_ = self._run(dit, x, sigma, self._told.batch.conditions)
        without = self._run(dit, x, sigma, self._nothing)
        strength = self._omega(sigma, shift).unsqueeze(3)
        return without + strength * (with_ - without)

    def _run(
        self, dit: DiT, x: Tensor, sigma: Tensor, told: Conditions, pull: Tensor | None = None
    ) -> Tensor:
        batch = self._told.batch
        velocity = dit(
            x, sigma, batch.reference, told, clean=self._clean,
            clean_conditions=batch.conditions, offset=self._offset, pull=pull,
        )  # fmt: skip
        return velocity.float()  # type: ignore[no-any-return]

    def _omega(self, sigma: Tensor, shift: float) -> Tensor:
        """Ω of every token, ``[B, L, 3, 6, 6]``, at each window's noise level."""
        told = self._told
        weights = [
            [g.weight(progress(float(s), shift)) for s in row]
            for g, row in zip(told.guidance, sigma.tolist(), strict=True)
        ]
        weight = sigma.new_tensor(weights).repeat_interleave(WINDOW, 1)[..., None, None, None]
        background = sigma.new_tensor([g.background for g in told.guidance])
        return weight * told.gauss + background.view(-1, 1, 1, 1, 1) * (1 - told.gauss)


def guided_loss(student: DiT, teacher: DiT, told: Lesson, config: DistilConfig) -> Tensor:
    """How far one pass of the student is from two of the teacher, at random noise levels."""
    x0 = told.batch.latents
    sigma = draw_sigma((len(x0), x0.shape[1] // WINDOW), config.shift).to(x0.device)
    x = mix(x0, torch.randn_like(x0), sigma)
    over = Pass(told, x0)
    wanted = over.teacher(teacher, x, sigma, config.shift)
    return (over.student(student, x, sigma) - wanted).square().mean()


def step_loss(student: DiT, teacher: DiT, told: Lesson, config: DistilConfig) -> Tensor:
    """How far one step of the student's sampler is from where the teacher's small ones lead."""
    x0 = told.batch.latents
    times = flow_times(config.nodes, config.shift)
    node = int(torch.randint(config.nodes, ()))
    noise = torch.randn_like(x0)
    clean, x = x0, mix(x0, noise, _level(x0, times[node]))
    if float(torch.rand(())) < config.own:
        if float(torch.rand(())) < config.rolled:
            clean = _walk(student, Pass(told, x0), torch.randn_like(x0), times)
        x = _walk(student, Pass(told, clean), noise, times[: node + 1])
    over = Pass(told, clean)
    goal = x
    for now, after in pairwise(between(times[node], times[node + 1], config.solve, config.shift)):
        velocity = over.teacher(teacher, goal, _level(x, now), config.shift)
        goal = goal + (after - now) * velocity
    wanted = (x - goal) / (times[node] - times[node + 1])
    return (over.student(student, x, _level(x, times[node])) - wanted).square().mean()


def phased_loss(student: DiT, teacher: DiT, told: Lesson, config: DistilConfig) -> Tensor:
    """How far the student's way to the next node is from a small step of the teacher's and the
    student's own way from there."""
    x0 = told.batch.latents
    times = flow_times(config.nodes, config.shift)
    node = int(torch.randint(config.nodes, ()))
    small = between(times[node], times[node + 1], config.solve, config.shift)
    at = int(torch.randint(config.solve, ()))
    now, after, end = small[at], small[at + 1], small[-1]
    clean = x0
    if float(torch.rand(())) < config.own * config.rolled:
        clean = _walk(student, Pass(told, x0), torch.randn_like(x0), times)
    over = Pass(told, clean)
    x = mix(x0, torch.randn_like(x0), _level(x0, now))
    goal = x + (after - now) * over.teacher(teacher, x, _level(x, now), config.shift)
    if after > end:
        goal = _walk(student, over, goal, (after, end))
    wanted = (x - goal) / (now - end)
    return (over.student(student, x, _level(x, now)) - wanted).square().mean()


def between(now: float, after: float, count: int, shift: float) -> list[float]:
    """``count + 1`` times from ``now`` to ``after``, as evenly shifted as a sampler's own."""
    first, last = 1 - progress(now, shift), 1 - progress(after, shift)
    even = [first + (last - first) * i / count for i in range(count + 1)]
    return [now, *(shift * u / (1 + (shift - 1) * u) for u in even[1:-1]), after]


@torch.no_grad()
def _walk(student: DiT, over: Pass, x: Tensor, times: Sequence[float]) -> Tensor:
    """The student's own steps through some nodes, all windows at once."""
    for now, after in pairwise(times):
        x = x + (after - now) * over.student(student, x, _level(x, now))
    return x


def _level(x: Tensor, sigma: float) -> Tensor:
    return x.new_full((len(x), x.shape[1] // WINDOW), sigma)
