"""How well speech was heard, against the true times of its phones.

`measure` judges one utterance and gives a `Tally`. Times are seconds, errors positive where the
mouth is late.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from core import F32, MOUTH
from engines.audio.corpus import Phone
from engines.audio.evidence.contacts import Bools, pressed, tucked
from engines.audio.evidence.listeners import Hearing
from engines.audio.evidence.tally import I64, SECONDS, Contact, Errors, Tally
from engines.audio.visemes import VISEME, VISEMES, viseme_of

Span: TypeAlias = tuple[float, float]

MARGIN: Final = 0.02
"Closer to a boundary than this, aligners themselves disagree: either side is right."
NEAR: Final = 0.04
"A contact counts when it is made from this long before its phone to this long after."
SILENCE_MARGIN: Final = 0.10
"Lips prepare for speech and settle after it; silence is judged beyond this."
SHUT_JAW: Final = 0.06
"A mouth at rest has its jaw below this."
ONSET_WINDOW: Final = 0.3
"Where the beginning of speech is looked for, on both sides of the true one."
PAUSE: Final = 0.2
"Speech begins after at least this much silence."
STEADY: Final = 3
"Tokens that speech must last to have begun."
FALSE_TOKENS: Final = 2
"A false contact lasts a video frame at least; shorter ones are not seen."


def measure(heard: Hearing, phones: Sequence[Phone]) -> Tally:
    """Judge what was heard of one utterance.

    Args:
        heard: T rows of 20 ms from the utterance's start.
        phones: In order, without overlap; where there is none it is silent.

    Raises:
        KeyError: A phone is not known.
    """
    tokens = len(heard.visemes)
    centres = (np.arange(tokens) + 0.5) * SECONDS
    # Token edges fall on phone boundaries exactly; rounding must not decide between the sides.
    before, said, after = (
        visemes_at(phones, centres + shift) for shift in (-MARGIN + 1e-6, 0.0, MARGIN - 1e-6)
    )
    guess = heard.visemes.argmax(axis=1) if tokens else np.zeros(0, np.int64)
    either = np.where((guess == before) | (guess == after), guess, said)
    speech = said != VISEME["sil"]
    inner = speech & ~_near(~speech, NEAR)
    silent = ~_near(speech, SILENCE_MARGIN)
    return Tally(
        utterances=1,
        tokens=tokens,
        at_boundary=int(((before != said) | (after != said)).sum()),
        strict=_confusion(said, guess),
        lenient=_confusion(either, guess),
        bilabial=_contact(_spans(phones, "pbm"), pressed(heard.mouth), inner, speech),
        labiodental=_contact(_spans(phones, "fv"), tucked(heard.mouth), inner, speech),
        onset=_speech_onsets(phones, 1.0 - heard.visemes[:, VISEME["sil"]]),
        silent=int(silent.sum()),
        shut=int((silent & (heard.mouth[:, MOUTH["jaw"]] < SHUT_JAW)).sum()),
    )


def visemes_at(phones: Sequence[Phone], times: npt.NDArray[np.float64]) -> I64:
    """The viseme said at each time, int64 ``[T]``."""
    if not phones:
        return np.full(len(times), VISEME["sil"], np.int64)
    starts, ends = np.array([(p.start, p.end) for p in phones]).T
    classes = np.array([viseme_of(p.symbol) for p in phones], np.int64)
    at = np.searchsorted(starts, times, side="right") - 1
    inside = (at >= 0) & (times < ends[at])
    return np.where(inside, classes[at], VISEME["sil"])


def _confusion(said: I64, guess: npt.NDArray[np.intp]) -> I64:
    size = len(VISEMES)
    return np.bincount(said * size + guess, minlength=size * size).reshape(size, size)


def _near(mask: Bools, seconds: float) -> Bools:
    """Where ``mask`` holds, or does within ``seconds``."""
    reach = round(seconds / SECONDS)
    if not len(mask):
        return mask
    grown: Bools = np.convolve(mask, np.ones(2 * reach + 1), mode="full")[reach:-reach] > 0.5
    return grown


def _spans(phones: Sequence[Phone], viseme: str) -> list[Span]:
    """Times of a viseme; phones of it that touch are one."""
    spans: list[Span] = []
    for phone in phones:
        if viseme_of(phone.symbol) != VISEME[viseme]:
            continue
        if spans and phone.start - spans[-1][1] < SECONDS:
            spans[-1] = spans[-1][0], phone.end
        else:
            spans.append((phone.start, phone.end))
    return spans


def runs(mask: Bools) -> list[tuple[int, int]]:
    """First and last + 1 of every stretch in which ``mask`` holds."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _contact(spans: Sequence[Span], contact: Bools, inner: Bools, speech: Bools) -> Contact:
    tokens = len(contact)
    stretches = runs(contact)
    wide = np.zeros(tokens, bool)
    made = wanted = 0
    onsets: list[float] = []
    for start, end in spans:
        # Tokens whose middle lies within.
        first = max(ceil((start - NEAR) / SECONDS - 0.5 - 1e-6), 0)
        last = min(floor((end + NEAR) / SECONDS - 0.5 + 1e-6) + 1, tokens)
        if first >= last:
            continue
        wanted += 1
        wide[first:last] = True
        made += bool(contact[first:last].any())
        begun = [a * SECONDS for a, b in stretches if a < last and b > first]
        # After silence the lips may have been together all along.
        before = round(start / SECONDS) - 1
        if begun and before >= 0 and speech[before]:
            onsets.append(min((t - start for t in begun), key=abs))
    elsewhere = inner & ~wide
    return Contact(
        wanted=wanted,
        made=made,
        held=int((contact & (inner | (wide & speech))).sum()),
        right=int((contact & wide & speech).sum()),
        false=sum(b - a >= FALSE_TOKENS for a, b in runs(contact & elsewhere)),
        elsewhere=int(elsewhere.sum()),
        onset=Errors.of(onsets, wanted - made),
    )


def _speech_onsets(phones: Sequence[Phone], speaking: F32) -> Errors:
    """When speech is heard to begin: the share of all that is not silence passes one half."""
    loud = speaking > 0.5
    begun = []
    for a, b in runs(loud):
        if b - a < STEADY and b < len(loud):
            continue
        rise = float(speaking[a] - speaking[a - 1]) if a else 0.0
        share = (0.5 - float(speaking[a - 1])) / rise if rise > 0 else 0.5
        begun.append((a - 0.5 + share) * SECONDS if a else 0.0)
    errors, missed = [], 0
    for start, quiet in _beginnings(phones):
        low, high = max(start - ONSET_WINDOW, quiet), start + ONSET_WINDOW
        close = [t - start for t in begun if low <= t <= high]
        if close:
            errors.append(min(close, key=abs))
        else:
            missed += 1
    return Errors.of(errors, missed)


def _beginnings(phones: Sequence[Phone]) -> list[Span]:
    """When speech begins after a pause, and when that pause began."""
    found = []
    quiet = 0.0
    for phone in phones:
        if viseme_of(phone.symbol) == VISEME["sil"]:
            continue
        if phone.start - quiet >= PAUSE:
            found.append((phone.start, quiet))
        quiet = phone.end
    return found
