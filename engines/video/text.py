"""Label and instruction as a row of word numbers: hashed, so there is no vocabulary to ship."""

from __future__ import annotations

import re
from typing import Final
from zlib import crc32

import numpy as np
import numpy.typing as npt

WORDS: Final = 4096
"Rows of the table: two of some hundred words seldom share one."
LENGTH: Final = 16
"Words kept; the label takes the first place."
NOTHING: Final = 0
"Stands in every place when text is dropped."
BLANK: Final = 1
"Fills the places after the last word, and the first one of a clip without a label."
_LONGEST: Final = 2_000
_WORD: Final = re.compile(r"\w+")


def tokenise(label: str, text: str = "") -> npt.NDArray[np.int64]:
    """Word numbers of a label and an instruction, int64 ``[16]``.

    Args:
        label: A name as the planner's, such as ``drowsiness``; may be empty.
        text: An instruction in any language, mostly empty; what is too long is cut.
    """
    numbers = [_number(f"label {label}") if label else BLANK]
    # A label is another token than the same word in an instruction.
    words = _WORD.findall(text[:_LONGEST].casefold())[: LENGTH - 1]
    numbers += [_number(f"word {word}") for word in words]
    out = np.full(LENGTH, BLANK, np.int64)
    out[: len(numbers)] = numbers
    return out


def _number(word: str) -> int:
    """A row of the table, the same on every machine; the first two are taken."""
    return 2 + crc32(word.encode()) % (WORDS - 2)
