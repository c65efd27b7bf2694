"""Augmentation: labels stay true, ratios are kept, and nothing wild comes out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core import F32, SAMPLE_RATE
from engines.audio.spoil import degrade, filters, noise
from engines.audio.spoil.augment import Recipe, augment
from engines.audio.spoil.codecs import PACKET, mu_law, narrow_band, opus, telephone
from engines.audio.spoil.music import music
from engines.audio.spoil.room import reverberate, room_response

TWO_MS = 32
EVERYTHING = Recipe(
    clean=0, reverb=1, noise=1, babble=1, music=1, clicks=1, tilt=1, pump=1, soft_clip=1, gain=1,
    offset=1, flip=0.5, opus=0.4, telephone=0.3, narrow=0.3, loss=1,
)  # fmt: skip
NOISES: dict[str, Callable[[int, np.random.Generator], F32]] = {
    "white": lambda n, rng: noise.coloured(n, rng, 0.0),
    "pink": lambda n, rng: noise.coloured(n, rng, 1.0),
    "brown": lambda n, rng: noise.coloured(n, rng, 2.0),
    "hum": noise.hum,
    "fan": noise.fan,
}


def rng_of(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def voice(seed: int = 0, seconds: float = 2.0) -> F32:
    """Like speech to a correlator: buzzing syllables of changing pitch, and hisses between."""
    rng = rng_of(seed)
    parts: list[Any] = []
    while sum(map(len, parts)) < seconds * SAMPLE_RATE:
        count = int(rng.uniform(0.06, 0.25) * SAMPLE_RATE)
        t = np.arange(count) / SAMPLE_RATE
        pitch = rng.uniform(90, 220) * (1 + rng.uniform(-0.5, 0.5) * t)
        formants = rng.uniform([300, 900], [900, 2_600])
        turns = np.cumsum(pitch) / SAMPLE_RATE
        sound = np.zeros(count)
        for k in range(1, 30):
            loud = sum(1 / (1 + ((k * pitch[0] - f) / 150) ** 2) for f in formants) + 0.02
            sound += loud * np.sin(2 * np.pi * k * turns)
        if rng.uniform() < 0.3:
            sound = np.diff(rng.standard_normal(count + 1))
        parts.append(sound * np.hanning(count) * 0.2)
        if rng.uniform() < 0.3:
            parts.append(np.zeros(int(0.06 * SAMPLE_RATE)))
    whole = np.concatenate(parts)[: int(seconds * SAMPLE_RATE)]
    made: F32 = (0.7 * whole / np.abs(whole).max()).astype(np.float32)
    return made


def clicks_at(times: list[int], length: int) -> F32:
    out = np.zeros(length, np.float32)
    out[times] = 0.8
    return out


def lag(before: F32, after: F32, reach: int = 1_600) -> int:
    """Samples by which ``after`` is late, from the peak of the cross-correlation.

    Its spectrum is flattened, as a voice correlates with itself a pitch period away too.
    """
    size = 1 << (len(before) + reach).bit_length()
    spectrum = np.fft.rfft(after, size) * np.conj(np.fft.rfft(before, size))
    strength = np.abs(spectrum) ** 0.7
    cross = np.fft.irfft(spectrum / (strength + 1e-3 * strength.max()), size)
    near = np.abs(np.concatenate((cross[-reach:], cross[: reach + 1])))
    return int(near.argmax()) - reach


def rms_db(samples: F32) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


def sound_enough(samples: F32, length: int) -> None:
    assert samples.dtype == np.float32 and samples.shape == (length,)
    assert np.isfinite(samples).all()
    assert np.abs(samples).max(initial=0.0) <= 1.0


MOVERS: dict[str, Callable[[F32], F32]] = {
    "reverb": lambda x: reverberate(x, room_response(rng_of(1), 0.4, 3.0)),
    "tilt": lambda x: degrade.tilt(x, 4.0, 250.0, 3_500.0),
    "dark tilt": lambda x: degrade.tilt(x, -4.0),
    "pump": lambda x: degrade.pump(x, -12.0),
    "soft clip": lambda x: degrade.soft_clip(x, 18.0),
    "gain": lambda x: degrade.gain(x, 12.0),
    "offset": lambda x: degrade.offset(x, -0.1),
    "telephone": telephone,
    "8 kHz": lambda x: narrow_band(x, 8_000),
    "11.025 kHz": lambda x: narrow_band(x, 11_025),
    "22.05 kHz": lambda x: narrow_band(x, 22_050),
}


@pytest.mark.parametrize("name", MOVERS)
def test_no_effect_moves_speech(name: str) -> None:
    speech = voice(3)
    out = MOVERS[name](speech)
    sound_enough(out, len(speech))
    assert abs(lag(speech, out)) <= 2
    assert np.abs(out - speech).max() > 1e-3  # it does something


@pytest.mark.parametrize("name", MOVERS)
def test_no_effect_moves_a_click(name: str) -> None:
    times = [1, 2_500, 7_001, 9_333, 15_990]
    out = MOVERS[name](clicks_at(times, 16_000))
    out -= np.median(out)
    for at in times:
        around = np.abs(out[max(at - 400, 0) : at + 400])
        assert abs(int(around.argmax()) - min(at, 400)) <= 2


BOUNDED = {**MOVERS, "opus": lambda x: opus(x, 16_000), "mu-law": mu_law}


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize("length", [1, 319, 4_001])
def test_every_effect_bears_full_scale_and_short_sounds(name: str, length: int) -> None:
    effect = BOUNDED[name]
    for seed in range(3):
        loud = np.where(rng_of(seed).uniform(size=length) < 0.5, -1.0, 1.0).astype(np.float32)
        sound_enough(effect(loud), length)
        sound_enough(effect(np.zeros(length, np.float32)), length)
    sound_enough(effect(loud[:0]), 0)


@pytest.mark.parametrize("bitrate", [16_000, 24_000, 40_000, 64_000])
def test_opus_is_lossy_but_in_time(bitrate: int) -> None:
    speech = voice(5)
    out = opus(speech, bitrate)
    sound_enough(out, len(speech))
    assert abs(lag(speech, out)) <= 8
    likeness = float(np.corrcoef(speech, out)[0, 1])
    assert 0.6 < likeness < 0.9999


def test_opus_hears_more_with_more_bits() -> None:
    """By spectra rather than waves: the coder may turn phases."""
    speech = voice(6)

    def spectra(samples: F32) -> Any:
        frames = samples[: len(samples) // 512 * 512].reshape(-1, 512) * np.hanning(512)
        return np.log(np.abs(np.fft.rfft(frames, axis=1)) + 1e-2)

    errors = [np.abs(spectra(opus(speech, b)) - spectra(speech)).mean() for b in (6_000, 64_000)]
    assert errors[1] < 0.7 * errors[0]


def test_whole_chains_stay_in_time() -> None:
    """All effects at once, as loud and far as the default allows, on twenty drawings."""
    speech = voice(7)
    others = [voice(20 + i, 1.0) for i in range(4)]
    lags = [lag(speech, augment(speech, rng_of(s), others=others)) for s in range(40)]
    lags += [
        lag(speech, augment(speech, rng_of(s), others=others, recipe=EVERYTHING)) for s in range(10)
    ]
    assert max(map(abs, lags)) <= TWO_MS


@given(st.sampled_from(sorted(NOISES)), st.floats(-5, 30), st.integers(0, 99), st.booleans())
@settings(max_examples=60, deadline=None)
def test_noise_is_as_loud_as_asked(kind: str, snr: float, seed: int, pauses: bool) -> None:
    speech = (0.1 * rng_of(1_000 + seed).standard_normal(16_000)).astype(np.float32)
    if pauses:
        speech[4_800:9_600] = 0.0
    sound = NOISES[kind](16_000, rng_of(seed))
    out = filters.mix(speech, sound, snr)
    parts = np.stack((speech, sound), axis=1).astype(np.float64)
    (a, b), *_ = np.linalg.lstsq(parts, out, rcond=None)
    np.testing.assert_allclose(parts @ [a, b], out, atol=1e-4)
    heard = speech[speech != 0.0]
    assert rms_db(a * heard) - rms_db(b * sound) == pytest.approx(snr, abs=0.5)
    assert np.abs(out).max() <= 1.0


@given(st.sampled_from(["music", "babble", "clicks"]), st.floats(-5, 30), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_sound_that_comes_and_goes_is_as_loud_as_asked_while_it_is_there(
    kind: str, snr: float, seed: int
) -> None:
    rng, speech = rng_of(seed), voice(1)
    sound = {"music": music, "clicks": noise.clicks}.get(
        kind, lambda n, r: noise.babble(n, r, [voice(8), voice(9, 0.5)])
    )(len(speech), rng)
    out = filters.mix(speech, sound, snr)
    b = np.linalg.lstsq(np.stack((speech, sound), axis=1), out, rcond=None)[0]
    ratio = filters.level(b[0] * speech) - filters.level(b[1] * sound)
    assert ratio == pytest.approx(snr, abs=0.1) or not sound.any()


def test_colours_of_noise_fall_as_named() -> None:
    for slope in (0.0, 1.0, 2.0):
        power = np.abs(np.fft.rfft(noise.coloured(65_536, rng_of(0), slope))) ** 2
        low, high = power[400:800].mean(), power[6_400:12_800].mean()
        assert 10 * np.log10(low / high) == pytest.approx(slope * 12.04, abs=0.7)


def test_hum_is_on_the_mains() -> None:
    hertz = np.abs(np.fft.rfft(noise.hum(32_000, rng_of(2)))) ** 2
    mains = max((sum(hertz[2 * m * k - 8 : 2 * m * k + 9].sum() for k in range(1, 30)), m)
                for m in (50, 60))  # fmt: skip
    assert mains[0] > 0.9 * hertz.sum()


def test_babble_is_of_others_and_needs_them() -> None:
    loud, silent = voice(1, 0.3), np.zeros(100, np.float32)
    assert noise.babble(8_000, rng_of(0), [loud]).any()
    assert not noise.babble(8_000, rng_of(0), [silent, silent[:0]]).any()
    with pytest.raises(ValueError, match="others"):
        noise.babble(8_000, rng_of(0), [])


@given(st.floats(0.1, 0.8), st.floats(-3, 15), st.integers(0, 500))
@settings(max_examples=40, deadline=None)
def test_a_room_rings_as_long_as_asked_after_its_direct_sound(
    rt60: float, direct_db: float, seed: int
) -> None:
    response = room_response(rng_of(seed), rt60, direct_db)
    assert response[0] == 1.0 and not response[1:16].any()
    assert np.abs(response[1:]).max() < 1.0  # the direct sound is the strongest
    reverberant = 10 * np.log10(np.sum(response[1:].astype(np.float64) ** 2))
    assert -reverberant == pytest.approx(direct_db, abs=0.1)
    # Schroeder's backward integral falls by 60 dB in rt60.
    left = 10 * np.log10(np.cumsum(response[:0:-1].astype(np.float64) ** 2)[::-1] + 1e-20)
    fall = left - left[0]
    start, end = int((fall > -10).sum()), int((fall > -30).sum())
    assert 0.5 * rt60 < 3 * (end - start) / SAMPLE_RATE < 1.3 * rt60


@pytest.mark.parametrize(("share", "burst"), [(0.02, 1.0), (0.1, 2.0), (0.3, 5.0)])
def test_packets_are_lost_as_often_and_as_long_as_asked(share: float, burst: float) -> None:
    lost = degrade.lost_packets(60_000, rng_of(4), share, burst)
    starts = int(np.sum(lost[1:] & ~lost[:-1]))
    assert lost.mean() == pytest.approx(share, rel=0.1)
    # A burst of one is followed by another with the chance of any first loss.
    assert lost.sum() / starts == pytest.approx(burst, rel=0.1)


@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(0, 319))
def test_lost_packets_are_silent_or_fading_and_the_others_untouched(
    flags: list[bool], short: int
) -> None:
    lost = np.array(flags)
    samples = rng_of(0).uniform(-1, 1, len(lost) * PACKET - short).astype(np.float32)
    gaps = np.repeat(lost, PACKET)[: len(samples)]
    silent = degrade.lose(samples, lost, repeat=False)
    assert not silent[gaps].any()
    filled = degrade.lose(samples, lost, repeat=True)
    for out in (silent, filled):
        np.testing.assert_array_equal(out[~gaps], samples[~gaps])
        assert out.shape == samples.shape
    padded = np.resize(filled, len(lost) * PACKET).reshape(-1, PACKET)
    for k in range(1, len(lost) - 1):
        if lost[k]:
            assert np.abs(padded[k]).max() <= np.abs(padded[k - 1]).max()
            assert padded[k].any() == (not lost[: k + 1][-4:].all() and not lost[: k + 1].all())


def test_mu_law_is_that_of_ffmpeg() -> None:
    ints = np.arange(-32_768, 32_768, 7, dtype=np.int16)
    encoder: Any = av.CodecContext.create("pcm_mulaw", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 8_000, "mono", "s16"
    decoder: Any = av.CodecContext.create("pcm_mulaw", "r")
    decoder.sample_rate, decoder.layout = 8_000, "mono"
    frame = av.AudioFrame.from_ndarray(ints[None], "s16", "mono")
    frame.sample_rate = 8_000
    packets = [bytes(p) for p in [*encoder.encode(frame), *encoder.encode(None)]]
    decoded = [f.to_ndarray().ravel() for p in packets for f in decoder.decode(av.Packet(p))]
    theirs = np.concatenate(decoded) / 32_768
    ours = mu_law(ints.astype(np.float32) / 32_768)
    assert np.mean(np.abs(ours - theirs) < 1e-6) > 0.97  # which of two neighbours, at the edges
    assert (np.abs(ours - theirs) <= 0.07 * np.abs(theirs) + 1e-3).all()


@pytest.mark.parametrize("factor", [0.8, 0.93, 1.0, 1.1, 1.37])
def test_speed_scales_times_by_its_inverse(factor: float) -> None:
    times = [1_000, 8_000, 15_000]
    out = degrade.resample_speed(clicks_at(times, 16_000), factor)
    sound_enough(out, round(16_000 / factor))
    for at in times:
        middle = round(at / factor)
        assert abs(int(np.abs(out[middle - 300 : middle + 300]).argmax()) - 300) <= 1


@pytest.mark.parametrize("factor", [0.3, 2.5, 1.005, float("nan")])
def test_a_speed_that_would_not_be_exact_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match=r"factor|NaN"):
        degrade.resample_speed(voice(), factor)


def test_pumping_swells_in_pauses_and_ducks_after() -> None:
    quiet = (0.01 * rng_of(0).standard_normal(16_000)).astype(np.float32)
    out = degrade.pump(np.concatenate((quiet, 20 * quiet, quiet)), -20.0)
    assert rms_db(out[8_000:16_000]) > rms_db(quiet) + 12
    assert rms_db(out[33_000:34_000]) < rms_db(out[46_000:]) - 3


wild = hnp.arrays(
    np.float32, st.sampled_from([0, 1, 2, 31, 319, 320, 321, 1_000, 4_001]),
    elements=st.floats(width=32), fill=st.sampled_from([0.0, 1.0, -1.0, 2.0**100, float("nan")]),
)  # fmt: skip


@given(wild, st.integers(0, 2**32 - 1), st.booleans())
@settings(max_examples=100, deadline=None)
def test_whatever_goes_in_what_comes_out_is_sound(samples: F32, seed: int, all_on: bool) -> None:
    recipe = EVERYTHING if all_on else Recipe()
    before = samples.copy()
    others = [np.zeros(0, np.float32), np.ones(50, np.float32), samples]
    out = augment(samples, rng_of(seed), others=others, recipe=recipe)
    sound_enough(out, len(samples))
    np.testing.assert_array_equal(samples, before)
    again = augment(samples, rng_of(seed), others=others, recipe=recipe)
    np.testing.assert_array_equal(out, again)


def test_chance_is_all_in_the_generator() -> None:
    speech = voice()
    outs = [augment(speech, rng_of(s), recipe=EVERYTHING) for s in (1, 1, 2)]
    np.testing.assert_array_equal(outs[0], outs[1])
    assert np.abs(outs[0] - outs[2]).max() > 1e-2


def test_a_recipe_of_nothing_changes_nothing() -> None:
    speech = voice()
    shares = {f.name for f in fields(Recipe) if isinstance(getattr(Recipe(), f.name), float)}
    nothing: dict[str, Any] = dict.fromkeys(shares, 0.0)
    out = augment(speech, rng_of(0), recipe=Recipe(**nothing))
    np.testing.assert_array_equal(out, speech)


@pytest.mark.parametrize(
    "wrong", [{"noise": 1.5}, {"music_snr": (9.0, 3.0)}, {"opus": 0.9, "telephone": 0.2}]
)
def test_a_recipe_that_can_not_be_followed_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Recipe(**wrong)


@given(st.integers(1, 30_000))
def test_fft_lengths_are_smooth_and_close(least: int) -> None:
    length = rest = filters.fft_length(least)
    for prime in (2, 3, 5):
        while rest % prime == 0:
            rest //= prime
    assert rest == 1 and least <= length < 1.2 * least + 4


@pytest.mark.parametrize(("n", "taps"), [(0, 3), (1, 1), (1, 5_000), (9_000, 1), (20_000, 1_700)])
def test_block_convolution_is_convolution(n: int, taps: int) -> None:
    a = rng_of(n).standard_normal(n).astype(np.float32)
    b = rng_of(taps).standard_normal(taps).astype(np.float32)
    expected = np.convolve(a, b) if n else np.zeros(taps - 1)
    np.testing.assert_allclose(filters.convolve(a, b), expected, atol=2e-3)
