"""Training clips: whom they may show, what they hold, and the files they lie in."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import CHANNEL, CHANNELS, KEYPOINTS, MOUTH_CHANNELS, InvalidInput, Portrait
from engines.audio.corpus import Utterance, save_shard
from engines.portrait_file import save_portrait
from engines.video.clip import STILL, TOKEN_WIDTH, Clip
from engines.video.data.augment import Camera, varied
from engines.video.data.drive import draw_expression, draw_motion, load_motion, ramps
from engines.video.data.mirror import mirrored
from engines.video.data.morph import alike, morph
from engines.video.data.people import (
    Sitter,
    find_sources,
    for_training,
    held_out,
    is_held_out,
    likeness_of,
)
from engines.video.data.render import Settings, film, shard_path
from engines.video.data.shards import SUFFIX, open_shards, pack, write_shard
from engines.video.data.sound import draw_sound
from engines.video.data.studio import FRAMES, Studio, usable
from engines.video.regions import SIDE, Regions
from face import FaceModel
from runtime.export_motion import export
from tests.conftest import studio_portrait


def random_clip(seed: int, frames: int = 8, person: str = "someone") -> Clip:
    """Smooth pictures, so that JPEG keeps them, with numbers that half precision keeps."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (frames + 1, 3, 6, 6, 3)).astype(np.uint8)
    crops = np.stack([[cv2.resize(c, (SIDE, SIDE)) for c in frame] for frame in coarse])

    def numbers(*shape: int) -> np.ndarray:  # type: ignore[type-arg]
        return (rng.integers(-64, 65, shape) / 64).astype(np.float32)

    return Clip(
        person, "anger", "frown", crops[0].astype(np.uint8), crops[1:].astype(np.uint8),
        numbers(3, 62, 2), numbers(frames, 3, 62, 2), numbers(frames, 9),
        numbers(2 * frames, TOKEN_WIDTH), numbers(frames, 9),
    )  # fmt: skip


def psnr(a: np.ndarray, b: np.ndarray) -> float:  # type: ignore[type-arg]
    error = float(np.mean((a.astype(float) - b.astype(float)) ** 2))
    return 99.0 if error == 0 else 10 * math.log10(255**2 / error)


# --- shards ------------------------------------------------------------------------------------


def test_shard_gives_back_what_went_in(tmp_path: Path) -> None:
    clips = [random_clip(seed, 4 * (seed + 1), f"person {seed}") for seed in range(4)]
    write_shard(tmp_path / f"1{SUFFIX}", [pack(c) for c in clips[2:]])
    write_shard(tmp_path / f"0{SUFFIX}", [pack(c) for c in clips[:2]])
    shards = open_shards(tmp_path)
    assert shards.persons == tuple(c.person for c in clips)
    assert shards.lengths == (4, 8, 12, 16)
    for i, clip in enumerate(clips):
        back = shards.clip(i)
        assert (back.person, back.label, back.text) == (clip.person, "anger", "frown")
        for name in ("reference_points", "points", "felt", "audio", "heard_mouth"):
            np.testing.assert_array_equal(getattr(back, name), getattr(clip, name))
        assert psnr(back.frames, clip.frames) > 38
        assert psnr(back.reference, clip.reference) > 38


