"""The panel: all films of a run put before three judges, in random order and without names.

Two protocols: ``scores``, every film alone (MAS-MA), and ``pairs``, two films of one case side by
side, asked in both orders (as MA-Comp; where the paper lets a fourth model weigh the three
verdicts, here they count the same). Source: FlowPortrait, section 2.2.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any, Final

from core import InvalidInput, SaccadeError
from engines.evaluate.judges import evidence, rubrics
from engines.evaluate.judges.answers import read_better, read_score
from engines.evaluate.judges.asking import Desk, Question
from engines.evaluate.judges.cache import Cache, Entry, question_key
from engines.evaluate.judges.endpoint import Endpoint, EndpointSettings, Sampling
from engines.evaluate.judges.evidence import Film, Message
from engines.evaluate.judges.rubrics import RUBRIC, RUBRICS
from engines.evaluate.judges.verdicts import Asked, Panel, Plan, Verdict, save
from engines.evaluate.results import TRUTH, Run, film_path
from engines.landmarks import FaceMesh

Progress = Callable[[int, int, str], None]
CACHE: Final = "judges"
"Folder of the answers, in the run's."


def judge_run(
    run: Run,
    plan: Plan,
    settings: EndpointSettings,
    cache: Path | None = None,
    progress: Progress = lambda done, total, note: None,
) -> Panel:
    """Ask about every film of every row and of the truth; what was answered before is not asked.

    Verdicts go into `verdicts.FILES`, also where the judge breaks off.

    Args:
        run: The run.
        plan: What is asked.
        settings: Whom.
        cache: Folder of answers, by default `CACHE` in the run's.
        progress: Told questions done, questions in all, and a note.

    Raises:
        Unavailable: The judge is down; the message says how far it got.
        InvalidInput: The run holds no films, or the judge refuses everything.
    """
    with ExitStack() as stack:
        meshes: list[FaceMesh] = []

        def mesh() -> FaceMesh:
            if not meshes:
                meshes.append(stack.enter_context(FaceMesh()))
            return meshes[0]

        work = _Work(run, plan, Cache(cache or run.folder / CACHE), progress, mesh)
        return asyncio.run(work.go(settings))


class _Work:
    """Owns one go over a run."""

    def __init__(
        self,
        run: Run,
        plan: Plan,
        cache: Cache,
        progress: Progress,
        mesh: Callable[[], FaceMesh],
    ) -> None:
        self._run, self._plan, self._cache = run, plan, cache
        self._progress, self._mesh = progress, mesh
        self._groups = _groups(run, plan)
        total = sum(len(group) for group in self._groups)
        if not total:
            raise InvalidInput(f"{run.folder} holds no films to judge.")
        self._panel = Panel("", plan, total)
        self._done = 0

    async def go(self, settings: EndpointSettings) -> Panel:
        """All groups; the panel is written whatever happens."""
        panel = self._panel
        try:
            async with Endpoint(settings) as endpoint:
                panel.model = await endpoint.model()
                async with Desk(endpoint, self._cache, settings.connections) as desk:
                    for group in self._groups:
                        await self._group(group, desk, settings)
            panel.complete = not any(verdict.open for verdict in panel.verdicts)
        except SaccadeError as error:
            answered = sum(not v.open for v in panel.verdicts)
            raise type(error)(
                f"{error.message} {answered} of {panel.total} questions are answered and kept; "
                "the same command goes on from there.",
                **error.facts,
            ) from error
        finally:
            save(self._run.folder, panel)
        return panel

    async def _group(self, group: list[Asked], desk: Desk, settings: EndpointSettings) -> None:
        """Questions about the same films, which are opened and made ready once."""
        films = self._open(group)
        keys: dict[Asked, str] = {}
        for asked in group:
            why = self._barred(asked, films)
            if why:
                name = "/".join((asked.case, " : ".join(asked.rows), asked.aspect))
                self._panel.left_out[name] = why
                self._step(asked)
                continue
            key = question_key(self._facts(asked, films, settings))
            if (entry := self._cache.get(key)) is not None:
                self._settle(asked, entry)
            else:
                keys[asked] = key
        if not keys:
            return
        shown = await self._show(keys, films)
        for asked, key in keys.items():
            parts = [shown[row].get(asked.aspect) for row in asked.rows]
            if any(part is None for part in parts):
                self._step(asked)
                continue
            question = self._question(asked, key, [part for part in parts if part is not None])
            await desk.put(question, partial(self._settle, asked))

    def _open(self, group: list[Asked]) -> dict[str, Film]:
        films = {}
        case = group[0].case
        truth = film_path(self._run.folder, case, TRUTH)
        for row in sorted({row for asked in group for row in asked.rows}):
            path = film_path(self._run.folder, case, row)
            try:
                films[row] = evidence.open_film(path, truth, self._plan.words.get(case, ()))
            except InvalidInput as error:
                self._panel.left_out[f"{case}/{row}"] = error.message
        return films

    def _barred(self, asked: Asked, films: Mapping[str, Film]) -> str:
        for row in asked.rows:
            if row not in films:
                return self._panel.left_out[f"{asked.case}/{row}"]
            why = evidence.can_judge(films[row], RUBRIC[asked.aspect], self._plan.showing)
            if why:
                return why
        return ""

    async def _show(
        self, keys: Mapping[Asked, str], films: Mapping[str, Film]
    ) -> dict[str, dict[str, Message]]:
        """By row and aspect what is shown; a film that can not be decoded has nothing."""
        shown: dict[str, dict[str, Message]] = {}
        for row in sorted({row for asked in keys for row in asked.rows}):
            aspects = {asked.aspect for asked in keys if row in asked.rows}
            judges = [rubric for rubric in RUBRICS if rubric.key in aspects]
            try:
                # In a thread: answers come in the meantime. One at a time: the mesh wants that.
                shown[row] = await asyncio.to_thread(
                    evidence.messages, films[row], judges, self._plan.showing, self._mesh
                )
            except InvalidInput as error:
                case = next(iter(keys)).case
                self._panel.left_out[f"{case}/{row}"] = error.message
                shown[row] = {}
        return shown

    def _question(self, asked: Asked, key: str, parts: list[Message]) -> Question:
        rubric = RUBRIC[asked.aspect]
        sampling = self._sampling(asked)
        if len(parts) == 1:
            system = rubrics.scoring(rubric)
            return Question(key, system, parts[0], sampling, lambda said: str(read_score(said)))
        system = rubrics.comparing(rubric)
        return Question(key, system, evidence.pair(*parts), sampling, read_better)

    def _facts(
        self, asked: Asked, films: Mapping[str, Film], settings: EndpointSettings
    ) -> dict[str, Any]:
        rubric = RUBRIC[asked.aspect]
        return {
            "model": self._panel.model,
            "rubrics": rubrics.VERSION,
            "aspect": asked.aspect,
            "films": [evidence.facts(films[row], rubric, self._plan.showing) for row in asked.rows],
            "sampling": asdict(self._sampling(asked)),
            "extra": dict(settings.extra),
        }

    def _sampling(self, asked: Asked) -> Sampling:
        given = self._plan.sampling
        return Sampling(given.temperature, given.max_tokens, self._plan.seed + asked.repeat)

    def _settle(self, asked: Asked, entry: Entry) -> None:
        self._panel.verdicts.append(Verdict(asked, entry.value, entry.why, entry.tries == 0))
        self._step(asked)

    def _step(self, asked: Asked) -> None:
        self._done += 1
        self._progress(self._done, self._panel.total, RUBRIC[asked.aspect].name)


def _groups(run: Run, plan: Plan) -> list[list[Asked]]:
    """What is asked about the same films, in random order, and random within."""
    rng = random.Random(plan.seed)
    rows: dict[str, list[str]] = {}
    for measured in run.measured:
        rows.setdefault(measured.case, [TRUTH]).append(measured.row)
    shown: list[tuple[str, list[tuple[str, ...]]]] = []
    for case in sorted(rows):
        if plan.protocol == "scores":
            shown += [(case, [(row,)]) for row in rows[case]]
        else:
            both = [order for a, b in combinations(rows[case], 2) for order in ((a, b), (b, a))]
            shown.append((case, list(both)))
    rng.shuffle(shown)
    groups = []
    for case, orders in shown:
        group = [
            Asked(case, order, rubric.key, repeat)
            for order in orders
            for rubric in RUBRICS
            for repeat in range(plan.repeats)
        ]
        rng.shuffle(group)
        groups.append(group)
    return groups
