"""Enrolment: the same face from every form of the picture, or a reason in words."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core import IRIS_LEFT, IRIS_RIGHT, KEYPOINTS, LID_LEFT, Portrait, PortraitRejected
from engines.enrol import enrol, eye_openings, head_roll, head_yaw, portrait_id
from engines.framing import CROP, cut
from engines.landmarks import FaceMesh
from engines.portrait_file import load_note, load_portrait, save_portrait
from tests.conftest import PEOPLE, studio_portrait

GREY = (120, 120, 120)


@pytest.fixture(scope="module")
def meshes() -> Iterator[FaceMesh]:
    with FaceMesh() as opened:
        yield opened


def studio(person: str = "P001", side: int = 1024) -> Image.Image:
    image = Image.open(io.BytesIO(studio_portrait(person))).convert("RGB")
    return image.resize((side, side), Image.Resampling.LANCZOS)


def cell(
    sheet: str, left: float, top: float, right: float, bottom: float, person: str = "P006"
) -> Image.Image:
    """A part of one of the package's sheets, by shares of its size."""
    image = Image.open(PEOPLE / person / "assets" / f"{sheet}.jpg").convert("RGB")
    width, height = image.size
    return image.crop(
        (int(left * width), int(top * height), int(right * width), int(bottom * height))
    )


def expression(row: int, column: int) -> Image.Image:
    left, top = 0.024 + 0.2436 * column, 0.041 + 0.242 * row
    return cell("emotions_sheet", left, top, left + 0.221, top + 0.186)


def scene(width: int, height: int, *people: tuple[Image.Image, tuple[int, int]]) -> Image.Image:
    canvas = Image.new("RGB", (width, height), GREY)
    for image, place in people:
        canvas.paste(image, place)
    return canvas


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    out = io.BytesIO()
    quick = {"compress_level": 1} if format == "PNG" else {}
    image.save(out, format, **quick | options)
    return out.getvalue()


def off(a: Portrait, b: Portrait) -> float:
    """Mean distance between the keypoints of two portraits, crop pixels."""
    return float(np.linalg.norm(a.keypoints - b.keypoints, axis=1).mean())


def shape_off(a: Portrait, b: Portrait) -> float:
    """The same with place and size taken out: faces that were framed differently."""
    shapes = []
    for portrait in (a, b):
        mesh = portrait.mesh - portrait.mesh.mean(0)
        shapes.append(mesh * (100 / mesh.std()))
    return float(np.linalg.norm(shapes[0] - shapes[1], axis=1).mean())


def refused(image: Image.Image, meshes: FaceMesh, **options: Any) -> PortraitRejected:
    with pytest.raises(PortraitRejected) as caught:
        enrol(encoded(image), "x", meshes=meshes, **options)
    return caught.value


# --- What comes out ---


def test_framing_and_sides(portrait: Portrait) -> None:
    assert portrait.crop.shape == (CROP, CROP, 3)
    points = portrait.keypoints
    assert points.shape == (len(KEYPOINTS), 2)
    assert (points > 0).all() and (points < CROP).all()
    # The person's own left eye is on the right of the picture.
    assert portrait.mesh[IRIS_LEFT[0], 0] > CROP / 2 > portrait.mesh[IRIS_RIGHT[0], 0]
    tall = portrait.mesh[152, 1] - portrait.mesh[10, 1]
    assert 0.4 < tall / CROP < 0.55
    assert abs(head_yaw(portrait.mesh)) < 10
    assert portrait.extra["warnings"] == []


def test_the_pupils_are_the_dark_of_the_eyes(portrait: Portrait) -> None:
    """Iris points sit in the picture's irises: darker there than in the lids' ring as a whole."""
    grey = portrait.crop.mean(-1)

    def shade(points: Any) -> float:
        x, y = np.asarray(points, int).T
        return float(grey[y, x].mean())

    for lids, iris in ((portrait.keypoints[:16], 473), (portrait.keypoints[16:32], 468)):
        assert shade(portrait.mesh[[iris], :2]) < shade(lids) - 20


def test_depth_is_at_the_scale_of_width(portrait: Portrait) -> None:
    """The nose is nearer than the ears, by about half the face's width."""
    depth = portrait.mesh[[234, 454], 2].mean() - portrait.mesh[1, 2]
    assert 0.3 < depth / np.ptp(portrait.mesh[:, 0]) < 1.0


