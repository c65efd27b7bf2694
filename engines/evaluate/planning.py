"""What the benchmark asks of a planner, and where it finds one.

`engines` does not know the planner. A package that has one names it in its metadata, under the
entry point group ``saccade.planning``; Saccade's own is `runtime.evaluation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Final, Protocol, cast

from core import ControlTrack, Unavailable
from engines.evaluate.track import FaceTrack

GROUP: Final = "saccade.planning"


class Planning(Protocol):
    """A planner, as the benchmark sees it."""

    def labels(self) -> tuple[str, ...]:
        """All labels that can be planned for."""

    def describe(self, name: str, row: Mapping[str, str]) -> tuple[str, str]:
        """Category and person of a recording, empty where nobody knows.

        Args:
            name: Folder and file, without a suffix.
            row: Its line of the collection's index, by column.
        """

    def plan(self, label: str, frames: int, seed: int, prompt: str) -> ControlTrack:
        """Controls made from the label and the prompt alone."""

    def invert(self, track: FaceTrack) -> ControlTrack:
        """Controls recovered from what was seen of a face, as the prototype library does it."""


def open_planning() -> Planning:
    """The installed planner.

    Raises:
        Unavailable: None is installed.
    """
    for point in entry_points(group=GROUP):
        return cast(Planning, point.load())
    raise Unavailable(
        "No planner is installed: rows in the modes inverted, label and other-label need one. "
        "Install Saccade itself (pip install -e .) and run again."
    )
