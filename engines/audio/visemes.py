"""What sounds look like: fifteen visemes, the phones that show them, the mouths they make.

Source: the viseme table of MPEG-4 face animation (ISO/IEC 14496-2, Visual), its fourteen classes
and silence in its order. Phones of languages beyond English are put with the class whose lips
they share; the rounding of front vowels is kept by the phone (`PHONE_MOUTHS`), not by the class.
"""

from __future__ import annotations

from typing import Final

VISEMES: Final[tuple[str, ...]] = (
    "sil", "pbm", "fv", "th", "td", "kg", "ch", "sz", "nl", "r", "a", "e", "i", "o", "u",
)  # fmt: skip
VISEME: Final[dict[str, int]] = {name: i for i, name in enumerate(VISEMES)}

_IPA: Final[dict[str, str]] = {
    "sil": "",
    "pbm": "p b m ɓ ɱ",
    "fv": "f v ʋ ɸ β pf",
    "th": "θ ð",
    "td": "t d ɾ ʈ ɖ ɗ T",
    "kg": "k g ɡ x ɣ q ŋ h ɦ ʔ χ ʁ ħ ʕ ɟ c ɲ ç ʝ j ʎ",
    "ch": "ʃ ʒ tʃ dʒ ʧ ʤ ʂ ʐ ɕ ʑ tɕ dʑ ʨ ʥ ɧ tʂ dʐ",
    "sz": "s z ts dz ʦ ʣ",
    "nl": "n l ɭ ɫ ɬ ɳ ɴ lˠ",
    "r": "ɹ r ɻ ɽ ʀ ɚ ɝ",
    "a": "a ɑ ɐ ʌ æ ɶ ä",
    "e": "e ɛ ɜ ə ɘ ᵊ œ ø ɵ ɤ",
    "i": "i ɪ ɨ ᵻ y ʏ ɯ",
    "o": "o ɔ ɒ",
    "u": "u ʊ w ʉ ɥ ʍ",
}
_ARPABET: Final[dict[str, str]] = {
    "sil": "SIL PAU SP +NSN+ +SPN+ NSN",
    "pbm": "P B M EM",
    "fv": "F V",
    "th": "TH DH",
    "td": "T D DX",
    "kg": "K G NG HH HV Y",
    "ch": "SH ZH CH JH",
    "sz": "S Z",
    "nl": "N L EN EL",
    "r": "R ER AXR",
    "a": "AA AE AH AX AY AW",
    "e": "EH EY",
    "i": "IH IY IX",
    "o": "AO OW OY",
    "u": "UW UH W UX",
}
_CLASS: Final[dict[str, int]] = {
    phone: VISEME[name]
    for table in (_IPA, _ARPABET)
    for name, phones in table.items()
    for phone in phones.split(" ")
}

_MARKS: Final = "ˈˌːˑʰʲˠˤ̩̯̪̃͡‿↓→↗↘ᵝ"
"Stress, length, secondary articulation, tone: no viseme of their own."


def viseme_of(phone: str) -> int:
    """The class of an IPA or ARPAbet symbol, with or without marks of stress and length.

    Raises:
        KeyError: No such phone is known.
    """
    if phone in _CLASS:
        return _CLASS[phone]
    bare = "".join(c for c in phone if c not in _MARKS).rstrip("0123456789")
    if bare in _CLASS:
        return _CLASS[bare]
    return _CLASS[bare.upper()]


