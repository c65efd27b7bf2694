"""What is known of each recording, on disk: a second run neither listens nor aligns again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from core import F32, InvalidInput
from engines.audio.corpus import Phone
from engines.audio.sources.transcripts import Piece, Recogniser, Transcript, Word

METHOD: Final = 1
"Part of the key of cached phones: raise it when the same sound would get other phones."


class Record:
    """One recording: its transcript, and the phones of its pieces; refusals too.

    The key is the sound itself, so that a file that changed is done anew.
    """

    __slots__ = ("_known", "_path")

    def __init__(self, cache: Path, name: str, sound: F32) -> None:
        self._path = cache / (re.sub(r"[^\w.-]+", "_", name) + ".json")
        digest = hashlib.sha256(sound.tobytes()).hexdigest()[:16]
        self._known: dict[str, Any] = {}
        if self._path.is_file():
            try:
                self._known = json.loads(self._path.read_text(encoding="utf-8"))
            except ValueError:  # a run that was killed, or an edit: begin again
                self._known = {}
        if self._known.get("sound") != digest:
            self._known = {"sound": digest, "transcripts": {}, "pieces": {}}

    def transcript(
        self, recogniser: Recogniser, sound: F32, languages: Sequence[str]
    ) -> Transcript:
        """The words, recognised once. Raises InvalidInput where none were heard."""
        key = f"{recogniser.name} {'/'.join(languages)}"
        held = self._known["transcripts"]
        if key not in held:
            try:
                held[key] = asdict(recogniser.transcribe(sound, languages))
            except InvalidInput as error:
                held[key] = {"refused": str(error)}
            self._save()
        found = held[key]
        if "refused" in found:
            raise InvalidInput(found["refused"])
        words = tuple(Word(**w) for w in found["words"])
        return Transcript(words, found["language"], found["confidence"])

    def phones(self, piece: Piece, align: Callable[[], tuple[Phone, ...]]) -> tuple[Phone, ...]:
        """The phones of a piece, aligned once. Raises InvalidInput where they were refused."""
        key = f"{METHOD} {piece.start:.3f} {len(piece.samples)} {piece.text}"
        held = self._known["pieces"]
        if key not in held:
            try:
                held[key] = [(p.symbol, p.start, p.end) for p in align()]
            except InvalidInput as error:
                held[key] = {"refused": str(error)}
            self._save()
        found = held[key]
        if isinstance(found, dict):
            raise InvalidInput(found["refused"])
        return tuple(Phone(*p) for p in found)

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        partial = self._path.with_suffix(".partial")
        partial.write_text(json.dumps(self._known, ensure_ascii=False), encoding="utf-8")
        partial.replace(self._path)
