"""Numbers of the planner: ``python -m runtime.bench_planner [speed|fidelity|all] [--data DIR]``.

``speed`` needs no data: milliseconds to plan a chunk, the time until a new label shows, and the
share of played chunks that pass the critic. ``fidelity`` compares planned with recorded
behaviour of people the library was not built from (`runtime.bench_fidelity`); DIR holds
``motion/``. Tables are Markdown.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from core import FPS, WINDOW_FRAMES, InvalidInput, SaccadeError
from engines.evaluate.metrics.action_units import BAND, TARGETS, THRESHOLDS, UNIT, UNITS
from planner.library import load_library
from planner.recordings import read_recordings
from runtime import bench_fidelity as fidelity
from runtime.bench_fidelity import (
    CHANCE,
    F1,
    F1_HIGH,
    F1_LOW,
    HUMAN,
    MOTION,
    REAL_MOTION,
    SHAPE,
    SOUND,
    TEMP,
    VARIANTS,
    Found,
    Take,
)
from runtime.bench_speed import Told, label_change, plan_times, soundness
from runtime.bootstrap import CONFIDENCE, Estimate, estimate, total

DATA: Final = Path("data")
PLAN_GOAL_MS: Final = 15.0
CHANGE_GOAL_MS: Final = 1000 * WINDOW_FRAMES / FPS
COMMAND_GOAL_MS: Final = 10.0
"The sound and pictures of all sessions wait for it."
FRAME_GOAL_MS: Final = 5.0
CHUNKS: Final = 10
"Plans timed for every label."
APART: Final = (0.3, 0.2)
"""The diagnosis shows target units, and others whose share of pieces that fire, or whose 90th
percentile, differs by this."""


def main(argv: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = _parser().parse_args(argv)
    told = _Progress()
    try:
        if options.what in ("speed", "all"):
            speed_report(options.minutes, told)
        if options.what == "fidelity" or (options.what == "all" and _has_data(options.data)):
            fidelity_report(options.data, options.seeds, told)
        elif options.what == "all":
            print(f"\nNo recordings at {options.data}/motion: fidelity is left out (see --data).")
    except SaccadeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        told.clear()
    return 0


# --- speed -----------------------------------------------------------------------------------


def speed_report(minutes: float, told: Told) -> None:
    """Tables of time and soundness."""
    spent = plan_times(CHUNKS, told)
    names = {
        "plan": f"plan of a 4 s chunk (goal ≤ {PLAN_GOAL_MS:.0f})",
        "perform": "of it: events and performance", "repair": "of it: critic, mends",
        "check": "critic, only looks", "retrieve": "retrieval and texture of one stage",
    }  # fmt: skip
    rows = [
        [names[k], f"{s.median:.2f}", f"{s.late:.2f}", f"{s.most:.1f}"] for k, s in spent.items()
    ]
    _table("Planning, ms of one core", ["step", "median", "p95", "max"], rows, told)
    change = label_change(told)
    parts = {
        f"first frame that can be seen to change (goal ≤ {CHANGE_GOAL_MS:.0f})": change.visible,
        "first frame that is another at all": change.differs,
        f"command: processor time (goal ≤ {COMMAND_GOAL_MS:.0f})": change.call,
        f"processor time of a frame after it (goal ≤ {FRAME_GOAL_MS:.0f})": change.frame,
    }
    rows = [[k, f"{s.median:.1f}", f"{s.late:.1f}", f"{s.most:.1f}"] for k, s in parts.items()]
    title = f"A new label, ms, {change.pairs} pairs of labels"
    _table(title, ["", "median", "p95", "max"], rows, told)
    if change.unseen:
        print(f"\n{change.unseen} changes can not be seen against the old label within 4 s.")
    sound = soundness(minutes, told)
    rows = [
        [label, str(s.chunks), f"{s.passed / s.chunks:.1%}", f"{s.raw / s.chunks:.0%}",
         ", ".join(f"{rule} {n}" for rule, n in s.rules) or "none"]
        for label, s in sound.items()
    ]  # fmt: skip
    chunks, passed = (
        sum(n) for n in zip(*((s.chunks, s.passed) for s in sound.values()), strict=True)
    )
    raw = sum(s.raw for s in sound.values())
    rows.append(["**all**", str(chunks), f"{passed / chunks:.2%}", f"{raw / chunks:.0%}", ""])
    heads = ["label", "chunks", "pass (goal 100 %)", "passed unmended", "mended most often"]
    _table(f"What plays, {minutes:g} min of each label", heads, rows, told)


# --- fidelity --------------------------------------------------------------------------------


def fidelity_report(data: Path, seeds: int, told: Told) -> None:
    """Tables of AU-F1 and AU-Temp against people the library was not built from.

    Raises:
        InvalidInput: There are no such recordings.
    """
    told("reading recordings")
    takes = fidelity.held_out(read_recordings(data, told), load_library())
    if not takes:
        raise InvalidInput(f"{data} holds no recording of somebody who is not in the library.")
    found: dict[str, Found] = {}
    for name, variant in (*VARIANTS.items(), (CHANCE, fidelity.other_label)):
        found[name] = fidelity.compare(takes, variant, seeds, _after(name, told))
    people = fidelity.compare_people(takes, seeds)
    if people.keys() == found[CHANCE].keys():  # else the means are of other categories
        found[HUMAN] = people
    estimates = {
        name: {c: estimate(persons) for c, persons in by_category.items()}
        for name, by_category in found.items()
    }
    _about(takes, seeds, told)
    _totals(estimates, told)
    for title, measure in (("AU-F1", F1), ("AU-Temp", TEMP), ("AU-Temp, shape", SHAPE)):
        _by_category(title, measure, estimates, told)
    _diagnosis(takes, seeds, told)


def _about(takes: Sequence[Take], seeds: int, told: Told) -> None:
    rows = []
    for category in TARGETS:
        mine = [take for take in takes if take.category == category]
        cut = sum(len(fidelity.pieces(take.controls)) for take in mine)
        people = len({take.person for take in mine})
        rows.append([category, str(people), str(cut), " ".join(_short(TARGETS[category]))])
    _table(
        "Held-out recordings",
        ["category", "persons", "pieces of ≤ 4 s", "target units"],
        rows,
        told,
    )
    tau = f"{THRESHOLDS[UNIT['AU45_L']]:.1f} for AU45, {THRESHOLDS[UNIT['AU4']]:.1f} for others"
    print(f"\nτ {tau}; warped by up to {BAND / FPS:g} s; Z: frames. {seeds} performances of each;")
    print(f"means over persons, {CONFIDENCE:.0f} % bootstrap over persons and pieces.")


def _totals(estimates: Mapping[str, Mapping[str, Estimate]], told: Told) -> None:
    sums = {name: total(by.values()) for name, by in estimates.items()}
    rows = []
    for name, e in sums.items():
        still = e.mean[REAL_MOTION] < 1e-6
        motion = "" if still else f"{e.mean[MOTION] / e.mean[REAL_MOTION]:.2f}"
        other = f"{e.mean[F1_LOW]:.2f}, {e.mean[F1_HIGH]:.2f}"
        sound = f"{e.mean[SOUND]:.1%}"
        rows.append([name, _with(e, F1), _with(e, TEMP), _with(e, SHAPE), sound, motion, other])
    heads = ["variant", "AU-F1", "AU-Temp", "AU-Temp, shape", "passes critic", "motion ÷ real"]
    heads.append("AU-F1 at ½ τ, 1½ τ")
    _table("All categories, each counting the same", heads, rows, told)
    *_, whole = VARIANTS
    print(f"\n{whole} against the others, resampled together:")
    for name in (name for name in sums if name != whole):
        d = sums[whole].minus(sums[name])
        values = (f"{word} {_with(d, i, '+')}" for word, i in (("AU-F1", F1), ("AU-Temp", TEMP)))
        print(f"- {name}: {', '.join(values)}")


def _by_category(
    title: str, measure: int, estimates: Mapping[str, Mapping[str, Estimate]], told: Told
) -> None:
    categories = [c for c in TARGETS if any(c in by for by in estimates.values())]
    rows = [
        [c, *(_with(by[c], measure) if c in by else "" for by in estimates.values())]
        for c in categories
    ]
    _table(f"{title} by category", ["category", *estimates], rows, told)


def _diagnosis(takes: Sequence[Take], seeds: int, told: Told) -> None:
    told("what fires")
    real = fidelity.shown(takes)
    planned = fidelity.shown(fidelity.performed(takes, fidelity.full, seeds))
    rows = []
    for category in (c for c in TARGETS if c in real):
        for unit in UNITS:
            a, b = real[category][unit], planned[category][unit]
            apart = abs(a.fires - b.fires) >= APART[0] or abs(a.high - b.high) >= APART[1]
            if unit not in TARGETS[category] and not apart:
                continue
            name = f"**{unit}**" if unit in TARGETS[category] else unit
            pairs = ((a.fires, b.fires), (a.median, b.median), (a.high, b.high))
            rows.append([category, name, *(f"{x:.2f} → {y:.2f}" for x, y in pairs)])
    heads = ["category", "unit (**target**)", "fires", "median", "p90"]
    _table("Real → planned", heads, rows, told)


# --- printing --------------------------------------------------------------------------------


def _with(e: Estimate, measure: int, sign: str = "") -> str:
    low, high = e.interval(measure)
    return f"{e.mean[measure]:{sign}.3f} [{low:{sign}.2f}, {high:{sign}.2f}]"


def _short(names: Iterable[str]) -> list[str]:
    """Left and right named once."""
    return list(dict.fromkeys(name.removesuffix("_L").removesuffix("_R") for name in names))


def _table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]], told: Told) -> None:
    told("")
    widths = [max(len(cell) for cell in column) for column in zip(heads, *rows, strict=True)]
    print(f"\n{title}\n")
    for cells in (heads, ["-" * width for width in widths], *rows):
        line = " | ".join(cell.ljust(n) for cell, n in zip(cells, widths, strict=True))
        print(f"| {line} |")


def _after(name: str, told: Told) -> Told:
    return lambda what: told(f"{name}: {what}")


class _Progress:
    """What is going on, on a terminal; nothing elsewhere."""

    def __call__(self, what: str) -> None:
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{what[-78:]:78s}\r")
            sys.stderr.flush()

    def clear(self) -> None:
        """Leave an empty line."""
        self("")


def _has_data(data: Path) -> bool:
    return (data / "motion").is_dir()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runtime.bench_planner", description=__doc__)
    parser.add_argument(
        "what", nargs="?", choices=("speed", "fidelity", "all"), default="all", help="all"
    )
    parser.add_argument("--data", type=Path, default=DATA, help="folder that holds motion/")
    parser.add_argument("--minutes", type=_above_0, default=1.0, help="played of every label")
    parser.add_argument("--seeds", type=_count, default=5, help="performances of every recording")
    return parser


def _above_0(text: str) -> float:
    value = float(text)
    if not 0 < value <= 600:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 600")
    return value


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 1000:
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 1000")
    return value


if __name__ == "__main__":
    sys.exit(main())
