"""Which renderer a session gets: the generator where its networks are, else the puppet."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Lock
from typing import Final

from core import FPS, WINDOW_FRAMES, Portrait, SaccadeError
from engines.video.live import Networks, seconds_a_window
from engines.video.render_frames import PortraitCanvas
from engines.video.shipped import SHIPPED, fingerprint, graph_file
from runtime.generated import GeneratedRenderer, PreparedPortraits
from runtime.machine_speed import recall, remember
from runtime.renderer import PuppetRenderer, Renderer, RigCache
from runtime.settings import RuntimeSettings

log = logging.getLogger(__name__)

MOST: Final = 0.6
"Of real time that making windows may take: pasting, encoding and sending want the rest (free)."


class Renderers:
    """What sessions share: rigs, networks, prepared portraits. Thread-safe."""

    def __init__(self, settings: RuntimeSettings, measured: Path | None = None) -> None:
        """Args:
        settings: Which renderer is wanted.
        measured: File that keeps how fast this machine is; None measures anew.
        """
        self._settings: Final = settings
        self._measured = measured
        self._rigs = RigCache(settings.size)
        self._lock = Lock()
        self._prepared: PreparedPortraits | None = None
        self._tried = settings.renderer == "puppet"

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
        ready = prepared.get(portrait, canvas)
        return GeneratedRenderer(
            prepared.networks, ready, canvas, portrait, self._settings.generator_steps
        )

    def _generator(self) -> PreparedPortraits | None:
        """The networks, loaded once; None where the puppet does."""
        with self._lock:
            if self._tried:
                return self._prepared
            folder = Path(self._settings.generator_weights or SHIPPED)
            asked = self._settings.renderer == "generator"
            try:
                if asked:
                    self._prepared = PreparedPortraits(self._open(folder))
                elif graph_file(folder, "dit").exists():
                    networks = self._if_it_keeps_up(folder)
                    self._prepared = PreparedPortraits(networks) if networks else None
            except SaccadeError as error:
                if asked:
                    raise
                log.warning("the puppet is shown instead of the generator: %s", error)
            self._tried = True
            return self._prepared

    def _open(self, folder: Path) -> Networks:
        settings = self._settings
        return Networks.open(folder, settings.generator_threads, settings.generator_backend)

    def _if_it_keeps_up(self, folder: Path) -> Networks | None:
        """The networks, if this machine is fast enough for one session and what is around it."""
        settings = self._settings
        asked = (
            fingerprint(folder), settings.generator_backend, settings.generator_steps,
            settings.generator_threads,
        )  # fmt: skip
        share, networks = recall(self._measured, asked), None
        if share is None:
            networks = self._open(folder)
            share = seconds_a_window(networks, settings.generator_steps) * FPS / WINDOW_FRAMES
            remember(self._measured, asked, share)
        if share > MOST:
            log.warning(
                "the puppet is shown: the generator is too slow here (%.0f %% of real time); fewer "
                "runtime.generator_steps or more runtime.generator_threads make it faster",
                100 * share,
            )
            return None
        log.info("the generator takes %.0f %% of real time", 100 * share)
        return networks or self._open(folder)
