"""Small tracks by hand, for tests of the critic."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from core import CHANNEL, FPS, GAZE_DEGREES, ControlTrack
from planner.behaviour import Behaviour
from planner.library import load_library

Array: TypeAlias = npt.NDArray[Any]
BLINK = (0.15, 0.7, 1.0, 0.75, 0.4, 0.15)
LIDS = "AU45_L AU45_R"
FRAMES = 60


def alive(frames: int = FRAMES) -> Array:
    """A face at rest that is not frozen."""
    rows = np.zeros((frames, 17), np.float32)
    t = np.arange(frames) / FPS
    rows[:, CHANNEL["yaw"]] = 0.4 * np.sin(2 * np.pi * 0.3 * t)
    rows[:, CHANNEL["pitch"]] = 0.3 * np.sin(2 * np.pi * 0.2 * t + 1)
    return rows


def put(rows: Array, names: str, at: int, values: object) -> Array:
    """``values`` in the named channels from frame ``at`` on."""
    values = np.atleast_1d(np.asarray(values, np.float32))
    for name in names.split():
        rows[at : at + len(values), CHANNEL[name]] = values
    return rows


def wave(hertz: float, size: float, frames: int) -> Array:
    """A rhythm, from 0 on."""
    return np.asarray(size * np.sin(2 * np.pi * hertz * np.arange(frames) / FPS))


def looking(rows: Array, at: int, degrees: object) -> Array:
    """Eyes that many degrees to the person's left (or right) from frame ``at`` on."""
    degrees = np.atleast_1d(np.asarray(degrees, np.float32))
    if len(degrees) == 1:
        degrees = np.repeat(degrees, len(rows) - at)
    side = degrees / GAZE_DEGREES[0]
    put(rows, "gaze_left", at, np.maximum(side, 0))
    return put(rows, "gaze_right", at, np.maximum(-side, 0))


def performed(seed: int, label: str, frames: int, instruction: str = "") -> Array:
    """What the embedded planner does."""
    performer = Behaviour(seed, label=label, instruction=instruction, library=load_library())
    return performer.advance(frames).values.copy()


def track(rows: Array) -> ControlTrack:
    """``rows`` as they may come from anywhere before: finite, units in range."""
    rows = np.nan_to_num(rows, posinf=90, neginf=-90).clip(-1e6, 1e6)
    rows[:, :14] = rows[:, :14].clip(0, 1)
    return ControlTrack(rows.astype(np.float32))
