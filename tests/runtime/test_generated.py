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
    U8,
    WINDOW_FRAMES,
    AudioChunk,
    ControlTrack,
    MouthTrack,
    Portrait,
    Unavailable,
)
from engines.audio.encoder import hear
from engines.backends.engine import Engine
from engines.backends.openvino_cpu import OpenVinoCpu
from engines.backends.providers import PROVIDERS, Backend, Provider
from engines.puppet import Puppet
from engines.rig import build_rig
from engines.video.clip import AUDIO_LEAD
from engines.video.distil import STRONGEST
from engines.video.generator import Script, VideoGenerator
from engines.video.guidance import EYE_AWARE, UNGUIDED, Guidance
from engines.video.live import Networks
from engines.video.performance import from_controls
from engines.video.render_frames import PortraitCanvas
from engines.video.shipped import codec_file, dit_file
from runtime import renderers
from runtime.compute import Compute
from runtime.generated import BLENDED, GeneratedRenderer, PreparedPortraits, strength
from runtime.renderer import PuppetRenderer
from runtime.renderers import Renderers
from runtime.session import MOST_EYES
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
    return made_with(Networks.open(networks_folder, backend="onnxruntime"), portrait)


def made_with(networks: Networks, portrait: Portrait) -> GeneratedRenderer:
    prepared = PreparedPortraits(networks, lambda id: None)
    rig = build_rig(portrait, 256)
    canvas = PortraitCanvas(portrait, 256, rig)
    ready = prepared.get(portrait, canvas)
    assert prepared.get(portrait, canvas) is ready
    return GeneratedRenderer(Compute(), networks, ready, canvas, Puppet(rig), portrait, 2)


def shown(renderer: GeneratedRenderer, window: Window) -> list[U8]:
    """All pictures of a window."""
    pictures = [picture for picture in renderer.render(window, 0.0) if picture is not None]
    assert len(pictures) == len(window)
    return pictures


def test_a_session_shows_what_torch_films(
    networks_folder: Path, portrait: Portrait, renderer: GeneratedRenderer
) -> None:
    parts, script = windows(portrait)
    torch_made = VideoGenerator.open(
        codec_file(networks_folder), dit_file(networks_folder), UNGUIDED, 2,
        device="cpu", precision="fp32",
    )  # fmt: skip
    film = list(torch_made.frames(portrait, script, 256))
    live = [frame for window in parts for frame in shown(renderer, window)]
    assert len(live) == len(film) == FRAMES
    apart = np.abs(np.stack(live).astype(np.int16) - np.stack(film))
    # The first window hears silence before itself there, and nothing here; it begins as the puppet.
    assert apart[WINDOW_FRAMES:].mean() < 0.5 > apart[BLENDED:WINDOW_FRAMES].mean()
    assert np.abs(live[0].astype(np.int16) - live[-1]).mean() > 2


