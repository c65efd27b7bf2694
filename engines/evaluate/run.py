"""Runs the benchmark: every case, every row, on every core, and goes on where it stopped."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from core import F32, InvalidInput, SaccadeError
from engines.evaluate.bench import Bench, Settings, save_arrays
from engines.evaluate.case import Case, Manifest
from engines.evaluate.generators import Row
from engines.evaluate.metrics.frechet import frechet_distance
from engines.evaluate.results import (
    TRUTH,
    Facts,
    Run,
    load_run,
    save_facts,
    write_json,
)
from engines.evaluate.scales import normalise, scales_of
from engines.evaluate.workers import Workers

log = logging.getLogger(__name__)
Told = Callable[[int, int, str], None]

FEATURES: Final[Mapping[str, str]] = {"fid": "frame_features", "fvd": "clip_features"}
LEAST_FEATURES: Final = 8
"Rows of features below which a distance of distributions means nothing."


def run_benchmark(manifest: Manifest, rows: Sequence[Row], settings: Settings, *, workers: int,
                  told: Told) -> Run:  # fmt: skip
    """Measure ``rows`` over a manifest into ``settings.out``.

    What is there already, made under the same settings, is kept. A case that can not be used is
    left out with its reason; nothing in a clip ends the run.

    Raises:
        InvalidInput: No case can be used.
        Unavailable: The extractor's model is missing.
    """
    begun = time.monotonic()
    settings.out.mkdir(parents=True, exist_ok=True)
    bench = Bench(settings)  # opened once here: what is missing is said before the work begins
    names, missing, extractor = bench.suite.names, bench.suite.missing, bench.extractor.name
    bench.close()
    with Workers(workers, _begin, (settings,)) as pool:
        seen = pool.in_order(manifest.cases, _see)
        skipped = dict(_failures(seen, manifest.cases, "truth", told))
        cases = [case for case in manifest.cases if case.id not in skipped]
        _note_skipped(settings.out, manifest, skipped)
        if not cases:
            raise InvalidInput(f"No case of {manifest.name} can be used; the reasons are in "
                               f"{settings.out}/cases/*/case.json.")  # fmt: skip
        scales = _scale(settings.out, cases)
        measure = partial(_measure, rows=tuple(rows), scales=scales)
        measured = pool.in_order(cases, measure)
        failed = dict(_failures(measured, cases, "rows", told))
    _note_skipped(settings.out, manifest, skipped | failed)
    facts = Facts(
        name=manifest.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command="python -m engines.evaluate " + " ".join(sys.argv[1:]),
        size=settings.size,
        extractor=extractor,
        stand_ins=names,
        missing=missing,
        scales=scales,
        seconds=round(time.monotonic() - begun, 1),
    )
    save_facts(settings.out, facts, tuple(row.name for row in rows))
    _pool(settings.out, [row.name for row in rows], [case.id for case in cases])
    return load_run(settings.out)


# --- processes -------------------------------------------------------------------------------

_bench: Bench | None = None
"Of a worker process; it lives as long as that."


def _begin(settings: Settings) -> None:
    global _bench
    import cv2
    from threadpoolctl import threadpool_limits

    # As many processes as cores: threads of one would take the core of another.
    cv2.setNumThreads(1)
    threadpool_limits(1)
    _bench = Bench(settings)


def _see(case: Case) -> str:
    return _reason(case, lambda bench: bench.see_truth(case))


def _measure(case: Case, rows: tuple[Row, ...], scales: Mapping[str, float]) -> str:
    def work(bench: Bench) -> None:
        bench.settings = replace(bench.settings, scales=scales)
        bench.measure_rows(case, rows)

    return _reason(case, work)


def _reason(case: Case, work: Callable[[Bench], None]) -> str:
    """Why a case can not be used, or nothing; in a worker."""
    assert _bench is not None
    try:
        work(_bench)
    except SaccadeError as error:
        return str(error)
    except Exception as error:  # whatever a wild file does to a decoder, the others go on
        log.exception("case %s", case.id)
        return f"{type(error).__name__}: {error}"
    return ""


def _failures(done: Iterable[tuple[Case, str | None]], cases: Sequence[Case], stage: str,
              told: Told) -> Iterator[tuple[str, str]]:  # fmt: skip
    """Of every case that is done: those that failed, and why."""
    for count, (case, reason) in enumerate(done, 1):
        told(count, len(cases), f"{stage} {case.id}")
        if reason is None:
            reason = "the process that worked on it died"
        if reason:
            yield case.id, reason


# --- over all cases --------------------------------------------------------------------------


def _note_skipped(out: Path, manifest: Manifest, skipped: Mapping[str, str]) -> None:
    for case in manifest.cases:
        if case.id in skipped:
            note = {"category": case.category, "person": case.person, "skipped": skipped[case.id]}
            write_json(out / "cases" / case.id / "case.json", note)


def _scale(out: Path, cases: Sequence[Case]) -> dict[str, float]:
    """The scales of all truths, and every truth on them."""
    raw: dict[Path, F32] = {}
    for case in cases:
        path = out / "cases" / case.id / f"{TRUTH}.npz"
        with np.load(path) as data:
            raw[path] = data["raw"]
    scales = scales_of(list(raw.values()))
    for path, values in raw.items():
        save_arrays(path, {"raw": values, "controls": normalise(values, scales)})
    return scales


def _pool(out: Path, rows: Sequence[str], cases: Sequence[str]) -> None:
    """Distances of distributions, rows against the truth's own."""
    pooled: dict[str, dict[str, float]] = {}
    for metric, name in FEATURES.items():
        truth = _features(out, "features", cases, name)
        for row in rows:
            made = _features(out, row, cases, name)
            if truth is None or made is None:
                continue
            pooled.setdefault(row, {})[metric] = frechet_distance(made, truth)
    write_json(out / "pooled.json", pooled)


def _features(out: Path, file: str, cases: Sequence[str], name: str) -> F32 | None:
    found = []
    for case in cases:
        path = out / "cases" / case / f"{file}.npz"
        if path.exists():
            with np.load(path) as data:
                if name in data:
                    found.append(data[name])
    rows = np.concatenate(found) if found else np.zeros((0, 1), np.float32)
    return rows if len(rows) >= LEAST_FEATURES else None
