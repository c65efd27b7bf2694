"""Publications: what they do when the other side says no, redirects, is busy or goes away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.responses import Response

from runtime.portraits import PortraitStore
from stream import publish, whip
from stream.publish import delay
from tests.stream.conftest import Live, serving
from tests.stream.test_gather import HERE, free_ports, stun_server
from tests.stream.whip_endpoint import TOKEN, Endpoint, whip_endpoint


@pytest.fixture
async def there() -> AsyncIterator[Endpoint]:
    async with whip_endpoint() as endpoint:
        yield endpoint


@pytest.fixture
async def live(store: PortraitStore, there: Endpoint) -> AsyncIterator[Live]:
    allowed = (f"{there.base}/whip", f"{there.base}/edge", f"{there.base}/resource")
    async with serving(store, publish_to=allowed, connect_timeout=8.0) as running:
        yield running


async def start(live: Live, url: str, token: str = TOKEN, **more: Any) -> dict[str, str]:
    """A session that is published; the answer holds what opens the session."""
    session = await live.session()
    wanted = {"url": url, "token": token} | more
    made = await live.http.post(path(session), json=wanted, headers=live.auth(session))
    assert made.status_code == 201, made.text
    assert made.json()["state"] == "connecting"
    assert made.headers["location"] == f"{path(session)}/{made.json()['id']}"
    return session


def path(session: dict[str, str]) -> str:
    return f"/v1/sessions/{session['id']}/publications"


async def reached(live: Live, session: dict[str, str], state: str) -> dict[str, Any]:
    """The session's only publication, once it is at ``state``."""
    async with asyncio.timeout(12):
        while True:
            (info,) = (await live.http.get(path(session), headers=live.auth(session))).json()
            if info["state"] == state:
                return dict(info)
            assert info["state"] != "failed", info
            await asyncio.sleep(0.02)


async def received(there: Endpoint) -> None:
    async with asyncio.timeout(8):
        while there.frames["video"] < 5 or there.frames["audio"] < 5:  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.02)


async def test_sound_and_pictures_arrive_and_the_resource_is_deleted_at_the_end(
    live: Live, there: Endpoint
) -> None:
    session = await start(live, there.url)
    info = await reached(live, session, "live")
    await received(there)
    assert live.sessions.get(session["id"]).viewers == 1
    assert live.sessions.get(session["id"]).info()["expires_in"] is None
    one = f"{path(session)}/{info['id']}"
    assert (await live.http.get(one, headers=live.auth(session))).json() == info
    assert (await live.http.delete(one, headers=live.auth(session))).status_code == 204
    assert there.asked == ["POST /whip/key-of-the-stream", "DELETE /resource/1"]
    assert there.tokens == {f"Bearer {TOKEN}"}
    assert (await live.http.get(one, headers=live.auth(session))).status_code == 404
    assert live.sessions.get(session["id"]).viewers == 0


async def test_nothing_secret_is_told_or_logged(
    live: Live, there: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for other in ("httpx", "httpcore", "aiortc", "aioice"):  # as `configure_logging` has them
        caplog.set_level(logging.WARNING, logger=other)
    caplog.set_level(logging.WARNING, logger="uvicorn.access")  # the endpoint's own
    there.moods.append(Response(status_code=500))
    session = await start(live, there.url)
    info = await reached(live, session, "retrying")
    assert info["url"] == f"{there.base}/…"
    told = str(info) + "".join(f"{vars(record)}" for record in caplog.records)
    assert "500" in told
    for secret in (TOKEN, "key-of-the-stream", "also"):
        assert secret not in told


async def test_a_redirect_is_followed_to_an_allowed_place(live: Live, there: Endpoint) -> None:
    there.moods.append(Response(status_code=307, headers={"Location": "/edge/7"}))
    there.location = (there.base + "/resource/{}").format
    session = await start(live, there.url)
    await reached(live, session, "live")
    await live.http.delete(f"/v1/sessions/{session['id']}", headers=live.auth(session))
    async with asyncio.timeout(5):
        while there.asked[-1] != "DELETE /resource/2":  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.02)
    assert there.asked[:2] == ["POST /whip/key-of-the-stream", "POST /edge/7"]


async def test_nothing_is_sent_to_where_a_server_leads_if_it_is_not_allowed(
    live: Live, there: Endpoint
) -> None:
    session = await live.session()
    async with whip_endpoint() as elsewhere:
        there.moods.append(Response(status_code=307, headers={"Location": elsewhere.url}))
        assert "publish_to" in await refused(live, session, there.url, TOKEN)
        there.location = (elsewhere.base + "/resource/{}").format
        assert "publish_to" in await refused(live, session, there.url, TOKEN)
        assert elsewhere.asked == []


