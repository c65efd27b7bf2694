"""The training loop of every network of the video engine.

Exact at any step: batch n is drawn from a generator seeded by (seed, n), torch's own generators are
seeded anew for each batch, and a checkpoint holds everything else. So a run that was interrupted
ends with the weights of one that was not, as long as its length is given in steps; given in time,
the learning rate follows the clock.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from core import SaccadeError
from engines.video.batches import Batches, move
from engines.video.checkpoint import NAME, Checkpoint, read_checkpoint, write_checkpoint
from engines.video.curves import Curves
from engines.video.interrupt import Interrupt
from engines.video.plan import Plan

Progress: TypeAlias = Callable[[int, int, str], None]
PATIENCE: Final = 20
"Steps in a row whose loss may be no number (free)."
TICKS: Final = 1000
"Of the progress bar."


class Diverged(SaccadeError):
    """Training makes nothing but NaN; the last checkpoint on disk is still good."""

    code = "diverged"


class Stopped(SaccadeError):
    """Training was interrupted, and saved."""

    code = "stopped"


class Task(Protocol):
    """What is trained. `fit` moves ``module`` and every batch to the device."""

    @property
    def module(self) -> nn.Module:
        """Everything that learns (a discriminator too)."""

    def groups(self) -> list[dict[str, Any]]:
        """Parameter groups of AdamW; ``scale`` multiplies the learning rate. See `groups_of`."""

    def batch(self, rng: np.random.Generator, size: int) -> Any:
        """A batch: tensors, and tuples, lists, dicts and dataclasses of them.

        Called from several threads at once, so it changes nothing.
        """

    def loss(
        self, batch: Any, step: int, done: float
    ) -> tuple[Tensor, Mapping[str, Tensor | float]]:
        """The loss and its parts to plot; ``done`` in [0, 1) is the share of the training made."""

    def validate(self) -> dict[str, float]:
        """Measures of held-out data, with the averaged weights in ``module``."""

    def preview(self, path: Path) -> None:
        """A picture (PNG) to look at, likewise."""

    def export(self, path: Path) -> None:
        """Write what ships (safetensors), likewise. See `engines.video.weights.save_weights`."""


def groups_of(module: nn.Module, scale: float = 1.0) -> list[dict[str, Any]]:
    """Parameter groups: matrices and kernels decay, gains, biases and embeddings of one row not."""
    learn = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in learn if p.ndim >= 2], "scale": scale},
        {"params": [p for p in learn if p.ndim < 2], "scale": scale, "weight_decay": 0.0},
    ]


class Average:
    """The running average of a module's weights (EMA)."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._module, self._decay, self.count = module, decay, 0
        self.weights = {name: value.clone() for name, value in _floats(module).items()}

    def update(self) -> None:
        """Take the module's weights in; the first ones count more, as there is nothing before."""
        self.count += 1
        decay = min(self._decay, (1 + self.count) / (10 + self.count))
        live = list(_floats(self._module).values())
        torch._foreach_lerp_(list(self.weights.values()), live, 1 - decay)

    def mend(self) -> None:
        """Put the averaged statistics into the module, whose own a NaN has gone through."""
        _put(self._module, {name: self.weights[name] for name in _buffers(self._module)})

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The module has the averaged weights, in evaluation mode, until the block ends."""
        module = self._module
        live = {name: value.clone() for name, value in _floats(module).items()}
        _put(module, self.weights)
        module.eval()
        try:
            yield
        finally:
            _put(module, live)
            module.train()


def _buffers(module: nn.Module) -> dict[str, Tensor]:
    """Running statistics and the like; whole numbers (counters) are left alone."""
    return {name: b for name, b in module.named_buffers() if b.is_floating_point()}


def _floats(module: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in module.named_parameters()} | _buffers(module)


@torch.no_grad()
def _put(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    here = _floats(module)
    for name, value in values.items():
        here[name].copy_(value)


def fit(task: Task, plan: Plan, out: Path, progress: Progress) -> None:
    """Train, or go on training, until the plan is done.

    Args:
        task: What to train.
        plan: How.
        out: Folder of the checkpoints, curves, previews and ``weights.safetensors``. Training goes
            on from a checkpoint found there.
        progress: Told after every step.

    Raises:
        Diverged, Stopped: See there.
        InvalidInput: The checkpoint in ``out`` is of another network.
    """
    out.mkdir(parents=True, exist_ok=True)
    if plan.threads:
        torch.set_num_threads(plan.threads)
    _Run(task, plan, out, progress).go()


@dataclass(slots=True)
class _Clock:
    """Wall-clock seconds of training, over all goes."""

    before: float
    started: float

    def go(self) -> float:
        return time.monotonic() - self.started

    def seconds(self) -> float:
        return self.before + self.go()


class _Run:
    """One go of training."""

    def __init__(self, task: Task, plan: Plan, out: Path, progress: Progress) -> None:
        self.task, self.plan, self.out, self.progress = task, plan, out, progress
        self.device = torch.device(plan.device_name)
        torch.manual_seed(plan.seed)
        self.module = task.module.to(self.device).train()
        if plan.compile:
            self.module.compile()
        self.optimiser = torch.optim.AdamW(
            task.groups(), lr=plan.rate, betas=plan.betas, weight_decay=plan.decay, fused=True
        )
        self.average = Average(self.module, plan.average)
        self.curves = Curves(out)
        self.step, self.failed, self.skipped = 0, 0, 0
        before = self._resume()
        self.clock = _Clock(before, time.monotonic())
        self.saved = self.looked = self.clock.started

    def go(self) -> None:
        plan = self.plan
        with Interrupt() as interrupt, Batches(self.task, plan, self.step) as batches:
            while (done := plan.done(self.step, self.clock.seconds())) < 1:
                if interrupt.asked or (plan.go and self.clock.go() > plan.go):
                    break
                self._learn(batches, done)
                note = f"step {self.step}, {self.clock.seconds():.0f} s, {self.curves.note()}"
                self.progress(int(TICKS * done), TICKS, note)
                self._keep()
            self._save()
            if interrupt.asked:
                raise Stopped(f"Stopped at step {self.step}. The same command goes on from there.")
            self._look()
            self.curves.write()

    def _learn(self, batches: Batches, done: float) -> None:
        """One step of the optimiser; none where a number is not one."""
        plan, task, step = self.plan, self.task, self.step
        rate = plan.rate_at(step, done)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["scale"]
        fine = True
        for part in range(plan.accumulate):
            batch = move(next(batches), self.device)
            torch.manual_seed(_seed(plan.seed, step * plan.accumulate + part))
            with torch.autocast(self.device.type, torch.bfloat16, enabled=plan.use_bf16):
                loss, parts = task.loss(batch, step, done)
            if not (fine := fine and math.isfinite(loss.item())):
                break
            (loss / plan.accumulate).backward()  # type: ignore[no-untyped-call]
            self.curves.add(parts)
        batches.skip_to((step + 1) * plan.accumulate)
        learn = [p for group in self.optimiser.param_groups for p in group["params"]]
        if fine and math.isfinite(nn.utils.clip_grad_norm_(learn, plan.clip).item()):
            self.optimiser.step()
            self.average.update()
            self.failed = 0
        else:
            self._skip()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        if self.step % plan.log == 0:
            self.curves.log(self.step, self.clock.seconds(), rate)

    def _skip(self) -> None:
        self.failed += 1
        self.skipped += 1
        self.average.mend()
        if self.failed >= PATIENCE:
            raise Diverged(
                f"The loss was not a number for {PATIENCE} steps in a row, at step {self.step}. "
                f"Go on from {self.out / NAME} with a lower --rate or another --seed."
            )

    def _keep(self) -> None:
        """Look and save when it is time to."""
        now = time.monotonic()
        if now - self.looked > self.plan.look:
            self._look()
        if now - self.saved > self.plan.save:
            self._save()

    def _look(self) -> None:
        """Validate, draw a preview and export, all with the averaged weights."""
        with self.average.in_place(), torch.inference_mode():
            measured = self.task.validate()
            self.task.preview(self.out / f"preview-{self.step:07d}.png")
            self.task.export(self.out / "weights.safetensors")
        self.curves.measure(self.step, self.clock.seconds(), measured)
        self.looked = time.monotonic()

    def _save(self) -> None:
        state = Checkpoint(
            self.step, self.clock.seconds(), self.skipped, self.average.count,
            self.module.state_dict(), self.average.weights, self.optimiser.state_dict(),
        )  # fmt: skip
        write_checkpoint(state, self.out)
        self.curves.write()
        self.saved = time.monotonic()

    def _resume(self) -> float:
        """Take up the newest checkpoint; returns the seconds spent before."""
        state = read_checkpoint(self.out, self.device, self.module)
        if state is None:
            return 0.0
        self.module.load_state_dict(state.module)
        self.optimiser.load_state_dict(state.optimiser)
        for name, weight in state.average.items():
            self.average.weights[name].copy_(weight)
        self.average.count, self.step, self.skipped = state.averaged, state.step, state.skipped
        self.curves.resume(state.step)
        return state.seconds


def _seed(seed: int, index: int) -> int:
    """Of torch's generators at one batch, 63 bits."""
    return int(np.random.default_rng((seed, index, 1)).integers(2**63))
