"""Brings what a model wrote within bounds: text, numbers, channels and their ranges."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel

from core import CHANNEL, POSE_SLICE
from planner.physiology import POSE_LIMITS

MOST_EVENTS: Final = 8
"More stages than a chunk of some seconds can show (free)."
MOST_ITEMS: Final = 64
"Entries of a list that are looked at; more than three times the channels there are."
_JOINERS: Final = "\u200c\u200d"
"Zero-width (non-)joiners: invisible, and needed to spell some languages."


def plain(value: object, limit: int) -> str:
    """``value`` as one line of at most ``limit`` printable characters.

    Raises:
        ValueError: It is neither text nor something that stands for it.
    """
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        value = "; ".join(plain(item, limit) for item in value[:MOST_EVENTS] if _flat(item))
    elif isinstance(value, bool | int | float):
        value = str(value) if abs(value) < 1e9 else ""
    elif not isinstance(value, str):
        raise ValueError("expected text")
    # Twice the limit is plenty: what is cut off here would mostly be cut off below.
    line = "".join(c if c.isprintable() or c in _JOINERS else " " for c in value[: 2 * limit])
    return " ".join(line.split())[:limit].rstrip()


def _flat(item: object) -> bool:
    return item is None or isinstance(item, str | bool | int | float)


def within(value: object, low: float, high: float) -> float:
    """``value`` as a number in [low, high].

    Raises:
        ValueError: It is not a finite number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("expected a number")
    try:
        number = float(value)
    except (OverflowError, ValueError):
        raise ValueError("expected a number") from None
    if not math.isfinite(number):
        raise ValueError("expected a finite number")
    return min(max(number, low), high)


# --- Channels --------------------------------------------------------------------------------


def channel_limits(name: str) -> tuple[float, float]:
    """Least and most value of a channel: shares for action units and gaze, degrees for pose."""
    index = CHANNEL[name] - POSE_SLICE.start
    return (0.0, 1.0) if index < 0 else (-POSE_LIMITS[index], POSE_LIMITS[index])


_SPELLINGS: Final[Mapping[str, str]] = {name.lower(): name for name in CHANNEL}


def channels_named(name: object) -> tuple[str, ...]:
    """The channels a model may mean: ``au 4``, or ``AU1`` for both sides. None when unknown."""
    if not isinstance(name, str) or len(name) > 20:
        return ()
    key = name.strip().lower().replace(" ", "_").replace("-", "_").replace("au_", "au")
    if key in _SPELLINGS:
        return (_SPELLINGS[key],)
    return tuple(_SPELLINGS[f"{key}_{s}"] for s in "lr" if key + "_l" in _SPELLINGS)


def tidy_ranges(value: object) -> list[object]:
    """Ranges of known channels, ordered and within bounds, the last one of each channel.

    Takes ``[{channel, low, high}]`` as asked for, or ``{channel: [low, high]}``; all else is
    dropped.
    """
    if isinstance(value, Mapping):
        value = [{"channel": name, "low": span} for name, span in value.items()]
    kept: dict[str, object] = {}
    for item in value[:MOST_ITEMS] if isinstance(value, list | tuple) else ():
        if isinstance(item, BaseModel):
            item = item.model_dump()
        if not isinstance(item, Mapping):
            continue
        span = item.get("low")
        ends = span[:2] if isinstance(span, list | tuple) else (span, item.get("high", span))
        for name in channels_named(item.get("channel")):
            try:
                found = sorted(within(end, *channel_limits(name)) for end in ends)
            except ValueError:
                continue
            if found:
                kept[name] = {"channel": name, "low": found[0], "high": found[-1]}
    return list(kept.values())


def tidy_names(value: object) -> list[str]:
    """The known channels among ``value``, each once."""
    items = value[:MOST_ITEMS] if isinstance(value, list | tuple) else [value]
    return list(dict.fromkeys(name for item in items for name in channels_named(item)))
