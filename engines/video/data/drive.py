"""How faces of training clips move: what the planner plays, and wild motion that covers the rest.

A planner's tracks come as files (``python -m runtime.export_motion``). They rarely wink, stare or
raise one brow to the full, and a generator must follow all that: half of the clips are wild in
whole or in part. The numbers that are drawn are free.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from core import CHANNEL, CHANNELS, F32, MOUTH, MOUTH_CHANNELS, POSE_SLICE, InvalidInput

PLANNED, MIXED = 0.5, 0.2
"Share of clips that play a track, and that play one with wild channels; the others are wild."
GROUPS: Final = ("brows", "frown", "wide", "squint", "cheeks", "lids", "gaze")


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """What a face does beside speaking."""

    controls: F32
    "float32 ``[T, 17]``; pose is zero in clips."
    felt: F32
    "float32 ``[T, 9]``: the mouth of the expression."
    label: str
    text: str


def load_motion(folder: Path) -> tuple[Motion, ...]:
    """All tracks of a folder.

    Raises:
        InvalidInput: There are none, or one is damaged; the message names it.
    """
    tracks = []
    for path in sorted(folder.glob("*.npz")):
        try:
            with np.load(path, allow_pickle=False) as stored:
                controls, felt = (np.asarray(stored[n], np.float32) for n in ("controls", "felt"))
                text = str(stored["text"]) if "text" in stored else ""
                label = str(stored["label"])
        except Exception as error:  # zip, zlib, npy headers: a dozen kinds when damaged
            raise InvalidInput(f"{path} is not a track of motion ({error}).") from error
        wide = (len(CHANNELS), len(MOUTH_CHANNELS))
        if (*controls.shape[1:], *felt.shape[1:]) != wide or len(controls) != len(felt):
            raise InvalidInput(f"{path} is not a track of motion (shapes {controls.shape}).")
        if not (np.isfinite(controls).all() and np.isfinite(felt).all()):
            raise InvalidInput(f"{path} is not a track of motion (NaN or infinity).")
        tracks.append(Motion(controls, felt, label, text))
    if not tracks:
        raise InvalidInput(
            f"{folder} holds no motion. Make some: python -m runtime.export_motion {folder}"
        )
    return tuple(tracks)


def draw_motion(tracks: Sequence[Motion], frames: int, rng: np.random.Generator) -> Motion:
    """The motion of one clip, pose at rest."""
    which = rng.random()
    long_enough = [t for t in tracks if len(t.controls) >= frames]
    if which >= PLANNED + MIXED or not long_enough:
        controls = np.zeros((frames, len(CHANNELS)), np.float32)
        chosen = [group for group in GROUPS if rng.random() < 0.45] or [str(rng.choice(GROUPS))]
        for group in chosen:
            _wild(group, controls, rng)
        return Motion(controls, _wild_felt(frames, rng), "", "")
    track = long_enough[int(rng.integers(len(long_enough)))]
    at = int(rng.integers(len(track.controls) - frames + 1))
    controls, felt = (a[at : at + frames].copy() for a in (track.controls, track.felt))
    controls[:, POSE_SLICE] = 0
    if which < PLANNED:
        return Motion(controls, felt, track.label, track.text)
    for group in rng.choice(GROUPS, int(rng.integers(1, 3)), replace=False):
        _wild(str(group), controls, rng)
    felt = np.clip(felt + _wild_felt(frames, rng), 0, 1)
    return Motion(controls, felt, "", "")


def draw_expression(tracks: Sequence[Motion], rng: np.random.Generator) -> tuple[F32, F32]:
    """Controls ``[17]`` and mouth ``[9]`` of a reference: four in ten are the portrait's own."""
    controls = np.zeros(len(CHANNELS), np.float32)
    mouth = np.zeros(len(MOUTH_CHANNELS), np.float32)
    which = rng.random()
    if which < 0.4:
        return controls, mouth
    if which < 0.55 and tracks:
        track = tracks[int(rng.integers(len(tracks)))]
        at = int(rng.integers(len(track.controls)))
        controls, mouth = track.controls[at].copy(), track.felt[at].copy()
        controls[POSE_SLICE] = 0
    else:
        for group in rng.choice(GROUPS, int(rng.integers(1, 4)), replace=False):
            if group == "lids":
                # Rarely shut: such a portrait hardly shows an iris.
                controls[[CHANNEL["AU45_L"], CHANNEL["AU45_R"]]] = rng.choice((0.25, 0.45, 0.6))
            else:
                row = np.zeros((24, len(CHANNELS)), np.float32)
                _wild(str(group), row, rng)
                controls = np.maximum(controls, row[-1])
    if rng.random() < 0.6:
        for name, most, share in (
            ("smile", 1.0, 0.5), ("wide", 0.6, 0.2), ("jaw", 0.6, 0.4), ("pucker", 0.8, 0.15),
            ("upper_lip", 0.7, 0.15), ("lower_lip", 0.7, 0.15), ("press", 0.8, 0.15),
        ):  # fmt: skip
            if rng.random() < share:
                mouth[MOUTH[name]] = max(mouth[MOUTH[name]], rng.uniform(0, most))
    return controls, mouth


