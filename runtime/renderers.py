"""Which renderer a session gets: the generator where its networks are, else the puppet."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Final, cast

from core import FPS, WINDOW_FRAMES, InvalidInput, Portrait, SaccadeError, Unavailable
from engines.backends.providers import Name, names_of
from engines.puppet import Puppet
from engines.video.adapted import Adapted, codec_mark, load_adapted
from engines.video.live import Networks
from engines.video.render_frames import PortraitCanvas
from engines.video.shipped import SHIPPED, fingerprint, graph_file
from engines.video.speed import seconds_a_window, warm
from runtime.compute import Compute
from runtime.generated import GeneratedRenderer, PreparedPortraits
from runtime.machine_speed import recall, remember
from runtime.renderer import PuppetRenderer, Renderer, RigCache
from runtime.settings import RuntimeSettings

log = logging.getLogger(__name__)

MOST: Final = 0.6
"Of real time that making windows may take: pasting, encoding and sending want the rest (free)."
FAST: Final = 0.6
"A back end below this share of real time is good enough not to try slower ones (free)."
MOST_THREADS: Final = 4
"So small a network gains little from more."


class Renderers:
    """What sessions share: rigs, networks, prepared portraits. Thread-safe."""

    def __init__(
        self,
        settings: RuntimeSettings,
        measured: Path | None = None,
        adapted: Callable[[str], Path] | None = None,
    ) -> None:
        """Args:
        settings: Which renderer is wanted.
        measured: File that keeps how fast this machine is; None measures anew.
        adapted: File of what was learnt for a portrait, by its id; None is nowhere.
        """
        self._settings: Final = settings
        self._measured, self._adapted = measured, adapted
        self._mark = ""
        "Of the codec that is loaded."
        self._rigs = RigCache(settings.size)
        self._lock = Lock()
        self._prepared: PreparedPortraits | None = None
        self._compute: Final = Compute(settings.generator_batch)
        self._tried = settings.renderer == "puppet"
        self.share: float | None = None
        "Of real time that a window of one session takes; None while the puppet is shown."

    @property
    def generates(self) -> bool:
        """False once it is known that the puppet is shown."""
        return not self._tried or self._prepared is not None

    def make(self, portrait: Portrait) -> Renderer:
        """A renderer of one session. Slow at first: call it in a thread.

        Raises:
            Unavailable: The generator is asked for and can not be loaded.
        """
        rig = self._rigs.get(portrait)
        prepared = self._generator()
        if prepared is None:
            return PuppetRenderer(rig)
        canvas = PortraitCanvas(portrait, self._settings.size, rig)
        return GeneratedRenderer(
            self._compute, prepared.networks, prepared.get(portrait, canvas), canvas, Puppet(rig),
            portrait, self._settings.generator_steps,
        )  # fmt: skip

    def _generator(self) -> PreparedPortraits | None:
        """The networks, loaded once; None where the puppet does."""
        with self._lock:
            if self._tried:
                return self._prepared
            folder = Path(self._settings.generator_weights or SHIPPED)
            asked = self._settings.renderer == "generator"
            try:
                if asked or graph_file(folder, "dit").exists():
                    networks = self._fastest(folder, asked)
                    if networks is not None:
                        # Else the first sessions that go together would wait for a compiler.
                        for rows in range(2, self._settings.generator_batch + 1):
                            warm(networks, self._settings.generator_steps, rows)
                        self._mark = codec_mark(folder)
                        self._prepared = PreparedPortraits(networks, self._learnt)
            except SaccadeError as error:
                if asked:
                    raise
                log.warning("the puppet is shown instead of the generator: %s", error)
            self._tried = True
            return self._prepared

    def _learnt(self, id: str) -> Adapted | None:
        """What was learnt for a portrait, with the very codec that is loaded."""
        if self._adapted is None:
            return None
        try:
            found = load_adapted(self._adapted(id))
        except FileNotFoundError:
            return None
        except InvalidInput as error:
            log.warning("the portrait is shown as it was enrolled: %s", error)
            return None
        if found.codec != self._mark:
            log.info("portrait was adapted to another codec", extra={"portrait": id})
            return None
        return found

    def _fastest(self, folder: Path, asked: bool) -> Networks | None:
        """The networks as they run fastest here; None if that is too slow and nobody asked.

        Raises:
            Unavailable: No back end can load them.
        """
        settings = self._settings
        question = (
            fingerprint(folder), settings.generator_backend, settings.generator_steps,
            self._threads,
        )  # fmt: skip
        shares = recall(self._measured, question) or {}
        best: Networks | None = None
        if not shares:
            best, shares = self._measure(folder)
            remember(self._measured, question, shares)
        name, share = min(shares.items(), key=lambda item: item[1])
        if share > MOST and not asked:
            log.warning(
                "the puppet is shown: the generator is too slow here (%.0f %% of real time with "
                "%s); fewer runtime.generator_steps make it faster", 100 * share, name,
            )  # fmt: skip
            return None
        log.info("the generator takes %.0f %% of real time with %s", 100 * share, name)
        self.share = share
        return best or Networks.open(folder, self._threads, cast(Name, name))

    def _measure(self, folder: Path) -> tuple[Networks, dict[str, float]]:
        """Load and time back ends until one is fast: the best, and the shares of real time."""
        shares: dict[str, float] = {}
        best, problems = None, list[str]()
        for name in names_of(self._settings.generator_backend):
            try:
                networks = Networks.open(folder, self._threads, name)
                took = seconds_a_window(networks, self._settings.generator_steps)
            except (Unavailable, MemoryError) as error:
                problems.append(str(error))
                log.warning("%s can not run the generator: %s", name, error)
                continue
            if best is None or took * FPS / WINDOW_FRAMES < min(shares.values()):
                best = networks
            shares[name] = took * FPS / WINDOW_FRAMES
            if shares[name] < FAST:
                break
        if best is None:
            raise Unavailable(" ".join(problems))
        return best, shares

    @property
    def _threads(self) -> int:
        return self._settings.generator_threads or min(os.cpu_count() or 1, MOST_THREADS)
