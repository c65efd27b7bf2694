"""What nobody is told, and what opens nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from runtime.portraits import PortraitStore
from stream.api_sessions import NOT_ALLOWED
from stream.settings import StreamSettings
from tests.stream.conftest import Live, serving

SECRET = "c0ffee-never-told"
OURS = "https://app.example.com"


@pytest.fixture
async def guarded(store: PortraitStore) -> AsyncIterator[Live]:
    settings = StreamSettings(
        turn_secret=SECRET, ice_servers=("turn:127.0.0.1:9",), gather_timeout=0.05,
        allowed_origins=(OURS,),
    )  # fmt: skip
    async with serving(store, settings=settings) as live:
        yield live


async def test_no_answer_tells_a_secret_of_the_settings_or_another_s_token(guarded: Live) -> None:
    """Metrics, health, description, sessions, mistakes; logins of TURN are made of the secret."""
    first, second = await guarded.session(), await guarded.session()
    tokens = {first["token"], second["token"]}
    where = f"/v1/sessions/{first['id']}"
    asked = [
        ("GET", "/healthz", {}), ("GET", "/readyz", {}), ("GET", "/metrics", {}),
        ("GET", "/openapi.json", {}), ("GET", "/docs", {}), ("GET", "/v1/labels", {}),
        ("GET", "/v1/portraits", {}), ("GET", "/v1/sessions", {}), ("GET", "/v1/admin", {}),
        ("GET", "/v1/config", {}), ("GET", where, {}), ("GET", where, guarded.auth(first)),
        ("GET", f"{where}/plans", guarded.auth(first)), ("OPTIONS", f"{where}/whep", {}),
        ("POST", f"{where}/whep", guarded.auth(first)), ("GET", "/%2e%2e/config.toml", {}),
        ("GET", f"{where}/publications", guarded.auth(first)),
    ]  # fmt: skip
    for method, path, headers in asked:
        answer = await guarded.http.request(method, path, headers=headers)
        told = answer.text + str(answer.headers)
        assert SECRET not in told, path
        assert not any(token in told for token in tokens), path
    login = (await guarded.http.options(f"{where}/whep")).headers["link"]
    assert 'rel="ice-server"' in login and "credential=" in login


async def test_a_cookie_opens_nothing_and_other_origins_are_not_answered(guarded: Live) -> None:
    """A page elsewhere has the browser's cookies sent along; only a token opens a session."""
    session = await guarded.session()
    where = f"/v1/sessions/{session['id']}"
    token = session["token"]
    cookies = {"Cookie": f"token={token}; Authorization=Bearer {token}; session={token}"}
    async with httpx.AsyncClient(base_url=guarded.base) as http:
        for origin in ("https://evil.example", OURS):
            for method, path in (
                ("GET", where), ("DELETE", where), ("POST", f"{where}/whep"),
                ("POST", f"{where}/speech"), ("POST", f"{where}/recordings"),
            ):  # fmt: skip
                answer = await http.request(method, path, headers=cookies | {"Origin": origin})
                assert answer.status_code == 401, (method, path)
                assert "access-control-allow-credentials" not in answer.headers
                allowed = answer.headers.get("access-control-allow-origin")
                assert allowed == (origin if origin == OURS else None)
                assert "set-cookie" not in answer.headers
    socket = guarded.base.replace("http", "ws") + session["control"]
    headers = cookies | {"Origin": "https://evil.example"}
    async with connect(socket, additional_headers=headers) as opened:
        with pytest.raises(ConnectionClosed) as caught:
            await opened.recv()
    assert caught.value.rcvd is not None and caught.value.rcvd.code == NOT_ALLOWED
    assert guarded.sessions.get(session["id"]).state == "idle"
