"""Speech and its words → the time of every phone: PocketSphinx's forced alignment.

PocketSphinx is used because its wheel carries the acoustic model (en-us, 16 kHz, 39 phones),
needs no network, no torch and no GPU, and aligns ten seconds of speech in a third of a second.
Other languages are aligned with the same model, each phone by its nearest English one.

Source: Lee, Hon & Reddy, "An overview of the SPHINX speech recognition system", IEEE Trans. ASSP
38(1), 1990, for the models; the alignment is Viterbi's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from core import F32, SAMPLE_RATE, InvalidInput, Unavailable
from engines.audio.corpus import I16, Phone
from engines.audio.sources.pronunciation import Pronounced, split_diphthong

FRAME: Final = 0.01
"Seconds between the model's frames."
BIAS: Final = 0.006
"""Seconds added to a boundary: a frame looks at the 25.6 ms from its start, so it hears ahead.
Measured against Flite's own phone times."""
RUN: Final = 10
"Phones in a row over which a wrong word shows."
MAX_PHONE: Final = 0.6
"Seconds; longer phones mean that the words have lost the sound."
MAX_UNSAID: Final = 0.2
"Share of loud frames outside any phone: speech that the text does not have."
MIN_SAID: Final = 0.15
"Share of the time that is inside phones."
SHORT_PAUSE: Final = 0.06
"Seconds; shorter silences go to the sound before them."
_NUCLEUS: Final = 0.6
"A diphthong's first vowel takes this share of it (free)."
_BEAMS: Final = (None, 1e-100)
"Beam widths tried in turn: the model's own, then one that loses nothing."


@dataclass(frozen=True, slots=True)
class Limits:
    """Mean acoustic scores per frame below which words and sound do not match."""

    score: float
    "Over the whole."
    run: float
    "Over the worst `RUN` phones in a row."


ENGLISH: Final = Limits(-34.0, -56.0)
"""On telephone prompts all of 60 true texts pass and all of 60 others as long are refused; here
and below by all rules together."""
OTHER: Final = Limits(-42.0, -64.0)
"Other languages through the English model: 114 of 120 pass, 113 of 118 are refused."
KNOWN: Final = Limits(-48.0, -72.0)
"Any language, where the text is known: only a broken alignment is refused; 180 of 180 pass."


class Misaligned(InvalidInput):
    """Words and sound do not match; ``facts["reason"]`` says which rule was broken."""

    code = "misaligned"


@dataclass(frozen=True, slots=True)
class Alignment:
    """Phones in order, touching, from 0 to the end of the sound."""

    phones: tuple[Phone, ...]
    scores: tuple[float, ...]
    "Mean acoustic score per frame of each phone: 0 is best; good English speech has about -12."

    @property
    def score(self) -> float:
        """Mean score per frame over the phones that are no silence."""
        return _mean(self._said())

    @property
    def worst(self) -> float:
        """The lowest mean score per frame of `RUN` phones in a row."""
        said = self._said()
        return min(_mean(said[k : k + RUN]) for k in range(max(len(said) - RUN, 0) + 1))

    def _said(self) -> list[tuple[float, float]]:
        """Score and seconds of each phone that is no silence."""
        every = zip(self.phones, self.scores, strict=True)
        return [(score, p.end - p.start) for p, score in every if p.symbol]


@dataclass(frozen=True, slots=True)
class _Span:
    """A phone as the model timed it, in frames."""

    symbol: str
    start: int
    end: int
    score: float


class Aligner:
    """PocketSphinx, opened once; it learns words as they come."""

    def __init__(self) -> None:
        """Raises Unavailable when PocketSphinx is not installed."""
        try:
            import pocketsphinx
        except ImportError as error:
            raise Unavailable("Alignment needs PocketSphinx: pip install pocketsphinx") from error
        self._make = pocketsphinx.Decoder
        self._decoders: dict[float | None, Any] = {}

    def align(
        self, samples: I16, words: Sequence[Pronounced], limits: Limits = ENGLISH
    ) -> Alignment:
        """Give each phone of ``words`` its time.

        Args:
            samples: int16 ``[N]``, 16 kHz, at most a minute; silence may lie between any words.

        Raises:
            Misaligned: The words can not be, or are poorly, found in the sound.
        """
        seconds = len(samples) / SAMPLE_RATE
        count = sum(len(w.ipa) for w in words)
        if seconds < 0.03 * count + 0.1:
            raise _misaligned("too fast", f"{count} phones in {seconds:.2f} s")
        for beam in _BEAMS:
            spans = self._spans(samples, words, beam)
            if spans:
                alignment = Alignment(*_phones(spans, seconds))
                check(alignment, samples, limits)
                return alignment
        raise _misaligned("not found", "no path through the words fits the sound")

    def _spans(self, samples: I16, words: Sequence[Pronounced], beam: float | None) -> list[_Span]:
        """Both passes: words by a grammar of one sentence, then phones within them."""
        decoder = self._decoder(beam)
        names = {_name(w): w for w in words}
        for name, word in names.items():
            if decoder.lookup_word(name) is None:
                for k, reading in enumerate(word.variants):
                    alternative = name if not k else f"{name}({k + 1})"
                    decoder.add_word(alternative, " ".join(filter(None, reading)), False)
        sound = samples.tobytes()
        try:
            decoder.set_align_text(" ".join(_name(w) for w in words))
            _decode(decoder, sound)
            if decoder.hyp() is None:
                return []
            decoder.set_alignment()
            _decode(decoder, sound)
            found = decoder.get_alignment()
        except RuntimeError:  # how PocketSphinx says that the beam lost every path
            return []
        if found is None:
            return []
        return list(_read(found, words))

    def _decoder(self, beam: float | None) -> Any:
        if beam not in self._decoders:
            wide = {} if beam is None else {"beam": beam, "wbeam": beam, "pbeam": beam}
            self._decoders[beam] = self._make(lm=None, loglevel="FATAL", bestpath=False, **wide)
        return self._decoders[beam]


