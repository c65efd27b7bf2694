"""Prosody: beats on stressed syllables, phrases that end."""

from __future__ import annotations

from runtime.prosody import ACCENT_GAP, PAUSE_FRAMES, PHRASE_FRAMES, Prosody


def test_a_loud_syllable_is_stressed_once() -> None:
    prosody = Prosody()
    for _ in range(60):
        prosody.stress(-30.0, True, 1)
    struck = [prosody.stress(-15.0, True, 1) for _ in range(ACCENT_GAP)]
    assert struck[0] is not None and 0.5 < struck[0] <= 1.0
    assert not any(struck[1:])


def test_noise_between_words_is_not_stressed() -> None:
    prosody = Prosody()
    assert all(prosody.stress(0.0, False, 1) is None for _ in range(100))


def test_a_phrase_ends_once_after_a_pause() -> None:
    prosody = Prosody()
    said = [prosody.phrase_ends(True, 1) for _ in range(PHRASE_FRAMES)]
    quiet = [prosody.phrase_ends(False, 1) for _ in range(50)]
    assert not any(said) and quiet.index(True) == PAUSE_FRAMES - 1 and sum(quiet) == 1


def test_a_lone_word_and_a_stop_consonant_end_no_phrase() -> None:
    prosody = Prosody()
    word = [prosody.phrase_ends(True, 1) for _ in range(PHRASE_FRAMES - 1)]
    word += [prosody.phrase_ends(False, 1) for _ in range(30)]
    assert not any(word)
    for _ in range(4):
        gap = [prosody.phrase_ends(True, 1) for _ in range(10)]
        gap += [prosody.phrase_ends(False, 1) for _ in range(PAUSE_FRAMES - 1)]
        assert not any(gap)
