"""Ways of sampling, as commands and rows of the benchmark name them: ``eye-aware+high=3+12``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Final

from core import InvalidInput
from engines.video.guidance import (
    EYE_AWARE,
    PAPER,
    UNGUIDED,
    Guidance,
    fixed,
    spatial_only,
    temporal_only,
)
from engines.video.schedule import STEPS

GUIDANCE: Final = {
    "eye-aware": EYE_AWARE,
    "paper": PAPER,
    "none": UNGUIDED,
    "fixed": fixed(),
    "temporal": temporal_only(EYE_AWARE),
    "spatial": spatial_only(EYE_AWARE),
}
"Eye-aware guidance, and what it is compared with."
KNOBS: Final = tuple(field.name for field in fields(Guidance))
MOST_STEPS: Final = 1000


@dataclass(frozen=True, slots=True)
class Way:
    """How windows are sampled."""

    guidance: Guidance = EYE_AWARE
    steps: int = STEPS


def parse_way(options: Sequence[str], known: Way | None = None) -> Way:
    """A way from its options: one of `GUIDANCE`, knobs of it (``high=3``), a number of steps.

    Args:
        options: In any order; knobs change the guidance that is named.
        known: What is not said.

    Raises:
        InvalidInput: An option is none of them, or out of range.
    """
    way = known or Way()
    guidance, steps = way.guidance, way.steps
    knobs: dict[str, float] = {}
    for option in options:
        name, _, value = option.partition("=")
        if name in KNOBS and value:
            knobs[name] = _number(option, value)
        elif option.isdecimal() and 0 < int(option) <= MOST_STEPS:
            steps = int(option)
        elif option in GUIDANCE:
            guidance = GUIDANCE[option]
        else:
            raise InvalidInput(
                f"{option}: write a number of steps up to {MOST_STEPS}, or one of "
                f"{', '.join(GUIDANCE)}, or one of {', '.join(KNOBS)} and a number: high=3."
            )
    try:
        return Way(replace(guidance, **knobs), steps)
    except ValueError as error:
        raise InvalidInput(f"{'+'.join(options)}: {error}.") from error


def _number(option: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise InvalidInput(f"{option}: {value} is no number.") from error