@settings(max_examples=30, deadline=None)
@given(first=st.integers(0, 12), blocks=st.integers(1, 3))
def test_part_of_a_clip_is_that_part(
    first: int, blocks: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "part"
    if not folder.exists():
        write_shard(folder / f"a{SUFFIX}", [pack(random_clip(7, 16)), pack(random_clip(8, 16))])
    shards = open_shards(folder)
    count = 4 * blocks
    if first + count > 16:
        with pytest.raises(ValueError, match="frames"):
            shards.clip(1, first, count)
        return
    whole, part = shards.clip(1), shards.clip(1, first, count)
    np.testing.assert_array_equal(part.frames, whole.frames[first : first + count])
    np.testing.assert_array_equal(part.points, whole.points[first : first + count])
    np.testing.assert_array_equal(part.audio, whole.audio[2 * first : 2 * (first + count)])
    np.testing.assert_array_equal(part.reference, whole.reference)


@settings(max_examples=120, deadline=None)
@given(data=st.data())
def test_damage_is_named_and_never_trained_on(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A file with wrong bytes, or cut, either says so or gives exactly the clip it held."""
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / f"x{SUFFIX}"
    write_shard(path, [pack(random_clip(1, 4))])
    sound, clean = path.read_bytes(), open_shards(folder).clip(0)
    at = data.draw(st.integers(0, len(sound) - 1))
    if data.draw(st.booleans()):
        path.write_bytes(sound[:at])
    else:
        other = bytes([sound[at] ^ data.draw(st.integers(1, 255))])
        path.write_bytes(sound[:at] + other + sound[at + 1 :])
    try:
        got = open_shards(folder).clip(0)
    except InvalidInput as error:
        assert path.name in str(error)
    else:  # only the names in the index have no checksum
        np.testing.assert_array_equal(got.frames, clean.frames)
        np.testing.assert_array_equal(got.audio, clean.audio)


def test_unfinished_shards_are_passed_over(tmp_path: Path) -> None:
    write_shard(tmp_path / f"0{SUFFIX}", [pack(random_clip(1, 4))])
    (tmp_path / "1.partial").write_bytes(b"SACCLIP1 half of")
    assert len(open_shards(tmp_path)) == 1
    with pytest.raises(InvalidInput, match="no training clips"):
        open_shards(tmp_path / "nothing")


def test_shard_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def failing() -> object:
        yield pack(random_clip(1, 4))
        raise RuntimeError("disk")

    with pytest.raises(RuntimeError):
        write_shard(tmp_path / f"0{SUFFIX}", failing())  # type: ignore[arg-type]
    assert not list(tmp_path.glob(f"*{SUFFIX}"))


def test_clip_refuses_wrong_shapes() -> None:
    clip = random_clip(1, 4)
    with pytest.raises(ValueError, match="audio"):
        replace(clip, audio=clip.audio[:-1])
    with pytest.raises(ValueError, match="multiple of 4"):
        replace(
            clip, frames=clip.frames[:3], points=clip.points[:3], felt=clip.felt[:3],
            heard_mouth=clip.heard_mouth[:3], audio=clip.audio[:6],
        )  # fmt: skip


# --- people ------------------------------------------------------------------------------------


def test_only_allowed_sources_get_in(tmp_path: Path) -> None:
    rows = [
        ("faker-js_assets-person-portrait/female_1.jpg", "faker-js_assets-person-portrait"),
        ("jcpeterson_omi/1.jpg", "jcpeterson_omi"),
        ("demo-assets/sadtalker__art_1.jpg", "demo-assets"),
        ("demo-assets/hallo__1.jpg", "demo-assets"),
        ("demo-assets/dreamtalk__zp1.jpg", "demo-assets"),
        ("openpeople_expressions/P001/sad.jpg", "openpeople_expressions"),
        ("openpeople_pypi/P001_studio_portrait.jpg", "openpeople_pypi"),
        # What the file lies in counts too, not the column alone.
        ("hmdghoul_generated-faces/a.jpg", "openpeople_pypi"),
    ]
    with (tmp_path / "index.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("file", "source", "label"))
        writer.writerows((*row, "") for row in rows)
    found, refused = find_sources(tmp_path)
    assert [s.person for s in found] == [
        "faker-js_assets-person-portrait/female_1", "demo-assets/hallo__1", "P001", "P001",
    ]  # fmt: skip
    assert refused == 4
    assert all(s.licence for s in found)
    with pytest.raises(InvalidInput, match=r"index\.csv"):
        find_sources(tmp_path / "nowhere")


def test_held_out_is_a_tenth_of_all_names_and_stays_so() -> None:
    share = np.mean([is_held_out(f"name {i}") for i in range(4000)])
    assert 0.08 < share < 0.12
    # Clips of these people exist and are trained on: this may never change.
    assert [p for p in (f"P{i:03}" for i in range(40)) if is_held_out(p)] == ["P010", "P022"]


# --- pictures ----------------------------------------------------------------------------------


def test_mirror_image_is_a_person_with_sides_of_its_own(portrait: Portrait) -> None:
    twin = mirrored(portrait, "twin")
    np.testing.assert_allclose(mirrored(twin, "back").mesh, portrait.mesh, atol=1e-3)
    np.testing.assert_array_equal(mirrored(twin, "back").crop, portrait.crop)
    # What lies at a point of the mesh is what lay at its partner: eyes on eyes, left on left.
    assert twin.mesh[263, 0] > twin.mesh[33, 0]
    own, other = Regions.of(portrait.mesh).cut(portrait.crop), Regions.of(twin.mesh).cut(twin.crop)
    assert psnr(own[0], other[1]) > 35  # the left eye is kept mirrored, the right one is not
    wink = np.zeros(len(CHANNELS), np.float32)
    wink[CHANNEL["AU45_L"]] = 1
    moved = FaceModel.from_mesh(twin.mesh).deform(wink) - twin.mesh
    assert np.abs(moved[386, 1]) > 5 * np.abs(moved[159, 1])


@pytest.fixture(scope="module")
def other() -> Portrait:
    from engines.enrol import enrol

    return enrol(studio_portrait("P002"), "P002")


def test_morph_lies_between_its_parents(portrait: Portrait, other: Portrait) -> None:
    child = morph([portrait, other], "child", np.random.default_rng(3))
    assert child.name == "child" and child.crop.shape == portrait.crop.shape
    assert np.isfinite(child.mesh).all()
    # Its eyes are where its mesh says: the iris of the picture is dark in the mesh's iris.
    for iris in (468, 473):
        x, y = child.mesh[iris, :2].astype(int)
        radius = int(np.linalg.norm(child.mesh[iris + 1, :2] - child.mesh[iris, :2]))
        inside = child.crop[y - radius // 2 : y + radius // 2, x - radius // 2 : x + radius // 2]
        skin = child.crop[y + 3 * radius : y + 4 * radius, x - radius : x + radius]
        assert inside.mean() < 0.75 * skin.mean()


def test_morph_of_a_person_with_themself_is_that_person(portrait: Portrait) -> None:
    same = morph([portrait, portrait], "same", np.random.default_rng(0))
    np.testing.assert_allclose(same.mesh, portrait.mesh, atol=0.05)
    ours, theirs = (Regions.of(portrait.mesh).cut(p.crop) for p in (same, portrait))
    assert psnr(ours, theirs) > 30


def test_alike_needs_the_same_pose_and_no_glasses(portrait: Portrait) -> None:
    own = likeness_of(portrait)
    assert usable(own) and alike(own, replace(own, glasses=0.0)) == (own.glasses < 0.3)
    bare = replace(own, glasses=0.0)
    for change in ({"yaw": own.yaw + 20}, {"lips": own.lips + 0.2}, {"glasses": 1.0}):
        assert not alike(bare, replace(bare, **change))


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_variation_and_camera_keep_geometry(seed: int, portrait: Portrait) -> None:
    rng = np.random.default_rng(seed)
    changed = varied(portrait, rng)
    assert changed.crop.shape == portrait.crop.shape and changed.crop.dtype == np.uint8
    np.testing.assert_array_equal(changed.mesh, portrait.mesh)
    here = Regions.of(portrait.mesh)
    camera = Camera.draw(here, rng)
    away = np.abs(camera.regions.centres - here.centres) / here.halves[:, None]
    assert away.max() <= 0.041
    crops = camera.see(portrait.crop)
    assert crops.shape == (3, SIDE, SIDE, 3)
    # A darker pixel never becomes lighter than a lighter one.
    assert (np.diff(camera.curve.astype(int), axis=0) >= 0).all()


# --- motion ------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), frames=st.integers(1, 200))
def test_motion_stays_in_range(seed: int, frames: int) -> None:
    rng = np.random.default_rng(seed)
    motion = draw_motion((), frames, rng)
    controls, mouth = draw_expression((), rng)
    for values in (motion.controls, motion.felt, controls, mouth, ramps(frames, rng)):
        assert np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1
    assert motion.controls.shape == (frames, 17) and motion.felt.shape == (frames, 9)
    assert not motion.controls[:, CHANNEL["pitch"] :].any()
    both = motion.controls[:, [CHANNEL["gaze_left"], CHANNEL["gaze_right"]]]
    assert not both.all(axis=1).any()


def test_wild_motion_covers_every_channel_and_each_side() -> None:
    rng = np.random.default_rng(5)
    clips = [draw_motion((), FRAMES, rng).controls for _ in range(300)]
    everything = np.concatenate(clips)[:, : CHANNEL["pitch"]]
    assert (everything.max(axis=0) > 0.9).all()
    left, right = (everything[:, CHANNEL[f"AU45_{side}"]] for side in "LR")
    assert ((left > 0.9) & (right < 0.1)).sum() > 50 and ((right > 0.9) & (left < 0.1)).sum() > 50


def test_motion_of_the_planner(tmp_path: Path) -> None:
    export(tmp_path, 1, 60, 0)
    tracks = load_motion(tmp_path)
    assert len(tracks) == 14 and {len(t.controls) for t in tracks} == {60}
    drawn = [draw_motion(tracks, FRAMES, np.random.default_rng(i)).label for i in range(40)]
    assert 8 < sum(bool(label) for label in drawn) < 36
    (tmp_path / "bad.npz").write_bytes(b"PK nothing")
    with pytest.raises(InvalidInput, match=r"bad\.npz"):
        load_motion(tmp_path)


# --- sound -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Something voiced: pulses through the resonances of an a, in syllables."""
    path = tmp_path_factory.mktemp("speech") / "one.npz"
    t = np.arange(16_000 * 4) / 16_000
    tone = sum(np.sin(2 * np.pi * 120 * k * t) * np.exp(-((120 * k - 700) ** 2) / 9e5)
               for k in range(1, 30))  # fmt: skip
    voice = tone * (np.sin(2 * np.pi * 2 * t) > 0)
    samples = (voice / np.abs(voice).max() * 12_000).astype(np.int16)
    save_shard(path, [Utterance("a", samples, (), "a", "en", "x", "made", True),
                      Utterance("b", samples, (), "a", "en", "x", "made", False)])  # fmt: skip
    return path


def test_sound_of_clips(speech: Path) -> None:
    sounds = [draw_sound([speech], FRAMES, np.random.default_rng(i)) for i in range(24)]
    assert {s.speech for s in sounds} == {True, False}
    for sound in sounds:
        assert sound.tokens.shape == (2 * FRAMES, TOKEN_WIDTH)
        assert sound.mouth.shape == (FRAMES, len(MOUTH_CHANNELS))
        assert sound.mouth.min() >= 0 and sound.mouth.max() <= 1
    silent = max(float(s.mouth[:, 0].max()) for s in sounds if not s.speech)
    loud = max(float(s.mouth[:, 0].max()) for s in sounds if s.speech)
    assert silent < 0.2 < loud


def test_nothing_but_forbidden_speech_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "held.npz"
    samples = np.zeros(64_000, np.int16)
    save_shard(path, [Utterance("b", samples, (), "", "en", "x", "made", False)])
    with pytest.raises(InvalidInput, match="trained on"):
        for seed in range(10):
            draw_sound([path], FRAMES, np.random.default_rng(seed))


# --- the whole of it ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sitters(
    portrait: Portrait, other: Portrait, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Sitter, ...]:
    folder = tmp_path_factory.mktemp("portraits")
    found = []
    for one in (portrait, other):
        path = folder / f"{one.id}.npz"
        save_portrait(one, path)
        found.append(Sitter(one.name, "neutral", path, likeness_of(one), False))
    found.append(replace(found[0], label="again", expression=True))
    return (*found, replace(found[0], label="same", expression=True))


def test_clips_are_a_function_of_seed_and_number(sitters: tuple[Sitter, ...]) -> None:
    studio = Studio.furnish(sitters, (), (), seed=4, size=256)
    first, again = next(studio.sitting(3)), next(studio.sitting(3))
    assert first.person == again.person and first.label == again.label
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(first.audio, again.audio)
    assert first.frames.std() > 5 and len(first) == FRAMES
    still = studio.still(0)
    assert still is not None and still.label == STILL


def test_keypoints_lie_on_what_the_picture_shows(sitters: tuple[Sitter, ...]) -> None:
    """Where the eye is open, the pupil's keypoint is on a dark spot, whatever turn and camera."""
    studio = Studio.furnish(sitters, (), (), seed=9, size=256)
    hits, tries = 0, 0
    for number in range(2):
        for clip in islice(studio.sitting(number), 2):
            for frame, points in zip(clip.frames[::10], clip.points[::10], strict=True):
                for eye, (lids, pupil) in enumerate(((slice(0, 16), 52), (slice(16, 32), 57))):
                    ring = points[eye, lids]
                    if np.ptp(ring[:, 1]) < 0.25:
                        continue
                    grey = frame[eye].astype(float).mean(axis=2)
                    x, y = ((points[eye, pupil] + 1) * SIDE / 2 - 0.5).round().astype(int)
                    tries += 1
                    hits += grey[y - 2 : y + 3, x - 2 : x + 3].mean() < 0.75 * np.median(grey)
    assert tries > 10 and hits > 0.8 * tries


def test_film_makes_what_is_missing(
    sitters: tuple[Sitter, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is kept; a shard can be made again, alone."""
    motion = tmp_path / "motion"
    export(motion, 1, FRAMES, 0)
    from engines.video.data import render

    done: list[int] = []

    def here(
        items: Iterable[int], work: Callable[[int], int], **_: object
    ) -> Iterator[tuple[int, int]]:
        """In this process, without the start of others."""
        render._begin(wanted)
        for item in items:
            done.append(item)
            yield item, work(item)

    monkeypatch.setattr(render, "in_order", here)
    monkeypatch.setattr(render, "SITTINGS", 1)
    monkeypatch.setattr("engines.video.data.studio.SITTING", 1)
    wanted = Settings(sitters, motion, (), tmp_path / "out", 1, 128)
    never = float("inf")
    film(wanted, 2, never, 1, lambda *_: None)
    kept = shard_path(tmp_path / "out", 0).read_bytes()
    shard_path(tmp_path / "out", 1).unlink()
    film(wanted, 2, never, 1, lambda *_: None)
    film(wanted, 3, -1.0, 1, lambda *_: None)  # no time left: nothing is begun
    assert done == [0, 1, 1]
    assert shard_path(tmp_path / "out", 0).read_bytes() == kept
    shards = open_shards(tmp_path / "out")
    assert len(shards) == 2 * 3 and set(shards.labels) >= {STILL}
    assert shards.clip(0).points.shape[2] == len(KEYPOINTS)


def test_held_out_people_are_not_for_training(sitters: tuple[Sitter, ...]) -> None:
    people = [replace(sitters[0], person=f"name {i}") for i in range(50)]
    assert {s.person for s in for_training(people)}.isdisjoint(s.person for s in held_out(people))
    assert len(for_training(people)) + len(held_out(people)) == 50 and held_out(people)
