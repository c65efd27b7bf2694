"""Events of the eye region noticed in a track: frames a to b show drooping lids, and so on.

CogPortrait annotates its benchmark by hand; these are a start that hands can correct. Thresholds
are free, and on the scale of a person's own fullest closure.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from core import CHANNEL, F32, FPS
from engines.evaluate.case import Annotation
from engines.evaluate.extract.mesh import MeshExtractor
from engines.evaluate.extract.neutral import neutral_of
from engines.evaluate.track import Bools, FaceTrack

DROOP: Final = (0.3, 0.75)
"Closure of lids that hang."
SHUT: Final = 0.75
BLINK: Final = 0.5
"Seconds up to which a closure is a blink (Caffier et al. 2003, Eur J Appl Physiol 89(3-4))."
HELD: Final = 0.4
"Seconds from which anything else is worth a line."
ASIDE: Final = 12.0
"Degrees of gaze, either way."
UP: Final = 10.0
DOWN: Final = 12.0
TURNED: Final = 12.0
"Degrees of the head, any way."
BROWS: Final = 0.5
"Of the clip's own highest, where that is more than `RAISED`."
RAISED: Final = 0.2
FULLEST: Final = 98.0
"Percentile of the raw lid channel taken for a person's own full closure."
LEAST_TRAVEL: Final = 0.35
"Raw closure that counts as full where nobody closes further, on the landmarker's scale."
LEAST_MESH_TRAVEL: Final = 0.18
"The same on the mesh's, which is geometry of lids that are seldom tracked all the way down."


def openness(track: FaceTrack) -> F32:
    """Closure of the more open eye, float32 ``[T]``, 0 open to 1 shut on the person's own scale."""
    lids = track.aus[:, [CHANNEL["AU45_L"], CHANNEL["AU45_R"]]]
    if not track.seen.any():
        return np.ones(len(track), np.float32)
    raw = lids - neutral_of(track).aus[[CHANNEL["AU45_L"], CHANNEL["AU45_R"]]]
    least = LEAST_MESH_TRAVEL if track.extractor == MeshExtractor.name else LEAST_TRAVEL
    full = np.maximum(np.nanpercentile(raw, FULLEST, axis=0), least)
    closure: F32 = np.clip(raw / full, 0, 1).min(axis=1)
    return np.where(track.seen, closure, np.float32(1))


def annotate(track: FaceTrack, first: int, last: int) -> tuple[Annotation, ...]:
    """What happens between two frames, in order of time; frames count from ``first``."""
    closure = openness(track)
    neutral = neutral_of(track)
    left, down = (track.gaze - neutral.gaze).T
    pitch, yaw, roll = (track.pose - neutral.pose).T
    brows = np.nanmean(track.aus[:, :4] - neutral.aus[:4], axis=1)
    shut = closure > SHUT
    hidden = _widen(shut, 3)  # a covered iris is seen anywhere
    states = {
        "lids droop": (closure > DROOP[0]) & (closure <= DROOP[1]),
        "eyes shut": shut,
        "gaze to the person's left": (left > ASIDE) & ~hidden,
        "gaze to the person's right": (left < -ASIDE) & ~hidden,
        "gaze up": (down < -UP) & ~hidden,
        "gaze down": (down > DOWN) & ~hidden,
        "brows raised": brows > max(RAISED, BROWS * float(np.nanmax(brows, initial=0.0))),
        "head turned aside": np.abs(yaw) > TURNED,
        "head lowered": pitch > TURNED,
        "head raised": pitch < -TURNED,
        "head tilted": np.abs(roll) > TURNED,
    }
    found = []
    for what, mask in states.items():
        for a, b in runs(mask[first:last] & track.seen[first:last]):
            seconds = (b - a) / FPS
            if what == "eyes shut":
                name = "blink" if seconds <= BLINK else "prolonged eye closure"
                found.append(Annotation(a, b, name, track.extractor))
            elif seconds >= HELD:
                found.append(Annotation(a, b, what, track.extractor))
    return tuple(sorted(found, key=lambda e: (e.first, e.last, e.what)))


def runs(mask: Bools) -> Iterator[tuple[int, int]]:
    """First and last + 1 of every stretch in which ``mask`` holds."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    yield from ((int(a), int(b)) for a, b in edges.reshape(-1, 2))


def _widen(mask: Bools, frames: int) -> Bools:
    grown: Bools = np.convolve(mask, np.ones(2 * frames + 1), mode="full")[frames:-frames] > 0.5
    return grown
