"""Faces whose controls are known: a portrait rendered with one control at a time."""

from __future__ import annotations

from typing import Final

import numpy as np

from core import CHANNEL, CHANNELS, F32, MOUTH_CHANNELS, POSE_SLICE, U8
from engines.puppet import Puppet
from engines.rig import Rig

STEPS: Final = 9
"Frames from 0 to full; as many less one lead back."
TURN: Final = (15.0, 20.0, 15.0)
"Full pitch, yaw and roll, degrees: what a single picture bears well."
BLINK: Final = (0.5, 1.0, 0.85, 0.5, 0.25, 0.1)
"Lids over a blink at 25 frames a second: they close faster than they open."
BLINK_EVERY: Final = 16
BLINKS: Final = 4


def ramp(channel: str, sign: float = 1.0) -> F32:
    """One control from rest to full and back, float32 ``[17, 17]``; the head to either side."""
    up = np.linspace(0, 1, STEPS, dtype=np.float32)
    out = np.zeros((2 * STEPS - 1, len(CHANNELS)), np.float32)
    at = CHANNEL[channel]
    full = TURN[at - POSE_SLICE.start] if at >= POSE_SLICE.start else 1.0
    out[:, at] = np.concatenate([up, up[-2::-1]]) * full * sign
    return out


def blinks() -> F32:
    """A few blinks and rest, float32 ``[T, 17]``."""
    out = np.zeros((BLINK_EVERY * BLINKS, len(CHANNELS)), np.float32)
    for k in range(BLINKS):
        first = k * BLINK_EVERY + BLINK_EVERY // 2
        for side in "LR":
            out[first : first + len(BLINK), CHANNEL[f"AU45_{side}"]] = BLINK
    return out


def render(rig: Rig, controls: F32) -> U8:
    """Frames, uint8 ``[T, S, S, 3]``, of a portrait under controls, its mouth at rest."""
    puppet, mouth = Puppet(rig), np.zeros(len(MOUTH_CHANNELS), np.float32)
    return np.stack([puppet.render(row, mouth) for row in controls])
