"""A bounded queue between one that must not wait and one that may be slow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Inbox(Generic[T]):
    """What waits to be taken; when it is full the oldest is dropped."""

    def __init__(self, most: int) -> None:
        self._items: deque[T] = deque(maxlen=most)
        self._ended = False
        self._news = asyncio.Event()

    def put(self, item: T) -> None:
        """Add one."""
        self._items.append(item)
        self._news.set()

    def end(self) -> None:
        """Nothing follows."""
        self._ended = True
        self._news.set()

    async def items(self) -> AsyncIterator[T]:
        """Those that wait and those to come, until the end."""
        while True:
            while self._items:
                yield self._items.popleft()
            if self._ended:
                return
            self._news.clear()
            await self._news.wait()
