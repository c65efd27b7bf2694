"""The shipped network: a stream and a whole file agree, int8 and fp32 agree, nothing upsets it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import F32, SAMPLE_RATE, InvalidInput, Unavailable
from engines.audio.encoder import LOOKAHEADS_MS, TOKEN, WEIGHTS, AudioEncoder, Heard, hear
from engines.audio.visemes import VISEME

INT8 = WEIGHTS / "encoder.int8.onnx"
FIELDS = ("tokens", "visemes", "mouth", "activity", "loudness")


def syllables(seconds: float, seed: int = 0) -> F32:
    """Something like speech: a buzz with moving formants, in syllables, over soft noise."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * SAMPLE_RATE) // TOKEN * TOKEN) / SAMPLE_RATE
    sound = np.zeros_like(t)
    for k in range(1, 30):
        formant = 500 + 300 * np.sin(2 * np.pi * 2.3 * t + seed)
        sound += np.sin(2 * np.pi * 120 * k * t) / (1 + ((120 * k - formant) / 120) ** 2)
    sound *= np.clip(np.sin(2 * np.pi * 3.5 * t), 0, 1)
    noisy: F32 = (0.1 * sound + 0.002 * rng.standard_normal(len(t))).astype(np.float32)
    return noisy


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.sampled_from(LOOKAHEADS_MS))
def test_a_stream_hears_what_the_whole_file_hears(cuts: list[int], lookahead_ms: int) -> None:
    sound = syllables(sum(cuts) * 0.02)
    sound = sound[: sum(cuts) * TOKEN]
    whole = AudioEncoder(lookahead_ms).push(sound)
    stream = AudioEncoder(lookahead_ms)
    at, parts = 0, []
    for cut in cuts:
        parts.append(stream.push(sound[at : at + cut * TOKEN]))
        at += cut * TOKEN
    for name in FIELDS:
        joined = np.concatenate([getattr(p, name) for p in parts])
        np.testing.assert_allclose(joined, getattr(whole, name), atol=5e-4, rtol=1e-4)


def test_a_longer_lookahead_says_the_same_later() -> None:
    """Each head speaks of the same tokens: aligned, they agree far better than shifted."""
    sound = syllables(4.0)
    jaws = {ms: hear(sound, ms).mouth[:, 0] for ms in (40, 80)}
    assert jaws[40].shape == jaws[80].shape == (200,)
    agree = np.corrcoef(jaws[40], jaws[80])[0, 1]
    apart = np.corrcoef(jaws[40][8:], jaws[80][:-8])[0, 1]
    assert agree > 0.8
    assert agree > apart + 0.1


def test_int8_agrees_with_fp32() -> None:
    sound = syllables(4.0)
    exact, small = AudioEncoder(40).push(sound), AudioEncoder(40, graph=INT8).push(sound)
    assert np.mean(exact.visemes.argmax(1) == small.visemes.argmax(1)) > 0.95
    assert np.abs(exact.mouth - small.mouth).mean() < 0.01


def test_nothing_later_changes_what_was_heard() -> None:
    """Causal: the rows of a token do not depend on the sound after it."""
    sound = syllables(2.0)
    other = sound.copy()
    other[SAMPLE_RATE:] = 0.3
    first, second = AudioEncoder(0).push(sound), AudioEncoder(0).push(other)
    np.testing.assert_allclose(first.mouth[:50], second.mouth[:50], atol=1e-6)
    assert np.abs(first.mouth[50:] - second.mouth[50:]).max() > 0.01


WILD = (np.nan, np.inf, -np.inf, 0.0, 1.0, -1.0, 3e38, -3e38, 1e-45)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0), st.floats(-2.0, 2.0))
def test_it_never_says_nan(seed: int, share: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    n = 20 * TOKEN
    with np.errstate(over="ignore"):
        sound = (rng.standard_normal(n) * 10.0 ** rng.uniform(-9, 30) + offset).astype(np.float32)
    sound = np.where(rng.random(n) < share, rng.choice(WILD, n), sound).astype(np.float32)
    encoder = AudioEncoder(40)
    for heard in (encoder.push(sound), encoder.push(syllables(0.4))):
        assert all(np.isfinite(getattr(heard, name)).all() for name in FIELDS)
        np.testing.assert_allclose(heard.visemes.sum(1), 1.0, atol=1e-4)
        assert heard.mouth.min() >= 0
        assert heard.mouth.max() <= 1


@pytest.mark.parametrize("sound", [np.zeros(SAMPLE_RATE), np.full(SAMPLE_RATE, 0.5)])
def test_silence_is_silence(sound: F32) -> None:
    heard = hear(sound.astype(np.float32))
    assert np.all(heard.visemes[10:].argmax(1) == VISEME["sil"])
    assert heard.mouth[10:].max() < 0.1
    assert heard.activity[10:].max() < 0.3


@pytest.mark.parametrize("samples", [0, 1, 319, 320, 321, 170_000])
def test_a_recording_of_any_length_is_heard_whole(samples: int) -> None:
    heard = hear(np.zeros(samples, np.float32))
    assert {len(getattr(heard, name)) for name in FIELDS} == {-(-samples // TOKEN)}


def test_a_recording_longer_than_one_pass_has_no_seam() -> None:
    sound = syllables(22.0)
    encoder = AudioEncoder(0)
    whole: Heard = encoder.push(sound)
    np.testing.assert_allclose(hear(sound, 0).mouth, whole.mouth, atol=5e-4)


def test_wrong_lookaheads_and_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="0, 40, 80"):
        AudioEncoder(50)
    (tmp_path / "no.onnx").write_bytes(b"nothing")
    with pytest.raises(Unavailable, match="export"):
        AudioEncoder(graph=tmp_path / "no.onnx")
    with pytest.raises(ValueError, match="320"):
        AudioEncoder().push(np.zeros(321, np.float32))


def test_it_is_small() -> None:
    """Issue: at most 3 M parameters; 4 bytes each in the fp32 graph, basis and filters beside."""
    assert (WEIGHTS / "encoder.safetensors").stat().st_size < 2 * 3e6
    assert INT8.stat().st_size < 4e6
