"""The planner as the benchmark of `engines.evaluate` asks for it (see `Planning` there)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from core import FPS, ControlTrack, InvalidInput
from engines.evaluate.track import FaceTrack
from planner.behaviour import Behaviour
from planner.categories import LABELS
from planner.decouple import as_track, neutral_of, resample, residual
from planner.formats import Raw
from planner.library import load_library
from planner.sources import facts_of
from runtime.lookahead import Lookahead


def labels() -> tuple[str, ...]:
    """All labels that can be planned for."""
    return tuple(LABELS)


def describe(name: str, row: Mapping[str, str]) -> tuple[str, str]:
    """Category and person of a recording, as the prototype library has them."""
    facts = facts_of(name, row)
    return facts.category, facts.person


def plan(label: str, frames: int, seed: int, prompt: str) -> ControlTrack:
    """What a session that plays the label shows: chunk after chunk, checked and mended."""
    performer = Behaviour(seed, label=label, library=load_library())
    if prompt:
        performer.set_instruction(prompt)
    return Lookahead(performer, label=label, instruction=prompt, seed=seed).take(frames)[0]


def invert(track: FaceTrack) -> ControlTrack:
    """Controls of a track, made as those of a prototype are.

    Frames without a face are bridged; head and gaze are against the middle of the clip.

    Raises:
        InvalidInput: A face is seen in too few frames.
    """
    seen = np.flatnonzero(track.seen)
    if len(seen) < 2:
        raise InvalidInput("a face is seen in fewer than two frames")
    values = np.concatenate([track.aus, track.gaze, track.pose], axis=1).astype(np.float64)
    at = np.arange(len(track))
    for column in range(values.shape[1]):
        values[:, column] = np.interp(at, seen, values[seen, column])
    measured = frozenset({"brows", "lids", "gaze", "head"})
    raw = Raw("mediapipe52", at / FPS, values, measured)
    controls = residual(raw, neutral_of([raw], [raw]), own_pose=True)
    return as_track(resample(raw.time, controls)[: len(track)])
