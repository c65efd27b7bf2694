"""Batches of a task, made ahead and brought to the device."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from engines.video.plan import Plan

if TYPE_CHECKING:
    from engines.video.training import Task


class Batches:
    """Batches of a task in order, made ahead by threads, so that decoding overlaps computing."""

    def __init__(self, task: Task, plan: Plan, step: int) -> None:
        self._task, self._plan = task, plan
        self._next = step * plan.accumulate
        self._first = self._next
        self._made: deque[Future[Any]] = deque()
        self._pool = ThreadPoolExecutor(plan.workers, "batch")

    def __enter__(self) -> Batches:
        for _ in range(2 * self._plan.workers):
            self._order()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __next__(self) -> Any:
        self._order()
        self._first += 1
        return self._made.popleft().result()

    def skip_to(self, index: int) -> None:
        """Throw away what comes before batch ``index``."""
        while self._first < index:
            next(self)

    def _order(self) -> None:
        rng = np.random.default_rng((self._plan.seed, self._next))
        self._made.append(self._pool.submit(self._task.batch, rng, self._plan.batch))
        self._next += 1


def move(batch: Any, device: torch.device) -> Any:
    """A batch on the device; arrays become tensors, what is neither stays."""
    match batch:
        case np.ndarray():
            return move(torch.from_numpy(batch), device)
        case Tensor():
            if device.type == "cuda":
                batch = batch.pin_memory()
            return batch.to(device, non_blocking=True)
        case dict():
            return {name: move(value, device) for name, value in batch.items()}
        case tuple() | list():
            return type(batch)(move(value, device) for value in batch)
    if is_dataclass(batch) and not isinstance(batch, type):
        parts = {f.name: move(getattr(batch, f.name), device) for f in fields(batch)}
        return replace(batch, **parts)
    return batch
