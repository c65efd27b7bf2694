"""The puppet: a still portrait under 17 controls and 9 mouth controls, one frame at a time."""

from __future__ import annotations

import numpy as np

from core import (
    CHANNEL,
    CHANNELS,
    F32,
    MOUTH,
    MOUTH_CHANNELS,
    POSE_SLICE,
    U8,
)
from engines import warp
from engines.paint import paint
from engines.rig import NODES, Rig
from face import FIELD, JAW_DROP, amplitudes, gaze_angles, rotation

POSE_LIMIT = np.array([25.0, 35.0, 30.0], np.float32)
"""Largest pitch, yaw, roll rendered, degrees; a single picture knows no more of the head. Together
they reach as far as an ellipsoid: in its corners a head would be pushed out of the picture."""


def bounded_pose(pose: F32) -> F32:
    """The nearest pose, float32 ``[3]`` in degrees, that is rendered: see `POSE_LIMIT`."""
    share = np.clip(pose / POSE_LIMIT, -1, 1)
    return np.asarray(share * POSE_LIMIT / max(1.0, float(np.linalg.norm(share))), np.float32)


LID_OVERLAP = 0.10
"How far shut lids overlap, in half eye widths: about 1.5 mm, where a mesh may be off."


class Puppet:
    """Renders one session's frames. Owns its buffers; the rig is shared."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        face = (NODES, NODES, 2)
        head = (*rig.depth.shape, 2)
        self._upper, self._lower = np.zeros(face, np.float32), np.zeros(face, np.float32)
        self._undo_upper, self._undo_lower = np.zeros(face, "f4"), np.zeros(face, "f4")
        self._head, self._undo_head = np.zeros(head, "f4"), np.zeros(head, "f4")
        self._eyes = np.zeros((2, 20), np.float32)
        self._mouth = np.zeros(13, np.float32)
        self._row = np.zeros(head[1:], np.float32)
        self._inset = 0.4 * rig.face.mm
        self._ramp = max(1.0, 1.1 * rig.face.mm)

    def render(self, controls: F32, mouth: F32, out: U8 | None = None) -> U8:
        """One frame.

        Args:
            controls: float32 ``[17]``, as `core.CHANNELS`; AUs and gaze are clamped to [0, 1],
                pose to what a single picture can bear.
            mouth: float32 ``[9]``, as `core.MOUTH_CHANNELS`, clamped to [0, 1].
            out: uint8 ``[size, size, 3]``, contiguous, written and returned; None for a new one.

        Raises:
            ValueError: for other shapes, or numbers that are not finite.
        """
        rig = self.rig
        c, m = self._checked(controls, mouth)
        if out is None:
            out = np.empty((rig.size, rig.size, 3), np.uint8)
        elif out.shape != rig.crop.shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise ValueError(f"out: expected contiguous uint8 {list(rig.crop.shape)}")
        weights = amplitudes(rig.face, c[None], m)[0]
        self._overlap(c, weights)
        self._express(weights)
        self._look(c, m, weights)
        turns = self._turn(c)
        paint(
            rig.crop, rig.wide, self._undo_head, turns, rig.size / (rig.depth.shape[0] - 1),
            self._undo_upper, self._undo_lower, rig.step, rig.zones,
            rig.layers, rig.slits, self._eyes, self._mouth, self._inset, self._ramp, self._row, out,
        )  # fmt: skip
        return out

    def _checked(self, controls: F32, mouth: F32) -> tuple[F32, F32]:
        c = np.array(controls, np.float32)
        m = np.array(mouth, np.float32)
        if c.shape != (len(CHANNELS),) or not np.isfinite(c).all():
            raise ValueError(f"controls: expected finite [{len(CHANNELS)}], got {list(c.shape)}")
        if m.shape != (len(MOUTH_CHANNELS),) or not np.isfinite(m).all():
            raise ValueError(f"mouth: expected finite [{len(MOUTH_CHANNELS)}], got {list(m.shape)}")
        c[: POSE_SLICE.start] = np.clip(c[: POSE_SLICE.start], 0, 1)
        c[POSE_SLICE] = bounded_pose(c[POSE_SLICE])
        return c, np.clip(m, 0, 1)

    def _overlap(self, c: F32, weights: F32) -> None:
        """Let a closing upper lid pass over the lower lid's wet edge, and lie in front of it."""
        for i, (slit, side) in enumerate(zip(self.rig.face.eyes, "LR", strict=True)):
            shut = float(np.clip((c[CHANNEL[f"AU45_{side}"]] - 0.7) / 0.3, 0, 1))
            lap = LID_OVERLAP * slit.half * shut * shut * (3 - 2 * shut)
            gap = max(float(slit.gap(np.zeros(1, np.float32))[0]), 0.1 * slit.half)
            weights[FIELD[f"lid_upper_{side}"]] += lap / gap
            self._eyes[i, 14] = lap

    def _express(self, weights: F32) -> None:
        fields = self.rig.fields
        warp.sum_fields(weights, fields.boxes, fields.data, self._upper, self._lower)
        warp.invert(self._upper, self.rig.step, self._undo_upper)
        warp.invert(self._lower, self.rig.step, self._undo_lower)

    def _look(self, c: F32, m: F32, weights: F32) -> None:
        angles = gaze_angles(c)
        for i, eye in enumerate(self.rig.eyes):
            travel = float(weights[FIELD["lid_upper_" + "LR"[i]]])
            eye.state(angles, travel, self._eyes[i])
        half = self.rig.face.mouth.half
        drop = float(weights[FIELD["jaw"]]) * JAW_DROP * half
        light = 1 - 0.45 * float(m[MOUTH["pucker"]]) * (1 - 0.5 * float(m[MOUTH["jaw"]]))
        moved = float(np.abs(m).sum())
        self.rig.mouth.state(drop, float(m[MOUTH["tongue"]]), light, moved, self._mouth)

    def _turn(self, c: F32) -> bool:
        pose = c[CHANNEL["pitch"] :]
        if not pose.any():
            return False
        rig = self.rig
        step = rig.size / (rig.depth.shape[0] - 1)
        warp.turn_head(rig.depth, rig.weight, rig.face.pivot, rotation(pose), step, self._head)
        warp.invert(self._head, step, self._undo_head)
        return True
