"""How long, how fast and on what to train."""

from __future__ import annotations

import argparse
import math
import re
from dataclasses import dataclass, fields
from typing import Final, Literal, TypeAlias

import torch

from core import InvalidInput

Precision: TypeAlias = Literal["auto", "bf16", "fp32"]
FLOOR: Final = 0.02
"The learning rate at the end, as a share of the highest (free)."
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train."""

    steps: int = 10_000
    "Counts only where no budget is given."
    budget: float = 0.0
    """Seconds of wall clock over all goes, validations included; 0 for none. A larger budget given
    later stretches the schedule of what is left."""
    go: float = 0.0
    "Seconds after which this go ends with a checkpoint; 0 for never."
    batch: int = 16
    accumulate: int = 1
    "Batches a step."
    rate: float = 3e-4
    warm: int = 200
    "Steps over which the learning rate rises."
    decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.98)
    clip: float = 1.0
    "Largest norm of the gradient."
    average: float = 0.999
    "Decay of the running average of the weights, once warm."
    precision: Precision = "auto"
    "bf16 keeps weights, their average and the optimiser in float32."
    device: str = "auto"
    compile: bool = False
    "Helps a loss that goes through ``module(...)``."
    threads: int = 0
    "Of torch; 0 leaves them."
    workers: int = 1
    "Threads that make batches."
    seed: int = 1
    log: int = 20
    "Steps between points of the curves."
    look: float = 600.0
    "Seconds between validations, previews and exports."
    save: float = 300.0
    "Seconds between checkpoints."

    def done(self, step: int, seconds: float) -> float:
        """The share of the training made; at 1 it ends."""
        return min(seconds / self.budget if self.budget else step / max(1, self.steps), 1.0)

    def rate_at(self, step: int, done: float) -> float:
        """Learning rate: a linear rise, then half a cosine down to `FLOOR`."""
        fall = FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * done))
        return self.rate * min(1.0, (step + 1) / max(1, self.warm)) * fall

    @property
    def device_name(self) -> str:
        """Where to train: cuda where there is one, unless said otherwise."""
        if self.device != "auto":
            return self.device
        return "cuda" if torch.cuda.is_available() else "cpu"

    @property
    def use_bf16(self) -> bool:
        """Whether to compute in bfloat16: by default where there is arithmetic for it."""
        if self.precision != "auto":
            return self.precision == "bf16"
        if self.device_name.startswith("cuda"):
            return bool(torch.cuda.is_bf16_supported())
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def seconds_of(text: str) -> float:
    """``90s``, ``30m``, ``2h``, ``1h30m`` or a number of seconds.

    Raises:
        InvalidInput: It is none of these.
    """
    found = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", text)
    if not found or not text:
        raise InvalidInput(f"{text!r} is no time. Write 90s, 30m, 2h or 1h30m.")
    parts = zip(found.groups(), (_UNITS["h"], _UNITS["m"], _UNITS["s"]), strict=True)
    return sum(float(part) * unit for part, unit in parts if part)


def add_plan_arguments(parser: argparse.ArgumentParser, default: Plan) -> None:
    """The options that `plan_of` reads."""
    add = parser.add_argument
    add("--steps", type=int, default=default.steps, help="how many, where no --budget is given")
    add("--budget", default="0", metavar="TIME", help="wall clock over all goes: 30m, 2h, …")
    add("--go", default="0", metavar="TIME", help="end this go, to be taken up later, after that")
    add("--batch", type=int, default=default.batch)
    add("--accumulate", type=int, default=default.accumulate, help="batches a step")
    add("--rate", type=float, default=default.rate, help="highest learning rate")
    add("--warm", type=int, default=default.warm, help="steps until then")
    add("--average", type=float, default=default.average, help="decay of the weights' average")
    add("--precision", choices=("auto", "bf16", "fp32"), default=default.precision)
    add("--device", default=default.device, help="cpu, cuda, cuda:1, …; by default what is there")
    add("--compile", action="store_true", help="compile the network first (takes minutes)")
    add("--threads", type=int, default=default.threads, help="of torch")
    add("--workers", type=int, default=default.workers, help="threads that make batches")
    add("--seed", type=int, default=default.seed)
    add("--look", default=str(default.look), metavar="TIME", help="between validations")
    add("--save", default=str(default.save), metavar="TIME", help="between checkpoints")


def plan_of(options: argparse.Namespace) -> Plan:
    """The plan that the options ask for.

    Raises:
        InvalidInput: One of the times is none, or a number is out of range.
    """
    names = {f.name for f in fields(Plan)}
    values = {name: value for name, value in vars(options).items() if name in names}
    for name in ("budget", "go", "look", "save"):
        values[name] = seconds_of(values[name])
    plan = Plan(**values)
    if min(plan.batch, plan.accumulate, plan.workers) < 1 or plan.rate <= 0:
        raise InvalidInput("--batch, --accumulate, --workers and --rate are above 0.")
    return plan
