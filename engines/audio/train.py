"""Train the audio encoder: ``python -m engines.audio train``.

Resumable at any step: step n draws its batch from a generator seeded by (seed, n), and the
checkpoint holds weights, their running average, the optimiser and the step.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn

from core import MOUTH, MOUTH_CHANNELS
from engines.audio.bank import Bank, open_bank
from engines.audio.network import MEL_RANGE, AudioNetwork, Shape
from engines.audio.visemes import VISEMES

TOKENS: Final = 250
"Length of a training window: 5 s, as far as the network sees back."
_V, _M = len(VISEMES), len(MOUTH_CHANNELS)
_MOUTH_WEIGHT: Final[dict[str, float]] = {"jaw": 2.0, "press": 3.0, "tuck": 3.0, "pucker": 1.5}
_RARE: Final = 0.35
"Classes count with their frequency to minus this power (free)."


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train."""

    steps: int = 8_000
    batch: int = 32
    rate: float = 2e-3
    warm: int = 200
    decay: float = 0.02
    average: float = 0.998
    seed: int = 1
    every: int = 500
    "Steps between validations and checkpoints."


def batch_of(bank: Bank, size: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Random windows: mels float32 ``[B, 2 T, mels]``, rows float32 ``[B, T, 26]``."""
    starts = rng.integers(0, len(bank.rows) - TOKENS, size)
    mels = np.stack([bank.mels[2 * s : 2 * (s + TOKENS)] for s in starts])
    rows = np.stack([bank.rows[s : s + TOKENS] for s in starts])
    return torch.from_numpy(mels).float(), torch.from_numpy(rows).float()


def stretch(mels: Tensor, rng: np.random.Generator) -> Tensor:
    """Another vocal tract: the frequencies of each window scaled by 0.86 to 1.16.

    Source: Jaitly & Hinton, "Vocal tract length perturbation (VTLP) improves speech recognition",
    ICML workshop on deep learning for audio, speech and language processing, 2013.
    """
    size, hops, bands = mels.shape
    low, high = (2595.0 * np.log10(1.0 + f / 700.0) for f in MEL_RANGE)
    centres = np.linspace(low, high, bands + 2)[1:-1]
    hertz = 700.0 * (10.0 ** (centres / 2595.0) - 1.0)
    scaled = hertz[None] * np.exp(rng.uniform(-0.15, 0.15, (size, 1)))
    at = (2595.0 * np.log10(1.0 + scaled / 700.0) - centres[0]) / (centres[1] - centres[0])
    at = np.clip(at, 0.0, bands - 1.001)
    below = torch.from_numpy(at.astype(np.int64))[:, None].expand(size, hops, bands)
    share = torch.from_numpy(at % 1.0).float()[:, None]
    return mels.gather(2, below) * (1.0 - share) + mels.gather(2, below + 1) * share


def vary(mels: Tensor, rng: np.random.Generator) -> Tensor:
    """Another tract, level, stationary noise, a missing band: among mels, where it costs little."""
    size, _, bands = mels.shape
    power = torch.exp(4.0 * stretch(mels, rng) - 10.0)
    gain = 10.0 ** (rng.uniform(-18, 10, (size, 1, 1)) / 10.0)
    tilt = rng.normal(0.0, 1.2, (size, 1, 1)) * np.linspace(-1, 1, bands)
    colour = np.cumsum(rng.normal(0, 0.35, (size, 1, bands)), axis=2)
    floor = np.exp(rng.uniform(-19, -8, (size, 1, 1)) + colour - colour.mean(2, keepdims=True))
    noisy = (rng.random((size, 1, 1)) < 0.6) * floor
    spoilt = power * torch.from_numpy(gain * np.exp(tilt)).float() + torch.from_numpy(noisy).float()
    out = (torch.log(spoilt + 1e-8) + 10.0) * 0.25
    for k in np.flatnonzero(rng.random(size) < 0.3):
        low = int(rng.integers(0, bands - 8))
        out[k, :, low : low + int(rng.integers(2, 9))] = float(out[k].mean())
    return out


class Loss(nn.Module):
    """What the heads must say, summed over the look-aheads."""

    def __init__(self, shape: Shape, bank: Bank) -> None:
        super().__init__()
        stride = max(1, len(bank.rows) // 200_000)
        share = np.asarray(bank.rows[::stride, :_V], np.float32).mean(0) + 1e-3
        weight = share**-_RARE
        self.classes = torch.from_numpy(weight / (weight * share).sum())
        self.channels = torch.tensor([_MOUTH_WEIGHT.get(n, 1.0) for n in MOUTH_CHANNELS])
        self.lookaheads = shape.lookaheads

    def forward(self, heads: Tensor, rows: Tensor) -> tuple[Tensor, dict[str, float]]:
        """Heads ``[B, T, L, 26]`` against rows ``[B, T, 26]`` → the loss and its parts."""
        total = heads.new_zeros(())
        parts: dict[str, float] = {}
        for i, ahead in enumerate(self.lookaheads):
            said = heads[:, ahead + 8 :, i].float()
            true = rows[:, 8 : rows.shape[1] - ahead]
            logs = torch.log_softmax(said[..., :_V], -1)
            viseme = -(true[..., :_V] * self.classes * logs).sum(-1).mean()
            mouth = torch.sigmoid(said[..., _V : _V + _M])
            shape = nn.functional.smooth_l1_loss(
                mouth, true[..., _V : _V + _M], beta=0.05, reduction="none"
            )
            shape = (shape * self.channels).sum(-1).mean()
            active = true[..., -2]
            voice = nn.functional.binary_cross_entropy_with_logits(said[..., -2], active)
            loud = nn.functional.smooth_l1_loss(said[..., -1], true[..., -1], reduction="none")
            loud = (loud * active).mean()
            total = total + viseme + 2.0 * shape + 0.5 * voice + loud
            parts = {
                "viseme": viseme.item(), "mouth": shape.item(), "voice": voice.item(),
                "loud": loud.item(),
            }  # fmt: skip
        return total / len(self.lookaheads), parts


@torch.inference_mode()
def validate(network: AudioNetwork, bank: Bank, loss: Loss, windows: int = 96) -> dict[str, float]:
    """Accuracy of visemes and recall of closures at the longest look-ahead, on unseen voices."""
    rng = np.random.default_rng(0)
    seen: dict[str, float] = {"loss": 0.0}
    right = count = closed = closures = false = opened = 0
    for _ in range(max(1, windows // 32)):
        mels, rows = batch_of(bank, 32, rng)
        _, heads, _ = network(mels)
        seen["loss"] += loss(heads, rows)[0].item() / max(1, windows // 32)
        ahead = network.shape.lookaheads[-1]
        said, true = heads[:, ahead + 8 :, -1], rows[:, 8 : rows.shape[1] - ahead]
        spoken = true[..., -2] > 0.5
        right += int(((said[..., :_V].argmax(-1) == true[..., :_V].argmax(-1)) & spoken).sum())
        count += int(spoken.sum())
        press = _V + MOUTH["press"]
        shut, heard = true[..., press] > 0.7, torch.sigmoid(said[..., press]) > 0.5
        closures, closed = closures + int(shut.sum()), closed + int((shut & heard).sum())
        apart = true[..., press] < 0.2
        false, opened = false + int((apart & heard).sum()), opened + int(apart.sum())
    return seen | {
        "accuracy": right / max(1, count),
        "closed": closed / max(1, closures),
        "false": false / max(1, opened),
    }


def train(
    shape: Shape,
    plan: Plan,
    bank: Bank,
    unseen: Bank,
    folder: Path,
    progress: Callable[[int, int, str], None],
) -> AudioNetwork:
    """Train to the end, from the checkpoint where there is one; returns the averaged network."""
    torch.manual_seed(plan.seed)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = AudioNetwork(shape).to(device)
    average = AudioNetwork(shape).to(device)
    average.load_state_dict(network.state_dict())
    optimiser = torch.optim.AdamW(
        network.parameters(), plan.rate, betas=(0.9, 0.98), weight_decay=plan.decay
    )
    loss = Loss(shape, bank).to(device)
    loss.classes, loss.channels = loss.classes.to(device), loss.channels.to(device)
    folder.mkdir(parents=True, exist_ok=True)
    first = _resume(folder, network, average, optimiser)
    # Emulated, as on most processors, it is six times slower than float32.
    bf16 = device == "cuda" or bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    began = time.monotonic()
    for step in range(first, plan.steps):
        rng = np.random.default_rng([plan.seed, step])
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * _schedule(step, plan)
        mels, rows = batch_of(bank, plan.batch, rng)
        with torch.autocast(device, torch.bfloat16, enabled=bf16):
            _, heads, _ = network(vary(mels, rng).to(device))
        value, parts = loss(heads, rows.to(device))
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        _follow(average, network, min(plan.average, (step + 1) / (step + 10)))
        if (step + 1) % 20 == 0:
            left = (time.monotonic() - began) / (step + 1 - first) * (plan.steps - step - 1)
            progress(step + 1, plan.steps, f"loss {value.item():.3f}, {left / 60:.0f} min left")
        if (step + 1) % plan.every == 0 or step + 1 == plan.steps:
            seen = validate(average.eval(), unseen, loss)
            _log(folder / "curve.csv", {"step": step + 1, "train": value.item()} | parts | seen)
            _save(folder, step + 1, network, average, optimiser)
    return average


def _schedule(step: int, plan: Plan) -> float:
    """Linear warm-up, then half a cosine to 2 %."""
    if step < plan.warm:
        return (step + 1) / plan.warm
    done = (step - plan.warm) / max(1, plan.steps - plan.warm)
    return 0.02 + 0.98 * 0.5 * (1.0 + math.cos(math.pi * done))


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    pairs = zip(average.parameters(), network.parameters(), strict=True)
    for slow, fast in pairs:
        slow.lerp_(fast, 1.0 - keep)


def _save(folder: Path, step: int, network: nn.Module, average: nn.Module, optimiser: Any) -> None:
    state = {
        "step": step, "network": network.state_dict(), "average": average.state_dict(),
        "optimiser": optimiser.state_dict(),
    }  # fmt: skip
    partial = folder / "checkpoint.partial"
    torch.save(state, partial)
    partial.replace(folder / "checkpoint.pt")


def _resume(folder: Path, network: nn.Module, average: nn.Module, optimiser: Any) -> int:
    path = folder / "checkpoint.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def _log(path: Path, row: dict[str, float]) -> None:
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        if fresh:
            writer.writeheader()
        writer.writerow({k: v if isinstance(v, int) else f"{v:.4f}" for k, v in row.items()})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    plan = Plan()
    parser.add_argument("bank", type=Path, help="what to train on (from: bank)")
    parser.add_argument("unseen", type=Path, help="bank of held-out voices")
    parser.add_argument("folder", type=Path, help="checkpoint and curve go here")
    parser.add_argument("--steps", type=int, default=plan.steps)
    parser.add_argument("--batch", type=int, default=plan.batch)
    parser.add_argument("--rate", type=float, default=plan.rate)
    parser.add_argument("--width", type=int, default=Shape().width)
    parser.add_argument("--seed", type=int, default=plan.seed)


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Train as the options say."""
    plan = Plan(steps=options.steps, batch=options.batch, rate=options.rate, seed=options.seed)
    shape = Shape(width=options.width)
    train(shape, plan, open_bank(options.bank), open_bank(options.unseen), options.folder, progress)
