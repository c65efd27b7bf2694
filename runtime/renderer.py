"""What turns a window into pictures: the puppet first, the video DiT behind the same seam."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock
from typing import Final, Protocol

from core import U8, Portrait
from engines.puppet import Puppet
from engines.rig import Rig, build_rig
from runtime.window import Window

RIG_CACHE: Final = 8
"Rigs kept: a rig holds some tens of MB of layers, and most servers show a few portraits."


class Renderer(Protocol):
    """Renders one session. Called from one thread at a time, never from the event loop."""

    window_frames: int
    "Frames it wants at once."

    @property
    def guided(self) -> bool:
        """Whether a window's `eyes` changes anything."""
        ...

    @property
    def lead_ms(self) -> int:
        """How far ahead of its presentation a window has to be planned now; any thread asks."""
        ...

    @property
    def level(self) -> str:
        """How pictures are made now, for people to read."""
        ...

    @property
    def degraded(self) -> bool:
        """Whether that is less than was asked for."""
        ...

    def render(self, window: Window, deadline: float) -> Iterable[U8 | None]:
        """One uint8 ``[size, size, 3]`` RGB picture a frame, as they are made; the caller's.

        Args:
            window: What to show.
            deadline: Monotonic seconds at which its first picture is presented.

        Returns:
            None where the picture before is held.
        """
        ...

    def quick(self, window: Window, first: int) -> Iterable[U8 | None]:
        """The same from the frame ``first`` on, at once, if not as good: somebody has just come."""
        ...


class PuppetRenderer:
    """The 2.5D puppet: a frame at a time, so it adds no window latency."""

    window_frames = 1
    lead_ms = 0
    level = "puppet"
    degraded = False
    guided = False

    def __init__(self, rig: Rig) -> None:
        self._puppet = Puppet(rig)

    def render(self, window: Window, deadline: float) -> list[U8]:
        """See Renderer.render."""
        return self.quick(window, window.start)

    def quick(self, window: Window, first: int) -> list[U8]:
        """See Renderer.quick."""
        rows = zip(window.controls.values, window.mouth.values, strict=True)
        return [self._puppet.render(*row) for row in list(rows)[first - window.start :]]


class RigCache:
    """Rigs of the portraits in use, shared by their sessions. Thread-safe, bounded."""

    def __init__(self, size: int, limit: int = RIG_CACHE) -> None:
        self._size = size
        self._limit = limit
        self._rigs: OrderedDict[str, Rig] = OrderedDict()
        self._lock = Lock()

    def get(self, portrait: Portrait) -> Rig:
        """The portrait's rig; builds it when it is not there (slow: call it in a thread)."""
        with self._lock:
            rig = self._rigs.get(portrait.id)
            if rig is None:
                rig = self._rigs[portrait.id] = build_rig(portrait, self._size)
            self._rigs.move_to_end(portrait.id)
            while len(self._rigs) > self._limit:
                self._rigs.popitem(last=False)
            return rig
