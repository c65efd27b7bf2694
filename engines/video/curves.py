"""What was measured while training: a table to compute with and a picture to look at."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from torch import Tensor

COLUMNS: Final = ("step", "seconds", "name", "value")


class Curves:
    """``curves.csv`` and ``curves.png`` of a run.

    A row is one number, as what is measured differs between losses (means over the steps since
    the row before) and validations (named ``held_…``).
    """

    def __init__(self, folder: Path) -> None:
        self._table, self._picture = folder / "curves.csv", folder / "curves.png"
        self._rows: list[tuple[int, float, str, float]] = []
        self._sums: dict[str, Tensor | float] = {}
        self._count = 0
        self._last: dict[str, float] = {}

    def add(self, parts: Mapping[str, Tensor | float]) -> None:
        """Take in the parts of one batch's loss."""
        self._count += 1
        for name, value in parts.items():
            # Tensors are summed where they are: reading one would wait for the device.
            value = value.detach() if isinstance(value, Tensor) else value
            self._sums[name] = self._sums.get(name, 0.0) + value

    def log(self, step: int, seconds: float, rate: float) -> None:
        """Close an interval: one row for each part, and one for the learning rate."""
        self._last = {name: float(total) / self._count for name, total in self._sums.items()}
        for name, value in {**self._last, "rate": rate}.items():
            self._rows.append((step, seconds, name, value))
        self._sums, self._count = {}, 0

    def measure(self, step: int, seconds: float, measured: Mapping[str, float]) -> None:
        """Rows of a validation; draws the picture."""
        self._rows += [(step, seconds, f"held_{n}", float(v)) for n, v in measured.items()]
        if self._rows:
            self._draw()

    def note(self) -> str:
        """The last interval in a few words."""
        return ", ".join(f"{name} {value:.3g}" for name, value in self._last.items())

    def resume(self, step: int) -> None:
        """Read what an earlier go wrote up to ``step``."""
        if not self._table.exists():
            return
        with self._table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
        self._rows = [
            (int(at), float(seconds), name, float(value))
            for at, seconds, name, value in rows
            if int(at) <= step
        ]

    def write(self) -> None:
        """Write the table."""
        fresh = self._table.with_suffix(".part")
        with fresh.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(COLUMNS)
            table.writerows((a, f"{b:.1f}", c, f"{d:.6g}") for a, b, c, d in self._rows)
        fresh.replace(self._table)

    def _draw(self) -> None:
        from matplotlib.figure import Figure

        names = sorted({row[2] for row in self._rows})
        across = min(4, len(names))
        down = -(-len(names) // across)
        width, height = 3.4 * across, 2.4 * down
        figure = Figure((width, height))
        # Inches for labels and titles, a place for each title: to measure takes twice as long as
        # to draw.
        figure.subplots_adjust(
            left=0.65 / width, right=1 - 0.1 / width, wspace=0.75 / 2.65,
            bottom=0.35 / height, top=1 - 0.3 / height, hspace=0.65 / 1.75,
        )  # fmt: skip
        axes = np.atleast_1d(figure.subplots(down, across)).ravel()
        for name, axis in zip(names, axes, strict=False):
            points = np.array([(row[0], row[3]) for row in self._rows if row[2] == name])
            axis.plot(points[:, 0], points[:, 1], "." if len(points) == 1 else "-", linewidth=1)
            axis.set_title(name, fontsize=9, y=1.0)
            axis.tick_params(labelsize=7)
            if (points[:, 1] > 0).all() and points[:, 1].max() > 20 * points[:, 1].min():
                axis.set_yscale("log")
        for axis in axes[len(names) :]:
            axis.set_axis_off()
        fresh = self._picture.with_name("curves.part.png")
        figure.savefig(fresh, dpi=90)
        fresh.replace(self._picture)
