"""The mapping layer: controls on a face become the 62 keypoints of every frame.

Action units, lids and gaze deform the face's mesh, pose turns it, weak perspective drops z, and
where the face is not the portrait's own mesh (a generic head, say), a thin-plate spline fitted on
the neutral keypoints brings the points into the portrait's space.

Source: CogPortrait section 3.3 (mapping layer) and 3.4 (alignment by TPS).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from core import F32, KEYPOINTS, ControlTrack, KeypointTrack
from face import Face
from planner.tps import ThinPlateSpline

INDEX: Final = np.array(KEYPOINTS)
SAME_PIXELS: Final = 1e-3
"A face whose neutral keypoints are this near to the reference's needs no alignment."


def to_keypoints(controls: ControlTrack, face: Face, reference: F32 | None = None) -> KeypointTrack:
    """Where the lids, brows and irises are under ``controls``.

    Args:
        controls: ``[T, 17]``.
        face: The face that is deformed.
        reference: float32 ``[62, 2]``: neutral keypoints of the portrait
            (`core.Portrait.keypoints`), if the face is not made from the portrait's own mesh.

    Returns:
        ``[T, 62, 2]``, pixels of the portrait crop.
    """
    if not len(controls):
        return KeypointTrack(np.zeros((0, len(INDEX), 2), np.float32))
    deformed = face.deform(controls.values)[:, INDEX]
    points = face.pose(deformed, controls.values)[..., :2]
    if reference is not None:
        points = align(points, face.neutral[INDEX, :2], reference)
    return KeypointTrack(np.ascontiguousarray(points, np.float32))


def align(points: F32, neutral: F32, reference: F32) -> F32:
    """``points`` of a face with keypoints ``neutral``, in the space of ``reference``.

    Args:
        points: float32 ``[..., 2]``.
        neutral: float32 ``[62, 2]``: the face at rest.
        reference: float32 ``[62, 2]``: the portrait at rest.
    """
    if float(np.abs(neutral - reference).max()) < SAME_PIXELS:
        return points
    return ThinPlateSpline.fit(neutral, reference)(points)
