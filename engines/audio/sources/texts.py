"""What synthetic speakers say: sentences of frequent words, in any language there is a list for.

Only the sounds matter, so the words need not make sense. Word lists come from `wordfreq`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from core import Unavailable

VOCABULARY: Final = 6_000
"Most frequent words used of each language."
_FLATTEN: Final = 0.6
"Exponent on the word frequencies: 1 repeats function words, 0 draws all words alike (free)."


@lru_cache(maxsize=32)
def _words(language: str) -> tuple[list[str], npt.NDArray[np.float64]]:
    try:
        from wordfreq import get_frequency_dict
    except ImportError as error:
        raise Unavailable(
            "The word lists are not installed. Install them with: pip install wordfreq"
        ) from error
    frequencies = get_frequency_dict(language)
    usable = (w for w in frequencies if w.isalpha() and _readable(w, language))
    words = sorted(usable, key=lambda w: (-frequencies[w], w))[:VOCABULARY]
    weights = np.array([frequencies[w] for w in words]) ** _FLATTEN
    return words, weights / weights.sum()


def _readable(word: str, language: str) -> bool:
    """Japanese only in kana: the phonemiser reads no kanji."""
    return language != "ja" or all("ぁ" <= c <= "ー" for c in word)


def sentences(language: str, rng: np.random.Generator) -> Iterator[str]:
    """Without end: sentences of four to twelve words, some with commas and question marks.

    Args:
        language: As wordfreq names it: ``en``, ``de``, ``zh``.

    Raises:
        Unavailable: The word lists are not installed.
    """
    words, weights = _words(language)
    while True:
        count = int(rng.integers(4, 13))
        chosen = [words[i] for i in rng.choice(len(words), count, p=weights)]
        for at in range(3, count - 2):
            if rng.random() < 0.12:
                chosen[at] += ","
        text = " ".join(chosen)
        end = "?" if rng.random() < 0.15 else "!" if rng.random() < 0.08 else "."
        yield text[0].upper() + text[1:] + end
