"""Learning a portrait's features (`engines.video.adapt`) beside the live loop.

One at a time, in a process of its own that gives way to everything else: serving never loads
torch, and a process that is killed for memory takes no session with it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Final, Literal

from core import Busy, InvalidInput, SaccadeError, Unavailable
from engines.video.adapted import Adapted, load_adapted
from engines.video.shipped import SHIPPED
from runtime.portraits import PortraitStore
from runtime.settings import RuntimeSettings

log = logging.getLogger(__name__)

MOST_WAITING: Final = 4
"Portraits in line."
REMEMBERED: Final = 64
"Portraits of which it is known how their last try went."
MANY_CORES: Final = 8
"From so many on, uploads are adapted without being asked for."
LAST_WORDS: Final = 400
"Characters of a process's complaint that are passed on."
GRACE: Final = 5.0
"Seconds a process has to end."


@dataclass(frozen=True, slots=True)
class Adaptation:
    """How far a portrait is."""

    state: Literal["none", "waiting", "running", "done", "failed"]
    done: float = 0.0
    "Share, 0 to 1."
    note: str = ""
    "What is being done, or what went wrong."
    gain: float | None = None
    "Decibels, over motion that was not learnt from."


class Adaptations:
    """Owner of the process. ``async with``: leaving it stops the process."""

    def __init__(
        self,
        store: PortraitStore,
        settings: RuntimeSettings,
        generates: Callable[[], bool] = lambda: True,
    ) -> None:
        """``generates`` tells whether sessions show the generator."""
        self._store, self._settings, self._generates = store, settings, generates
        self._known: OrderedDict[str, Adaptation] = OrderedDict()
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)
        self._running: tuple[str, asyncio.Task[None]] | None = None
        self._worker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Adaptations:
        self._worker = asyncio.create_task(self._work(), name="adaptation")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._worker is not None
        self._worker.cancel()
        await asyncio.gather(self._worker, return_exceptions=True)

    @property
    def by_itself(self) -> bool:
        """Whether uploads are adapted without being asked for."""
        wanted = self._settings.adapt_portraits
        many = wanted == "auto" and (os.cpu_count() or 1) >= MANY_CORES
        return (wanted == "always" or many) and self.problem() is None

    def problem(self) -> str | None:
        """Why no portrait can be adapted here; None where it can."""
        if self._settings.adapt_portraits == "never":
            return "Portraits are not adapted on this server (runtime.adapt_portraits)."
        if find_spec("torch") is None or find_spec("safetensors") is None:
            return "Portraits are adapted with torch: pip install 'saccade[train]'."
        if not self._generates():
            return "The puppet is shown here, and only the generator can be adapted."
        return None

    async def ask(self, id: str) -> Adaptation:
        """Adapt a portrait, after those that wait.

        Raises:
            NotFound: No such portrait.
            Unavailable: Portraits can not be adapted here.
            Busy: Too many wait.
        """
        await asyncio.to_thread(self._store.info, id)
        problem = self.problem()
        if problem is not None:
            raise Unavailable(problem)
        known = self._known.get(id)
        if known is not None and known.state in ("waiting", "running"):
            return known
        try:
            self._waiting.put_nowait(id)
        except asyncio.QueueFull:
            raise Busy(f"{MOST_WAITING} portraits wait already.", retry_after=60) from None
        return self._note(id, Adaptation("waiting"))

    async def of(self, id: str) -> Adaptation:
        """How far a portrait is. Raises NotFound."""
        await asyncio.to_thread(self._store.info, id)
        known = self._known.get(id)
        if known is not None:
            return known
        found = await asyncio.to_thread(self._stored, id)
        return Adaptation("none") if found is None else _finished(found)

    async def forget(self, id: str) -> None:
        """Stop learning a portrait, and drop what was learnt. Raises NotFound."""
        await asyncio.to_thread(self._store.info, id)
        self._known.pop(id, None)
        if self._running is not None and self._running[0] == id:
            task = self._running[1]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._store.adapted_file(id).unlink(missing_ok=True)

    # --- inside ------------------------------------------------------------------------------

    async def _work(self) -> None:
        """One after the other, for ever."""
        try:
            while True:
                id = await self._waiting.get()
                if self._known.get(id) != Adaptation("waiting"):
                    continue  # it was forgotten
                task = asyncio.create_task(self._adapt(id), name=f"adapt {id}")
                self._running = id, task
                await asyncio.wait({task})
                self._running = None
        finally:
            if self._running is not None:
                self._running[1].cancel()
                await asyncio.gather(self._running[1], return_exceptions=True)

    async def _adapt(self, id: str) -> None:
        self._note(id, Adaptation("running"))
        try:
            await self._learn(id)
            found = await asyncio.to_thread(self._stored, id)
            if found is None:
                raise InvalidInput("Nothing was learnt.")
            self._note(id, _finished(found))
            log.info("portrait adapted: %+.1f dB", found.gain, extra={"portrait": id})
        except (SaccadeError, OSError) as error:
            log.warning("portrait is not adapted: %s", error, extra={"portrait": id})
            self._note(id, Adaptation("failed", note=str(error)))

    async def _learn(self, id: str) -> None:
        """Run the process. Raises InvalidInput with its last words."""
        file = await asyncio.to_thread(self._store.file, id)
        target = self._store.adapted_file(id)
        target.parent.mkdir(parents=True, exist_ok=True)
        weights = self._settings.generator_weights or str(SHIPPED)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "engines.video", "adapt", str(file), str(target), "--background",
            "--seconds", str(self._settings.adapt_seconds), "--weights", weights, "--threads", "1",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            words = asyncio.create_task(_last_words(process))
            assert process.stdout is not None
            async for line in process.stdout:
                self._heard(id, line)
            if await process.wait():
                raise InvalidInput(f"Learning ended with an error: {await words}")
            await words
        finally:
            if process.returncode is None:
                process.terminate()
                try:
                    async with asyncio.timeout(GRACE):
                        await process.communicate()
                except TimeoutError:
                    process.kill()
                    await process.wait()

    def _heard(self, id: str, line: bytes) -> None:
        known = self._known.get(id)
        if known is None:
            return
        try:
            told: dict[str, Any] = json.loads(line)
            done, note = float(told["done"]), str(told["note"])
        except (ValueError, KeyError, TypeError):
            return  # some package's own words
        self._note(id, replace(known, done=done, note=note))

    def _note(self, id: str, adaptation: Adaptation) -> Adaptation:
        self._known[id] = adaptation
        self._known.move_to_end(id)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return adaptation

    def _stored(self, id: str) -> Adapted | None:
        try:
            return load_adapted(self._store.adapted_file(id))
        except (FileNotFoundError, InvalidInput):
            return None


def _finished(found: Adapted) -> Adaptation:
    return Adaptation("done", 1.0, gain=round(found.gain, 2))


async def _last_words(process: asyncio.subprocess.Process) -> str:
    """The end of what a process complains of; all of it is read, so that it never waits."""
    assert process.stderr is not None
    kept = b""
    while part := await process.stderr.read(4096):
        kept = (kept + part)[-LAST_WORDS:]
    return kept.decode(errors="replace").strip() or "it said nothing"
