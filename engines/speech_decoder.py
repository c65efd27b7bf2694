"""The body of a speech response, while it arrives → sound. Pure: bytes in, samples out.

Servers that send a WAV file whatever was asked for are common, so the first bytes decide
between WAV and headerless PCM, not the content type.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

import numpy as np

from core import F32, SAMPLE_RATE, InvalidInput
from engines.resample import Resampler, mono, pcm16, sanitise

PCM_RATE: Final = 24_000
"Hz of headerless PCM where the content type names no rate (OpenAI API, Create speech)."
HEADER_BYTES: Final = 4_096
"A WAV file's sound begins within these."
_NOTHING: Final = np.zeros(0, np.float32)


@dataclass(frozen=True, slots=True)
class _Format:
    """Linear PCM as it lies in the body."""

    rate: int
    channels: int = 1
    bits: int = 16
    floating: bool = False
    length: int | None = None
    "Bytes of sound; None when it goes on to the end of the body."


class SpeechDecoder:
    """Bytes of a PCM or WAV body, cut anywhere → mono float32 at 16 kHz."""

    def __init__(self, content_type: str) -> None:
        """``content_type`` may name the rate of headerless PCM: ``audio/L16;rate=24000``."""
        rate = re.search(r"rate\s*=\s*\"?(\d{4,6})", content_type)
        self._rate = int(rate[1]) if rate else PCM_RATE
        self._pending = b""
        self._format: _Format | None = None
        self._resampler: Resampler | None = None
        self._left: int | None = None

    @property
    def done(self) -> bool:
        """Whether all the sound that the header announced has come."""
        return self._left == 0

    def feed(self, data: bytes) -> F32:
        """The sound that ``data`` completes, float32 ``[N]``.

        Raises:
            InvalidInput: A WAV file of a kind that is not supported.
        """
        self._pending += data
        if self._format is None:
            if len(self._pending) < 4:
                return _NOTHING
            self._begin()
        if self._format is None or self._resampler is None:
            return _NOTHING
        usable = self._pending if self._left is None else self._pending[: self._left]
        size = self._format.channels * self._format.bits // 8
        whole = len(usable) // size * size
        taken, self._pending = self._pending[:whole], self._pending[whole:]
        if self._left is not None:
            self._left -= whole
            self._pending = self._pending[: self._left]
        if not taken:
            return _NOTHING
        return sanitise(self._resampler.push(_samples(taken, self._format)))

    def finish(self) -> F32:
        """What the resampler still holds; a sample cut in two at the end is dropped."""
        return sanitise(self._resampler.flush()) if self._resampler else _NOTHING

    def _begin(self) -> None:
        if self._pending[:4] != b"RIFF":
            form: _Format | None = _Format(self._rate)
        else:
            form = self._header()
        if form is not None:
            self._format, self._left = form, form.length
            self._resampler = Resampler(form.rate, SAMPLE_RATE)

    def _header(self) -> _Format | None:
        """The format of a WAV file, once its header is here; the header is then dropped.

        Source: Microsoft, "Multiple Channel Audio Data and WAVE Files" (format tags 1, 3, 0xFFFE).
        """
        data, at, form = self._pending, 12, None
        while at + 8 <= len(data):
            name, size = struct.unpack_from("<4sI", data, at)
            at += 8
            if name == b"data":
                if form is None:
                    raise InvalidInput("the WAV file has no format before its sound")
                self._pending = data[at:]
                known = 0 < size < 0x7FFF0000  # streamed files do not know their length
                tag, channels, rate, _, _, bits = form
                if (tag, bits) not in ((1, 16), (3, 32)):
                    raise InvalidInput(f"a WAV file with format {tag} and {bits} bits a sample")
                if not 1 <= channels <= 8:
                    raise InvalidInput(f"a WAV file with {channels} channels")
                return _Format(rate, channels, bits, tag == 3, size if known else None)
            if name == b"fmt " and at + 16 <= len(data):
                form = struct.unpack_from("<HHIIHH", data, at)
                if form[0] == 0xFFFE and size >= 26 and at + 26 <= len(data):
                    form = (*struct.unpack_from("<H", data, at + 24), *form[1:])
            at += size + size % 2
        if len(data) > HEADER_BYTES:
            raise InvalidInput("the WAV file's header does not end")
        return None


def _samples(data: bytes, form: _Format) -> F32:
    raw = sanitise(np.frombuffer(data, "<f4")) if form.floating else pcm16(data)
    return mono(raw, form.channels)
