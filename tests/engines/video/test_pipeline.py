"""From clips to a film, with networks too small to be any good: every step meets the next."""

from __future__ import annotations

import csv
import shutil
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import openpeople
import pytest
import torch

from core import (
    LATENT_FRAMES,
    U8,
    WINDOW_FRAMES,
    ControlTrack,
    InvalidInput,
    KeypointTrack,
    MouthTrack,
    Portrait,
)
from engines.commands import progress
from engines.evaluate.footage import read_film
from engines.evaluate.generators import Drive, open_generator, parse_row
from engines.puppet import Puppet
from engines.rig import build_rig
from engines.video import drift, gallery, sample, train_dit, train_student
from engines.video import make_latents as latents_command
from engines.video.clip import OWN, REACH, STILL, Clip
from engines.video.codec import PRESETS, Codec, load_codec, save_codec, to_unit
from engines.video.coding import codec_id, decode, encode_clip
from engines.video.conditions import Conditions
from engines.video.data.shards import Shards, open_shards, pack, write_shard
from engines.video.distil import DistilConfig
from engines.video.dit import DiT
from engines.video.dit_config import DitConfig
from engines.video.dit_file import load_dit, save_dit
from engines.video.generator import Script, VideoGenerator, conditions_of
from engines.video.guidance import EYE_AWARE
from engines.video.held_out import picture_scores, preview_rows
from engines.video.latents import INDEX, Latents, open_latents
from engines.video.make_latents import make_latents
from engines.video.performance import from_controls, in_regions
from engines.video.plan import Plan
from engines.video.render_frames import regions_of
from engines.video.sampler import generate
from engines.video.shipped import fingerprint
from engines.video.train_dit import DitTask
from engines.video.train_student import StudentTask
from engines.video.training import fit

CONFIG = DitConfig(channels=32, width=32, blocks=2, heads=2, feed=64, text=16)
LENGTHS = (16, 8, 4, 24)
QUICK = Plan(steps=2, batch=2, device="cpu", precision="fp32", threads=1)


def quiet(done: int, total: int, note: str) -> None:
    assert done <= total


def film(portrait: Portrait, puppet: Puppet, frames: int, rng: np.random.Generator) -> Clip:
    """A clip of the puppet, blinking and speaking."""
    open_ = np.abs(np.linspace(-1, 1, frames, dtype=np.float32))
    controls = ControlTrack.neutral(frames).values
    controls[:, 8:10] = 1 - open_[:, None]
    mouth = MouthTrack.rest(frames).values
    mouth[:, 0] = open_ * 0.6
    regions = regions_of(portrait, 256)
    crops = np.stack([
        regions.cut(puppet.render(c, m)) for c, m in zip(controls, mouth, strict=True)
    ])  # fmt: skip
    points = from_controls(portrait, ControlTrack(controls), mouth).points
    audio = rng.standard_normal((2 * frames, 256)).astype(np.float32)
    return Clip(
        f"person {frames}", "drowsiness", "blink", regions.cut(puppet.rig.crop), crops,
        in_regions(portrait.keypoints, portrait), in_regions(points, portrait),
        rng.random((frames, 9)).astype(np.float32), audio, mouth,
    )  # fmt: skip


