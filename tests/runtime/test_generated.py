"""The generator as a renderer: a session's windows are the film that torch would make."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from core import (
    POSE_SLICE,
    SAMPLES_PER_FRAME,
    WINDOW_FRAMES,
    AudioChunk,
    ControlTrack,
    KeypointTrack,
    MouthTrack,
    Portrait,
    Unavailable,
)
from engines.audio.encoder import hear
from engines.video.clip import AUDIO_LEAD
from engines.video.generator import Script, VideoGenerator
from engines.video.guidance import UNGUIDED
from engines.video.live import Networks
from engines.video.performance import from_controls
from engines.video.render_frames import PortraitCanvas
from engines.video.shipped import codec_file, dit_file
from runtime import renderers
from runtime.generated import GeneratedRenderer, PreparedPortraits
from runtime.renderer import PuppetRenderer
from runtime.renderers import Renderers
from runtime.settings import RuntimeSettings
from runtime.window import Window

FRAMES = 3 * WINDOW_FRAMES


def windows(portrait: Portrait) -> tuple[list[Window], Script]:
    """Three windows of somebody who turns, blinks, smiles and speaks; the same as one script."""
    rng = np.random.default_rng(0)
    controls = ControlTrack.neutral(FRAMES)
    ramp = np.linspace(0, 1, FRAMES, dtype=np.float32)
    controls.values[:, POSE_SLICE.start + 1] = 8 * ramp
    controls.values[:, 8:10] = ramp[::-1, None]
    felt, mouth = MouthTrack.rest(FRAMES), MouthTrack.rest(FRAMES)
    felt.values[:, 2] = 0.5 * ramp
    mouth.values[:] = felt.values
    samples = (0.1 * rng.standard_normal(FRAMES * SAMPLES_PER_FRAME)).astype(np.float32)
    ahead = np.pad(samples, (0, AUDIO_LEAD * 320))
    tokens = hear(ahead).tokens[AUDIO_LEAD:]
    performance = from_controls(portrait, controls, mouth.values, felt.values)
    out = []
    for first in range(0, FRAMES, WINDOW_FRAMES):
        seen = slice(first, first + WINDOW_FRAMES)
        sound = slice(first * SAMPLES_PER_FRAME, (first + WINDOW_FRAMES) * SAMPLES_PER_FRAME)
        out.append(
            Window(
                start=first,
                controls=ControlTrack(controls.values[seen]),
                keypoints=KeypointTrack(performance.points[seen]),
                mouth=MouthTrack(mouth.values[seen]),
                audio=AudioChunk(samples[sound], first * SAMPLES_PER_FRAME),
                felt=MouthTrack(felt.values[seen]),
                tokens=tokens[2 * first : 2 * (first + WINDOW_FRAMES)],
                label="surprise",
                instruction="look left",
            )
        )
    return out, Script(performance, samples, "surprise", "look left")


@pytest.fixture
def renderer(networks_folder: Path, portrait: Portrait) -> GeneratedRenderer:
    prepared = PreparedPortraits(Networks.open(networks_folder))
    canvas = PortraitCanvas(portrait, 256)
    ready = prepared.get(portrait, canvas)
    assert prepared.get(portrait, canvas) is ready
    return GeneratedRenderer(prepared.networks, ready, canvas, portrait, 2)


def test_a_session_shows_what_torch_films(
    networks_folder: Path, portrait: Portrait, renderer: GeneratedRenderer
) -> None:
    parts, script = windows(portrait)
    torch_made = VideoGenerator.open(
        codec_file(networks_folder), dit_file(networks_folder), UNGUIDED, 2,
        device="cpu", precision="fp32",
    )  # fmt: skip
    film = list(torch_made.frames(portrait, script, 256))
    live = [frame for window in parts for frame in renderer.render(window)]
    assert len(live) == len(film) == FRAMES
    apart = np.abs(np.stack(live).astype(np.int16) - np.stack(film))
    # The first window hears silence before itself there, and nothing here.
    assert apart[WINDOW_FRAMES:].mean() < 0.5 > apart[:WINDOW_FRAMES].mean()
    assert np.abs(live[0].astype(np.int16) - live[-1]).mean() > 2


def test_a_window_left_out_or_broken_is_survived(
    portrait: Portrait, renderer: GeneratedRenderer, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, third = windows(portrait)[0]
    renderer.render(first)
    bad = replace(second, tokens=np.full_like(second.tokens, np.nan))
    held = renderer.render(bad)
    assert len(held) == WINDOW_FRAMES
    after = renderer.render(third)
    assert all(frame.shape == (256, 256, 3) for frame in after)
    assert caplog.text.count("goes on anew") == 1  # what broke one window is not heard in the next
    renderer.render(first)  # from somewhere else: what was heard before does not count
    again = renderer.render(second)
    assert np.abs(again[0].astype(np.int16) - held[0]).mean() > 0.1


def test_auto_takes_the_generator_where_it_keeps_up(
    networks_folder: Path,
    portrait: Portrait,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def made(**settings: object) -> object:
        return Renderers(RuntimeSettings(size=256, **settings)).make(portrait)  # type: ignore[arg-type]

    took = [0.1]
    monkeypatch.setattr(renderers, "seconds_a_window", lambda networks, steps: took[0])
    here, nowhere = str(networks_folder), str(tmp_path)
    assert isinstance(made(generator_weights=here), GeneratedRenderer)
    assert isinstance(made(generator_weights=nowhere), PuppetRenderer)
    assert isinstance(made(renderer="puppet", generator_weights=here), PuppetRenderer)
    with pytest.raises(Unavailable, match="can not be loaded"):
        made(renderer="generator", generator_weights=nowhere)
    (tmp_path / "dit.onnx").write_bytes(b"broken")
    with caplog.at_level(logging.WARNING):
        assert isinstance(made(generator_weights=nowhere), PuppetRenderer)
    assert "puppet is shown instead" in caplog.text
    took[0] = 0.3
    assert isinstance(made(generator_weights=here), PuppetRenderer)
    assert "too slow here" in caplog.text
    assert isinstance(made(renderer="generator", generator_weights=here), GeneratedRenderer)


def test_speed_is_measured_once(
    networks_folder: Path, portrait: Portrait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine that is too slow does not even load the networks the next time."""
    took = [10.0]
    monkeypatch.setattr(renderers, "seconds_a_window", lambda networks, steps: took.pop())
    settings = RuntimeSettings(size=256, generator_weights=str(networks_folder))
    kept = tmp_path / "speed.json"
    assert isinstance(Renderers(settings, kept).make(portrait), PuppetRenderer)
    assert not took

    def never(*options: object) -> Networks:
        raise AssertionError(options)

    monkeypatch.setattr(Networks, "open", never)
    assert isinstance(Renderers(settings, kept).make(portrait), PuppetRenderer)
