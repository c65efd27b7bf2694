"""An OpenAI-compatible chat endpoint: vLLM, Ollama, llama.cpp, or a hosted one.

Whatever the endpoint does, a question ends within its seconds, with an answer that was checked or
with one `PlannerFailed`. What goes over the wire is bounded both ways. Keys are never logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from core import InvalidInput
from planner.backends.backend import Answer, PlannerFailed, Question, R
from planner.backends.breaker import Breaker
from planner.backends.extract import read_answer
from planner.backends.manners import Manners, facts
from planner.backends.response import complaint, read_choice, read_object, said, thoughts
from planner.tidy import plain

log = logging.getLogger(__name__)

TRANSIENT: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"Statuses that may be different in a moment."
SHORTEST_TRY: Final = 0.25
"Seconds that must be left for another try to be worth it (free)."
NOT_DEAD: Final = frozenset({"busy", "truncated", "empty", "not_json", "wrong_schema"})
"Failures of the model, or of our own, that say nothing about the endpoint."
MOST_REFUSALS: Final = 10
"Refused requests in a row while finding out what a server takes."


@dataclass(frozen=True, slots=True)
class EndpointSettings:
    """Where the endpoint is and how patient to be with it."""

    url: str
    "Up to and including the version, e.g. ``http://127.0.0.1:8000/v1``."
    model: str = ""
    "Empty: the first one the server lists."
    api_key: str = field(default="", repr=False)
    "Sent as ``Authorization: Bearer``; empty for servers that want none."
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    "Sent along with every request."
    connect_seconds: float = 2.0
    read_seconds: float = 20.0
    "Longest silence of the server."
    total_seconds: float = 30.0
    "For one question with everything that is tried for it."
    tries: int = 3
    "Requests a question may cost when the connection fails or the server is overloaded."
    max_tokens: int = 1_500
    most_tokens: int = 4_000
    "What an answer that was cut off may have at its second try."
    max_bytes: int = 1 << 20
    "Longest response that is read."
    temperature: float = 0.7
    connections: int = 8
    "Questions at the same time."

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidInput(
                "The planner's url must look like http://127.0.0.1:8000/v1, "
                f"got {plain(self.url, 80)!r}."
            )
        if self.tries < 1 or self.connections < 1:
            raise InvalidInput("The planner's endpoint needs at least one try and one connection.")
        for name, value in {**self.headers, "API key": self.api_key}.items():
            if not (f"{name}{value}".isascii() and f"{name}{value}".isprintable()):
                raise InvalidInput(
                    f"The planner's {plain(name, 40)} has characters no HTTP header can carry."
                )


class Endpoint:
    """A backend over HTTP. Close it with `aclose`."""

    name = "endpoint"

    def __init__(
        self,
        settings: EndpointSettings,
        *,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._breaker = breaker or Breaker()
        self._clock = clock
        self._manners = Manners()
        self._taken: set[bool] = set()
        "Kinds of request that were taken once, with and without a picture."
        self._model = settings.model
        # Compressed answers are not asked for: a small one could unpack to any size.
        headers = {**settings.headers, "Accept-Encoding": "identity"}
        if settings.api_key:
            headers["Authorization"] = f"Bearer {settings.api_key}"
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(
                settings.read_seconds,
                connect=settings.connect_seconds,
                pool=settings.connect_seconds,
            ),
            limits=httpx.Limits(max_connections=settings.connections),
        )

    @property
    def manners(self) -> Manners:
        """What the server has turned out to take."""
        return self._manners

    async def aclose(self) -> None:
        """Close the connections; asking afterwards fails."""
        await self._client.aclose()

    async def ask(self, question: Question[R], seconds: float) -> Answer[R]:
        """Answer within ``seconds``, and within the settings' own limit.

        Raises:
            PlannerFailed: There is no answer that can be used.
        """
        if self._client.is_closed:
            raise PlannerFailed("missing", "The planner's endpoint has been closed.")
        wait = self._breaker.wait(self._clock())
        if wait > 0:
            raise PlannerFailed(
                "paused", f"The endpoint failed; it is left alone for {wait:.0f} s."
            )
        budget = max(0.0, min(seconds, self._settings.total_seconds))
        try:
            async with asyncio.timeout(budget):
                answer = await self._answer(question, self._clock() + budget)
        except TimeoutError as error:
            failure = PlannerFailed("timeout", f"No answer within {budget:.1f} s.")
            self._failed(failure)
            raise failure from error
        except PlannerFailed as failure:
            self._failed(failure)
            raise
        self._breaker.succeeded()
        return answer

    def _failed(self, failure: PlannerFailed) -> None:
        log.debug("< %s: %s", failure.kind, failure.message)
        if failure.kind in NOT_DEAD or not self._breaker.failed(self._clock()):
            return
        pause = self._breaker.pause()
        log.warning("Planner endpoint: %s Left alone for %.0f s.", failure.message, pause)

    # --- one question ------------------------------------------------------------------------

    async def _answer(self, question: Question[R], deadline: float) -> Answer[R]:
        tokens = self._settings.max_tokens
        while True:
            message, cut_off = await self._complete(question, tokens, deadline)
            try:
                return read_answer(said(message), question.reply, thoughts(message))
            except PlannerFailed as failure:
                if not cut_off:
                    raise
                if tokens >= self._settings.most_tokens:
                    raise PlannerFailed(
                        "truncated", f"The answer was cut off after {tokens} tokens."
                    ) from failure
            tokens = self._settings.most_tokens

    async def _complete(
        self, question: Question[R], tokens: int, deadline: float
    ) -> tuple[dict[str, Any], bool]:
        """The model's message, and whether it was cut off; refused parts are left out."""
        manners = self._manners
        for _ in range(MOST_REFUSALS):
            model = self._model or await self._first_model(deadline)
            body = manners.body(question, model, tokens, self._settings.temperature)
            status, raw = await self._send("POST", "chat/completions", body, deadline)
            held = question.image is not None and manners.images
            if status == 200:
                self._taken.add(held)
                if manners != self._manners:
                    log.info("Planner endpoint takes %s", facts(manners))
                    self._manners = manners
                return read_choice(raw)
            text = raw.decode("utf-8", "replace")
            humbler = manners.humbler(status, text, image=held, guess=held not in self._taken)
            if humbler is None:
                break
            manners = humbler
        raise self._refusal(status, raw)

    async def _first_model(self, deadline: float) -> str:
        status, raw = await self._send("GET", "models", None, deadline)
        if status != 200:
            raise self._refusal(status, raw)
        listed = read_object(raw).get("data")
        first = listed[0] if isinstance(listed, list) and listed else None
        name = first.get("id") if isinstance(first, dict) else None
        if not isinstance(name, str) or not name:
            raise PlannerFailed("http", "The endpoint lists no model; name one.")
        self._model = name[:200]
        return self._model

    def _refusal(self, status: int, raw: bytes) -> PlannerFailed:
        why = complaint(raw, self._settings.api_key)
        kind = "refused" if status in (401, 403) else "http"
        return PlannerFailed(kind, f"The endpoint answered {status}{': ' + why if why else ''}.")

    # --- one request -------------------------------------------------------------------------

    async def _send(
        self, method: str, path: str, body: dict[str, Any] | None, deadline: float
    ) -> tuple[int, bytes]:
        """Status and body. Tries again while that may help and time is left."""
        content = None if body is None else json.dumps(body).encode()
        for attempt in range(1, self._settings.tries + 1):
            last = attempt == self._settings.tries
            try:
                status, raw, after = await self._try(method, path, content)
            except PlannerFailed as failure:
                if last or failure.kind not in ("connection", "timeout"):
                    raise
                after = None
                if not self._time_for_more(_backoff(attempt), deadline):
                    raise
            else:
                wait = _backoff(attempt) if after is None else after
                again = status in TRANSIENT and not _explains_itself(status, raw)
                if last or not again or not self._time_for_more(wait, deadline):
                    return status, raw
            await asyncio.sleep(_backoff(attempt) if after is None else after)
        raise AssertionError("unreachable")

    def _time_for_more(self, wait: float, deadline: float) -> bool:
        return self._clock() + wait + SHORTEST_TRY < deadline

    async def _try(
        self, method: str, path: str, content: bytes | None
    ) -> tuple[int, bytes, float | None]:
        """Status, body, and the seconds the server asks to wait."""
        url = f"{self._settings.url.rstrip('/')}/{path}"
        headers = {} if content is None else {"Content-Type": "application/json"}
        parts, size = [], 0
        try:
            async with self._client.stream(
                method, url, content=content, headers=headers
            ) as response:
                async for part in response.aiter_raw():
                    parts.append(part)
                    size += len(part)
                    if size > self._settings.max_bytes:
                        raise PlannerFailed(
                            "too_large",
                            f"The response is larger than {self._settings.max_bytes} B.",
                        )
                return response.status_code, b"".join(parts), _retry_after(response)
        except httpx.PoolTimeout as error:
            raise PlannerFailed("busy", "All connections to the endpoint are in use.") from error
        except httpx.TimeoutException as error:
            raise PlannerFailed("timeout", "The endpoint did not answer in time.") from error
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as error:
            # ValueError: headers or addresses that the layers below httpx refuse.
            what = plain(f"{type(error).__name__}: {error}", 160)
            raise PlannerFailed("connection", f"The connection failed: {what}.") from error


def _backoff(attempt: int) -> float:
    """Seconds before the next try: doubling, with jitter so that sessions do not march in step."""
    return 0.2 * 2.0 ** (attempt - 1) * random.uniform(0.5, 1.5)


def _retry_after(response: httpx.Response) -> float | None:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() and len(value) < 6 else None


def _explains_itself(status: int, raw: bytes) -> bool:
    """Whether a server error is about a parameter, so that the same request is refused again."""
    text = raw.decode("utf-8", "replace")
    return status == 500 and Manners().humbler(status, text, image=True) is not None
