"""All metrics that need a network, opened where their weights are to be had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import numpy as np

from core import F32, U8, InvalidInput, Unavailable
from engines.evaluate.measure import Seen
from engines.evaluate.networks.lip_sync import SyncNet
from engines.evaluate.networks.perceptual import FrameFeatures, Lpips
from engines.evaluate.networks.quality import Brisque
from engines.evaluate.networks.recogniser import Recogniser, id_sim
from engines.evaluate.networks.video_features import SHORTEST, VideoFeatures
from engines.evaluate.networks.weights import Weights

T = TypeVar("T")

EVERY: Final = 10
"Frames between those that are looked at: who is seen and how sharply changes slowly."
QUALITY_EVERY: Final = 25


class Suite:
    """The networks one process has open. Not thread-safe."""

    def __init__(self, folder: Path | None, *, video: bool = False) -> None:
        """Args:
        folder: Where weights may lie beside what packages ship.
        video: Compute clip features too (FVD): seconds a clip.
        """
        self.names: dict[str, str] = {}
        "Metric: what measures it."
        self.missing: dict[str, str] = {}
        "Metric: why nothing does."
        weights = Weights(folder)
        self._faces = self._open(("id_sim",), lambda: Recogniser(weights), lambda n: n.name)
        self._lpips = self._open(("lpips",), lambda: Lpips(weights), lambda n: n.name)
        self._frames = self._open(("fid",), lambda: FrameFeatures(weights), lambda n: n.name)
        self._brisque = self._open(("brisque",), lambda: Brisque(weights), lambda n: n.name)
        self._sync = self._open(("sync_c", "sync_d"), lambda: SyncNet(weights), lambda n: n.name)
        self._video: VideoFeatures | None = None
        if video:
            self._video = self._open(("fvd",), lambda: VideoFeatures(weights), lambda n: n.name)
        else:
            self.missing["fvd"] = "not asked for (--fvd: seconds a clip)"

    def _open(
        self, metrics: tuple[str, ...], open_: Callable[[], T], name: Callable[[T], str]
    ) -> T | None:
        try:
            network = open_()
        except Unavailable as error:
            self.missing |= dict.fromkeys(metrics, str(error))
            return None
        self.names |= dict.fromkeys(metrics, name(network))
        return network

    def measure(self, made: Seen, truth: Seen, samples: F32 | None) -> dict[str, float]:
        """What the networks say of one row of one case.

        Returns:
            Values by metric.
        """
        values: dict[str, float] = {}
        frames = min(len(made.frames), len(truth.frames))
        at = np.arange(1, frames, EVERY)
        if self._faces is not None and truth.track.seen[0]:
            reference = self._faces.embed(truth.frames[0], truth.track.mesh[0])
            embedded = self._faces.embed_all(made.frames[at], made.track.mesh[at])
            values["id_sim"] = id_sim(embedded, reference)
        if self._lpips is not None:
            values["lpips"] = float(self._lpips.distance(made.frames[at], truth.frames[at]).mean())
        if self._brisque is not None:
            shown = made.frames[1:frames:QUALITY_EVERY]
            scores = np.array([self._brisque.score(frame) for frame in shown])
            if np.isfinite(scores).any():
                values["brisque"] = float(np.nanmean(scores))
        if self._sync is not None and samples is not None:
            values |= self._lips_and_sound(made.frames, made.track.mesh, samples)
        return values

    def features(self, frames: U8) -> dict[str, F32]:
        """Features for distances of distributions.

        Returns:
            ``frame_features`` float32 ``[n, D]`` and ``clip_features`` ``[1, D]``, where there is a
            network for them.
        """
        found: dict[str, F32] = {}
        if self._frames is not None:
            found["frame_features"] = self._frames.features(frames[1::EVERY])
        if self._video is not None and len(frames) >= SHORTEST:
            found["clip_features"] = self._video.features(frames)[None]
        return found

    def _lips_and_sound(self, frames: U8, mesh: F32, samples: F32) -> dict[str, float]:
        assert self._sync is not None
        try:
            found = self._sync.measure(frames, mesh, samples)
        except InvalidInput:  # too short, or no face: nothing to be said about sync
            return {}
        return {"sync_c": found.confidence, "sync_d": found.distance}
