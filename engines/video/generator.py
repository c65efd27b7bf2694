"""Codec and transformer as one: a portrait and what it is to do → frames, window after window.

The memory it takes does not grow with the length. Needs torch: the reference that faster ways of
running the networks are compared with.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from core import (
    F32,
    LATENT_FRAMES,
    SAMPLES_PER_FRAME,
    U8,
    WINDOW_FRAMES,
    ControlTrack,
    InvalidInput,
    Portrait,
)
from engines.audio.encoder import TOKEN, hear
from engines.video.clip import AUDIO_LEAD, REACH, TOKENS_PER_FRAME
from engines.video.codec import Codec, load_codec, to_bytes, to_unit
from engines.video.coding import encode
from engines.video.conditions import Conditions
from engines.video.dit import DiT
from engines.video.dit_file import load_dit_of
from engines.video.guidance import EYE_AWARE, Guidance
from engines.video.performance import Performance, from_controls, from_keypoints, in_regions
from engines.video.plan import Plan, Precision
from engines.video.regions import REGIONS
from engines.video.render_frames import PortraitCanvas
from engines.video.sampler import sample_window
from engines.video.schedule import STEPS, WINDOW, window_noise
from engines.video.shipped import codec_file, dit_file
from engines.video.text import tokenise
from engines.video.ways import parse_way
from engines.video.windows import Stream

if TYPE_CHECKING:
    from engines.evaluate.generators import Drive


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
        bf16: bool = False,
    ) -> None:
        """Args:
            codec: Trained.
            dit: Trained on the codec's latents.
            guidance: Ω.
            steps: Euler steps a window.
            seed: Of all noise.
            device: Where to compute.
            bf16: Compute in bfloat16, twice as fast where there is arithmetic for it.

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
        self._device, self._bf16 = torch.device(device), bf16
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
        precision: Precision = "auto",
    ) -> VideoGenerator:
        """Load both networks; see ``__init__``.

        Raises:
            InvalidInput: A file is none of them, or they do not go together.
            Unavailable: A part of one is missing.
        """
        loaded = load_codec(codec)
        network = load_dit_of(loaded, dit)
        plan = Plan(device=device, precision=precision)
        return cls(
            loaded, network, guidance, steps,
            seed=seed, device=plan.device_name, bf16=plan.use_bf16,
        )  # fmt: skip

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
        with self._computing():
            stream = Stream(self._dit, known, conditions.reference_points)
            picture = to_unit(torch.from_numpy(reference).to(self._device))
            features = self._codec.reference(picture, self._region)
        cache = self._codec.decoder.cache(len(REGIONS))
        for window in range(conditions.latents // WINDOW):
            part = conditions.stretch(window * WINDOW, WINDOW)
            noise = window_noise(self._seed, window, self._dit.config.channels)[None]
            x = torch.from_numpy(noise).to(self._device)
            with self._computing():
                latents = sample_window(stream, part, x, self._guidance, self._steps)
                made, cache = self._codec.decoder(latents[0].transpose(0, 1), features, cache)
            yield to_bytes(made).swapaxes(0, 1)

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Without gradients, in the wanted precision; never around a ``yield`` to others."""
        kind = self._device.type
        with torch.inference_mode(), torch.autocast(kind, torch.bfloat16, enabled=self._bf16):
            yield


def open_row(options: Sequence[str], folder: Path) -> VideoGenerator:
    """A generator as a row of the benchmark names it; see `ways.parse_way`.

    Computes on one thread: the benchmark has a process for every core.

    Raises:
        InvalidInput: An option is none, or the weights are missing.
    """
    way = parse_way(options)
    torch.set_num_threads(1)
    return VideoGenerator.open(codec_file(folder), dit_file(folder), way.guidance, way.steps)


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
