"""Speech with the times of its phones, and the shards it is kept in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from core import SAMPLE_RATE, InvalidInput

I16: TypeAlias = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Phone:
    """One sound of speech."""

    symbol: str
    "IPA or ARPAbet; empty for silence."
    start: float
    end: float
    "Seconds."


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """A stretch of one person's speech."""

    name: str
    "Unique within a corpus."
    samples: I16
    "int16 ``[N]``, 16 kHz mono."
    phones: tuple[Phone, ...]
    "In order, without overlap."
    text: str
    language: str
    "BCP 47: en, de, pt-br."
    speaker: str
    source: str
    "Where it is from: kokoro, piper, espeak, flite, recorded."
    training: bool
    "Whether its licence lets weights be trained on it, and its speaker is not held out."

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SAMPLE_RATE


def save_shard(path: Path, utterances: Sequence[Utterance]) -> None:
    """Write utterances to one ``.npz``; whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    notes = []
    for utterance in utterances:
        note = {n: getattr(utterance, n) for n in _NOTES}
        note["phones"] = [(p.symbol, round(p.start, 4), round(p.end, 4)) for p in utterance.phones]
        notes.append(note)
    samples = [u.samples for u in utterances]
    sound = np.concatenate(samples) if samples else np.zeros(0, np.int16)
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(
            file,
            samples=sound,
            lengths=np.array([len(s) for s in samples], np.int64),
            notes=np.frombuffer(json.dumps(notes).encode(), np.uint8),
        )
    partial.replace(path)


def load_shard(path: Path) -> list[Utterance]:
    """Read what `save_shard` wrote.

    Raises:
        InvalidInput: Missing, or not such a file.
    """
    try:
        with np.load(path) as data:
            notes = json.loads(bytes(data["notes"]))
            parts = np.split(data["samples"], np.cumsum(data["lengths"])[:-1])
        return [
            Utterance(samples=part, phones=tuple(Phone(*p) for p in note.pop("phones")), **note)
            for part, note in zip(parts, notes, strict=len(notes) > 0)
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"{path} is not a shard of speech ({error}). Make shards with: "
            "python -m engines.audio synthesise"
        ) from error


def shards_in(folders: Sequence[Path]) -> list[Path]:
    """All shards of some folders or files, sorted.

    Raises:
        InvalidInput: There are none.
    """
    found = sorted(_expand(folders))
    if not found:
        raise InvalidInput(
            "No shards of speech found. Make some: python -m engines.audio synthesise"
        )
    return found


def _expand(folders: Sequence[Path]) -> Iterator[Path]:
    for folder in folders:
        if folder.is_dir():
            yield from folder.glob("*.npz")
        else:
            yield folder


_NOTES = ("name", "text", "language", "speaker", "source", "training")