def test_a_window_left_out_or_broken_is_survived(
    portrait: Portrait, renderer: GeneratedRenderer, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, third = windows(portrait)[0]
    shown(renderer, first)
    bad = replace(second, tokens=np.full_like(second.tokens, np.nan))
    held = shown(renderer, bad)
    assert len(held) == WINDOW_FRAMES
    after = shown(renderer, third)
    assert all(frame.shape == (256, 256, 3) for frame in after)
    assert caplog.text.count("goes on anew") == 1  # what broke one window is not heard in the next
    shown(renderer, first)  # from somewhere else: what was heard before does not count
    again = shown(renderer, second)
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
    took = [10.0, 12.0, 11.0]
    monkeypatch.setattr(renderers, "seconds_a_window", lambda networks, steps: took.pop())
    settings = RuntimeSettings(size=256, generator_weights=str(networks_folder))
    kept = tmp_path / "speed.json"
    assert isinstance(Renderers(settings, kept).make(portrait), PuppetRenderer)
    assert not took

    def never(*options: object) -> Networks:
        raise AssertionError(options)

    monkeypatch.setattr(Networks, "open", never)
    assert isinstance(Renderers(settings, kept).make(portrait), PuppetRenderer)


def test_the_fastest_back_end_is_taken(
    networks_folder: Path, portrait: Portrait, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that can not be loaded is left out; what was measured is remembered."""
    opened: list[str] = []

    def fails(path: Path, threads: int) -> Engine:
        raise Unavailable("This processor is none.")

    real = Networks.open

    def opening(folder: Path, threads: int, backend: Backend) -> Networks:
        made = real(folder, threads, backend)
        opened.append(backend)
        return made

    monkeypatch.setattr(Networks, "open", opening)
    monkeypatch.setitem(PROVIDERS, "openvino-int8", Provider(fails))
    took = iter([0.25, 0.2])
    monkeypatch.setattr(renderers, "seconds_a_window", lambda networks, steps: next(took))
    settings = RuntimeSettings(
        size=256, renderer="generator", generator_weights=str(networks_folder)
    )
    kept = tmp_path / "speed.json"
    assert isinstance(Renderers(settings, kept).make(portrait), GeneratedRenderer)
    assert opened == ["openvino", "onnxruntime"]
    assert isinstance(Renderers(settings, kept).make(portrait), GeneratedRenderer)
    assert opened == ["openvino", "onnxruntime", "onnxruntime"]


def test_sizes_of_batches_are_compiled_before_sessions_come(
    networks_folder: Path, portrait: Portrait
) -> None:
    """And not in the middle of a stream, which would stand still meanwhile."""
    settings = RuntimeSettings(
        size=256, renderer="generator", generator_weights=str(networks_folder),
        generator_backend="openvino", generator_steps=1, generator_batch=2,
    )  # fmt: skip
    made = Renderers(settings)
    assert isinstance(made.make(portrait), GeneratedRenderer)
    assert made._prepared is not None
    passes = made._prepared.networks._engines["dit"]
    assert isinstance(passes, OpenVinoCpu)
    shapes = [dict(shapes) for shapes in passes._ready]
    assert {(x["latents"][0], x["keys"][2]) for x in shapes} == {
        (rows, keys) for rows in (1, 2) for keys in (108, 324, 540)
    }


def test_without_memory_the_puppet_is_shown_and_the_generator_comes_back(
    portrait: Portrait, renderer: GeneratedRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(renderer, "_clock", lambda: now[0])
    first, second, third = windows(portrait)[0]
    good = shown(renderer, first)
    with monkeypatch.context() as patch:
        patch.setattr(renderer, "_compute", Compute(make=_no_memory))
        puppet = shown(renderer, second)
    assert renderer.degraded and renderer.level == "puppet"
    assert _apart(good[-1], puppet[0]) < 3  # blended, not cut
    for _ in range(3):
        now[0] += 6.0
        shown(renderer, third)
    assert renderer.level != "puppet"


def test_a_window_that_was_taken_back_is_made_anew(
    portrait: Portrait, renderer: GeneratedRenderer
) -> None:
    """A stream goes on from the frame where it was cut, and hears what was before that."""
    first, second, _ = windows(portrait)[0]
    shown(renderer, first)
    shown(renderer, second)
    for back in (2, 6):  # little of the window is left out, or most of it
        again = replace(
            second, start=second.start + WINDOW_FRAMES - back,
            audio=AudioChunk(second.audio.samples, second.audio.pts + 640 * (8 - back)),
        )  # fmt: skip
        pictures = shown(renderer, again)
        assert len(pictures) == WINDOW_FRAMES
        second = again


def test_the_eyes_knob_turns_guidance() -> None:
    assert strength(1.0) == Guidance(EYE_AWARE.high, EYE_AWARE.low)
    assert strength(0.0) == UNGUIDED
    assert strength(MOST_EYES).high == STRONGEST


def _no_memory(streams: object, asked: object) -> list[U8]:
    raise MemoryError("no memory for a tensor")


def _apart(a: U8, b: U8) -> float:
    return float(np.abs(a.astype(np.int16) - b).mean())
