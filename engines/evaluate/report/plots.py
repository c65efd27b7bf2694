"""Plots of a run: bars by category, and what each row was told, did and should have done."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from PIL import Image

from core import CHANNEL, F32, FPS, Unavailable
from engines.evaluate.case import Annotation
from engines.evaluate.metrics.catalogue import METRICS
from engines.evaluate.report.tables import categories, heading, in_order, persons, values
from engines.evaluate.results import Curves, Run
from engines.evaluate.statistics import estimate
from engines.markdown import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI: Final = 100
WIDTH: Final = 16.0
"Inches: 1600 pixels."
PAPER: Final = "#16181c"
INK: Final = "#e8e8e8"
FAINT: Final = "#8a9099"
RULE: Final = "#343941"
COLOURS: Final = (
    "#56b4e9", "#e69f00", "#2fbf8f", "#f0e442", "#cc79a7", "#d55e00", "#9aa7ff", "#b7b7b7",
)  # fmt: skip
"Of rows. Told apart by most colour-blind eyes (after Okabe & Ito 2008), brightened for the paper."
MOST_ROWS: Final = len(COLOURS)
"Shown in plots; tables have all."
MOST_CATEGORIES: Final = 24
ACROSS: Final = 4
"Rows beside each other in a plot of curves."


def new_figure(height: float) -> Figure:
    """A dark figure, `WIDTH` × ``height`` inches.

    Raises:
        Unavailable: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure  # only reports need it
    except ImportError as error:
        raise Unavailable("Reports need matplotlib: pip install matplotlib.") from error
    return Figure(figsize=(WIDTH, height), dpi=DPI, facecolor=PAPER)


def save(figure: Figure, path: Path) -> tuple[int, int]:
    """Write a PNG; returns its width and height in pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    picture.save(path)
    return picture.size


def label(text: str, longest: int = 40) -> str:
    """Foreign text that the plot's font can draw; to be drawn with ``parse_math=False``."""
    from matplotlib.font_manager import findfont, get_font

    known = get_font(findfont("DejaVu Sans")).get_charmap()
    return "".join(c if ord(c) in known else "?" for c in plain(text, longest))


def style(ax: Axes) -> None:
    """The look all axes share."""
    ax.set_facecolor(PAPER)
    for side, spine in ax.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(RULE)
    ax.tick_params(colors=FAINT, labelsize=11, length=3)
    ax.set_axisbelow(True)


# --- bars ------------------------------------------------------------------------------------

BARS: Final = ("au_f1", "au_temp")


def category_bars(run: Run) -> Figure | None:
    """AU-F1 and AU-Temp by category with 95 % intervals, rows side by side; None of nothing."""
    keys = [key for key in BARS if any(values(run, row, key) for row in run.rows)]
    rows = [row for row in run.rows if any(values(run, row, key) for key in keys)][:MOST_ROWS]
    if not rows:
        return None
    of = categories(run)
    every = (case for key in keys for row in rows for case in values(run, row, key))
    names = in_order(of[case] for case in dict.fromkeys(every))[:MOST_CATEGORIES]
    tall = max(3.2, 1.5 + len(names) * max(0.5, 0.2 * len(rows) + 0.14))
    figure = new_figure(tall)
    _legend(figure, rows, tall)
    bottom, top = 0.75 / tall, 1 - 0.95 / tall
    for k, key in enumerate(keys):
        ax = figure.add_axes((0.145 + 0.438 * k, bottom, 0.4, top - bottom))
        style(ax)
        _bars(ax, run, key, rows, names, of)
        if k == 0:
            ax.set_yticks(range(len(names)), [label(name, 24) for name in names],
                          fontsize=12, color=INK, parse_math=False)  # fmt: skip
        else:
            ax.set_yticks([])
    return figure


