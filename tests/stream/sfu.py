"""A real SFU for the tests: Janus with its VideoRoom, behind a WHIP server of its makers.

Both are Debian's packages, see `tests/install_sfu.sh`. Whoever subscribes to the room gets what the
SFU forwards, so what is seen there went through somebody else's WHIP, ICE, DTLS, SRTP and RTP.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import socket
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
from aiortc import RTCPeerConnection, RTCSessionDescription
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

ROOM: Final = 1234
SOURCES: Final = Path("/usr/share/simple-whip-server/src")
UNPACKED: Final = Path("/usr/local/share/simple-whip-server/src")
"Where the install script puts them when Debian's own Node.js can not be had."
PLUGINS_OFF: Final = (
    "audiobridge,duktape,echotest,lua,nosip,recordplay,sip,streaming,textroom,videocall,voicemail"
)
TRANSPORTS_OFF: Final = "http,mqtt,nanomsg,pfunix,rabbitmq"


def sources() -> Path | None:
    """Where the WHIP server is; None when the SFU is not installed."""
    if shutil.which("janus") is None or shutil.which("node") is None:
        return None
    return next((path for path in (UNPACKED, SOURCES) if (path / "server.js").is_file()), None)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@dataclass
class Sfu:
    """A running SFU."""

    whip: str
    "Base of the WHIP server's URLs."
    control: str
    "Janus' own WebSocket."

    async def endpoint(self, token: str) -> str:
        """A new endpoint of the room, published to with the token; its URL."""
        name = secrets.token_hex(4)
        async with httpx.AsyncClient() as http:
            wanted = {"id": name, "room": ROOM, "token": token}
            (await http.post(f"{self.whip}/create", json=wanted)).raise_for_status()
        return f"{self.whip}/endpoint/{name}"

    @asynccontextmanager
    async def room(self) -> AsyncIterator[Room]:
        """The room as a subscriber sees it."""
        async with connect(self.control, subprotocols=[Subprotocol("janus-protocol")]) as socket:
            room = Room(socket)
            room.session = (await room.ask({"janus": "create"}))["data"]["id"]
            try:
                yield room
            finally:
                await room.pc.close()


class Room:
    """Janus' VideoRoom over its WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.pc = RTCPeerConnection()
        self.session = 0
        self._socket = socket

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """A request's answer; what is only an acknowledgement is not one."""
        message |= {"transaction": secrets.token_hex(4)}
        message |= {"session_id": self.session} if self.session else {}
        await self._socket.send(json.dumps(message))
        async with asyncio.timeout(10):
            while True:
                answer: dict[str, Any] = json.loads(await self._socket.recv())
                ours = answer.get("transaction") == message["transaction"]
                if ours and answer["janus"] != "ack":
                    return answer

    async def _attach(self) -> int:
        plugin = {"janus": "attach", "plugin": "janus.plugin.videoroom"}
        handle: int = (await self.ask(plugin))["data"]["id"]
        return handle

    async def publishers(self) -> list[int]:
        """Who publishes in the room."""
        handle = await self._attach()
        body = {"request": "listparticipants", "room": ROOM}
        answer = await self.ask({"janus": "message", "handle_id": handle, "body": body})
        await self.ask({"janus": "detach", "handle_id": handle})
        people = answer["plugindata"]["data"]["participants"]
        return [one["id"] for one in people if one["publisher"]]

    async def kick(self, publisher: int) -> None:
        """Throw a publisher out, as an SFU that restarts does."""
        handle = await self._attach()
        body = {"request": "kick", "room": ROOM, "id": publisher}
        await self.ask({"janus": "message", "handle_id": handle, "body": body})

    async def subscribe(self, publisher: int) -> RTCPeerConnection:
        """Watch a publisher, as any viewer of the SFU would."""
        handle = await self._attach()
        body = {
            "request": "join", "ptype": "subscriber", "room": ROOM,
            "streams": [{"feed": publisher}],
        }  # fmt: skip
        answer = await self.ask({"janus": "message", "handle_id": handle, "body": body})
        offer = RTCSessionDescription(answer["jsep"]["sdp"], "offer")
        await self.pc.setRemoteDescription(offer)
        await self.pc.setLocalDescription(await self.pc.createAnswer())
        jsep = {"type": "answer", "sdp": self.pc.localDescription.sdp}
        start = {"janus": "message", "handle_id": handle, "body": {"request": "start"}}
        await self.ask(start | {"jsep": jsep})
        return self.pc


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Sfu]:
    """The SFU for as long as it is entered; its files go to ``folder``."""
    found = sources()
    assert found is not None
    control, rest = free_port(), free_port()
    _configure(folder, found, control, rest)
    sfu = Sfu(f"http://127.0.0.1:{rest}/whip", f"ws://127.0.0.1:{control}")
    janus = await _start("janus", "-F", str(folder), "-C", str(folder / "janus.jcfg"))
    try:
        await _listening(control)
        environment = os.environ | {"NODE_PATH": "/usr/share/nodejs"}
        whip = await _start("node", "server.js", cwd=folder / "whip", env=environment)
        try:
            await _listening(rest)
            yield sfu
        finally:
            await _stop(whip)
    finally:
        await _stop(janus)


def _configure(folder: Path, found: Path, control: int, rest: int) -> None:
    off = ",".join(f"libjanus_{name}.so" for name in PLUGINS_OFF.split(","))
    mute = ",".join(f"libjanus_{name}.so" for name in TRANSPORTS_OFF.split(","))
    (folder / "janus.jcfg").write_text(
        f'general: {{ admin_secret = "{secrets.token_hex(8)}", debug_level = 3 }}\n'
        "nat: { ice_lite = false, full_trickle = false }\n"
        f'plugins: {{ disable = "{off}" }}\ntransports: {{ disable = "{mute}" }}\n'
        "events: { broadcast = false }\n"
    )
    (folder / "janus.transport.websockets.jcfg").write_text(
        f'general: {{ ws = true, ws_port = {control}, ws_ip = "127.0.0.1" }}\n'
    )
    (folder / "janus.plugin.videoroom.jcfg").write_text(
        f'room-{ROOM}: {{ description = "test", publishers = 8, videocodec = "vp8,h264" }}\n'
    )
    shutil.copytree(found, folder / "whip", symlinks=False, ignore=lambda *_: ["config.js"])
    modules = found.parent / "node_modules"
    if modules.is_dir():
        (folder / "whip" / "node_modules").symlink_to(modules)
    settings = {
        "janus": {"address": f"ws://127.0.0.1:{control}"}, "port": rest, "rest": "/whip",
        "allowTrickle": True, "strictETags": True, "iceServers": [],
    }  # fmt: skip
    (folder / "whip" / "config.js").write_text(f"module.exports = {json.dumps(settings)};\n")


async def _start(*command: str, **options: Any) -> Process:
    return await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL, **options
    )


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(5):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


async def _listening(port: int) -> None:
    async with asyncio.timeout(15):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            await writer.wait_closed()
            return
