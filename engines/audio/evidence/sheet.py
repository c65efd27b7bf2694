"""A sheet of a mouth over time: pictures, what was said, what was heard, and the curves.

Everything in a row shares one time axis, so that a closure in the pictures, its phone and the
curve that made it stand above each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from core import F32, FPS, MOUTH, SAMPLE_RATE, U8
from engines.audio.corpus import Phone
from engines.audio.evidence.contacts import pressed, tucked
from engines.audio.evidence.listeners import Hearing
from engines.audio.evidence.measures import runs
from engines.audio.evidence.tally import SECONDS
from engines.audio.visemes import VISEMES, viseme_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

EVERY: Final = 2
"Frames between pictures: 80 ms."
COLUMNS: Final = 16
ROW: Final = COLUMNS * EVERY / FPS
"Seconds of a row."
CURVES: Final[dict[str, str]] = {
    "jaw": "#e0e0e0", "press": "#ff5c5c", "pucker": "#b98cff", "wide": "#5cc8ff",
    "tuck": "#ffb84d", "tongue": "#7ddc7d",
}  # fmt: skip
PAPER: Final = "#16181c"
INK: Final = "#e8e8e8"
FAINT: Final = "#7a7f87"
BANDS: Final[dict[str, str]] = {"pbm": "#7a2222", "fv": "#7a5316", "sil": "#22262c"}
"Backgrounds of what matters most to the eye."
OTHERS: Final = ("#2b3f52", "#33495e")
"Of all else, in turn, so that neighbours can be told apart."
DPI: Final = 100
WIDTH: Final = 19.2
"Inches."


@dataclass(frozen=True, slots=True)
class Sheet:
    """What part of a recording is shown."""

    start: float
    seconds: float

    def frames(self) -> range:
        """Numbers of the video frames that are shown, to the end of the last row."""
        first = round(self.start * FPS)
        return range(first, first + len(self.rows()) * COLUMNS * EVERY, EVERY)

    def rows(self) -> list[float]:
        """Where each row begins, seconds; less than one picture begins no row."""
        return [self.start + k * ROW for k in range(max(1, ceil(self.seconds / ROW - 1 / COLUMNS)))]


def draw(sheet: Sheet, title: str, tiles: Mapping[int, U8], heard: Hearing,
         phones: Sequence[Phone], samples: F32) -> U8:  # fmt: skip
    """Draw a sheet.

    Args:
        sheet: The part to show.
        title: Put above it.
        tiles: Pictures by the number of their frame, all of one size.
        heard: What was made of the sound.
        phones: What was said; empty when nobody knows.
        samples: The sound.

    Returns:
        uint8 RGB, 1920 pixels wide.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # only sheets need it
    from matplotlib.figure import Figure

    shape = next(iter(tiles.values())).shape if tiles else (58, 76, 3)
    strip = WIDTH * 0.96 / COLUMNS * shape[0] / shape[1]
    heights = [strip, 0.3 if phones else 0.02, 0.3, 1.5, 0.45]
    starts = sheet.rows()
    tall = len(starts) * sum(heights) + 0.7
    figure = Figure(figsize=(WIDTH, tall), dpi=DPI, facecolor=PAPER)
    canvas: Any = FigureCanvasAgg(figure)
    figure.text(0.03, 1 - 0.25 / tall, title[:180], color=INK, fontsize=12, va="center")
    top = tall - 0.45
    for start in starts:
        axes = []
        for height in heights[:-1]:
            axes.append(figure.add_axes((0.03, (top - height) / tall, 0.96, height / tall)))
            top -= height
        top -= heights[-1]
        for ax in axes:
            ax.set_facecolor(PAPER)
            ax.set_xlim(start, start + ROW)
            ax.set_ylim(0, 1)
            ax.tick_params(left=False, labelleft=False, bottom=False, labelbottom=False)
        _strip(axes[0], start, tiles, shape)
        _said(axes[1], phones)
        _heard(axes[2], heard, start)
        _curves(axes[3], heard, phones, samples, start)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3].copy()


