"""Folders of recordings → utterances with phone times: heard, pronounced, aligned, cached."""

from __future__ import annotations

import csv
import gzip
import re
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from core import SAMPLE_RATE, InvalidInput
from engines.audio.corpus import Phone, Utterance
from engines.audio.sources.alignment import ENGLISH, KNOWN, OTHER, Aligner
from engines.audio.sources.alignment_cache import Record
from engines.audio.sources.pronunciation import Phonemiser, espeak, pronounce
from engines.audio.sources.sound import read_sound
from engines.audio.sources.transcripts import (
    Piece,
    Recogniser,
    Sphinx,
    Transcript,
    Whisper,
    pieces,
    written,
)

TRAINING: Final = "training ok"
"What the index's ``use`` says, exactly, of recordings that weights may be trained on."
MIN_CONFIDENCE: Final = -0.9
"Mean log probability below which recognised words are guesses."
PROMPT_SECONDS: Final = (2.0, 12.0)
"Length of the Asterisk prompts taken."
ASTERISK_DOCS: Final = Path("/usr/share/doc")
"Where Debian puts the transcripts: asterisk-core-sounds-<language>/core-sounds-<language>.txt.gz."


@dataclass(frozen=True, slots=True)
class Refusal:
    """A recording, or a piece of one, that was left out."""

    name: str
    seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class _Row:
    """A line of an index."""

    path: Path
    name: str
    languages: tuple[str, ...]
    speaker: str
    training: bool


def recorded(
    root: Path,
    *,
    cache: Path,
    whisper: Path | None = None,
    training: bool | None = None,
    refused: Callable[[Refusal], None] = lambda refusal: None,
    progress: bool = True,
) -> Iterator[Utterance]:
    """Utterances of a folder of recordings that has an ``index.csv``.

    The index has the columns file, language ("en", or "en/zh" where either is spoken), use, and
    perhaps speaker; other columns are left alone. Without a speaker, a folder listed with one is
    taken as the speaker's where `SOLO` is in its notes, and each file as another one's otherwise.

    Args:
        root: The folder; ``index.csv`` names files relative to it.
        cache: Folder for what was found, one JSON a recording: a second run is quick.
        whisper: Folder of a CTranslate2 Whisper model; None recognises English alone.
        training: Only recordings that may (True) or may not (False) be trained on.
        refused: Told of everything left out.
        progress: Show a bar.

    Raises:
        InvalidInput: No index, or one without the needed columns.
        Unavailable: A needed package or the model is missing.
    """
    rows = [row for row in _index(root) if training in (None, row.training)]
    tools = _Tools(Whisper(whisper) if whisper else Sphinx(), espeak(), Aligner(), cache)
    for row in _bar(rows, progress):
        yield from tools.utterances(row, refused)


def asterisk(
    root: Path,
    language: str,
    *,
    cache: Path,
    limit: int = 60,
    transcripts: Path | None = None,
    refused: Callable[[Refusal], None] = lambda refusal: None,
    progress: bool = True,
) -> Iterator[Utterance]:
    """Prompts of an Asterisk sound package (CC BY-SA): one speaker a language, for evaluation.

    Args:
        root: The folder of sounds: ``<root>/<language>/<name>.wav``.
        language: en, es, fr, it or ru.
        cache: As for `recorded`.
        limit: Prompts taken at most, evenly from all that have a fit length.
        transcripts: The ``.txt.gz``; None looks where Debian puts it.

    Raises:
        InvalidInput: No transcript file.
        Unavailable: A needed package is missing.
    """
    if transcripts is None:
        folder = ASTERISK_DOCS / f"asterisk-core-sounds-{language}"
        transcripts = folder / f"core-sounds-{language}.txt.gz"
    if not transcripts.is_file():
        raise InvalidInput(
            f"{transcripts} is missing. Install asterisk-core-sounds-{language} and "
            f"asterisk-core-sounds-{language}-wav."
        )
    texts = _prompts(transcripts)
    tools = _Tools(None, espeak(), Aligner(), cache)
    fit = []
    for name, text in texts.items():
        path = root / language / f"{name}.wav"
        if path.is_file() and PROMPT_SECONDS[0] <= _wav_seconds(path) <= PROMPT_SECONDS[1]:
            fit.append((path, name, text))
    step = max(len(fit) / limit, 1.0)
    chosen = [fit[int(k * step)] for k in range(min(limit, len(fit)))]
    for path, name, text in _bar(chosen, progress):
        speaker = f"asterisk/{language}"
        row = _Row(path, f"{speaker}/{name}", (language,), speaker, training=False)
        yield from tools.utterances(row, refused, text)


