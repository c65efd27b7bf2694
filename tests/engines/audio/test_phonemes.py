"""Symbols of synthesisers become phones, and phones have visemes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import MOUTH_CHANNELS
from engines.audio.phonemes import phones_of
from engines.audio.visemes import MOUTHS, PHONE_MOUTHS, VISEMES, mouth_of, viseme_of


def names(symbols: list[tuple[str, float, float]]) -> list[str]:
    return [p.symbol for p in phones_of(symbols)]


@pytest.mark.parametrize(
    ("phone", "viseme"),
    [("p", "pbm"), ("M", "pbm"), ("f", "fv"), ("θ", "th"), ("tʃ", "ch"), ("AH0", "a"),
     ("iː", "i"), ("y", "i"), ("w", "u"), ("ɲ", "kg"), ("ˈɔ", "o"), ("", "sil"), ("SIL", "sil"),
     ("R", "r"), ("ʁ", "kg"), ("ɑ̃", "a")],
)  # fmt: skip
def test_a_phone_has_its_viseme(phone: str, viseme: str) -> None:
    assert VISEMES[viseme_of(phone)] == viseme


def test_an_unknown_phone_is_said_to_be_so() -> None:
    with pytest.raises(KeyError):
        viseme_of("%")


def test_every_mouth_is_made_of_known_channels() -> None:
    for mouth in [*MOUTHS.values(), *PHONE_MOUTHS.values()]:
        assert set(mouth) <= set(MOUTH_CHANNELS)
        assert all(0 < v <= 1 for v in mouth.values())
    assert set(MOUTHS) == set(VISEMES)


def test_front_rounded_vowels_pucker_and_bilabials_press() -> None:
    assert mouth_of("yː")["pucker"] > 0.7
    assert mouth_of("i").get("pucker", 0) == 0
    assert mouth_of("b")["press"] > 0.8


def test_stress_and_length_belong_to_their_vowel() -> None:
    phones = phones_of([("ˈ", 0.0, 0.02), ("i", 0.02, 0.1), ("ː", 0.1, 0.2)])
    assert [(p.symbol, p.start, p.end) for p in phones] == [("i", 0.0, 0.2)]


def test_a_one_letter_diphthong_is_two_vowels() -> None:
    assert names([("A", 0.0, 0.2)]) == ["e", "ɪ"]


def test_a_short_space_goes_to_its_neighbours_and_a_long_one_is_silence() -> None:
    short = phones_of([("t", 0.0, 0.1), (" ", 0.1, 0.14), ("a", 0.14, 0.3)])
    assert [(p.symbol, round(p.start, 3), round(p.end, 3)) for p in short] == [
        ("t", 0.0, 0.12),
        ("a", 0.12, 0.3),
    ]
    assert names([("t", 0.0, 0.1), (",", 0.1, 0.4), ("a", 0.4, 0.5)]) == ["t", "", "a"]


@given(
    st.lists(st.tuples(st.sampled_from(list("ptaiAIˈː ,ʃ%m")), st.floats(0.0, 0.3)), max_size=30)
)
def test_phones_are_in_order_and_touch(parts: list[tuple[str, float]]) -> None:
    symbols, at = [], 0.0
    for symbol, length in parts:
        symbols.append((symbol, at, at + length))
        at += length
    phones = phones_of(symbols)
    for phone in phones:
        assert 0.0 <= phone.start <= phone.end <= at + 1e-9
        viseme_of(phone.symbol)
    for first, second in zip(phones, phones[1:], strict=False):
        assert first.end <= second.start + 1e-9
