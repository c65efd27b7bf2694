"""Blend shape scores as CSV, in the MediaPipe form that docs/library.md describes.

So a library of prototypes can be built from one's own videos.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core import FPS
from engines.evaluate.extract.landmarker import Scores
from engines.evaluate.track import FaceTrack

HEAD = ("head_pitch_deg", "head_yaw_deg", "head_roll_deg")


def write_csv(track: FaceTrack, scores: Scores, path: Path, *, fps: float = FPS) -> None:
    """Write time, tracked, the scores by name and the head, whole or not at all.

    Args:
        track: Gives the head. Its roll changes its sign: the form's is positive to the right
            shoulder.
        scores: Of the same frames.
        path: The file; its folder is made.
        fps: Frames a second.

    Raises:
        ValueError: The two do not belong together.
    """
    if len(track) != len(scores.values):
        raise ValueError(f"expected scores of {len(track)} frames, got {len(scores.values)}")
    head = track.pose * np.array([1, 1, -1], np.float32)
    lines = [",".join(("time", "tracked", *scores.names, *HEAD))]
    for i, (seen, values, angles) in enumerate(zip(track.seen, scores.values, head, strict=True)):
        cells = [f"{i / fps:.4f}", str(int(seen))]
        # A frame without a face still needs its columns: zeros, which `tracked` takes back.
        cells += [f"{v:.4f}" for v in (values if seen else np.zeros_like(values))]
        cells += [f"{a:.2f}" for a in (angles if seen else np.zeros_like(angles))]
        lines.append(",".join(cells))
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    partial.replace(path)
