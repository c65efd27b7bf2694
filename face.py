"""The parametric face: how 17 controls and 9 mouth controls move any point of a portrait.

One deformation serves both sides of the house: the planner maps controls to the 62 keypoints
with it, the puppet warps pixels with it, so lids on the screen are where the keypoints say.

The model is linear in a few *amplitudes* (`amplitudes`): each is one smooth displacement field
around the portrait's own landmarks (`fields`), evaluated at mesh points here and on a pixel grid
by the rig. Lids and lips are slits: a field has an upper and a lower side and may differ between
them, and the two sides agree beyond the corners. What is not linear (lids that meet whatever the
lower lid does, lips that press shut over a dropped jaw) lives in the amplitudes.

Anything with `deform` and `pose` of the shape of `Face` (a FLAME fit, say) can take its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from core import (
    BROW_LEFT,
    BROW_RIGHT,
    CHANNEL,
    CHANNELS,
    F32,
    GAZE_DEGREES,
    IRIS_LEFT,
    IRIS_RIGHT,
    LID_LEFT,
    LID_RIGHT,
    MESH_POINTS,
    MOUTH,
    MOUTH_CHANNELS,
)

Bools = npt.NDArray[np.bool_]

FIELDS: Final = (
    "lid_upper_L", "lid_upper_R", "lid_lower_L", "lid_lower_R",
    "AU1_L", "AU1_R", "AU2_L", "AU2_R", "AU4", "AU6",
    "jaw", "lip_upper", "lip_lower", "gap_upper", "gap_lower",
    "wide", "pucker", "smile", "nose",
)  # fmt: skip
"""The displacement fields. Lid fields have the unit of the portrait's own lid gap (1 closes), lip
and jaw fields that of half the mouth's width, all others are full strength at 1."""
FIELD: Final[dict[str, int]] = {name: i for i, name in enumerate(FIELDS)}

IRIS_MM: Final = 11.7
"Horizontal visible iris diameter, mm (Ruefer et al. 2005: 11.7 ± 0.4): the ruler in the eye."
EYEBALL_MM: Final = 12.0
"Radius of the eyeball, mm (Bekerman et al. 2014: axial diameter 22 to 24.8)."
LIMBUS_DEPTH_MM: Final = float(np.sqrt(EYEBALL_MM**2 - (IRIS_MM / 2) ** 2))
"Distance of the iris plane from the centre of rotation."
OUTER_CANTHAL_MM: Final = 90.0
"Distance between the outer eye corners, mm (Farkas 1994: 86 to 92): the ruler of the face."

LIP_UPPER_INNER: Final = (191, 80, 81, 82, 13, 312, 311, 310, 415)
"Inner edge of the upper lip, from the person's right to left, without the corners."
LIP_LOWER_INNER: Final = (95, 88, 178, 87, 14, 317, 402, 318, 324)
"Inner edge of the lower lip, from the person's right to left, without the corners."
LIP_CORNERS: Final = (78, 308)
"Inner lip corners: the person's right, left."
CHIN: Final = 152
FOREHEAD: Final = 10
TEMPLES: Final = (234, 454)

CLOSED_LIFT: Final = 0.10
"Share of the gap the lower lid rises in a full blink; the upper lid travels the rest."


class Face(Protocol):
    """What the planner and the puppet ask of a face."""

    @property
    def neutral(self) -> F32:
        """float32 ``[478, 3]``, crop pixels: the portrait's own mesh."""

    def deform(self, controls: F32, mouth: F32 | None = None) -> F32:
        """The mesh under controls, before head pose."""

    def pose(self, points: F32, controls: F32) -> F32:
        """Points turned by the head pose in ``controls``."""


