"""Every endpoint with good and bad input; every error is a problem in words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.conftest import PEOPLE
from tests.stream.conftest import Live

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
    is_problem(await live.http.post("/healthz"), 405)


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


@pytest.mark.parametrize(
    ("body", "reason"),
    [(b"", "not-an-image"), (b"hello", "not-an-image"), (b"\xff\xd8\xff\xe0", "not-an-image")],
)
async def test_bad_portraits_are_refused_with_a_reason(
    live: Live, body: bytes, reason: str
) -> None:
    problem = is_problem(await live.http.post("/v1/portraits", content=body), 422)
    assert problem["reason"] == reason
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


@pytest.mark.parametrize(
    "wanted",
    [
        {"label": "flabbergasted"},
        {"instruction": "x" * 3000},
        {"instruction": "x" * 1000},
        {"seed": -1},
        {"seed": "one"},
        {"colour": "red"},
        {"portrait": 5},
        [],
    ],
)
async def test_bad_sessions_are_refused_and_take_no_place(live: Live, wanted: object) -> None:
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


def socket_of(live: Live, session: dict[str, str], token: str | None = None) -> connect:
    base = live.base.replace("http", "ws")
    return connect(f"{base}{session['control']}?token={token or session['token']}")


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
