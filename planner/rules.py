"""Placeholder replaced by the critic's rules."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """Where a track breaks a physiological rule."""

    rule: str
    "Short name, e.g. ``blink-duration``."
    channels: tuple[str, ...]
    start: int
    "First frame concerned, counted from the beginning of the track."
    end: int
    "First frame after it."
    value: float
    "What was found, in the unit of the rule."
    limit: float
    "What the rule allows."
