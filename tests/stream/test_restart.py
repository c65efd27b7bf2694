"""ICE restarts: another way for the packets, the same connection above (RFC 9725 section 4.3.3)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from aioice import Connection, ConnectionClosed
from aiortc import RTCIceGatherer, RTCIceTransport, RTCPeerConnection, RTCSessionDescription
from aiortc.rtcicetransport import candidate_from_aioice, candidate_to_aioice

from core import NotFound
from stream.restart import IcePath, _hand_over
from stream.sdpfrag import parse_fragment, write_fragment
from stream.settings import StreamSettings
from tests.stream.conftest import Live

FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}


class Roamer:
    """A viewer that can change networks: aiortc, with our path under it on this side too."""

    def __init__(self, live: Live, session: dict[str, str]) -> None:
        self.http = live.http
        self.auth = live.auth(session)
        self.whep = session["whep"]
        self.pc = RTCPeerConnection()
        self.resource = self.etag = ""
        self.tracks: dict[str, Any] = {}
        self.pc.on("track", lambda track: self.tracks.__setitem__(track.kind, track))
        self.pc.addTransceiver("video", direction="recvonly")
        self.pc.addTransceiver("audio", direction="recvonly")

    async def watch(self) -> None:
        await self.pc.setLocalDescription(await self.pc.createOffer())
        headers = {"Content-Type": "application/sdp"} | self.auth
        sdp = str(self.pc.localDescription.sdp)
        made = await self.http.post(self.whep, headers=headers, content=sdp)
        assert made.status_code == 201, made.text
        self.resource, self.etag = made.headers["location"], made.headers["etag"]
        self.path = IcePath(self.transport, StreamSettings())
        await self.pc.setRemoteDescription(RTCSessionDescription(made.text, "answer"))

    @property
    def transport(self) -> RTCIceTransport:
        """The one of the first section, which the others are bundled with."""
        found: RTCIceTransport = self.pc.getTransceivers()[0].receiver.transport.transport
        return found

    async def frames(self, count: int) -> list[Any]:
        async with asyncio.timeout(8):
            return [await self.tracks["video"].recv() for _ in range(count)]

    async def patch(self, body: str, if_match: str = "*") -> httpx.Response:
        headers = FRAGMENT | self.auth | {"If-Match": if_match}
        return await self.http.patch(self.resource, headers=headers, content=body)

    async def begin_restart(self) -> tuple[Connection, httpx.Response]:
        """What the offering side does, which `IcePath` itself is not made for."""
        new = Connection(ice_controlling=True)
        await new.gather_candidates()
        mine = [candidate_from_aioice(c) for c in new.local_candidates]
        media = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0"
        body = write_fragment(new.local_username, new.local_password, mine, media=media)
        old = self.transport._connection
        if self.path._changing is None or self.path._changing.done():
            _hand_over(old, new)
            self.answered = asyncio.Event()
            self.path._next = new
            self.path._changing = asyncio.create_task(self._change(old, new))
        return new, await self.patch(body)

    async def _change(self, old: Connection, new: Connection) -> None:
        await self.answered.wait()
        await self.path._change(old, new)

    async def move(self, new: Connection, answer: httpx.Response) -> None:
        theirs = parse_fragment(answer.text)
        new.remote_username, new.remote_password = theirs.ufrag, theirs.password
        for candidate in theirs.candidates:
            await new.add_remote_candidate(candidate_to_aioice(candidate))
        await new.add_remote_candidate(None)
        self.answered.set()
        assert self.path._changing is not None
        await self.path._changing

    def lose_network(self) -> None:
        """Nothing comes, nothing goes, nobody says so."""
        for protocol in self.transport._connection._protocols:
            protocol.datagram_received = lambda data, addr: None  # type: ignore[method-assign]
            protocol.transport.sendto = lambda data, addr=None: None  # type: ignore[method-assign]


@asynccontextmanager
async def roaming(live: Live, session: dict[str, str]) -> AsyncIterator[Roamer]:
    roamer = Roamer(live, session)
    try:
        await roamer.watch()
        yield roamer
    finally:
        if hasattr(roamer, "path"):
            await roamer.path.close()
        await roamer.pc.close()


async def test_a_restart_keeps_pictures_coming_over_other_ports(live: Live) -> None:
    session = await live.session()
    async with roaming(live, session) as seen:
        before = (await seen.frames(5))[-1]
        ours = {p.local_candidate.port for p in seen.transport._connection._protocols}
        new, answer = await seen.begin_restart()
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith(FRAGMENT["Content-Type"])
        assert answer.headers["etag"] not in ("", seen.etag)
        await seen.move(new, answer)
        after = (await seen.frames(10))[-1]
        assert {p.local_candidate.port for p in new._protocols}.isdisjoint(ours)
        assert after.pts > before.pts  # one stream: RTP went on where it was
        assert seen.pc.connectionState == "connected"
        assert live.sessions.get(session["id"]).viewers == 1

        late = (
            "a=ice-ufrag:{}\r\na=ice-pwd:{}\r\nm=video 9 X 0\r\na=mid:0\r\na=end-of-candidates\r\n"
        )
        body = late.format(new.local_username, new.local_password)
        assert (await seen.patch(body, seen.etag)).status_code == 412  # of the ICE session before
        assert (await seen.patch(body, answer.headers["etag"])).status_code == 204
        again, answer = await seen.begin_restart()  # and once more
        await seen.move(again, answer)
        await seen.frames(5)


async def test_a_viewer_whose_network_vanished_comes_back_to_the_same_peer(live: Live) -> None:
    session = await live.session()
    async with roaming(live, session) as seen:
        before = (await seen.frames(3))[-1]
        seen.lose_network()
        await asyncio.sleep(0.5)
        new, answer = await seen.begin_restart()  # as browsers do when they notice
        assert answer.status_code == 200
        await asyncio.sleep(1.4)  # by now the old connection is given up (1.5 s), the peer is not
        assert live.sessions.get(session["id"]).viewers == 1
        await seen.move(new, answer)
        after = (await seen.frames(5))[-1]
        assert after.pts > before.pts
        gone = await live.http.delete(seen.resource, headers=seen.auth)
        assert gone.status_code == 200


async def test_a_restart_nobody_follows_changes_nothing(live: Live) -> None:
    session = await live.session()
    async with roaming(live, session) as seen:
        await seen.frames(3)
        for _ in range(3):  # each gives up the one before
            new, answer = await seen.begin_restart()
            assert answer.status_code == 200
            await new.close()
        await asyncio.sleep(2.3)  # `connect_timeout` of this server is 2 s
        await seen.frames(3)
        assert live.sessions.get(session["id"]).viewers == 1


async def test_leaving_in_the_middle_of_a_restart_frees_everything(live: Live) -> None:
    session = await live.session()
    async with roaming(live, session) as seen:
        await seen.frames(3)
        new, answer = await seen.begin_restart()
        assert answer.status_code == 200
        async with asyncio.timeout(3):
            gone = await live.http.delete(seen.resource, headers=seen.auth)
        assert gone.status_code == 200
        await new.close()
    assert live.sessions.get(session["id"]).viewers == 0
    assert not [t for t in asyncio.all_tasks() if t.get_name() == "ICE restart"]


async def test_restarts_at_the_same_moment_leave_one(live: Live) -> None:
    session = await live.session()
    async with roaming(live, session) as seen:
        await seen.frames(3)
        mine = live.sessions.get(session["id"])
        media = "m=video 9 X 0\r\na=mid:0\r\n"
        bodies = [f"a=ice-ufrag:abc{n}\r\na=ice-pwd:{'0' * 22}\r\n{media}" for n in range(4)]
        answers = await asyncio.gather(*(seen.patch(body) for body in bodies))
        assert [answer.status_code for answer in answers] == [200] * 4
        assert len({answer.headers["etag"] for answer in answers}) == 4
        running = [t for t in asyncio.all_tasks() if t.get_name() == "ICE restart"]
        assert len(running) == 1
        running[0].cancel()  # and one that is stopped before it could do anything
        await seen.frames(5)
        gone = await live.http.delete(seen.resource, headers=seen.auth)
        assert gone.status_code == 200
    assert mine.viewers == 0


async def test_a_restart_that_is_closed_at_once_is_undone() -> None:
    """Its task never ran: what it would have tidied up is tidied all the same."""
    transport = RTCIceTransport(RTCIceGatherer(iceServers=[]))
    old = transport._connection
    path = IcePath(transport, StreamSettings())
    await transport.iceGatherer.gather()
    waiting = asyncio.create_task(old.get_event())
    await asyncio.sleep(0)
    await path.restart("abcd", "0" * 22)
    await path.close()
    assert transport._connection is old and not old._closed and not waiting.done()
    with pytest.raises(NotFound):
        await path.restart("abcd", "0" * 22)
    await transport.stop()
    async with asyncio.timeout(1):
        assert isinstance(await waiting, ConnectionClosed)


async def test_what_can_not_be_restarted_is_refused_and_stays(live: Live) -> None:
    session = await live.session()
    async with roaming(live, session) as seen:
        good = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n"
        early = await seen.patch(good)
        assert early.status_code in (200, 409)  # not connected yet, as a rule
        await seen.frames(3)
        for body in (
            "a=ice-ufrag:abce\r\n",
            "a=ice-ufrag:abce\r\na=ice-pwd:short\r\n",
            "a=ice-ufrag:ab\r\na=ice-pwd:0123456789012345678901\r\n",
            "a=ice-ufrag:ab€d\r\na=ice-pwd:0123456789012345678901\r\n",
        ):
            assert (await seen.patch(body)).status_code == 422
        assert (await seen.patch(good, '"other"')).status_code == 412
        await seen.frames(3)
