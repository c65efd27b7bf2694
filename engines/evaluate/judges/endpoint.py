"""A multimodal chat endpoint: vLLM, SGLang, Ollama or a hosted one.

Whatever the endpoint does, a question ends within its seconds, with a text or with one error.
What goes over the wire is bounded both ways; the key leaves in the header alone.

Source: OpenAI API reference, "Create chat completion"; RFC 9110 section 10.2.3 (Retry-After).
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from core import InvalidInput, Unavailable

log = logging.getLogger(__name__)

Part = Mapping[str, Any]
"Of a message: text, image_url, video_url or input_audio."
TRANSIENT: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"Statuses that may be different in a moment."
LOCKED: Final = frozenset({401, 403, 404, 405})
"Statuses that will be the same for every question."
FIRST_WAIT: Final = 0.5
"Seconds before the second try; doubles from try to try (free)."
MOST_WAIT: Final = 60.0
"Seconds waited before a try at most; a server that asks for more is left alone (free)."
LONGEST_TEXT: Final = 100_000
"Characters of a reply that are kept."
RETRACTABLE: Final = ("temperature", "seed", "max_tokens")
"""Parameters that some servers refuse: left out when a refusal names them. Reasoning models want
``max_completion_tokens`` in place of ``max_tokens``."""


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """Where the endpoint is and how patient to be with it."""

    url: str
    "Up to and including the version, e.g. ``http://127.0.0.1:8000/v1``."
    model: str = ""
    "Empty: the first one the server lists."
    api_key: str = field(default="", repr=False)
    "Sent as ``Authorization: Bearer``; empty for servers that want none."
    extra: Mapping[str, Any] = field(default_factory=dict)
    "Put into every request, for parameters that only some servers know."
    connections: int = 4
    "Questions at the same time."
    connect_seconds: float = 10.0
    read_seconds: float = 300.0
    "Longest silence of the server: it says nothing while it thinks."
    total_seconds: float = 900.0
    "For one question with everything that is tried for it."
    tries: int = 4
    first_wait: float = FIRST_WAIT
    max_request: int = 48 << 20
    "Bytes of a question that are sent at most."
    max_response: int = 4 << 20

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            host, _ = parts.hostname, parts.port
        except ValueError:
            parts, host = urlsplit(""), None
        # A password or a key in the address would end up in logs.
        odd = parts.username or parts.password or parts.query or parts.fragment
        if parts.scheme not in ("http", "https") or not host or odd:
            raise InvalidInput(
                "The judge's URL must look like http://127.0.0.1:8000/v1, without a password and "
                "without anything behind a question mark."
            )
        if not (self.api_key.isascii() and (self.api_key.isprintable() or not self.api_key)):
            raise InvalidInput("The judge's API key has characters that no HTTP header can carry.")
        if self.tries < 1 or self.connections < 1:
            raise InvalidInput("The judge needs at least one try and one connection.")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is drawn."""

    temperature: float = 0.6
    "Free; the paper states none."
    max_tokens: int = 4_000
    "With the thoughts."
    seed: int = 0