@dataclass(frozen=True, slots=True, eq=False)
class _Tools:
    """What a run opens once."""

    recogniser: Recogniser | None
    phonemiser: Phonemiser
    aligner: Aligner
    cache: Path

    def utterances(
        self, row: _Row, refused: Callable[[Refusal], None], text: str | None = None
    ) -> Iterator[Utterance]:
        """One recording, from the cache where it is there."""
        try:
            sound = read_sound(row.path)
            beside = row.path.with_suffix(".txt")
            if text is None and beside.is_file():
                text = beside.read_text(encoding="utf-8")
        except (InvalidInput, OSError, UnicodeDecodeError) as error:
            refused(Refusal(row.name, 0.0, str(error)))
            return
        seconds = len(sound) / SAMPLE_RATE
        record = Record(self.cache, row.name, sound)
        try:
            if text is not None:
                transcript = written(text, seconds, row.languages[0])
            else:
                assert self.recogniser is not None
                transcript = record.transcript(self.recogniser, sound, row.languages)
            if transcript.confidence < MIN_CONFIDENCE:
                raise InvalidInput(
                    f"The words are guesses: log probability {transcript.confidence:.2f}."
                )
        except InvalidInput as error:
            refused(Refusal(row.name, seconds, str(error)))
            return
        for k, piece in enumerate(pieces(sound, transcript)):
            name = f"{row.name}/{k}"
            try:
                phones = record.phones(piece, partial(self._align, piece, transcript))
            except InvalidInput as error:
                refused(Refusal(name, len(piece.samples) / SAMPLE_RATE, str(error)))
                continue
            yield Utterance(
                name=name, samples=piece.samples, phones=phones, text=piece.text,
                language=transcript.language, speaker=row.speaker, source="recorded",
                training=row.training,
            )  # fmt: skip

    def _align(self, piece: Piece, transcript: Transcript) -> tuple[Phone, ...]:
        words = pronounce(piece.text, transcript.language, self.phonemiser)
        limits = ENGLISH if transcript.language.startswith("en") else OTHER
        if transcript.known:
            limits = KNOWN
        return self.aligner.align(piece.samples, words, limits).phones


def _index(root: Path) -> list[_Row]:
    """The lines of ``index.csv`` whose files are there."""
    path = root / "index.csv"
    if not path.is_file():
        raise InvalidInput(f"{path} is missing: list the files with file,language,use[,speaker].")
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = list(csv.DictReader(file))
    missing = {"file", "language", "use"} - set(lines[0] if lines else ())
    if missing:
        raise InvalidInput(f"{path} has no column {', '.join(sorted(missing))}.")
    rows = []
    for line in lines:
        name = Path(line["file"])
        if name.is_absolute() or ".." in name.parts:
            raise InvalidInput(f"{path} names {name}, which is outside its folder.")
        rows.append(
            _Row(
                path=root / name,
                name=str(name.with_suffix("")),
                languages=tuple(filter(None, line["language"].strip().split("/"))) or ("en",),
                speaker=line.get("speaker") or _speaker(name, line.get("note") or ""),
                training=line["use"].strip() == TRAINING,
            )
        )
    return rows


def _speaker(name: Path, note: str) -> str:
    """A folder stands for its speaker where the note says that there is one; else each file."""
    if SOLO.search(note) and str(name.parent) != ".":
        return str(name.parent)
    return str(name.with_suffix(""))


SOLO: Final = re.compile(r"\bone (?:\w+ )?(?:speaker|reader|actor|actress|voice)\b")
"A note of one speaker: 'one female reader'."


def _prompts(path: Path) -> dict[str, str]:
    """Lines ``name: text`` → name → text, without stage directions and asides."""
    texts = {}
    with gzip.open(path, "rt", encoding="utf-8-sig") as file:
        for line in file:
            name, colon, text = line.strip().partition(":")
            spoken = re.sub(r"\[[^\]]*\]|\([^)]*\)|\.{3}|…", " ", text).strip(" \"'")
            if colon and spoken and not name.startswith(";"):
                texts[name.strip()] = spoken
    return texts


def _wav_seconds(path: Path) -> float:
    with wave.open(str(path)) as sound:
        seconds: float = sound.getnframes() / sound.getframerate()
    return seconds


def _bar(items: Sequence[Any], progress: bool) -> Iterator[Any]:
    if not progress:
        return iter(items)
    from tqdm import tqdm

    return iter(tqdm(items, unit="file", ascii=True))
