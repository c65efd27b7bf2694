"""The puppet: pixels move where and as the controls say, smoothly, and nothing else does."""

from __future__ import annotations

import tracemalloc

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core import CHANNEL, CHANNELS, F32, MOUTH, MOUTH_CHANNELS, U8, Portrait
from engines.contact_sheet import EYES, HEAD, SPEECH, boxes, sheet
from engines.puppet import Puppet, bounded_pose
from engines.rig import Rig, build_rig
from face import Slit


@pytest.fixture(scope="module")
def rig(portrait: Portrait) -> Rig:
    return build_rig(portrait, 512)


@pytest.fixture(scope="module")
def small(portrait: Portrait) -> Rig:
    return build_rig(portrait, 256)


@pytest.fixture
def puppet(rig: Rig) -> Puppet:
    return Puppet(rig)


def frame(puppet: Puppet, **values: float) -> npt.NDArray[np.int16]:
    c, m = np.zeros(len(CHANNELS), np.float32), np.zeros(len(MOUTH_CHANNELS), np.float32)
    for name, value in values.items():
        if name in CHANNEL:
            c[CHANNEL[name]] = value
        else:
            m[MOUTH[name]] = value
    return puppet.render(c, m).astype(np.int16)


def box(slit: Slit, up: float, down: float) -> tuple[slice, slice]:
    """Rows and columns around a slit, in half widths."""
    x, y, h = *slit.centre, slit.half
    return slice(int(y - up * h), int(y + down * h)), slice(int(x - 1.1 * h), int(x + 1.1 * h))


