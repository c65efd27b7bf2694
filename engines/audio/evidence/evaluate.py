"""How well the mouth follows speech: ``python -m engines.audio evaluate SHARDS... --clips DIR``.

Held-out speech with phone times gives the visemes, the contacts (p b m, f v), the onsets and the
silence; real clips give how the opening of the mouth follows real lips. All listeners are judged
on the same sound. Tables are Markdown. The first row, ``phones``, is not a listener: it is what
the training targets, made from the true phones, would score; nothing heard can be expected to
score more.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np

from core import SAMPLE_RATE, InvalidInput, Unavailable
from engines.audio.coarticulation import targets
from engines.audio.corpus import Utterance, load_shard, shards_in
from engines.audio.encoder import TOKEN
from engines.audio.evidence.clips import compare, read_index
from engines.audio.evidence.lip_tracking import lips_of
from engines.audio.evidence.listeners import NAMES, Listener, open_listener
from engines.audio.evidence.measures import measure
from engines.audio.evidence.report import CEILING, Findings, Tallies, as_json, report
from engines.audio.evidence.tally import Tally

Progress: TypeAlias = Callable[[int, int, str], None]

PAUSE: Final = 0.5
"Seconds of silence put before and after each utterance: speech begins and ends as in a session."
# --- measuring -------------------------------------------------------------------------------


def judge_speech(
    listeners: Mapping[str, Listener],
    shards: Sequence[Path],
    found: Findings,
    progress: Progress,
    *,
    trained_too: bool = False,
    most: int = 0,
) -> None:
    """Add up tallies over all held-out utterances, one shard in memory at a time.

    Args:
        listeners: Rows of the tables.
        shards: Files of `corpus.save_shard`.
        found: Filled in.
        progress: Told after every shard.
        trained_too: Also speech that may have been trained on.
        most: Utterances taken of every shard, spread evenly; 0 takes all.
    """
    found.speech = {name: {} for name in (CEILING, *listeners)}
    for done, path in enumerate(shards):
        try:
            utterances = [u for u in load_shard(path) if trained_too or not u.training]
        except InvalidInput as error:
            found.left_out.append(str(error))
            continue
        if most and len(utterances) > most:
            utterances = [
                utterances[i] for i in np.linspace(0, len(utterances) - 1, most).round().astype(int)
            ]
        for utterance in utterances:
            try:
                _judge(listeners, utterance, found.speech)
            except KeyError as error:
                found.left_out.append(f"{utterance.name}: the phone {error} has no viseme.")
        progress(done + 1, len(shards), path.stem)
    if not any(found.speech[CEILING].values()):
        found.speech = {}
        found.left_out.append(
            "Measures of speech: there is no held-out speech in the given shards "
            "(--all takes what may be trained on, too)."
        )


def _judge(listeners: Mapping[str, Listener], utterance: Utterance, into: Tallies) -> None:
    sound = np.pad(utterance.samples, round(PAUSE * SAMPLE_RATE))
    phones = tuple(replace(p, start=p.start + PAUSE, end=p.end + PAUSE) for p in utterance.phones)
    samples = sound.astype(np.float32) / np.float32(32768)
    tallies = {CEILING: measure(targets(phones, len(samples) // TOKEN, sound), phones)}
    tallies |= {name: measure(hear(samples), phones) for name, hear in listeners.items()}
    group = f"{utterance.source} {utterance.language}"
    for name, tally in tallies.items():
        into[name][group] = into[name].get(group, Tally()) + tally


def judge_clips(listeners: Mapping[str, Listener], folder: Path, cache: Path, found: Findings,
                progress: Progress) -> None:  # fmt: skip
    """Hold every listener's mouth against the lips of every clip with sound.

    Raises:
        InvalidInput: The folder has no index of clips.
    """
    clips = read_index(folder)
    found.clips = {name: [] for name in listeners}
    for done, clip in enumerate(clips):
        try:
            lips = lips_of(clip.path, cache)
            agreements = {name: compare(hear, clip, lips) for name, hear in listeners.items()}
        except InvalidInput as error:
            found.left_out.append(f"clip {clip.name}: {error}.")
        else:
            for name, agreement in agreements.items():
                found.clips[name].append(agreement)
        progress(done + 1, len(clips), clip.name)


# --- the command -----------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("shards", type=Path, nargs="*", help="shards or folders of them")
    parser.add_argument("--clips", type=Path, help="folder of clips with index.csv")
    parser.add_argument("--cache", type=Path, default=Path("lips"), help="keeps tracked lips")
    parser.add_argument(
        "--listener", action="append", metavar="NAME", help=f"{', '.join(NAMES)}; default: all"
    )
    parser.add_argument("--all", action="store_true", help="also speech that may be trained on")
    parser.add_argument("--most", type=int, default=0, help="utterances of a shard; 0: all")
    parser.add_argument("--json", type=Path, help="write all numbers there")


def run(options: argparse.Namespace, progress: Progress) -> None:
    """Measure and print.

    Raises:
        InvalidInput: A folder or listener that is not there; nothing to measure.
    """
    found = Findings()
    listeners: dict[str, Listener] = {}
    for name in options.listener or NAMES:
        try:
            listeners[name] = open_listener(name)
        except Unavailable as error:
            found.left_out.append(str(error))
    if options.shards:
        judge_speech(
            listeners,
            shards_in(options.shards),
            found,
            progress,
            trained_too=options.all,
            most=options.most,
        )
    else:
        found.left_out.append("Measures of speech: no shards are given.")
    if options.clips:
        judge_clips(listeners, options.clips, options.cache, found, progress)
    else:
        found.left_out.append("Real clips: no folder is given (--clips).")
    if not found.speech and not any(found.clips.values()):
        raise InvalidInput("Nothing could be measured. " + " ".join(found.left_out))
    print(f"\n{report(found)}")
    if options.json:
        options.json.write_text(json.dumps(as_json(found), indent=1), encoding="utf-8")
