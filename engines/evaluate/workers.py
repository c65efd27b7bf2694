"""Work on many files in several processes, where any file may bring a process down."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing import get_context, parent_process
from threading import Thread
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_order(items: Iterable[T], work: Callable[[T], R], *, begin: Callable[..., None],
             given: tuple[Any, ...], workers: int) -> Iterator[tuple[T, R | None]]:  # fmt: skip
    """``work`` on every item, in processes of its own; see `Workers`."""
    with Workers(workers, begin, given) as pool:
        yield from pool.in_order(items, work)


class Workers:
    """Processes that stay while there is work of several kinds for them. Close it.

    Args:
        count: Processes, at least 1.
        begin: A function of a module, called first in every process, with ``given``.
    """

    def __init__(self, count: int, begin: Callable[..., None], given: tuple[Any, ...]) -> None:
        self._count, self._begin, self._given = count, begin, given
        self._pool = self._open(count)

    def in_order(self, items: Iterable[T], work: Callable[[T], R]) -> Iterator[tuple[T, R | None]]:
        """``work`` on every item; results in the order of the items.

        When a process dies, the item that is waited for is done again in a process of its own, so
        that who killed it is known; the others go on in new ones.

        Args:
            items: Not many are taken ahead, so that a consumer may stop early.
            work: A function of a module; what it raises is raised here.

        Returns:
            Items and their results, None where the process died of it.
        """
        left = iter(items)
        ahead: deque[tuple[T, Future[R]]] = deque()
        while True:
            for item in islice(left, 2 * self._count - len(ahead)):
                ahead.append((item, _submit(self._pool, work, item)))
            if not ahead:
                return
            item, future = ahead.popleft()
            try:
                yield item, future.result()
            except BrokenProcessPool:
                self._pool.shutdown(wait=False, cancel_futures=True)
                with self._open(1) as alone:
                    try:
                        found: R | None = alone.submit(work, item).result()
                    except BrokenProcessPool:
                        found = None
                self._pool = self._open(self._count)
                ahead = deque((item, _submit(self._pool, work, item)) for item, _ in ahead)
                yield item, found

    def close(self) -> None:
        """End the processes, when each has done what it is at; idempotent."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _open(self, size: int) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            size,
            mp_context=get_context("spawn"),
            initializer=_begin,
            initargs=(self._begin, self._given),
        )


def _begin(begin: Callable[..., None], given: tuple[Any, ...]) -> None:
    """What every process does first."""
    # A pool's processes wait for work for ever when theirs is killed, each with its networks.
    Thread(target=_leave_after_parent, daemon=True).start()
    begin(*given)


def _leave_after_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
    os._exit(1)


def _submit(pool: ProcessPoolExecutor, work: Callable[[T], R], item: T) -> Future[R]:
    try:
        return pool.submit(work, item)
    except BrokenProcessPool as error:  # broken since: told when its turn comes
        failed: Future[R] = Future()
        failed.set_exception(error)
        return failed
