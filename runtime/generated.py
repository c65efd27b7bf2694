"""The video DiT behind the seam of renderers: windows of a stream, pasted and turned.

Eight frames are made at once. Where they do not come in time a `Ladder` gives way, down to the
puppet; from one to the other pictures are blended, as both show the same controls.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from threading import Lock
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from core import FPS, U8, WINDOW_FRAMES, Portrait, SaccadeError
from engines.puppet import Puppet
from engines.video.adapted import Adapted
from engines.video.clip import REACH, TOKEN_WIDTH, TOKENS_PER_FRAME
from engines.video.guidance import Guidance
from engines.video.live import Asked, LiveStream, Networks, Prepared
from engines.video.performance import Performance, from_controls, in_regions
from engines.video.render_frames import PortraitCanvas
from engines.video.text import tokenise
from runtime.compute import Compute
from runtime.ladder import Ladder
from runtime.window import Window

log = logging.getLogger(__name__)

WINDOW_SECONDS: Final = WINDOW_FRAMES / FPS
LONGEST_LEAD_MS: Final = 1000 * WINDOW_FRAMES // FPS
"A window is made while the one before is shown: it may take as long as that."
SHORTEST_LEAD_MS: Final = 100
MARGIN_MS: Final = 40
"What a window may take longer than those before it did."
REMEMBERED: Final = 12
"Windows whose time to their first picture is remembered."
BLENDED: Final = 5
"Frames from puppet to generator or back."
PREPARED: Final = 8
"Portraits whose features are kept: some MB each."


def strength(eyes: float) -> Guidance:
    """The guidance of a session's knob: 0 is none, 1 the usual (3 → 2), 2 twice as far from it."""
    return Guidance(high=1 + 2 * eyes, low=1 + eyes)


