"""Text → speech: what a voice is, how text is cut for it, and how to open one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncGenerator
from typing import Final, Literal, Protocol

from core import F32, InvalidInput, Unavailable

MAX_TEXT: Final = 2_000
"Characters in one utterance: about two and a half minutes of speech."
MAX_PART: Final = 180
"Characters synthesised at once, so that one part is never long to wait for or to cancel."
FIRST_PART: Final = 48
"A first sentence longer than this is cut at its first pause: the sooner it is heard."
SHORTEST_CLAUSE: Final = 10

VoiceKind = Literal["auto", "none", "piper", "endpoint"]


class Voice(Protocol):
    """Something that speaks. One voice serves all sessions; `close` ends it."""

    name: str
    "Fit to show to a user."

    def synthesise(self, text: str) -> AsyncGenerator[F32, None]:
        """Speak ``text``: pieces of float32 ``[N]``, 16 kHz mono in [-1, 1], at most 1 s each.

        The pieces touch. Closing the generator (``aclose``) stops the work; what is being made
        at that moment is finished and thrown away.

        Raises:
            InvalidInput: At once: empty, too long, or nothing in it can be spoken.
            Unavailable: While iterating: the voice failed or was closed.
        """
        ...

    async def close(self) -> None:
        """Stop all work and free threads and connections. Closing twice is fine."""
        ...


def speakable(text: str) -> str:
    """``text`` without control characters and with single spaces, ready for a voice.

    Raises:
        InvalidInput: Longer than `MAX_TEXT`, or without any letter or digit.
    """
    if len(text) > MAX_TEXT:
        raise InvalidInput(
            f"The text has {len(text)} characters; at most {MAX_TEXT} can be spoken at once. "
            "Send it in parts.",
            length=len(text),
            limit=MAX_TEXT,
        )
    # Categories C*: controls, format marks, surrogates, unassigned. Zero-width joiners go too.
    kept = (" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    clean = " ".join("".join(kept).split())
    if not any(c.isalnum() for c in clean):
        raise InvalidInput("The text has nothing that can be spoken. Send words or numbers.")
    return clean


_ABBREVIATION = re.compile(
    r"\b(?:mr|mrs|ms|dr|prof|st|jr|sr|vs|etc|e\.g|i\.e|no|fig|approx|inc|ltd|[a-z])\.$", re.I
)
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s)|[。！？]+[”’」』）]*")
_PAUSE = re.compile(r"[,;:–—]+[\"'”’)\]]*(?=\s)|\s[-–—](?=\s)|[，、；：]+")


def split_speech(text: str) -> list[str]:
    """Cut speakable text into parts that a voice makes one after the other.

    Parts are sentences; a long one is cut at its pauses (or, lacking those, between words) so
    that no part exceeds `MAX_PART`, and the first sentence at its first pause, so that the
    first sound comes early. Joined by spaces the parts are the text again.
    """
    parts: list[str] = []
    for sentence in _sentences(text):
        parts.extend(_cut(sentence, FIRST_PART if not parts else MAX_PART))
    return parts


def _sentences(text: str) -> list[str]:
    sentences: list[str] = []
    start = 0
    for end in (m.end() for m in _SENTENCE_END.finditer(text)):
        piece = text[start:end].strip()
        if _ABBREVIATION.search(piece) or not any(c.isalnum() for c in piece):
            continue
        sentences.append(piece)
        start = end
    rest = text[start:].strip()
    if any(c.isalnum() for c in rest):
        sentences.append(rest)
    elif rest and sentences:
        sentences[-1] = f"{sentences[-1]} {rest}"
    return sentences


def _cut(sentence: str, limit: int) -> list[str]:
    """One sentence in parts of at most `MAX_PART`; the first at a pause near ``limit``."""
    parts: list[str] = []
    rest = sentence
    while len(rest) > limit:
        pauses = [m.end() for m in _PAUSE.finditer(rest) if m.end() >= SHORTEST_CLAUSE]
        pauses = [p for p in pauses if len(rest) - p >= SHORTEST_CLAUSE and p <= MAX_PART]
        if limit < MAX_PART and pauses:
            at = pauses[0]
        elif len(rest) <= MAX_PART:
            break
        elif pauses:
            at = pauses[-1]
        else:
            space = rest.rfind(" ", SHORTEST_CLAUSE, MAX_PART)
            at = space if space > 0 else MAX_PART
        parts.append(rest[:at].strip())
        rest = rest[at:].strip()
        limit = MAX_PART
    return [*parts, rest]


def open_voice(
    kind: VoiceKind,
    *,
    url: str = "",
    model: str = "",
    voice: str = "",
    api_key: str = "",
) -> Voice:
    """Open a voice. Loading a local one takes about a second: call this off the event loop.

    Args:
        kind: ``auto`` takes the endpoint when ``url`` is set, else Piper.
        url: Base of an OpenAI-compatible API (``…/v1``) or the full ``…/audio/speech``.
        model: The endpoint's model name; for Piper a path to another voice's ``.onnx``.
        voice: The endpoint's voice name.
        api_key: The endpoint's key; never shown or logged.

    Raises:
        Unavailable: ``none`` was asked for, or what is needed is missing; says what to do.
    """
    if kind == "none":
        raise Unavailable(
            "No voice is set up, so text can not be spoken. Start the server with a voice "
            "(SACCADE_VOICE=piper or endpoint), or stream audio instead."
        )
    if kind == "endpoint" or (kind == "auto" and url):
        if not url:
            raise Unavailable("The speech endpoint has no address: set its URL (…/v1).")
        from engines.speech_endpoint import SpeechEndpoint

        return SpeechEndpoint(url, model=model, voice=voice, api_key=api_key)
    from engines.piper_voice import PiperVoice

    return PiperVoice.load(model)
