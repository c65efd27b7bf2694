"""Enrolment: the same face from every form of the picture, or a reason in words."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import IRIS_LEFT, IRIS_RIGHT, KEYPOINTS, Portrait, PortraitRejected
from engines.enrol import CROP, enrol, head_yaw, load_portrait, portrait_id, save_portrait
from tests.conftest import studio_portrait


def studio(person: str = "P001", side: int = 1024) -> Image.Image:
    image = Image.open(io.BytesIO(studio_portrait(person))).convert("RGB")
    return image.resize((side, side), Image.Resampling.LANCZOS)


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def off(a: Portrait, b: Portrait) -> float:
    """Mean distance between the keypoints of two portraits, crop pixels."""
    return float(np.linalg.norm(a.keypoints - b.keypoints, axis=1).mean())


def shape_of(portrait: Portrait) -> Portrait:
    """The same portrait with its mesh at a standard place and size: framing is left out."""
    mesh = portrait.mesh - portrait.mesh.mean(0)
    mesh = np.asarray(mesh * (100 / mesh.std()), np.float32)
    return Portrait(portrait.id, portrait.name, portrait.crop, mesh)


def test_framing_and_sides(portrait: Portrait) -> None:
    assert portrait.crop.shape == (CROP, CROP, 3)
    points = portrait.keypoints
    assert points.shape == (len(KEYPOINTS), 2)
    assert (points > 0).all() and (points < CROP).all()
    # The person's own left eye is on the right of the picture.
    assert portrait.mesh[IRIS_LEFT[0], 0] > CROP / 2 > portrait.mesh[IRIS_RIGHT[0], 0]
    tall = portrait.mesh[152, 1] - portrait.mesh[10, 1]
    assert 0.4 < tall / CROP < 0.62
    assert abs(head_yaw(portrait.mesh)) < 10
    assert portrait.extra["warnings"] == []


def test_the_nose_is_nearer_than_the_ears(portrait: Portrait) -> None:
    assert portrait.mesh[1, 2] < portrait.mesh[[234, 454], 2].min() - 40


def test_the_same_bytes_give_the_same_portrait(portrait: Portrait) -> None:
    again = enrol(studio_portrait(), "other name")
    assert again.id == portrait.id == portrait_id(studio_portrait())
    assert np.array_equal(again.crop, portrait.crop)
    assert np.array_equal(again.mesh, portrait.mesh)


@pytest.mark.parametrize("form", ["exif", "cmyk", "grey", "alpha", "small"])
def test_awkward_forms_give_the_same_landmarks(form: str) -> None:
    upright = enrol(png(studio()), "upright")
    out = io.BytesIO()
    match form:
        case "exif":
            exif = Image.Exif()
            exif[0x0112] = 6
            studio().transpose(Image.Transpose.ROTATE_90).save(out, "JPEG", exif=exif, quality=95)
        case "cmyk":
            studio().convert("CMYK").save(out, "JPEG", quality=95)
        case "grey":
            grey = np.asarray(studio().convert("L"), np.uint16) * 257
            Image.fromarray(grey).save(out, "PNG")
        case "alpha":
            studio().convert("RGBA").save(out, "PNG")
        case "small":
            studio(side=600).save(out, "JPEG", quality=90)
    assert off(enrol(out.getvalue(), form), upright) < 3.0


def refused(image: Image.Image, **options: str) -> PortraitRejected:
    with pytest.raises(PortraitRejected) as caught:
        enrol(png(image), "x", **options)  # type: ignore[arg-type]
    return caught.value


def test_no_face() -> None:
    assert refused(Image.new("RGB", (640, 480), "olive")).facts["reason"] == "no-face"


def test_a_face_that_is_too_small_says_how_small() -> None:
    scene = Image.new("RGB", (900, 700), (120, 120, 120))
    scene.paste(studio(side=200), (350, 250))
    error = refused(scene)
    assert error.facts["reason"] == "face-too-small"
    assert 40 < error.facts["pixels"] < 128


def test_a_small_face_in_a_large_picture_is_found() -> None:
    scene = Image.new("RGB", (2000, 1500), (120, 120, 120))
    scene.paste(studio(side=480), (1300, 800))
    found = enrol(png(scene), "x")
    assert off(shape_of(found), shape_of(enrol(png(studio(side=480)), "y"))) < 4


def test_of_several_faces_the_largest_is_taken_and_said() -> None:
    scene = Image.new("RGB", (1600, 900), (120, 120, 120))
    scene.paste(studio("P001", 850), (20, 20))
    scene.paste(studio("P005", 600), (950, 100))
    taken = enrol(png(scene), "x")
    assert taken.extra["faces"] == 2
    assert "largest" in taken.extra["warnings"][0] and "left" in taken.extra["warnings"][0]
    assert off(taken, enrol(png(studio("P001", 850)), "y")) < 12
    assert refused(scene, choose="only").facts["reason"] == "several-faces"


def test_an_extreme_profile_is_refused() -> None:
    """Half a face, squeezed as a turned head would be."""
    error = refused(studio().resize((300, 1024)).crop((0, 0, 150, 1024)))
    assert error.facts["reason"] in {"extreme-profile", "no-face", "face-too-small"}


def test_yaw_is_measured_on_the_mesh(portrait: Portrait) -> None:
    for degrees in (-50, -20, 20, 50):
        a = np.radians(degrees)
        turn = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
        turned = (portrait.mesh @ turn.T).astype(np.float32)
        assert head_yaw(turned) - head_yaw(portrait.mesh) == pytest.approx(degrees, abs=2)


def test_save_and_load(portrait: Portrait, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    save_portrait(portrait, path)
    again = load_portrait(path)
    assert (again.id, again.name, again.extra) == (portrait.id, portrait.name, portrait.extra)
    assert np.array_equal(again.crop, portrait.crop)
    assert np.array_equal(again.mesh, portrait.mesh)
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_file_is_a_clear_error(portrait: Portrait, tmp_path: Path) -> None:
    path = tmp_path / "p.npz"
    save_portrait(portrait, path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="not a portrait"):
        load_portrait(path)
