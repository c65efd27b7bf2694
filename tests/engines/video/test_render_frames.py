"""Regions back into the picture and onto the turning head: against the picture and the puppet."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core import (
    F32,
    KEYPOINTS,
    MOUTH_CHANNELS,
    POSE_SLICE,
    U8,
    ControlTrack,
    KeypointTrack,
    Portrait,
)
from engines.puppet import Puppet
from engines.rig import build_rig
from engines.video.performance import from_controls, from_keypoints, in_regions
from engines.video.render_frames import Head, PortraitCanvas, regions_of
from face import FaceModel

SIZES = (256, 512)


@pytest.fixture(scope="module", params=SIZES)
def canvas(request: pytest.FixtureRequest, portrait: Portrait) -> PortraitCanvas:
    return PortraitCanvas(portrait, request.param)


@pytest.fixture(scope="module")
def small(portrait: Portrait) -> PortraitCanvas:
    return PortraitCanvas(portrait, 256)


def turned(pitch: float = 0, yaw: float = 0, roll: float = 0) -> Head:
    return Head.turned(np.array([pitch, yaw, roll], np.float32))


def apart(a: U8, b: U8) -> npt.NDArray[np.int16]:
    return np.asarray(np.abs(a.astype(np.int16) - b), np.int16)


def test_own_regions_are_the_portrait(canvas: PortraitCanvas) -> None:
    """At rest, with its own regions, the picture comes back, and so it does if they soften."""
    assert apart(canvas.render(canvas.reference), canvas.picture).max() <= 1
    soft = np.stack([cv2.GaussianBlur(crop, (0, 0), 0.7) for crop in canvas.reference])
    assert apart(canvas.render(soft), canvas.picture).mean() < 0.05


def test_other_regions_are_shown(canvas: PortraitCanvas) -> None:
    """What is not the portrait's own is there in full, inside the border that fades."""
    darker, goal = canvas.reference // np.uint8(2), canvas.picture // np.uint8(2)
    frame = canvas.render(darker)
    regions = canvas.regions
    inside = np.zeros(frame.shape[:2], bool)
    for (x, y), half in zip(regions.centres, regions.halves, strict=True):
        core, whole = (
            tuple(slice(int(v - share * half), int(v + share * half) + 2) for v in (y, x))
            for share in (0.6, 1)
        )
        inside[whole] = True
        assert apart(frame[core], goal[core]).mean() < 3
    assert apart(frame, canvas.picture)[~inside].max() == 0


@pytest.fixture(scope="module")
def looking(portrait: Portrait) -> tuple[F32, U8]:
    """Controls of a gaze to the side, and the regions of the puppet's picture of it."""
    controls = ControlTrack.neutral(1, gaze_left=0.7).values[0]
    puppet = Puppet(build_rig(portrait, portrait.size))
    own = puppet.render(controls, np.zeros(len(MOUTH_CHANNELS), np.float32))
    return controls, regions_of(portrait, portrait.size).cut(own)


@pytest.fixture(scope="module")
def puppet(portrait: Portrait, canvas: PortraitCanvas) -> Puppet:
    return Puppet(build_rig(portrait, canvas.size))


@pytest.mark.parametrize("pose", [(6, 15, 0), (-12, -25, 10), (8, 20, -8)])
def test_turns_as_the_puppet_does(
    canvas: PortraitCanvas,
    puppet: Puppet,
    looking: tuple[F32, U8],
    pose: tuple[float, float, float],
) -> None:
    """Regions of the puppet at rest, turned here, are the puppet's own turned picture."""
    controls, crops = looking[0].copy(), looking[1]
    controls[POSE_SLICE] = pose
    truth = puppet.render(controls, np.zeros(len(MOUTH_CHANNELS), np.float32))
    error = apart(canvas.render(crops, turned(*pose)), truth)
    assert error.mean() < 0.3
    assert np.percentile(error, 99.5) < 12
    # Turning matters: the tolerance would not hide a picture at rest.
    assert apart(canvas.render(crops), truth).mean() > 3


