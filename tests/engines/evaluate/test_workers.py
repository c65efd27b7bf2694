"""A process that dies takes nothing with it but the item it died of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engines.evaluate.workers import Workers, in_order

_given = 0


def begin(given: int) -> None:
    global _given
    _given = given


def work(item: int) -> int:
    if item % 10 == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    if item < 0:
        raise ValueError("no")
    return item + _given


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_results_come_in_order_and_deaths_are_told() -> None:
    found = list(in_order(range(5, 12), work, begin=begin, given=(100,), workers=2))
    assert found == [(5, 105), (6, 106), (7, None), *((n, n + 100) for n in range(8, 12))]


def test_a_consumer_may_stop_and_little_is_taken_ahead() -> None:
    taken = []

    def items() -> Iterator[int]:
        for n in (10, 11, 12, 13, 14, 15, 16):
            taken.append(n)
            yield n

    for item, _ in in_order(items(), work, begin=begin, given=(0,), workers=1):
        assert item == 10
        break
    assert len(taken) <= 3


def test_what_work_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="no"):
        list(in_order([-1], work, begin=begin, given=(0,), workers=1))


def test_processes_stay_for_work_of_another_kind_and_after_one_died() -> None:
    with Workers(1, begin, (100,)) as pool:
        first = [found for _, found in pool.in_order([1, 2], where)]
        assert [found for _, found in pool.in_order([1], where)] == first[:1] == first[1:]
        assert list(pool.in_order([7, 8], work)) == [(7, None), (8, 108)]
        assert [found for _, found in pool.in_order([1], where)] != first[:1]


def where(item: int) -> int:
    return os.getpid()


def test_processes_end_with_the_one_that_began_them() -> None:
    """Killed, it can tell nobody; each of them would keep its networks' gigabyte."""
    code = """
import os, signal
from engines.evaluate.workers import Workers
from tests.engines.evaluate.test_workers import begin, where
[(_, worker)] = Workers(1, begin, (0,)).in_order([1], where)
print(worker, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    worker, until = int(killed.stdout), time.monotonic() + 5
    assert killed.returncode == -signal.SIGKILL
    while Path(f"/proc/{worker}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{worker}").exists()