@dataclass(frozen=True, slots=True, eq=False)
class Slit:
    """An eye or a mouth: a frame on its corners and the two curves that open in it.

    Frame coordinates: ``s`` runs from -1 to 1 between the corners, in the direction of image x;
    ``t`` is the distance from the line of the corners in pixels, downwards.
    """

    centre: F32
    "float32 ``[2]``: midpoint of the corners, crop pixels."
    axis: F32
    "float32 ``[2]``: unit vector from the left corner in the picture to the right one."
    half: float
    "Half the distance of the corners, pixels."
    upper: F32
    "float32 ``[4]``: coefficients a of ``t(s) = (1 - s²) Σ a_i s^i``."
    lower: F32

    def frame(self, xy: F32) -> tuple[F32, F32]:
        """``s`` (unit: half widths) and ``t`` (pixels) of points ``[..., 2]``."""
        d = xy - self.centre
        s = (d[..., 0] * self.axis[0] + d[..., 1] * self.axis[1]) / self.half
        t = d[..., 1] * self.axis[0] - d[..., 0] * self.axis[1]
        return s, t

    @property
    def down(self) -> F32:
        """Unit vector of growing ``t``."""
        return np.array([-self.axis[1], self.axis[0]], np.float32)

    def gap(self, s: F32) -> F32:
        """Opening at ``s`` in pixels, never negative, zero at and beyond the corners."""
        return np.maximum(_curve(self.lower - self.upper, s), 0)

    def edge(self, s: F32, upper: bool) -> F32:
        """``t`` of the upper or lower edge at ``s``; the line of the corners beyond them."""
        return _curve(self.upper if upper else self.lower, s)

    @classmethod
    def fit(cls, corners: F32, upper: F32, lower: F32) -> Slit:
        """Least-squares slit through corner points ``[2, 2]`` and edge points ``[n, 2]``."""
        a, b = (corners[0], corners[1]) if corners[0, 0] <= corners[1, 0] else corners[::-1]
        half = max(float(np.hypot(*(b - a))) / 2, 1e-3)
        blank = np.zeros(4, np.float32)
        slit = cls((a + b) / 2, ((b - a) / (2 * half)).astype(np.float32), half, blank, blank)
        fits = []
        for points in (upper, lower):
            s, t = slit.frame(points)
            s = np.clip(s, -0.97, 0.97)
            design = (1 - s * s)[:, None] * s[:, None] ** np.arange(4)
            ridge = np.diag([1e-6, 1e-3, 1e-2, 1e-2])
            fits.append(np.linalg.solve(design.T @ design + ridge, design.T @ t))
        return cls(
            slit.centre, slit.axis, half, fits[0].astype(np.float32), fits[1].astype(np.float32)
        )


