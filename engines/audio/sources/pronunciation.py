"""Text → words → phones: espeak's IPA, regrouped, and the nearest phones of an English model.

A phone here is what an aligner can give a time to: an affricate or a diphthong is one, length
and secondary articulation belong to the sound before them, stress and tone are dropped.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Protocol

from core import InvalidInput, Unavailable

ESPEAK_VOICES: Final[dict[str, str]] = {
    "en": "en-us", "de": "de", "es": "es-419", "fr": "fr", "it": "it", "pt": "pt-br",
    "nl": "nl", "pl": "pl", "ru": "ru", "ja": "ja", "zh": "cmn",
}  # fmt: skip
"Language (BCP 47) → espeak voice."

NEAREST: Final[dict[str, tuple[str, ...]]] = {
    # Vowels.
    "i": ("IY", "IH"), "ɪ": ("IH", "IY"), "ᵻ": ("IH", "AH"), "ɨ": ("IH", "UH"), "e": ("EH", "EY"),
    "ɛ": ("EH", "AE"), "æ": ("AE", "EH"), "a": ("AA", "AE", "AH"), "ɐ": ("AH", "EY"),
    "ɑ": ("AA", "AO"), "ɒ": ("AA", "AO"), "ɔ": ("AO", "AA"), "o": ("OW", "AO"), "ʊ": ("UH", "AH"),
    "u": ("UW", "UH"), "ʉ": ("UW",), "ɯ": ("UW", "UH", "IH"), "ʌ": ("AH", "AA"),
    "ə": ("AH", "IH"), "ɘ": ("AH",), "ɜ": ("ER", "AH"), "ɚ": ("ER",), "ɝ": ("ER",), "ɤ": ("AH",),
    "y": ("UW", "IY"), "ʏ": ("UH", "IH"), "ø": ("ER", "UH"), "œ": ("AH", "ER"), "ɵ": ("UH",),
    # Nasal vowels: the murmur that English hears after them is optional.
    "ɑ̃": ("AA", "AA NG", "AO"), "ɔ̃": ("AO", "OW NG", "OW"), "ɛ̃": ("AE", "AE NG", "EH"),
    "œ̃": ("AH", "AH NG"), "ã": ("AH", "AH NG"), "ẽ": ("EY",), "ĩ": ("IY",), "õ": ("OW",),
    "ũ": ("UW",),
    # Diphthongs.
    "aɪ": ("AY",), "ai": ("AY",), "aʊ": ("AW",), "au": ("AW",), "ɑu": ("AW",), "ɔɪ": ("OY",),
    "oɪ": ("OY",), "ɔø": ("OY",), "ɔʏ": ("OY",), "eɪ": ("EY",), "ei": ("EY",), "oʊ": ("OW",),
    "ou": ("OW",), "əʊ": ("OW",),
    # Plosives and nasals.
    "p": ("P",), "b": ("B",), "t": ("T",), "d": ("D",), "k": ("K",), "ɡ": ("G",), "c": ("K",),
    "ɟ": ("G",), "q": ("K",), "ʔ": ("",), "m": ("M",), "n": ("N",), "ɱ": ("M",), "ɲ": ("N Y", "N"),
    "ŋ": ("NG",), "ɴ": ("NG", "N"), "ɳ": ("N",),
    # Fricatives and affricates.
    "f": ("F",), "v": ("V",), "ɸ": ("F", "HH"), "β": ("B", "V"), "θ": ("TH",), "ð": ("DH", "D"),
    "s": ("S",), "z": ("Z", "S"), "ʃ": ("SH",), "ʒ": ("ZH",), "ʂ": ("SH",), "ʐ": ("R", "ZH"),
    "ɕ": ("SH",), "ʑ": ("ZH",), "ç": ("SH", "HH", "K"), "x": ("HH", "K"), "χ": ("HH", "K"),
    "ɣ": ("G", "HH"), "ʁ": ("HH", "R", "G"), "h": ("HH",), "ɦ": ("HH",), "ħ": ("HH",),
    "tʃ": ("CH",), "dʒ": ("JH",), "tɕ": ("CH",), "dʑ": ("JH",), "tʂ": ("CH",), "dʐ": ("JH",),
    "ts": ("T S", "S"), "dz": ("D Z", "Z"),
    # Liquids and glides.
    "l": ("L",), "ɫ": ("L",), "ɭ": ("L",), "ʎ": ("L Y", "Y"), "ɹ": ("R",), "ɻ": ("R",),
    "r": ("R", "D", "HH"), "ɾ": ("D", "T", "R"), "ɽ": ("R",), "ʀ": ("R", "HH"), "j": ("Y", "IY"),
    "ʝ": ("Y", "JH"), "w": ("W",), "ʋ": ("V", "W"), "ɥ": ("W", "Y"),
}  # fmt: skip
"""IPA → phones of the CMU model, nearest first, by place, manner and voicing; two where it needs
two, "" where it has none. What lies between two English sounds (r, flaps, front rounded vowels)
names both: an aligner may choose."""

_DIPHTHONGS: Final = frozenset(s for s in NEAREST if len(s) == 2 and s[1] in "ɪʊʏøiu" and s != "ɪʊ")
_AFFRICATES: Final = frozenset(("tʃ", "dʒ", "tɕ", "dʑ", "tʂ", "dʐ"))
_DENTAL_AFFRICATES: Final = frozenset(("ts", "dz"))
"Two sounds in English, French and Spanish, one in these languages:"
_WITH_DENTAL_AFFRICATES: Final = frozenset(("de", "it", "ru", "ja", "zh", "pl"))
_MODIFIERS: Final = "ːˑʰʲʷˠˤ"
_TILDE: Final = "\N{COMBINING TILDE}"
_VOWELS: Final = frozenset("iɪᵻɨeɛæaɐɑɒɔoʊuʉɯʌəɘɜɚɝɤyʏøœɵ")
_PINYIN: Final = (
    (re.compile(r"[1-5ɜ]"), ""),  # tones; espeak writes 35, the rising one, as ɜ
    (re.compile(r"ts\.h"), "tʂʰ"), (re.compile(r"ts\."), "tʂ"), (re.compile(r"s\."), "ʂ"),
    (re.compile(r"(?<=[ptksɕ])h"), "ʰ"), (re.compile(r"i\."), "ɨ"), (re.compile(r"nɡ"), "ŋ"),
    (re.compile(r"ər"), "ɚ"), (re.compile(r"j?i(?=[aɑeɛoəu])"), "j"),
    (re.compile(r"u(?=[aɑeɛoəi])"), "w"), (re.compile(r"j?y(?=[aɑeɛə])"), "ɥ"),
    (re.compile(r"jy"), "y"), (re.compile(r"(?<![pmfw])(?<!pʰ)o(?![uŋ])"), "ɤ"),
)  # fmt: skip
"Espeak's Mandarin, which is near to Pinyin, to IPA."
_CLAUSE: Final = re.compile(
    r"[.,;:!?…]+(?=\s|$)|[。，、？！；：…．「」（）《》—–]+|\s-\s|[\n\"()\[\]]+"
)
_UNREADABLE: Final = re.compile(r"[㐀-鿿]")
"Kanji: espeak spells them out as 'Chinese letter'."


@dataclass(frozen=True, slots=True)
class Pronounced:
    """A word as it is said. Clitics that espeak runs together are one word."""

    ipa: tuple[str, ...]
    "Its phones."

    @property
    def variants(self) -> tuple[tuple[str, ...], ...]:
        """ARPAbet for each phone, in one to three readings; "" for a phone that has none.

        Reading k takes the k-th nearest of every phone: enough choice for an accent, where every
        combination would be too much.
        """
        choices = [NEAREST[base(symbol)] for symbol in self.ipa]
        depth = max((len(c) for c in choices), default=0)
        readings = [tuple(c[min(k, len(c) - 1)] for c in choices) for k in range(depth)]
        return tuple(dict.fromkeys(r for r in readings if any(r)))


class Phonemiser(Protocol):
    """What `piper.phonemize_espeak.EspeakPhonemizer` is here."""

    def phonemize(self, voice: str, text: str) -> list[list[str]]:
        """IPA characters by sentence; spaces between words."""
        ...


def espeak() -> Phonemiser:
    """The phonemiser that piper-tts carries.

    Raises:
        Unavailable: piper-tts is not installed.
    """
    try:
        from piper.phonemize_espeak import EspeakPhonemizer
    except ImportError as error:
        raise Unavailable("Pronunciations need piper-tts: pip install piper-tts") from error
    phonemiser: Phonemiser = EspeakPhonemizer()
    return phonemiser


def pronounce(text: str, language: str, phonemiser: Phonemiser) -> tuple[Pronounced, ...]:
    """The words of a text in order, each as it is said beside its neighbours.

    Raises:
        InvalidInput: A language that is not known, Japanese in kanji, or nothing to say.
    """
    family = language.split("-")[0].lower()
    if family not in ESPEAK_VOICES:
        known = ", ".join(ESPEAK_VOICES)
        raise InvalidInput(f"No pronunciations for language {language!r}; known are {known}.")
    if family == "ja" and _UNREADABLE.search(text):
        raise InvalidInput("Japanese must be written in kana: kanji can not be pronounced.")
    words = []
    for clause in filter(None, map(str.strip, _CLAUSE.split(text))):
        for sentence in phonemiser.phonemize(ESPEAK_VOICES[family], clause):
            spoken = re.sub(r"\([^)]*\)", "", "".join(sentence))  # "(en)": a word of another voice
            words += [Pronounced(tuple(phones(w, family))) for w in spoken.split()]
    words = [w for w in words if w.variants]
    if not words:
        raise InvalidInput("The text has no words that can be said.")
    return tuple(words)


def phones(ipa: str, family: str = "en") -> Iterator[str]:
    """One word of espeak's IPA → its phones; marks that are no sound are dropped."""
    text = unicodedata.normalize("NFD", ipa).replace("c\N{COMBINING CEDILLA}", "ç")
    text = text.translate(_DROP)
    if family == "de":
        text = re.sub("ɜ(?!ː)", "ɐ", text)  # the vowel of -er
    if family == "zh":
        for pattern, put in _PINYIN:
            text = pattern.sub(put, text)
    sounds = list(_sounds(text))
    k = 0
    while k < len(sounds):
        pair = sounds[k] + sounds[k + 1] if k + 1 < len(sounds) else ""
        if pair and _is_one(pair, family):
            yield pair
            k += 2
        else:
            yield sounds[k]
            k += 1