def change(a: npt.NDArray[np.int16], b: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    return np.asarray(np.abs(a - b).max(-1), np.int16)


@pytest.mark.parametrize("size", [256, 512])
def test_rest_is_the_picture(portrait: Portrait, size: int) -> None:
    """All controls at zero give the (resized) crop, pixel for pixel."""
    rig = build_rig(portrait, size)
    out = frame(Puppet(rig))
    assert out.shape == (size, size, 3)
    assert np.abs(out - rig.crop).max() <= 1
    if size == portrait.size:
        assert np.array_equal(rig.crop, portrait.crop)


@pytest.mark.parametrize(("channel", "eye"), [("AU45_L", 0), ("AU45_R", 1)])
def test_a_wink_changes_one_eye(rig: Rig, puppet: Puppet, channel: str, eye: int) -> None:
    """AU45_L shuts the person's left eye, at the picture's right, and touches nothing else."""
    d = change(frame(puppet, **{channel: 1}), frame(puppet))
    rows, cols = box(rig.face.eyes[eye], 0.3, 0.3)
    assert d[rows, cols].mean() > 12
    own = box(rig.face.eyes[eye], 2.0, 2.0)
    rest = d.copy()
    rest[own] = 0
    assert rest.max() <= 1
    # Skin where the pupil was: no eye shows through a shut lid.
    x, y = rig.eyes[eye].centre.astype(int)
    pupil = slice(y - 2, y + 3), slice(x - 2, x + 3)
    shut = frame(puppet, **{channel: 1})[pupil].mean((0, 1))
    assert shut.mean() > frame(puppet)[pupil].mean() + 25
    assert shut[0] > shut[2] + 10


@pytest.mark.parametrize(("channel", "sign"), [("gaze_left", 1), ("gaze_right", -1)])
def test_the_iris_goes_where_the_person_looks(
    rig: Rig, puppet: Puppet, channel: str, sign: int
) -> None:
    """The dark centre of each eye moves to image right for gaze_left."""

    def dark(image: npt.NDArray[np.int16], slit: Slit) -> float:
        rows, cols = box(slit, 0.25, 0.25)
        luma = image[rows, cols].mean(-1)
        weight = np.clip(np.percentile(luma, 35) - luma, 0, None)
        return float((weight.sum(0) * np.arange(weight.shape[1])).sum() / weight.sum())

    rest, looks = frame(puppet), frame(puppet, **{channel: 0.8})
    for slit in rig.face.eyes:
        assert sign * (dark(looks, slit) - dark(rest, slit)) > 0.08 * slit.half


@pytest.mark.parametrize("channel", ["AU1_L", "AU2_R", "AU4", "AU5", "AU6", "AU7"])
def test_brows_and_lids_leave_the_mouth_alone(rig: Rig, puppet: Puppet, channel: str) -> None:
    """An upper-face unit changes the upper face, and no pixel of the mouth."""
    d = change(frame(puppet, **{channel: 1}), frame(puppet))
    mouth_top = int(rig.face.mouth.centre[1] - 0.35 * rig.face.mouth.half)
    assert d[:mouth_top].max() > 20
    assert d[mouth_top:].max() <= 1


@pytest.mark.parametrize(
    "channel", [name for name in MOUTH_CHANNELS if name not in ("press", "tongue")]
)
def test_mouth_controls_leave_the_eyes_alone(rig: Rig, puppet: Puppet, channel: str) -> None:
    """A mouth control changes the mouth; eyes and brows stay as they are."""
    d = change(frame(puppet, **{channel: 1}), frame(puppet))
    eye_line = int(max(slit.centre[1] + 0.3 * slit.half for slit in rig.face.eyes))
    assert d[eye_line:].max() > 20
    assert d[:eye_line].max() <= 2


def test_an_open_mouth_is_dark_inside(rig: Rig, puppet: Puppet) -> None:
    """The jaw opens onto a cavity; the upper lip's skin stays where it was."""
    mouth = rig.face.mouth
    rows, cols = box(mouth, -0.25, 0.5)
    centre = slice(int(mouth.centre[0] - 4), int(mouth.centre[0] + 5))
    opened, rest = frame(puppet, jaw=0.8), frame(puppet)
    assert opened[rows, centre].mean(-1).min() < 0.5 * rest[rows, centre].mean(-1).min()
    above = slice(int(mouth.centre[1] - 0.6 * mouth.half), int(mouth.centre[1] - 0.3 * mouth.half))
    assert change(opened, rest)[above, centre].max() < 12


def test_the_upper_teeth_belong_to_the_skull(rig: Rig, puppet: Puppet) -> None:
    """With the lips well apart, opening the jaw further leaves the upper teeth's pixels alone."""
    mouth = rig.face.mouth
    near, far = (frame(puppet, jaw=jaw, upper_lip=1, lower_lip=1) for jaw in (0.5, 0.8))
    x, y = mouth.centre
    teeth = slice(int(y - 0.06 * mouth.half), int(y + 0.04 * mouth.half))
    assert change(near, far)[teeth, int(x - 5) : int(x + 6)].mean() < 6


def test_tiny_steps_make_tiny_changes(puppet: Puppet) -> None:
    """A slow sweep of everything never pops: no pixel jumps between neighbouring frames."""
    rng = np.random.default_rng(3)
    start, stop = rng.uniform(0, 0.7, (2, 26)).astype(np.float32)
    start[14:17], stop[14:17] = (-6, -9, 4), (6, 9, -5)
    steps = 400
    last: npt.NDArray[np.int16] | None = None
    worst, typical = 0.0, 0.0
    for i in range(40):
        v = start + (stop - start) * (200 + i) / steps
        image = puppet.render(v[:17], v[17:]).astype(np.int16)
        if last is not None:
            d = change(image, last)
            worst, typical = max(worst, float(d.max())), max(typical, float(d.mean()))
        last = image
    assert typical < 1.0
    assert worst < 40


def test_rendering_is_deterministic(rig: Rig, puppet: Puppet) -> None:
    """A frame depends on its controls alone: not on history, not on the buffer."""
    rng = np.random.default_rng(5)
    c, m = rng.uniform(0, 1, 17).astype(np.float32), rng.uniform(0, 1, 9).astype(np.float32)
    first = Puppet(rig).render(c, m)
    frame(puppet, jaw=1, yaw=20)
    out = np.full_like(rig.crop, 99)
    assert puppet.render(c, m, out) is out
    assert np.array_equal(first, out)


def test_turning_keeps_the_border(rig: Rig, puppet: Puppet) -> None:
    """The border of the picture does not move with the head."""
    d = change(frame(puppet, yaw=18, pitch=-10, roll=10), frame(puppet))
    assert d.max() > 40
    assert max(d[-1].max(), d[:, 0].max(), d[:, -1].max()) <= 1


@pytest.mark.parametrize(("channel", "axis", "sign"), [("yaw", 1, 1), ("pitch", 0, 1)])
def test_turning_moves_the_face(
    rig: Rig, puppet: Puppet, channel: str, axis: int, sign: int
) -> None:
    """Positive yaw carries the nose to image right, positive pitch down."""
    nose = rig.face.neutral[4]
    turned = rig.face.pose(nose[None], np.eye(17, dtype=np.float32)[CHANNEL[channel]] * 10)[0]
    wanted = (turned - nose)[:2]
    assert sign * wanted[1 - axis] > 5
    x, y = nose[:2].astype(int)
    patch = rig.crop[y - 14 : y + 14, x - 20 : x + 20]
    image = frame(puppet, **{channel: 10}).astype(np.uint8)
    search = image[y - 74 : y + 74, x - 80 : x + 80]
    match = cv2.matchTemplate(search, patch, cv2.TM_CCOEFF_NORMED)
    row, col = np.unravel_index(int(match.argmax()), match.shape)
    np.testing.assert_allclose((col - 60, row - 60), wanted, atol=7)


def test_out_of_range_is_clamped_and_rubbish_refused(rig: Rig, puppet: Puppet) -> None:
    """Values beyond the range act as the limit; NaN and wrong shapes raise and change nothing."""
    c, m = np.full(17, 9, np.float32), np.full(9, 9, np.float32)
    c[14:] = (300, -300, 300)
    limit = np.ones(17, np.float32)
    limit[14:] = (25, -35, 30)
    assert np.array_equal(puppet.render(c, m), puppet.render(limit, np.ones(9, np.float32)))
    good = np.zeros(9, np.float32)
    for bad in (np.full(17, np.nan, np.float32), np.zeros(16, np.float32)):
        with pytest.raises(ValueError, match="controls"):
            puppet.render(bad, good)
    with pytest.raises(ValueError, match="mouth"):
        puppet.render(np.zeros(17, np.float32), np.full(9, np.inf, np.float32))
    with pytest.raises(ValueError, match="out"):
        puppet.render(np.zeros(17, np.float32), good, np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match="size"):
        build_rig(Portrait("x", "x", rig.crop.copy(), rig.face.neutral.copy()), 64)


@settings(max_examples=25, deadline=None)
@given(
    c=hnp.arrays(np.float32, 17, elements=st.floats(-2, 2, width=32)),
    m=hnp.arrays(np.float32, 9, elements=st.floats(-1, 2, width=32)),
    pose=st.tuples(st.floats(-40, 40), st.floats(-40, 40), st.floats(-40, 40)),
)
def test_any_controls_give_a_picture(
    small: Rig, c: F32, m: F32, pose: tuple[float, float, float]
) -> None:
    """Wild controls neither crash nor move the border."""
    c[14:] = pose
    out: U8 = Puppet(small).render(c, m)
    assert out.dtype == np.uint8 and out.shape == (256, 256, 3)
    d = np.abs(out.astype(np.int16) - small.crop)
    # A level or two of rounding where the warp ends; never a seam that could be seen.
    assert max(d[-1].max(), d[:, 0].max(), d[:, -1].max()) <= 3


def test_a_pose_in_every_corner_keeps_the_border(small: Rig) -> None:
    puppet, rest = Puppet(small), np.zeros(9, np.float32)
    for signs in np.ndindex(2, 2, 2):
        c = np.zeros(17, np.float32)
        c[14:] = 40 - 80 * np.array(signs)
        d = np.abs(puppet.render(c, rest).astype(np.int16) - small.crop)
        assert max(d[-1].max(), d[:, 0].max(), d[:, -1].max()) <= 3
    # One axis alone goes as far as ever, and what people do is left as it is.
    np.testing.assert_allclose(bounded_pose(np.array([0, -50, 0], np.float32)), [0, -35, 0])
    usual = np.array([12, -18, 12], np.float32)
    np.testing.assert_allclose(bounded_pose(usual), usual, rtol=1e-6)


def test_rendering_does_not_grow(rig: Rig, puppet: Puppet) -> None:
    """A thousandth frame holds no more memory than a tenth."""
    c, m, out = np.zeros(17, np.float32), np.zeros(9, np.float32), np.empty_like(rig.crop)
    rng = np.random.default_rng(7)

    def run(frames: int) -> None:
        for _ in range(frames):
            c[:14] = rng.uniform(0, 1, 14)
            m[:] = rng.uniform(0, 1, 9)
            puppet.render(c, m, out)

    run(5)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        run(30)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000
    assert peak - before < 200_000  # far from one frame's 786 kB


def test_contact_sheets_show_every_pose(small: Rig) -> None:
    """The sheet has one cell per pose and names every channel at least once."""
    puppet = Puppet(small)
    image = sheet(puppet, HEAD, boxes(small)["whole"], 64, 5)
    rows = -(-len(HEAD) // 5)
    assert image.shape == (rows * 80, 5 * 66, 3)
    named = {name for pose in (*EYES, *SPEECH, *HEAD) for name in (*pose.controls, *pose.mouth)}
    assert named == {*CHANNELS, *MOUTH_CHANNELS}
