"""The loop of all stages: exact to resume, bounded in time, not to be led astray by a NaN."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from core import InvalidInput, Unavailable
from engines.video import training, weights
from engines.video.batches import Batches
from engines.video.checkpoint import NAME, PREVIOUS
from engines.video.plan import Plan, seconds_of
from engines.video.training import PATIENCE, Average, Diverged, Stopped, fit, groups_of
from engines.video.weights import read_weights, save_weights

QUICK = Plan(steps=12, batch=4, rate=1e-2, warm=3, precision="fp32", device="cpu", threads=1, log=4)


class Line:
    """A task: a small network with dropout and running statistics learns a line."""

    def __init__(self, broken: frozenset[int] = frozenset(), stop: int = -1) -> None:
        torch.manual_seed(0)
        self.module: nn.Module = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 1)
        )
        self.broken, self.stop = broken, stop
        self.steps: list[tuple[int, float]] = []
        self.validated: list[Tensor] = []

    def groups(self) -> list[dict[str, Any]]:
        return groups_of(self.module)

    def batch(self, rng: np.random.Generator, size: int) -> Tensor:
        return torch.from_numpy(rng.standard_normal((size, 3)).astype(np.float32))

    def loss(self, batch: Tensor, step: int, done: float) -> tuple[Tensor, Mapping[str, Tensor]]:
        self.steps.append((step, done))
        if step == self.stop and (step, done) not in self.steps[:-1]:
            os.kill(os.getpid(), signal.SIGTERM)
        if step in self.broken:
            batch = batch * torch.nan
        loss = (self.module(batch)[:, 0] - batch.sum(1)).square().mean()
        return loss, {"square": loss}

    def validate(self) -> dict[str, float]:
        assert not self.module.training
        self.validated.append(next(self.module.parameters()).detach().clone())
        return {"first": float(self.validated[-1].flatten()[0])}

    def preview(self, path: Path) -> None:
        path.write_bytes(b"")

    def export(self, path: Path) -> None:
        save_weights(self.module, {"width": 8}, path)


def quiet(done: int, total: int, note: str) -> None:
    assert 0 <= done <= total


def state(task: Line) -> dict[str, Tensor]:
    return task.module.state_dict()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_resumed_is_uninterrupted(tmp_path: Path, accumulate: int) -> None:
    """SIGTERM in the middle, then the same command again: bit-equal weights and averages."""
    plan = replace(QUICK, accumulate=accumulate)
    whole, first, second = Line(), Line(stop=5), Line()
    fit(whole, plan, tmp_path / "whole", quiet)
    with pytest.raises(Stopped, match="step 6"):
        fit(first, plan, tmp_path / "cut", quiet)
    assert first.steps[-1][0] == 5
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    fit(second, plan, tmp_path / "cut", quiet)
    assert second.steps[0][0] == 6
    for name, value in state(whole).items():
        assert torch.equal(value, state(second)[name]), name
    one, other = (torch.load(tmp_path / f / NAME, weights_only=True) for f in ("whole", "cut"))
    assert one["step"] == other["step"] == 12
    for name, value in one["average"].items():
        assert torch.equal(value, other["average"][name]), name
    assert (tmp_path / "cut" / PREVIOUS).exists()
    assert (tmp_path / "cut" / "preview-0000012.png").exists()
    assert not list(tmp_path.glob("*/*.part"))


def test_curves_go_on(tmp_path: Path) -> None:
    """The table of two goes has every interval once, and the picture is there."""
    with pytest.raises(Stopped):
        fit(Line(stop=9), QUICK, tmp_path, quiet)
    fit(Line(), QUICK, tmp_path, quiet)
    with (tmp_path / "curves.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(r["step"]) for r in rows if r["name"] == "square"] == [4, 8, 12]
    assert [r["step"] for r in rows if r["name"] == "held_first"] == ["12"]
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_validation_sees_the_average(tmp_path: Path) -> None:
    """What is measured and exported is the running average; training goes on from the rest."""
    task = Line()
    fit(task, QUICK, tmp_path, quiet)
    saved = torch.load(tmp_path / NAME, weights_only=True)["average"]
    assert torch.equal(task.validated[-1], saved["0.weight"])
    assert not torch.equal(state(task)["0.weight"], saved["0.weight"])
    config, tensors = read_weights(tmp_path / "weights.safetensors")
    assert config == {"width": 8}
    torch.testing.assert_close(tensors["0.weight"], saved["0.weight"], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(
        tensors["1.running_mean"], saved["1.running_mean"], atol=1e-3, rtol=1e-3
    )


def test_nan_is_skipped(tmp_path: Path) -> None:
    """A few broken steps leave no trace in weights or statistics; many end the training."""
    task = Line(broken=frozenset({3, 7}))
    fit(task, QUICK, tmp_path / "some", quiet)
    assert all(bool(value.isfinite().all()) for value in state(task).values())
    saved = torch.load(tmp_path / "some" / NAME, weights_only=True)
    assert (saved["skipped"], saved["averaged"]) == (2, 10)
    plan = replace(QUICK, steps=100)
    hopeless = Line(broken=frozenset(range(5, 100)))
    with pytest.raises(Diverged, match="20 steps in a row"):
        fit(hopeless, plan, tmp_path / "many", quiet)
    assert hopeless.steps[-1][0] == 5 + PATIENCE - 1


class Ticks:
    """A clock that moves on by 5 ms whenever somebody looks."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 0.005
        return self.now