@dataclass(frozen=True, slots=True, eq=False)
class FaceModel:
    """A face made of smooth fields around one portrait's landmarks. Immutable.

    Build it with `from_mesh`.
    """

    neutral: F32
    "float32 ``[478, 3]``: crop pixels, as `core.Portrait.mesh`."
    eyes: tuple[Slit, Slit]
    "The person's left and right eye."
    mouth: Slit
    "The inner lips."
    mm: float
    "Pixels per millimetre, from the outer eye corners."
    iris_mm: tuple[float, float]
    "Pixels per millimetre at the left and right eye, from the iris."
    pivot: F32
    "float32 ``[3]``: where the head turns, at the top of the neck."
    basis: F32
    "float32 ``[fields, 478, 2]``: displacement of the mesh points, pixels at amplitude 1."

    @classmethod
    def from_mesh(cls, mesh: F32) -> FaceModel:
        """The model of one portrait.

        Args:
            mesh: float32 ``[478, 3]``, crop pixels, z away from the camera.

        Raises:
            ValueError: for another shape, or numbers that are not finite.
        """
        mesh = np.array(mesh, np.float32)
        if mesh.shape != (MESH_POINTS, 3) or not np.isfinite(mesh).all():
            raise ValueError(f"mesh: expected finite float32 [478, 3], got {list(mesh.shape)}")
        mesh.setflags(write=False)
        xy = mesh[:, :2]
        eyes = (_eye(xy, LID_LEFT), _eye(xy, LID_RIGHT))
        mouth = Slit.fit(
            xy[list(LIP_CORNERS)], xy[list(LIP_UPPER_INNER)], xy[list(LIP_LOWER_INNER)]
        )
        mm = max(float(np.hypot(*(xy[263] - xy[33]))) / OUTER_CANTHAL_MM, 1e-2)
        iris = [_iris_diameter(xy, ring) / IRIS_MM for ring in (IRIS_LEFT, IRIS_RIGHT)]
        model = cls(mesh, eyes, mouth, mm, (iris[0], iris[1]), _pivot(mesh), np.empty(0, "f4"))
        upper_lid, upper_lip = model.sides(xy)
        upper_lip[list(LIP_UPPER_INNER)] = True
        upper_lip[list(LIP_LOWER_INNER)] = False
        basis = model.fields(xy, upper_lid, upper_lip)
        basis[:, MESH_POINTS - 10 :] = 0  # irises move by gaze alone
        basis.setflags(write=False)
        return cls(mesh, eyes, mouth, mm, model.iris_mm, model.pivot, basis)

    def deform(self, controls: F32, mouth: F32 | None = None) -> F32:
        """The mesh under controls, before head pose.

        Args:
            controls: float32 ``[17]`` or ``[T, 17]``, as `core.CHANNELS`.
            mouth: float32 ``[9]`` or ``[T, 9]``, as `core.MOUTH_CHANNELS`; None is the
                portrait's own mouth.

        Returns:
            float32 ``[478, 3]`` or ``[T, 478, 3]``, crop pixels.
        """
        c = np.atleast_2d(np.asarray(controls, np.float32))
        weights = amplitudes(self, c, mouth)
        points = np.repeat(self.neutral[None], len(c), axis=0)
        points[..., :2] += np.einsum("tk,knd->tnd", weights, self.basis)
        for eye, ring in ((0, IRIS_LEFT), (1, IRIS_RIGHT)):
            points[:, list(ring)] = self._iris(c, eye, ring)
        return points if np.ndim(controls) == 2 else points[0]

    def pose(self, points: F32, controls: F32) -> F32:
        """Turn points about the neck; weak perspective, so projecting is dropping z.

        Args:
            points: float32 ``[n, 3]`` or ``[T, n, 3]``, crop pixels.
            controls: float32 ``[17]`` or ``[T, 17]``; only pitch, yaw and roll are read.

        Returns:
            float32, the shape of ``points`` (with T of ``controls`` in front).
        """
        turn = rotation(np.asarray(controls, np.float32)[..., CHANNEL["pitch"] :])
        centred = np.asarray(points, np.float32) - self.pivot
        turned: F32 = (centred @ np.swapaxes(turn, -1, -2) + self.pivot).astype(np.float32)
        return turned

    def sides(self, xy: F32) -> tuple[Bools, Bools]:
        """Which points ``[..., 2]`` lie above the middle of the lid and of the lip slit."""
        above = []
        for slit in (*self.eyes, self.mouth):
            s, t = slit.frame(xy)
            above.append(t < (slit.edge(s, True) + slit.edge(s, False)) / 2)
        left, right, mouth = above
        middle = (self.eyes[0].centre[0] + self.eyes[1].centre[0]) / 2
        return np.where(xy[..., 0] > middle, left, right), mouth

    def fields(self, xy: F32, upper_lid: Bools, upper_lip: Bools) -> F32:
        """Every displacement field at any points.

        Args:
            xy: float32 ``[n, 2]``, crop pixels.
            upper_lid: bool ``[n]``: on which side of the eyes' slits a point counts.
            upper_lip: bool ``[n]``: likewise for the mouth.

        Returns:
            float32 ``[fields, n, 2]``, pixels at amplitude 1.
        """
        out = np.zeros((len(FIELDS), len(xy), 2), np.float32)
        for eye, side in ((0, "L"), (1, "R")):
            _lid_fields(self, out, xy, upper_lid, eye, side)
            _brow_fields(self, out, xy, eye, side)
        _mouth_fields(self, out, xy, upper_lip)
        return out

    def _iris(self, controls: F32, eye: int, ring: tuple[int, ...]) -> F32:
        """Iris points ``[T, 5, 3]``: the limbus disc turned about the eyeball's centre."""
        angles = gaze_angles(controls)
        zero = np.zeros(len(controls), np.float32)
        pose = np.stack([angles[:, 1], angles[:, 0], zero], -1)
        turn = rotation(np.degrees(pose).astype(np.float32))
        rim = self.neutral[list(ring)].copy()
        centre = rim[0].copy()
        local = rim - centre
        local[:, 2] = 0  # the disc faces the camera in the portrait
        depth = LIMBUS_DEPTH_MM * self.iris_mm[eye]
        local[:, 2] -= depth
        turned = local @ np.swapaxes(turn, -1, -2)
        turned[..., 2] += depth
        moved: F32 = (turned + centre).astype(np.float32)
        moved[..., 2] += rim[:, 2] - centre[2]
        return moved


