"""Lips stay on the voice however windows are made, and the generator never begins anew unasked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from core import F32, MOUTH, SAMPLES_PER_FRAME, U8, Portrait
from engines.video.clip import REACH
from engines.video.live import Asked, LiveStream, Networks
from tests.runtime.test_generated import made_with
from tests.runtime.test_session import Flat, vowel
from tests.runtime.test_taking_back import Eights, Played


def envelope(sound: F32, frames: int) -> F32:
    """Loudness of each frame."""
    return np.asarray(sound[: frames * SAMPLES_PER_FRAME].reshape(frames, -1).std(axis=1))


def lag(jaw: F32, loud: F32, most: int = 10) -> int:
    """Frames by which the jaw follows the voice."""
    a, b = jaw - jaw.mean(), loud - loud.mean()
    span = range(-most, most + 1)
    likeness = [float(np.dot(a[most + k : len(a) - most + k], b[most:-most])) for k in span]
    return int(np.argmax(likeness)) - most


def bursts(seconds: float) -> F32:
    """Syllables apart, so that a jaw has something to follow."""
    wave = vowel(seconds)
    t = np.arange(len(wave)) / 16_000
    return np.asarray(wave * (t % 0.6 < 0.3), np.float32)


@pytest.mark.parametrize("renderer", [Flat, Eights])
@pytest.mark.parametrize("cut", [False, True])
def test_lips_keep_to_the_voice_within_a_frame(
    portrait: Portrait, renderer: type[Flat], cut: bool
) -> None:
    """Whether frames are made one by one or eight at once, and windows cut in the middle."""
    played = Played(portrait, renderer=renderer)
    played.run(0.6)
    played.session.push_audio(bursts(4.0))
    played.session.end_audio()
    for label in ("surprise", "idle", "fear", "idle", "anger"):
        played.run(0.7)
        if cut:
            played.session.behave(label=label)
    played.run(1.2)
    frames = len(played.all_sound) // SAMPLES_PER_FRAME
    jaw = played.mouths()[:frames, MOUTH["jaw"]]
    loud = envelope(played.all_sound, frames)
    assert jaw.max() > 0.1
    assert abs(lag(jaw, loud)) <= 1, lag(jaw, loud)


@pytest.fixture
def forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[LiveStream]]:
    """Streams that began anew."""
    found: list[LiveStream] = []
    forget = LiveStream.forget

    def noted(stream: LiveStream) -> None:
        found.append(stream)
        forget(stream)

    monkeypatch.setattr(LiveStream, "forget", noted)
    yield found


def test_the_generator_never_begins_anew_and_hears_what_is_said_where_it_is_said(
    networks_folder: Path,
    portrait: Portrait,
    forgotten: list[LiveStream],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Through silence, speech, interruptions and commands. A stream that is begun anew jumps, and
    what hears the sound of another moment moves the lips to that."""
    renderer = made_with(Networks.open(networks_folder, backend="onnxruntime"), portrait)
    played = Played(portrait, renderer=lambda: renderer)  # type: ignore[arg-type]
    renderer._clock = played.clock  # this machine is as quick as need be
    asked: list[Asked] = []
    make = renderer._compute.window

    def noted(stream: LiveStream, wanted: Asked, deadline: float) -> U8:
        asked.append(wanted)
        return make(stream, wanted, deadline)

    monkeypatch.setattr(renderer._compute, "window", noted)
    session = played.session
    for turn in range(2):
        played.run(0.7)
        session.push_audio(vowel(0.7 + 0.1 * turn))
        session.end_audio()
        played.run(0.5)
        session.behave(label=("surprise", "fear")[turn])
        played.run(0.35)
        session.interrupt()
        played.run(0.43)
    windows = played.windows
    starts = np.diff([window.start for window in windows])
    assert len(windows) == len(asked) > 10 and renderer.level == "2 steps"
    assert (starts < 8).sum() >= 3, "windows were taken back"
    assert not forgotten
    told = np.zeros((2 * (windows[-1].start + 8), windows[0].tokens.shape[1]), np.float32)
    for window, wanted in zip(windows, asked, strict=True):
        now = 2 * window.start
        told[now : now + 16] = window.tokens
        heard = wanted.audio[wanted.hears]
        assert np.array_equal(heard, told[now + 16 - len(heard) : now + 16])
        assert len(heard) == min(now, REACH) + 16