async def test_a_no_is_taken_for_a_no(live: Live, there: Endpoint) -> None:
    session = await live.session()
    for status in (400, 401, 403, 404, 200, 302):  # a failed one takes no place
        there.moods.append(Response(status_code=status, headers={"Location": "/edge/7"}))
        assert str(status) in await refused(live, session, there.url, TOKEN)
    assert "token" in await refused(live, session, there.url, "mustard")
    await asyncio.sleep(0.2)
    assert len(there.asked) == 7
    assert live.sessions.get(session["id"]).viewers == 0


async def refused(live: Live, session: dict[str, str], url: str, token: str) -> str:
    """Publish in vain; why."""
    auth = live.auth(session)
    made = await live.http.post(path(session), json={"url": url, "token": token}, headers=auth)
    one = made.headers["location"]
    async with asyncio.timeout(5):
        while (info := (await live.http.get(one, headers=auth)).json())["state"] != "failed":  # noqa: ASYNC110 - no event
            await asyncio.sleep(0.02)
    return str(info["reason"])


@pytest.mark.parametrize("takes_trickle", [True, False])
async def test_ice_servers_of_the_answer_count_for_the_same_connection(
    live: Live, there: Endpoint, takes_trickle: bool
) -> None:
    there.takes_trickle = takes_trickle
    async with stun_server("198.51.100.7") as (stun, address):
        there.link = f'<stun:{HERE}:{address[1]}>; rel="ice-server"'
        session = await start(live, there.url)
        await reached(live, session, "live")
        assert stun.asked
    assert there.asked[:2] == ["POST /whip/key-of-the-stream", "PATCH /resource/1"]
    if takes_trickle:
        ((etag, body),) = there.trickled
        assert etag == '"one"' and "198.51.100.7" in body and "typ srflx" in body
        assert "typ host" not in body, "those went with the offer"


async def test_a_server_of_the_answer_that_is_away_delays_nobody(
    live: Live, there: Endpoint
) -> None:
    async with stun_server(None) as (_, address):
        there.link = f'<stun:{HERE}:{address[1]}>; rel="ice-server"'
        session = await start(live, there.url)
        began = time.monotonic()
        await reached(live, session, "live")
        assert time.monotonic() - began < 4 and not there.trickled


async def test_publications_keep_to_the_operator_s_ports(
    store: PortraitStore, there: Endpoint
) -> None:
    (port,) = free_ports(1)
    allowed = (f"{there.base}/whip", f"{there.base}/resource")
    async with serving(store, publish_to=allowed, udp_ports=f"{port}-{port}") as live:
        session = await start(live, there.url)
        await reached(live, session, "live")
        (pc,) = there.peers.values()
        lines = pc.remoteDescription.sdp.splitlines()
        told = {int(line.split()[5]) for line in lines if line.startswith("a=candidate")}
        assert told == {port}
        other = await live.http.post(
            path(session), json={"url": there.url, "token": TOKEN}, headers=live.auth(session)
        )
        async with asyncio.timeout(5):
            while True:
                info = await live.http.get(other.headers["location"], headers=live.auth(session))
                if info.json()["state"] == "retrying":
                    break
                await asyncio.sleep(0.02)
        assert "udp_ports" in info.json()["reason"]


FINAL = (200, 202, 204, 301, 302, 303, 400, 401, 402, 403, 404, 405, 406, 410, 413, 415, 422)
PASSES = (408, 409, 425, 429, 500, 501, 502, 503, 504)


