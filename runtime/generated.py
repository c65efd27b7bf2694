"""The video DiT behind the seam of renderers: windows of a stream, pasted and turned.

Eight frames are made at once, so whoever plans for it has to be so far ahead (`lead_ms`).
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from threading import Lock
from typing import Final

import numpy as np
import numpy.typing as npt

from core import FPS, U8, WINDOW_FRAMES, Portrait
from engines.video.clip import REACH, TOKEN_WIDTH, TOKENS_PER_FRAME
from engines.video.live import Asked, BrokenWindow, LiveStream, Networks, Prepared
from engines.video.performance import from_controls, in_regions
from engines.video.render_frames import PortraitCanvas
from engines.video.text import tokenise
from runtime.window import Window

log = logging.getLogger(__name__)

LEAD_MS: Final = 1000 * WINDOW_FRAMES // FPS
"A window is being made while the one before is shown: it may take as long as that."
PREPARED: Final = 8
"Portraits whose features are kept: some MB each."


class GeneratedRenderer:
    """One session's stream of the generator; a `runtime.renderer.Renderer`."""

    window_frames = WINDOW_FRAMES
    lead_ms = LEAD_MS

    def __init__(
        self, networks: Networks, prepared: Prepared, canvas: PortraitCanvas, portrait: Portrait,
        steps: int, seed: int = 0,
    ) -> None:  # fmt: skip
        """Args:
        networks: Of all sessions.
        prepared: `Networks.prepare` of the portrait.
        canvas: This session's own.
        portrait: Who it is.
        steps: Euler steps a window.
        seed: Of all noise.
        """
        self._stream = LiveStream(networks, prepared, steps, seed=seed)
        self._canvas, self._portrait = canvas, portrait
        self._tokens = np.zeros((REACH, TOKEN_WIDTH), np.float32)
        self._next = -1
        "The first frame of the window that follows the last one made."
        self._last = canvas.reference
        "Regions as shown last."

    def render(self, window: Window) -> list[U8]:
        """See Renderer.render."""
        performance = from_controls(
            self._portrait, window.controls, window.mouth.values, window.felt.values
        )
        heard = window.start == self._next
        asked = Asked(
            points=in_regions(performance.points, self._portrait),
            felt=performance.felt,
            audio=np.concatenate((self._tokens, window.tokens)),
            hears=_hears(heard),
            words=tokenise(window.label, window.instruction),
        )
        self._next, self._tokens = window.start + len(window), window.tokens[-REACH:]
        try:
            crops = self._stream.make(asked)
            self._last = crops[-1]
        except BrokenWindow as error:
            log.warning("%s", error)
            self._next = -1
            self._tokens = np.zeros_like(self._tokens)
            crops = np.repeat(self._last[None], len(window), axis=0)
        return [
            self._canvas.render(crop, head)
            for crop, head in zip(crops, performance.heads, strict=True)
        ]


def _hears(before: bool) -> npt.NDArray[np.bool_]:
    """Which tokens a window hears: those before it only if the window before was made."""
    out = np.ones(REACH + TOKENS_PER_FRAME * WINDOW_FRAMES, np.bool_)
    out[:REACH] = before
    return out


class PreparedPortraits:
    """Portraits as the networks want them, shared by their sessions. Thread-safe, bounded."""

    def __init__(self, networks: Networks, limit: int = PREPARED) -> None:
        self.networks: Final = networks
        self._limit = limit
        self._ready: OrderedDict[str, Prepared] = OrderedDict()
        self._lock = Lock()

    def get(self, portrait: Portrait, canvas: PortraitCanvas) -> Prepared:
        """Made when it is not there (slow: call it in a thread)."""
        with self._lock:
            ready = self._ready.get(portrait.id)
            if ready is None:
                points = in_regions(portrait.keypoints, portrait)
                ready = self._ready[portrait.id] = self.networks.prepare(canvas.reference, points)
            self._ready.move_to_end(portrait.id)
            while len(self._ready) > self._limit:
                self._ready.popitem(last=False)
            return ready
