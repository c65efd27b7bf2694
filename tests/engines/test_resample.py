"""Sound in: rates, channels, bytes and wild values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import F32, InvalidInput
from engines.resample import Resampler, mono, pcm16, resample, sanitise, to_pcm16

PAIRS = [
    (48_000, 16_000), (16_000, 48_000), (22_050, 16_000), (24_000, 16_000), (44_100, 16_000),
    (8_000, 16_000), (16_000, 8_000), (96_000, 16_000), (44_100, 48_000), (44_101, 16_000),
]  # fmt: skip
rates = st.sampled_from([8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000])


def tone(rate: int, hertz: float, seconds: float) -> F32:
    t = np.arange(round(rate * seconds)) / rate
    samples: F32 = (0.5 * np.sin(2 * np.pi * hertz * t)).astype(np.float32)
    return samples


@pytest.mark.parametrize(("src", "dst"), PAIRS)
def test_a_tone_keeps_its_time_and_height(src: int, dst: int) -> None:
    out = resample(tone(src, 1_000, 0.5), src, dst)
    expected = tone(dst, 1_000, 0.5)
    inside = slice(dst // 50, -dst // 50)
    assert np.abs(out[inside] - expected[inside]).max() < 1e-4


@pytest.mark.parametrize(("src", "dst"), [(48_000, 16_000), (44_100, 16_000), (16_000, 8_000)])
def test_what_the_lower_rate_can_not_carry_is_gone(src: int, dst: int) -> None:
    out = resample(tone(src, dst * 0.52, 0.5), src, dst)
    assert np.abs(out[dst // 50 : -dst // 50]).max() < 0.5e-3  # 60 dB below the tone


@settings(max_examples=60, deadline=None)
@given(rates, rates, st.lists(st.integers(0, 1_500), max_size=12), st.integers(0, 2**32 - 1))
def test_any_cutting_gives_the_same_samples_and_the_exact_count(
    src: int, dst: int, cuts: list[int], seed: int
) -> None:
    samples = np.random.default_rng(seed).uniform(-1, 1, sum(cuts)).astype(np.float32)
    whole = resample(samples, src, dst)
    resampler = Resampler(src, dst)
    parts = [resampler.push(part) for part in np.split(samples, np.cumsum(cuts)[:-1])]
    parts.append(resampler.flush())
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-6)
    assert len(whole) == (2 * len(samples) * dst + src) // (2 * src)


@pytest.mark.parametrize(("src", "dst"), PAIRS)
def test_it_holds_back_no_more_than_it_says(src: int, dst: int) -> None:
    resampler = Resampler(src, dst)
    assert resampler.delay <= 0.005
    out = sum(len(resampler.push(np.zeros(src // 100, np.float32))) for _ in range(50))
    held = 50 * (src // 100) / src - out / dst
    assert held <= resampler.delay + 1 / dst + 1 / src


def test_a_new_run_begins_after_flush() -> None:
    samples = tone(48_000, 440, 0.1)
    resampler = Resampler(48_000, 16_000)
    first = np.concatenate((resampler.push(samples), resampler.flush()))
    second = np.concatenate((resampler.push(samples), resampler.flush()))
    np.testing.assert_array_equal(first, second)


def test_state_stays_small_and_exact_over_minutes() -> None:
    resampler = Resampler(44_100, 16_000)
    second = np.zeros(44_100, np.float32)
    out = sum(len(resampler.push(second)) for _ in range(200))
    assert len(resampler._held) < 1_000
    assert out + len(resampler.flush()) == 200 * 16_000


@pytest.mark.parametrize("rate", [0, -1, 7_999, 96_001, 10**9])
def test_a_rate_out_of_range_is_refused(rate: int) -> None:
    with pytest.raises(InvalidInput, match="sample rate"):
        Resampler(rate, 16_000)
    with pytest.raises(InvalidInput, match="sample rate"):
        Resampler(16_000, rate)


def test_pcm16_goes_there_and_back() -> None:
    values = np.array([0, 1, -1, 32767, -32768], "<i2")
    floats = pcm16(values.tobytes())
    assert floats.dtype == np.float32
    assert floats.min() == -1.0
    assert np.abs(np.frombuffer(to_pcm16(floats), "<i2").astype(int) - values).max() <= 1
    assert np.frombuffer(to_pcm16(np.array([7.0, -7.0], np.float32)), "<i2").tolist() == [
        32767, -32767,
    ]  # fmt: skip


def test_half_a_sample_is_refused() -> None:
    with pytest.raises(InvalidInput, match="3 bytes"):
        pcm16(b"\0\0\0")


def test_channels_are_averaged() -> None:
    stereo = np.array([1.0, 0.0, 0.5, -0.5], np.float32)
    assert mono(stereo, 2).tolist() == [0.5, 0.0]
    assert mono(stereo, 1).tolist() == stereo.tolist()
    for channels in (0, 3, 9):
        with pytest.raises(InvalidInput, match="channels"):
            mono(stereo, channels)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(width=64), max_size=20))
def test_wild_values_become_finite_and_bounded(values: list[float]) -> None:
    wild = np.array(values, np.float64)
    safe = sanitise(wild)
    assert safe.dtype == np.float32
    assert np.isfinite(safe).all()
    assert (np.abs(safe) <= 1.0).all()
    tame = np.abs(wild) <= 1.0
    np.testing.assert_array_equal(safe[tame], wild[tame].astype(np.float32))


def test_sanitise_leaves_its_input_alone() -> None:
    wild = np.array([np.nan, 2.0, -np.inf], np.float32)
    assert sanitise(wild).tolist() == [0.0, 1.0, -1.0]
    assert np.isnan(wild[0])
