"""Instructions in plain words, turned into cues.

Left and right are the portrait's own, as everywhere: "raise your left eyebrow" moves the brow
that a viewer sees on the right of the picture. The words are data (`planner.words`).

Clauses are split at "then", commas, "and" and "while"; each is a handful of slots (verb, part,
direction, side, amount, degrees, repetition, duration, delay, speed) filled by longest match from
the word lists; the verb and the part select what is done. A comma and "then" mean one after the
other; "and" and "while" mean together, unless both want the same muscle. What is not understood
is handed back word for word and otherwise ignored.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from core import InvalidInput
from planner import physiology as ph
from planner.clause import Clause, Move
from planner.cues import Cue
from planner.moves import moves_for
from planner.saccade import VIEWER
from planner.words import Language, languages, load_language

MAX_CHARACTERS: Final = 500
LONGEST_SECONDS: Final = 600.0
MOST_TIMES: Final = 8
MOST_REPEATS: Final = 40
"Of something to be done every so often."
TOKEN: Final = re.compile(r"[0-9]+(?:[.,][0-9]+)?|[^\W\d_]+(?:['’][^\W\d_]+)*|\S", re.UNICODE)
NUMBER: Final = re.compile(r"[0-9]+(?:[.,][0-9]+)?")


@dataclass(frozen=True, slots=True)
class Parsed:
    """What an instruction came to."""

    cues: tuple[Cue, ...]
    unknown: tuple[str, ...]
    "Parts that were not understood, as written."


def parse(text: str, *, seed: int = 0, language: str | None = None) -> Parsed:
    """The cues that ``text`` asks for.

    Args:
        text: At most 500 characters of anything.
        seed: Decides what is left open ("one eyebrow", "look away").
        language: A code of `planner.words.languages`; None takes the one that understands most.

    Raises:
        InvalidInput: The text is too long, or there is no such language.
    """
    if len(text) > MAX_CHARACTERS:
        raise InvalidInput(
            f"The instruction has {len(text)} characters, at most {MAX_CHARACTERS} are read. "
            "Give it in shorter pieces.",
            limit=MAX_CHARACTERS,
        )
    if language is not None:
        return _parse(text, seed, load_language(language))
    best = _parse(text, seed, load_language("en"))
    for code in languages()[1:]:
        if not best.unknown:
            break
        other = _parse(text, seed, load_language(code))
        if other.cues and _strange(other) < _strange(best):
            best = other
    return best


def _strange(parsed: Parsed) -> int:
    """Characters that were not understood."""
    return sum(map(len, parsed.unknown))


def _parse(text: str, seed: int, language: Language) -> Parsed:
    clauses = _clauses(text, language)
    rng = np.random.default_rng(seed)
    moves: list[tuple[Clause, Move]] = []
    unknown: list[str] = []
    before: Clause | None = None
    for clause in clauses:
        if clause.negated and before is not None and clause.link == "list":
            clause.link = "and"  # what not to do is not done one after the other
        made = _moves(clause, before, rng)
        if not made and not clause.delay:
            unknown.append(text[clause.span[0] : clause.span[1]])
            continue
        unknown.extend(text[a:b] for a, b in _joined(clause.strange))
        if made:
            moves += [(clause, move) for move in made]
            before = clause
        elif moves or clause.delay:
            moves.append((clause, Move()))
    return Parsed(tuple(_timed(moves)), tuple(unknown))


def _clauses(text: str, language: Language) -> list[Clause]:
    """Split into clauses and fill their slots."""
    tokens = [(m.group().lower().replace("’", "'"), m.span()) for m in TOKEN.finditer(text)]
    clauses = [Clause()]
    i = 0
    while i < len(tokens):
        words = [word for word, _ in tokens[i : i + 6]]
        kind, value, used = _match(words, language)
        span = (tokens[i][1][0], tokens[i + used - 1][1][1])
        said = " ".join(words[:used])
        i += used
        if kind == "links":
            _link(clauses, str(value))
            continue
        if kind == "numbers":
            used, kind, value = _quantity(tokens, i, float(str(value)), language)
            span = (span[0], tokens[i + used - 1][1][1] if used else span[1])
            i += used
            if kind == "bare" and words[0] in language.sides:  # "one eyebrow"
                kind, value = "sides", "one"
        elif kind == "verbs" and value == "again" and clauses[-1].verb:
            kind = "fillers"  # "look left again"
        elif kind == "negations" and clauses[-1].verb:
            clauses.append(Clause("and"))  # "look left without moving your head"
        elif kind == "verbs" and not _goes_with(clauses[-1].verb, str(value)):
            clauses.append(Clause("and"))  # "smile with a nod"
        _fill(clauses[-1], kind, value, span)
        clauses[-1].said.append(said)
    for clause in clauses:
        _join_verb(clause, language)
    return _diagonals([c for c in clauses if not c.empty])


def _join_verb(clause: Clause, language: Language) -> None:
    """A verb in two parts that stand apart ("zieh … zusammen")."""
    for (first, second), verb in language.separable.items():
        if first not in clause.said:
            continue
        rest = clause.said[clause.said.index(first) + 1 :]
        if any(said == second or said.endswith(f" {second}") for said in rest):
            clause.verb = verb
            clause.ways = [way for way in clause.ways if way not in ("up", "down", "away")]
            return


def _diagonals(clauses: list[Clause]) -> list[Clause]:
    """ "Look up and left" is one direction, "look left and right" are two."""
    out: list[Clause] = []
    for clause in clauses:
        bare = clause.ways and not (clause.verb or clause.part or clause.strange or clause.negated)
        if out and bare and clause.link == "and" and out[-1].ways:
            axes = [
                {"left": "x", "right": "x", "up": "y", "down": "y"}.get(w)
                for w in (out[-1].ways[0], clause.ways[0])
            ]
            if None not in axes and axes[0] != axes[1]:
                last = out[-1]
                last.ways += clause.ways
                last.hold = clause.hold if last.hold is None else last.hold
                last.degrees = clause.degrees if last.degrees is None else last.degrees
                last.factor *= clause.factor
                last.span = (last.span[0], clause.span[1])
                continue
        out.append(clause)
    return out


def _match(words: list[str], language: Language) -> tuple[str, object, int]:
    """The longest phrase at the head of ``words``: kind, value, words used."""
    if NUMBER.fullmatch(words[0]):
        return "numbers", min(float(words[0].replace(",", ".")), 1e6), 1
    for n in range(min(len(words), language.longest), 0, -1):
        found = language.lexicon.get(" ".join(words[:n]))
        if found is not None:
            return found[0], found[1], n
    if unicodedata.category(words[0][0]).startswith("P"):
        return "fillers", None, 1
    return "strange", None, 1


def _goes_with(verb: str, other: str) -> bool:
    """Whether a second verb only colours the first ("keep your eyes wide open")."""
    return not verb or verb == other or {verb, other} <= {"open", "widen", "close", "half_close"}


def _quantity(
    tokens: list[tuple[str, tuple[int, int]]], at: int, number: float, language: Language
) -> tuple[int, str, object]:
    """What a number means together with the words after it: words used, kind, value."""
    words = [word for word, _ in tokens[at : at + 2]]
    kind, unit = language.lexicon.get(words[0], ("", "")) if words else ("", "")
    if kind != "units":
        return 0, "bare", number
    unit = str(unit)
    if unit in ("degrees", "percent", "times"):
        return 1, unit, number
    if len(words) > 1 and language.lexicon.get(words[1]) == ("stretches", "after"):
        return 2, "delay", number * float(unit)  # "2 seconds later"
    return 1, "seconds", number * float(unit)


def _link(clauses: list[Clause], link: str) -> None:
    """Begin a new clause. Of several links in a row ("and then", ", while") the plainest wins."""
    last = clauses[-1]
    if not last.empty:
        # "while looking at me, nod": the comma only closes the subordinate clause.
        fronted = link == "list" and last.link == "while" and len(clauses) == 1
        clauses.append(Clause("and" if fronted else link))
    elif last.link == "list" and link == "and":
        pass  # ", and" goes on with the list
    else:
        last.link = link


def _fill(clause: Clause, kind: str, value: object, span: tuple[int, int]) -> None:
    """Put one phrase into its slot."""
    clause.span = (span[0] if clause.empty else clause.span[0], span[1])
    text, number = str(value), float(value) if isinstance(value, (int, float)) else 0.0
    match kind:
        case "verbs" if clause.verb != "widen":
            clause.verb = text
        case "parts":
            clause.part = clause.part or text
        case "ways":
            clause.ways.append(text)
        case "sides":
            clause.side = text
        case "amounts":
            clause.factor *= number
        case "percent":
            clause.factor *= min(number, 300.0) / 100
        case "speeds":
            clause.speed *= number
        case "degrees":
            clause.degrees = min(number, 180.0)
        case "times":
            clause.times = int(min(max(number, 1), MOST_TIMES))
        case "holds":
            clause.hold = number
        case "labels":
            clause.label = text
        case "stretches" if text == "every":
            clause.every = -1.0
        case "stretches":
            clause.delay = clause.delay or (-1.0 if text == "after" else 0.0)
        case "seconds" if clause.every < 0:
            clause.every = min(max(number, 0.5), LONGEST_SECONDS)
        case "seconds" if clause.delay < 0 or clause.verb == "wait":
            clause.delay = min(number, LONGEST_SECONDS)
        case "seconds":
            clause.hold = min(number, LONGEST_SECONDS)
        case "delay":
            clause.delay = min(number, LONGEST_SECONDS)
        case "negations":
            clause.negated = True
        case "stops":
            clause.stopped = True
        case "pronouns":
            clause.pronoun = True
        case "strange" | "bare":
            clause.strange.append(span)
        case _:
            pass  # fillers


def _moves(clause: Clause, before: Clause | None, rng: np.random.Generator) -> list[Move]:
    """What the clause asks for, with what it leaves to the one before it."""
    clause.delay = max(clause.delay, 0.0)
    if before is not None:
        if clause.verb == "again":
            clause.verb, clause.part, clause.ways = before.verb, before.part, before.ways
            clause.label, clause.side, clause.factor = before.label, before.side, before.factor
        if clause.pronoun and not clause.part:
            clause.part = before.part
        if not clause.verb and not clause.part and clause.ways:
            clause.verb, clause.part = before.verb, before.part  # "look left, then right"
    if clause.stopped and not clause.verb and not clause.part:
        clause.verb, clause.stopped = "rest", False  # "stop"
    moves = moves_for(clause, rng)
    return [_every(clause, move) for move in moves] if clause.every > 0 else moves


def _every(clause: Clause, move: Move) -> Move:
    """``move`` again and again: as often as was said, or as fits into the time, bounded."""
    apart = max(clause.every, move.seconds)
    lasts = clause.hold if clause.hold is not None else apart * MOST_TIMES
    times = min(MOST_REPEATS, max(1, int(lasts / apart)))
    hold = 0.5 * apart
    cues = [
        replace(cue, at=cue.at + i * apart, hold=cue.hold if cue.gesture else min(hold, 1.5))
        for i in range(times)
        for cue in move.cues
    ]
    return Move(tuple(cues), times * apart, move.claims)


def _joined(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Neighbouring words made one part."""
    out: list[tuple[int, int]] = []
    for start, end in spans:
        if out and start - out[-1][1] <= 1:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def _timed(moves: list[tuple[Clause, Move]]) -> list[Cue]:
    """Lay the moves out in time."""
    cues: list[Cue] = []
    start = end = 0.0
    taken: set[str] = set()
    last: Clause | None = None
    for clause, move in moves:
        together = clause.link in ("and", "while") and last is not None and clause is not last
        if last is not None and (not together or taken & move.claims):
            start, taken = end, set()
        taken |= move.claims
        start += clause.delay if clause is not last else 0.0
        for cue in move.cues:
            at = min(start + cue.at, LONGEST_SECONDS)
            cues.append(replace(cue, at=at))
        end = max(end, start + move.seconds) if together else start + move.seconds
        last = clause
    return _gaze_of_head(cues)


