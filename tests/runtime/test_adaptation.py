"""Portraits are adapted beside the live loop, by a real process that somebody owns."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from core import Busy, NotFound, Unavailable
from engines.video.adapted import load_adapted
from runtime.adaptation import MOST_WAITING, Adaptation, Adaptations
from runtime.portraits import PortraitStore
from runtime.settings import RuntimeSettings


@pytest.fixture
def settings(networks_folder: Path) -> RuntimeSettings:
    return RuntimeSettings(
        renderer="auto", generator_weights=str(networks_folder), adapt_seconds=1.0
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PortraitStore]:
    made = PortraitStore(tmp_path / "portraits", limit=5)
    yield made
    made.close()


async def until(adaptations: Adaptations, id: str, *states: str) -> list[Adaptation]:
    """All that is told until the portrait is in one of ``states``."""
    seen = [await adaptations.of(id)]
    async with asyncio.timeout(90):
        while seen[-1].state not in states:
            await asyncio.sleep(0.05)
            seen.append(await adaptations.of(id))
    return seen


async def test_a_portrait_is_adapted_and_stays_so(
    store: PortraitStore, settings: RuntimeSettings
) -> None:
    id = store.list()[0].id
    async with Adaptations(store, settings) as adaptations:
        assert (await adaptations.of(id)).state == "none"
        assert (await adaptations.ask(id)).state == "waiting"
        seen = await until(adaptations, id, "done", "failed")
        now = seen[-1]
        assert now.state == "done", now.note
        assert now.gain == round(load_adapted(store.adapted_file(id)).gain, 2)
        assert len({told.done for told in seen}) > 2, "no progress was told"
    async with Adaptations(store, settings) as again:
        assert await again.of(id) == now
        await again.forget(id)
        assert (await again.of(id)).state == "none"
    assert not store.adapted_file(id).exists()


async def test_forgetting_stops_the_process(
    store: PortraitStore, settings: RuntimeSettings
) -> None:
    first, second = (info.id for info in store.list()[:2])
    async with Adaptations(store, settings) as adaptations:
        await adaptations.ask(first)
        await until(adaptations, first, "running")
        await adaptations.forget(first)
        assert (await adaptations.of(first)).state == "none"
        # Whoever comes next is not held up.
        await adaptations.ask(second)
        await until(adaptations, second, "running")
    assert not any("adapt" in (task.get_name() or "") for task in asyncio.all_tasks())


async def test_what_goes_wrong_is_told(store: PortraitStore, tmp_path: Path) -> None:
    settings = RuntimeSettings(renderer="auto", generator_weights=str(tmp_path))
    id = store.list()[0].id
    async with Adaptations(store, settings) as adaptations:
        await adaptations.ask(id)
        now = (await until(adaptations, id, "done", "failed"))[-1]
    assert now.state == "failed" and "There are no weights" in now.note


async def test_lines_are_bounded_and_refusals_say_why(
    store: PortraitStore, settings: RuntimeSettings
) -> None:
    ids = [info.id for info in store.list()]
    async with Adaptations(store, settings) as adaptations:
        with pytest.raises(NotFound):
            await adaptations.ask("nobody")
        with pytest.raises(Busy):
            for id in ids[: MOST_WAITING + 2]:
                await adaptations.ask(id)
    never = Adaptations(store, RuntimeSettings(adapt_portraits="never"))
    with pytest.raises(Unavailable, match="adapt_portraits"):
        await never.ask(ids[0])
    assert not never.by_itself
    puppet = Adaptations(store, RuntimeSettings(adapt_portraits="always"), lambda: False)
    assert puppet.problem() is not None and not puppet.by_itself
