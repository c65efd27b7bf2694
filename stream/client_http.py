"""The HTTP side of the client: a place in line, pauses, problems as errors, ICE servers."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Iterator
from typing import Any, Final

import httpx
from aiortc import RTCIceServer

from core import (
    Busy,
    Conflict,
    Full,
    InvalidInput,
    NotAllowed,
    NotFound,
    PortraitRejected,
    SaccadeError,
    Unavailable,
)

RETRY: Final = 2.0
"Seconds between two tries when the server names none."
FIRST_PAUSE: Final = 0.25
MOST_PAUSE: Final = 4.0
"Seconds before the second attempt to mend a connection, and before any: the pause doubles."
ICE_LINK: Final = re.compile(r'<([^>]+)>((?:\s*;\s*[\w-]+="(?:[^"\\]|\\.)*")*)')
PARAMETER: Final = re.compile(r'([\w-]+)="((?:[^"\\]|\\.)*)"')
STATUS: Final[dict[int, type[SaccadeError]]] = {
    401: NotAllowed, 403: NotAllowed, 404: NotFound, 409: Conflict, 429: Busy, 503: Busy, 507: Full,
}  # fmt: skip
CODES: Final[dict[str, type[SaccadeError]]] = {
    kind.code: kind for kind in (PortraitRejected, Unavailable, NotAllowed, Full)
}
ENVELOPE: Final = frozenset(
    {"code", "type", "title", "status", "detail", "v", "id", "cause", "pts"}
)  # of a problem and of an event; all else is a fact


def pauses() -> Iterator[float]:
    """Seconds before each attempt: none, then twice as long each time, never the same for all."""
    yield 0.0
    pause = FIRST_PAUSE
    while True:
        yield pause * random.uniform(0.5, 1.0)
        pause = min(MOST_PAUSE, 2 * pause)


async def create_session(
    http: httpx.AsyncClient, wanted: dict[str, Any], wait: float
) -> dict[str, Any]:
    """A new session like ``wanted``, waiting in line for at most ``wait`` seconds.

    Raises SaccadeError: Busy when no place came free in time.
    """
    until = time.monotonic() + wait
    while True:
        try:
            answer = await request(http, "POST", "/v1/sessions", json=wanted)
            made: dict[str, Any] = answer.json()
            return made | {key: str(made[key]) for key in ("id", "token", "whep", "control")}
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"{http.base_url} is no Saccade server: {error!r}.") from None
        except Busy as error:
            pause = float(error.facts.get("retry_after") or RETRY)
            if time.monotonic() + pause > until:
                raise
            if ticket := error.facts.get("ticket"):
                wanted = wanted | {"ticket": ticket}
            await asyncio.sleep(pause)


async def request(
    http: httpx.AsyncClient, method: str, path: str | httpx.URL, **options: Any
) -> httpx.Response:
    """A successful answer. Raises SaccadeError."""
    try:
        answer = await http.request(method, path, **options)
    except httpx.HTTPError as error:
        raise Unavailable(f"No server answers at {http.base_url}: {error!r}.") from None
    if answer.is_success:
        return answer
    try:
        problem = dict(answer.json())
    except ValueError:
        problem = {"detail": f"{http.base_url} answers {answer.status_code} and no reason."}
    raise error_of(problem | {"status": answer.status_code})


def located(http: httpx.AsyncClient, path: str) -> httpx.URL:
    """Where a path of an answer is: below the base, also where the server behind a proxy does not
    know under which prefix it is shown."""
    base = http.base_url
    known = not path.startswith("/") or path.startswith(base.path)
    return base.join(path if known else f".{path}")


def error_of(problem: dict[str, Any]) -> SaccadeError:
    """The error that a problem (RFC 9457), or an ``error`` event, was on the server.

    Kinds that `core` does not know become the nearest one it does, with their own ``code``.
    """
    code = str(problem.get("code") or problem.get("type", "")).removeprefix("urn:saccade:")
    status = int(problem.get("status", 500))
    other = InvalidInput if 400 <= status < 500 else Unavailable
    facts = {key: value for key, value in problem.items() if key not in ENVELOPE}
    kind = CODES.get(code) or STATUS.get(status, other)
    error = kind(str(problem.get("detail") or f"The server answered {status}."), **facts)
    error.code = code or kind.code
    return error


def ice_servers(link: str) -> list[RTCIceServer]:
    """The STUN and TURN servers of a ``Link`` header (RFC 9725 section 4.6)."""
    found = []
    for url, rest in ICE_LINK.findall(link):
        facts = {name: re.sub(r"\\(.)", r"\1", text) for name, text in PARAMETER.findall(rest)}
        if facts.get("rel") == "ice-server":
            login = facts.get("username"), facts.get("credential")
            found.append(RTCIceServer(url, *login))
    return found
