"""Reads what a chat endpoint sends back. Nothing in it is taken for granted."""

from __future__ import annotations

import json
from typing import Any

from planner.backends.backend import PlannerFailed
from planner.tidy import plain


def read_object(raw: bytes) -> dict[str, Any]:
    """A response's body.

    Raises:
        PlannerFailed: http, when it is no JSON object.
    """
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise PlannerFailed("http", "The endpoint's response is not JSON.") from error
    if not isinstance(found, dict):
        raise PlannerFailed("http", "The endpoint's response is not a JSON object.")
    return found


def read_choice(raw: bytes) -> tuple[dict[str, Any], bool]:
    """The first choice's message, and whether it was cut off.

    Raises:
        PlannerFailed: http, when there is none; refused, when the model declines.
    """
    choices = read_object(raw).get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    if not isinstance(first, dict) or not isinstance(message, dict):
        raise PlannerFailed("http", "The endpoint's response holds no message.")
    if message.get("refusal") or first.get("finish_reason") == "content_filter":
        raise PlannerFailed("refused", "The model refused to answer.")
    return message, first.get("finish_reason") == "length"


def said(message: dict[str, Any]) -> str:
    """The text of a message, empty when there is none."""
    content = message.get("content")
    if isinstance(content, list):
        texts = [part.get("text") for part in content[:16] if isinstance(part, dict)]
        content = "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def thoughts(message: dict[str, Any]) -> str:
    """The chain of thought, where a server tells it apart."""
    for key in ("reasoning_content", "reasoning"):
        if isinstance(message.get(key), str):
            return str(message[key])
    return ""


def complaint(raw: bytes, secret: str) -> str:
    """What an error response says, in one line for people.

    Args:
        raw: The body.
        secret: The API key, which some servers repeat; empty when there is none.
    """
    text = raw.decode("utf-8", "replace")
    if secret:
        text = text.replace(secret, "***")
    try:
        found = json.loads(text)
        error = found.get("error", found) if isinstance(found, dict) else ""
        return plain(error.get("message") if isinstance(error, dict) else error, 160)
    except (ValueError, RecursionError):
        return ""
