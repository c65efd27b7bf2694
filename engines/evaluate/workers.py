"""Work on many files in several processes, where any file may bring a process down."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(items: Iterable[T], work: Callable[[T], R], *, begin: Callable[..., None],
             given: tuple[Any, ...], workers: int) -> Iterator[tuple[T, R | None]]:  # fmt: skip
    """``work`` on every item, in processes; results in the order of the items.

    When a process dies, the item that is waited for is done again in a process of its own, so that
    who killed it is known; the others go on in new ones.

    Args:
        items: Not many are taken ahead, so that a consumer may stop early.
        work: A function of a module; what it raises is raised here.
        begin: Called first in every process, with ``given``.
        workers: Processes, at least 1.

    Returns:
        Items and their results, None where the process died of it.
    """

    def pool_of(size: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            size, mp_context=get_context("spawn"), initializer=begin, initargs=given
        )

    left = iter(items)
    ahead: deque[tuple[T, Future[R]]] = deque()
    pool = pool_of(workers)
    try:
        while True:
            for item in islice(left, 2 * workers - len(ahead)):
                ahead.append((item, _submit(pool, work, item)))
            if not ahead:
                return
            item, future = ahead.popleft()
            try:
                yield item, future.result()
            except BrokenProcessPool:
                pool.shutdown(wait=False, cancel_futures=True)
                with pool_of(1) as alone:
                    try:
                        found: R | None = alone.submit(work, item).result()
                    except BrokenProcessPool:
                        found = None
                pool = pool_of(workers)
                ahead = deque((item, _submit(pool, work, item)) for item, _ in ahead)
                yield item, found
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, work: Callable[[T], R], item: T) -> Future[R]:
    try:
        return pool.submit(work, item)
    except BrokenProcessPool as error:  # broken since: told when its turn comes
        failed: Future[R] = Future()
        failed.set_exception(error)
        return failed
