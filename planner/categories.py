"""All labels by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from core import InvalidInput
from planner.beyond import (
    COGNITIVE_EFFORT,
    DROWSINESS,
    EVASIVE_RESPONSE,
    IDLE,
    LAUGHTER,
    LOW_AROUSAL_NEGATIVE,
    SOCIAL_ENGAGEMENT,
    SPEAKING,
    THINKING,
)
from planner.emotions import ANGER, CONTEMPT, DISGUST, FEAR, SADNESS, SURPRISE
from planner.stages import Category

LABELS: Final[Mapping[str, Category]] = {
    "idle": IDLE,
    "speaking": SPEAKING,
    "sadness": SADNESS,
    "fear": FEAR,
    "disgust": DISGUST,
    "contempt": CONTEMPT,
    "anger": ANGER,
    "surprise": SURPRISE,
    "laughter": LAUGHTER,
    "cognitive_effort": COGNITIVE_EFFORT,
    "low_arousal_negative": LOW_AROUSAL_NEGATIVE,
    "social_engagement": SOCIAL_ENGAGEMENT,
    "evasive_response": EVASIVE_RESPONSE,
    "drowsiness": DROWSINESS,
}
"The twelve categories of the EMH benchmark (CogPortrait section 3.2), and two neutral ones."


AT_EASE_IN: Final[Mapping[str, Category]] = {"thinking": THINKING, "speaking": SPEAKING}
"What the label ``idle`` becomes in some states of the conversation."


def category(label: str) -> Category:
    """The category called ``label``.

    Raises:
        InvalidInput: There is none of that name.
    """
    found = LABELS.get(label)
    if found is None:
        names = ", ".join(LABELS)
        raise InvalidInput(
            f"There is no label {label[:40]!r}. Known labels: {names}.", label=label[:40]
        )
    return found