class Endpoint:
    """Asks one model, several questions at a time; ``async with`` closes its connections."""

    def __init__(self, settings: EndpointSettings) -> None:
        self._settings = settings
        self._model = settings.model
        self._left_out: frozenset[str] = frozenset()
        # Compressed replies are not asked for: a small one could unpack to any size.
        headers = {"Accept-Encoding": "identity"}
        if settings.api_key:
            headers["Authorization"] = f"Bearer {settings.api_key}"
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(
                settings.read_seconds,
                connect=settings.connect_seconds,
                pool=settings.total_seconds,
            ),
            limits=httpx.Limits(max_connections=settings.connections),
        )

    async def __aenter__(self) -> Endpoint:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.aclose()

    async def model(self) -> str:
        """The model's name; asks the server for its first one where none was given.

        Raises:
            Unavailable: It can not be asked, or lists none.
        """
        if not self._model:
            deadline = time.monotonic() + self._settings.total_seconds
            status, raw = await self._send("GET", "models", None, deadline)
            listed = _object(raw).get("data") if status == 200 else None
            first = listed[0] if isinstance(listed, list) and listed else None
            name = first.get("id") if isinstance(first, dict) else None
            if not isinstance(name, str) or not name:
                raise Unavailable(
                    f"The judge's endpoint lists no model (status {status}): name one."
                )
            self._model = name[:200]
        return self._model

    async def ask(self, system: str, parts: Sequence[Part], sampling: Sampling) -> str:
        """What the model writes, its separate thoughts left out.

        Raises:
            Unavailable: The endpoint can not be reached, is overloaded, or takes no questions;
                ``facts["final"]`` where it will not be otherwise soon.
            InvalidInput: It refuses this question, or the question is too large to be sent.
        """
        deadline = time.monotonic() + self._settings.total_seconds
        body = {
            "model": await self.model(),
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": list(parts)},
            ],
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
            "stream": False,
            **self._settings.extra,
        }
        for _ in range(len(RETRACTABLE) + 1):
            left_out = self._left_out
            status, raw = await self._send(
                "POST", "chat/completions", _without(body, left_out), deadline
            )
            if status == 200:
                return self._clean(_content(raw), LONGEST_TEXT)
            why = self._complaint(raw)
            named = {name for name in RETRACTABLE if re.search(rf"\b{name}\b", why)}
            if status not in (400, 422, 500) or not named - left_out:
                break
            self._left_out = left_out | named
            log.info("The judge's endpoint does not take %s.", ", ".join(sorted(named)))
        raise self._refusal(status, why)

    def _refusal(self, status: int, why: str) -> Unavailable | InvalidInput:
        said = f"The judge's endpoint answered {status}{': ' + why if why else ''}."
        if status in LOCKED:
            return Unavailable(f"{said} Check the URL, the model's name and the key.", final=True)
        if status in TRANSIENT:
            return Unavailable(f"{said} Run again when it is less busy: answers are kept.")
        return InvalidInput(
            f"{said} If it does not take what was sent, try another --judge-input, fewer or "
            "smaller pictures, or leave --judge-audio out."
        )

    def _complaint(self, raw: bytes) -> str:
        """What the server says is wrong, one line, without our key."""
        error = _object(raw).get("error", raw.decode("utf-8", "replace"))
        message = error.get("message", "") if isinstance(error, dict) else error
        return self._clean(" ".join(str(message).split()), 300)

    def _clean(self, text: str, most: int) -> str:
        key = self._settings.api_key
        return (text.replace(key, "[key]") if key else text)[:most]

    # --- one request -------------------------------------------------------------------------

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, deadline: float
    ) -> tuple[int, bytes]:
        """Status and body. Tries again while that may help and time is left."""
        content = None if body is None else json.dumps(body).encode()
        if content is not None and len(content) > self._settings.max_request:
            raise InvalidInput(
                f"The question has {len(content) / 1e6:.0f} MB, more than the "
                f"{self._settings.max_request / 1e6:.0f} MB that are sent: use fewer frames."
            )
        for attempt in range(1, self._settings.tries + 1):
            last = attempt == self._settings.tries
            wait = self._settings.first_wait * 2.0 ** (attempt - 1) * random.uniform(0.75, 1.25)
            try:
                status, raw, asked = await self._try(method, path, content, deadline)
                if last or status not in TRANSIENT or _explains_itself(status, raw):
                    return status, raw
                wait = max(wait, asked)
                if wait > MOST_WAIT or time.monotonic() + wait > deadline:
                    return status, raw
            except Unavailable:
                if last or time.monotonic() + wait > deadline:
                    raise
            await asyncio.sleep(wait)
        raise AssertionError("unreachable")

    async def _try(
        self, method: str, path: str, content: bytes | None, deadline: float
    ) -> tuple[int, bytes, float]:
        """Status, body, and the seconds the server asks to wait."""
        url = f"{self._settings.url.rstrip('/')}/{path}"
        headers = {} if content is None else {"Content-Type": "application/json"}
        parts, size = [], 0
        try:
            async with (
                asyncio.timeout(max(0.0, deadline - time.monotonic())),
                self._client.stream(method, url, content=content, headers=headers) as response,
            ):
                async for part in response.aiter_raw():
                    parts.append(part)
                    size += len(part)
                    if size > self._settings.max_response:
                        raise InvalidInput("The judge's answer is too long to be one.")
                return (
                    response.status_code,
                    b"".join(parts),
                    retry_after(response.headers.get("retry-after", "")),
                )
        except (httpx.TimeoutException, TimeoutError):
            raise Unavailable("The judge did not answer in time.") from None
        except (
            httpx.HTTPError,
            httpx.InvalidURL,
            httpx.StreamError,
            ValueError,
        ) as e:
            # ValueError: headers or addresses that the layers below httpx refuse.
            what = self._clean(" ".join(f"{type(e).__name__}: {e}".split()), 160)
            raise Unavailable(f"The judge can not be reached: {what}.") from None


def _without(body: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    kept = {name: value for name, value in body.items() if name not in names}
    if "max_tokens" in names:
        kept["max_completion_tokens"] = body["max_tokens"]
    return kept


def _explains_itself(status: int, raw: bytes) -> bool:
    """Whether a server error is about a parameter, so that the same request fails again."""
    return status == 500 and any(name.encode() in raw for name in RETRACTABLE)


def retry_after(value: str) -> float:
    """The seconds a server asks to wait, as a number or as a date; 0 where it asks for none."""
    value = value.strip()
    if value.isascii() and value.isdigit() and len(value) < 8:
        return float(value)
    try:
        then = parsedate_to_datetime(value)
        if then.tzinfo is None:
            then = then.replace(tzinfo=UTC)
        return max(0.0, (then - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _object(raw: bytes) -> dict[str, Any]:
    try:
        data = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _content(raw: bytes) -> str:
    """The text of the first choice; empty where there is none."""
    choices = _object(raw).get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""
