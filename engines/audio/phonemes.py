"""IPA as synthesisers speak of it, symbol by symbol with times → phones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from engines.audio.corpus import Phone
from engines.audio.visemes import viseme_of

_BEFORE: Final = frozenset("ˈˌ")
"Marks that belong to the symbol after them."
_AFTER: Final = frozenset("ːˑʰʲˠ̩̯̪̃͡‿↓→↗↘ᵝ5˧˥˨˩")
_DIPHTHONGS: Final[dict[str, tuple[str, str]]] = {
    "A": ("e", "ɪ"),
    "I": ("a", "ɪ"),
    "O": ("o", "ʊ"),
    "Q": ("ə", "ʊ"),
    "W": ("a", "ʊ"),
    "Y": ("ɔ", "ɪ"),
}
"The one-letter diphthongs of Misaki, Kokoro's phonemiser."
_ARPABET: Final[dict[str, tuple[str, str]]] = {
    "EY": ("EH", "IH"),
    "AY": ("AA", "IH"),
    "OW": ("AO", "UH"),
    "AW": ("AA", "UH"),
    "OY": ("AO", "IH"),
}
_NUCLEUS: Final = 0.6
"A diphthong's first vowel takes this share of it (free)."
SHORT_GAP: Final = 0.08
"Seconds: a space shorter than this is the rim of the sounds beside it, not a pause."


def phones_of(symbols: Iterable[tuple[str, float, float]]) -> tuple[Phone, ...]:
    """Symbols with start and end in seconds, in order → phones that touch.

    Stress and length join the sound they belong to, diphthongs of one letter become two phones,
    spaces and punctuation become silence, or go to their neighbours where they are short.
    """
    merged: list[list[object]] = []
    opening: float | None = None
    for symbol, start, end in symbols:
        if symbol in _BEFORE:
            opening = start if opening is None else opening
            continue
        if symbol and symbol in _AFTER and merged:
            merged[-1][2] = end
            opening = None
            continue
        begin = start if opening is None else opening
        opening = None
        if symbol in _DIPHTHONGS:
            first, second = _DIPHTHONGS[symbol]
            turn = begin + _NUCLEUS * (end - begin)
            merged += [[first, begin, turn], [second, turn, end]]
        else:
            merged.append([symbol if _known(symbol) else "", begin, end])
    return touching(Phone(str(s), float(a), float(b)) for s, a, b in merged)  # type: ignore[arg-type]


def phones_of_arpabet(symbols: Iterable[tuple[str, float, float]]) -> tuple[Phone, ...]:
    """The same for ARPAbet, where no mark stands alone; an empty symbol is silence."""
    phones: list[Phone] = []
    for symbol, start, end in symbols:
        if symbol in _ARPABET:
            turn = start + _NUCLEUS * (end - start)
            first, second = _ARPABET[symbol]
            phones += [Phone(first, start, turn), Phone(second, turn, end)]
        else:
            phones.append(Phone(symbol, start, end))
    return touching(phones)


def touching(phones: Iterable[Phone]) -> tuple[Phone, ...]:
    """Phones in order, with neighbouring silences joined and short ones given to the sounds."""
    return _absorb(_join_silence(phones))


def _known(symbol: str) -> bool:
    try:
        viseme_of(symbol)
    except KeyError:
        return False
    return True


def _join_silence(phones: Iterable[Phone]) -> list[Phone]:
    joined: list[Phone] = []
    for phone in phones:
        if joined and not phone.symbol and not joined[-1].symbol:
            joined[-1] = Phone("", joined[-1].start, phone.end)
        elif phone.end > phone.start:
            joined.append(phone)
    return joined


def _absorb(phones: list[Phone]) -> tuple[Phone, ...]:
    """Give short gaps between sounds to the sounds, half each."""
    out: list[Phone] = []
    inner = range(1, len(phones) - 1)
    carry: float | None = None
    for k, phone in enumerate(phones):
        start = phone.start if carry is None else carry
        carry = None
        if not phone.symbol and k in inner and phone.end - phone.start < SHORT_GAP:
            carry = 0.5 * (phone.start + phone.end)
            out[-1] = Phone(out[-1].symbol, out[-1].start, carry)
        else:
            out.append(Phone(phone.symbol, start, phone.end))
    return tuple(out)
