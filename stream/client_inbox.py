"""A bounded queue between one that must not wait and one that may be slow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

from core import SaccadeError

T = TypeVar("T")


class Inbox(Generic[T]):
    """What waits to be taken; when it is full the oldest is dropped."""

    def __init__(self, most: int) -> None:
        self._items: deque[T] = deque(maxlen=most)
        self._ended = False
        self._error: SaccadeError | None = None
        self._news = asyncio.Event()

    def put(self, item: T) -> None:
        """Add one."""
        self._items.append(item)
        self._news.set()

    def end(self, error: SaccadeError | None = None) -> None:
        """Nothing follows, because of ``error`` if there is one; the first end counts."""
        if not self._ended:
            self._ended, self._error = True, error
        self._news.set()

    async def items(self) -> AsyncIterator[T]:
        """Those that wait and those to come, until the end. Raises the error that it had."""
        while True:
            while self._items:
                yield self._items.popleft()
            if self._ended:
                if self._error is not None:
                    raise self._error
                return
            self._news.clear()
            await self._news.wait()
