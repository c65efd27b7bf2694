"""From what a judge wrote to its mark: thoughts, code fences and chatter are read past."""

from __future__ import annotations

import re
from typing import Final

from core import InvalidInput
from engines.evaluate.judges.rubrics import HIGHEST, LOWEST

MOST_CHARACTERS: Final = 200_000
"Of a longer text the end is read: the answer comes last."
FIRST: Final = "first"
SECOND: Final = "second"

_TAG: Final = r"(?:think|thinking|thought|reasoning)"
_CLOSE: Final = re.compile(rf"</{_TAG}>", re.IGNORECASE)
_OPEN: Final = re.compile(rf"<{_TAG}>", re.IGNORECASE)
_QUOTE: Final = r"[\"'`“”‘’]{0,3}"
_NUMBER: Final = r"([+-]?[0-9]{1,9}(?:\.[0-9]{0,9})?)"
_SCORE: Final = re.compile(
    rf"\{{\s*{_QUOTE}score{_QUOTE}\s*[:=]\s*{_QUOTE}{_NUMBER}(?:\s*/\s*{HIGHEST})?{_QUOTE}\s*[,}}]",
    re.IGNORECASE,
)
_BETTER: Final = re.compile(
    rf"\{{\s*{_QUOTE}better{_QUOTE}\s*[:=]\s*{_QUOTE}({FIRST}|{SECOND}|1|2){_QUOTE}\s*[,}}]",
    re.IGNORECASE,
)
_BARE: Final = re.compile(rf"\s*(?:score\s*[:=]\s*)?{_NUMBER}\s*\.?\s*", re.IGNORECASE)


class Unreadable(InvalidInput):
    """What a judge wrote holds no answer, or several."""

    code = "unreadable"


def read_score(text: str) -> int:
    """The mark in a judge's reply.

    Raises:
        Unreadable: There is none, it is no whole number from 1 to 5, or there are several.
    """
    said = _said(text, _SCORE)
    found = _SCORE.findall(said)
    if not found and (bare := _BARE.fullmatch(said)):
        found = [bare.group(1)]
    if not found:
        raise Unreadable("The answer has no score." if said.strip() else "The answer is empty.")
    values = {float(number) for number in found}
    if len(values) > 1:
        raise Unreadable("The answer has several scores.")
    value = values.pop()
    if value != int(value) or not LOWEST <= value <= HIGHEST:
        raise Unreadable(f"The score {value:g} is no whole number from {LOWEST} to {HIGHEST}.")
    return int(value)


def read_better(text: str) -> str:
    """`FIRST` or `SECOND`: which of two videos a judge prefers.

    Raises:
        Unreadable: Neither, or both.
    """
    said = _said(text, _BETTER)
    found = {FIRST if word.lower() in (FIRST, "1") else SECOND for word in _BETTER.findall(said)}
    if len(found) != 1:
        raise Unreadable("The answer names both videos." if found else "The answer names no video.")
    return found.pop()


def _said(text: str, answer: re.Pattern[str]) -> str:
    """What comes after the thoughts.

    Some servers' templates write the opening tag themselves, so that only the closing one comes.
    Thoughts that never end hold no answer, unless one ends the text: the model forgot the tag.
    """
    *_, rest = _CLOSE.split(text[-MOST_CHARACTERS:])
    if (opened := _OPEN.search(rest)) is None:
        return rest
    answers = list(answer.finditer(rest, opened.end()))
    if answers and not rest[answers[-1].end() :].strip("`}\n\t "):
        return rest[: opened.start()] + answers[-1].group()
    return rest[: opened.start()]
