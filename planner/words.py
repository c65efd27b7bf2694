"""The words the instruction grammar knows. A language is a file in `planner/languages`.

Phrases are in lower case, words apart by one space; the longest phrase wins. What the tables mean
is told in docs/instructions.md.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

from core import InvalidInput
from planner.categories import LABELS
from planner.shared import Shared

FOLDER: Final = Path(__file__).parent / "languages"

Lexicon: TypeAlias = Mapping[str, tuple[str, object]]

_NAMED: Final[Mapping[str, frozenset[str]]] = {
    "links": frozenset("then and while list".split()),
    "verbs": frozenset(
        "look glance act again turn tilt raise lower close half_close open widen squint frown blink"
        " wink nod shake smile roll rest wait straighten still contact away".split()
    ),
    "parts": frozenset("eyes lids brows inner_brows outer_brows head".split()),
    "ways": frozenset("left right up down viewer away back around".split()),
    "sides": frozenset("both one".split()),
    "stretches": frozenset("for after every".split()),
    "labels": frozenset(LABELS),
}
"Tables of name = [phrases], and the names they may have."
_VALUED: Final = ("amounts", "speeds", "times", "holds", "numbers")
"Tables of phrase = number."
_LISTS: Final = ("negations", "stops", "pronouns", "fillers")
_UNITS: Final = frozenset({"degrees", "percent", "times"})
_FACTS: Final = frozenset({"name", "decimal", "separable", "units", "words"})


@dataclass(frozen=True, slots=True)
class Language(Shared):
    """One language, ready to be parsed with."""

    code: str
    name: str
    "In the language itself."
    decimal: str
    "What separates decimals, beside the point."
    lexicon: Lexicon
    "Phrase to (table, value)."
    separable: Mapping[tuple[str, str], str]
    "(first part, second part) of verbs that stand apart, to the verb; long ones first."
    sides: frozenset[str]
    "Phrases that may mean one side of two."
    longest: int
    "Words in the longest phrase."


def languages() -> list[str]:
    """Codes of the languages there are, English first."""
    codes = sorted(path.stem for path in FOLDER.glob("*.toml"))
    return sorted(codes, key=lambda code: code != "en")


@cache
def load_language(code: str) -> Language:
    """The language called ``code``.

    Raises:
        InvalidInput: There is no such language, or its file is not what it should be.
    """
    known = languages()
    if code not in known:
        raise InvalidInput(f"There is no language {code[:20]!r}. Languages: {', '.join(known)}.")
    path = FOLDER / f"{code}.toml"
    try:
        return read_language(code, tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidInput(f"{path} can not be read: {error}.") from error


def read_language(code: str, tables: Mapping[str, Any]) -> Language:
    """A language from its tables.

    Raises:
        InvalidInput: A table or name that does not exist, or a phrase that stands in a table twice.
    """
    unknown = set(tables) - set(_NAMED) - set(_VALUED) - _FACTS
    if unknown:
        raise InvalidInput(f"Language {code!r} has unknown tables: {', '.join(sorted(unknown))}.")
    lexicon: dict[str, tuple[str, object]] = {}
    separable = _separable(code, tables.get("separable", {}), lexicon)
    for kind in (*_NAMED, *_VALUED, "units"):
        for phrase, value in _phrases(code, kind, tables.get(kind, {})).items():
            lexicon[phrase] = (kind, value)
    words = tables.get("words", {})
    for kind in _LISTS:
        for phrase in words.get(kind, ()):
            lexicon.setdefault(phrase, (kind, None))
    return Language(
        code,
        str(tables.get("name", code)),
        str(tables.get("decimal", "")),
        lexicon,
        separable,
        frozenset(tables.get("sides", {}).get("one", ())),
        max((phrase.count(" ") + 1 for phrase in lexicon), default=1),
    )


def _phrases(code: str, kind: str, table: Mapping[str, Any]) -> dict[str, object]:
    """One table turned round: phrase to value."""
    if kind in _VALUED:
        return dict(table)
    found: dict[str, object] = {}
    for name, phrases in table.items():
        if not _allowed(kind, name):
            raise InvalidInput(f"Language {code!r}: [{kind}] has no {name!r}.")
        for phrase in phrases:
            if phrase in found:
                raise InvalidInput(f"Language {code!r}: {phrase!r} stands in [{kind}] twice.")
            found[phrase] = name
    return found


def _allowed(kind: str, name: str) -> bool:
    if kind != "units":
        return name in _NAMED[kind]
    return name in _UNITS or name.replace(".", "", 1).isdigit()


def _separable(
    code: str, table: Mapping[str, Any], lexicon: dict[str, tuple[str, object]]
) -> dict[tuple[str, str], str]:
    """Verbs in two parts; each part alone is at least no stranger."""
    found: dict[tuple[str, str], str] = {}
    for verb, phrases in table.items():
        if verb not in _NAMED["verbs"]:
            raise InvalidInput(f"Language {code!r}: [separable] has no {verb!r}.")
        for phrase in phrases:
            first, _, second = phrase.partition(" ")
            found[first, second] = verb
            for part in (first, second):
                lexicon.setdefault(part, ("fillers", None))
    return dict(sorted(found.items(), key=lambda item: -len(item[0][1])))
