"""Give recordings of real speech their phone times: ``python -m engines.audio align``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engines.audio.corpus import Utterance, save_shard
from engines.audio.sources.recordings import Refusal, asterisk, recorded

_ASTERISK: Final = Path("/usr/share/asterisk/sounds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("out", type=Path, help="where the shards go")
    parser.add_argument(
        "--recordings", type=Path, help="folder with index.csv: file, language, use"
    )
    parser.add_argument("--whisper", type=Path, help="CTranslate2 model; without, English alone")
    parser.add_argument(
        "--asterisk",
        nargs="*",
        default=[],
        choices=("en", "es", "fr", "it", "ru"),
        help="languages of installed Asterisk prompts, to evaluate with",
    )
    parser.add_argument("--sounds", type=Path, default=_ASTERISK, help="where those prompts are")
    parser.add_argument("--cache", type=Path, help="default: OUT/cache")


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Write ``recorded_train``, ``recorded_test`` and ``asterisk_test``; say what was left out."""
    cache = options.cache or options.out / "cache"
    refusals: list[Refusal] = []
    if options.recordings:
        for name, training in (("recorded_train", True), ("recorded_test", False)):
            found = recorded(
                options.recordings,
                cache=cache,
                whisper=options.whisper,
                training=training,
                refused=refusals.append,
            )
            _save(options.out / f"{name}.npz", list(found))
    prompts: list[Utterance] = []
    for done, language in enumerate(options.asterisk):
        progress(done, len(options.asterisk), language)
        prompts += asterisk(
            options.sounds, language, cache=cache, refused=refusals.append, progress=False
        )
    if prompts:
        _save(options.out / "asterisk_test.npz", prompts)
    for refusal in refusals:
        print(f"left out: {refusal.name} ({refusal.seconds:.1f} s): {refusal.reason}")


def _save(path: Path, utterances: list[Utterance]) -> None:
    save_shard(path, utterances)
    minutes = sum(u.seconds for u in utterances) / 60
    print(f"{path}: {len(utterances)} utterances, {minutes:.1f} min")
