"""Below a path of a proxy: addresses in answers lead back, with the prefix taken off or not."""

from __future__ import annotations

import json

import httpx
import pytest
from websockets.asyncio.client import connect as open_socket

from runtime.portraits import PortraitStore
from stream.client import connect
from stream.client_http import located
from stream.settings import StreamSettings
from tests.conftest import studio_portrait
from tests.stream.conftest import Live, serving

PREFIX = "/avatar"
SAID = {"X-Forwarded-Prefix": "/avatar/"}


async def test_addresses_have_the_prefix_that_the_proxy_says(live: Live) -> None:
    made = await live.http.post("/v1/sessions", headers=SAID)
    session = made.json()
    where = f"/avatar/v1/sessions/{session['id']}"
    assert made.headers["location"] == where
    assert (session["whep"], session["control"]) == (f"{where}/whep", f"{where}/control")
    people = (await live.http.get("/v1/portraits", headers=SAID)).json()
    assert all(one["thumbnail"].startswith("/avatar/v1/portraits/") for one in people)
    api = (await live.http.get("/openapi.json", headers=SAID)).json()
    assert api["servers"] == [{"url": PREFIX}] and "/v1/sessions" in api["paths"]
    assert "/avatar" not in (await live.http.get("/v1/portraits")).text  # one request's own


@pytest.mark.parametrize("below", ["", PREFIX])
async def test_with_the_setting_a_proxy_may_take_the_prefix_off_or_leave_it(
    store: PortraitStore, below: str
) -> None:
    async with serving(store, root_path=PREFIX) as live:
        session = (await live.http.post(f"{below}/v1/sessions")).json()
        path = session["control"].removeprefix(PREFIX)
        assert path != session["control"]
        url = f"{live.base.replace('http', 'ws', 1)}{below}{path}?token={session['token']}"
        async with open_socket(url) as socket:
            assert json.loads(await socket.recv())["type"] == "hello"
        for page in ("/", "/check", "/docs", "/style.css", "/readyz"):
            assert (await live.http.get(below + page)).status_code == 200
        wrong = await live.http.put(f"{below}/v1/portraits")
        assert wrong.status_code == 405 and wrong.headers["allow"] == "GET, POST"
        picture = studio_portrait() + bytes(200_000)  # files may be larger than other bodies
        added = await live.http.post(f"{below}/v1/portraits", content=picture)
        assert added.status_code == 201, added.text
        assert added.headers["location"] == f"/avatar/v1/portraits/{added.json()['id']}"
        await live.http.delete(added.headers["location"])
        assert (await live.http.get("/avatars/v1/labels")).status_code == 404


async def test_without_the_slash_the_page_s_links_would_lead_elsewhere(
    store: PortraitStore,
) -> None:
    async with serving(store, root_path=PREFIX) as live:
        answer = await live.http.get(PREFIX)
    assert answer.is_redirect and answer.headers["location"] == "/avatar/"


@pytest.mark.parametrize("said", ["//evil.example", "/..", "/a/../b", "avatar", "/a b", "/a,/b"])
async def test_what_is_no_path_is_not_believed(live: Live, said: str) -> None:
    made = await live.http.get("/v1/portraits", headers={"X-Forwarded-Prefix": said})
    assert all(one["thumbnail"].startswith("/v1/") for one in made.json())
    with pytest.raises(ValueError, match="root_path"):
        StreamSettings(root_path=said)


async def test_the_client_follows_addresses_below_the_prefix(store: PortraitStore) -> None:
    async with serving(store, root_path=PREFIX) as live:
        async with await connect(f"{live.base}{PREFIX}") as avatar:
            assert avatar.session["whep"].startswith(f"{PREFIX}/v1/")
            async for picture in avatar.video():
                assert picture.pixels.shape[2] == 3
                break
        assert live.sessions.list() == []


async def test_the_client_puts_what_an_unaware_server_says_below_its_own_base() -> None:
    async with httpx.AsyncClient(base_url="https://host/avatar") as http:
        for told in ("/v1/x", "/avatar/v1/x", "https://host/avatar/v1/x"):
            assert str(located(http, told)) == "https://host/avatar/v1/x"
        assert str(located(http, "https://media.example/v1/x")) == "https://media.example/v1/x"
    async with httpx.AsyncClient(base_url="http://host:8080") as http:
        assert str(located(http, "/v1/x")) == "http://host:8080/v1/x"
