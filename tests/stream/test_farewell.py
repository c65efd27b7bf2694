"""A page that goes says so: its session ends soon, unless somebody is there."""

from __future__ import annotations

import asyncio

from tests.stream.conftest import Live
from tests.stream.test_viewer import viewer
from tests.stream.test_whep import offer


async def say_farewell(live: Live, session: dict[str, str], after: str) -> int:
    where = f"/v1/sessions/{session['id']}?after={after}"
    return (await live.http.delete(where, headers=live.auth(session))).status_code


async def test_a_session_whose_page_left_ends_and_no_other(live: Live) -> None:
    gone, back = await live.session(), await live.session()
    assert await say_farewell(live, gone, "0.4") == 204
    await asyncio.sleep(0.7)
    assert [session.id for session in live.sessions.list()] == [back["id"]]
    for after in ("-1", "61", "soon"):
        assert await say_farewell(live, back, after) == 422


async def test_a_session_that_is_watched_or_told_something_outlives_a_farewell(live: Live) -> None:
    watched, told = await live.session(), await live.session()
    async with viewer(live, watched):
        for session in (watched, told):
            assert await say_farewell(live, session, "0.3") == 204
        await asyncio.sleep(0.2)
        live.sessions.get(told["id"]).behave(label="surprise")
        await asyncio.sleep(0.4)
        assert len(live.sessions.list()) == 2


async def test_an_offer_that_was_under_way_does_not_keep_a_session_whose_page_left(
    live: Live,
) -> None:
    session = await live.session()
    headers = {"Content-Type": "application/sdp"} | live.auth(session)
    assert await say_farewell(live, session, "0.3") == 204
    made = await live.http.post(session["whep"], headers=headers, content=await offer())
    assert made.status_code == 201
    await asyncio.sleep(0.6)
    assert len(live.sessions.list()) == 1  # it may be a page that is back
    async with asyncio.timeout(3):  # `connect_timeout` of this server is 2 s
        while live.sessions.list():  # noqa: ASYNC110 - polled from outside
            await asyncio.sleep(0.05)
