"""``python -m engines.video sample``: a portrait does what controls and sound say, as a film."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from core import (
    F32,
    FPS,
    MOUTH_CHANNELS,
    SAMPLES_PER_FRAME,
    U8,
    ControlTrack,
    InvalidInput,
    Portrait,
)
from engines.audio.encoder import hear
from engines.audio_file import decode_audio
from engines.enrol import enrol
from engines.film import write_film
from engines.video.clip import TOKENS_PER_FRAME
from engines.video.generator import Script, VideoGenerator
from engines.video.performance import from_controls
from engines.video.schedule import STEPS
from engines.video.shipped import SHIPPED, codec_file, teacher_file
from engines.video.ways import Way, parse_way

MAX_SECONDS: Final = 600.0
"Longest sound."
TAIL: Final = 0.4
"Seconds after the sound, in which the mouth comes to rest."
WHILE_SPEAKING: Final = 0.6
"Share of the felt mouth that is kept beside speech, as in training."


def read_track(path: Path) -> tuple[ControlTrack, F32]:
    """Controls, and the felt mouth ``[T, 9]`` (rest where there is none), from an npz.

    Raises:
        InvalidInput: The file is missing or damaged, or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            controls = ControlTrack(np.asarray(stored["controls"], np.float32))
            felt = np.zeros((len(controls), len(MOUTH_CHANNELS)), np.float32)
            if "felt" in stored:
                felt = np.asarray(stored["felt"], np.float32)
    except Exception as error:  # zip, zlib, npy headers: a dozen kinds when damaged
        raise InvalidInput(f"{path} is not a track of motion: {error}.") from error
    if felt.shape != (len(controls), len(MOUTH_CHANNELS)) or not np.isfinite(felt).all():
        raise InvalidInput(f"{path} is not a track of motion: felt is {list(felt.shape)}.")
    return controls, felt


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``sample``."""
    add = parser.add_argument
    add("portrait", type=Path, help="a picture of a face")
    add("out", type=Path, help="the film to write (MP4)")
    add("--codec", type=Path, default=codec_file(SHIPPED), help="its weights")
    add("--dit", type=Path, default=teacher_file(SHIPPED), help="weights of the transformer")
    add("--motion", type=Path, help="npz with controls [T, 17] and perhaps felt [T, 9]")
    add("--sound", type=Path, help="what is said")
    add("--seconds", type=float, default=0.0, help="length; by default of the sound or motion")
    add("--label", default="", help="what the person feels or does, as the planner names it")
    add("--text", default="", help="an instruction")
    add("--size", type=int, default=512, help="pixels, 128 to 1024")
    add("--steps", type=int, default=STEPS)
    add("--guidance", default="eye-aware", help="none, eye-aware+high=3, fixed, …")
    add("--seed", type=int, default=0)
    add("--device", default="auto")


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Make the film."""
    if not 128 <= options.size <= 1024 or options.size % 2 or options.steps < 1:
        raise InvalidInput("--size is even and from 128 to 1024, --steps at least 1.")
    way = parse_way(options.guidance.split("+"), Way(steps=options.steps))
    generator = VideoGenerator.open(
        options.codec, options.dit, way.guidance, way.steps,
        seed=options.seed, device=options.device,
    )  # fmt: skip
    portrait = enrol(read_bytes(options.portrait), options.portrait.stem)
    script = _script(options, portrait)
    count = len(script.performance)

    def counted() -> Iterator[U8]:
        for done, frame in enumerate(generator.frames(portrait, script, options.size), 1):
            progress(done, count, options.out.name)
            yield frame

    write_film(options.out, counted(), script.samples)


def _script(options: argparse.Namespace, portrait: Portrait) -> Script:
    samples = None
    if options.sound:
        samples = decode_audio(read_bytes(options.sound), limit=MAX_SECONDS).samples
    controls, felt = read_track(options.motion) if options.motion else (None, None)
    count = round(options.seconds * FPS)
    if not count and samples is not None:
        count = -(-len(samples) // SAMPLES_PER_FRAME) + round(TAIL * FPS)
    if not count:
        count = len(controls) if controls is not None else round(4 * FPS)
    if controls is None or felt is None:
        controls, felt = ControlTrack.neutral(1), np.zeros((1, len(MOUTH_CHANNELS)), np.float32)
    held = np.minimum(np.arange(count), len(controls) - 1)
    felt, mouth = felt[held], np.zeros((count, len(MOUTH_CHANNELS)), np.float32)
    if samples is not None:
        felt = felt * np.float32(WHILE_SPEAKING)
        said = hear(samples).mouth[::TOKENS_PER_FRAME][:count]
        mouth[: len(said)] = said
    performance = from_controls(
        portrait, ControlTrack(controls.values[held]), np.clip(mouth + felt, 0, 1), felt
    )
    return Script(performance, samples, options.label, options.text)


def read_bytes(path: Path) -> bytes:
    """A file's content.

    Raises:
        InvalidInput: It can not be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} can not be read: {error.strerror}.") from error
