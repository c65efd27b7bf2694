"""What hearing costs: ``python -m engines.audio speed``, one core, frame by frame as it is live."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from core import F32, SAMPLES_PER_FRAME
from engines.audio.encoder import WEIGHTS, AudioEncoder

MACS_PER_FRAME = 2 * 1_610_000 + 4 * (400 * 514 + 257 * 64)
"Multiplications of two tokens through the network and four spectra before it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--frames", type=int, default=2_000, help="video frames timed")


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Print a table: milliseconds for 40 ms of sound, against the floor."""
    count = max(50, options.frames)
    rng = np.random.default_rng(0)
    sound = (0.1 * rng.standard_normal((count, SAMPLES_PER_FRAME))).astype(np.float32)
    graphs = [WEIGHTS / "encoder.onnx", WEIGHTS / "encoder.int8.onnx"]
    taken = [_time(graph, sound, progress) for graph in graphs]
    floor = 1e3 * MACS_PER_FRAME * 2 / _peak()
    print("\n\n| graph | MB | ms per 40 ms, median | 95 % | of real time |")
    print("|---|---|---|---|---|")
    for graph, times in zip(graphs, taken, strict=True):
        median, high = np.percentile(times, [50, 95])
        size = graph.stat().st_size / 1e6
        print(f"| {graph.name} | {size:.1f} | {median:.2f} | {high:.2f} | {median / 40:.1%} |")
    print(f"\nFloor at the matrix rate of one core in fp32: {floor:.3f} ms.")


def _time(graph: Path, sound: F32, progress: Callable[[int, int, str], None]) -> list[float]:
    encoder = AudioEncoder(40, graph=graph)
    times: list[float] = []
    for k, frame in enumerate(sound):
        began = time.perf_counter()
        encoder.push(frame)
        times.append(1e3 * (time.perf_counter() - began))
        if k % 100 == 0:
            progress(k, len(sound), graph.name)
    return times[20:]


def _peak() -> float:
    """Operations a second of a matrix product on this core, fp32."""
    a = np.ones((768, 768), np.float32)
    best = 1e9
    with threadpool_limits(1):
        for _ in range(12):
            began = time.perf_counter()
            a @ a
            best = min(best, time.perf_counter() - began)
    return 2 * 768**3 / best