def _gaze_of_head(cues: list[Cue]) -> list[Cue]:
    """Eyes go along with a turning head, unless something says where they look meanwhile.

    A head that is raised or lowered takes the gaze along from wherever it was.
    """
    out: list[Cue] = []
    for cue in cues:
        along = cue.gaze
        if cue.implied and along is not None:
            if any(
                other.gaze is not None and not other.implied and other.at == cue.at
                for other in cues
            ):
                cue = replace(cue, gaze=None)
            elif "yaw" not in cue.controls:
                before = [c for c in out if c.gaze is not None and c.ending is None]
                x, y = before[-1].gaze or VIEWER if before else VIEWER
                cue = replace(cue, gaze=(x, min(max(y + along[1], -30.0), 30.0)))
        out.append(cue)
    # A head that shall hold still must know before the eyes are sent.
    return _head_of_gaze(sorted(out, key=lambda cue: (cue.at, not cue.still)))


def _head_of_gaze(cues: list[Cue]) -> list[Cue]:
    """A head that was turned comes back when the eyes are sent too far from where it points."""
    out: list[Cue] = []
    for cue in cues:
        turned = [c.controls for c in out if c.implied and c.ending is None and c.at < cue.at]
        if cue.gaze is not None and not cue.implied and turned:
            far = [
                axis
                for axis, look in zip(("yaw", "pitch"), cue.gaze, strict=True)
                if abs(look - turned[-1].get(axis, 0.0)) > ph.EYE_ONLY_DEGREES
            ]
            cue = replace(cue, free=(*cue.free, *far))
        out.append(cue)
    return out
