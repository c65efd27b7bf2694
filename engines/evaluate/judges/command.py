"""``judge RUN``: ask a multimodal language model about the films of a run.

Nothing leaves this machine unless a URL is given: then pictures (or whole films) of the people in
the run, and their voices, are sent to it.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from math import isfinite
from pathlib import Path
from typing import Any, Final

from core import InvalidInput
from engines.evaluate.judges.agreement import read_preferences
from engines.evaluate.judges.endpoint import EndpointSettings, Sampling
from engines.evaluate.judges.evidence import MOST_WORDS, Showing
from engines.evaluate.judges.panel import judge_run
from engines.evaluate.judges.sheets import Word
from engines.evaluate.judges.summary import Summary, as_markdown, summarise
from engines.evaluate.judges.verdicts import FILES, Panel, Plan
from engines.evaluate.results import Run, load_run, write_json

URL: Final = "SACCADE_JUDGE_URL"
MODEL: Final = "SACCADE_JUDGE_MODEL"
KEY: Final = "SACCADE_JUDGE_KEY"
COLUMNS: Final = ("case", "start", "end", "word")
MOST_WORD_LINES: Final = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    whom, what = parser.add_argument_group("the judge"), parser.add_argument_group("what is asked")
    parser.add_argument("folder", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument("--judge-cache", type=Path, help="folder of answers (RUN/judges)")
    parser.add_argument(
        "--judge-people",
        type=Path,
        metavar="CSV",
        help="preferences of people to compare with: case, a, b, preferred",
    )
    whom.add_argument(
        "--judge-url",
        default=os.environ.get(URL, ""),
        help=f"OpenAI-compatible endpoint, e.g. http://127.0.0.1:8000/v1 (or {URL})",
    )
    whom.add_argument(
        "--judge-model",
        default=os.environ.get(MODEL, ""),
        help=f"its model; by default the first one it lists (or {MODEL})",
    )
    whom.add_argument(
        "--judge-key",
        default=None,
        help=f"API key; better in {KEY}, as options can be seen by others on this machine",
    )
    whom.add_argument("--judge-connections", type=int, default=4, help="questions at a time (4)")
    whom.add_argument(
        "--judge-seconds", type=float, default=300.0, help="longest wait for an answer (300)"
    )
    whom.add_argument(
        "--judge-extra",
        default="{}",
        metavar="JSON",
        help="put into every request, e.g. "
        '\'{"mm_processor_kwargs": {"use_audio_in_video": true}}\' for vLLM and a model that hears',
    )
    shown = Showing()
    what.add_argument("--judge-protocol", choices=list(FILES), default="scores",
                      help="marks for single films, or choices between two (scores)")  # fmt: skip
    what.add_argument("--judge-input", choices=["frames", "video"], default=shown.input,
                      help="show pictures, or the film itself (frames)")  # fmt: skip
    what.add_argument("--judge-frames", type=int, default=shown.frames,
                      help=f"whole pictures of a film ({shown.frames})")  # fmt: skip
    what.add_argument("--judge-side", type=int, default=shown.side,
                      help=f"their size, pixels ({shown.side})")  # fmt: skip
    what.add_argument("--judge-audio", action="store_true", help="also send the sound")
    what.add_argument("--judge-words", type=Path, metavar="CSV",
                      help="what is said, to be shown: case, start, end, word")  # fmt: skip
    what.add_argument("--judge-repeats", type=int, default=1, help="times each is asked (1)")
    what.add_argument("--judge-seed", type=int, default=0, help="of order and draws (0)")
    what.add_argument("--judge-temperature", type=float, default=Sampling().temperature,
                      help=f"({Sampling().temperature:g})")  # fmt: skip
    what.add_argument("--judge-tokens", type=int, default=Sampling().max_tokens,
                      help=f"longest reply, with thoughts ({Sampling().max_tokens})")  # fmt: skip


def run(options: argparse.Namespace, progress: Callable[[int, int, str], None]) -> None:
    """Ask, write the verdicts into the run's folder, print the table.

    Raises:
        InvalidInput: No URL is given, or an option makes no sense.
        Unavailable: The judge is down; what it answered is kept.
    """
    settings, plan = _settings(options), _plan(options)
    preferences, unclear = (
        read_preferences(options.judge_people) if options.judge_people else ([], 0)
    )
    run = load_run(options.folder)
    panel = judge_run(run, plan, settings, options.judge_cache, progress)
    summary = summarise(panel, run.rows, {m.case: m.person for m in run.measured}, preferences)
    _add_summary(run, panel, summary)
    print(f"\n{as_markdown(summary, panel)}")
    if unclear:
        print(f"- {unclear} pairs on which people are not of one mind are left out.")


def _settings(options: argparse.Namespace) -> EndpointSettings:
    if not options.judge_url:
        raise InvalidInput(
            f"There is no judge. Give an OpenAI-compatible endpoint by --judge-url or {URL}: "
            "pictures of the run's films will be sent to it."
        )
    try:
        extra = json.loads(options.judge_extra)
    except (ValueError, RecursionError):
        extra = None
    if not isinstance(extra, dict):
        raise InvalidInput("--judge-extra has to be a JSON object.")
    if options.judge_seconds <= 0:
        raise InvalidInput("--judge-seconds has to be positive.")
    key = os.environ.get(KEY, "") if options.judge_key is None else options.judge_key
    return EndpointSettings(
        options.judge_url,
        options.judge_model,
        key.strip(),
        extra,
        options.judge_connections,
        read_seconds=options.judge_seconds,
        total_seconds=3 * options.judge_seconds,
    )


def _plan(options: argparse.Namespace) -> Plan:
    return Plan(
        options.judge_protocol,
        options.judge_repeats,
        options.judge_seed,
        Showing(options.judge_input, options.judge_frames, options.judge_side, options.judge_audio),
        Sampling(options.judge_temperature, options.judge_tokens),
        read_words(options.judge_words) if options.judge_words else {},
    )


def read_words(path: Path) -> dict[str, tuple[Word, ...]]:
    """Read what is said in films: a CSV file with the columns case, start, end (seconds), word.

    Raises:
        InvalidInput: It can not be read; the message says which line.
    """
    found: dict[str, list[Word]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := set(COLUMNS) - set(reader.fieldnames or ()):
                raise InvalidInput(f"{path} has no column {min(missing)}: {', '.join(COLUMNS)}.")
            for line, row in enumerate(reader, start=2):
                if line > MOST_WORD_LINES:
                    raise InvalidInput(f"{path} has more than {MOST_WORD_LINES} lines.")
                try:
                    word = Word(float(row["start"]), float(row["end"]), row["word"].strip()[:60])
                    case = row["case"].strip()
                except (KeyError, TypeError, ValueError, AttributeError):
                    raise InvalidInput(
                        f"{path}, line {line}: start and end have to be seconds."
                    ) from None
                if not (isfinite(word.start) and isfinite(word.end) and 0 <= word.start < word.end):
                    raise InvalidInput(f"{path}, line {line}: start has to come before end.")
                found.setdefault(case, []).append(word)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(f"{path} can not be read as a CSV file: {error}.") from error
    return {
        case: tuple(sorted(words, key=lambda w: w.start)[:MOST_WORDS])
        for case, words in found.items()
    }


def _add_summary(run: Run, panel: Panel, summary: Summary) -> None:
    """Put the rows' means beside the verdicts."""
    path = run.folder / FILES[panel.plan.protocol]
    data = json.loads(path.read_text(encoding="utf-8"))
    data["rows"] = {
        line.row: {"unanswered": line.unanswered}
        | {key: _finite(asdict(interval)) for key, interval in line.values.items()}
        for line in summary.lines
    }
    data["agreement"] = {
        "repeats": _finite(summary.repeats),
        "aspects": summary.aspects if isfinite(summary.aspects) else None,
        "high": dict(summary.high),
        "position": None if summary.position is None else asdict(summary.position),
        "people": None if summary.people is None else _finite(asdict(summary.people)),
    }
    data["warnings"] = list(summary.warnings)
    write_json(path, data)


def _finite(values: Any) -> dict[str, Any]:
    """Without NaN, which is not JSON."""
    return {
        key: None if isinstance(value, float) and not isfinite(value) else value
        for key, value in values.items()
    }
