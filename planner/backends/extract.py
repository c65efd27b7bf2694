"""From what a model wrote to a checked answer and, apart from it, what it thought."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, NoReturn

from pydantic import ValidationError

from planner.backends.backend import Answer, PlannerFailed, R
from planner.tidy import plain

MOST_CHARACTERS: Final = 200_000
"Longer texts are cut; an honest answer has some thousand."
MOST_THOUGHTS: Final = 4_000
"Characters of a chain of thought that are kept."
MOST_OBJECTS: Final = 12
"Places in a text where a JSON object may begin that are tried."
_TAG: Final = r"(?:think|thinking|thought|reasoning)"
_BLOCK: Final = re.compile(rf"<{_TAG}>(.*?)(?:</{_TAG}>|\Z)", re.DOTALL | re.IGNORECASE)
_HEADLESS: Final = re.compile(rf"\A(.*?)</{_TAG}>", re.DOTALL | re.IGNORECASE)


def read_answer(text: str, reply: type[R], thoughts: str = "") -> Answer[R]:
    """The answer in ``text``, whatever stands around it.

    Args:
        text: What a model wrote.
        reply: What it was asked for.
        thoughts: What it thought, where the server tells that apart.

    Raises:
        PlannerFailed: empty, not_json or wrong_schema.
    """
    text = text[:MOST_CHARACTERS]
    said, aloud = (text, "") if text.lstrip().startswith("{") else part_thoughts(text)
    if not said.strip():
        raise PlannerFailed("empty", "The model answered nothing.")
    complaint = ""
    for candidate in _objects(said):
        try:
            content = reply.model_validate(candidate)
        except ValidationError as error:
            complaint = complaint or _complaint(error)
            continue
        except UnicodeError:
            # Half a surrogate pair where a word or a number belongs.
            complaint = complaint or "text that is not Unicode"
            continue
        parts = (thoughts[:MOST_CHARACTERS], aloud, content.reasoning)
        return Answer(content, plain(" ".join(part for part in parts if part), MOST_THOUGHTS))
    if not complaint:
        raise PlannerFailed("not_json", "The model answered something other than JSON.")
    raise PlannerFailed("wrong_schema", plain(f"Not the JSON asked for: {complaint}", 300))


def _complaint(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(str(step) for step in first['loc'])}: {first['msg']}"


def part_thoughts(text: str) -> tuple[str, str]:
    """``text`` without its ``<think>`` blocks, and what stood in them.

    Some templates write the opening tag themselves, so that only the closing one is seen; an
    answer that was cut off may lack the closing one.
    """
    thoughts = _BLOCK.findall(text)
    rest = _BLOCK.sub(" ", text)
    headless = _HEADLESS.match(rest)
    if headless is not None:
        thoughts.insert(0, headless.group(1))
        rest = rest[headless.end() :]
    return rest, " ".join(part.strip() for part in thoughts)


def _objects(text: str) -> Iterator[dict[str, object]]:
    """JSON objects in ``text``, outermost ones in their order."""
    # Not strict: models break lines inside strings.
    decoder = json.JSONDecoder(parse_constant=_refuse, strict=False)
    at = text.find("{")
    for _ in range(MOST_OBJECTS):
        if at < 0:
            return
        try:
            found, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            yield found
        at = text.find("{", end)


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
