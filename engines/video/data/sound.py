"""What training clips say: tokens of speech and the mouth that a live session makes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from core import F32, MOUTH_CHANNELS, SAMPLE_RATE, SAMPLES_PER_FRAME, InvalidInput
from engines.audio.corpus import Utterance, load_shard, shards_in
from engines.audio.encoder import TOKEN, hear
from engines.audio.spoil.background import background
from engines.audio.spoil.noise import any_noise
from engines.mouth import SpeechMouth
from engines.video.clip import AUDIO_LEAD

SILENT: Final = 0.25
"Share of clips in which nobody speaks."
BEFORE: Final = 2 * SAMPLE_RATE
"Samples heard before a clip begins: the encoder remembers."
AFTER: Final = SAMPLE_RATE // 2


@dataclass(frozen=True, slots=True, eq=False)
class Sound:
    """The sound of one clip, as the generator gets it."""

    tokens: F32
    "float32 ``[2 T, 256]``, `engines.video.clip.AUDIO_LEAD` ahead of the frames."
    mouth: F32
    "float32 ``[T, 9]``."
    speech: bool
    text: str = ""


def speech_files(folders: Sequence[Path]) -> tuple[Path, ...]:
    """All shards of speech; none where no folder is given.

    Raises:
        InvalidInput: A folder holds none.
    """
    return tuple(shards_in(folders)) if folders else ()


def draw_sound(files: Sequence[Path], frames: int, rng: np.random.Generator) -> Sound:
    """Speech of someone who may be trained on, or a room in which nobody speaks.

    Raises:
        InvalidInput: A shard is damaged.
    """
    length = frames * SAMPLES_PER_FRAME
    said = None if rng.random() < SILENT or not files else _utterance(files, rng)
    total = BEFORE + length + AFTER
    if said is None:
        quiet = rng.random() < 0.4
        samples = np.zeros(total, np.float32) if quiet else background(total, rng)
        return heard(samples, frames, speech=False)
    voice = said.samples.astype(np.float32) / 32_768
    # The clip lies anywhere from just before the first word to just after the last.
    edge = length // 3
    at = int(rng.integers(-edge, max(len(voice) - length + edge, 1 - edge)))
    samples = np.zeros(total, np.float32)
    first = max(at - BEFORE, 0)
    part = voice[first : at + length + AFTER]
    offset = BEFORE - (at - first)
    samples[offset : offset + len(part)] = part[: total - offset]
    return heard(_spoilt(samples, rng), frames, speech=True)


def heard(samples: F32, frames: int, *, speech: bool) -> Sound:
    """Hear a stretch of sound; the clip begins at `BEFORE`."""
    first = BEFORE // SAMPLES_PER_FRAME
    tokens = hear(samples).tokens
    start = 2 * first + AUDIO_LEAD
    listener = SpeechMouth()
    delay = listener.lookahead // SAMPLES_PER_FRAME
    whole = len(samples) // SAMPLES_PER_FRAME * SAMPLES_PER_FRAME
    mouth = listener.push(samples[:whole]).values[first + delay : first + delay + frames]
    assert TOKEN * 2 == SAMPLES_PER_FRAME and mouth.shape == (frames, len(MOUTH_CHANNELS))
    return Sound(tokens[start : start + 2 * frames], mouth, speech)


def _spoilt(samples: F32, rng: np.random.Generator) -> F32:
    """Louder or softer, and in one clip of three with a steady noise."""
    samples = samples * np.float32(10 ** (rng.uniform(-8, 5) / 20))
    if rng.random() < 0.33:
        noise = any_noise(len(samples), rng)
        power = float(np.sqrt(np.mean(samples**2))) + 1e-4
        level = power * 10 ** (-rng.uniform(8, 30) / 20)
        samples = samples + noise * np.float32(level / (float(noise.std()) + 1e-9))
    clipped: F32 = np.clip(samples, -1, 1).astype(np.float32)
    return clipped


def _utterance(files: Sequence[Path], rng: np.random.Generator) -> Utterance:
    for _ in range(20):
        spoken = _shard(files[int(rng.integers(len(files)))])
        if spoken:
            return spoken[int(rng.integers(len(spoken)))]
    raise InvalidInput("The shards of speech hold next to nothing that may be trained on.")


@lru_cache(maxsize=6)
def _shard(path: Path) -> tuple[Utterance, ...]:
    return tuple(u for u in load_shard(path) if u.training and u.seconds > 1.0)