def amplitudes(face: FaceModel, controls: F32, mouth: F32 | None = None) -> F32:
    """How far each field is on: float32 ``[T, fields]``.

    Args:
        face: The face; only its neutral mouth opening matters.
        controls: float32 ``[T, 17]``.
        mouth: float32 ``[T, 9]``, ``[9]`` or None.
    """
    if controls.shape[-1] != len(CHANNELS):
        raise ValueError(f"controls: expected [..., {len(CHANNELS)}], got {controls.shape}")
    c = {name: controls[:, i] for name, i in CHANNEL.items()}
    out = np.zeros((len(controls), len(FIELDS)), np.float32)

    def put(name: str, value: F32) -> None:
        out[:, FIELD[name]] = value

    # Lids follow vertical gaze nearly one to one (Becker & Fuchs 1988); the lower lid a little.
    follow = 0.5 * c["gaze_down"] - 0.30 * c["gaze_up"]
    upper = follow - 0.26 * c["AU5"] * (1 - 0.6 * np.maximum(c["gaze_up"], 0)) + 0.10 * c["AU7"]
    lower = 0.34 * c["AU7"] + 0.16 * c["AU6"] - 0.16 * c["gaze_down"] + 0.06 * c["gaze_up"]
    for side in "LR":
        shut = c[f"AU45_{side}"]
        lift = lower + (CLOSED_LIFT - lower * 0.3) * shut
        lid = np.minimum(upper, 1 - lift)
        put(f"lid_upper_{side}", lid + (1 - lift - lid) * shut)
        put(f"lid_lower_{side}", lift)
        for au in ("AU1", "AU2"):
            put(f"{au}_{side}", c[f"{au}_{side}"])
    put("AU4", c["AU4"])
    put("AU6", c["AU6"])
    if mouth is not None:
        m = np.atleast_2d(np.asarray(mouth, np.float32))
        if m.shape[-1] != len(MOUTH_CHANNELS):
            raise ValueError(f"mouth: expected [..., {len(MOUTH_CHANNELS)}], got {m.shape}")
        _mouth_amplitudes(out, {name: m[:, i] for name, i in MOUTH.items()}, face.mouth)
    return out


JAW_DROP: Final = 0.80
"Lower lip at jaw 1, in half mouth widths: about 20 mm."


