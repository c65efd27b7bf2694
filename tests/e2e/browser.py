"""A real server in its own process and a real chromium, for end-to-end tests and benchmarks."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
from playwright.async_api import Browser, async_playwright

ROOT = Path(__file__).parent.parent.parent
CLIENT = Path(__file__).parent / "client.js"
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
]


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_server(data: Path, *, scheme: str = "http", **environment: str) -> Iterator[str]:
    """`python server.py` on a free port; yields its base URL once it is ready."""
    port = free_port()
    # Whether the generator keeps up, and how many places a warm-up measures, would depend on what
    # else this machine does.
    fixed = {
        "SACCADE_CONFIG": "",
        "SACCADE_RUNTIME__RENDERER": "puppet",
        "SACCADE_RUNTIME__CAPACITY_SHARE": "100",
        "SACCADE_STREAM__DRAIN_SECONDS": "0",
    }
    env = os.environ | {"SACCADE_DATA": str(data)} | fixed | environment
    log = (data / "server.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "server.py", "--port", str(port)],
        cwd=ROOT,
        env=env,
        stdout=log,
        stderr=subprocess.STDOUT,
    )
    base = f"{scheme}://127.0.0.1:{port}"
    try:
        wait_ready(base, process, data / "server.log")
        yield base
    finally:
        process.terminate()
        try:
            process.wait(10)
        finally:
            process.kill()
            process.wait()
            log.close()


def wait_ready(base: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when /readyz says yes. Raises RuntimeError with the log when the server dies."""
    give_up = time.monotonic() + 90
    while time.monotonic() < give_up:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with {process.returncode}:\n{log.read_text()}")
        try:
            if httpx.get(f"{base}/readyz", timeout=2, verify=False).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the server is not ready after 90 s:\n{log.read_text()}")


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Headless chromium as Debian ships it."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        try:
            yield browser
        finally:
            await browser.close()
