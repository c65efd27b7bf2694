"""What a session used is gone when it has ended: objects, threads, sockets; also what a GPU would
hold, as that hangs on the renderer. A leak of one object a session is found here, in eight cycles;
`python -m stream.bench_cycles` counts bytes over a thousand."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiortc import RTCIceTransport
from aiortc.mediastreams import AudioStreamTrack
from websockets.asyncio.client import connect

from runtime.author import Author
from runtime.events import EventFeed
from runtime.lookahead import Lookahead
from runtime.media import MediaFeed
from runtime.portraits import PortraitStore
from runtime.renderer import PuppetRenderer
from runtime.session import Session
from runtime.timeline import Timeline
from stream.broadcast import Broadcast
from stream.codecs import Opus, VideoEncoder
from stream.control import Protocol
from stream.listener import Listener
from stream.peer import Peer
from stream.rendition import Outlet, Rendition
from stream.restart import IcePath
from stream.sender import MediaSender
from tests.runtime.test_session import vowel
from tests.stream.conftest import Live, serving
from tests.stream.test_viewer import viewer

HELD = (
    Session, PuppetRenderer, Timeline, Lookahead, Author, MediaFeed, EventFeed, Broadcast,
    Rendition, VideoEncoder, Opus, Outlet, Peer, MediaSender, IcePath, Listener, Protocol,
)  # fmt: skip
"All that is made for a session or a viewer. `Listener` is a UDP socket."
CYCLES = 3
POOLS = {"render": 4, "encode": 2, "asyncio": 32}
"Most threads of each pool, for this server's two sessions."


@pytest.fixture
async def recording(store: PortraitStore, tmp_path: Path) -> AsyncIterator[Live]:
    async with serving(store, recordings=tmp_path) as live:
        yield live


def alive() -> Counter[str]:
    """Objects that are reachable, by class."""
    gc.collect()
    return Counter(type(thing).__name__ for thing in gc.get_objects() if isinstance(thing, HELD))


async def watched(live: Live) -> None:
    """Each way in and each way out: look, listen, talk, command, record, be interrupted, leave."""
    session = await live.session()
    where = f"/v1/sessions/{session['id']}"
    made = await live.http.post(f"{where}/recordings", headers=live.auth(session))
    assert made.status_code == 201
    socket = live.base.replace("http", "ws") + f"{session['control']}?token={session['token']}"
    reads = connect(socket, max_queue=None)  # or its closing would wait behind events
    async with reads as control, viewer(live, session, microphone=AudioStreamTrack()) as seen:
        await control.send((vowel(0.3) * 32767).astype("<i2").tobytes())
        await seen.frames("video", 4)
        await control.send('{"type": "interrupt"}')
        async with viewer(live, session, codec="H264") as other:
            await other.frames("audio", 2)
            left = await live.http.delete(other.resource, headers=live.auth(session))
            assert left.status_code == 200
    assert (await live.http.delete(where, headers=live.auth(session))).status_code == 204


async def gone() -> Counter[str]:
    """What is left, when what was closed last has had its time."""
    left = alive()
    for _ in range(60):
        if not left:
            break
        await asyncio.sleep(0.1)
        left = alive()
    return left


async def test_of_an_ended_session_nothing_is_left_not_even_its_renderer_or_a_thread(
    recording: Live,
) -> None:
    """Threads belong to pools of the process, which are bounded; a recording's ends with it."""
    assert not await gone(), "of tests before, or of the warm-up"
    before = threads()
    for _ in range(CYCLES):
        await watched(recording)
    assert not await gone()
    assert not recording.sessions.list()
    grown = {name: n for name, n in threads().items() if n > max(before[name], POOLS.get(name, 0))}
    assert not grown


def threads() -> Counter[str]:
    """How many run, by kind: a pool's threads are numbered."""
    return Counter(thread.name.split("_")[0].split("-")[0] for thread in threading.enumerate())


async def test_a_viewer_that_is_sent_away_is_told_and_its_sockets_are_closed(live: Live) -> None:
    """At once, though it would go on: what only waits for its network to fall silent stays open."""
    session = await live.session()
    async with viewer(live, session) as seen:
        await seen.frames("video", 3)
        theirs = ice_connections() - {id(seen.pc.getTransceivers()[0].receiver.transport.transport)}
        assert theirs
        await live.http.delete(seen.resource, headers=live.auth(session))
        async with asyncio.timeout(1):
            while seen.pc.connectionState != "closed":  # noqa: ASYNC110 - polled
                await asyncio.sleep(0.02)
        assert not ice_connections() & theirs


def ice_connections() -> set[int]:
    """ICE transports that have not ended."""
    found = (t for t in gc.get_objects() if isinstance(t, RTCIceTransport))
    return {id(t) for t in found if t.state not in ("closed", "failed")}
