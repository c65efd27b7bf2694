"""What end-to-end tests share: one chromium, and that they run alone.

Modules that use the browser run in its loop: ``pytest.mark.asyncio(loop_scope="session")``.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from runtime.portraits import PortraitStore
from tests.e2e.browser import chromium
from tests.e2e.elsewhere import another_site

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A server and a browser that play to each other need all cores."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.realtime)


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Makes folders for servers, which find the first portrait enrolled: two seconds of each."""
    first = tmp_path_factory.mktemp("enrolled")
    store = PortraitStore(first / "portraits", limit=1)
    store.get(store.list()[0].id)
    store.close()

    def another() -> Path:
        return Path(shutil.copytree(first, tmp_path_factory.mktemp("server"), dirs_exist_ok=True))

    return another


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Where another site is."""
    with another_site() as address:
        yield address


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def one_chromium() -> AsyncIterator[Browser]:
    async with chromium() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def browser(one_chromium: Browser) -> AsyncIterator[Browser]:
    """The shared chromium; what a test leaves open, as one that fails does, is closed after it."""
    yield one_chromium
    for context in one_chromium.contexts:
        await context.close()
