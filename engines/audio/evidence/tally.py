"""What is counted of heard speech. Tallies add up: many utterances take the memory of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from core import SAMPLE_RATE
from engines.audio.encoder import TOKEN
from engines.audio.visemes import VISEMES

I64: TypeAlias = npt.NDArray[np.int64]

SECONDS: Final = TOKEN / SAMPLE_RATE
"Of a token."
REACH_MS: Final = 400
"Errors beyond this count as this."


def _no_errors() -> I64:
    return np.zeros(2 * REACH_MS + 1, np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Errors:
    """Signed errors in time, counted by the millisecond."""

    counts: I64 = field(default_factory=_no_errors)
    missed: int = 0

    @classmethod
    def of(cls, seconds: Sequence[float], missed: int = 0) -> Errors:
        """From errors in seconds."""
        ms = np.clip(np.rint(np.array(seconds) * 1000), -REACH_MS, REACH_MS).astype(np.int64)
        return cls(np.bincount(ms + REACH_MS, minlength=2 * REACH_MS + 1), missed)

    def __add__(self, other: Errors) -> Errors:
        return Errors(self.counts + other.counts, self.missed + other.missed)

    @property
    def found(self) -> int:
        """How many there are."""
        return int(self.counts.sum())

    @property
    def median(self) -> float:
        """The median, ms, positive where late; NaN without any."""
        return _quantile(self.counts, 0.5) - REACH_MS

    @property
    def most(self) -> float:
        """90 % are no further off than this, ms; NaN without any."""
        size = self.counts[REACH_MS:].copy()
        size[1:] += self.counts[:REACH_MS][::-1]
        return _quantile(size, 0.9)


def _quantile(counts: I64, share: float) -> float:
    total = counts.sum()
    return float(np.searchsorted(np.cumsum(counts), share * total)) if total else float("nan")


@dataclass(frozen=True, slots=True, eq=False)
class Contact:
    """How one kind of contact (lips pressed, lip to teeth) is made."""

    wanted: int = 0
    "Phones, or runs of them, that ask for it."
    made: int = 0
    "Of those, with the contact in time."
    held: int = 0
    "Tokens of speech with the contact."
    right: int = 0
    "Of those, at such a phone."
    false: int = 0
    "Contacts elsewhere in speech that last a video frame."
    elsewhere: int = 0
    "Tokens of other speech."
    onset: Errors = field(default_factory=Errors)

    def __add__(self, other: Contact) -> Contact:
        return Contact(
            self.wanted + other.wanted,
            self.made + other.made,
            self.held + other.held,
            self.right + other.right,
            self.false + other.false,
            self.elsewhere + other.elsewhere,
            self.onset + other.onset,
        )

    @property
    def recall(self) -> float:
        """Share of wanted contacts that are made."""
        return ratio(self.made, self.wanted)

    @property
    def precision(self) -> float:
        """Share of the time in contact, while speaking, that is at such a phone."""
        return ratio(self.right, self.held)

    @property
    def false_rate(self) -> float:
        """False contacts a second of other speech."""
        return ratio(self.false, self.elsewhere * SECONDS)


def _no_confusion() -> I64:
    return np.zeros((len(VISEMES), len(VISEMES)), np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Everything counted of some utterances."""

    utterances: int = 0
    tokens: int = 0
    at_boundary: int = 0
    "Tokens within `MARGIN` of another viseme."
    strict: I64 = field(default_factory=_no_confusion)
    "Tokens, int64 ``[15, 15]``: row what was said, column what was heard."
    lenient: I64 = field(default_factory=_no_confusion)
    "The same, where at a boundary either side is right."
    bilabial: Contact = field(default_factory=Contact)
    labiodental: Contact = field(default_factory=Contact)
    onset: Errors = field(default_factory=Errors)
    "Of speech after silence."
    silent: int = 0
    shut: int = 0
    "Silent tokens with the mouth at rest."

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.utterances + other.utterances,
            self.tokens + other.tokens,
            self.at_boundary + other.at_boundary,
            self.strict + other.strict,
            self.lenient + other.lenient,
            self.bilabial + other.bilabial,
            self.labiodental + other.labiodental,
            self.onset + other.onset,
            self.silent + other.silent,
            self.shut + other.shut,
        )


def ratio(part: float, whole: float) -> float:
    """NaN of nothing."""
    return part / whole if whole else float("nan")


def accuracy(confusion: I64) -> float:
    """Share of tokens heard right."""
    return ratio(float(np.trace(confusion)), float(confusion.sum()))


def f1(confusion: I64) -> npt.NDArray[np.float64]:
    """F1 of every viseme, float64 ``[15]``; NaN where it was never said."""
    right = np.diag(confusion).astype(np.float64)
    said = confusion.sum(axis=1)
    both = said + confusion.sum(axis=0)
    return np.divide(2 * right, both, out=np.full(len(VISEMES), np.nan), where=said > 0)


def macro_f1(confusion: I64) -> float:
    """The mean F1 of the visemes that were said."""
    scores = f1(confusion)
    return float(np.nanmean(scores)) if not np.isnan(scores).all() else float("nan")
