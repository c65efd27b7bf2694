"""Every endpoint with good and bad input; every error is a problem in words."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from runtime.events import FEED_LIMIT
from runtime.portraits import PortraitStore
from runtime.sessions import Sessions
from runtime.settings import RuntimeSettings
from stream.app import create_app
from stream.settings import StreamSettings
from tests.conftest import PEOPLE
from tests.stream.conftest import Live, serving

SELFIE = PEOPLE / "P001" / "assets" / "amateur_selfie.jpg"


def is_problem(answer: httpx.Response, status: int) -> Mapping[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body: Mapping[str, object] = answer.json()
    assert body["status"] == status and body["detail"] and str(body["type"]).startswith("urn:")
    return body


async def test_health_and_page(live: Live) -> None:
    assert (await live.http.get("/healthz")).json() == {"status": "ok"}
    assert (await live.http.get("/readyz")).json()["ready"] is True
    page = await live.http.get("/")
    assert page.status_code == 200 and "default-src" in page.headers["content-security-policy"]
    docs = await live.http.get("/docs")
    assert "/v1/sessions/{id}/whep" in docs.text and "http" not in docs.text.split("<body")[0]
    is_problem(await live.http.get("/nowhere"), 404)
    is_problem(await live.http.get("/../server.py"), 404)
    is_problem(await live.http.get("/%2e%2e/server.py"), 404)
    refused = await live.http.post("/healthz")
    is_problem(refused, 405)
    assert refused.headers["allow"] == "GET"


async def test_metrics_speak_prometheus(live: Live) -> None:
    await live.session()
    text = (await live.http.get("/metrics")).text
    assert "saccade_sessions 1.0" in text
    assert "# TYPE saccade_frames_total counter" in text


async def test_labels(live: Live) -> None:
    labels = (await live.http.get("/v1/labels")).json()
    assert len(labels) == 14
    assert all(set(label) == {"name", "title", "description"} for label in labels)


async def test_portraits_come_and_go(live: Live) -> None:
    listed = (await live.http.get("/v1/portraits")).json()
    assert len(listed) == 10
    thumbnail = await live.http.get(listed[0]["thumbnail"])
    assert thumbnail.content[:2] == b"\xff\xd8"
    form = await live.http.post(
        "/v1/portraits", files={"file": ("me.jpg", SELFIE.read_bytes())}, data={"name": "Me"}
    )
    assert form.status_code == 201 and form.json()["name"] == "Me"
    raw = await live.http.post(
        "/v1/portraits", content=SELFIE.read_bytes(), headers={"Content-Type": "image/jpeg"}
    )
    assert raw.json()["id"] == form.json()["id"]
    one = form.headers["location"]
    assert (await live.http.get(one)).json()["builtin"] is False
    assert (await live.http.delete(one)).status_code == 204
    is_problem(await live.http.get(one), 404)


async def test_bad_portraits_are_refused_with_a_reason(live: Live) -> None:
    for body in (b"", b"hello", b"\xff\xd8\xff\xe0"):
        problem = is_problem(await live.http.post("/v1/portraits", content=body), 422)
        assert problem["reason"] == "not-an-image"
    assert len((await live.http.get("/v1/portraits")).json()) == 10


async def test_bad_uploads(live: Live) -> None:
    is_problem(await live.http.post("/v1/portraits", content=bytes(5 << 20)), 413)
    is_problem(await live.http.post("/v1/portraits", files={"picture": b"x"}), 422)
    broken = {"Content-Type": "multipart/form-data; boundary=x"}
    is_problem(await live.http.post("/v1/portraits", content=b"nonsense", headers=broken), 400)
    first = (await live.http.get("/v1/portraits")).json()[0]["id"]
    is_problem(await live.http.delete(f"/v1/portraits/{first}"), 422)
    for id in ("nosuch", "..%2f..%2fetc", "a" * 200):
        is_problem(await live.http.get(f"/v1/portraits/{id}"), 404)
        is_problem(await live.http.get(f"/v1/portraits/{id}/thumbnail"), 404)


async def test_a_session_s_life(live: Live) -> None:
    session = await live.session(label="drowsiness", instruction="look left")
    where, auth = f"/v1/sessions/{session['id']}", live.auth(session)
    shown = (await live.http.get(where, headers=auth)).json()
    assert shown["label"] == "drowsiness" and shown["instruction"] == "look left"
    is_problem(await live.http.get(where), 401)
    is_problem(await live.http.get(where, headers={"Authorization": "Bearer nonsense"}), 401)
    other = await live.session()
    is_problem(await live.http.get(where, headers=live.auth(other)), 401)
    assert (await live.http.delete(where, headers=auth)).status_code == 204
    is_problem(await live.http.get(where, headers=auth), 404)


BAD_SESSIONS: list[object] = [
    {"label": "flabbergasted"},
    {"instruction": "x" * 3000},
    {"instruction": "x" * 1000},
    {"seed": -1},
    {"seed": "one"},
    {"colour": "red"},
    {"portrait": 5},
    [],
]


async def test_bad_sessions_are_refused_and_take_no_place(live: Live) -> None:
    for wanted in BAD_SESSIONS:
        is_problem(await live.http.post("/v1/sessions", json=wanted), 422)
    assert live.sessions.list() == []


async def test_full_house(live: Live) -> None:
    is_problem(await live.http.post("/v1/sessions", json={"portrait": "nosuch"}), 404)
    is_problem(
        await live.http.post(
            "/v1/sessions", content=b"{", headers={"Content-Type": "application/json"}
        ),
        422,
    )
    answers = await asyncio.gather(*(live.http.post("/v1/sessions") for _ in range(3)))
    assert sorted(a.status_code for a in answers) == [201, 201, 503]
    refused = next(a for a in answers if a.status_code == 503)
    is_problem(refused, 503)
    assert int(refused.headers["retry-after"]) > 0


async def test_small_bodies_are_held_to_a_small_limit(live: Live) -> None:
    is_problem(await live.http.post("/v1/sessions", content=b" " * (200 << 10)), 413)

    async def trickle() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * (10 << 10)

    is_problem(await live.http.post("/v1/sessions", content=trickle()), 413)
    assert live.sessions.list() == []


async def test_a_bug_is_logged_and_not_shown(
    store: PortraitStore, caplog: pytest.LogCaptureFixture
) -> None:
    sessions = Sessions(store, None, RuntimeSettings())  # never entered: creating fails

    app = create_app(sessions, StreamSettings())
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        answer = await http.post("/v1/sessions")
        assert (await http.get("/readyz")).status_code == 503
    body = is_problem(answer, 500)
    assert "async with" not in str(body)
    assert "AssertionError" in caplog.text and "Traceback" in caplog.text


async def test_other_origins_may_call_when_they_are_allowed(store: PortraitStore) -> None:
    origin = "https://app.example.com"
    settings = StreamSettings(
        allowed_origins=(origin,), ice_servers=("turn:turn.example.com:3478 ann sesame",)
    )
    app = create_app(Sessions(store, None, RuntimeSettings()), settings)
    ask = {"Origin": origin, "Access-Control-Request-Method": "PATCH"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as http:
        preflight = await http.options("/v1/sessions/x/whep/y", headers=ask)
        assert preflight.headers["access-control-allow-origin"] == origin
        allowed = set(preflight.headers["access-control-allow-methods"].split(", "))
        assert allowed == {"OPTIONS", "GET", "POST", "PATCH", "DELETE"}
        wanted = {"Access-Control-Request-Headers": "authorization, content-type, if-match"}
        preflight = await http.options("/v1/sessions/x/whep/y", headers=ask | wanted)
        told = preflight.headers["access-control-allow-headers"].lower()
        assert preflight.status_code == 200
        assert {"authorization", "content-type", "if-match"} <= set(told.split(", "))
        stranger = await http.options("/v1/sessions", headers=ask | {"Origin": "https://x.test"})
        assert stranger.status_code == 400
        plain = await http.options("/v1/sessions/x/whep", headers={"Origin": origin})
        assert plain.headers["link"] == (
            '<turn:turn.example.com:3478>; rel="ice-server"; username="ann"; credential="sesame";'
            ' credential-type="password"'
        )
        assert plain.headers["access-control-expose-headers"] == "*"
        assert "access-control-allow-credentials" not in plain.headers, "then * would be a name"
        missing = await http.get("/v1/sessions/nosuch", headers={"Origin": origin})
        assert is_problem(missing, 404) and missing.headers["access-control-allow-origin"] == origin


async def test_the_description_lists_every_route_and_its_problems(live: Live) -> None:
    described = (await live.http.get("/openapi.json")).json()
    paths = described["paths"]
    whep = paths["/v1/sessions/{id}/whep"]["post"]
    assert "application/sdp" in whep["requestBody"]["content"]
    assert {"201", "401", "404", "406", "415", "422", "503"} <= set(whep["responses"])
    assert "application/problem+json" in whep["responses"]["503"]["content"]
    speech = paths["/v1/sessions/{id}/speech"]["post"]
    assert {p["name"] for p in speech["parameters"] if p["in"] == "query"} == {"cause", "turn"}
    assert "409" in speech["responses"]
    assert "multipart/form-data" in paths["/v1/portraits"]["post"]["requestBody"]["content"]
    assert len(paths) >= 11
    for methods in paths.values():
        assert all(route["summary"] and route["description"] for route in methods.values())


BAD_REQUESTS = [
    ("GET", "/v1/sessions", 405),
    ("PUT", "/v1/portraits", 405),
    ("PATCH", "/v1/labels", 405),
    ("DELETE", "/v1/sessions/nosuch", 404),
    ("GET", "/v1/sessions/nosuch", 404),
    ("POST", "/v1/sessions/nosuch/whep", 404),
    ("GET", "/v1/sessions/nosuch/whep", 405),
    ("PATCH", "/v1/sessions/nosuch/whep/x", 404),
    ("DELETE", "/v1/sessions/nosuch/whep/x", 404),
    ("GET", "/v1/sessions/nosuch/control", 404),
    ("GET", "/v1/portraits/%00", 404),
    ("GET", "/v1/portraits/nosuch/thumbnail", 404),
    ("DELETE", "/v1/portraits/nosuch", 404),
    ("GET", "/web/../../server.py", 404),
    ("GET", "/..%2fserver.py", 404),
    ("GET", "//etc/passwd", 404),
    ("GET", "/" + "a" * 3000, 404),
    ("DELETE", "/", 405),
]


@pytest.mark.parametrize(("method", "path", "status"), BAD_REQUESTS)
async def test_every_wrong_turn_ends_in_a_problem(
    plain: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    is_problem(await plain.request(method, path), status)


@pytest.fixture
async def plain(store: PortraitStore) -> AsyncIterator[httpx.AsyncClient]:
    """The application without a server around it, without sessions."""
    app = create_app(Sessions(store, None, RuntimeSettings()), StreamSettings())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as http:
        yield http


def socket_of(live: Live, session: dict[str, str], **options: Any) -> connect:
    base = live.base.replace("http", "ws")
    return connect(f"{base}{session['control']}?token={session['token']}", **options)


async def until(socket: ClientConnection, kind: str) -> dict[str, object]:
    async with asyncio.timeout(5):
        while True:
            event: dict[str, object] = json.loads(await socket.recv())
            if event["type"] == kind:
                return event


async def test_the_control_socket(live: Live) -> None:
    session = await live.session()
    async with socket_of(live, session) as socket:
        hello = await until(socket, "hello")
        assert hello["v"] == 1 and len(hello["labels"]) == 14  # type: ignore[arg-type]
        await socket.send('{"id": "a", "type": "behave", "label": "surprise"}')
        assert (await until(socket, "ok"))["cause"] == "a"
        await socket.send("nonsense")
        assert "status" in await until(socket, "error")
        await socket.send('{"id": "b", "type": "ping"}')
        assert (await until(socket, "ok"))["cause"] == "b"
        controls = await until(socket, "controls")
        assert {len(row) for row in controls["values"]} == {17}  # type: ignore[attr-defined]
        await until(socket, "stats")
        await live.http.delete(f"/v1/sessions/{session['id']}", headers=live.auth(session))
        with pytest.raises(ConnectionClosed):
            await until(socket, "never")


@pytest.mark.parametrize(("id", "token", "code"), [("real", "wrong", 4401), ("nosuch", "x", 4404)])
async def test_a_socket_that_may_not_in_is_told_why(
    live: Live, id: str, token: str, code: int
) -> None:
    session = await live.session()
    path = session["control"] if id == "real" else "/v1/sessions/nosuch/control"
    async with socket_of(live, {"control": path, "token": token}) as socket:
        with pytest.raises(ConnectionClosed) as caught:
            await socket.recv()
    assert caught.value.rcvd is not None and caught.value.rcvd.code == code


async def test_a_client_that_only_talks_nonsense_is_closed(live: Live) -> None:
    session = await live.session()
    async with socket_of(live, session) as socket:
        with pytest.raises(ConnectionClosed) as caught:
            for _ in range(60):
                await socket.send("nonsense")
                await socket.recv()
            async with asyncio.timeout(5):
                while True:
                    await socket.recv()
    assert caught.value.rcvd is not None and caught.value.rcvd.code == 1008


async def test_the_token_may_come_as_a_subprotocol(live: Live) -> None:
    session = await live.session()
    address = live.base.replace("http", "ws") + session["control"]
    offered = [Subprotocol("saccade.v1"), Subprotocol(f"token.{session['token']}")]
    async with connect(address, subprotocols=offered) as socket:
        assert socket.subprotocol == "saccade.v1"
        await until(socket, "hello")
    headers = live.auth(session)
    async with connect(address, additional_headers=headers) as socket:
        await until(socket, "hello")


async def test_a_socket_to_nowhere_is_told_so(live: Live) -> None:
    async with connect(live.base.replace("http", "ws") + "/v1/nowhere") as socket:
        with pytest.raises(ConnectionClosed) as caught:
            await socket.recv()
    assert caught.value.rcvd is not None and caught.value.rcvd.code == 4404


async def test_one_socket_too_many_is_told_to_come_back(live: Live) -> None:
    session = await live.session()
    async with socket_of(live, session) as first, socket_of(live, session) as second:
        await until(first, "hello")
        await until(second, "hello")
        async with socket_of(live, session) as third:
            with pytest.raises(ConnectionClosed) as caught:
                await third.recv()
        assert caught.value.rcvd is not None and caught.value.rcvd.code == 1013
    async with socket_of(live, session) as again:
        await until(again, "hello")


async def test_sound_of_any_size_is_taken_or_refused_and_the_socket_stays(live: Live) -> None:
    session = await live.session()
    async with socket_of(live, session) as socket:
        await socket.send(b"")
        await socket.send(b"\x01")
        await socket.send(bytes(2 * 16_000 * 11))
        assert "10 s" in str((await until(socket, "error"))["detail"])
        await socket.send('{"id": "still", "type": "ping"}')
        assert (await until(socket, "ok"))["cause"] == "still"


async def test_an_oversized_message_closes_the_socket_with_1009(live: Live) -> None:
    session = await live.session()
    async with socket_of(live, session) as socket:
        with pytest.raises(ConnectionClosed) as caught:
            await socket.send(bytes(3 << 20))
            async with asyncio.timeout(5):
                while True:
                    await socket.recv()
    assert caught.value.rcvd is not None and caught.value.rcvd.code == 1009


async def test_a_client_that_does_not_read_is_let_go(store: PortraitStore) -> None:
    """Also its connection, though it takes nothing of what was sent, not even the close frame."""
    async with serving(store, write_timeout=0.3) as live:
        session = await live.session()
        living = live.sessions.get(session["id"])
        async with socket_of(live, session, max_queue=1) as socket:
            await until(socket, "hello")
            files = len(os.listdir("/proc/self/fd"))
            async with asyncio.timeout(10):
                while feeds := living._teller._hub.feeds:
                    for _ in range(50):
                        living.tell("state", {"filler": secrets.token_hex(50_000)})
                    assert all(len(feed._events) <= FEED_LIMIT for feed in feeds)
                    await asyncio.sleep(0.02)
                while len(os.listdir("/proc/self/fd")) >= files:  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.02)
            socket.transport.abort()
        assert living.state == "idle"  # the session lives on
