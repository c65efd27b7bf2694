"""A real server in the test's own event loop: real runtime, real puppet, real sockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from runtime.portraits import PortraitStore
from runtime.sessions import Sessions
from runtime.settings import RuntimeSettings
from stream.app import create_app
from stream.connections import Config
from stream.settings import StreamSettings

TWO = RuntimeSettings(size=256, max_sessions=2)
SMALL = StreamSettings(
    connect_timeout=2.0, disconnect_grace=1.5, max_viewers=2, max_sockets=2, max_upload=4 << 20
)


@dataclass
class Live:
    """A running server."""

    base: str
    sessions: Sessions
    http: httpx.AsyncClient
    stop: Callable[[], Awaitable[None]]

    async def session(self, **wanted: object) -> dict[str, str]:
        """Create a session; the answer plus the headers that open it."""
        made = await self.http.post("/v1/sessions", json=wanted)
        assert made.status_code == 201, made.text
        answer: dict[str, str] = made.json()
        return answer

    def auth(self, session: dict[str, str]) -> dict[str, str]:
        return {"Authorization": f"Bearer {session['token']}"}


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> PortraitStore:
    return PortraitStore(tmp_path_factory.mktemp("portraits"), limit=3)


@asynccontextmanager
async def serving(
    store: PortraitStore,
    runtime: RuntimeSettings = TWO,
    settings: StreamSettings = SMALL,
    *,
    recordings: Path | None = None,
    port: int = 0,
    **other: Any,
) -> AsyncIterator[Live]:
    """A server for as long as it is entered; ``other`` are settings of the transport."""
    settings = replace(settings, **other)
    async with Sessions(store, None, runtime) as sessions:
        listener = socket.create_server(("127.0.0.1", port))
        port = listener.getsockname()[1]
        app = create_app(sessions, settings, recordings)
        config = Config(app, settings, timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))

        async def stop() -> None:
            server.should_exit = True
            await running

        base = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base, timeout=20) as http:
            async with asyncio.timeout(60):
                while not (server.started and sessions.ready):  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.02)
            yield Live(base, sessions, http, stop)
        await stop()
        listener.close()


@pytest.fixture
async def live(store: PortraitStore) -> AsyncIterator[Live]:
    async with serving(store) as running:
        yield running
