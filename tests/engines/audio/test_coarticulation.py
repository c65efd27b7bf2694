"""Phones blend into a mouth that still closes when it must."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import F32, MOUTH
from engines.audio.coarticulation import TOKEN_SECONDS, Targets, targets
from engines.audio.corpus import Phone
from engines.audio.visemes import VISEME, VISEMES

JAW, PRESS, PUCKER, TUCK = (MOUTH[n] for n in ("jaw", "press", "pucker", "tuck"))
SOUNDS = ["p", "b", "m", "f", "v", "t", "s", "ʃ", "k", "l", "ɹ", "a", "e", "i", "o", "u", "θ", ""]


def say(*sounds: str, length: float = 0.1) -> Targets:
    phones = [Phone(s, k * length, (k + 1) * length) for k, s in enumerate(sounds)]
    return targets(phones, round(len(sounds) * length / TOKEN_SECONDS))


def middle(made: Targets, k: int, length: float = 0.1) -> F32:
    row: F32 = made.mouth[round((k + 0.4) * length / TOKEN_SECONDS)]
    return row


def test_lips_close_for_bilabials_between_the_most_open_vowels() -> None:
    made = say("a", "m", "a", "b", "a", "p", "a")
    for k in (1, 3, 5):
        assert middle(made, k)[PRESS] >= 0.85
        assert middle(made, k)[JAW] < 0.06
    for k in (0, 2, 4):
        assert middle(made, k)[PRESS] < 0.4
        assert middle(made, k)[JAW] > 0.3


def test_the_lip_touches_the_teeth_for_labiodentals() -> None:
    made = say("a", "f", "a", "v", "i")
    assert middle(made, 1)[TUCK] >= 0.8
    assert middle(made, 3)[TUCK] >= 0.8
    assert middle(made, 2)[TUCK] < 0.4


def test_rounding_spreads_into_the_consonant_before() -> None:
    """As in "soon" against "seen": Cohen & Massaro 1993, section on anticipatory coarticulation."""
    assert middle(say("s", "u", "n"), 0)[PUCKER] > middle(say("s", "i", "n"), 0)[PUCKER] + 0.2


def test_a_louder_vowel_opens_wider() -> None:
    phones = [Phone("a", 0.0, 0.2), Phone("t", 0.2, 0.3), Phone("a", 0.3, 0.5)]
    sound = np.full(8_000, 1_000, np.int16)
    sound[4_800:] = 8_000
    mouth = targets(phones, 25, sound).mouth
    assert mouth[20, JAW] > mouth[5, JAW] + 0.1


def test_long_silence_is_rest() -> None:
    made = targets([Phone("a", 1.0, 1.2)], 150)
    assert np.abs(made.mouth[100:]).max() < 0.05
    assert made.activity.sum() == pytest.approx(10, abs=1)
    assert made.visemes[120, VISEME["sil"]] > 0.99


@given(
    st.lists(st.tuples(st.sampled_from(SOUNDS), st.floats(0.02, 0.4), st.floats(0, 0.3)),
             max_size=12),
    st.integers(1, 120),
)  # fmt: skip
def test_targets_are_bounded_whatever_is_said(
    said: list[tuple[str, float, float]], tokens: int
) -> None:
    phones, at = [], 0.0
    for sound, length, gap in said:
        phones.append(Phone(sound, at, at + length))
        at += length + gap
    made = targets(phones, tokens)
    assert made.mouth.shape == (tokens, 9)
    assert made.visemes.shape == (tokens, len(VISEMES))
    assert np.all(np.isfinite(made.mouth))
    assert made.mouth.min() >= 0
    assert made.mouth.max() <= 1
    assert np.allclose(made.visemes.sum(1), 1, atol=1e-4)