@pytest.mark.parametrize("status", [*FINAL, *PASSES])
async def test_what_an_answer_means(there: Endpoint, status: int) -> None:
    places = whip.Places([there.base])
    later = (datetime.now(UTC) + timedelta(seconds=100)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    async with whip.Whip(places) as client:
        for header, least, most in (("7", 7, 7), (later, 90, 100), ("soon", 0, 0)):
            headers = {"Retry-After": header, "Location": "/edge/7"}
            there.moods.append(Response(status_code=status, headers=headers))
            kind = whip.Trouble if status in PASSES else whip.Refused
            with pytest.raises(kind, match=str(status)) as caught:
                await client.offer(places.read(there.url), "v=0", "")
            wait = caught.value.facts.get("retry_after")
            if status in FINAL or header == "soon":
                assert wait is None
            else:
                assert wait is not None and least <= wait <= most
    assert there.count("POST /edge/7") == 0


@pytest.mark.parametrize("status", [307, 308])
async def test_redirects_are_followed_with_the_offer_and_not_for_ever(
    there: Endpoint, status: int
) -> None:
    places = whip.Places([there.base])
    again = {"Location": "/edge/7"}
    async with whip.Whip(places) as client:
        there.moods.extend(Response(status_code=status, headers=again) for _ in range(4))
        there.moods.append(Response(status_code=404))
        with pytest.raises(whip.Refused, match="404"):
            await client.offer(places.read(there.url), "v=0", TOKEN)
        assert there.count("POST /edge/7") == 4 and there.tokens == {f"Bearer {TOKEN}"}
        there.moods.extend(Response(status_code=status, headers=again) for _ in range(9))
        with pytest.raises(whip.Refused, match="redirects more"):
            await client.offer(places.read(there.url), "v=0", TOKEN)
        assert len(there.moods) == 4


async def test_a_busy_server_is_asked_again_when_it_says(live: Live, there: Endpoint) -> None:
    there.moods.append(Response(status_code=503, headers={"Retry-After": "2"}))
    began = time.monotonic()
    session = await start(live, there.url)
    assert "503" in (await reached(live, session, "retrying"))["reason"]
    touched = live.sessions.get(session["id"]).limits.touched
    await reached(live, session, "live")
    assert 2.0 <= time.monotonic() - began < 10
    assert live.sessions.get(session["id"]).limits.touched > touched  # it was not idle meanwhile


async def test_a_lost_connection_comes_back(live: Live, there: Endpoint) -> None:
    session = await start(live, there.url)
    await reached(live, session, "live")
    await received(there)
    await there.drop()
    assert "lost" in (await reached(live, session, "retrying"))["reason"]
    there.frames.clear()
    info = await reached(live, session, "live")
    assert info["reconnects"] == 1 and info["reason"] == ""
    await received(there)
    assert there.count("DELETE /resource/1") == 1  # the lost one is not left behind
    await live.stop()
    assert there.asked[-1] == "DELETE /resource/3"


async def test_nobody_is_asked_for_ever(
    live: Live, there: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "GIVE_UP", 1.0)
    there.moods.extend(Response(status_code=502) for _ in range(50))
    session = await start(live, there.url)
    assert "long enough" in (await reached(live, session, "failed"))["reason"]
    assert len(there.asked) < 5


async def test_a_server_that_dribbles_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whip, "TOTAL", 0.4)

    async def dribble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 Created\r\nContent-Type: application/sdp\r\n\r\n")
        try:
            while not writer.is_closing():
                writer.write(b"v")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(dribble, "127.0.0.1", 0)
    places = whip.Places([f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"])
    url = places.read(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/whip")
    async with whip.Whip(places) as client:
        with pytest.raises(whip.Trouble, match="in time"):
            await client.offer(url, "v=0", "")
    server.close()
    await server.wait_closed()


async def test_an_endless_answer_is_refused(there: Endpoint) -> None:
    there.moods.append(Response("x" * 200_000, 201, {"Location": "/x"}, "application/sdp"))
    places = whip.Places([there.base])
    async with whip.Whip(places) as client:
        with pytest.raises(whip.Refused, match="more than"):
            await client.offer(places.read(there.url), "v=0", "")


async def test_publishing_is_off_unless_the_operator_allows_it(store: PortraitStore) -> None:
    async with serving(store) as live:
        session = await live.session()
        made = await live.http.post(
            path(session), json={"url": "https://sfu.example.com"}, headers=live.auth(session)
        )
        assert made.status_code == 403 and "stream.publish_to" in made.json()["detail"]


async def test_who_may_publish_where_and_how_often(live: Live, there: Endpoint) -> None:
    session = await live.session()
    auth = live.auth(session)

    async def ask(headers: dict[str, str] = auth, **wanted: Any) -> int:
        return (await live.http.post(path(session), json=wanted, headers=headers)).status_code

    assert await ask({}, url=there.url) == 401
    assert await ask(url="https://sfu.example.com/whip") == 403
    assert await ask(url="http://169.254.169.254/latest") == 403
    assert await ask(url=there.base + "/whip/../admin") == 403
    assert await ask(url="nonsense") == 422
    assert await ask(url=there.url, token="a\r\nHost: b") == 422
    assert await ask(url=there.url, video={"codec": "av1"}) == 422
    assert await ask(url=there.url, more=1) == 422
    assert [await ask(url=there.url, token=TOKEN) for _ in range(3)] == [201, 201, 503]


def test_the_wait_grows_is_bounded_and_is_never_the_same_for_all() -> None:
    assert [delay(n, 0.999) for n in (1, 2, 3)] == pytest.approx([1, 2, 4], rel=0.01)
    assert delay(1, 0.0) == 0.5
    assert 15 <= delay(10, 0.0) <= delay(10_000, 0.999) <= 30
