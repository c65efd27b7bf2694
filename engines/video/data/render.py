"""``python -m engines.video render``: film training clips, in several processes, to shards.

A shard is the clips of a few sittings; what is there already is kept, so the command goes on where
it was stopped. ``census.json`` beside the shards says who was filmed and who was held out.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from core import FPS, InvalidInput
from engines.evaluate.workers import in_order
from engines.video.data.drive import load_motion
from engines.video.data.people import (
    Census,
    Sitter,
    by_person,
    find_sources,
    for_training,
    held_out,
    take_census,
)
from engines.video.data.shards import SUFFIX, Packed, pack, write_shard
from engines.video.data.sound import speech_files
from engines.video.data.studio import FRAMES, SITTING, Studio

SITTINGS: Final = 4
"In a shard."
STILLS: Final = 2
"Pairs of real pictures in a shard."
SHARD_SECONDS: Final = SITTINGS * SITTING * FRAMES / FPS
RENDER_VERSION: Final = 1
"Raise it when clips of the same seed change."

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a worker needs."""

    sitters: tuple[Sitter, ...]
    motion: Path
    speech: tuple[Path, ...]
    out: Path
    seed: int
    size: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the command."""
    parser.add_argument("--portraits", type=Path, required=True, help="folder with an index.csv")
    parser.add_argument("--motion", type=Path, required=True,
                        help="folder of tracks: python -m runtime.export_motion")  # fmt: skip
    parser.add_argument("--speech", type=Path, nargs="*", default=[],
                        help="folders or files: python -m engines.audio synthesise")  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--cache", type=Path, help="of enrolled portraits (default: OUT/portraits)")
    parser.add_argument("--hours", type=float, default=2.0, help="of video (default: 2)")
    parser.add_argument("--budget", type=float, default=0.0,
                        help="stop after so many minutes of work; 0 for no limit")  # fmt: skip
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=512, help="pixels (default: 512)")
    parser.add_argument("--held-out", action="store_true",
                        help="film the people training never sees, to validate with")  # fmt: skip


def run(options: argparse.Namespace, progress: Progress) -> None:
    """The command."""
    if options.hours <= 0 or options.workers < 1 or not 128 <= options.size <= 1024:
        raise InvalidInput("--hours and --workers must be above 0, --size from 128 to 1024.")
    began = time.monotonic()
    load_motion(options.motion)
    speech = speech_files(options.speech)
    cache = options.cache or options.out / "portraits"
    census = take_census(options.portraits, cache, workers=options.workers, progress=progress)
    sitters = held_out(census.sitters) if options.held_out else for_training(census.sitters)
    if not sitters:
        raise InvalidInput(f"{options.portraits} holds nobody of the people asked for.")
    settings = Settings(sitters, options.motion, speech, options.out, options.seed, options.size)
    _register(options.out, census, settings, options.portraits)
    total = max(1, round(options.hours * 3600 / SHARD_SECONDS))
    until = began + 60 * options.budget if options.budget else float("inf")
    film(settings, total, until, options.workers, progress)


def film(
    settings: Settings, total: int, until: float, workers: int, progress: Progress
) -> list[int]:
    """Make the shards that are missing of the first ``total``; returns those that died.

    Args:
        until: `time.monotonic` after which no other shard is begun; the first one always is.
    """
    todo = [n for n in range(total) if not shard_path(settings.out, n).exists()]
    kept, died = total - len(todo), []

    def in_time() -> Iterator[int]:
        for number in todo:
            if time.monotonic() > until and number:
                return
            yield number

    work = in_order(in_time(), _shard, begin=_begin, given=(settings,), workers=workers)
    progress(kept, total, "")
    for done, (number, size) in enumerate(work, kept + 1):
        if size is None:
            died.append(number)
        hours = done * SHARD_SECONDS / 3600
        note = f"{hours:.2f} h, {(size or 0) / 1e6:.1f} MB a shard"
        progress(done, total, note + (f", {len(died)} died" if died else ""))
    return died


def shard_path(out: Path, number: int) -> Path:
    """Where a shard lies."""
    return out / f"{number:06d}{SUFFIX}"


def _register(out: Path, census: Census, settings: Settings, portraits: Path) -> None:
    """Write who is in the clips; refuse to mix clips of different settings.

    Raises:
        InvalidInput: The folder holds clips made otherwise.
    """
    sources = find_sources(portraits)[0]
    licences = {source.person: source.licence for source in sources}
    facts: dict[str, Any] = {
        "version": RENDER_VERSION,
        "seed": settings.seed,
        "size": settings.size,
        "people": {name: licences[name] for name in by_person(settings.sitters)},
        "held_out": sorted(by_person(held_out(census.sitters))),
        "skipped": dict(census.skipped),
    }
    path = out / "census.json"
    try:
        before = json.loads(path.read_text())
        same = all(before[n] == facts[n] for n in ("version", "seed", "size", "people"))
    except FileNotFoundError:
        same = True
    except (OSError, ValueError, KeyError, TypeError):
        same = False
    if not same:
        raise InvalidInput(
            f"{out} holds clips of another seed, size or choice of people (see {path.name}). Name "
            "another folder, or delete it."
        )
    out.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(facts, indent=1))
    partial.replace(path)


_studio: tuple[Studio, Path] | None = None
"Of a worker process."


def _begin(settings: Settings) -> None:
    global _studio
    import cv2
    from threadpoolctl import threadpool_limits

    # As many processes as cores: threads of one would take the core of another.
    cv2.setNumThreads(1)
    threadpool_limits(1)
    studio = Studio.furnish(
        settings.sitters, load_motion(settings.motion), settings.speech,
        seed=settings.seed, size=settings.size,
    )  # fmt: skip
    _studio = studio, settings.out


def _shard(number: int) -> int:
    """Make one shard; returns its bytes."""
    assert _studio is not None
    studio, out = _studio
    return write_shard(shard_path(out, number), shuffled(list(shard(studio, number)), number))


def shard(studio: Studio, number: int) -> Iterator[Packed]:
    """The clips of one shard."""
    for k in range(SITTINGS):
        for clip in studio.sitting(number * SITTINGS + k):
            yield pack(clip)
    for k in range(STILLS):
        still = studio.still(number * STILLS + k)
        if still is not None:
            yield pack(still)


def shuffled(clips: Sequence[Packed], number: int) -> list[Packed]:
    """Clips in an order in which no person comes several times in a row."""
    order = np.random.default_rng([7, number]).permutation(len(clips))
    return [clips[int(i)] for i in order]
