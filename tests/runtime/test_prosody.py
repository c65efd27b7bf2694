"""Prosody: beats on stressed syllables, phrases that end."""

from __future__ import annotations

import numpy as np
import pytest

from core import F32, SAMPLE_RATE, SAMPLES_PER_FRAME
from runtime.prosody import PAUSE_FRAMES, PHRASE_FRAMES, Prosody


def talk(levels: list[float], lengths: list[float] | None = None, pace: float = 0.24) -> F32:
    """A syllable every ``pace`` seconds, each of a level in dB and a length in seconds."""
    parts = []
    for level, length in zip(levels, lengths or [0.12] * len(levels), strict=True):
        t = np.arange(round(pace * SAMPLE_RATE)) / SAMPLE_RATE
        vowel = sum(np.sin(2 * np.pi * 120 * k * t) / k for k in range(1, 20))
        edge = np.clip(np.minimum(t, length - t) / 0.03, 0.001, 1)
        parts.append(10 ** (level / 20) * 0.2 * vowel * edge)
    sound = np.concatenate(parts)
    return np.asarray(sound[: len(sound) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME], np.float32)


def accents(sound: F32, frames: int = 1, speaking: bool = True) -> list[tuple[float, float]]:
    """When, in seconds, and how strong."""
    prosody, found = Prosody(), []
    for at in range(0, len(sound), frames * SAMPLES_PER_FRAME):
        piece = sound[at : at + frames * SAMPLES_PER_FRAME]
        strength = prosody.stress(piece, speaking)
        if strength is not None:
            found.append(((at + len(piece)) / SAMPLE_RATE, strength))
    return found


def test_loud_syllables_are_stressed_and_no_others() -> None:
    levels = [0.0 if k % 6 == 4 else -9.0 for k in range(36)]
    struck = accents(talk(levels))
    loud = [0.24 * k for k in range(4, 36, 6)]
    assert len(struck) == len(loud)
    for (when, strength), began in zip(struck, loud, strict=True):
        assert 0.05 < when - began < 0.25  # while it still sounds, or just after
        assert 0.3 < strength <= 1.0


def test_long_syllables_are_stressed_too() -> None:
    lengths = [0.3 if k % 6 == 4 else 0.1 for k in range(36)]
    struck = accents(talk([-6.0] * 36, lengths, 0.4))
    assert [int(when / 0.4) for when, _ in struck] == list(range(4, 36, 6))


def test_the_louder_the_stronger() -> None:
    strengths = [accents(talk([*[-12.0] * 12, x]))[-1][1] for x in (-7.0, -5.0, -2.0)]
    assert strengths == sorted(strengths) and strengths[0] < strengths[-1]


def test_beats_come_with_words_not_with_syllables() -> None:
    rng = np.random.default_rng(1)
    struck = accents(talk(list(rng.normal(-9, 4, 250)), pace=0.2))
    gaps = np.diff([when for when, _ in struck])
    assert 0.3 < len(struck) / 50.0 < 1.3
    assert gaps.min() > 0.39
    assert np.std([strength for _, strength in struck]) > 0.05


def test_windows_of_any_length_hear_the_same_accents() -> None:
    levels = [0.0 if k % 10 == 4 else -9.0 for k in range(40)]
    one, eight = accents(talk(levels)), accents(talk(levels), frames=8)
    assert [s for _, s in one] == pytest.approx([s for _, s in eight])


@pytest.mark.parametrize("offset", [0.0, 0.3, -0.9])
def test_silence_noise_and_offsets_are_not_stressed(offset: float) -> None:
    noise = np.random.default_rng(0).normal(0, 1e-4, 200 * SAMPLES_PER_FRAME).astype(np.float32)
    assert accents(noise + np.float32(offset)) == []


def test_what_is_no_voice_is_not_stressed() -> None:
    assert accents(talk([-20.0, 0.0] * 20), speaking=False) == []


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
