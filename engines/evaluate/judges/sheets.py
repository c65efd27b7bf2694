"""Sheets of pictures in the order of time, each with its time, and under them what sounds then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from core import F32, SAMPLE_RATE, U8

COLUMNS: Final = 6
ROWS: Final = 4
"Of a sheet at most."
WIDTH: Final = 192
"Of a picture, pixels: a sheet is 1,152 wide, which most vision models take as it is (free)."
BAR: Final = 22
"Pixels above a picture, where its time stands."
CURVE: Final = 40
"Pixels of the loudness curve."
WORDS: Final = 22
"Pixels of the line of words."
WINDOW: Final = 0.01
"Seconds of one value of the loudness."
RANGE_DB: Final = 30.0
"From the loudest moment down to the bottom of the curve (free)."
SILENT_DBFS: Final = -60.0
"Where the loudest moment is below it, nothing is drawn."
INK: Final = (235, 235, 235)
PAPER: Final = (22, 24, 28)
SOUND: Final = (92, 160, 235)
MARK: Final = (255, 210, 90)


@dataclass(frozen=True, slots=True)
class Word:
    """Something said, seconds from the film's beginning."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """Pictures and what is drawn under them."""

    times: Sequence[float]
    "Seconds, increasing."
    pictures: Sequence[U8]
    "uint8 RGB, all of one size."
    loud: F32 | None = None
    "As `loudness` has it; None leaves the curve out."
    words: Sequence[Word] = ()


def loudness(samples: F32) -> F32:
    """Loudness in steps of `WINDOW`: 0 is `RANGE_DB` below the loudest moment or less, 1 is it.

    Args:
        samples: float32 ``[N]``, 16 kHz.
    """
    step = round(WINDOW * SAMPLE_RATE)
    whole = samples[: len(samples) // step * step].reshape(-1, step).astype(np.float64)
    level = 10 * np.log10(np.square(whole).mean(axis=1) + 1e-12)
    if not len(level) or level.max() < SILENT_DBFS:
        return np.zeros(len(level), np.float32)
    return np.asarray(np.clip(1 + (level - level.max()) / RANGE_DB, 0, 1), np.float32)


def draw_sheets(strip: Strip) -> list[U8]:
    """Draw all of it, `COLUMNS` by `ROWS` pictures a sheet.

    Returns:
        uint8 RGB, as wide as `COLUMNS` pictures.
    """
    each = COLUMNS * ROWS
    return [
        np.vstack(
            [_row(strip, k) for k in range(first, min(first + each, len(strip.times)), COLUMNS)]
        )
        for first in range(0, len(strip.times), each)
    ]


def label(picture: U8, text: str) -> U8:
    """A picture under a bar with a text."""
    bar = np.full((BAR, picture.shape[1], 3), PAPER, np.uint8)
    _write(bar, text, (4, BAR - 6), MARK)
    return np.vstack([bar, picture])


def _row(strip: Strip, first: int) -> U8:
    """Up to `COLUMNS` pictures from number ``first`` on; a thin dark rule parts them."""
    some = range(first, min(first + COLUMNS, len(strip.times)))
    cells = [_cell(strip, k) for k in some]
    high, wide = cells[0].shape[:2]
    row = np.full((high, COLUMNS * wide, 3), PAPER, np.uint8)
    row[:, : len(cells) * wide] = np.hstack(cells)
    row[:, ::wide] = 0
    row[-1] = 0
    if strip.words:
        _say(row[-WORDS:], strip, some, wide)
    return row


def _cell(strip: Strip, k: int) -> U8:
    parts = [label(strip.pictures[k], f"{strip.times[k]:.2f} s")]
    wide = parts[0].shape[1]
    if strip.loud is not None:
        start, end = strip.times[k], _until(strip, k)
        at = start + (np.arange(wide) + 0.5) / wide * (end - start)
        index = np.minimum((at / WINDOW).astype(int), max(len(strip.loud) - 1, 0))
        level = strip.loud[index] if len(strip.loud) else np.zeros(wide, np.float32)
        curve = np.full((CURVE, wide, 3), PAPER, np.uint8)
        filled = np.arange(CURVE)[:, None] >= (1 - level[None]) * (CURVE - 2)
        filled[:-2] &= level[None] > 0
        curve[filled] = SOUND
        parts.append(curve)
    if strip.words:
        parts.append(np.full((WORDS, wide, 3), PAPER, np.uint8))
    return np.vstack(parts)


def _until(strip: Strip, k: int) -> float:
    """When a picture gives way to the next one."""
    times = strip.times
    if k + 1 < len(times):
        return times[k + 1]
    return times[k] + (times[k] - times[k - 1] if k else WINDOW)


def _say(line: U8, strip: Strip, some: range, wide: int) -> None:
    """Words where they begin, with a mark there; what does not fit before the next is cut."""
    edges = [strip.times[k] for k in some] + [_until(strip, some[-1])]
    places = np.arange(len(edges)) * wide
    shown = [w for w in strip.words if w.end > edges[0] and w.start < edges[-1]]
    starts = [round(float(np.interp(w.start, edges, places))) for w in shown]
    ends = [*starts[1:], int(places[-1])][: len(starts)]
    for word, x, end in zip(shown, starts, ends, strict=True):
        if x >= end:
            continue
        goes_on = word.start < edges[0]
        if not goes_on:
            line[:-1, x : x + 2] = MARK
        # The font has no other letters; the message holds the words as well.
        if word.text.isascii() and word.text.isprintable():
            room = line[:, x + 2 : end]
            text = np.ascontiguousarray(room)
            _write(text, "..." * goes_on + word.text, (4, WORDS - 7), INK)
            room[:] = text


def _write(picture: U8, text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
