"""Turns at the generator: one at a time, the most urgent first, together where they fit."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from core import U8
from engines.video.live import BrokenWindow
from runtime.compute import Compute


class Stream:
    """Stands for a `LiveStream`: fits others of its kind."""

    def __init__(self, name: int, kind: int = 0) -> None:
        self.name, self.kind = name, kind

    def fits(self, other: Stream) -> bool:
        return self.kind == other.kind


class Recorder:
    """Makes pictures of the streams' names, and notes who went together."""

    def __init__(self, seconds: float = 0.02) -> None:
        self.seconds = seconds
        self.runs: list[list[int]] = []
        self.inside = 0

    def __call__(self, streams: Sequence[Any], asked: Sequence[Any]) -> Sequence[U8 | Exception]:
        self.inside += 1
        assert self.inside == 1
        self.runs.append([s.name for s in streams])
        time.sleep(self.seconds)
        self.inside -= 1
        if streams[0].kind == 9:
            raise MemoryError("none left")
        return [
            BrokenWindow("no picture") if s.name == 7 else np.full((1, 1), s.name, np.uint8)
            for s in streams
        ]


def ask(compute: Compute, streams: list[Stream], deadlines: list[float]) -> list[Any]:
    """All at once, while somebody is being served."""
    ready = threading.Barrier(len(streams) + 1)

    def one(stream: Stream, deadline: float) -> Any:
        ready.wait()
        try:
            return int(compute.window(stream, None, deadline)[0, 0])  # type: ignore[arg-type]
        except Exception as error:
            return type(error)

    with ThreadPoolExecutor(len(streams) + 1) as pool:
        blocking = pool.submit(compute.window, Stream(99, 5), None, -1.0)  # type: ignore[arg-type]
        while not compute._busy:
            time.sleep(0.001)
        made = [pool.submit(one, s, d) for s, d in zip(streams, deadlines, strict=True)]
        ready.wait()
        blocking.result()
        return [future.result() for future in made]


def test_the_most_urgent_comes_first() -> None:
    recorder = Recorder(0.1)
    compute = Compute(make=recorder)
    assert ask(compute, [Stream(i) for i in range(5)], [5, 3, 4, 1, 2]) == [0, 1, 2, 3, 4]
    assert recorder.runs == [[99], [3], [4], [1], [2], [0]]


def test_those_that_fit_go_together() -> None:
    recorder = Recorder(0.1)
    compute = Compute(3, make=recorder)
    streams = [Stream(i, kind=i % 2) for i in range(7)]
    assert ask(compute, streams, [0, 1, 2, 3, 4, 5, 6]) == list(range(7))
    assert recorder.runs == [[99], [0, 2, 4], [1, 3, 5], [6]]


@pytest.mark.parametrize("at_once", [1, 4])
def test_what_breaks_one_breaks_no_other(at_once: int) -> None:
    compute = Compute(at_once, make=Recorder())
    streams = [Stream(6), Stream(7), Stream(8), Stream(1, kind=9)]
    assert ask(compute, streams, [1, 2, 3, 4]) == [6, BrokenWindow, 8, MemoryError]
    assert ask(compute, [Stream(3)], [0]) == [3]  # and it goes on