def _mouth_amplitudes(out: F32, m: dict[str, F32], slit: Slit) -> None:
    """Lips: what opens is added up, then press and tuck close the sum again."""
    jaw = m["jaw"] * (1 - 0.15 * m["pucker"])
    down = 0.22 * m["lower_lip"] * (1 - 0.4 * m["jaw"])
    up = 0.17 * m["upper_lip"] * (1 - 0.35 * m["smile"])
    part = 0.035 * m["pucker"] * (1 - m["press"])  # rounded lips never quite touch
    opening = JAW_DROP * jaw + down + up + part
    press, tuck = m["press"], m["tuck"]
    # Overlap past contact: the red of the lips rolls in.
    shut = press * (opening + 0.07)
    # The lower lip rises to the upper teeth, which end a little below the line of the lips.
    tucked = tuck * np.maximum(JAW_DROP * jaw + down + 0.03, 0) * (1 - press)
    out[:, FIELD["jaw"]] = jaw
    out[:, FIELD["lip_lower"]] = down + part * 0.5 - 0.72 * shut - tucked
    out[:, FIELD["lip_upper"]] = -up - part * 0.5 + 0.28 * shut - 0.10 * tuck * (1 - press)
    # A parted portrait: press closes its gap, rounding half of it, tuck stops at the teeth.
    closing = np.maximum(press, np.maximum(0.5 * m["pucker"], 0.2 * tuck))
    out[:, FIELD["gap_upper"]] = 0.35 * closing
    out[:, FIELD["gap_lower"]] = 0.65 * closing
    for name in ("wide", "pucker", "smile"):
        out[:, FIELD[name]] = m[name]
    out[:, FIELD["nose"]] = 0.8 * m["upper_lip"] + 0.2 * m["smile"]


def gaze_angles(controls: F32) -> F32:
    """Eye rotation in radians, float32 ``[..., 2]``: to image right, then downwards.

    The person's left is image right.
    """
    c = np.asarray(controls, np.float32)
    side, up, down = np.radians(GAZE_DEGREES)
    right = side * (c[..., CHANNEL["gaze_left"]] - c[..., CHANNEL["gaze_right"]])
    below = down * c[..., CHANNEL["gaze_down"]] - up * c[..., CHANNEL["gaze_up"]]
    return np.asarray(np.stack([right, below], -1), np.float32)


def rotation(pose: F32) -> F32:
    """Rotation matrices ``[..., 3, 3]`` of (pitch, yaw, roll) in degrees ``[..., 3]``.

    Pitch is applied first, then yaw, then roll; signs as in `core.CHANNELS`, in the frame x
    right, y down, z away from the camera.
    """
    p, y, r = np.moveaxis(np.radians(np.asarray(pose, np.float32)), -1, 0)
    one, zero = np.ones_like(p), np.zeros_like(p)

    def matrix(*rows: F32) -> F32:
        return np.stack(rows, -1).reshape(*p.shape, 3, 3)

    pitch = matrix(one, zero, zero, zero, np.cos(p), -np.sin(p), zero, np.sin(p), np.cos(p))
    yaw = matrix(np.cos(y), zero, -np.sin(y), zero, one, zero, np.sin(y), zero, np.cos(y))
    roll = matrix(np.cos(r), -np.sin(r), zero, np.sin(r), np.cos(r), zero, zero, zero, one)
    return np.asarray(roll @ yaw @ pitch, np.float32)


def _curve(a: F32, s: F32) -> F32:
    inside = np.maximum(1 - s * s, 0)
    value: F32 = inside * (a[0] + s * (a[1] + s * (a[2] + s * a[3])))
    return value


def _eye(xy: F32, ring: tuple[int, ...]) -> Slit:
    return Slit.fit(xy[[ring[0], ring[8]]], xy[list(ring[9:])], xy[list(ring[1:8])])


def _iris_diameter(xy: F32, ring: tuple[int, ...]) -> float:
    centre, rim = xy[ring[0]], xy[list(ring[1:])]
    return max(float(np.mean(np.hypot(*(rim - centre).T))) * 2, 1e-2)


