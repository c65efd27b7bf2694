"""What a label looks like on a portrait: a film and a contact sheet, made without a server.

``python -m runtime.preview IMAGE... [--label sadness ...] [--eyes] --out DIR`` writes, for every
portrait, one short MP4 per label and NAME_sheet.png: a row per label, a column per moment. Moments
are taken where stages of the behaviour are fully shown. With ``--eyes`` only the eye region is
shown, to judge what the eyes say without the mouth.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import cv2
import numpy as np

from core import FPS, U8, ControlTrack, InvalidInput, MouthTrack, Portrait, SaccadeError
from engines.enrol import enrol
from engines.film import write_film
from engines.puppet import Puppet
from engines.rig import Rig, build_rig
from planner.action import Action
from planner.behaviour import Behaviour
from planner.categories import LABELS
from planner.library import load_library
from planner.repair import repair

Item = TypeVar("Item")
Box = tuple[int, int, int, int]
"x0, y0, x1, y1 in a frame."

EYES_MM: Final = (66.0, 48.0, 40.0)
"""What is shown of the eye region: half its width, above and below the eyes, millimetres. Wide
enough that brows stay in the picture when the head turns, and no mouth comes in."""
COLUMNS: Final = 6
MAX_SECONDS: Final = 120.0
CELL: Final = {False: 260, True: 330}
"Width of a cell of the sheet, whole head and eyes, pixels."
TITLE: Final = 18
"Height of the line of text under a cell, pixels."


@dataclass(frozen=True, slots=True)
class Performance:
    """What the planner does for one label."""

    title: str
    controls: ControlTrack
    mouth: MouthTrack
    actions: tuple[Action, ...]
    unknown: tuple[str, ...] = ()
    "Parts of the instruction that were not understood."

    def __len__(self) -> int:
        return len(self.controls)


def perform(label: str, seconds: float, seed: int, instruction: str = "") -> Performance:
    """Behave as ``label`` for ``seconds``, doing what ``instruction`` says on top.

    Raises:
        InvalidInput: For an unknown label, an absurd duration or too long an instruction.
    """
    frames = round(seconds * FPS) if 0 < seconds <= MAX_SECONDS else 0
    if not frames:
        raise InvalidInput(f"A preview lasts up to {MAX_SECONDS:g} seconds, not {seconds:g}.")
    behaviour = Behaviour(seed, label=label, library=load_library())
    unknown = behaviour.set_instruction(instruction) if instruction else []
    controls, _ = repair(behaviour.advance(frames))
    actions = tuple(behaviour.actions())
    return Performance(label, controls, behaviour.last_mouth, actions, tuple(unknown))


def moments(performance: Performance, count: int) -> list[int]:
    """``count`` frames worth looking at, in order: peaks of stages, then what lies between.

    Args:
        performance: What is looked at; shorter than ``count``, it gives every frame it has.
        count: At least 1.
    """
    total = len(performance)
    count = min(count, total)
    stages = [a for a in performance.actions if a.kind == "stage" and a.amount > 0]
    chosen = sorted({at for a in stages if (at := _open(performance, a.peak)) < total})
    if len(chosen) > count:
        chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, count).round().astype(int)]
    while len(chosen) < count:
        # The middle of the longest time that nothing is shown of.
        edges = [-1, *chosen, total]
        at = int(np.argmax(np.diff(edges)))
        middle = (edges[at] + edges[at + 1]) // 2
        later = _open(performance, middle)
        chosen.insert(at, later if later < edges[at + 1] else middle)
    return chosen


def _open(performance: Performance, at: int) -> int:
    """The first frame from ``at`` on that no blink of its own hides; blinks are not the stage."""
    for action in sorted(performance.actions, key=lambda a: a.start):
        if action.kind == "blink" and action.amount > 0 and action.start <= at < action.end:
            at = action.end
    return at


def eye_box(rig: Rig) -> Box:
    """Where eyes and brows are in a frame, with even sides, as films need them."""
    left, right = rig.face.eyes
    x, y = (left.centre + right.centre) / 2
    half, above, below = (mm * rig.face.mm for mm in EYES_MM)
    x0, y0 = (int(max(v, 0)) for v in (x - half, y - above))
    x1, y1 = (int(min(v, rig.size)) for v in (x + half, y + below))
    return x0, y0, x0 + max(2, (x1 - x0) // 2 * 2), y0 + max(2, (y1 - y0) // 2 * 2)


def render(puppet: Puppet, performance: Performance, box: Box) -> Iterator[U8]:
    """The frames of a performance, cropped to ``box``: uint8 RGB, each a copy of its own."""
    x0, y0, x1, y1 = box
    rows = zip(performance.controls.values, performance.mouth.values, strict=True)
    for controls, mouth in rows:
        yield np.ascontiguousarray(puppet.render(controls, mouth)[y0:y1, x0:x1])


def tile(pixels: U8, width: int, text: str) -> U8:
    """A picture scaled to ``width``, with a line of text under it."""
    height = round(width * pixels.shape[0] / pixels.shape[1])
    how = cv2.INTER_CUBIC if width > pixels.shape[1] else cv2.INTER_AREA
    scaled = cv2.resize(pixels, (width, height), interpolation=how)
    out = np.pad(scaled, ((0, TITLE), (0, 2), (0, 0)), constant_values=30)
    cv2.putText(out, text, (3, height + 13), 0, 0.4, (230, 230, 230), 1, cv2.LINE_AA)
    return np.asarray(out, np.uint8)


def stack(rows: Sequence[Sequence[U8]]) -> U8:
    """Rows of equally sized tiles as one picture; short rows are filled up with black."""
    columns = max(len(row) for row in rows)
    lines = []
    for row in rows:
        blank = np.zeros_like(row[0])
        lines.append(np.hstack([*row, *[blank] * (columns - len(row))]))
    return np.asarray(np.vstack(lines), np.uint8)


def preview(portrait: Portrait, performances: Iterable[Performance], out: Path, *,
            eyes: bool = False, columns: int = COLUMNS, size: int = 512) -> list[Path]:  # fmt: skip
    """Write the films and the sheet of one portrait into ``out``; returns their paths."""
    rig = build_rig(portrait, size)
    puppet = Puppet(rig)
    box = eye_box(rig) if eyes else (0, 0, rig.size, rig.size)
    name = Path(portrait.name).stem + ("_eyes" if eyes else "")
    out.mkdir(parents=True, exist_ok=True)
    paths, rows = [], []
    for performance in performances:
        wanted = moments(performance, columns)
        kept: dict[int, U8] = {}
        path = out / f"{name}_{performance.title}.mp4"
        write_film(path, _keep(render(puppet, performance, box), wanted, kept))
        paths.append(path)
        title = performance.title
        rows.append([tile(kept[at], CELL[eyes], f"{title} {at / FPS:.1f} s") for at in wanted])
    sheet = out / f"{name}_sheet.png"
    cv2.imwrite(str(sheet), cv2.cvtColor(stack(rows), cv2.COLOR_RGB2BGR))
    return [*paths, sheet]


def _keep(frames: Iterable[U8], wanted: Sequence[int], kept: dict[int, U8]) -> Iterator[U8]:
    """Pass ``frames`` on, keeping those of the given numbers in ``kept``."""
    for at, pixels in enumerate(frames):
        if at in wanted:
            kept[at] = pixels
        yield pixels


def progress(items: Sequence[Item], title: str, width: int = 24) -> Iterator[Item]:
    """Pass ``items`` on, drawing a bar on the error output when somebody watches it."""
    watched = sys.stderr.isatty()
    for done, item in enumerate(items):
        if watched:
            bar = "#" * (width * done // len(items))
            sys.stderr.write(f"\r{title} [{bar:<{width}}] {done}/{len(items)}")
            sys.stderr.flush()
        yield item
    if watched:
        sys.stderr.write(f"\r{title} [{'#' * width}] {len(items)}/{len(items)}\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="runtime.preview", description=__doc__)
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--label", action="append", help="one of the labels; default: all")
    parser.add_argument("--instruction", default="")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("preview"))
    parser.add_argument("--eyes", action="store_true", help="show the eye region only")
    options = parser.parse_args(arguments)
    try:
        shown = [
            perform(label, options.seconds, options.seed, options.instruction)
            for label in options.label or LABELS
        ]
        for part in shown[0].unknown:
            print(f"not understood: {part}")
        for image in options.images:
            portrait = enrol(image.read_bytes(), _name(image))
            played = progress(shown, portrait.name)
            for path in preview(portrait, played, options.out, eyes=options.eyes):
                print(path)
    except (SaccadeError, OSError) as error:
        parser.error(str(error))


def _name(image: Path) -> str:
    """A name for the files: the built-in people all keep theirs in a file of the same name."""
    return image.parents[1].name if image.stem == "studio_portrait" else image.stem


if __name__ == "__main__":
    main()
