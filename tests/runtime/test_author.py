"""Author: a language model's scores join the stream, and its failures never touch it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import numpy as np
import pytest

from core import CHUNK_FRAMES, F32, ControlTrack, Portrait
from planner.backends.endpoint import Endpoint, EndpointSettings
from planner.behaviour import Behaviour
from planner.library import load_library
from planner.rules import check_played
from runtime.author import Author, Writers
from runtime.lookahead import Lookahead
from runtime.settings import PlannerSettings
from tests.planner.backends.unruly import CHAOS, Unruly

BAD = [mood for mood in CHAOS if mood not in ("ok", "think", "fenced", "late", "wild", "injected")]


class Show:
    """Plays a lookahead some twenty times as fast as real time, with an author beside it."""

    def __init__(self, author: Author) -> None:
        self.author = author
        self.ahead = Lookahead(Behaviour(5, library=load_library()), seed=5)
        self.rows: list[F32] = []
        self.slowest = 0.0

    async def play(self, frames: int, until: Callable[[], bool] | None = None) -> None:
        for _ in range(frames):
            self.author.follow(self.ahead, "", False)
            began = time.thread_time()
            self.rows.append(self.ahead.take(1)[0].values)
            self.slowest = max(self.slowest, time.thread_time() - began)
            await asyncio.sleep(0.002)
            if until is not None and until():
                return

    def sources(self) -> set[str]:
        return {chunk.plan.score.source for chunk in self.ahead.plans()}


@asynccontextmanager
async def show(
    portrait: Portrait, moods: str | list[str], told: list[str] | None = None, **settings: bool
) -> AsyncIterator[tuple[Show, Unruly]]:
    chosen = PlannerSettings("endpoint", timeout=1.0, budget=2.0)
    chosen = replace(chosen, **settings)  # type: ignore[arg-type]
    async with Unruly(moods, pace=0.3) as server:
        endpoint = Endpoint(EndpointSettings(server.url, total_seconds=1.0))
        writers = Writers(endpoint, chosen)
        author = Author(writers, portrait, (told if told is not None else []).append)
        try:
            yield Show(author), server
        finally:
            await author.close()
            await writers.aclose()


async def test_a_models_score_is_played_and_explained(portrait: Portrait) -> None:
    async with show(portrait, "ok") as (stage, _):
        await stage.play(2500, lambda: stage.ahead.playing.score.source == "endpoint")
        plan = stage.ahead.playing
        assert plan.score.source == "endpoint"
        assert [each.role for each in plan.exchanges] == ["planning", "composition", "critic"]
        assert plan.exchanges[0].reasoning and plan.exchanges[0].answer["events"]


async def test_analysis_reflection_and_the_picture_are_asked_for(portrait: Portrait) -> None:
    async with show(portrait, "ok", analyse=True, reflect=True, image=True) as (stage, server):
        roles: set[str] = set()

        def complete() -> bool:
            for chunk in stage.ahead.plans():
                roles.update(each.role for each in chunk.plan.exchanges)
            return {"reflection", "critic"} <= roles

        await stage.play(4000, complete)
        assert {"reflection", "planning", "composition", "critic"} <= roles
        assert any(isinstance(r["messages"][-1]["content"], list) for r in server.requests)


@pytest.mark.parametrize("mood", BAD)
async def test_whatever_the_endpoint_does_the_stream_goes_on(portrait: Portrait, mood: str) -> None:
    told: list[str] = []
    async with show(portrait, mood, told) as (stage, _):
        await stage.play(3000, lambda: bool(told))
        assert told and told[0]
        await stage.play(60)
        assert stage.sources() == {"embedded"}
        tried = [chunk.plan.exchanges for chunk in stage.ahead.plans() if chunk.plan.exchanges]
        assert tried and any(each.error for each in tried[0])


@pytest.mark.parametrize("mood", ["wild", "injected"])
async def test_absurd_answers_are_played_only_as_far_as_a_face_can(
    portrait: Portrait, mood: str
) -> None:
    async with show(portrait, mood) as (stage, _):
        await stage.play(1200)
        assert check_played(ControlTrack(np.concatenate(stage.rows))) == []


async def test_trouble_is_told_once_and_its_end_too(portrait: Portrait) -> None:
    told: list[str] = []
    async with show(portrait, ["prose"] * 4 + ["ok"], told) as (stage, _):
        await stage.play(4000, lambda: len(told) > 1)
        assert told[0] and told[1] == ""


async def test_a_command_gives_up_what_is_being_written(portrait: Portrait) -> None:
    async with show(portrait, "mute") as (stage, server):
        await stage.play(100, lambda: server.moods["mute"] > 0)
        before = stage.ahead.generation
        stage.ahead.behave(label="anger")
        await stage.play(CHUNK_FRAMES, lambda: server.moods["mute"] > 1)
        assert stage.ahead.generation == before + 1
        assert server.moods["mute"] > 1  # asked anew, for anger
        assert stage.ahead.playing.label == "anger"


async def test_closing_leaves_no_task_behind(portrait: Portrait) -> None:
    async with show(portrait, "mute") as (stage, server):
        await stage.play(100, lambda: server.moods["mute"] > 0)
    assert not [t for t in asyncio.all_tasks() if t.get_name() == "author"]
