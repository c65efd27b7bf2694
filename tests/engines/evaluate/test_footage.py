"""Clips of every kind → square frames at 25 a second and sound on the same clock, or a reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import FPS, SAMPLE_RATE, U8, InvalidInput, Portrait
from engines.evaluate.footage import (
    Footage,
    Skipped,
    framed,
    read_film,
    read_footage,
    seconds_of,
)
from engines.evaluate.video import nearest
from engines.landmarks import FaceMesh


@pytest.fixture(scope="module")
def meshes() -> Iterator[FaceMesh]:
    with FaceMesh() as found:
        yield found


def film(
    path: Path, pictures: Sequence[U8], times: Sequence[float] | None = None, *,
    fps: int = FPS, sound: Any = None, turn: tuple[int, bool] | None = None,
    form: str = "yuv420p", codec: str = "libx264",
) -> Path:  # fmt: skip
    """Write pictures that appear at ``times``, or ``fps`` of them a second."""
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream(codec, rate=fps)
        video.height, video.width = pictures[0].shape[:2]
        video.pix_fmt, video.time_base = form, Fraction(1, 1000)
        video.codec_context.time_base = Fraction(1, 1000)
        if codec == "libx264":
            video.options = {"preset": "ultrafast", "crf": "12"}
        if turn is not None:
            video.set_display_rotation(turn[0], hflip=turn[1])
        audio: Any = out.add_stream("aac", rate=48_000, layout="mono") if sound is not None else 0
        for i, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture)
            frame.pts = round(1000 * (i / fps if times is None else times[i]))
            frame.time_base = Fraction(1, 1000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if sound is not None:
            piece = av.AudioFrame.from_ndarray(
                np.asarray(sound, np.float32)[None], "fltp", layout="mono"
            )
            piece.sample_rate, piece.pts = 48_000, 0
            out.mux(audio.encode(piece))
            out.mux(audio.encode(None))
    return path


def brightening(portrait: Portrait, count: int, fps: float, size: int = 256) -> list[U8]:
    """A portrait that grows brighter at a steady rate: 0.5 of it, and 0.2 a second more."""
    small = cv2.resize(portrait.crop, (size, size), interpolation=cv2.INTER_AREA)
    return [np.asarray(small * (0.5 + 0.2 * i / fps), np.uint8) for i in range(count)]


def levels(footage: Footage) -> Any:
    return footage.frames.astype(np.float64).mean(axis=(1, 2, 3))


def apart(a: U8, b: U8) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def still(portrait: Portrait, count: int = 12) -> list[U8]:
    return brightening(portrait, 1, 1.0) * count


@pytest.mark.parametrize("fps", [10, 24, 30, 60])
def test_any_rate_becomes_25_a_second(
    fps: int, portrait: Portrait, meshes: FaceMesh, tmp_path: Path
) -> None:
    path = film(tmp_path / "a.mp4", brightening(portrait, 2 * fps, fps), fps=fps)
    got = read_footage(path, start=0.4, frames=30, meshes=meshes)
    assert got.frames.shape == (30, 256, 256, 3)
    light = levels(got) / levels(got)[0]
    wanted = (0.58 + 0.2 * np.arange(30) / FPS) / 0.58
    # Nearest in time: half a frame of the clip off at most, and what the codec does.
    assert np.abs(light - wanted).max() < 0.2 / 0.58 * 0.5 / fps + 0.025
    assert any("few frames: 1" in note for note in got.notes) == (fps < 18)
    assert seconds_of(path) == pytest.approx(2, abs=0.05)


def test_variable_rate_is_said_and_followed(
    portrait: Portrait, meshes: FaceMesh, tmp_path: Path
) -> None:
    times = np.cumsum([0.0, *([0.02, 0.09] * 12)])
    pictures = [np.asarray(still(portrait, 1)[0] * (0.5 + 0.3 * t), np.uint8) for t in times]
    got = read_footage(film(tmp_path / "a.mkv", pictures, list(times)), frames=30, meshes=meshes)
    assert any("variable frame rate" in note for note in got.notes)
    light = levels(got) / levels(got)[0]
    assert np.abs(light - (1 + 0.6 * np.arange(30) / FPS)).max() < 0.6 * 0.045 + 0.025


@pytest.mark.parametrize(("degrees", "mirrored"), [(90, False), (-90, False), (180, False),
                                                   (0, True), (90, True)])  # fmt: skip
def test_stands_upright_as_its_display_matrix_says(
    degrees: int, mirrored: bool, portrait: Portrait, meshes: FaceMesh, tmp_path: Path
) -> None:
    wide = np.full((256, 320, 3), 90, np.uint8)
    wide[:, 32:-32] = still(portrait, 1)[0]
    wide[180:, 70:110] = (0, 0, 220)  # which side is which
    # The file's picture, turned counter-clockwise and then mirrored, is the one to be seen.
    stored = wide[:, ::-1] if mirrored else wide
    stored = np.ascontiguousarray(np.rot90(stored, -degrees // 90))
    path = film(tmp_path / "a.mp4", [stored] * 4, turn=(degrees, mirrored))
    turned = read_footage(path, frames=3, meshes=meshes)
    plain = read_footage(film(tmp_path / "b.mp4", [wide] * 4), frames=3, meshes=meshes)
    assert "turned by its display matrix" in turned.notes
    assert apart(turned.frames[0], plain.frames[0]) < 3
    assert apart(turned.frames[0], plain.frames[0][:, ::-1]) > 6


def test_the_portrait_is_the_first_frame(
    portrait: Portrait, meshes: FaceMesh, tmp_path: Path
) -> None:
    path = film(tmp_path / "a.mp4", [np.ascontiguousarray(portrait.crop)] * 3)
    got = read_footage(path, frames=3, meshes=meshes)
    assert got.portrait is not None and got.portrait.size == 512
    shrunk = cv2.resize(got.portrait.crop, (256, 256), interpolation=cv2.INTER_AREA)
    assert np.array_equal(shrunk, got.frames[0])
    # What is framed already is hardly framed again, so the two meshes lie near each other.
    assert np.abs(got.portrait.mesh - portrait.mesh)[:, :2].mean() < 20
    again = read_footage(path, frames=3, meshes=meshes)
    assert again.portrait is not None and again.portrait.id == got.portrait.id
    assert read_footage(path, frames=3, portrait=False, meshes=meshes).portrait is None
    assert len(list(framed(path, frames=9, size=128, meshes=meshes))) == 3


def test_the_frame_does_not_follow_the_head(
    portrait: Portrait, meshes: FaceMesh, tmp_path: Path
) -> None:
    wide = np.full((256, 400, 3), 90, np.uint8)
    pictures = []
    for left in (40, 60, 80):
        pictures.append(wide.copy())
        pictures[-1][:, left : left + 256] = still(portrait, 1)[0]
    got = read_footage(film(tmp_path / "a.mp4", pictures), frames=3, meshes=meshes)
    eyes = [meshes.detect(frame, thorough=False)[0][168, 0] for frame in got.frames]
    assert eyes[2] - eyes[1] > 8 and eyes[1] - eyes[0] > 8


@pytest.mark.parametrize(
    ("form", "codec"),
    [("yuv444p10le", "libx264"), ("gray", "libx264"), ("rgb24", "qtrle"), ("yuvj420p", "mjpeg")],
)
def test_odd_pixel_formats(
    form: str, codec: str, portrait: Portrait, meshes: FaceMesh, tmp_path: Path
) -> None:
    name = "a.mov" if codec == "qtrle" else "a.mkv"
    path = film(tmp_path / name, still(portrait, 3), form=form, codec=codec)
    got = read_footage(path, frames=2, meshes=meshes)
    want = read_footage(film(tmp_path / "b.mkv", still(portrait, 3)), frames=2, meshes=meshes)
    assert apart(got.frames[0], want.frames[0]) < (12 if form == "gray" else 4)


def test_huge_pictures_are_cut_as_they_come(
    portrait: Portrait, meshes: FaceMesh, tmp_path: Path
) -> None:
    large = cv2.resize(portrait.crop, (2160, 2160), interpolation=cv2.INTER_CUBIC)
    wide = np.full((2160, 3840, 3), 90, np.uint8)
    wide[:, 800:2960] = large
    path = film(tmp_path / "a.mp4", [wide] * 2, codec="mjpeg", form="yuvj420p")
    got = read_footage(path, frames=2, size=512, meshes=meshes)
    small = [np.ascontiguousarray(portrait.crop)] * 2
    want = read_footage(film(tmp_path / "b.mp4", small), frames=2, size=512, meshes=meshes)
    face, other = (meshes.detect(f.frames[0], thorough=False)[0] for f in (got, want))
    assert np.ptp(face[:, 1]) == pytest.approx(np.ptp(other[:, 1]), rel=0.1)


# --- sound -----------------------------------------------------------------------------------


def test_sound_lies_where_its_pictures_are(
    portrait: Portrait, meshes: FaceMesh, tmp_path: Path
) -> None:
    sound = np.zeros(48_000 * 2, np.float32)
    sound[48_000 : 48_000 + 2400] = 0.5 * np.sin(np.arange(2400))
    path = film(tmp_path / "a.mp4", still(portrait, 50), sound=sound)
    got = read_footage(path, start=0.6, frames=20, meshes=meshes)
    assert got.samples is not None and len(got.samples) == 20 * 640
    loud = np.flatnonzero(np.abs(got.samples) > 0.1)
    assert loud[0] / SAMPLE_RATE == pytest.approx(0.4, abs=0.005)
    assert loud[-1] / SAMPLE_RATE == pytest.approx(0.45, abs=0.005)
    assert not got.notes


def test_silence_and_no_sound_are_told_apart(
    portrait: Portrait, meshes: FaceMesh, tmp_path: Path
) -> None:
    quiet = film(tmp_path / "a.mp4", still(portrait), sound=np.zeros(24_000, np.float32))
    got = read_footage(quiet, frames=12, meshes=meshes)
    assert got.samples is not None and "silent" in got.notes
    none = read_footage(film(tmp_path / "b.mp4", still(portrait)), frames=12, meshes=meshes)
    assert none.samples is None and "no sound" in none.notes


# --- what can not be used ----------------------------------------------------------------------


def reason(path: Path, meshes: FaceMesh, frames: int = 8) -> str:
    with pytest.raises(Skipped) as told:
        read_footage(path, frames=frames, meshes=meshes)
    return told.value.message


def test_what_is_no_video(meshes: FaceMesh, tmp_path: Path) -> None:
    junk = {"text": b"hello\n" * 99, "empty": b"", "noise": bytes(range(256)) * 40}
    for name, data in junk.items():
        path = tmp_path / f"{name}.mp4"
        path.write_bytes(data)
        assert "can not be decoded" in reason(path, meshes)
    assert "can not be decoded" in reason(tmp_path / "missing.mp4", meshes)
    assert issubclass(Skipped, InvalidInput)
    with av.open(str(tmp_path / "sound.mp4"), "w") as out:
        stream: Any = out.add_stream("aac", rate=48_000, layout="mono")
        piece = av.AudioFrame.from_ndarray(np.zeros((1, 9600), np.float32), "fltp", layout="mono")
        piece.sample_rate = 48_000
        out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    assert "no picture" in reason(tmp_path / "sound.mp4", meshes)
    with pytest.raises(Skipped):
        seconds_of(tmp_path / "sound.mp4")


def test_what_shows_no_face(portrait: Portrait, meshes: FaceMesh, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
    assert "no face" in reason(film(tmp_path / "a.mp4", [noise] * 9), meshes)
    hills = np.linspace(60, 220, 256).astype(np.uint8)[:, None, None].repeat(256, 1).repeat(3, 2)
    assert "no face" in reason(film(tmp_path / "b.mp4", [hills] * 9), meshes)
    tiny = np.full((256, 256, 3), 90, np.uint8)
    tiny[60:160, 60:160] = cv2.resize(portrait.crop, (100, 100), interpolation=cv2.INTER_AREA)
    assert "pixels high" in reason(film(tmp_path / "c.mp4", [tiny] * 9), meshes)


def test_what_is_too_short(portrait: Portrait, meshes: FaceMesh, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", still(portrait, 5))
    assert "too short: 5 of 8 frames" in reason(path, meshes)
    assert len(read_footage(path, frames=5, meshes=meshes).frames) == 5
    assert "too short: 0" in read_error(path, meshes)


def read_error(path: Path, meshes: FaceMesh) -> str:
    with pytest.raises(Skipped) as told:
        read_footage(path, start=30.0, frames=2, meshes=meshes)
    return told.value.message


def test_a_truncated_file_gives_what_is_whole(
    portrait: Portrait, meshes: FaceMesh, tmp_path: Path
) -> None:
    path = film(tmp_path / "a.mkv", brightening(portrait, 50, FPS))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    got = read_footage(path, frames=10, meshes=meshes)
    assert len(got.frames) == 10 and levels(got)[9] > levels(got)[0]
    assert "too short" in reason(path, meshes, frames=50)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2**31), st.integers(0, 255)), max_size=40))
def test_damage_anywhere_is_no_crash(
    whole: Path, meshes: FaceMesh, tmp_path_factory: pytest.TempPathFactory,
    spots: list[tuple[int, int]],
) -> None:  # fmt: skip
    data = bytearray(whole.read_bytes())
    for at, value in spots:
        data[at % len(data)] = value
    path = tmp_path_factory.mktemp("damaged") / "a.mp4"
    path.write_bytes(bytes(data))
    try:
        assert len(read_footage(path, frames=4, meshes=meshes).frames) == 4
    except Skipped as error:
        assert error.message


def test_an_unknown_kind_of_picture_is_said(whole: Path, meshes: FaceMesh, tmp_path: Path) -> None:
    data = whole.read_bytes()
    assert data.count(b"avc1") == 2  # brand, and the name of the codec
    at = data.rindex(b"avc1")
    path = tmp_path / "a.mp4"
    path.write_bytes(data[:at] + b"zzz9" + data[at + 4 :])
    assert "kind of picture" in reason(path, meshes, frames=4)


@pytest.fixture(scope="module")
def whole(portrait: Portrait, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "a.mp4"
    return film(path, still(portrait, 6), sound=np.zeros(9600, np.float32))


# --- videos of other programs ------------------------------------------------------------------


def test_a_film_is_taken_as_it_is(portrait: Portrait, tmp_path: Path) -> None:
    path = film(tmp_path / "a.mp4", still(portrait, 20), fps=50)
    notes: list[str] = []
    frames = read_film(path, None, 256, notes=notes)
    assert frames.shape == (10, 256, 256, 3) and not notes
    assert apart(frames[0], still(portrait, 1)[0]) < 3
    assert len(read_film(path, 4, 128)) == 4
    wide = [np.hstack([p, p]) for p in still(portrait, 3)]
    frames = read_film(film(tmp_path / "b.mp4", wide), 3, 256, notes=notes)
    assert frames.shape == (3, 256, 256, 3) and "not square: the middle was taken" in notes


# --- choosing frames ---------------------------------------------------------------------------


@given(
    st.lists(st.floats(1e-3, 0.3), min_size=1, max_size=60), st.floats(-0.5, 0.5),
    st.integers(1, 60),
)  # fmt: skip
def test_each_frame_is_the_nearest(gaps: list[float], first: float, frames: int) -> None:
    times = first + np.cumsum([0.0, *gaps])
    chosen = list(nearest(((float(t), i) for i, t in enumerate(times)), frames))
    assert len(chosen) <= frames and chosen == sorted(chosen)
    for k, i in enumerate(chosen):
        assert abs(times[i] - k / FPS) <= np.abs(times - k / FPS).min() + 1e-9
    if times[-1] >= (frames - 1) / FPS:
        assert len(chosen) == frames
