"""Breath: lips part in pauses between phrases, and are closed again when speech goes on."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from core import F32, SAMPLES_PER_FRAME
from runtime.breath import PARTING, STEP, Breath


def speech(frames: int, seed: int = 0) -> F32:
    noise = np.random.default_rng(seed).normal(0, 0.05, frames * SAMPLES_PER_FRAME)
    return noise.astype(np.float32)


def quiet(frames: int, offset: float = 0.0) -> F32:
    return np.full(frames * SAMPLES_PER_FRAME, offset, np.float32)


def of(coming: F32) -> Callable[[int], F32]:
    return lambda count: coming[:count]


def parting(sound: F32, *, seen: bool = True, frames: int = 1) -> F32:
    """The jaw, one value a frame, with what follows in sight or not."""
    breath, found = Breath(), []
    for at in range(0, len(sound), frames * SAMPLES_PER_FRAME):
        end = at + frames * SAMPLES_PER_FRAME
        found.append(breath.follow(sound[at:end], of(sound[end:] if seen else sound[:0])))
    return np.concatenate(found)


@pytest.mark.parametrize("pause", [8, 12, 20, 40])
@pytest.mark.parametrize("offset", [0.0, 0.2])
def test_lips_part_within_a_pause(pause: int, offset: float) -> None:
    jaw = parting(np.concatenate((speech(50), quiet(pause, offset), speech(50))))
    assert not jaw[:51].any() and not jaw[50 + pause + 1 :].any()
    assert 0.8 * PARTING < jaw.max() <= PARTING
    assert np.abs(np.diff(jaw)).max() <= STEP + 1e-6
    assert np.count_nonzero(jaw) <= 16  # a breath, however long the pause


@pytest.mark.parametrize("pause", [1, 3, 6])
def test_gaps_within_a_phrase_are_no_pauses(pause: int) -> None:
    assert not parting(np.concatenate((speech(50), quiet(pause), speech(50)))).any()


def test_no_breath_without_a_phrase_before_or_speech_to_come() -> None:
    assert not parting(np.concatenate((speech(20), quiet(20), speech(5)))).any()
    assert not parting(np.concatenate((speech(80), quiet(200)))).any()
    assert not parting(quiet(100)).any()
    assert not parting(np.concatenate((speech(80), quiet(15), speech(50))), seen=False).any()


def test_windows_of_eight_frames_breathe_too() -> None:
    jaw = parting(np.concatenate((speech(48), quiet(24), speech(48))), frames=8)
    assert jaw.max() > 0.8 * PARTING and not jaw[:50].any() and not jaw[72:].any()


def test_an_interrupt_ends_a_breath() -> None:
    sound = np.concatenate((speech(50), quiet(12), speech(50)))
    breath = Breath()
    for at in range(0, 55 * SAMPLES_PER_FRAME, SAMPLES_PER_FRAME):
        end = at + SAMPLES_PER_FRAME
        last = breath.follow(sound[at:end], of(sound[end:]))
    assert last[0] > 0.8 * PARTING
    breath.stop()
    jaw = breath.follow(quiet(10), of(sound[:0]))
    assert not jaw[4:].any()