def _mean(scored: Sequence[tuple[float, float]]) -> float:
    return sum(s * d for s, d in scored) / max(sum(d for _, d in scored), 1e-9)


def _decode(decoder: Any, sound: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(sound, full_utt=True)
    decoder.end_utt()


def _name(word: Pronounced) -> str:
    """A dictionary entry's name, the same for the same sounds: no real word has a bar in it."""
    return ("|".join("+".join(reading) for reading in word.variants) + "|").replace(" ", "_")


def _read(found: Any, words: Sequence[Pronounced]) -> Iterator[_Span]:
    """The decoder's words and phones → our phones, in frames, silences left out."""
    coming = iter(words)
    for entry in found:
        timed = [(p.start, p.start + p.duration, p.score) for p in entry]
        if entry.name.startswith(("<", "[", "+", "(")):
            continue
        word = next(coming)
        _, _, variant = entry.name.rpartition("|")
        reading = word.variants[int(variant.strip("()")) - 1 if variant else 0]
        at = 0
        for symbol, arpabet in zip(word.ipa, reading, strict=True):
            size = len(arpabet.split())
            if size:
                own = timed[at : at + size]
                yield _Span(symbol, own[0][0], own[-1][1], sum(s for _, _, s in own))
            at += size


def _phones(spans: Sequence[_Span], seconds: float) -> tuple[tuple[Phone, ...], tuple[float, ...]]:
    """Frames → seconds, silences put between, diphthongs split."""
    out: list[tuple[Phone, float]] = []
    last = 0.0
    for k, span in enumerate(spans):
        start = min(span.start * FRAME + (BIAS if span.start else 0.0), seconds)
        end = min(span.end * FRAME + BIAS, seconds)
        if start - last >= SHORT_PAUSE or (not k and start > 0):
            out.append((Phone("", last, start), 0.0))
        elif k:
            start = last
        score = span.score / max(span.end - span.start, 1)
        parts = split_diphthong(span.symbol)
        turn = start + _NUCLEUS * (end - start) if len(parts) == 2 else end
        out += [
            (Phone(symbol, a, b), score)
            for symbol, a, b in zip(parts, (start, turn), (turn, end), strict=False)
        ]
        last = end
    if seconds - last > 1e-6:
        out.append((Phone("", last, seconds), 0.0))
    return tuple(p for p, _ in out), tuple(s for _, s in out)


def check(alignment: Alignment, samples: I16, limits: Limits = ENGLISH) -> None:
    """Refuse what is not to be learned from.

    Raises:
        Misaligned: With ``facts["reason"]``: "score", "long phone", "unsaid" or "silence".
    """
    said = [p for p in alignment.phones if p.symbol]
    for score, least in ((alignment.score, limits.score), (alignment.worst, limits.run)):
        if score < least:
            raise _misaligned("score", f"{score:.0f} a frame, where {least:.0f} is the least")
    longest = max(said, key=lambda p: p.end - p.start)
    if longest.end - longest.start > MAX_PHONE:
        raise _misaligned("long phone", f"{longest.symbol} of {longest.end - longest.start:.2f} s")
    loud = _loud(samples)
    times = (np.arange(len(loud)) + 0.5) * FRAME
    inside = np.zeros(len(loud), bool)
    for phone in said:
        inside |= (times >= phone.start - 0.03) & (times < phone.end + 0.03)
    unsaid = float(np.mean(~inside[loud])) if loud.any() else 1.0
    if unsaid > MAX_UNSAID:
        raise _misaligned("unsaid", f"{unsaid:.0%} of the speech has no words")
    share = sum(p.end - p.start for p in said) * SAMPLE_RATE / len(samples)
    if share < MIN_SAID:
        raise _misaligned("silence", f"words fill {share:.0%} of the time")


def _loud(samples: I16) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Which 10 ms frames are within 25 dB of the loudest and 6 dB above the noise, bool ``[T]``."""
    size = int(FRAME * SAMPLE_RATE)
    count = len(samples) // size
    frames: F32 = samples[: count * size].reshape(count, size).astype(np.float32)
    power = np.mean(np.square(frames), axis=1)
    noise, peak = np.quantile(power, (0.1, 0.95))
    return np.asarray(power > max(peak * 10.0**-2.5, min(4.0 * noise, peak * 0.1)))


def _misaligned(reason: str, detail: str) -> Misaligned:
    return Misaligned(f"The words do not fit the sound: {detail}.", reason=reason)
