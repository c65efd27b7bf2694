"""Events of a session and the bounded feeds that carry them to whoever listens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final

FEED_LIMIT: Final = 256
"Events a slow listener may have waiting before the oldest expendable ones go."
EXPENDABLE: Final = frozenset({"controls", "stats", "plan"})
"Event types that a later one makes obsolete; everything else is only dropped as a last resort."


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a session, or will happen at ``pts``."""

    type: str
    data: dict[str, Any] = field(default_factory=dict)
    pts: int = 0
    "Media time it belongs to, 16 kHz samples since the session began."
    cause: str | None = None
    "Id of the command that caused it."


class EventFeed:
    """One listener's queue. ``async for event in feed`` ends when the session does."""

    def __init__(self, hub: EventHub) -> None:
        self._hub = hub
        self._events: deque[Event] = deque()
        self._ready = asyncio.Event()
        self._closed = False

    def put(self, event: Event) -> None:
        """Queue an event; when full, make room by dropping the oldest expendable one."""
        if self._closed:
            return
        if len(self._events) >= FEED_LIMIT:
            stale = next((e for e in self._events if e.type in EXPENDABLE), self._events[0])
            self._events.remove(stale)
        self._events.append(event)
        self._ready.set()

    def close(self) -> None:
        """Let the listener take what is queued, then end."""
        self._closed = True
        self._ready.set()

    async def __aenter__(self) -> EventFeed:
        self._hub.feeds.add(self)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._hub.feeds.discard(self)
        self.close()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._ready.clear()
            await self._ready.wait()
        return self._events.popleft()


class EventHub:
    """Where a session publishes; every open feed gets every event."""

    def __init__(self) -> None:
        self.feeds: set[EventFeed] = set()
        self._closed = False

    def publish(self, event: Event) -> None:
        """Hand ``event`` to all listeners. Never blocks."""
        for feed in self.feeds:
            feed.put(event)

    def subscribe(self) -> EventFeed:
        """A new feed; it receives events while it is entered (``async with``)."""
        feed = EventFeed(self)
        if self._closed:
            feed.close()
        return feed

    def close(self) -> None:
        """End all feeds. Closing twice is fine."""
        self._closed = True
        for feed in self.feeds:
            feed.close()