def test_the_same_bytes_give_the_same_portrait(portrait: Portrait, meshes: FaceMesh) -> None:
    again = enrol(studio_portrait(), "other name", meshes=meshes)
    assert again.id == portrait.id == portrait_id(studio_portrait())
    assert np.array_equal(again.crop, portrait.crop)
    assert np.array_equal(again.mesh, portrait.mesh)


# --- Forms of one picture ---


@pytest.fixture(scope="module")
def upright(meshes: FaceMesh) -> Portrait:
    return enrol(encoded(studio()), "upright", meshes=meshes)


@pytest.mark.parametrize(
    "form", ["exif", "cmyk", "grey", "deep", "alpha", "palette", "webp", "bmp", "tiff"]
)
def test_awkward_forms_give_the_same_landmarks(
    form: str, upright: Portrait, meshes: FaceMesh
) -> None:
    image = studio()
    match form:
        case "exif":
            exif = Image.Exif()
            exif[0x0112] = 6
            turned = image.transpose(Image.Transpose.ROTATE_90)
            data = encoded(turned, "JPEG", exif=exif, quality=95)
        case "cmyk":
            data = encoded(image.convert("CMYK"), "JPEG", quality=95)
        case "grey":
            data = encoded(image.convert("L"))
        case "deep":
            grey = np.asarray(image.convert("L"), np.uint16) * 257
            data = encoded(Image.fromarray(grey), "TIFF")
        case "alpha":
            image.putalpha(Image.new("L", image.size, 230))
            data = encoded(image)
        case "palette":
            data = encoded(image.quantize(128))
        case _:
            data = encoded(image, form)
    assert off(enrol(data, form, meshes=meshes), upright) < 2.0


def test_size_and_place_do_not_matter(upright: Portrait, meshes: FaceMesh) -> None:
    assert off(enrol(encoded(studio(side=600)), "small", meshes=meshes), upright) < 2.0
    far = scene(2000, 1500, (studio(side=480), (1300, 800)))
    assert shape_off(enrol(encoded(far), "far", meshes=meshes), upright) < 4.0


def test_a_huge_picture_is_looked_at_twice(upright: Portrait, meshes: FaceMesh) -> None:
    """A face of 400 px in a 24-megapixel picture keeps the detail that scaling down would lose."""
    huge = scene(6000, 4000, (studio(side=860), (4000, 2500)))
    made = enrol(encoded(huge, "JPEG", quality=95), "huge", meshes=meshes)
    assert made.extra["face_pixels"] == pytest.approx(403, abs=10)
    assert shape_off(made, upright) < 3.0

    def detail(portrait: Portrait) -> float:
        face = portrait.crop[150:400, 150:360].astype(np.float32)
        return float(np.abs(face - cv2.GaussianBlur(face, (0, 0), 2)).mean())

    assert detail(made) > 0.8 * detail(upright)


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_picture_that_does_not_stand_upright_is_turned(
    turn: int, upright: Portrait, meshes: FaceMesh
) -> None:
    made = enrol(encoded(studio().rotate(turn, expand=True)), "turned", meshes=meshes)
    assert off(made, upright) < 2.0
    assert any("upright" in warning for warning in made.extra["warnings"])


# --- What is refused ---


def test_no_face(meshes: FaceMesh) -> None:
    assert refused(Image.new("RGB", (640, 480), "olive"), meshes).facts["reason"] == "no-face"


def test_the_back_of_a_head_is_no_face(meshes: FaceMesh) -> None:
    back = cell("character_sheet", 0.525, 0.08, 0.722, 0.356)
    assert refused(back, meshes).facts["reason"] == "no-face"


def test_noise_is_no_face(meshes: FaceMesh) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (512, 512, 3), np.uint8)
    assert refused(Image.fromarray(noise), meshes).facts["reason"] == "no-face"


def test_a_face_that_is_too_small_says_how_small(meshes: FaceMesh) -> None:
    error = refused(scene(900, 700, (studio(side=200), (350, 250))), meshes)
    assert error.facts["reason"] == "face-too-small"
    assert error.facts["pixels"] == pytest.approx(94, abs=6)
    assert f"{error.facts['pixels']} pixels" in str(error)