@pytest.fixture(scope="module")
def clips(portrait: Portrait, tmp_path_factory: pytest.TempPathFactory) -> Shards:
    """Four clips, one of which does not move."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    puppet = Puppet(build_rig(portrait, 256))
    made = [film(portrait, puppet, frames, rng) for frames in LENGTHS]
    still = made[2]
    made[2] = Clip(
        still.person, STILL, "", still.reference, still.frames, still.reference_points,
        still.points, still.felt, still.audio, still.heard_mouth,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("clips")
    write_shard(folder / "a.clips", [pack(clip) for clip in made[:2]])
    write_shard(folder / "b.clips", [pack(clip) for clip in made[2:]])
    return open_shards(folder)


@pytest.fixture(scope="module")
def codec() -> Codec:
    """A codec whose pictures depend on its latents, although it has learnt nothing."""
    torch.manual_seed(0)
    codec = Codec(PRESETS["tiny"])
    torch.nn.init.normal_(codec.decoder.paint.weight, std=0.2)
    return codec.eval()


@pytest.fixture(scope="module")
def latents(clips: Shards, codec: Codec, tmp_path_factory: pytest.TempPathFactory) -> Latents:
    folder = tmp_path_factory.mktemp("latents")
    make_latents(clips, codec, folder, quiet, workers=2)
    return open_latents(folder)


def test_latents_are_the_clips(clips: Shards, codec: Codec, latents: Latents) -> None:
    """Every moving clip, encoded; numbers and words as they were, in half precision."""
    assert [entry.clip for entry in latents.entries] == [0, 1, 3]
    assert [entry.count for entry in latents.entries] == [4, 2, 6]
    clip = clips.clip(3)
    part = latents.stretch(2, 0, 6)
    frames = to_unit(torch.from_numpy(clip.frames)).transpose(0, 1)
    with torch.inference_mode():
        whole = codec.encode(frames, torch.arange(3)).transpose(0, 1)
    torch.testing.assert_close(part.latents[0], whole, atol=2e-3, rtol=2e-3)
    still = np.repeat(clip.reference[None], LATENT_FRAMES, axis=0)
    with torch.inference_mode():
        known = codec.encode(to_unit(torch.from_numpy(still)).transpose(0, 1), torch.arange(3))
    torch.testing.assert_close(part.reference[0], known[:, 0], atol=2e-3, rtol=2e-3)
    assert codec_id(codec) == latents.codec


@pytest.mark.parametrize(("first", "count"), [(0, 6), (1, 2), (4, 2)])
def test_conditions_are_those_of_the_clip(
    clips: Shards, latents: Latents, first: int, count: int
) -> None:
    """Cut out of the files or of the clip itself: the same, with the sound around."""
    there = latents.stretch(2, first, count).conditions
    clip = clips.clip(3)
    here = Conditions.of(clip, first * LATENT_FRAMES, count * LATENT_FRAMES)
    for name in ("points", "reference_points", "felt", "audio"):
        torch.testing.assert_close(getattr(there, name), getattr(here, name), atol=1e-3, rtol=1e-3)
    for name in ("hears", "words", "posed"):
        assert torch.equal(getattr(there, name), getattr(here, name)), name
    assert there.audio.shape[1] == count * OWN + REACH


def test_batches_reach_everything(latents: Latents) -> None:
    """Random stretches are equally likely, and as wanted; too long ones are refused."""
    rng = np.random.default_rng(0)
    batch = latents.batch(rng, 60, 4)
    assert batch.latents.shape == (60, 4, 3, 32, 6, 6)
    starts = {float(x) for x in batch.conditions.felt[:, 0, 0]}
    assert len(starts) == 1 + 3  # one start in the clip of 4, three in that of 6
    again = latents.batch(np.random.default_rng(0), 60, 4)
    assert torch.equal(batch.latents, again.latents)
    with pytest.raises(InvalidInput, match="has 7 latent frames"):
        latents.batch(rng, 1, 7)
    with pytest.raises(ValueError, match="latent frames"):
        latents.stretch(0, 3, 2)


def test_latents_go_on(
    clips: Shards, codec: Codec, latents: Latents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted after two clips and taken up: the same files. Another codec is refused."""
    monkeypatch.setattr(latents_command, "EVERY", 1)

    def stop(done: int, total: int, note: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_latents(clips, codec, tmp_path, stop)
    with pytest.raises(InvalidInput, match="not finished"):
        open_latents(tmp_path)
    make_latents(clips, codec, tmp_path, quiet)
    made = open_latents(tmp_path)
    assert made.entries == latents.entries
    for name in ("latents", "points", "felt", "audio", "references", "reference_points"):
        np.testing.assert_array_equal(getattr(made, name), getattr(latents, name))
    other = Codec(PRESETS["tiny"])
    with pytest.raises(InvalidInput, match="another codec"):
        make_latents(clips, other, tmp_path, quiet)
    (tmp_path / "points.f16").write_bytes(b"short")
    with pytest.raises(InvalidInput, match="points.f16 is damaged"):
        open_latents(tmp_path)
    (tmp_path / INDEX).write_text("{}")
    with pytest.raises(InvalidInput, match="is damaged"):
        open_latents(tmp_path)


def test_latents_grow_with_the_clips(
    clips: Shards, codec: Codec, latents: Latents, tmp_path: Path
) -> None:
    folder, out = tmp_path / "clips", tmp_path / "latents"
    folder.mkdir()
    for path in clips.paths:
        shutil.copy(path, folder)
        make_latents(open_shards(folder), codec, out, quiet)
    made = open_latents(out)
    assert made.entries == latents.entries
    np.testing.assert_array_equal(made.latents, latents.latents)
    (folder / clips.paths[0].name).unlink()
    with pytest.raises(InvalidInput, match="other clips"):
        make_latents(open_shards(folder), codec, out, quiet)


def test_transformer_trains(
    clips: Shards, codec: Codec, latents: Latents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two steps, measured and drawn; what is exported is what was averaged."""
    for name in ("SAMPLED", "STEPS"):
        monkeypatch.setattr(train_dit, name, 2)  # sampling is what takes long here
    torch.manual_seed(0)
    task = DitTask(CONFIG, latents, latents, clips, codec, frames=4)
    fit(task, QUICK, tmp_path, quiet)
    table = (tmp_path / "curves.csv").read_text()
    for name in ("held_flow_0.2", "held_psnr_changed", "held_l1", "held_psnr_mouth"):
        assert name in table
    assert (tmp_path / "preview-0000002.png").stat().st_size > 10_000
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["average"]
    dit, made_for = load_dit(tmp_path / "weights.safetensors")
    assert made_for == latents.codec
    assert dit.config == CONFIG
    for name, value in dit.state_dict().items():
        torch.testing.assert_close(value, saved[name], atol=1e-3, rtol=1e-3)
    with pytest.raises(InvalidInput, match="another codec"):
        DitTask(CONFIG, latents, latents, clips, Codec(PRESETS["tiny"]), frames=4)
    with pytest.raises(InvalidInput, match="channels"):
        DitTask(DitConfig(channels=8, width=32, heads=2), latents, latents, clips, codec, frames=4)


def test_scores(clips: Shards) -> None:
    """The truth is perfect, the reference is not, and only what changed is asked for there."""
    clip = clips.clip(0)
    still = np.repeat(clip.reference[None], len(clip), axis=0)
    frames, references = clip.frames[None], clip.reference[None]
    best = picture_scores(frames, references, frames)
    none = picture_scores(frames, references, still[None])
    assert best["l1"] == 0 and best["psnr_changed"] > 75
    assert none["psnr_changed"] == pytest.approx(none["psnr_reference"], abs=1e-3)
    assert none["psnr_changed"] < none["psnr"] < 75
    sheet = preview_rows(clip.reference, clip.frames, still)
    assert sheet.shape == (288, 9 * 288, 3)
    assert sheet[192:, 288:].max() > 100


@pytest.fixture(scope="module")
def dit() -> DiT:
    """A transformer whose last layer says something, too."""
    torch.manual_seed(0)
    dit = DiT(CONFIG)
    torch.nn.init.normal_(dit.leave.weight, std=0.2)
    return dit.eval()


def test_students_are_taught(
    clips: Shards, codec: Codec, latents: Latents, dit: DiT, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Both stages, the second from the first; what is exported is a student of the same codec."""
    for name in ("TEACHER_STEPS", "FREE_STEPS"):
        monkeypatch.setattr(train_student, name, 2)  # sampling is what takes long here
    begin = dit
    for nodes in (0, 2):
        out = tmp_path / str(nodes)
        config = DistilConfig(nodes=nodes, solve=1)
        task = StudentTask(dit, begin, latents, latents, clips, codec, config)
        fit(task, QUICK, out, quiet)
        table = (out / "curves.csv").read_text()
        for name in ("held_apart", "held_psnr_to_teacher", "held_teacher_psnr_changed"):
            assert name in table
        assert (out / "preview-0000002.png").stat().st_size > 10_000
        begin, made_for = load_dit(out / "weights.safetensors")
        assert begin.config == replace(dit.config, maps=2) and made_for == latents.codec
    other = DiT(replace(CONFIG, blocks=1))
    with pytest.raises(InvalidInput, match="different sizes"):
        StudentTask(dit, other, latents, latents, clips, codec, config)


@pytest.fixture(scope="module")
def generator(codec: Codec, dit: DiT) -> VideoGenerator:
    return VideoGenerator(codec, dit, steps=2, seed=3)


def test_generates_a_case(portrait: Portrait, generator: VideoGenerator) -> None:
    """From keypoints or controls to frames of the size wanted, any length, always the same."""
    controls = ControlTrack.neutral(11, yaw=12)
    points = np.repeat(portrait.keypoints[None], 11, axis=0)
    pose = np.zeros((11, 3), np.float32)
    sound = np.zeros(11 * 640, np.float32)
    told = Drive("a", portrait, 11, 256, MouthTrack.rest(11), sound, "", controls)
    seen = Drive("a", portrait, 11, 256, MouthTrack.rest(11), None, "", None,
                 KeypointTrack(points), pose)  # fmt: skip
    turned, said = generator.generate(told)
    assert turned.shape == (11, 256, 256, 3)
    assert said is controls
    still, nothing = generator.generate(seen)
    assert nothing is None
    # The head turns although the network knows nothing; the background stays.
    assert np.abs(turned.astype(np.int16) - still).mean() > 1
    assert np.array_equal(turned[:, :, 0], still[:, :, 0])
    assert np.array_equal(generator.generate(seen)[0], still)
    nobody = Drive("a", portrait, 11, 256, MouthTrack.rest(11), None)
    with pytest.raises(InvalidInput, match="needs controls"):
        generator.generate(nobody)


def test_streams_what_whole_clips_give(
    portrait: Portrait, codec: Codec, dit: DiT, generator: VideoGenerator
) -> None:
    """Window by window is the whole clip: the codec's memory goes on between windows."""
    controls = ControlTrack.neutral(16)
    script = Script(from_controls(portrait, controls, MouthTrack.rest(16).values))
    reference = regions_of(portrait, portrait.size).cut(portrait.crop)
    parts = list(generator.regions(portrait, script, reference))
    told = conditions_of(portrait, script)
    clip = Clip(
        "", "", "", reference, np.zeros((4, *reference.shape), np.uint8),
        told.reference_points[0].numpy(), told.points[0, :4].numpy(), told.felt[0, :4].numpy(),
        told.audio[0, :8].numpy(), told.felt[0, :4].numpy(),
    )  # fmt: skip
    known = torch.from_numpy(encode_clip(codec, clip)[1].astype(np.float32))[None]
    made = generate(dit, told, known, 3, EYE_AWARE, 2)
    whole = decode(codec, made, reference[None])[0]
    assert np.abs(np.concatenate(parts).astype(np.int16) - whole).max() <= 1
    # The windows differ, so a stream that forgot or mixed them up would be seen.
    assert np.abs(parts[0].astype(np.int16) - parts[1]).mean() > 2


def test_half_precision_shows_the_same(
    portrait: Portrait, codec: Codec, dit: DiT, generator: VideoGenerator
) -> None:
    script = Script(from_controls(portrait, ControlTrack.neutral(8), MouthTrack.rest(8).values))
    reference = regions_of(portrait, portrait.size).cut(portrait.crop)
    half = VideoGenerator(codec, dit, steps=2, seed=3, bf16=True)
    coarse = next(iter(half.regions(portrait, script, reference))).astype(np.int16)
    exact = next(iter(generator.regions(portrait, script, reference)))
    apart = np.abs(coarse - exact).mean()
    assert 0 < apart < 0.1 * np.abs(exact.astype(np.int16) - reference).mean()


def test_drift_is_noticed() -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(60, 180, (2 * WINDOW_FRAMES, 3, 96, 96, 3), np.uint8)
    watch = drift.Watch(len(first), lambda crops: float(crops.mean()) / 255)
    softer = np.stack([[cv2.blur(crop, (3, 3)) for crop in crops] for crops in first])
    rounds: tuple[U8, ...] = (first, first, first + np.uint8(12), softer.astype(np.uint8))
    for frames in rounds:
        watch.see(frames[:WINDOW_FRAMES])
        watch.see(frames[WINDOW_FRAMES:])
    same, warmer, blurred = watch.rounds[1:]
    assert same.colour == 0 and same.sharpness == 1 and np.isnan(same.psnr)
    assert warmer.colour == pytest.approx(12) and warmer.sharpness == pytest.approx(1)
    assert warmer.psnr == pytest.approx(20 * np.log10(255 / 12))
    assert warmer.identity == pytest.approx(same.identity + 12 / 255)
    assert blurred.colour < 1 and blurred.sharpness < 0.5
    assert drift.strip(watch.moments).shape == (4 * 96, 6 * 3 * 96, 3)


def test_commands(clips: Shards, codec: Codec, portrait: Portrait, tmp_path: Path) -> None:
    """latents, dit and sample, as on the command line."""
    weights = tmp_path / "codec.safetensors"
    save_codec(weights, codec)

    def call(command: object, *words: object) -> None:
        parser = ArgumentParser()
        command.add_arguments(parser)  # type: ignore[attr-defined]
        command.run(parser.parse_args([str(w) for w in words]), progress)  # type: ignore[attr-defined]

    folder = clips.paths[0].parent
    call(latents_command, folder, weights, tmp_path / "latents", "--device", "cpu")
    assert open_latents(tmp_path / "latents").codec == codec_id(load_codec(weights))
    with pytest.raises(InvalidInput, match="no size"):
        call(train_dit, tmp_path / "latents", tmp_path / "latents", folder, weights,
             tmp_path / "dit", "--size", "huge")  # fmt: skip
    dit = tmp_path / "dit.safetensors"
    save_dit(DiT(CONFIG), codec_id(load_codec(weights)), dit)
    people = Path(openpeople.__file__).parent / "data" / "curated"
    picture = people / "P001" / "assets" / "studio_portrait.jpg"
    np.savez(tmp_path / "m.npz", controls=ControlTrack.neutral(8, yaw=5).values)
    call(sample, picture, tmp_path / "out.mp4", "--codec", weights, "--dit", dit, "--motion",
         tmp_path / "m.npz", "--size", 128, "--steps", 1, "--device", "cpu")  # fmt: skip
    assert read_film(tmp_path / "out.mp4", None, 128).shape == (8, 128, 128, 3)
    call(drift, picture, tmp_path / "m.npz", tmp_path / "drift", "--codec", weights, "--dit", dit,
         "--seconds", 0.4, "--minutes", 0.02, "--steps", 1)  # fmt: skip
    call(gallery, picture, "--out", tmp_path / "sheets", "--codec", weights, "--dit", dit,
         "--steps", 1, "--rows", "puppet", "none", "--cell", 60)  # fmt: skip
    sheet = cv2.imread(str(tmp_path / "sheets" / "studio_portrait.png"))
    assert sheet is not None and sheet.shape == (2 * 76, 11 * 60, 3)
    assert np.abs(sheet[16:76].astype(np.int16) - sheet[92:]).mean() > 0.5
    row = parse_row("dit+none+2:keypoints")
    assert (row.generator, row.mode, row.name) == ("dit", "keypoints", "dit+none+2-keypoints")
    assert open_generator(row, tmp_path).name == "dit"
    for spec in ("dit+often:label", "dit+0:label"):
        with pytest.raises(InvalidInput, match="number of steps"):
            open_generator(parse_row(spec), tmp_path)
    knobs = parse_row("dit+eye-aware+high=3+low=2+2:keypoints")
    assert open_generator(knobs, tmp_path).name == "dit"
    for option in ("high=much", "gamma=2", "high=nan"):
        with pytest.raises(InvalidInput, match="number|guidance"):
            open_generator(parse_row(f"dit+{option}:label"), tmp_path)
    with (tmp_path / "drift" / "drift.csv").open() as file:
        rounds = list(csv.DictReader(file))
    assert len(rounds) == 4 and {"drift.png", "rounds.png", "last.mp4"} <= {
        path.name for path in (tmp_path / "drift").iterdir()
    }
    assert all(float(one["colour"]) < 3 and float(one["sharpness"]) > 0.9 for one in rounds)
    known = fingerprint(tmp_path)
    save_dit(DiT(CONFIG), "other", dit)
    assert fingerprint(tmp_path) != known
    with pytest.raises(InvalidInput, match="another codec"):
        call(sample, picture, tmp_path / "out.mp4", "--codec", weights, "--dit", dit)