def base(symbol: str) -> str:
    """A phone without length and secondary articulation; nasality stays where it is known."""
    bare = symbol.translate(_BARE)
    return bare if bare in NEAREST else bare.replace(_TILDE, "")


def split_diphthong(symbol: str) -> tuple[str, ...]:
    """A diphthong's two vowels; any other phone alone."""
    return (symbol[0], symbol[1:]) if base(symbol) in _DIPHTHONGS else (symbol,)


def _sounds(text: str) -> Iterator[str]:
    """Single sounds with their modifiers; double consonants (Italian, Japanese) are one."""
    marked: list[str] = []
    for char in text:
        if marked and (char in _MODIFIERS or char == _TILDE):
            marked[-1] += char
        elif char in NEAREST:
            marked.append(char)
    for symbol, run in groupby(marked):
        length = len(list(run))
        if symbol in _VOWELS:
            yield from [symbol] * length
        else:
            yield symbol + "ː" * (length > 1 and "ː" not in symbol)


def _is_one(pair: str, family: str) -> bool:
    bare = pair.translate(_BARE)
    if bare in _DENTAL_AFFRICATES:
        return family in _WITH_DENTAL_AFFRICATES
    return bare in _AFFRICATES or (bare in _DIPHTHONGS and pair[1] == bare[1])


_DROP: Final[dict[int, str | None]] = {
    **dict.fromkeys(map(ord, "ˈˌ-\u0361\u032f\u0329\u031e\u0308\u032a\u031a\u031d\u02deᵝ")),
    ord("g"): "ɡ",
}
"Stress, ties and fine placement."
_BARE: Final = dict.fromkeys(map(ord, _MODIFIERS))