@pytest.mark.parametrize("left", [0.28, 0.773])
def test_a_profile_is_refused(left: float, meshes: FaceMesh) -> None:
    """Heads turned by 90°, to either side."""
    error = refused(cell("character_sheet", left, 0.08, left + 0.197, 0.356), meshes)
    assert error.facts["reason"] == "extreme-profile"
    assert f"{error.facts['degrees']}°" in str(error)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(PortraitRejected):
        enrol(data, "x")


@pytest.mark.filterwarnings("ignore")  # Pillow comments on the damage
@settings(max_examples=25, deadline=None)
@given(at=st.floats(0, 1), noise=st.binary(min_size=1, max_size=40))
def test_damaged_portraits_are_made_or_refused(at: float, noise: bytes, meshes: FaceMesh) -> None:
    data = bytearray(DAMAGED)
    start = int(at * (len(data) - len(noise)))
    data[start : start + len(noise)] = noise
    try:
        assert np.isfinite(enrol(bytes(data), "x", meshes=meshes).mesh).all()
    except PortraitRejected as error:
        assert error.facts["reason"]


DAMAGED = encoded(studio(side=320), "JPEG")


# --- Several faces ---


def test_of_several_faces_the_largest_is_taken_and_said(
    upright: Portrait, meshes: FaceMesh
) -> None:
    both = scene(1600, 900, (studio("P001", 850), (20, 20)), (studio("P005", 600), (950, 100)))
    taken = enrol(encoded(both), "x", meshes=meshes)
    assert taken.extra["faces"] == 2
    assert "largest" in taken.extra["warnings"][0] and "left" in taken.extra["warnings"][0]
    assert shape_off(taken, upright) < 3.0
    assert refused(both, meshes, choose="only").facts["reason"] == "several-faces"


def test_a_neighbour_in_the_crop_is_not_measured(upright: Portrait, meshes: FaceMesh) -> None:
    """Cheek by cheek: the crop holds both faces, the mesh is that of the larger one."""
    larger = studio("P001", 600).crop((150, 0, 450, 600))
    smaller = studio("P006", 560).crop((130, 0, 430, 560))
    for left, right in ((larger, smaller), (smaller, larger)):
        couple = scene(900, 600, (left, (150, 0)), (right, (450, 0)))
        made = enrol(encoded(couple), "x", meshes=meshes)
        assert made.extra["faces"] == 2
        assert shape_off(made, upright) < 4.0


# --- Warnings ---


@pytest.mark.parametrize(
    ("row", "column", "word"),
    [
        (3, 0, "eyes seem closed"),  # exhausted
        (2, 3, "eyes seem closed"),  # pensive, looking down
        (2, 1, "left eye seems closed"),  # flirty, a wink
        (3, 1, "mouth is wide open"),  # shocked
    ],
)
def test_unlucky_expressions_are_told(row: int, column: int, word: str, meshes: FaceMesh) -> None:
    made = enrol(encoded(expression(row, column)), "x", meshes=meshes)
    assert any(word in warning for warning in made.extra["warnings"])


@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 1), (0, 3), (3, 3)])
def test_ordinary_expressions_are_not(row: int, column: int, meshes: FaceMesh) -> None:
    made = enrol(encoded(expression(row, column)), "x", meshes=meshes)
    assert not any("eye" in w or "mouth" in w for w in made.extra["warnings"])


def test_a_tilted_head_is_told_and_stays_tilted(meshes: FaceMesh) -> None:
    tilted = studio().rotate(30, fillcolor=GREY)
    made = enrol(encoded(tilted), "x", meshes=meshes)
    assert head_roll(made.mesh) == pytest.approx(-30, abs=4)
    assert any("tilted by about" in warning for warning in made.extra["warnings"])


def test_a_cut_face_is_told(meshes: FaceMesh) -> None:
    made = enrol(encoded(studio().crop((420, 0, 1024, 1024))), "x", meshes=meshes)
    assert any("cut by the edge" in warning for warning in made.extra["warnings"])


def test_a_narrow_picture_is_told(meshes: FaceMesh) -> None:
    made = enrol(encoded(studio().crop((310, 230, 714, 780))), "x", meshes=meshes)
    assert any("close to the head" in warning for warning in made.extra["warnings"])