def _bars(
    ax: Axes, run: Run, key: str, rows: Sequence[str], names: Sequence[str],
    of: Mapping[str, str],
) -> None:  # fmt: skip
    who, thick = persons(run), 0.8 / len(rows)
    for i, row in enumerate(rows):
        found = values(run, row, key)
        for at, name in enumerate(names):
            part = {case: value for case, value in found.items() if of[case] == name}
            if not part:
                continue
            mean = estimate(part, who)
            y = at + (i - (len(rows) - 1) / 2) * thick
            # A value of 0 is a sliver, so that it does not look like none.
            ax.barh(y, max(mean.mean, 0.004), 0.86 * thick, color=COLOURS[i])
            if isfinite(mean.low):
                ax.plot((mean.low, mean.high), (y, y), color="#000000", lw=3.0,
                        solid_capstyle="butt")  # fmt: skip
                ax.plot((mean.low, mean.high), (y, y), color=INK, lw=1.4, solid_capstyle="butt")
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(0, 1)
    ax.set_xticks(np.arange(0, 1.01, 0.2))
    ax.grid(axis="x", color=RULE, lw=0.8)
    ax.tick_params(axis="y", length=0)
    ax.set_title(heading(METRICS[key]), color=INK, fontsize=14, loc="left", pad=8)
    ax.set_xlabel("mean over cases; line: 95 % interval", color=FAINT, fontsize=11)


def _legend(figure: Figure, rows: Sequence[str], tall: float) -> None:
    from matplotlib.patches import Patch

    # Names are put in afterwards: as labels they would be parsed, or hidden for a leading "_".
    patches = [Patch(color=COLOURS[i]) for i in range(len(rows))]
    box = figure.legend(
        patches, ["row"] * len(rows), loc="upper left", bbox_to_anchor=(0.01, 1 - 0.05 / tall),
        ncols=min(4, len(rows)), fontsize=12, frameon=False, labelcolor=INK,
    )  # fmt: skip
    for text, row in zip(box.get_texts(), rows, strict=True):
        text.set_parse_math(False)
        text.set_text(label(row, 32))


# --- curves ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Panel:
    """One signal: channels added up with weights."""

    name: str
    weights: tuple[tuple[str, float], ...]
    low: float = 0.0
    high: float = 1.0
    least: float = 0.0
    "Degrees shown at least to both sides; 0 where the scale is fixed."


PANELS: Final = (
    Panel("brows, inner\nAU1", (("AU1_L", 0.5), ("AU1_R", 0.5))),
    Panel("brows, outer\nAU2", (("AU2_L", 0.5), ("AU2_R", 0.5))),
    Panel("frown\nAU4", (("AU4", 1.0),)),
    Panel("lids wide\nAU5", (("AU5", 1.0),)),
    Panel("cheeks\nAU6", (("AU6", 1.0),)),
    Panel("squint\nAU7", (("AU7", 1.0),)),
    Panel("lid, left\nAU45", (("AU45_L", 1.0),)),
    Panel("lid, right\nAU45", (("AU45_R", 1.0),)),
    Panel("gaze\nright – left", (("gaze_left", 1.0), ("gaze_right", -1.0)), -1.0, 1.0),
    Panel("gaze\ndown – up", (("gaze_up", 1.0), ("gaze_down", -1.0)), -1.0, 1.0),
    Panel("pitch, °", (("pitch", 1.0),), least=8.0),
    Panel("yaw, °", (("yaw", 1.0),), least=8.0),
    Panel("roll, °", (("roll", 1.0),), least=8.0),
)
TALL: Final = 0.72
"Inches of a panel."
TOP: Final = 0.5
"Inches above the panels."
KINDS: Final = (("truth", "#8f959d", "-", 3.2), ("seen", "#5cc8ff", "-", 2.0),
                ("asked", "#ffb84d", "--", 1.4))  # fmt: skip
BANDS: Final = ("#332b44", "#22382e", "#3d301e", "#1d3443")