def save_png(path: Path, picture: U8) -> None:
    """Write RGB as a PNG."""
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def _strip(ax: Axes, start: float, tiles: Mapping[int, U8], shape: tuple[int, ...]) -> None:
    """Pictures side by side; each is shown where its time is."""
    first = round(start * FPS)
    blank = np.full(shape, 22, np.uint8)
    row = [tiles.get(first + k * EVERY, blank) for k in range(COLUMNS)]
    line = np.hstack(row)
    # A thin rule between pictures, and its time in each.
    width = shape[1]
    line[:, ::width] = 0
    ax.imshow(line, extent=(start, start + ROW, 0, 1), aspect="auto", interpolation="lanczos")
    for k in range(COLUMNS):
        if first + k * EVERY not in tiles:
            continue
        at = (first + k * EVERY) / FPS
        ax.text(at + 0.002, 0.97, f"{at:.2f}", color="#ffe97a", fontsize=8, va="top")


def _said(ax: Axes, phones: Sequence[Phone]) -> None:
    if phones:
        ax.set_ylabel("said", color=FAINT, fontsize=8, rotation=0, ha="right", va="center")
    for k, phone in enumerate(phones):
        name = VISEMES[viseme_of(phone.symbol)]
        _band(ax, phone.start, phone.end, phone.symbol, BANDS.get(name, OTHERS[k % 2]))


def _heard(ax: Axes, heard: Hearing, start: float) -> None:
    ax.set_ylabel("heard", color=FAINT, fontsize=8, rotation=0, ha="right", va="center")
    best = heard.visemes.argmax(axis=1)
    edges = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), len(best)]
    for k, (a, b) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        if b * SECONDS > start and a * SECONDS < start + ROW:
            name = VISEMES[best[a]]
            label = "" if name == "sil" else name
            _band(ax, a * SECONDS, b * SECONDS, label, BANDS.get(name, OTHERS[k % 2]))


def _band(ax: Axes, start: float, end: float, name: str, colour: str) -> None:
    left, right = ax.get_xlim()
    start, end = max(start, left), min(end, right)
    if end - start < 1e-3:
        return
    ax.axvspan(start, end, color=colour, lw=0)
    if name and end - start > 0.008:
        size = 11 if end - start > 0.012 * len(name) + 0.006 else 7
        middle = (start + end) / 2
        ax.text(middle, 0.5, name, color=INK, fontsize=size, ha="center", va="center")


def _curves(ax: Axes, heard: Hearing, phones: Sequence[Phone], samples: F32, start: float) -> None:
    wave = samples[int(start * SAMPLE_RATE) : int((start + ROW) * SAMPLE_RATE)]
    ax.plot(
        start + np.arange(len(wave)) / SAMPLE_RATE, 0.5 + 0.5 * wave, color="#39414b", lw=0.4
    )  # fmt: skip
    for phone in phones:
        ax.axvline(phone.start, color="#3a4049", lw=0.7)
    times = (np.arange(len(heard.mouth)) + 0.5) * SECONDS
    for name, colour in CURVES.items():
        wide = 2.0 if name in ("jaw", "press") else 1.3
        ax.plot(times, heard.mouth[:, MOUTH[name]], color=colour, lw=wide, label=name)
    for made, colour in ((pressed(heard.mouth), "#ff5c5c"), (tucked(heard.mouth), "#ffb84d")):
        for a, b in runs(made):
            ax.axvspan(a * SECONDS, b * SECONDS, 0.0, 0.05, color=colour, lw=0)
    ax.set_yticks([0, 0.5, 1])
    ax.tick_params(left=True, labelleft=True, bottom=True, labelbottom=True,
                   colors=FAINT, labelsize=8)  # fmt: skip
    ax.set_xticks(np.arange(start, start + ROW + 1e-6, EVERY / FPS))
    ax.set_xticklabels([f"{t:.2f}" for t in ax.get_xticks()])
    ax.legend(loc="upper right", ncols=len(CURVES), fontsize=8, facecolor=PAPER, edgecolor=PAPER,
              labelcolor=INK, framealpha=0.6)  # fmt: skip
