"""Recordings → the words in them with their rough times, and pieces short enough to align.

Whisper (faster-whisper: CTranslate2, int8 on a CPU, no torch) is used because one small model
hears all the languages wanted and says when each word was. Without a model, PocketSphinx's own
English recogniser does what it can. A text file beside the sound is believed before either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from core import F32, SAMPLE_RATE, InvalidInput, Unavailable
from engines.audio.corpus import I16

MAX_PIECE: Final = 12.0
"Seconds."
MIN_PIECE: Final = 3.0
"Seconds before a cut is looked for."
_HOP: Final = 160
"Samples between loudness values: 10 ms."
_REACH: Final = 0.25
"Seconds around the end of a word within which its pause is looked for."
_PROMPTS: Final = {"zh": "以下是普通话的句子。"}
"In simplified characters, so that Whisper writes them: espeak reads more of those."


@dataclass(frozen=True, slots=True)
class Word:
    """A word as heard; punctuation stays with it."""

    text: str
    start: float
    end: float
    "Seconds, to a tenth or so."


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a recording says."""

    words: tuple[Word, ...]
    language: str
    confidence: float
    "Mean log probability of the words; 0 when they are known."
    known: bool = False
    "Whether the words were given, not heard."

    @property
    def text(self) -> str:
        """The words as running text."""
        return join(self.words, self.language)


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A stretch of a recording between two pauses."""

    start: float
    "Seconds from the start of the recording."
    samples: I16
    text: str


class Recogniser(Protocol):
    """What hears words."""

    name: str
    "Part of the key of a cached transcript."

    def transcribe(self, sound: F32, languages: Sequence[str]) -> Transcript:
        """Words of a recording, float32 ``[N]`` at 16 kHz, spoken in one of ``languages``.

        Raises:
            InvalidInput: No words are heard, or the language is not one it knows.
        """
        ...


class Whisper:
    """A `Recogniser` by faster-whisper."""

    def __init__(self, model: Path) -> None:
        """``model``: a folder with a Whisper model as CTranslate2 keeps it.

        Raises:
            Unavailable: No faster-whisper, or no model in the folder.
        """
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise Unavailable("Recognition needs faster-whisper: pip install faster-whisper") from (
                error
            )
        if not (model / "model.bin").is_file():
            raise Unavailable(
                f"{model} is no CTranslate2 Whisper model: it has no model.bin. Give the folder "
                "of one, as ct2-transformers-converter writes it."
            )
        self._model: Any = WhisperModel(
            str(model), device="cpu", compute_type="int8", cpu_threads=1, local_files_only=True
        )
        self.name = f"whisper-{(model / 'model.bin').stat().st_size}"

    def transcribe(self, sound: F32, languages: Sequence[str]) -> Transcript:
        """See `Recogniser`."""
        language = languages[0]
        if len(languages) > 1:
            _, _, heard = self._model.detect_language(sound)
            likely = dict(heard)
            language = max(languages, key=lambda code: likely.get(code, 0.0))
        segments, _ = self._model.transcribe(
            sound,
            language=language,
            word_timestamps=True,
            beam_size=5,
            condition_on_previous_text=False,
            initial_prompt=_PROMPTS.get(language),
            suppress_tokens=[-1, *self._unwanted(language)],
        )
        found = [s for s in segments if s.words]
        words = _whole((w.word, w.start, w.end) for s in found for w in s.words)
        if not words:
            raise InvalidInput("No words were heard.")
        sizes = [len(s.words) for s in found]
        return Transcript(
            words, language, float(np.average([s.avg_logprob for s in found], weights=sizes))
        )

    def _unwanted(self, language: str) -> list[int]:
        return not_kana(self._model.hf_tokenizer.get_vocab()) if language == "ja" else []


def not_kana(vocabulary: Mapping[str, int]) -> list[int]:
    """Tokens that write kanji, Latin letters or digits: without them Japanese comes out in kana.

    Tokens are bytes of UTF-8, each shown as a character (Radford et al., "Language models are
    unsupervised multitask learners", 2019, and its code): printable Latin-1 as itself, the other
    bytes in their order as U+0100 and up. Kanji begin with the bytes E4 to E9.
    """
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [b for b in range(256) if b not in shown]
    byte_of = {chr(b): b for b in shown} | {chr(0x100 + k): b for k, b in enumerate(hidden)}
    unwanted = {*range(0xE4, 0xEA), *b"0123456789"}
    unwanted |= {*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1)}
    return [
        token
        for text, token in vocabulary.items()
        if not text.startswith("<|") and any(byte_of.get(c) in unwanted for c in text)
    ]


class Sphinx:
    """A `Recogniser` by PocketSphinx: English, clear speech, without punctuation."""

    name = "pocketsphinx"

    def __init__(self) -> None:
        """Raises Unavailable when PocketSphinx is not installed."""
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise Unavailable("Recognition needs PocketSphinx: pip install pocketsphinx") from error
        self._decoder: Any = Decoder(loglevel="FATAL")

    def transcribe(self, sound: F32, languages: Sequence[str]) -> Transcript:
        """See `Recogniser`."""
        if "en" not in languages:
            raise InvalidInput(
                f"PocketSphinx recognises English alone, not {'/'.join(languages)}: "
                "give a Whisper model, or a text file beside the sound."
            )
        self._decoder.start_utt()
        self._decoder.process_raw(to_int16(sound).tobytes(), full_utt=True)
        self._decoder.end_utt()
        words = tuple(
            Word(s.word.split("(")[0], s.start_frame * 0.01, (s.end_frame + 1) * 0.01)
            for s in self._decoder.seg() or ()
            if not s.word.startswith(("<", "[", "+"))
        )
        if not words:
            raise InvalidInput("No words were heard.")
        return Transcript(words, "en", 0.0)


def written(text: str, seconds: float, language: str) -> Transcript:
    """A known text as a transcript: word times by their share of the letters.

    Raises:
        InvalidInput: It has no words.
    """
    parts = text.split() if " " in text.strip() else list(text.strip())
    if not parts:
        raise InvalidInput("The text file has no words.")
    ends = np.cumsum([len(p) for p in parts]) * (seconds / sum(len(p) for p in parts))
    starts = [0.0, *ends[:-1]]
    words = (Word(p, float(a), float(b)) for p, a, b in zip(parts, starts, ends, strict=True))
    return Transcript(tuple(words), language, 0.0, known=True)


def join(words: Sequence[Word], language: str) -> str:
    """Words as text: Chinese and Japanese without spaces."""
    space = "" if language.split("-")[0] in ("zh", "ja") else " "
    return space.join(w.text for w in words)


def _whole(heard: Iterable[tuple[str, float, float]]) -> tuple[Word, ...]:
    """Whisper's words: one without a space before it, where others have one, belongs to the last.

    "d" "'engagement" and "earth" "-moving" come in two parts.
    """
    parts = [part for part in heard if part[0].strip()]
    spaced = sum(text.startswith(" ") for text, _, _ in parts) > len(parts) / 2
    words: list[Word] = []
    for text, start, end in parts:
        if words and spaced and not text.startswith(" "):
            words[-1] = Word(words[-1].text + text.strip(), words[-1].start, end)
        else:
            words.append(Word(text.strip(), start, end))
    return tuple(words)


def to_int16(sound: F32) -> I16:
    """Float samples ``[N]`` in [-1, 1] as int16."""
    scaled: I16 = np.rint(np.clip(sound, -1.0, 1.0) * 32767.0).astype(np.int16)
    return scaled


def pieces(sound: F32, transcript: Transcript) -> list[Piece]:
    """Cut a recording at its longest pauses into pieces of at most `MAX_PIECE` seconds.

    A piece ends in the middle of the pause, so that silence stays on both sides of it.
    """
    words = transcript.words
    seconds = len(sound) / SAMPLE_RATE
    quiet = _quiet(sound)
    pauses = [_pause(quiet, a.end, b.start) for a, b in zip(words, words[1:], strict=False)]
    cuts, begin = [0], 0.0
    while seconds - begin > MAX_PIECE and cuts[-1] < len(words) - 1:
        ahead = range(cuts[-1], len(pauses))
        near = [k for k in ahead if begin + MIN_PIECE <= pauses[k][0] <= begin + MAX_PIECE]
        late = [k for k in ahead if pauses[k][0] > begin + MAX_PIECE]
        if not near and not late:
            break
        best = max(near, key=lambda k: pauses[k][1]) if near else late[0]
        cuts.append(best + 1)
        begin = pauses[best][0]
    edges = [0.0, *(pauses[k - 1][0] for k in cuts[1:]), seconds]
    out = []
    for first, last, start, end in zip(
        cuts, [*cuts[1:], len(words)], edges, edges[1:], strict=False
    ):
        part = sound[int(start * SAMPLE_RATE) : int(end * SAMPLE_RATE)]
        out.append(Piece(start, to_int16(part), join(words[first:last], transcript.language)))
    return out


def _quiet(sound: F32) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which 10 ms hops are a pause: 25 dB or more below the loud ones, bool ``[T]``."""
    count = len(sound) // _HOP
    power = np.mean(np.square(sound[: count * _HOP].reshape(count, _HOP)), axis=1)
    smooth = np.convolve(power, np.full(3, 1 / 3), "same") if count else power
    threshold = np.quantile(power, 0.95) * 10.0**-2.5 if count else 0.0
    return np.asarray(smooth < threshold)


def _pause(
    quiet: np.ndarray[Any, np.dtype[np.bool_]], before: float, after: float
) -> tuple[float, float]:
    """Middle and length in seconds of the longest quiet run about the gap between two words."""
    first = max(int((before - _REACH) * 100), 0)
    last = min(int((after + _REACH) * 100), len(quiet))
    best, run = (0, 0), 0
    for k in range(first, last):
        run = run + 1 if quiet[k] else 0
        if run > best[1]:
            best = (k, run)
    if not best[1]:
        return 0.5 * (before + after), 0.0
    return (best[0] + 1 - 0.5 * best[1]) * 0.01, best[1] * 0.01
