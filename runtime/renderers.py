"""Which renderer a session gets: the generator where its networks are, else the puppet."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Lock
from typing import Final

from core import FPS, WINDOW_FRAMES, Portrait, SaccadeError
from engines.video.live import Networks, seconds_a_window
from engines.video.render_frames import PortraitCanvas
from engines.video.shipped import SHIPPED, graph_file
from runtime.generated import GeneratedRenderer, PreparedPortraits
from runtime.renderer import PuppetRenderer, Renderer, RigCache
from runtime.settings import RuntimeSettings

log = logging.getLogger(__name__)


MOST: Final = 0.6
"Of real time that making windows may take: pasting, encoding and sending want the rest (free)."


class Renderers:
    """What sessions share: rigs, networks, prepared portraits. Thread-safe."""

    def __init__(self, settings: RuntimeSettings) -> None:
        self._settings: Final = settings
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

    def _keeps_up(self, networks: Networks) -> bool:
        """Whether this machine is fast enough for one session and what is around it."""
        took = seconds_a_window(networks, self._settings.generator_steps)
        share = took * FPS / WINDOW_FRAMES
        log.info("the generator takes %.0f %% of real time", 100 * share)
        if share > MOST:
            log.warning(
                "the puppet is shown: the generator is too slow here (%.0f %% of real time)",
                100 * share,
            )
        return share <= MOST

    def _generator(self) -> PreparedPortraits | None:
        """The networks, loaded once; None where the puppet does."""
        with self._lock:
            if self._tried:
                return self._prepared
            folder = Path(self._settings.generator_weights or SHIPPED)
            asked = self._settings.renderer == "generator"
            try:
                if asked or graph_file(folder, "dit").exists():
                    networks = Networks.open(
                        folder, self._settings.generator_threads, self._settings.generator_backend
                    )
                    if asked or self._keeps_up(networks):
                        self._prepared = PreparedPortraits(networks)
            except SaccadeError as error:
                if asked:
                    raise
                log.warning("the puppet is shown instead of the generator: %s", error)
            self._tried = True
            return self._prepared
