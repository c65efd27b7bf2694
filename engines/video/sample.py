"""``python -m engines.video sample``: a portrait does what controls and sound say, as a film.

The whole way from end to end: conditions, transformer, codec, picture. Window after window, so the
memory it takes does not grow with the length.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from core import (
    F32,
    FPS,
    LATENT_FRAMES,
    MOUTH_CHANNELS,
    SAMPLES_PER_FRAME,
    U8,
    WINDOW_FRAMES,
    ControlTrack,
    InvalidInput,
    Portrait,
)
from engines.audio.encoder import TOKEN, hear
from engines.audio_file import decode_audio
from engines.enrol import enrol
from engines.film import write_film
from engines.video.clip import AUDIO_LEAD, TOKENS_PER_FRAME
from engines.video.codec import Codec, load_codec, to_bytes, to_unit
from engines.video.conditions import REACH, Conditions
from engines.video.dit import DiT
from engines.video.dit_file import load_dit
from engines.video.guidance import UNGUIDED, Guidance, fixed, spatial_only, temporal_only
from engines.video.latents import codec_id, encode
from engines.video.performance import Performance, from_controls, from_keypoints, in_regions
from engines.video.plan import Plan
from engines.video.regions import REGIONS
from engines.video.render_frames import PortraitCanvas
from engines.video.sampler import EYE_AWARE, sample_window
from engines.video.schedule import STEPS, WINDOW, window_noise
from engines.video.text import tokenise
from engines.video.windows import Stream

if TYPE_CHECKING:
    from engines.evaluate.generators import Drive

MAX_SECONDS: Final = 600.0
"Longest sound."
TAIL: Final = 0.4
"Seconds after the sound, in which the mouth comes to rest."
WHILE_SPEAKING: Final = 0.6
"Share of the felt mouth that is kept beside speech, as in training."
GUIDANCE: Final = {
    "eye-aware": EYE_AWARE,
    "none": UNGUIDED,
    "fixed": fixed(),
    "temporal": temporal_only(EYE_AWARE),
    "spatial": spatial_only(EYE_AWARE),
}
"The paper's way, and what it is compared with."


@dataclass(frozen=True, slots=True, eq=False)
class Script:
    """What to generate."""

    performance: Performance
    samples: F32 | None = None
    "float32 ``[N]``, 16 kHz."
    label: str = ""
    text: str = ""


class VideoGenerator:
    """Codec and transformer as one; an `engines.evaluate.generators.Generator`."""

    name = "dit"

    def __init__(
        self,
        codec: Codec,
        dit: DiT,
        guidance: Guidance = EYE_AWARE,
        steps: int = STEPS,
        *,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        """Args:
            codec: Trained.
            dit: Trained on the codec's latents.
            guidance: Ω.
            steps: Euler steps a window.
            seed: Of all noise.
            device: Where to compute.

        Raises:
            InvalidInput: The two do not fit together.
        """
        if codec.config.latent != dit.config.channels:
            raise InvalidInput(
                f"A codec of {codec.config.latent} channels and a transformer of "
                f"{dit.config.channels} do not fit together."
            )
        self._codec, self._dit = codec.to(device).eval(), dit.to(device).eval()
        self._guidance, self._steps, self._seed = guidance, steps, seed
        self._device = torch.device(device)
        self._region = torch.arange(len(REGIONS), device=device)

    @classmethod
    def open(
        cls,
        codec: Path,
        dit: Path,
        guidance: Guidance = EYE_AWARE,
        steps: int = STEPS,
        *,
        seed: int = 0,
        device: str = "auto",
    ) -> VideoGenerator:
        """Load both networks; see ``__init__``.

        Raises:
            InvalidInput: A file is none of them, or they do not go together.
            Unavailable: A part of one is missing.
        """
        loaded = load_codec(codec)
        network, made_for = load_dit(dit)
        if made_for != codec_id(loaded):
            raise InvalidInput(f"{dit} was trained on latents of another codec than {codec}.")
        device = Plan(device=device).device_name
        return cls(loaded, network, guidance, steps, seed=seed, device=device)

    def generate(self, drive: Drive) -> tuple[U8, ControlTrack | None]:
        """Frames uint8 RGB ``[T, S, S, 3]`` of a case, and the controls that made them, if any.

        Raises:
            InvalidInput: There is nothing to follow.
        """
        portrait, mouth = drive.portrait, drive.mouth.values
        if drive.controls is not None:
            performance = from_controls(portrait, drive.controls, mouth)
        elif drive.keypoints is not None and drive.pose is not None:
            performance = from_keypoints(portrait, drive.keypoints, drive.pose, drive.size)
        else:
            raise InvalidInput("The generator needs controls, or keypoints and pose.")
        script = Script(performance, drive.samples, text=drive.prompt)
        out = np.empty((len(performance), drive.size, drive.size, 3), np.uint8)
        for frame, made in zip(out, self.frames(portrait, script, drive.size), strict=True):
            frame[:] = made
        return out, drive.controls

    def frames(self, portrait: Portrait, script: Script, size: int) -> Iterator[U8]:
        """Frames uint8 ``[size, size, 3]``, one for each of the performance."""
        canvas = PortraitCanvas(portrait, size)
        heads = iter(script.performance.heads)
        for crops in self.regions(portrait, script, canvas.reference):
            # The last window may be longer than what is asked for.
            for crop, head in zip(crops, heads, strict=False):
                yield canvas.render(crop, head)

    def regions(self, portrait: Portrait, script: Script, reference: U8) -> Iterator[U8]:
        """Regions in the portrait's own pose, uint8 ``[8, 3, 96, 96, 3]`` a window.

        Args:
            portrait: Who it is.
            script: What to do.
            reference: uint8 ``[3, 96, 96, 3]``: the portrait's regions.
        """
        conditions = conditions_of(portrait, script).to(self._device)
        still = np.repeat(reference[None, None], LATENT_FRAMES, axis=1)
        known = encode(self._codec, still)
        stream = Stream(self._dit, known, conditions.reference_points)
        with torch.inference_mode():
            picture = to_unit(torch.from_numpy(reference).to(self._device))
            features = self._codec.reference(picture, self._region)
        cache = self._codec.decoder.cache(len(REGIONS))
        for window in range(conditions.latents // WINDOW):
            part = conditions.stretch(window * WINDOW, WINDOW)
            noise = window_noise(self._seed, window, self._dit.config.channels)[None]
            x = torch.from_numpy(noise).to(self._device)
            latents = sample_window(stream, part, x, self._guidance, self._steps)
            with torch.inference_mode():
                made, cache = self._codec.decoder(latents[0].transpose(0, 1), features, cache)
            yield to_bytes(made).swapaxes(0, 1)


def conditions_of(portrait: Portrait, script: Script) -> Conditions:
    """The conditions of a script as a batch of one, in whole windows: the last frame stays."""
    performance = script.performance
    count = len(performance)
    frames = -(-max(count, 1) // WINDOW_FRAMES) * WINDOW_FRAMES
    if not count:
        raise InvalidInput("There is no frame to generate.")
    held = np.minimum(np.arange(frames), count - 1)
    points = in_regions(performance.points[held], portrait)
    samples = np.zeros(frames * SAMPLES_PER_FRAME, np.float32)
    if script.samples is not None:
        heard = script.samples[: len(samples)]
        samples[: len(heard)] = heard
    # Silence is heard, as in training: only before the beginning there is nothing.
    ahead = np.pad(samples, (0, AUDIO_LEAD * TOKEN))
    audio = np.pad(hear(ahead).tokens[AUDIO_LEAD:], ((REACH, 0), (0, 0)))
    hears = np.pad(np.ones(TOKENS_PER_FRAME * frames, np.bool_), (REACH, 0))
    return Conditions(
        points=torch.from_numpy(points)[None],
        reference_points=torch.from_numpy(in_regions(portrait.keypoints, portrait))[None],
        felt=torch.from_numpy(performance.felt[held])[None],
        audio=torch.from_numpy(audio)[None],
        hears=torch.from_numpy(hears)[None],
        words=torch.from_numpy(tokenise(script.label, script.text))[None],
        posed=torch.ones(1, dtype=torch.bool),
    )


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
    add("--codec", type=Path, required=True, help="weights of the codec")
    add("--dit", type=Path, required=True, help="weights of the transformer")
    add("--motion", type=Path, help="npz with controls [T, 17] and perhaps felt [T, 9]")
    add("--sound", type=Path, help="what is said")
    add("--seconds", type=float, default=0.0, help="length; by default of the sound or motion")
    add("--label", default="", help="what the person feels or does, as the planner names it")
    add("--text", default="", help="an instruction")
    add("--size", type=int, default=512, help="pixels, 128 to 1024")
    add("--steps", type=int, default=STEPS)
    add("--guidance", choices=tuple(GUIDANCE), default="eye-aware")
    add("--seed", type=int, default=0)
    add("--device", default="auto")


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Make the film."""
    if not 128 <= options.size <= 1024 or options.size % 2 or options.steps < 1:
        raise InvalidInput("--size is even and from 128 to 1024, --steps at least 1.")
    generator = VideoGenerator.open(
        options.codec, options.dit, GUIDANCE[options.guidance], options.steps,
        seed=options.seed, device=options.device,
    )  # fmt: skip
    portrait = enrol(_bytes(options.portrait), options.portrait.stem)
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
        samples = decode_audio(_bytes(options.sound), limit=MAX_SECONDS).samples
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


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} can not be read: {error.strerror}.") from error
