"""Contact sheets of a case: the truth above, every row below it, a column for a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from core import FPS, KEYPOINTS, U8, InvalidInput
from engines.evaluate.report.films import stills
from engines.evaluate.report.moments import Moment
from engines.evaluate.results import TRUTH, film_path
from engines.landmarks import FaceMesh
from engines.markdown import plain

WIDTH: Final = 1600
NAMES: Final = 144
"Pixels of the column of names."
GAP: Final = 4
HEAD: Final = 44
PAPER: Final = (22, 24, 28)
BLANK: Final = (38, 41, 47)
INK: Final = (232, 232, 232)
FAINT: Final = (150, 156, 164)
EYES: Final = (0.26, 0.26, 0.74, 0.50)
"Left, top, right, bottom as shares of a picture, where no face is found in it: an enrolled crop."
STRIP: Final = 0.5
"Height of the eye strip against its width."
AROUND: Final = 1.16
"Width of the strip against that of brows and eyes."

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Stills:
    """The frames of one row of a case."""

    name: str
    frames: Mapping[int, U8] = field(default_factory=dict)
    lacks: str = ""
    "Why there are none."


def load_stills(
    folder: Path, case: str, rows: Sequence[str], moments: Sequence[Moment]
) -> list[Stills]:
    """The truth and the rows at some moments; what can not be read says why."""
    wanted = {moment.frame for moment in moments}
    out = []
    for row in (TRUTH, *rows):
        try:
            out.append(Stills(row, stills(film_path(folder, case, row), wanted)))
        except InvalidInput as error:
            out.append(Stills(row, lacks=error.message))
    return out


def eye_boxes(truth: Stills, moments: Sequence[Moment], meshes: FaceMesh) -> dict[int, Box]:
    """Where the truth's eyes are at every moment, as shares of the picture; boxes of one size.

    All rows show the same box, so that eyes which are elsewhere are seen to be.
    """
    found: dict[int, tuple[float, float]] = {}
    width = 0.0
    for moment in moments:
        frame = truth.frames.get(moment.frame)
        faces = meshes.detect(frame, thorough=False) if frame is not None else []
        if frame is not None and faces:
            points = faces[0][list(KEYPOINTS), :2] / np.array(frame.shape[1::-1], np.float32)
            low, high = points.min(axis=0), points.max(axis=0)
            found[moment.frame] = tuple(((low + high) / 2).tolist())
            tall = (high[1] - low[1]) / STRIP
            width = max(width, AROUND * float(max(high[0] - low[0], tall)))
    if not found:
        return {moment.frame: EYES for moment in moments}
    width = min(width, 1.0)
    boxes = {}
    for moment in moments:
        near = min(found, key=lambda frame: abs(frame - moment.frame))
        left = float(np.clip(found[near][0] - width / 2, 0, 1 - width))
        top = float(np.clip(found[near][1] - width * STRIP / 2, 0, 1 - width * STRIP))
        boxes[moment.frame] = (left, top, left + width, top + width * STRIP)
    return boxes


def sheet(rows: Sequence[Stills], moments: Sequence[Moment], boxes: Mapping[int, Box]) -> U8:
    """Draw a sheet.

    Args:
        rows: What to show, from above.
        moments: The columns.
        boxes: Part of the picture shown at each moment; the whole where it is missing.

    Returns:
        uint8 RGB, `WIDTH` pixels wide.
    """
    columns = max(1, len(moments))
    wide = (WIDTH - NAMES - GAP * columns) // columns
    ratio = STRIP if boxes else 1.0
    high = round(wide * ratio)
    page = Image.new("RGB", (WIDTH, HEAD + len(rows) * (high + GAP)), PAPER)
    pen = ImageDraw.Draw(page)
    for k, moment in enumerate(moments):
        left = NAMES + k * (wide + GAP)
        _write(
            pen, (left + 2, 2), f"{moment.frame / FPS:.2f} s, frame {moment.frame}", 15, INK, wide
        )
        _write(pen, (left + 2, 22), moment.why, 14, FAINT, wide)
    for i, row in enumerate(rows):
        top = HEAD + i * (high + GAP)
        _name(pen, (8, top + 4), row.name, NAMES - 14)
        for k, moment in enumerate(moments):
            left = NAMES + k * (wide + GAP)
            frame = row.frames.get(moment.frame)
            if frame is None:
                pen.rectangle((left, top, left + wide - 1, top + high - 1), fill=BLANK)
                why = row.lacks or "ends before"
                _write(pen, (left + 8, top + high // 2 - 8), why, 14, FAINT, wide - 12)
            else:
                tile = _part(frame, boxes.get(moment.frame, (0, 0, 1, 1)), (wide, high))
                page.paste(Image.fromarray(tile), (left, top))
    return np.array(page, np.uint8)


def save_jpeg(path: Path, picture: U8) -> None:
    """Write RGB as a JPEG that shows no blocks of its own."""
    Image.fromarray(picture).save(path, quality=92, subsampling=0)


def _part(frame: U8, box: Box, size: tuple[int, int]) -> U8:
    height, width = frame.shape[:2]
    left, top = int(box[0] * width), int(box[1] * height)
    right, bottom = max(left + 1, round(box[2] * width)), max(top + 1, round(box[3] * height))
    part = np.ascontiguousarray(frame[top:bottom, left:right])
    how = cv2.INTER_AREA if part.shape[1] > size[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(part, size, interpolation=how), np.uint8)


def _name(pen: ImageDraw.ImageDraw, at: tuple[int, int], name: str, wide: int) -> None:
    """A name over up to four lines, broken anywhere: names of rows have no blanks."""
    font, lines = ImageFont.load_default(15), [""]
    for letter in plain(name, 80):
        if pen.textlength(lines[-1] + letter, font) > wide:
            lines.append("")
        lines[-1] += letter
    for k, line in enumerate(lines[:4]):
        pen.text((at[0], at[1] + 19 * k), line, INK, font)


def _write(
    pen: ImageDraw.ImageDraw, at: tuple[int, int], text: str, size: int,
    colour: tuple[int, int, int], wide: int,
) -> None:  # fmt: skip
    """One line, cut where the column ends."""
    font, line = ImageFont.load_default(size), plain(text, 120)
    while line and pen.textlength(line, font) > wide:
        line = line[:-1]
    pen.text(at, line, colour, font)
