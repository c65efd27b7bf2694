"""Which controls make a portrait's keypoints what was measured: for generators without keypoints.

CogPortrait section 3.2 recovers controls from residuals of keypoints; here the model is
`face.FaceModel`, and what it can not show of the keypoints is lost.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from core import (
    AU_SLICE,
    CHANNEL,
    CHANNELS,
    F32,
    KEYPOINT_SLICES,
    KEYPOINTS,
    POSE_SLICE,
    ControlTrack,
    KeypointTrack,
    Portrait,
)
from engines.evaluate.track import FaceTrack
from face import FaceModel, rotation

AUS: Final = AU_SLICE.stop
FREE: Final = AUS + 2
"""What is solved for: the action units, and gaze to the left and up, signed, since opposite
channels would share one motion between them. The head's pose is measured apart."""
STEPS: Final = 8
"Gauss-Newton steps; after five the controls move by less than 0.01 (free)."
NUDGE: Final = 0.05
"Of a control, for its derivative: wide enough to see past the bend of a lid that meets the other."
RIDGE: Final = 0.35
"mm a control at 1 has to be worth: what keypoints hardly show (AU6) stays at rest (free)."
CORNERS: Final = [
    KEYPOINT_SLICES[f"lid_{side}"].start + k for side in ("left", "right") for k in (0, 8)
]
"Of the lids, among the keypoints: they move with the head alone."


def keypoints_of(track: FaceTrack, portrait: Portrait, size: int) -> KeypointTrack:
    """Where the keypoints of a clip are on the portrait made of its first frame.

    Frames without a face hold the last one seen. What moves is taken from the track, where it
    starts from the portrait's own mesh, which was measured with more care.

    Args:
        track: Of the clip, T frames; the first shows a face.
        portrait: Made of its first frame.
        size: Side of the tracked frames, pixels.
    """
    points = held(track.mesh[:, list(KEYPOINTS), :2]) * np.float32(portrait.size / size)
    return KeypointTrack(np.ascontiguousarray(points - points[0] + portrait.keypoints, np.float32))


def held(rows: F32) -> F32:
    """Rows ``[T, …]`` with every NaN row replaced by the one before (the first by the next)."""
    seen = np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
    if not seen.any():
        return np.zeros_like(rows)
    last = np.maximum.accumulate(np.where(seen, np.arange(len(rows)), -1))
    filled: F32 = rows[np.where(last >= 0, last, int(np.argmax(seen)))]
    return filled


def relative_pose(pose: F32) -> F32:
    """Pitch, yaw, roll ``[T, 3]`` (degrees) as turns away from the first row."""
    turns = rotation(pose)
    turns = turns @ turns[0].T
    # R = roll @ yaw @ pitch, see `face.rotation`.
    yaw = np.arcsin(np.clip(turns[:, 2, 0], -1, 1))
    pitch = np.arctan2(turns[:, 2, 1], turns[:, 2, 2])
    roll = np.arctan2(turns[:, 1, 0], turns[:, 0, 0])
    out: F32 = np.degrees(np.stack([pitch, yaw, roll], axis=1)).astype(np.float32)
    return out


def fit_controls(keypoints: KeypointTrack, pose: F32, portrait: Portrait) -> ControlTrack:
    """The controls under which the portrait's keypoints come nearest to those given.

    Least squares with a small price on every control, by projected Gauss-Newton, every frame by
    itself. Where the head is and how near (a shift and a scale, from the corners of the lids) is
    left out: controls can not move it.

    Args:
        keypoints: ``[T, 62, 2]``, pixels of the portrait's crop.
        pose: float32 ``[T, 3]``, degrees against the portrait (see `relative_pose`).
        portrait: Whose keypoints they are.
    """
    face = FaceModel.from_mesh(portrait.mesh)
    frames = len(keypoints)
    if not frames:
        return ControlTrack.neutral(0)
    state = np.zeros((frames, FREE), np.float32)
    target = _placed(keypoints.points, _project(face, _controls(state, pose)))
    price = np.eye(FREE, dtype=np.float32) * RIDGE**2
    lowest = np.r_[np.zeros(AUS), -np.ones(2)].astype(np.float32)
    for _ in range(STEPS):
        here = _project(face, _controls(state, pose))
        wanted = ((target - here) / face.mm).reshape(frames, -1)
        slopes = np.empty((frames, wanted.shape[1], FREE), np.float32)
        for k in range(FREE):
            nudged = state.copy()
            step = np.where(state[:, k] > 0.5, -NUDGE, NUDGE).astype(np.float32)
            nudged[:, k] += step
            moved = (_project(face, _controls(nudged, pose)) - here).reshape(frames, -1)
            slopes[..., k] = moved / (face.mm * step[:, None])
        normal = np.einsum("tnk,tnl->tkl", slopes, slopes) + price
        pull = np.einsum("tnk,tn->tk", slopes, wanted) - price.diagonal() * state
        state = np.clip(state + np.linalg.solve(normal, pull[..., None])[..., 0], lowest, 1)
    return ControlTrack(_controls(state, pose))


def _controls(state: F32, pose: F32) -> F32:
    """What is solved for, and the pose, as controls ``[T, 17]``."""
    out = np.zeros((len(state), len(CHANNELS)), np.float32)
    out[:, :AUS] = state[:, :AUS]
    for signed, (one, other) in zip(
        state[:, AUS:].T, (("gaze_left", "gaze_right"), ("gaze_up", "gaze_down")), strict=True
    ):
        out[:, CHANNEL[one]], out[:, CHANNEL[other]] = np.maximum(signed, 0), np.maximum(-signed, 0)
    out[:, POSE_SLICE] = pose
    return out


def _project(face: FaceModel, controls: F32) -> F32:
    deformed = face.deform(controls)[:, list(KEYPOINTS)]
    return face.pose(deformed, controls)[..., :2]


def _placed(points: F32, model: F32) -> F32:
    """``points`` moved and scaled, frame by frame, until their lid corners lie on the model's."""
    corners, there = points[:, CORNERS], model[:, CORNERS]
    centre, goal = corners.mean(axis=1, keepdims=True), there.mean(axis=1, keepdims=True)
    spread = np.linalg.norm(corners - centre, axis=-1).mean(axis=1)
    scale = np.linalg.norm(there - goal, axis=-1).mean(axis=1) / np.maximum(spread, 1e-6)
    placed: F32 = ((points - centre) * scale[:, None, None] + goal).astype(np.float32)
    return placed
