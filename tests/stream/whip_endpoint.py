"""A WHIP endpoint (RFC 9725) whose moods a test sets: aiortc behind real HTTP."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import uvicorn
from aiortc import MediaStreamTrack, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

TOKEN = "sesame"


@dataclass
class Endpoint:
    """What it was asked, what it holds, and what it will say."""

    base: str
    moods: deque[Response] = field(default_factory=deque)
    "Answers to the next offers; without any, they are taken."
    asked: list[str] = field(default_factory=list)
    "Method and path of every request, in order."
    tokens: set[str] = field(default_factory=set)
    peers: dict[str, RTCPeerConnection] = field(default_factory=dict)
    frames: Counter[str] = field(default_factory=Counter)
    "Frames received, by kind."
    link: str = ""
    "ICE servers that it tells with answers."
    trickled: list[tuple[str, str]] = field(default_factory=list)
    "`If-Match` and body of each PATCH."
    takes_trickle: bool = True
    location: Callable[[str], str] = "/resource/{}".format
    "Resource → what `Location` says."

    @property
    def url(self) -> str:
        return f"{self.base}/whip/key-of-the-stream?also=secret"

    async def offered(self, request: Request) -> Response:
        self._note(request)
        if self.moods:
            return self.moods.popleft()
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
        if request.headers.get("content-type") != "application/sdp":
            return Response(status_code=415)
        pc = RTCPeerConnection()
        pc.on("track", self._count)
        offer = RTCSessionDescription((await request.body()).decode(), "offer")
        await pc.setRemoteDescription(offer)
        await pc.setLocalDescription(await pc.createAnswer())
        name = str(len(self.asked))
        self.peers[name] = pc
        headers = {
            "Location": self.location(name),
            "ETag": '"one"',
        }
        if self.link:
            headers["Link"] = self.link
        return Response(pc.localDescription.sdp, 201, headers, "application/sdp")

    async def patched(self, request: Request) -> Response:
        self._note(request)
        if not self.takes_trickle:
            return Response(status_code=405)
        self.trickled.append((request.headers.get("if-match", ""), (await request.body()).decode()))
        return Response(status_code=204)

    async def deleted(self, request: Request) -> Response:
        self._note(request)
        pc = self.peers.pop(request.path_params["name"], None)
        if pc is None:
            return Response(status_code=404)
        await pc.close()
        return Response(status_code=200)

    async def drop(self) -> None:
        """Lose all connections, without a word by HTTP."""
        await asyncio.gather(*(pc.close() for pc in self.peers.values()))

    def count(self, line: str) -> int:
        """How often a request was made."""
        return self.asked.count(line)

    def _note(self, request: Request) -> None:
        self.asked.append(f"{request.method} {request.url.path}")
        self.tokens.add(request.headers.get("authorization", ""))

    def _count(self, track: MediaStreamTrack) -> None:
        async def drain() -> None:
            try:
                while True:
                    await track.recv()
                    self.frames[track.kind] += 1
            except MediaStreamError:
                pass

        self._draining.append(asyncio.create_task(drain()))

    _draining: list[asyncio.Task[None]] = field(default_factory=list)


@asynccontextmanager
async def whip_endpoint() -> AsyncIterator[Endpoint]:
    """One for as long as it is entered."""
    listener = socket.create_server(("127.0.0.1", 0))
    endpoint = Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}")
    app = Starlette(
        routes=[
            Route("/whip/{name}", endpoint.offered, methods=["POST"]),
            Route("/edge/{name}", endpoint.offered, methods=["POST"]),
            Route("/resource/{name}", endpoint.deleted, methods=["DELETE"]),
            Route("/resource/{name}", endpoint.patched, methods=["PATCH"]),
        ]
    )
    config = uvicorn.Config(
        app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield endpoint
    finally:
        await endpoint.drop()
        for task in endpoint._draining:
            task.cancel()
        await asyncio.gather(*endpoint._draining, return_exceptions=True)
        server.should_exit = True
        await running
        listener.close()
