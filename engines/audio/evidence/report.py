"""What `engines.audio.evidence.evaluate` found, as Markdown tables and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any, Final, TypeAlias

from engines.audio.evidence.clips import Agreement, Clip, median_interval
from engines.audio.evidence.tally import SECONDS, Errors, Tally, accuracy, f1, macro_f1, ratio
from engines.audio.visemes import VISEMES
from engines.markdown import table

Tallies: TypeAlias = dict[str, dict[str, Tally]]
"Of each row, of each group of speech."

CEILING: Final = "phones"
"The row of what the true phones would score."
PEOPLE: Final = "people talking"
MADE: Final = "generated talking"
GROUPS: Final[dict[str, Callable[[Clip], bool]]] = {
    PEOPLE: lambda clip: clip.talking and not clip.made,
    MADE: lambda clip: clip.talking and clip.made,
    "other (faces pulled, songs)": lambda clip: not clip.talking,
}


@dataclass(slots=True)
class Findings:
    """All that was measured."""

    speech: Tallies = field(default_factory=dict)
    clips: dict[str, list[Agreement]] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    "What could not be measured, and why."


# --- tables ----------------------------------------------------------------------------------

_HEADS: Final = (
    "", "viseme accuracy", "±20 ms", "macro F1", "±20 ms", "p b m made", "of shut time right",
    "false /s", "f v made", "of tuck time right", "speech onset, ms", "p b m onset, ms",
    "shut in silence", "r to lips, at best lag", "of it chance", "generated: r", "lag, ms",
)  # fmt: skip


def report(found: Findings) -> str:
    """All tables, Markdown."""
    parts = [table(_HEADS, [_row(name, found) for name in _names(found)])]
    if found.speech:
        total = sum(found.speech[CEILING].values(), Tally())
        parts.append(
            f"{total.utterances} utterances, {total.tokens * SECONDS / 60:.1f} min, "
            f"{ratio(total.at_boundary, total.tokens):.0%} of tokens within 20 ms of another "
            f"viseme; {total.bilabial.wanted} p b m, {total.labiodental.wanted} f v. Onsets: "
            "median, late is positive (90 % of errors are smaller than)."
        )
        parts += ["F1 by class (±20 ms)", _by_class(found), "By source", _by_group(found)]
    if found.clips:
        parts += [
            "Opening of the mouth against that of the lips in clips: medians [95 % bootstrap over "
            "clips]. Recordings of people from the web have sound up to 0.25 s off their pictures, "
            "so only r at the best lag (within ±400 ms) compares there, beside what the same "
            "search finds in another part of the clip (chance). Clips made by a generator from "
            "their sound are nearly in sync.",
            _by_clips(found),
        ]
    if found.left_out:
        parts += ["Left out", "\n".join(f"- {line}" for line in found.left_out)]
    return "\n\n".join(parts)


def _names(found: Findings) -> list[str]:
    return list(dict.fromkeys([*found.speech, *found.clips]))


def _row(name: str, found: Findings) -> list[str]:
    cells = [name]
    if name in found.speech:
        t = sum(found.speech[name].values(), Tally())
        lips, teeth = t.bilabial, t.labiodental
        cells += [
            _share(accuracy(t.strict)), _share(accuracy(t.lenient)),
            _share(macro_f1(t.strict)), _share(macro_f1(t.lenient)),
            _share(lips.recall), _share(lips.precision), _number(lips.false_rate, ".2f"),
            _share(teeth.recall), _share(teeth.precision),
            _errors(t.onset), _errors(lips.onset), _share(ratio(t.shut, t.silent)),
        ]  # fmt: skip
    else:
        cells += ["–"] * (len(_HEADS) - 5)
    people, made = (
        [a for a in found.clips.get(name, []) if GROUPS[group](a.clip)] for group in (PEOPLE, MADE)
    )
    return [
        *cells,
        _interval([a.best for a in people], ".2f"),
        _number(median_interval([a.chance for a in people])[0], ".2f"),
        _interval([a.correlation for a in made], ".2f"),
        _interval([a.lag for a in made], "+.0f"),
    ]


def _by_class(found: Findings) -> str:
    totals = {name: sum(groups.values(), Tally()) for name, groups in found.speech.items()}
    said = next(iter(totals.values())).strict.sum(axis=1)
    scores = {name: f1(total.lenient) for name, total in totals.items()}
    rows = [
        [viseme, str(said[i]), *(_share(scores[name][i]) for name in totals)]
        for i, viseme in enumerate(VISEMES)
    ]
    return table(["viseme", "tokens", *totals], rows)


def _by_group(found: Findings) -> str:
    heads = ["model", "source", "utterances", "accuracy ±20 ms", "macro F1 ±20 ms", "p b m made",
             "false /s", "f v made", "speech onset, ms", "shut in silence"]  # fmt: skip
    rows = []
    for name, groups in found.speech.items():
        for group, t in sorted(groups.items()):
            rows.append([
                name, group, str(t.utterances), _share(accuracy(t.lenient)),
                _share(macro_f1(t.lenient)), _share(t.bilabial.recall),
                _number(t.bilabial.false_rate, ".2f"), _share(t.labiodental.recall),
                _errors(t.onset), _share(ratio(t.shut, t.silent)),
            ])  # fmt: skip
    return table(heads, rows)


def _by_clips(found: Findings) -> str:
    heads = ["model", "clips", "n", "r", "r at best lag", "of it chance",
             "best lag, ms (late +)", "with a clear lag"]  # fmt: skip
    rows = []
    for name, agreements in found.clips.items():
        for group, belongs in GROUPS.items():
            part = [a for a in agreements if belongs(a.clip)]
            clear = [a.lag for a in part if isfinite(a.lag)]
            rows.append([
                name, group, str(len(part)), _interval([a.correlation for a in part], ".2f"),
                _interval([a.best for a in part], ".2f"),
                _interval([a.chance for a in part], ".2f"),
                _interval(clear, "+.0f"), str(len(clear)),
            ])  # fmt: skip
    return table(heads, rows)


def _number(value: float, form: str) -> str:
    return f"{value:{form}}" if isfinite(value) else "–"


def _share(value: float) -> str:
    return _number(100 * value, ".1f")


def _errors(errors: Errors) -> str:
    return f"{errors.median:+.0f} ({errors.most:.0f})" if errors.found else "–"


def _interval(values: Sequence[float], form: str) -> str:
    middle, low, high = median_interval(values)
    return f"{middle:{form}} [{low:{form}}, {high:{form}}]" if isfinite(middle) else "–"


# --- numbers for other programs --------------------------------------------------------------


def as_json(found: Findings) -> dict[str, Any]:
    """All numbers, ready for `json.dumps`; what is undefined is None."""
    speech = {
        name: {"all": _facts(sum(groups.values(), Tally()))}
        | {group: _facts(tally) for group, tally in groups.items()}
        for name, groups in found.speech.items()
    }
    clips = {
        name: [asdict(a) | {"clip": a.clip.name, "lag": _known(a.lag)} for a in agreements]
        for name, agreements in found.clips.items()
    }
    return {"speech": speech, "clips": clips, "left_out": found.left_out}


def _facts(t: Tally) -> dict[str, Any]:
    return {
        "utterances": t.utterances,
        "seconds": round(t.tokens * SECONDS, 2),
        "accuracy": _known(accuracy(t.strict)),
        "accuracy_lenient": _known(accuracy(t.lenient)),
        "macro_f1": _known(macro_f1(t.strict)),
        "macro_f1_lenient": _known(macro_f1(t.lenient)),
        "f1": dict(zip(VISEMES, map(_known, f1(t.strict).tolist()), strict=True)),
        "f1_lenient": dict(zip(VISEMES, map(_known, f1(t.lenient).tolist()), strict=True)),
        "confusion": t.strict.tolist(),
        **{
            name: {
                "wanted": c.wanted,
                "recall": _known(c.recall),
                "precision": _known(c.precision),
                "false_per_second": _known(c.false_rate),
                "onset_ms": _known(c.onset.median),
                "onset_p90_ms": _known(c.onset.most),
            }
            for name, c in (("bilabial", t.bilabial), ("labiodental", t.labiodental))
        },
        "onset_ms": _known(t.onset.median),
        "onset_p90_ms": _known(t.onset.most),
        "onsets_missed": t.onset.missed,
        "silence_shut": _known(ratio(t.shut, t.silent)),
    }


def _known(value: float) -> float | None:
    return value if isfinite(value) else None
