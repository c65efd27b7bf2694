"""Headless Firefox as Debian ships it, driven by WebDriver BiDi (W3C Working Draft).

Playwright drives a Firefox of its own only, and Debian packages no geckodriver; BiDi needs neither.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
PREFERENCES: dict[str, bool | int | str] = {
    "media.autoplay.default": 1,  # sound wants a click, as for everybody
    "media.cubeb.backend": "alsa",  # `speaker.py` has one
    "media.navigator.permission.disabled": True,  # nobody is there to be asked
    "media.navigator.streams.fake": True,  # the microphone is a tone
    "media.gmp-manager.updateEnabled": False,  # nothing is downloaded: no OpenH264 either
    "app.normandy.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "services.settings.server": "data:,#remote-settings-dummy/v1",
    "toolkit.telemetry.server": "",
}
START_S = 30


class Page:
    """A tab."""

    def __init__(self, browser: Firefox, context: str) -> None:
        self._browser = browser
        self._context = context
        self.errors: list[str] = []
        "What the page complained about."

    async def send(self, method: str, **parameters: Any) -> Any:
        """A command about this tab: its result."""
        return await self._browser.send(method, context=self._context, **parameters)

    async def goto(self, url: str) -> None:
        await self.send("browsingContext.navigate", url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """A JavaScript value, or that of a promise. Raises RuntimeError with its exception."""
        answer = await self._browser.send(
            "script.evaluate",
            expression=f"(async () => JSON.stringify((await ({expression})) ?? null))()",
            target={"context": self._context},
            awaitPromise=True,
        )
        if answer["type"] == "exception":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    async def until(self, condition: str, seconds: float = 20) -> None:
        """Wait for a JavaScript condition."""
        async with asyncio.timeout(seconds):
            while not await self.evaluate(f"Boolean({condition})"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    async def click(self, testid: str) -> None:
        """Press the mouse in the middle of an element that can be seen."""
        box = f"document.querySelector('[data-testid={testid}]').getBoundingClientRect()"
        x, y = await self.evaluate(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({box})")
        steps: list[dict[str, Any]] = [{"type": "pointerMove", "x": round(x), "y": round(y)}]
        steps += [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        await self._perform({"type": "pointer", "id": "mouse", "actions": steps})

    async def press(self, keys: str) -> None:
        """Press keys, one for each character (WebDriver section 17.4.2 has those without one)."""
        steps = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        await self._perform({"type": "key", "id": "keys", "actions": steps})

    async def close(self) -> None:
        """As a user closes a tab."""
        await self.send("browsingContext.close")

    async def _perform(self, actions: dict[str, Any]) -> None:
        await self.send("input.performActions", actions=[actions])


class Firefox:
    """A running one; `firefox` makes it."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._ids = count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._pages: dict[str, Page] = {}

    async def send(self, method: str, **parameters: Any) -> Any:
        """A command's result. Raises RuntimeError when it is refused."""
        number = next(self._ids)
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        async with asyncio.timeout(60):  # the longest that any test lets a script run
            answer = await waiting
        if answer["type"] == "error":
            raise RuntimeError(f"{answer['error']}: {answer['message']}")
        return answer["result"]

    async def listen(self) -> None:
        """Take answers, and errors that pages write to their consoles."""
        async for text in self._socket:
            message = json.loads(text)
            if message["type"] != "event":
                self._waiting.pop(message["id"]).set_result(message)
            elif message["params"]["level"] == "error":
                page = self._pages.get(message["params"]["source"].get("context"))
                if page is not None:
                    page.errors.append(message["params"]["text"])

    async def new_page(self) -> Page:
        context = (await self.send("browsingContext.create", type="tab"))["context"]
        page = self._pages[context] = Page(self, context)
        await page.send("browsingContext.setViewport", viewport={"width": 1280, "height": 860})
        return page


@asynccontextmanager
async def firefox(environment: Mapping[str, str]) -> AsyncIterator[Firefox]:
    """Headless Firefox with a profile of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        profile = Path(folder)
        process = _start(profile, os.environ | environment)
        try:
            async with asyncio.timeout(START_S):
                while (address := _address(profile)) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            async with connect(address, max_size=None) as socket:
                browser = Firefox(socket)
                listening = asyncio.create_task(browser.listen())
                await browser.send("session.new", capabilities={})
                await browser.send("session.subscribe", events=["log.entryAdded"])
                try:
                    yield browser
                finally:
                    listening.cancel()
                    await asyncio.gather(listening, return_exceptions=True)
        finally:
            process.terminate()
            await asyncio.to_thread(process.wait)


def _start(profile: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    command = [str(FIREFOX), "--headless", "--no-remote", "--profile", str(profile)]
    return subprocess.Popen(
        [*command, "--remote-debugging-port", "0", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
    )  # fmt: skip


def _address(profile: Path) -> str | None:
    """Where it listens, once it has written that into its profile."""
    try:
        told = json.loads((profile / "WebDriverBiDiServer.json").read_text())
    except (OSError, ValueError):
        return None
    return f"ws://{told['ws_host']}:{told['ws_port']}/session"