def _pivot(mesh: F32) -> F32:
    """Top of the neck: on the midline, at the height of the chin, a little behind the temples."""
    temples = mesh[list(TEMPLES)]
    width = float(np.hypot(*(temples[1, :2] - temples[0, :2])))
    middle = temples.mean(0)
    x = 0.5 * (middle[0] + mesh[CHIN, 0])
    return np.array([x, mesh[CHIN, 1], middle[2] + 0.10 * width], np.float32)


def _ease(x: F32) -> F32:
    """1 for x <= 0, 0 for x >= 1, a smooth fall between."""
    inside = np.minimum(np.maximum(x, 0), 1)
    fall: F32 = 1 - inside * inside * (3 - 2 * inside)
    return fall


def _lid_fields(face: FaceModel, out: F32, xy: F32, upper: Bools, eye: int, side: str) -> None:
    slit = face.eyes[eye]
    s, t = slit.frame(xy)
    gap = slit.gap(s)
    brow = face.neutral[list((BROW_LEFT if side == "L" else BROW_RIGHT)[:5]), :2]
    at, height = slit.frame(brow)
    order = np.argsort(at)
    skin = slit.edge(s, True) - np.interp(s, at[order], height[order])
    # The lash line moves as one; the skin above unrolls, up to just under the brow.
    rigid = 0.13 * slit.half
    # Deep-set eyes have little skin to unroll: better to draw the brow a little than to smear.
    room = np.maximum(np.maximum(0.70 * skin - rigid, 0.28 * slit.half), 0.65 * gap)
    above = slit.edge(s, True) - t
    below = t - slit.edge(s, False)
    # On the far side of the slit nobody looks; there the field only has to end without folding.
    far = 1.3 * slit.half
    travel = np.where(upper, gap * _ease((above - rigid) / room) * _ease(below / far), 0)
    out[FIELD[f"lid_upper_{side}"]] += travel[:, None] * slit.down
    lift = np.where(upper, 0, gap * _ease((below - rigid) / (0.9 * slit.half)) * _ease(above / far))
    out[FIELD[f"lid_lower_{side}"]] -= lift[:, None] * slit.down


def _bump(xy: F32, centre: F32, sx: float, sy: float) -> F32:
    d = xy - centre
    value: F32 = np.exp(-0.5 * ((d[:, 0] / sx) ** 2 + (d[:, 1] / sy) ** 2)).astype(np.float32)
    return value


def _brow_fields(face: FaceModel, out: F32, xy: F32, eye: int, side: str) -> None:
    mm, mesh = face.mm, face.neutral[:, :2]
    slit = face.eyes[eye]
    s, t = slit.frame(xy)
    sign = 1.0 if side == "L" else -1.0  # outwards in the picture
    inner, middle, outer = (
        mesh[list(pair)].mean(0)
        for pair in (((285, 336), (282, 334), (283, 300)), ((55, 107), (52, 105), (53, 70)))[eye]
    )
    # Nothing of the brow reaches the lid margins: they belong to the eyeball.
    free = _ease((t - slit.edge(s, True) + 0.5 * slit.half) / (0.45 * slit.half))
    up = -slit.down
    ends = _bump(xy, inner, 11 * mm, 12 * mm), _bump(xy, middle, 11 * mm, 11 * mm)
    tail = np.maximum(_bump(xy, outer, 13 * mm, 12 * mm), 0.8 * ends[1])
    out[FIELD[f"AU1_{side}"]] += (5.5 * mm * free * ends[0])[:, None] * up
    out[FIELD[f"AU2_{side}"]] += (5.5 * mm * free * tail)[:, None] * up
    frown = np.maximum(ends[0], 0.7 * ends[1]) * free
    knit = np.array([-sign * 2.2, 0], np.float32) * mm
    out[FIELD["AU4"]] += frown[:, None] * (knit - up * 3.6 * mm)
    cheek = np.asarray(slit.centre + slit.down * (19 * mm) + (sign * 5 * mm, 0), np.float32)
    below = 1 - _ease((t - slit.edge(s, False) - 0.05 * slit.half) / (0.5 * slit.half))
    puff = _bump(xy, cheek, 15 * mm, 11 * mm) * below
    out[FIELD["AU6"]] += (4.2 * mm * puff)[:, None] * up