class GeneratedRenderer:
    """One session's stream of the generator; a `runtime.renderer.Renderer`."""

    window_frames = WINDOW_FRAMES

    def __init__(
        self, compute: Compute, networks: Networks, prepared: Prepared, canvas: PortraitCanvas,
        puppet: Puppet, portrait: Portrait, steps: int, seed: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Args:
        compute: Of all sessions, like the networks.
        networks: See there.
        prepared: `Networks.prepare` of the portrait.
        canvas: This session's own, like the puppet.
        puppet: Shown until the first window is there, and where there is no time for windows.
        portrait: Who it is.
        steps: Euler steps a window, at best.
        seed: Of all noise.
        clock: Seconds, the same for all sessions.
        """
        self._stream = LiveStream(networks, prepared, steps, seed=seed)
        self._compute, self._canvas, self._puppet = compute, canvas, puppet
        self._portrait, self._clock = portrait, clock
        self.guided: Final = networks.guided
        self._ladder = Ladder(steps, clock())
        self._tokens = np.zeros((0, TOKEN_WIDTH), np.float32)
        "What the windows up to `_next` heard, as far as it may be wanted again."
        self._next = -1
        "The first frame of the window that follows the last one made."
        self._last = canvas.reference
        "Regions as shown last."
        self._by_puppet = True
        self._took_ms: deque[float] = deque(maxlen=REMEMBERED)

    @property
    def lead_ms(self) -> int:
        """See Renderer.lead_ms: what the slowest of the last windows took, and some more."""
        longest = max(self._took_ms, default=LONGEST_LEAD_MS)
        return round(min(max(longest + MARGIN_MS, SHORTEST_LEAD_MS), LONGEST_LEAD_MS))

    @property
    def level(self) -> str:
        """See Renderer.level."""
        return str(self._ladder.rung)

    @property
    def degraded(self) -> bool:
        """See Renderer.degraded."""
        return not self._ladder.top

    def render(self, window: Window, deadline: float) -> Iterator[U8 | None]:
        """See Renderer.render."""
        began, rung = self._clock(), self._ladder.rung
        if rung.steps:
            yield from self._generate(window, deadline, began, rung.steps)
        else:
            yield from self._leave_generator(window)
            for i in range(BLENDED if not self._by_puppet else 0, len(window)):
                yield self._puppet_at(window, i) if not i % rung.every else None
            self._by_puppet = True
        self._ladder.took((self._clock() - began) / WINDOW_SECONDS, self._clock())

    def quick(self, window: Window, first: int) -> Iterator[U8 | None]:
        """See Renderer.quick."""
        self._by_puppet = True
        for i in range(first - window.start, len(window)):
            yield self._puppet_at(window, i)

    # --- inside ------------------------------------------------------------------------------

    def _generate(
        self, window: Window, deadline: float, began: float, steps: int
    ) -> Iterator[U8 | None]:
        performance = from_controls(
            self._portrait, window.controls, window.mouth.values, window.felt.values
        )
        self._stream.steps, self._stream.guidance = steps, strength(window.eyes)
        try:
            crops = self._compute.window(self._stream, self._asked(window, performance), deadline)
            self._last = crops[-1]
        except SaccadeError as error:  # one broken window: its time is held
            log.warning("%s", error)
            self._forget()
            crops = np.repeat(self._last[None], len(window), axis=0)
        except Exception as error:  # of the back end: out of memory, a device that is gone …
            log.error("the puppet is shown: the generator failed: %s", error)
            self._forget()
            self._ladder.failed(self._clock())
            yield from self._leave_generator(window)
            for i in range(BLENDED if not self._by_puppet else 0, len(window)):
                yield self._puppet_at(window, i)
            self._by_puppet = True
            return
        for i, (crop, head) in enumerate(zip(crops, performance.heads, strict=True)):
            picture = self._canvas.render(crop, head)
            if self._by_puppet and i < BLENDED:
                picture = _blend(self._puppet_at(window, i), picture, (i + 1) / (BLENDED + 1))
            if not i:
                self._took_ms.append((self._clock() - began) * 1000)
            yield picture
        self._by_puppet = False

    def _leave_generator(self, window: Window) -> Iterator[U8]:
        """From the regions shown last to the puppet, if they were shown."""
        if self._by_puppet:
            return
        performance = from_controls(
            self._portrait, window.controls, window.mouth.values, window.felt.values
        )
        for i in range(BLENDED):
            old = self._canvas.render(self._last, performance.heads[i])
            yield _blend(old, self._puppet_at(window, i), (i + 1) / (BLENDED + 1))

    def _puppet_at(self, window: Window, i: int) -> U8:
        return self._puppet.render(window.controls.values[i], window.mouth.values[i])

    def _asked(self, window: Window, performance: Performance) -> Asked:
        """A window's conditions; one that does not follow the last starts anew."""
        again = self._next - window.start
        if 0 < again <= WINDOW_FRAMES:  # the end of the last window was taken back
            self._tokens = self._tokens[: len(self._tokens) - TOKENS_PER_FRAME * again]
            if 2 * again > WINDOW_FRAMES:
                self._stream.rewind()
        elif again:
            if self._next >= 0:
                self._stream.forget()
            self._tokens = self._tokens[:0]
        before = self._tokens[-REACH:]
        missing = REACH - len(before)
        silence = np.zeros((missing, TOKEN_WIDTH), np.float32)
        asked = Asked(
            points=in_regions(performance.points, self._portrait),
            felt=performance.felt,
            audio=np.concatenate((silence, before, window.tokens)),
            hears=_hears(missing),
            words=tokenise(window.label, window.instruction),
        )
        self._next = window.start + len(window)
        kept = REACH + TOKENS_PER_FRAME * WINDOW_FRAMES
        self._tokens = np.concatenate((self._tokens, window.tokens))[-kept:]
        return asked

    def _forget(self) -> None:
        self._next = -1
        self._tokens = self._tokens[:0]


def _hears(missing: int) -> npt.NDArray[np.bool_]:
    """Which tokens a window hears: all but those before it that nobody made."""
    out = np.ones(REACH + TOKENS_PER_FRAME * WINDOW_FRAMES, np.bool_)
    out[:missing] = False
    return out


def _blend(a: U8, b: U8, share: float) -> U8:
    return np.asarray(cv2.addWeighted(a, 1 - share, b, share, 0), np.uint8)


class PreparedPortraits:
    """Portraits as the networks want them, shared by their sessions. Thread-safe, bounded."""

    def __init__(
        self, networks: Networks, learnt: Callable[[str], Adapted | None], limit: int = PREPARED
    ) -> None:
        """Args:
        networks: Prepare them.
        learnt: What was learnt for a portrait since, by its id.
        limit: Portraits that are kept.
        """
        self.networks: Final = networks
        self._learnt, self._limit = learnt, limit
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
        learnt = self._learnt(portrait.id)
        return ready if learnt is None else ready.adapted(learnt)
