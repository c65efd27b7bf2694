"""What is measured: anything that turns a portrait and a drive into frames.

`Generator` is the seam: the puppet today, a network tomorrow, or a folder of videos that another
program made of the same cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias

import numpy as np

from core import F32, U8, ControlTrack, InvalidInput, KeypointTrack, MouthTrack, Portrait
from engines.evaluate.fit import fit_controls
from engines.evaluate.footage import read_film
from engines.evaluate.keypoint_warp import KeypointWarp
from engines.puppet import Puppet
from engines.rig import Rig, build_rig
from engines.video.shipped import SHIPPED

Mode: TypeAlias = Literal["keypoints", "inverted", "label", "other-label", "none"]
"""Where the controls come from (CogPortrait, table 2): the truth's keypoints; action units of the
truth inverted to controls; a plan made from the label alone; such a plan for a label that was not
asked for (what chance gets); nothing."""
MODES: Final[tuple[Mode, ...]] = ("keypoints", "inverted", "label", "other-label", "none")


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """What a generator is told of one case."""

    case: str
    "Its id."
    portrait: Portrait
    frames: int
    size: int
    "Side of the frames wanted, pixels."
    mouth: MouthTrack
    "Heard in the sound; at rest where there is none."
    samples: F32 | None
    "float32 ``[N]``, 16 kHz: the same sound, for those who hear by themselves."
    prompt: str = ""
    controls: ControlTrack | None = None
    "In all modes but ``keypoints`` and ``none``."
    keypoints: KeypointTrack | None = None
    "In mode ``keypoints``: of the truth, pixels of the portrait's crop."
    pose: F32 | None = None
    "float32 ``[T, 3]``: in mode ``keypoints``, the head's turn away from the portrait, degrees."


class Generator(Protocol):
    """Renders cases, one after the other; owned by one process."""

    @property
    def name(self) -> str:
        """As tables show it: letters, digits and _ . + - only."""

    def generate(self, drive: Drive) -> tuple[U8, ControlTrack | None]:
        """Frames uint8 RGB ``[T, S, S, 3]``, and the controls that made them, if any did.

        Raises:
            InvalidInput: The case can not be rendered; the message says why.
        """


@lru_cache(maxsize=2)
def rig_of(portrait: Portrait, size: int) -> Rig:
    """The rig of a portrait; rows of one case share it (a third of a second each)."""
    return build_rig(portrait, size)


class Still:
    """The portrait and nothing else: what every generator has to beat."""

    name = "still"

    def generate(self, drive: Drive) -> tuple[U8, ControlTrack | None]:
        """The same frame over and over."""
        frame = rig_of(drive.portrait, drive.size).crop
        return np.repeat(frame[None], drive.frames, axis=0), None


class PuppetGenerator:
    """The 2.5D puppet. It takes controls, so keypoints are first fitted by the face model."""

    name = "puppet"

    def generate(self, drive: Drive) -> tuple[U8, ControlTrack | None]:
        """Render every frame."""
        controls = drive.controls
        if controls is None:
            if drive.keypoints is None or drive.pose is None:
                raise InvalidInput("The puppet needs controls or keypoints.")
            controls = fit_controls(drive.keypoints, drive.pose, drive.portrait)
        puppet = Puppet(rig_of(drive.portrait, drive.size))
        out = np.empty((drive.frames, drive.size, drive.size, 3), np.uint8)
        rows = zip(controls.values, drive.mouth.values, out, strict=True)
        for row, mouth, frame in rows:
            puppet.render(row, mouth, frame)
        return out, controls


class WarpGenerator:
    """The portrait bent until its keypoints lie where they should: no eyes behind the lids."""

    name = "warp"

    def generate(self, drive: Drive) -> tuple[U8, ControlTrack | None]:
        """Warp every frame."""
        if drive.keypoints is None:
            raise InvalidInput("The warp needs keypoints.")
        return KeypointWarp(drive.portrait, drive.size).render(drive.keypoints), drive.controls


class Folder:
    """Videos another program made of the same cases: ``FOLDER/CASE.mp4``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def name(self) -> str:
        """The folder's own."""
        return "".join(c if c.isalnum() or c in "_.+-" else "_" for c in self.folder.resolve().name)

    def generate(self, drive: Drive) -> tuple[U8, ControlTrack | None]:
        """Read the case's video."""
        for suffix in (".mp4", ".webm", ".mov", ".mkv"):
            path = self.folder / f"{drive.case}{suffix}"
            if path.exists():
                return read_film(path, drive.frames, drive.size), drive.controls
        raise InvalidInput(f"{self.folder} has no video named {drive.case}.mp4.")


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: a generator in a mode."""

    spec: str
    "As asked for: ``puppet:label``, ``still``, ``dit+fixed+12:keypoints``, ``folder:PATH``."

    @property
    def generator(self) -> str:
        """Name of the generator, or ``folder``."""
        return self.spec.partition(":")[0].partition("+")[0]

    @property
    def options(self) -> tuple[str, ...]:
        """How the generator is to work, where it can be told so."""
        return tuple(self.spec.partition(":")[0].split("+")[1:])

    @property
    def mode(self) -> Mode:
        """Where its controls come from."""
        _, _, rest = self.spec.partition(":")
        return next((mode for mode in MODES if mode == rest), "none")

    @property
    def name(self) -> str:
        """As tables and files name it."""
        if self.generator == "folder":
            return Folder(Path(self.spec.partition(":")[2])).name
        return self.spec.replace(":", "-")


def parse_row(spec: str) -> Row:
    """A row from its spec.

    Raises:
        InvalidInput: No such generator, or a mode it can not take.
    """
    name, _, rest = spec.partition(":")
    if name == "folder":
        if not Path(rest).is_dir():
            raise InvalidInput(f"{spec}: there is no folder {rest!r} of videos.")
        return Row(spec)
    name, *options = name.split("+")
    takes = TAKES.get(name)
    if takes is None:
        raise InvalidInput(f"{spec}: the generators are {', '.join(TAKES)} and folder:PATH.")
    if options and name != "dit":
        raise InvalidInput(f"{spec}: only dit has options: dit+fixed+12:keypoints.")
    if (rest or "none") not in takes:
        wanted = ", ".join(f"{name}:{mode}" if mode != "none" else name for mode in takes)
        raise InvalidInput(f"{spec}: write one of {wanted}.")
    return Row(spec)


def open_generator(row: Row, networks: Path = SHIPPED) -> Generator:
    """The generator of a row; ``networks`` is the folder of the video generator's weights.

    Raises:
        InvalidInput: There are no such weights, or the row has options that are none.
    """
    match row.generator:
        case "still":
            return Still()
        case "puppet":
            return PuppetGenerator()
        case "warp":
            return WarpGenerator()
        case "dit":
            from engines.video.generator import open_row  # torch, which the others do without

            return open_row(row.options, networks)
    return Folder(Path(row.spec.partition(":")[2]))


FILM: Final = "film"
"""The row of the truth as its own film shows it: what compression and the extractor's noise cost,
the best any row can be."""
TAKES: Final[dict[str, tuple[Mode, ...]]] = {
    FILM: ("none",),
    "puppet": ("keypoints", "inverted", "label", "other-label"),
    "dit": ("keypoints", "inverted", "label", "other-label"),
    "warp": ("keypoints",),
    "still": ("none",),
}
"The built-in generators, and the modes each can be in."