MOUTHS: Final[dict[str, dict[str, float]]] = {
    "sil": {},
    "pbm": {"press": 0.9},
    "fv": {"tuck": 0.9, "jaw": 0.06, "upper_lip": 0.12},
    "th": {"jaw": 0.12, "tongue": 0.8, "lower_lip": 0.2, "upper_lip": 0.08},
    "td": {"jaw": 0.12, "wide": 0.12, "lower_lip": 0.25, "upper_lip": 0.08, "tongue": 0.25},
    "kg": {"jaw": 0.2, "lower_lip": 0.2, "upper_lip": 0.08},
    "ch": {"jaw": 0.08, "pucker": 0.55, "lower_lip": 0.45, "upper_lip": 0.25},
    "sz": {"jaw": 0.05, "wide": 0.35, "lower_lip": 0.45, "upper_lip": 0.15},
    "nl": {"jaw": 0.16, "wide": 0.1, "lower_lip": 0.2, "upper_lip": 0.08, "tongue": 0.35},
    "r": {"jaw": 0.16, "pucker": 0.4, "lower_lip": 0.15, "upper_lip": 0.1},
    "a": {"jaw": 0.7, "wide": 0.12, "lower_lip": 0.3, "upper_lip": 0.15},
    "e": {"jaw": 0.43, "wide": 0.4, "lower_lip": 0.35, "upper_lip": 0.15},
    "i": {"jaw": 0.22, "wide": 0.6, "lower_lip": 0.35, "upper_lip": 0.12},
    "o": {"jaw": 0.47, "pucker": 0.55, "lower_lip": 0.12, "upper_lip": 0.08},
    "u": {"jaw": 0.16, "pucker": 0.95, "lower_lip": 0.08, "upper_lip": 0.06},
}
"""The mouth of each class, said clearly. Strengths were set by eye on rendered faces; which
channel moves follows the phonetics (bilabials press, labiodentals tuck, rounded vowels pucker)."""

PHONE_MOUTHS: Final[dict[str, dict[str, float]]] = {
    # Front rounded vowels keep the jaw of their height and the lips of u and o.
    "y": {"jaw": 0.14, "pucker": 0.85},
    "ʏ": {"jaw": 0.18, "pucker": 0.7},
    "ø": {"jaw": 0.28, "pucker": 0.65},
    "œ": {"jaw": 0.4, "pucker": 0.5},
    "ɵ": {"jaw": 0.25, "pucker": 0.5},
    "ɥ": {"jaw": 0.12, "pucker": 0.85},
    # Reduced and central vowels hardly open.
    "ə": {"jaw": 0.28, "wide": 0.1, "lower_lip": 0.22, "upper_lip": 0.08},
    "ɐ": {"jaw": 0.36, "wide": 0.1, "lower_lip": 0.25, "upper_lip": 0.1},
    "ᵊ": {"jaw": 0.2, "lower_lip": 0.2},
    "ʌ": {"jaw": 0.52, "wide": 0.1, "lower_lip": 0.28, "upper_lip": 0.12},
    "ɯ": {"jaw": 0.18, "wide": 0.25, "lower_lip": 0.25},
    "ɔ": {"jaw": 0.56, "pucker": 0.45, "lower_lip": 0.15, "upper_lip": 0.1},
    "ɒ": {"jaw": 0.62, "pucker": 0.3, "lower_lip": 0.2, "upper_lip": 0.1},
    "ʊ": {"jaw": 0.22, "pucker": 0.6, "lower_lip": 0.1, "upper_lip": 0.06},
    "w": {"jaw": 0.08, "pucker": 0.95, "lower_lip": 0.05},
    "j": {"jaw": 0.14, "wide": 0.5, "lower_lip": 0.3, "upper_lip": 0.1},
    "h": {"jaw": 0.24, "lower_lip": 0.2, "upper_lip": 0.08},
    "β": {"press": 0.4, "jaw": 0.05},
    "ɸ": {"press": 0.4, "jaw": 0.05},
    "AH": {"jaw": 0.46, "wide": 0.1, "lower_lip": 0.26, "upper_lip": 0.1},
    "AX": {"jaw": 0.26, "wide": 0.1, "lower_lip": 0.22, "upper_lip": 0.08},
    "W": {"jaw": 0.08, "pucker": 0.95, "lower_lip": 0.05},
    "Y": {"jaw": 0.14, "wide": 0.5, "lower_lip": 0.3, "upper_lip": 0.1},
    "HH": {"jaw": 0.24, "lower_lip": 0.2, "upper_lip": 0.08},
    "UH": {"jaw": 0.22, "pucker": 0.6, "lower_lip": 0.1, "upper_lip": 0.06},
}
"""Phones whose mouth differs from their class's."""


def mouth_of(phone: str) -> dict[str, float]:
    """The mouth of a phone said clearly, channel → [0, 1]; channels not named are 0.

    Raises:
        KeyError: No such phone is known.
    """
    viseme = viseme_of(phone)
    bare = phone if phone in PHONE_MOUTHS else "".join(c for c in phone if c not in _MARKS)
    return PHONE_MOUTHS.get(bare) or MOUTHS[VISEMES[viseme]]