def test_budget_adds_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Goes of 0.6 s share a budget of one: what is done of it only grows, and then it is over."""
    monkeypatch.setattr(training, "time", Ticks())
    plan = replace(QUICK, budget=1.0, go=0.6)
    first, second, third = Line(), Line(), Line()
    fit(first, plan, tmp_path, quiet)
    fit(second, plan, tmp_path, quiet)
    done = [d for _, d in first.steps + second.steps]
    assert done == sorted(done)
    assert 0.5 < first.steps[-1][1] < 0.62 < second.steps[0][1] + 0.1
    assert 0.9 < second.steps[-1][1] < 1
    assert [s for s, _ in first.steps + second.steps] == list(range(len(done)))
    fit(third, plan, tmp_path, quiet)
    assert not third.steps


def test_rate() -> None:
    """Rises while warm, falls to nearly nothing, whatever counts the time."""
    plan = Plan(steps=100, warm=10, rate=1.0)
    rates = [plan.rate_at(step, plan.done(step, 0.0)) for step in range(100)]
    assert np.argmax(rates) == 9
    assert rates[0] == pytest.approx(0.1)
    assert rates[-1] < 0.03
    timed = Plan(budget=10.0)
    assert [timed.done(10**6, s) for s in (0.0, 5.0, 20.0)] == [0.0, 0.5, 1.0]


@given(st.integers(0, 99), st.integers(0, 59), st.integers(0, 59))
def test_times(hours: int, minutes: int, seconds: int) -> None:
    assert seconds_of(f"{hours}h{minutes}m{seconds}s") == 3600 * hours + 60 * minutes + seconds


@pytest.mark.parametrize("text", ["", "h", "2x", "-1", "m5", "1 h"])
def test_no_time(text: str) -> None:
    with pytest.raises(InvalidInput, match="is no time"):
        seconds_of(text)


def test_other_network(tmp_path: Path) -> None:
    """A checkpoint of another network is refused by name and left alone."""
    fit(Line(), QUICK, tmp_path, quiet)
    before = (tmp_path / NAME).read_bytes()
    task = Line()
    task.module = nn.Sequential(nn.Linear(3, 1))
    with pytest.raises(InvalidInput, match="another network"):
        fit(task, QUICK, tmp_path, quiet)
    assert (tmp_path / NAME).read_bytes() == before
    (tmp_path / NAME).write_bytes(before[: len(before) // 2])
    with pytest.raises(InvalidInput, match="can not be read"):
        fit(Line(), QUICK, tmp_path, quiet)


def test_batches_in_order() -> None:
    """Threads make them ahead; order and content depend on seed and number alone."""
    task = Line()
    plan = Plan(batch=2, workers=3, seed=5)
    with Batches(task, plan, 0) as one:
        all_ = [next(one) for _ in range(9)]
    with Batches(task, plan, 4) as later:
        later.skip_to(6)
        assert torch.equal(next(later), all_[6])
    rng = np.random.default_rng((5, 3))
    assert torch.equal(all_[3], task.batch(rng, 2))


def test_average_is_warm_at_once() -> None:
    """The average of a constant is that constant after few steps, whatever the decay."""
    module = nn.Linear(1, 1, bias=False)
    average = Average(module, 0.9999)
    with torch.no_grad():
        module.weight.fill_(3.0)
    for _ in range(100):
        average.update()
    assert float(average.weights["weight"]) == pytest.approx(3.0, abs=1e-3)


def test_weights_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too large for one file is found again among several; a missing one is named."""
    monkeypatch.setattr(weights, "LARGEST", 100)
    module = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Linear(8, 5))
    path = tmp_path / "w.safetensors"
    save_weights(module, {"sizes": [1, 2]}, path)
    config, tensors = read_weights(path)
    assert config == {"sizes": [1, 2]}
    assert set(tensors) == set(module.state_dict())
    for name, value in module.state_dict().items():
        torch.testing.assert_close(tensors[name], value, atol=1e-3, rtol=1e-3)
    (tmp_path / "w-2.safetensors").unlink()
    with pytest.raises(Unavailable, match="w-2.safetensors is missing"):
        read_weights(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InvalidInput, match="holds no weights"):
        read_weights(path)