def _put(controls: F32, name: str, values: F32) -> None:
    controls[:, CHANNEL[name]] = values


def _wild(group: str, controls: F32, rng: np.random.Generator) -> None:
    """Fill the channels of a group with something that no plan would contain."""
    frames = len(controls)
    if group == "brows":
        for inner, outer in (("AU1_L", "AU1_R"), ("AU2_L", "AU2_R")):
            left = ramps(frames, rng)
            _put(controls, inner, left)
            _put(controls, outer, left if rng.random() < 0.5 else ramps(frames, rng))
    elif group == "gaze":
        across, up = _saccades(frames, rng), _saccades(frames, rng)
        _put(controls, "gaze_left", np.maximum(across, 0))
        _put(controls, "gaze_right", np.maximum(-across, 0))
        _put(controls, "gaze_up", np.maximum(up, 0))
        _put(controls, "gaze_down", np.maximum(-up, 0))
    elif group == "lids":
        left = _closures(frames, rng)
        kind = rng.random()
        right = left if kind < 0.6 else np.zeros_like(left)
        if kind >= 0.85:
            right = _closures(frames, rng)
        pair = (left, right) if rng.random() < 0.5 else (right, left)
        _put(controls, "AU45_L", pair[0])
        _put(controls, "AU45_R", pair[1])
    else:
        name = {"frown": "AU4", "wide": "AU5", "squint": "AU7", "cheeks": "AU6"}[group]
        _put(controls, name, ramps(frames, rng))


def ramps(frames: int, rng: np.random.Generator) -> F32:
    """Levels held for 0.1 to 1 s, with smooth ways of 1 to 10 frames between; ``[T]`` in [0, 1]."""
    values = np.empty(frames, np.float32)
    at, level = 0, _level(rng)
    while at < frames:
        hold, way = int(rng.integers(2, 26)), int(rng.integers(1, 11))
        after = _level(rng)
        values[at : at + hold] = level
        steps = np.arange(1, way + 1) / (way + 1)
        rise = level + (after - level) * steps * steps * (3 - 2 * steps)
        end = min(at + hold + way, frames)
        values[at + hold : end] = rise[: max(end - at - hold, 0)]
        at, level = at + hold + way, after
    return values


def _level(rng: np.random.Generator) -> float:
    which = rng.random()
    return 0.0 if which < 0.35 else 1.0 if which < 0.5 else float(rng.random())


def _saccades(frames: int, rng: np.random.Generator) -> F32:
    """One axis of gaze, -1 to 1: jumps of one to three frames, or now and then a slow sweep."""
    values = np.empty(frames, np.float32)
    at, level = 0, _side(rng)
    while at < frames:
        hold = int(rng.integers(3, 22))
        way = int(rng.integers(8, 25)) if rng.random() < 0.15 else int(rng.integers(0, 3))
        after = _side(rng)
        values[at : at + hold] = level
        rise = level + (after - level) * np.arange(1, way + 1) / (way + 1)
        end = min(at + hold + way, frames)
        values[at + hold : end] = rise[: max(end - at - hold, 0)]
        at, level = at + hold + way, after
    return values


def _side(rng: np.random.Generator) -> float:
    which = rng.random()
    if which < 0.25:
        return 0.0
    if which < 0.33:
        return float(rng.choice((-1.0, 1.0)))
    return float(rng.uniform(-1, 1) * rng.uniform(0.3, 1))


def _closures(frames: int, rng: np.random.Generator) -> F32:
    """One eye: blinks, long closures, or a lid that hangs half way; ``[T]`` in [0, 1]."""
    if rng.random() < 0.35:
        return ramps(frames, rng)
    values = np.full(frames, rng.uniform(0.1, 0.6) if rng.random() < 0.25 else 0, np.float32)
    at = int(rng.integers(0, 15))
    while at < frames:
        close, stay = int(rng.integers(1, 5)), int(rng.integers(0, 4))
        if rng.random() < 0.25:
            stay = int(rng.integers(8, 40))
        open_ = int(rng.integers(2, 8))
        deep = 1.0 if rng.random() < 0.75 else rng.uniform(0.5, 0.95)
        pulse = np.concatenate([
            np.linspace(0, deep, close + 1)[1:], np.full(stay, deep),
            np.linspace(deep, 0, open_ + 1)[1:],
        ])  # fmt: skip
        end = min(at + len(pulse), frames)
        values[at:end] = np.maximum(values[at:end], pulse[: end - at])
        at = end + int(rng.integers(3, 30))
    return values


def _wild_felt(frames: int, rng: np.random.Generator) -> F32:
    """Mouth beside speech: nothing mostly, a smile often, anything at all at times."""
    felt = np.zeros((frames, len(MOUTH_CHANNELS)), np.float32)
    which = rng.random()
    if which < 0.3:
        felt[:, MOUTH["smile"]] = ramps(frames, rng)
        felt[:, MOUTH["wide"]] = ramps(frames, rng) * (0.5 if rng.random() < 0.4 else 0)
    elif which < 0.45:
        for channel in rng.choice(len(MOUTH_CHANNELS), int(rng.integers(1, 4)), replace=False):
            felt[:, channel] = ramps(frames, rng)
    return felt