def test_eye_openings_are_per_side(portrait: Portrait) -> None:
    shut = portrait.mesh.copy()
    for lower, upper in zip(LID_LEFT[1:8], LID_LEFT[15:8:-1], strict=True):
        shut[upper] = shut[lower]
    opened = eye_openings(portrait.mesh)
    assert min(opened.values()) > 0.2
    assert eye_openings(shut)["left"] == pytest.approx(0, abs=1e-6)
    assert eye_openings(shut)["right"] == opened["right"]


def test_yaw_is_measured_on_the_mesh(portrait: Portrait) -> None:
    """Positive towards the person's left, as core.CHANNELS has it."""
    for degrees in (-50, -20, 20, 50):
        a = np.radians(degrees)
        # The person's left is the right of the picture (+x), and depth (+z) is away from us.
        turn = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
        turned = (portrait.mesh @ turn.T).astype(np.float32)
        assert head_yaw(turned) - head_yaw(portrait.mesh) == pytest.approx(degrees, abs=2)


# --- The border ---


def test_a_crop_inside_the_picture_is_the_picture() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8)
    crop, made_up = cut(rgb, 100, 50, CROP)
    assert np.array_equal(crop, rgb[50 : 50 + CROP, 100 : 100 + CROP]) and made_up == 0


def test_a_crop_beyond_the_picture_continues_its_edges() -> None:
    """Red left half, blue right half: the colours go on, and what is inside never spills over."""
    rgb = np.zeros((300, 300, 3), np.uint8)
    rgb[:, :150, 0] = rgb[:, 150:, 2] = 200
    rgb[100:200, 100:200] = 255
    crop, made_up = cut(rgb, -100, -100, 500)
    assert made_up == pytest.approx(1 - (300 / 500) ** 2, abs=0.01)
    assert (crop[256, 10] == [200, 0, 0]).all() and (crop[256, 500] == [0, 0, 200]).all()
    border = np.concatenate([crop[:95].reshape(-1, 3), crop[-95:].reshape(-1, 3)])
    assert border[:, 1].max() == 0
    assert 150 < border[:, [0, 2]].astype(int).sum(1).min()


# --- Files ---


def test_save_and_load(portrait: Portrait, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    save_portrait(portrait, path)
    again = load_portrait(path)
    assert (again.id, again.name, again.extra) == (portrait.id, portrait.name, portrait.extra)
    assert np.array_equal(again.crop, portrait.crop)
    assert np.array_equal(again.mesh, portrait.mesh)
    assert load_note(path) == (portrait.name, portrait.extra["warnings"])
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_save_leaves_nothing(portrait: Portrait, tmp_path: Path) -> None:
    (tmp_path / "p.npz").mkdir()
    with pytest.raises(OSError):
        save_portrait(portrait, tmp_path / "p.npz")
    assert os.listdir(tmp_path) == ["p.npz"]


@settings(max_examples=150, deadline=None)
@given(at=st.floats(0, 1), keep=st.booleans(), noise=st.binary(min_size=1, max_size=30))
def test_a_damaged_file_is_a_value_error(
    stored: bytes, tmp_path_factory: pytest.TempPathFactory, at: float, keep: bool, noise: bytes
) -> None:
    start = int(at * len(stored))
    damaged = stored[:start] + noise + (stored[start + len(noise) :] if keep else b"")
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(damaged)
    try:
        loaded = load_portrait(path)
    except ValueError as error:
        assert "not a portrait" in str(error)
    else:  # the noise missed all that matters: then all of it must be right
        assert np.array_equal(loaded.crop, np.zeros((8, 8, 3)))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("stored") / "p.npz"
    mesh = np.zeros((478, 3), np.float32)
    save_portrait(Portrait("a", "b", np.zeros((8, 8, 3), np.uint8), mesh, {"warnings": []}), path)
    return path.read_bytes()


# --- Housekeeping ---


def test_mediapipe_starts_silently(capfd: pytest.CaptureFixture[str]) -> None:
    with FaceMesh() as opened:
        opened.detect(np.zeros((64, 64, 3), np.uint8))
        os.write(2, b"still here\n")
        opened.close()
    assert capfd.readouterr().err == "still here\n"
