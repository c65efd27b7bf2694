"""Speech from any OpenAI-compatible ``/v1/audio/speech`` endpoint, heard while it streams.

Source: OpenAI API reference, "Create speech": POST {model, input, voice, response_format};
``pcm`` is 24 kHz mono 16-bit little-endian without a header.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, cast
from urllib.parse import urlsplit

import httpx

from core import F32, SAMPLE_RATE, InvalidInput, Unavailable
from engines.speech_decoder import SpeechDecoder
from engines.voice import speakable

logger = logging.getLogger(__name__)

PIECE: Final = SAMPLE_RATE // 2
"Samples handed out at once, at most."
CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 20.0
"Longest wait for the next bytes; the first sound of a slow model may take this long."
PATIENCE_SECONDS: Final = 30.0
"How far, in all, the endpoint may fall behind the speech it sends."
ERROR_BYTES: Final = 2_048


class SpeechEndpoint:
    """One endpoint, one pooled HTTP client; each utterance is one request."""

    def __init__(
        self,
        url: str,
        *,
        model: str = "",
        voice: str = "",
        api_key: str = "",
        read_seconds: float = READ_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """Nothing is sent yet.

        Raises:
            Unavailable: ``url`` is not an http(s) address or carries a password, or the key can
                not be sent.
        """
        api_key = api_key.strip()
        if not (api_key.isascii() and (api_key.isprintable() or not api_key)):
            raise Unavailable("The speech endpoint's API key has characters that no key has.")
        self._url = _speech_url(url)
        self._host = urlsplit(self._url).netloc
        self._model = model or "tts-1"
        self._voice = voice or "alloy"
        self._key = api_key
        self._patience = patience_seconds
        self.name = f"{self._model} at {self._host}"
        headers = {"Accept-Encoding": "identity"}  # sound is not sent packed, so nothing to burst
        if api_key:
            headers["Authorization"] = f"Bearer {api_key}"
        self._client = httpx.AsyncClient(
            headers=headers,
            timeout=httpx.Timeout(read_seconds, connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=8),
        )

    def synthesise(self, text: str) -> AsyncGenerator[F32, None]:
        """See `engines.voice.Voice.synthesise`."""
        return self._pieces(speakable(text))

    async def close(self) -> None:
        """Close the connections; requests under way fail with Unavailable."""
        await self._client.aclose()

    async def _pieces(self, text: str) -> AsyncGenerator[F32, None]:
        if self._client.is_closed:
            raise Unavailable("The voice was closed.")
        body = {
            "model": self._model,
            "voice": self._voice,
            "input": text,
            "response_format": "pcm",
        }
        try:
            async with self._client.stream("POST", self._url, json=body) as response:
                await self._check(response)
                async with aclosing(self._sound(response, text)) as sound:
                    async for piece in sound:
                        yield piece
        except httpx.TimeoutException as error:
            raise self._fail("did not answer in time. Try again, or a faster model") from error
        except (httpx.HTTPError, httpx.StreamError) as error:
            reason = type(error).__name__
            raise self._fail(f"could not be heard to the end ({reason})") from error

    async def _sound(self, response: httpx.Response, text: str) -> AsyncGenerator[F32, None]:
        """Decode the body as it comes; its length and its slowness are bounded."""
        decoder = SpeechDecoder(response.headers.get("content-type", ""))
        longest = round((10.0 + len(text) / 4.0) * SAMPLE_RATE)  # a third of a usual pace
        made, waited = 0, 0.0
        try:
            async with aclosing(_body(response)) as body:
                while True:
                    begun = time.monotonic()
                    data = None if decoder.done else await anext(body, None)
                    waited += time.monotonic() - begun
                    samples = decoder.finish() if data is None else decoder.feed(data)
                    made += len(samples)
                    for at in range(0, len(samples), PIECE):
                        yield samples[at : at + PIECE]
                    if data is None:
                        break
                    if made > longest:
                        raise self._fail("sends more sound than its text can take")
                    if waited > self._patience + made / SAMPLE_RATE:
                        raise self._fail("sends sound too slowly to be spoken live")
        except InvalidInput as error:
            raise self._fail(f"sent sound that can not be used: {error.message}") from error
        if not made:
            raise self._fail("sent no sound")

    async def _check(self, response: httpx.Response) -> None:
        """Raises Unavailable unless the response promises sound."""
        kind = response.headers.get("content-type", "").split(";")[0].strip().lower()
        if response.headers.get("content-encoding", "identity") != "identity":
            raise self._fail("answered in a packed form that was not asked for")
        if response.status_code == 200:
            if kind.startswith("audio/") or kind in ("", "application/octet-stream"):
                return
            raise self._fail(f"answered with {kind} instead of sound. Check the URL")
        status = response.status_code
        advice = {
            401: "refused the API key. Check the key",
            403: "refused the API key. Check the key and what it allows",
            404: "knows no such address, model or voice. Check the URL, model and voice",
            429: "is at its limit. Try again later",
        }.get(status, "failed. Try again later" if status >= 500 else "refused the request")
        if status in (401, 403):  # what is said about a key may quote it
            raise self._fail(f"{advice} (HTTP {status})", status=status)
        detail = await self._detail(response)
        raise self._fail(f"{advice} (HTTP {status}{detail})", status=status)

    async def _detail(self, response: httpx.Response) -> str:
        """The beginning of what an error body says, on one line, without the key."""
        body = b""
        async with aclosing(_body(response)) as chunks:
            async for data in chunks:
                body += data
                if len(body) >= ERROR_BYTES:
                    break
        text = body[:ERROR_BYTES].decode("utf-8", "replace")
        if self._key:
            text = text.replace(self._key, "…")
        line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
        return f": {line[:160]}" if line else ""

    def _fail(self, what: str, **facts: int) -> Unavailable:
        logger.warning("speech endpoint %s %s", self._host, what)
        return Unavailable(f"The speech endpoint {self._host} {what}.", **facts)


def _speech_url(url: str) -> str:
    """The full address of the speech route, from it or from the API's base."""
    try:
        parts = urlsplit(url.strip())
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        httpx.URL(url.strip())
    except (ValueError, httpx.InvalidURL):
        valid = False
    if not valid:
        raise Unavailable(
            "The speech endpoint's URL is not an http(s) address. Use one like "
            "http://localhost:8880/v1."
        )
    if parts.username or parts.password:
        raise Unavailable(
            "The speech endpoint's URL carries a password. Give the key as the API key instead."
        )
    path = parts.path.rstrip("/")
    if not path.endswith("/audio/speech"):
        path = f"{path}/audio/speech" if path else "/v1/audio/speech"
    return parts._replace(path=path, fragment="").geturl()


def _body(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """The body as it arrives, not gathered into larger pieces."""
    return cast(AsyncGenerator[bytes, None], response.aiter_raw())
