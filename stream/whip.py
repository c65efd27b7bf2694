"""WHIP, the client's side: where may be published to, offer → answer and resource, delete.

Source: RFC 9725. What is known when the offer leaves goes with it, what the servers of its answer
say (section 4.6) is trickled, and after a loss there is a new offer instead of an ICE restart
(section 4.3 leaves that to the client). URLs hold secrets (stream keys) as tokens do: neither is in
any message, log line or answer from here.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Final
from urllib.parse import unquote

import httpx
from aiortc.rtcicetransport import parse_stun_turn_uri
from aiortc.sdp import SessionDescription

from core import InvalidInput, NotAllowed, SaccadeError
from stream.offer import MAX_CANDIDATES, hidden, reachable
from stream.sdpfrag import FRAGMENT
from stream.settings import ICE_SERVER
from stream.whep import MAX_SDP

SDP: Final = "application/sdp"
MAX_HOPS: Final = 4
"Redirects that one offer follows."
MAX_SERVERS: Final = 8
"ICE servers taken from an answer."
TIMEOUT: Final = httpx.Timeout(10.0, connect=5.0)
"Seconds for a connection, and for each read and write."
TOTAL: Final = 15.0
"Seconds for one request, however it trickles in."
DELETE_TIMEOUT: Final = 3.0
"Seconds for the goodbye; the server notices without it as well."
PATCH_TIMEOUT: Final = 3.0
"Seconds for late candidates to be taken."
PORTS: Final = {"http": 80, "https": 443}
PASSING: Final = frozenset({408, 409, 425, 429})
"4xx that may be otherwise next time; the rest is final, and 5xx passes."
LINK: Final = re.compile(r"<([^<>\s]+)>((?:\s*;\s*[\w-]+\s*=\s*(?:\"[^\"]*\"|[^\s;,\"]+))*)")
PARAMETER: Final = re.compile(r";\s*([\w-]+)\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]+))")


class Refused(SaccadeError):
    """The other side does not want this publication; asking again would not change that."""

    code = "whip-refused"


class Trouble(SaccadeError):
    """It did not work this time. ``facts["retry_after"]`` is in seconds where the server told."""

    code = "whip-trouble"


@dataclass(frozen=True, slots=True)
class Place:
    """The beginning of URLs that may be published to."""

    scheme: str
    host: bytes
    port: int
    path: str

    @classmethod
    def of(cls, url: httpx.URL) -> Place:
        """The place of one URL, as it will be connected to."""
        port = url.port or PORTS.get(url.scheme, 0)
        return cls(url.scheme, url.raw_host.lower(), port, url.raw_path.decode().partition("?")[0])

    def holds(self, other: Place) -> bool:
        """Whether ``other`` is this place or below it."""
        if (self.scheme, self.host, self.port) != (other.scheme, other.host, other.port):
            return False
        top = self.path.rstrip("/")
        return other.path == top or other.path.startswith(top + "/")


class Places:
    """What `stream.publish_to` allows. The one answer to requests forged on this server's behalf:
    each URL, whoever names it, is looked at here before anything is sent there."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = [Place.of(httpx.URL(entry)) for entry in allowed]

    def __bool__(self) -> bool:
        return bool(self._allowed)

    def read(self, text: str) -> httpx.URL:
        """A caller's URL. Raises InvalidInput, or NotAllowed."""
        if not self._allowed:
            raise NotAllowed(
                "Publishing is off. Who runs this server allows places with the setting"
                ' stream.publish_to, such as ["https://sfu.example.com/whip"].'
            )
        try:
            url = httpx.URL(text.strip())
        except httpx.InvalidURL:
            raise InvalidInput("The url can not be read; give https://HOST/PATH.") from None
        if url.scheme not in PORTS or not url.host:
            raise InvalidInput("The url is not of a WHIP endpoint; give https://HOST/PATH.")
        if url.userinfo:
            raise InvalidInput("The url holds a user name or password; give a token instead.")
        if not self.hold(url):
            raise NotAllowed(
                f"{shown(url)} is not among the places that may be published to; who runs this"
                " server lists them in stream.publish_to."
            )
        return url.copy_with(fragment=None)

    def hold(self, url: httpx.URL) -> bool:
        """Whether it may be asked."""
        place = Place.of(url)
        return not _climbs(place.path) and any(allowed.holds(place) for allowed in self._allowed)


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint said to an offer."""

    sdp: str
    resource: httpx.URL | None
    "What to DELETE at the end; None when the server, against the RFC, names none."
    etag: str
    "Names its ICE session, for PATCH; empty when there is none."
    ice_servers: tuple[str, ...]
    "STUN and TURN servers it offers, each ``URL`` or ``URL username credential``."


class Whip:
    """The HTTP side. ``async with``: leaving it closes its connections."""

    def __init__(self, places: Places) -> None:
        self._places = places
        trust = httpx.create_ssl_context(trust_env=False)
        trust.load_default_certs()  # the operator's own authorities too
        # Neither proxies nor .netrc of the environment: what is asked is decided here alone.
        self._http = httpx.AsyncClient(verify=trust, trust_env=False, timeout=TIMEOUT)

    async def __aenter__(self) -> Whip:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def offer(self, url: httpx.URL, sdp: str, token: str) -> Answer:
        """Offer to an endpoint, following redirects to other allowed places.

        Raises:
            Refused: It said no, or something that is not WHIP.
            Trouble: It could not be reached, or can not right now.
        """
        headers = _authorization(token) | {"Content-Type": SDP, "Accept": SDP}
        for _ in range(1 + MAX_HOPS):
            response, body = await self._send("POST", url, headers, sdp.encode())
            if response.status_code not in (307, 308):
                return self._answer(url, response, body)
            url = self._next(url, response)
        raise Refused(f"The server redirects more than {MAX_HOPS} times.")

    async def trickle(self, answer: Answer, fragment: str, token: str) -> bool:
        """Tell candidates that came after the offer (section 4.3.2); whether they were taken.

        Servers may know nothing of it, so a no means nothing. Never raises Refused or Trouble.
        """
        if answer.resource is None:
            return False
        headers = _authorization(token) | {"Content-Type": FRAGMENT}
        if answer.etag:
            headers["If-Match"] = answer.etag
        try:
            async with asyncio.timeout(PATCH_TIMEOUT):
                response, _ = await self._send("PATCH", answer.resource, headers, fragment.encode())
        except (Refused, Trouble, TimeoutError):
            return False
        return response.is_success

    async def delete(self, resource: httpx.URL, token: str) -> bool:
        """End a publication; whether the server knows now. Never raises Refused or Trouble."""
        try:
            async with asyncio.timeout(DELETE_TIMEOUT):
                response, _ = await self._send("DELETE", resource, _authorization(token), b"")
        except (Refused, Trouble, TimeoutError):
            return False
        return response.is_success or response.status_code in (404, 410)

    async def _send(
        self, method: str, url: httpx.URL, headers: dict[str, str], content: bytes
    ) -> tuple[httpx.Response, bytes]:
        """One request to an allowed place; the body read up to `MAX_SDP` bytes."""
        headers = headers | {"Accept-Encoding": "identity"}
        body = bytearray()
        try:
            async with (
                asyncio.timeout(TOTAL),
                self._http.stream(method, url, headers=headers, content=content) as response,
            ):
                async for part in response.aiter_raw():
                    body += part
                    if len(body) > MAX_SDP:
                        raise Refused(f"The server answers with more than {MAX_SDP} bytes.")
        except (TimeoutError, httpx.TimeoutException):
            raise Trouble("The server does not answer in time.") from None
        except httpx.HTTPError as error:
            raise Trouble(f"The server can not be reached ({type(error).__name__}).") from None
        return response, bytes(body)

    def _next(self, url: httpx.URL, response: httpx.Response) -> httpx.URL:
        """Where a redirect or a `Location` leads. Raises Refused."""
        try:
            there = url.join(response.headers.get("location", ""))
        except httpx.InvalidURL:
            raise Refused("The server names a place that is no URL.") from None
        if there.userinfo or not self._places.hold(there):
            raise Refused(
                f"The server leads to {shown(there)}, which is not among the places that may be"
                " published to (stream.publish_to)."
            )
        return there

    def _answer(self, url: httpx.URL, response: httpx.Response, body: bytes) -> Answer:
        status = response.status_code
        if status != 201:
            raise _rejection(status, response.headers.get("retry-after", ""))
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != SDP or response.headers.get("content-encoding", "identity") != "identity":
            raise Refused("The server's answer is not SDP; is this a WHIP endpoint?")
        named = "location" in response.headers
        resource = self._next(url, response) if named else None
        links = ice_links(response.headers.get_list("link"))
        return Answer(read_answer(body), resource, response.headers.get("etag", ""), links)


def shown(url: httpx.URL) -> str:
    """What may be told of a URL: its origin. Paths and queries hold keys."""
    port = f":{url.port}" if url.port else ""
    host = f"[{url.host}]" if ":" in url.host else url.host
    return f"{url.scheme}://{host}{port}/…"


def retry_after(header: str, now: float) -> float | None:
    """Seconds a ``Retry-After`` asks to wait (RFC 9110 section 10.2.3); ``now`` in Unix time."""
    if header.isascii() and header.isdigit():
        return float(header[:9])
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except (ValueError, OverflowError):
        return None


def ice_links(headers: Iterable[str]) -> tuple[str, ...]:
    """The ICE servers of ``Link`` headers (RFC 9725 section 4.6), as in `stream.ice_servers`."""
    found = []
    for url, parameters in LINK.findall(", ".join(headers)):
        facts = {
            name.lower(): quoted or bare for name, quoted, bare in PARAMETER.findall(parameters)
        }
        if facts.get("rel") != "ice-server":
            continue
        entry = url
        if "username" in facts and "credential" in facts:
            entry += f" {facts['username']} {facts['credential']}"
        if ICE_SERVER.fullmatch(entry) and _known(url):
            found.append(entry)
    return tuple(found[:MAX_SERVERS])


def _known(url: str) -> bool:
    try:
        parse_stun_turn_uri(url)
    except ValueError:
        return False
    return True


def read_answer(body: bytes) -> str:
    """An SDP answer, without candidates that can not be checked. Raises Refused."""
    try:
        description = SessionDescription.parse(body.decode())
    except Exception as error:  # the parser lets out whatever its expressions raise on wild text
        raise Refused(f"The server's answer can not be read ({type(error).__name__}).") from None
    for media in description.media:
        if media.port == 0:
            raise Refused(f"The server does not take our {media.kind}.")
        if media.ice is None or media.dtls is None or not media.dtls.fingerprints:
            raise Refused("The server's answer is incomplete: no ICE or DTLS parameters.")
        media.rtcp_port, media.rtcp_host = 9, None  # or aiortc would not write rtcp-mux again
        if any(hidden(candidate) for candidate in media.ice_candidates):
            media.ice_candidates_complete = False  # it will reach us; see `stream.offer.Offer`
        usable = [c for c in media.ice_candidates if reachable(c)]
        media.ice_candidates = usable[:MAX_CANDIDATES]
    return str(description)


def _authorization(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _rejection(status: int, header: str) -> SaccadeError:
    if status >= 500 or status in PASSING:
        wait = retry_after(header, time.time())
        facts = {} if wait is None else {"retry_after": wait}
        return Trouble(f"The server is in trouble or busy ({status}).", **facts)
    why = {
        401: "wants a token, or another one",
        403: "does not allow it",
        404: "has no such endpoint",
    }.get(status, "does not answer as a WHIP endpoint does")
    return Refused(f"The server {why} ({status}).")


def _climbs(path: str) -> bool:
    """Whether a server might read the path as leading elsewhere: dot segments, however escaped."""
    for _ in range(3):
        path = unquote(path)
    return "\\" in path or any(part in (".", "..") for part in path.split("/"))