def case_curves(
    curves: Mapping[str, Curves], annotations: Sequence[Annotation], title: str
) -> Figure | None:
    """What each row was told (dashed), did (solid) and should have done (grey); None of nothing.

    Args:
        curves: By row; at most `MOST_ROWS` are shown.
        annotations: Shaded bands.
        title: Put above all.
    """
    shown = dict(list(curves.items())[:MOST_ROWS])
    if not shown:
        return None
    blocks = ceil(len(shown) / ACROSS)
    block = len(PANELS) * TALL + 1.0
    tall = TOP + blocks * block + 0.1
    figure = new_figure(tall)
    figure.text(0.01, 1 - 0.26 / tall, label(title, 90), color=INK, fontsize=14, va="center",
                parse_math=False)  # fmt: skip
    _key(figure, tall)
    columns = ceil(len(shown) / blocks)
    wide = (1 - 0.105 - 0.012) / columns
    limits = [_limits(panel, shown.values()) for panel in PANELS]
    for k, (row, of) in enumerate(shown.items()):
        top = tall - TOP - (k // columns) * block
        left = 0.105 + (k % columns) * wide
        for i, panel in enumerate(PANELS):
            y = top - 0.42 - (i + 1) * TALL
            ax = figure.add_axes((left, y / tall, wide - 0.012, (TALL - 0.1) / tall))
            first, last = k % columns == 0, i == len(PANELS) - 1
            # A tick is five objects: those that bear no number would be most of a report's time.
            ax.yaxis.set_visible(first)
            ax.xaxis.set_visible(last)
            _panel(ax, panel, of, limits[i], annotations, i)
            if first:
                ax.set_ylabel(panel.name, color=INK, fontsize=11, rotation=0, ha="right",
                              va="center", labelpad=10)  # fmt: skip
            if i == 0:
                ax.set_title(label(row, 44), color=INK, fontsize=13, loc="left", pad=6,
                             parse_math=False)  # fmt: skip
        ax.set_xlabel("seconds", color=FAINT, fontsize=11)
    return figure


def signal(panel: Panel, controls: F32) -> F32:
    """A panel's course, float32 ``[T]``, NaN where no face was seen."""
    columns = [CHANNEL[name] for name, _ in panel.weights]
    course: F32 = controls[:, columns] @ np.array([w for _, w in panel.weights], np.float32)
    return course


def _limits(panel: Panel, every: Any) -> tuple[float, float]:
    if not panel.least:
        pad = 0.06 * (panel.high - panel.low)
        return panel.low - pad, panel.high + pad
    most = panel.least
    for curves in every:
        for controls in (curves.truth, curves.seen, curves.asked):
            course = abs(signal(panel, controls)) if controls is not None else np.zeros(0)
            most = max(most, float(course[np.isfinite(course)].max(initial=0.0)))
    most = min(most, 90.0)
    return -1.08 * most, 1.08 * most


def _panel(
    ax: Axes, panel: Panel, of: Curves, limits: tuple[float, float],
    annotations: Sequence[Annotation], place: int,
) -> None:  # fmt: skip
    style(ax)
    for n, note in enumerate(annotations):
        start, end = note.first / FPS, note.last / FPS
        ax.axvspan(start, end, color=BANDS[n % len(BANDS)], lw=0, zorder=0)
        if place == 0:
            # Neighbours are written at two heights: short events are narrower than their names.
            ax.text(start + 0.01, 0.95 - 0.34 * (n % 2), label(note.what, 28), fontsize=10,
                    color=INK, va="top", transform=ax.get_xaxis_transform(), clip_on=True,
                    parse_math=False, zorder=4)  # fmt: skip
    ax.axhline(0, color=RULE, lw=0.8)
    for name, colour, line, width in KINDS:
        controls: F32 | None = getattr(of, name)
        if controls is not None and len(controls):
            course = signal(panel, controls)
            course = np.where(np.isfinite(course), course, np.nan)
            ax.plot(np.arange(len(course)) / FPS, course, color=colour, ls=line, lw=width)
    ax.set_xlim(0, max(len(of.truth), len(of.seen), 2) / FPS)
    ax.set_ylim(*limits)
    ax.yaxis.set_major_locator(_ticks(panel))
    ax.xaxis.set_major_locator(_seconds())


def _ticks(panel: Panel) -> Any:
    from matplotlib.ticker import FixedLocator, MaxNLocator

    return MaxNLocator(3, symmetric=True) if panel.least else FixedLocator([panel.low, 0, 1])


def _seconds() -> Any:
    from matplotlib.ticker import MaxNLocator

    # The last would touch the first of the next column.
    return MaxNLocator(6, prune="upper")


def _key(figure: Figure, tall: float) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=colour, ls=line, lw=wide) for _, colour, line, wide in KINDS]
    figure.legend(
        lines, ["truth", "seen", "asked for"], loc="upper right", ncols=3, frameon=False,
        bbox_to_anchor=(0.99, 1 - 0.05 / tall), fontsize=12, labelcolor=INK,
    )  # fmt: skip
