"""Make synthetic speech with phone times: ``python -m engines.audio synthesise``.

Resumable: a shard that exists is not made again. The same seed makes the same texts and rates;
the synthesisers themselves draw noise of their own.
"""

from __future__ import annotations

import argparse
import logging
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import numpy as np

from core import SAMPLE_RATE, Unavailable
from engines.audio.corpus import Utterance, save_shard
from engines.audio.sources.speakers import (
    Espeak,
    EspeakSpeaker,
    FliteSpeaker,
    Kokoro,
    KokoroSpeaker,
    PiperSpeaker,
    Speaker,
)
from engines.audio.sources.texts import sentences

logger = logging.getLogger(__name__)

HELD_OUT: Final = frozenset(
    f"kokoro/{v}" for v in ("af_nova", "am_liam", "bf_lily", "bm_george", "em_alex", "zm_yunyang",
                            "if_sara", "hm_psi", "jm_kumo")
) | {"flite/rms", "espeak/m7"}  # fmt: skip
"Voices never trained on."
_NATIVE: Final[dict[str, str]] = {
    "a": "en-us", "b": "en-gb-x-rp", "e": "es", "f": "fr", "h": "hi", "i": "it", "p": "pt-br",
}  # fmt: skip
_FOREIGN: Final = ("en-us", "es", "fr", "it", "de", "pt-br")
_NATIVE_SHARE: Final = 0.75
_ESPEAK_LANGUAGES: Final = (
    "en-us", "en-gb", "de", "fr", "es", "it", "pt-br", "nl", "sv", "pl", "cs", "ru", "tr", "fi",
    "el", "hi", "id", "ko", "hu", "ro",
)  # fmt: skip
_ESPEAK_VARIANTS: Final = ("f1", "f2", "f3", "f4", "f5", "m1", "m2", "m3", "m4", "m5", "m6", "m7")
_FLITE_VOICES: Final = ("slt", "rms", "awb", "kal16")
_LONGEST: Final = 20.0
"Seconds: a sentence longer than this is thrown away."


@dataclass(frozen=True, slots=True)
class Job:
    """One shard to make."""

    source: str
    voice: str
    part: int
    seconds: float
    seed: int

    @property
    def name(self) -> str:
        """The shard's file name without suffix."""
        return f"{self.source}-{self.voice}-s{self.seed}-{self.part:02d}"


def jobs(minutes: dict[str, float], kokoro: Path, seed: int) -> list[Job]:
    """What to make; a source with 0 minutes is left out."""
    voices = {
        "kokoro": [p.stem for p in sorted((kokoro / "voices").glob("*.bin"))],
        "piper": ["joe"],
        "espeak": list(_ESPEAK_VARIANTS),
        "flite": list(_FLITE_VOICES),
    }
    made: list[Job] = []
    for source, total in minutes.items():
        if total <= 0 or not voices[source]:
            continue
        each = 60.0 * total / len(voices[source])
        parts = max(1, round(each / 150.0))
        made += [
            Job(source, v, p, each / parts, seed) for v in voices[source] for p in range(parts)
        ]
    order = np.random.default_rng(seed).permutation(len(made))
    # The quick sources first, then all voices mixed: what is made so far is always a fair corpus.
    cheap = [made[k] for k in order if made[k].source != "kokoro"]
    return cheap + [made[k] for k in order if made[k].source == "kokoro"]


@lru_cache(maxsize=1)
def _kokoro(folder: Path) -> Kokoro:
    return Kokoro(folder)


@lru_cache(maxsize=1)
def _espeak() -> Espeak:
    return Espeak()


@lru_cache(maxsize=1)
def _piper() -> PiperSpeaker:
    return PiperSpeaker()


def _speaker(job: Job, kokoro: Path) -> Speaker:
    if job.source == "kokoro":
        return KokoroSpeaker(_kokoro(kokoro), kokoro / "voices" / f"{job.voice}.bin")
    if job.source == "piper":
        return _piper()
    if job.source == "espeak":
        return EspeakSpeaker(_espeak(), job.voice)
    return FliteSpeaker(job.voice)


def _languages(job: Job, rng: np.random.Generator) -> Iterator[str]:
    native = _NATIVE.get(job.voice[0], "") if job.source == "kokoro" else "en-us"
    while True:
        if job.source == "espeak":
            yield str(rng.choice(_ESPEAK_LANGUAGES))
        elif native and (job.source != "kokoro" or rng.random() < _NATIVE_SHARE):
            yield native
        else:
            yield str(rng.choice(_FOREIGN))


def make(job: Job, folder: Path, kokoro: Path) -> float:
    """Make one shard; returns its seconds."""
    rng = np.random.default_rng([job.seed, zlib.crc32(job.name.encode())])
    speaker = _speaker(job, kokoro)
    texts: dict[str, Iterator[str]] = {}
    made: list[Utterance] = []
    seconds, tries = 0.0, 0
    for language in _languages(job, rng):
        tries += 1
        if seconds >= job.seconds or tries > 400:
            break
        plain = language.split("-")[0]
        text = next(texts.setdefault(plain, sentences(plain, rng)))
        said = speaker.say(text, language, rng)
        if said is None or not 0.5 < len(said.samples) / SAMPLE_RATE < _LONGEST:
            continue
        samples = np.clip(np.round(said.samples * 32767), -32768, 32767).astype(np.int16)
        made.append(
            Utterance(
                name=f"{job.name}-{len(made):03d}",
                samples=samples,
                phones=said.phones,
                text=text,
                language=plain,
                speaker=speaker.name,
                source=job.source,
                training=speaker.name not in HELD_OUT,
            )
        )
        seconds += made[-1].seconds
    save_shard(folder / f"{job.name}.npz", made)
    return seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("folder", type=Path, help="where the shards go")
    parser.add_argument("--kokoro", type=Path, default=Path("kokoro"), help="folder of Kokoro-82M")
    for source, minutes in (("kokoro", 60.0), ("piper", 45.0), ("espeak", 45.0), ("flite", 30.0)):
        parser.add_argument(f"--{source}-minutes", type=float, default=minutes)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Make every shard that is not there yet; a source that is missing is left out, and said."""
    minutes = {s: getattr(options, f"{s}_minutes") for s in ("kokoro", "piper", "espeak", "flite")}
    every = jobs(minutes, options.kokoro, options.seed)
    open_jobs = [j for j in every if not (options.folder / f"{j.name}.npz").exists()]
    done = len(every) - len(open_jobs)
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        waiting = {pool.submit(make, j, options.folder, options.kokoro): j for j in open_jobs}
        for future in as_completed(waiting):
            job = waiting[future]
            try:
                seconds = future.result()
                note = f"{job.name} {seconds:.0f} s"
            except Unavailable as error:
                note = f"{job.name} left out: {error}"
            done += 1
            progress(done, len(every), note)