def test_moves_and_nears(small: PortraitCanvas) -> None:
    """A shift moves the face by that much, nearness scales it about the pivot; borders stay."""
    shifted = small.render(small.reference, Head(np.zeros(3, np.float32), np.array([12, -8], "f4")))
    x, y = small.regions.centres[2].astype(int)
    rest = small.render(small.reference)
    face = rest[y - 10 : y + 10, x - 15 : x + 15]
    moved = shifted[y - 18 : y + 2, x - 3 : x + 27]
    assert apart(face, moved).mean() < 2
    assert apart(face, shifted[y - 10 : y + 10, x - 15 : x + 15]).mean() > 6
    assert apart(rest, shifted)[:, [0, -1]].max() == apart(rest, shifted)[-1].max() == 0
    nearer = small.render(small.reference, Head(np.zeros(3, np.float32), np.zeros(2, "f4"), 1.1))
    px, py = small.pivot[:2]
    dx, dy = round(px + 1.1 * (x - px)), round(py + 1.1 * (y - py))
    assert (
        apart(rest[y - 3 : y + 4, x - 3 : x + 4], nearer[dy - 3 : dy + 4, dx - 3 : dx + 4]).mean()
        < 8
    )


def test_out_is_written(small: PortraitCanvas) -> None:
    out = np.empty_like(small.picture)
    assert small.render(small.reference, turned(yaw=10), out) is out
    assert np.array_equal(out, small.render(small.reference, turned(yaw=10)))


def test_frames_leave_no_trace(small: PortraitCanvas) -> None:
    """What was pasted before is gone in the next frame."""
    before = small.render(small.reference)
    small.render(np.full_like(small.reference, 255), turned(yaw=20))
    assert np.array_equal(before, small.render(small.reference))


@settings(max_examples=25, deadline=None)
@given(
    hnp.arrays(np.float32, 3, elements=st.floats(width=32)),
    hnp.arrays(np.float32, 2, elements=st.floats(width=32)),
    st.floats(),
)
def test_any_head(small: PortraitCanvas, pose: F32, shift: F32, scale: float) -> None:
    """Whatever is measured, NaN too, a picture comes out that is not torn at its border."""
    frame = small.render(small.reference, Head(pose, shift, scale))
    assert np.array_equal(frame[-1], small.picture[-1])
    assert np.array_equal(frame[:, 0], small.picture[:, 0])


def test_refuses_other_shapes(small: PortraitCanvas) -> None:
    with pytest.raises(ValueError, match="crops"):
        small.render(small.reference[:2])
    with pytest.raises(ValueError, match="out"):
        small.render(small.reference, out=np.empty((128, 128, 3), np.uint8))


@settings(max_examples=30, deadline=None)
@given(
    st.floats(-20, 20), st.floats(-25, 25), st.floats(-15, 15),
    st.floats(-20, 20), st.floats(0.9, 1.1), st.floats(0, 1),
)  # fmt: skip
def test_keypoints_without_the_head(
    portrait: Portrait,
    pitch: float,
    yaw: float,
    roll: float,
    shift: float,
    near: float,
    shut: float,
) -> None:
    """Keypoints of a turned, moved, nearer head: the head is found, the rest is as without it."""
    track = ControlTrack.neutral(2, pitch=pitch, yaw=yaw, roll=roll, AU45_L=shut, AU1_R=0.5)
    face = FaceModel.from_mesh(portrait.mesh)
    own = face.deform(track.values)
    seen = face.pose(own, track.values)[:, list(KEYPOINTS), :2] - face.pivot[:2]
    seen = (seen * near + face.pivot[:2] + shift).astype(np.float32)
    pose = track.values[:, POSE_SLICE]
    found = from_keypoints(portrait, KeypointTrack(seen), pose, portrait.size // 2)
    np.testing.assert_allclose(found.points, own[:, list(KEYPOINTS), :2], atol=0.6)
    head = found.heads[0]
    assert head.scale == pytest.approx(near, abs=0.01)
    np.testing.assert_allclose(head.shift, shift / 2, atol=0.5)
    np.testing.assert_array_equal(head.pose, pose[0])


def test_controls_as_in_training(portrait: Portrait) -> None:
    """Controls become keypoints of the unturned face, in the coordinates of each region."""
    track = ControlTrack.neutral(3, yaw=20, AU45_R=1)
    mouth = np.zeros((3, len(MOUTH_CHANNELS)), np.float32)
    done = from_controls(portrait, track, mouth)
    assert [head.pose[1] for head in done.heads] == [20.0] * 3
    points = in_regions(done.points, portrait)
    assert points.shape == (3, 3, len(KEYPOINTS), 2)
    right = points[0, 1, 16:32]
    assert np.abs(right).max() < 1
    rest = in_regions(portrait.keypoints, portrait)
    np.testing.assert_allclose(points[0, :, :16], rest[:, :16], atol=1e-5)
    assert np.abs(points[0, 1] - rest[1]).max() > 0.05
