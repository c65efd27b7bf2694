"""What an OpenAI-compatible server understands: found out by being refused, and remembered.

Servers that call themselves compatible differ in how they take a schema, whether they see
pictures, and which parameters they know. A request that is refused is sent again with a little
less, and what made the difference stays off for good.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from planner.backends.backend import Question, R
from planner.backends.schema import schema_of
from planner.messages import Reply

Format = Callable[[type[Reply]], dict[str, Any] | None]


def _named(schema: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "strict": True, "schema": schema},
    }


FORMATS: Final[tuple[tuple[str, Format], ...]] = (
    ("json_schema", lambda reply: _named(schema_of(reply))),
    ("json_schema without bounds", lambda reply: _named(schema_of(reply, bounds=False))),
    # llama-cpp-python and older llama.cpp servers.
    ("json_object with schema", lambda r: {"type": "json_object", "schema": schema_of(r)}),
    ("json_object", lambda reply: {"type": "json_object"}),
    ("text", lambda reply: None),
)
"""Ways to ask for JSON, the surest first. Hosted models take JSON schema only in part; some servers
know nothing of it."""
_OPTIONAL: Final = ("temperature", "seed")
_ABOUT_IMAGES: Final = re.compile(
    r"\bimages?(_url)?\b|\bvision\b|\bmulti-?modal\b"
    # Text-only templates choke on the list that a picture makes of a message.
    r"|\bnot\W{1,4}list\b|\bshould be a (valid )?string\b|\bmust be a string\b"
)
_ABOUT_FORMAT: Final = re.compile(
    r"\bresponse_format\b|schema\b|\bjson_object\b|\bgrammar\b|\bguided|\bstructured|\bformat\b"
)
_REFUSALS: Final = frozenset({400, 404, 415, 422, 500, 501})
"Codes servers use for a parameter they do not take; some fail (500) over it."
_UNEXPLAINED: Final = frozenset({400, 415, 422})
"Of these, codes that mean it even when nothing is said."


@dataclass(frozen=True, slots=True)
class Manners:
    """What one server takes."""

    format: int = 0
    "Index into `FORMATS`."
    images: bool = True
    tokens: str = "max_tokens"
    "Newer hosted models want ``max_completion_tokens``."
    without: frozenset[str] = frozenset()
    "Parameters it does not know."

    def body(self, question: Question[R], model: str, tokens: int, warmth: float) -> dict[str, Any]:
        """The request for ``question``."""
        optional = {"temperature": warmth, "seed": question.seed % (1 << 31)}
        body: dict[str, Any] = {
            "model": model,
            "messages": [
                {"role": "system", "content": question.system},
                {"role": "user", "content": self._content(question)},
            ],
            self.tokens: tokens,
            "stream": False,
        } | {key: value for key, value in optional.items() if key not in self.without}
        form = FORMATS[self.format][1](question.reply)
        return body if form is None else body | {"response_format": form}

    def _content(self, question: Question[R]) -> str | list[dict[str, Any]]:
        if question.image is None or not self.images:
            return question.user
        data = base64.b64encode(question.image).decode("ascii")
        picture = {"url": f"data:image/jpeg;base64,{data}"}
        return [
            {"type": "text", "text": question.user},
            {"type": "image_url", "image_url": picture},
        ]

    def humbler(
        self, status: int, complaint: str, *, image: bool, guess: bool = True
    ) -> Manners | None:
        """What to try after a refusal; None when nothing about it would be different.

        Args:
            status: HTTP status.
            complaint: What the server said.
            image: Whether the request held a picture.
            guess: Leave something out even if the complaint does not name it.
        """
        if status not in _REFUSALS:
            return None
        said = complaint.lower()
        if "max_completion_tokens" in said and self.tokens == "max_tokens":
            return replace(self, tokens="max_completion_tokens")
        for name in _OPTIONAL:
            if re.search(rf"\b{name}\b", said) and name not in self.without:
                return replace(self, without=self.without | {name})
        image = image and self.images
        worse = replace(self, format=self.format + 1) if self.format + 1 < len(FORMATS) else None
        if image and _ABOUT_IMAGES.search(said):
            return replace(self, images=False)
        if _ABOUT_FORMAT.search(said):
            return worse
        if status not in _UNEXPLAINED or not guess:
            return None
        return replace(self, images=False) if image else worse


def facts(manners: Manners) -> Mapping[str, str]:
    """In words, for logs and for people."""
    return {
        "format": FORMATS[manners.format][0],
        "images": "yes" if manners.images else "no",
        "without": ", ".join(sorted(manners.without)) or "nothing",
    }
