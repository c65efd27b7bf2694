"""From controls to the 62 keypoints."""

from __future__ import annotations
import numpy as np
from core import KEYPOINTS, ControlTrack, KeypointTrack
from face import Face


def to_keypoints(controls: ControlTrack, face: Face) -> KeypointTrack:
    points = face.pose(face.deform(controls.values), controls.values)
    return KeypointTrack(np.ascontiguousarray(points[:, list(KEYPOINTS), :2], np.float32))
