"""What every extractor offers."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from core import U8
from engines.evaluate.track import FaceTrack


class Extractor(Protocol):
    """Follows the largest face through frames. Not thread-safe; opened once, used for many clips.

    Nothing of one clip is remembered in the next, and no frame depends on those before it, so
    that a generated clip and the truth are measured alike.
    """

    @property
    def name(self) -> str:
        """As tables show it."""

    def track(self, frames: U8) -> FaceTrack:
        """Measure every frame, uint8 ``[T, S, S, 3]`` RGB."""

    def close(self) -> None:
        """Free what it holds; idempotent. Nothing else may be called afterwards."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
