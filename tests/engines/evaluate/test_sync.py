"""Mouth and sound: lips in step are best, late lips are late by just that, noise is chance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import CHANNELS, F32, FPS, SAMPLE_RATE, InvalidInput, Portrait
from engines.audio.evidence.listeners import energy
from engines.evaluate.metrics.sync import frames_of, heard_mouth, lips_of, mouth_sync
from engines.piper_voice import PiperVoice
from face import FaceModel

F64 = npt.NDArray[np.float64]


def babble(seed: int = 0) -> Callable[[F64], F32]:
    """An opening as unrepeated as speech, at any times."""
    rng = np.random.default_rng(seed)
    tones = [(rng.uniform(0.5, 5), rng.uniform(0, 7)) for _ in range(12)]
    return lambda t: (
        0.1 + 0.01 * sum((np.sin(2 * np.pi * f * t + p) for f, p in tones), 0 * t)
    ).astype(np.float32)


T100 = np.arange(100) / FPS


@given(st.floats(-350, 350), st.integers(0, 200))
@settings(max_examples=30, deadline=None)
def test_late_lips_are_late_by_just_that(late_ms: float, seed: int) -> None:
    wave = babble(seed)
    sync = mouth_sync(wave(T100), wave(T100 - late_ms / 1000))
    assert sync.lag_ms == pytest.approx(late_ms, abs=10)
    assert sync.best > 0.85 and sync.best >= sync.r - 1e-9


def test_the_further_off_the_worse() -> None:
    wave = babble()
    in_step = mouth_sync(wave(T100), wave(T100))
    assert in_step.r == pytest.approx(1) and in_step.lag_ms == pytest.approx(0, abs=1)
    late = [mouth_sync(wave(T100), wave(T100 - s)).r for s in (0, 0.04, 0.08)]
    assert late == sorted(late, reverse=True)


def test_the_wrong_sound_agrees_no_better_than_chance() -> None:
    found = [mouth_sync(babble(s)(T100), babble(s + 500)(T100)) for s in range(25)]
    best, chance = np.mean([f.best for f in found]), np.mean([f.chance for f in found])
    assert best == pytest.approx(chance, abs=0.1) and best < 0.7
    right = [mouth_sync(babble(s)(T100), babble(s)(T100)) for s in range(25)]
    assert all(r.best > r.chance + 0.1 for r in right)


def test_a_lag_of_nothing_is_not_a_number() -> None:
    rng = np.random.default_rng(0)
    white = mouth_sync(rng.random(400, np.float32), rng.random(400, np.float32))
    assert np.isnan(white.lag_ms) and abs(white.r) < 0.2


def test_unseen_lips_do_not_count() -> None:
    wave = babble()
    seen = wave(T100)
    seen[20:40] = np.nan
    assert mouth_sync(wave(T100), seen).r == pytest.approx(1)
    assert mouth_sync(wave(T100)[:70], seen).r == pytest.approx(1)


@pytest.mark.parametrize(
    ("heard", "seen", "reason"),
    [
        (babble()(T100), np.full(100, 0.1, np.float32), "lips do not move"),
        (np.zeros(100, np.float32), babble()(T100), "no mouth moves"),
        (babble()(T100), babble()(T100)[:30], "1.2 s only"),
        (babble()(T100), np.full(100, np.nan, np.float32), "0.0 s only"),
    ],
)
def test_what_says_nothing_is_refused(heard: F32, seen: F32, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        mouth_sync(heard, seen)


@pytest.mark.parametrize("samples", [np.zeros(SAMPLE_RATE, "f4"), np.zeros(0, "f4")])
def test_silence_is_refused(samples: F32) -> None:
    with pytest.raises(InvalidInput, match="silent"):
        heard_mouth(samples)


def test_rows_are_paired() -> None:
    assert frames_of(np.arange(7, dtype=np.float32)).tolist() == [0.5, 2.5, 4.5]


def test_turning_the_head_does_not_open_the_mouth(portrait: Portrait) -> None:
    face = FaceModel.from_mesh(portrait.mesh)
    mouth = np.zeros((3, 9), np.float32)
    mouth[:, 0] = 0.6
    controls = np.zeros((3, len(CHANNELS)), np.float32)
    controls[:, -2] = (0, 20, -20)
    opened = lips_of(face.pose(face.deform(controls, mouth), controls))
    assert opened == pytest.approx(np.full(3, opened[0]), rel=1e-3)
    mouth[:, 0] = (0, 0.5, 1)
    wider = lips_of(face.deform(np.zeros_like(controls), mouth))
    assert (np.diff(wider) > 0.03).all()
    lost = np.full((1, 478, 3), np.nan, np.float32)
    assert np.isnan(lips_of(lost)).all()


@pytest.fixture(scope="module")
def speech() -> F32:
    pytest.importorskip("piper")
    onnxruntime = pytest.importorskip("onnxruntime")
    onnxruntime.set_seed(0)  # the voice's noise is made inside the graph

    async def say() -> F32:
        voice = PiperVoice.load()
        try:
            pieces = [
                p
                async for p in voice.synthesise(
                    "We will need a few more hours for that. Could you open the window?"
                )
            ]
        finally:
            await voice.close()
        return np.concatenate(pieces)

    return asyncio.run(say())


def test_a_mouth_made_from_speech_follows_it(portrait: Portrait, speech: F32) -> None:
    """The trained encoder moves a face; the face's own lips are then heard to be in step."""
    from engines.audio.encoder import hear

    face = FaceModel.from_mesh(portrait.mesh)
    mouth = frames_of(hear(speech).mouth)
    lips = lips_of(face.deform(np.zeros((len(mouth), len(CHANNELS)), np.float32), mouth))
    heard = heard_mouth(speech)
    assert abs(len(heard) - len(lips)) <= 1
    right = mouth_sync(heard, lips)
    assert right.r > 0.95 and abs(right.lag_ms) < 15
    quiet = np.zeros(3 * SAMPLE_RATE // FPS, np.float32)
    early = mouth_sync(heard_mouth(np.concatenate((quiet, speech))), lips)
    assert early.lag_ms == pytest.approx(-120, abs=20)
    backwards = mouth_sync(heard, lips[::-1].copy())
    loud = mouth_sync(heard_mouth(speech, energy), lips)
    assert right.best > loud.best > backwards.best
