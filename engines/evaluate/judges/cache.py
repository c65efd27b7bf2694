"""Answers on disk, so that no question is asked twice: one JSON file for each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engines.evaluate.results import write_json

VERSION: Final = 1
MOST_BYTES: Final = 1 << 20
"Of an entry that is read; an honest one has some kB."


@dataclass(frozen=True, slots=True)
class Entry:
    """What came of one question."""

    value: str | None
    "The mark, or which of two videos; None where no try gave one."
    why: str = ""
    "Why there is none."
    said: str = ""
    "The last reply, cut to some thousand characters: the judge's reasons."
    tries: int = 1


class Cache:
    """Answers of a folder. Safe for several threads: entries are written whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> Entry | None:
        """The entry, or None where there is none that can be read."""
        path = self._path(key)
        try:
            if path.stat().st_size > MOST_BYTES:
                return None
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return _entry(data, key)

    def put(self, key: str, entry: Entry) -> None:
        """Keep an entry; another one of this key is replaced."""
        data = {
            "version": VERSION, "key": key, "value": entry.value, "why": entry.why,
            "said": entry.said, "tries": entry.tries,
        }  # fmt: skip
        write_json(self._path(key), data)

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"


def question_key(facts: Mapping[str, Any]) -> str:
    """A name for a question: SHA-256 of everything its answer depends on, 64 hex digits."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _entry(data: Any, key: str) -> Entry | None:
    """An entry as it was put; None for what is damaged or of another question."""
    if not isinstance(data, dict) or data.get("version") != VERSION or data.get("key") != key:
        return None
    value, why, said, tries = (data.get(name) for name in ("value", "why", "said", "tries"))
    texts = isinstance(why, str) and isinstance(said, str)
    if not texts or not isinstance(tries, int) or not isinstance(value, str | None):
        return None
    return Entry(value, str(why), str(said), tries)