def _mouth_fields(face: FaceModel, out: F32, xy: F32, upper: Bools) -> None:
    slit, mm = face.mouth, face.mm
    half = slit.half
    s, t = slit.frame(xy)
    down, along = slit.down, slit.axis
    lens = np.maximum(1 - s * s, 0)
    over = np.maximum(slit.edge(s, True) - t, 0)
    under = np.maximum(t - slit.edge(s, False), 0)
    chin = face.neutral[CHIN, :2]
    drop = max(float(slit.frame(chin)[1]), 0.8 * half)

    nose = float(slit.frame(face.neutral[2, :2])[1])
    room = max(-nose, 0.35 * half)
    # Each lip's fields end beyond the other one, as for the lids.
    upper_side = np.where(upper, _ease((under - 0.15 * half) / (1.1 * half)), 0)
    lower_side = np.where(upper, 0, _ease((over - 0.15 * half) / (1.1 * half)))

    # Jaw: a lens at the lips that widens to the whole jaw at the chin and fades in the neck.
    deep = 1 - _ease(under / drop)
    width = 1 + 1.1 * (1 - _ease(under / (0.9 * drop)))
    jaw = np.maximum(1 - (s / width) ** 2, 0) ** (0.85 + 0.65 * deep)
    jaw = jaw * (1 - 0.18 * deep) * _ease((under - 1.05 * drop) / (1.5 * drop))

    def push(name: str, amount: F32) -> None:
        out[FIELD[name]] += amount[:, None] * down

    gap = slit.gap(s)
    push("jaw", JAW_DROP * half * jaw * lower_side)
    push("lip_lower", half * lens * _ease((under - 0.12 * half) / (0.8 * half)) * lower_side)
    push("gap_lower", -gap * _ease((under - 0.1 * half) / half) * lower_side)
    push("lip_upper", half * lens * _ease((over - 0.08 * half) / (1.15 * room)) * upper_side)
    push("gap_upper", gap * _ease((over - 0.1 * half) / (1.3 * room)) * upper_side)

    # Corners. ``reach`` is linear between them, so the lips stretch evenly, and fades outside.
    level = np.exp(-0.5 * (t / (0.62 * half)) ** 2)
    reach = np.clip(s, -1, 1) * _ease((np.abs(s) - 1) / 1.1) * level
    out[FIELD["wide"]] += (0.15 * half * reach)[:, None] * along
    out[FIELD["pucker"]] -= (0.30 * half * reach)[:, None] * along
    puff = lens * np.exp(-0.5 * ((np.maximum(over, under) - 0.30 * half) / (0.2 * half)) ** 2)
    swell = np.where(upper, -0.5, 0.6) * puff * 0.16 * half
    out[FIELD["pucker"]] += swell[:, None] * down
    corner = np.exp(-0.5 * ((np.abs(s) - 1.0) / 0.42) ** 2) * np.exp(
        -0.5 * (t / (0.55 * half)) ** 2
    )
    out[FIELD["smile"]] += (0.14 * half * reach)[:, None] * along - (0.20 * half * corner)[
        :, None
    ] * down
    out[FIELD["jaw"]] += (0.12 * half * corner)[:, None] * down - (0.12 * half * reach)[
        :, None
    ] * along
    for cheek in (425, 205):
        apple = _bump(xy, face.neutral[cheek, :2], 11 * mm, 10 * mm)
        out[FIELD["smile"]] -= (0.07 * half * apple)[:, None] * down
    for wing in (358, 129):
        flare = _bump(xy, face.neutral[wing, :2], 6 * mm, 6 * mm)
        out[FIELD["nose"]] -= (1.6 * mm * flare)[:, None] * down
