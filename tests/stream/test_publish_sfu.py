"""Publishing to a real SFU, watched there as its viewers do. See `tests/install_sfu.sh`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import av
import numpy as np
import pytest
import pytest_asyncio
from aiortc import MediaStreamTrack

from runtime.portraits import PortraitStore
from tests.stream import sfu
from tests.stream.conftest import Live, serving

pytestmark = pytest.mark.skipif(sfu.sources() is None, reason="no SFU is installed")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def other(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[sfu.Sfu]:
    async with sfu.running(tmp_path_factory.mktemp("sfu")) as running:
        yield running


async def publish(live: Live, session: dict[str, str], **wanted: Any) -> dict[str, Any]:
    where = f"/v1/sessions/{session['id']}/publications"
    made = await live.http.post(where, json=wanted, headers=live.auth(session))
    assert made.status_code == 201, made.text
    answer: dict[str, Any] = made.json()
    return answer


async def reached(live: Live, session: dict[str, str], state: str) -> dict[str, Any]:
    """The session's only publication, once it is at ``state``."""
    where = f"/v1/sessions/{session['id']}/publications"
    async with asyncio.timeout(10):
        while True:
            (info,) = (await live.http.get(where, headers=live.auth(session))).json()
            if info["state"] == state:
                return dict(info)
            assert info["state"] != "failed", info
            await asyncio.sleep(0.05)


async def frames(track: MediaStreamTrack, count: int) -> list[Any]:
    async with asyncio.timeout(10):
        return [await track.recv() for _ in range(count)]


@pytest.mark.parametrize("codec", ["h264", "vp8"])
async def test_what_is_published_is_seen_and_heard_behind_the_sfu(
    store: PortraitStore, other: sfu.Sfu, codec: str
) -> None:
    async with serving(store, publish_to=(other.whip,), connect_timeout=8.0) as live:
        url = await other.endpoint("sesame")
        session = await live.session()
        made = await publish(live, session, url=url, token="sesame", video={"codec": codec})
        await reached(live, session, "live")
        async with other.room() as room:
            (publisher,) = await room.publishers()
            tracks: dict[str, MediaStreamTrack] = {}
            room.pc.on("track", lambda track: tracks.setdefault(track.kind, track))
            await room.subscribe(publisher)
            seen, heard = await asyncio.gather(
                frames(tracks["video"], 30), frames(tracks["audio"], 50)
            )
            assert isinstance(seen[-1], av.VideoFrame) and seen[-1].width == 256
            assert np.std(seen[-1].to_ndarray(format="gray")) > 10  # a face, not a grey field
            pts = [frame.pts for frame in seen[5:]]
            assert np.median(np.diff(pts)) == 3600
            assert np.diff([frame.pts for frame in heard]).max() <= 960
            assert live.sessions.get(session["id"]).viewers == 1
            where = f"/v1/sessions/{session['id']}/publications/{made['id']}"
            gone = await live.http.delete(where, headers=live.auth(session))
            assert gone.status_code == 204
            assert await room.publishers() == []
    assert "sesame" not in str(made) and url.rsplit("/", 1)[1] not in str(made)


async def test_what_the_sfu_throws_out_comes_back(store: PortraitStore, other: sfu.Sfu) -> None:
    async with serving(store, publish_to=(other.whip,), connect_timeout=8.0) as live:
        session = await live.session()
        await publish(live, session, url=await other.endpoint("sesame"), token="sesame")
        await reached(live, session, "live")
        async with other.room() as room:
            (publisher,) = await room.publishers()
            await room.kick(publisher)
            await reached(live, session, "retrying")
            assert (await reached(live, session, "live"))["reconnects"] == 1
            assert len(await room.publishers()) == 1
            ended = await live.http.delete(
                f"/v1/sessions/{session['id']}", headers=live.auth(session)
            )
            assert ended.status_code == 204
            async with asyncio.timeout(5):
                while await room.publishers():  # noqa: ASYNC110 - no event
                    await asyncio.sleep(0.05)


async def test_a_wrong_token_is_the_end_of_it(store: PortraitStore, other: sfu.Sfu) -> None:
    async with serving(store, publish_to=(other.whip,)) as live:
        session = await live.session()
        await publish(live, session, url=await other.endpoint("sesame"), token="mustard")
        where = f"/v1/sessions/{session['id']}/publications"
        async with asyncio.timeout(5):
            while True:
                (info,) = (await live.http.get(where, headers=live.auth(session))).json()
                if info["state"] == "failed":
                    break
                await asyncio.sleep(0.05)
        assert "403" in info["reason"] and "mustard" not in str(info)
