"""A real TURN server for the tests: coturn, Debian's package, see `tests/install_network.sh`."""

from __future__ import annotations

import asyncio
import re
import shutil
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aioice.ice import get_host_addresses

from tests.stream.sfu import free_port
from tests.stream.test_tls import self_signed

SECRET: Final = "sesame"
DEPLOY: Final = Path(__file__).parent.parent.parent / "docs" / "deploy.md"
COMMAND: Final = shutil.which("turnserver")


@dataclass
class Turn:
    """A running server."""

    address: str
    "HOST:PORT, both of UDP and of TCP."
    log: Path

    def settings(self, secret: str = SECRET, query: str = "") -> dict[str, Any]:
        """Those of the transport that use it."""
        return {"ice_servers": (f"turn:{self.address}{query}",), "turn_secret": secret}

    def allocations(self) -> tuple[int, int]:
        """How many were made so far, and how many of them were given back."""
        text = self.log.read_text()
        made = len(re.findall(r"ALLOCATE processed, success", text))
        return made, len(re.findall(r"refreshed, .*, lifetime=0$", text, re.MULTILINE))


@asynccontextmanager
async def running(folder: Path, *options: str) -> AsyncIterator[Turn]:
    """coturn as docs/deploy.md sets it up, for as long as it is entered; files go to ``folder``."""
    assert COMMAND is not None
    host, port, log = get_host_addresses(True, False)[0], free_port(), folder / "turn.log"
    (folder / "turnserver.conf").write_text(_configured(folder, port))
    process = await asyncio.create_subprocess_exec(
        COMMAND, "-c", str(folder / "turnserver.conf"), f"--listening-ip={host}",
        f"--relay-ip={host}", "--no-cli", "--verbose", "--simple-log", f"--log-file={log}",
        f"--userdb={folder}/turn.db", f"--pidfile={folder}/turn.pid", *options,
        stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(15):
            while not (log.is_file() and "UDP listener opened" in log.read_text()):
                assert process.returncode is None, "coturn does not run"
                await asyncio.sleep(0.05)
        yield Turn(f"{host}:{port}", log)
    finally:
        await _stop(process)


def _configured(folder: Path, port: int) -> str:
    """The documented configuration, with other ports, secret and certificate."""
    found = re.findall(r"^```ini\n(.*?)^```", DEPLOY.read_text(), re.DOTALL | re.MULTILINE)
    assert len(found) == 1, "docs/deploy.md has one block for coturn"
    certificate, key = self_signed(folder, "turn")
    text: str = found[0]
    for line in (
        f"static-auth-secret={SECRET}", f"listening-port={port}",
        f"tls-listening-port={free_port()}", f"cert={certificate}", f"pkey={key}",
    ):  # fmt: skip
        text, times = re.subn(rf"^{line.partition('=')[0]}=.*$", line, text, flags=re.MULTILINE)
        assert times == 1, f"docs/deploy.md no longer has {line.partition('=')[0]}"
    return text


async def _stop(process: Process) -> None:
    if process.returncode is None:
        process.kill()  # on SIGTERM it takes seconds
    await process.wait()
