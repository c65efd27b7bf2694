"""Networks of the benchmark: found, converted once, and ranking obvious pairs rightly."""

from __future__ import annotations

import importlib.util
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import F32, SAMPLE_RATE, SAMPLES_PER_FRAME, U8, InvalidInput, Unavailable
from engines.evaluate.networks import lip_sync as ls
from engines.evaluate.networks.checkpoint import load_arrays
from engines.evaluate.networks.graph import GraphBuilder, Net
from engines.evaluate.networks.mfcc import mfcc
from engines.evaluate.networks.perceptual import FrameFeatures, Lpips, build_lpips
from engines.evaluate.networks.quality import Brisque
from engines.evaluate.networks.recogniser import (
    POINTS,
    TEMPLATE,
    Recogniser,
    aligned,
    id_sim,
    similarity,
)
from engines.evaluate.networks.video_features import VideoFeatures
from engines.evaluate.networks.weights import (
    ENVIRONMENT,
    NETWORKS,
    Found,
    Scaling,
    Weights,
    scaling,
)
from engines.landmarks import FaceMesh
from tests.conftest import PEOPLE

LOUD = 0.2
FULL = 25_300.0
"Root of the energy of a window of a 1 kHz tone that loud, at 16 bits."
Faces = dict[tuple[str, str], tuple[U8, F32]]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    return Weights(cache=tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def portraits() -> U8:
    """Four studio portraits, 256 px."""
    people = ("P001", "P003", "P005", "P009")
    return np.stack([_square(_picture(person, "studio_portrait"), 256) for person in people])


@pytest.fixture(scope="module")
def faces() -> Faces:
    """Two pictures of each of three people, with their meshes."""
    found: Faces = {}
    with FaceMesh() as mesh:
        for person in ("P001", "P005", "P009"):
            for kind in ("studio_portrait", "amateur_selfie"):
                picture = _picture(person, kind)
                found[person, kind] = picture, mesh.detect(picture)[0]
    return found


def _picture(person: str, kind: str) -> U8:
    bgr = cv2.imread(str(PEOPLE / person / "assets" / f"{kind}.jpg"))
    assert bgr is not None
    scale = 512 / max(bgr.shape[:2])
    small = cv2.resize(bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[..., ::-1], np.uint8)


def _square(picture: U8, side: int) -> U8:
    short = min(picture.shape[:2])
    y, x = (length // 2 - short // 2 for length in picture.shape[:2])
    cut = picture[y : y + short, x : x + short]
    return np.asarray(cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def _blurred(frames: U8, sigma: float) -> U8:
    blurred = [cv2.GaussianBlur(frame, (0, 0), sigma) for frame in frames]
    return np.asarray(np.stack(blurred), np.uint8)


def _noisy(frames: U8, sigma: float) -> U8:
    noise = np.random.default_rng(0).normal(0, sigma, frames.shape)
    return np.asarray(np.clip(frames + noise, 0, 255), np.uint8)


def _needs(weights: Weights, *keys: str) -> None:
    for key in keys:
        if weights.find(key) is None:
            pytest.skip(f"{NETWORKS[key].release} is not installed (make weights)")


def _save(model: Any, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


# --- where weights are ---------------------------------------------------------------------------


@pytest.mark.parametrize("key", NETWORKS)
def test_missing_weights_say_what_to_do(
    key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(Unavailable) as caught:
        Weights(tmp_path).need(key)
    network = NETWORKS[key]
    assert network.name in caught.value.message and str(tmp_path) in caught.value.message
    assert (network.wanted or network.file) in caught.value.message
    assert ("make weights" in caught.value.message) == bool(network.package)


def test_the_folder_comes_first_and_the_environment_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path))
    own = tmp_path / "lpips.onnx"
    own.write_bytes(b"")
    found = Weights().need("lpips")
    assert (found.path, found.packaged, found.title) == (own, False, "LPIPS (lpips.onnx)")
    with pytest.raises(Unavailable, match=r"lpips\.onnx can not be loaded"):
        Lpips(Weights())
    with pytest.raises(InvalidInput, match="no folder"):
        Weights(tmp_path / "nowhere")


def test_stand_ins_are_named(weights: Weights) -> None:
    _needs(weights, "sface", "alexnet")
    assert weights.first("arcface", "sface").title == "SFace (stand-in for ArcFace)"
    assert "InceptionV3" in weights.first("inception", "alexnet").title


def test_conversion_happens_once_and_whole(tmp_path: Path) -> None:
    source = tmp_path / "checkpoint"
    source.write_bytes(b"numbers")
    found = Found(NETWORKS["lpips"], source, packaged=True)
    cache = tmp_path / "cache"
    made: list[Path] = []

    def build(path: Path) -> Any:
        made.append(path)
        return _first_planes()

    with ThreadPoolExecutor(4) as pool:
        paths = set(pool.map(lambda _: Weights(cache=cache).converted(found, build), range(8)))
    assert len(paths) == 1 and [*cache.iterdir()] == [*paths]
    Net(paths.pop())
    before = len(made)
    Weights(cache=cache).converted(found, build)
    assert len(made) == before

    source.write_bytes(b"other numbers")
    with pytest.raises(InvalidInput, match="not the LPIPS"):
        Weights(cache=cache).converted(found, lambda path: np.zeros(2) + np.zeros(3))
    assert len([*cache.iterdir()]) == 1


def test_a_cache_that_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "cache").write_bytes(b"a file")
    found = Found(NETWORKS["lpips"], tmp_path / "cache", packaged=True)
    with pytest.raises(Unavailable, match="can not be kept"):
        Weights(cache=tmp_path / "cache").converted(found, lambda path: _first_planes())


class _Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def test_pickles_run_nothing(tmp_path: Path) -> None:
    path, trace = tmp_path / "x.pickle", tmp_path / "trace"
    path.write_bytes(pickle.dumps({"w": np.ones(3), "evil": _Evil(trace)}))
    with pytest.raises(InvalidInput, match="mkdir"):
        load_arrays(path)
    assert not trace.exists()

    around: list[Any] = [1.0]
    around.append(around)
    for bad in ({"w": "text"}, [np.array([np.nan])], np.array([None]), {1: b"x"}):
        path.write_bytes(pickle.dumps(bad))
        with pytest.raises(InvalidInput):
            load_arrays(path)
    for good in ({"w": np.ones((2, 3), np.float32), "b": [1, 2.5]}, around):
        path.write_bytes(pickle.dumps(good))
        assert type(load_arrays(path)) is type(good)


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_wild_files_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "wild"
    path.write_bytes(data)
    with pytest.raises(InvalidInput):
        build_lpips(path)
    graph = path.with_suffix(".onnx")
    path.with_suffix(".json").write_bytes(data)
    try:
        assert isinstance(scaling(graph, Scaling()), Scaling)
    except InvalidInput:
        pass
    for name in ("brisque_svm.txt", "brisque_range.pickle"):
        path.with_name(name).write_bytes(data)
    with pytest.raises(InvalidInput):
        Brisque(Weights(path.parent))


def test_scaling_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"scale": 128, "order": "BGR"}')
    assert scaling(tmp_path / "a.onnx", Scaling()) == Scaling(127.5, 128.0, "BGR")
    (tmp_path / "a.json").write_text('{"size": 128}')
    with pytest.raises(InvalidInput, match="has to look like"):
        scaling(tmp_path / "a.onnx", Scaling())


# --- faces ---------------------------------------------------------------------------------------


@given(
    st.floats(-3, 3), st.floats(0.2, 5), st.floats(-300, 300), st.floats(-300, 300)
)  # fmt: skip
def test_similarity_finds_what_was_done(angle: float, scale: float, x: float, y: float) -> None:
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    found = similarity(TEMPLATE, TEMPLATE @ turn.T + (x, y))
    assert np.allclose(found, np.column_stack([turn, (x, y)]), atol=1e-3)


def test_similarity_never_mirrors() -> None:
    mirrored = TEMPLATE * np.array([-1, 1], np.float32)
    assert np.linalg.det(similarity(TEMPLATE, mirrored)[:, :2]) > 0


def test_faces_are_put_onto_the_template(faces: Faces) -> None:
    for _, mesh in faces.values():
        points = np.stack([mesh[list(group), :2].mean(axis=0) for group in POINTS])
        matrix = similarity(points, TEMPLATE)
        placed = points @ matrix[:, :2].T + matrix[:, 2]
        assert np.linalg.norm(placed - TEMPLATE, axis=1).max() < 8


def test_the_same_person_is_nearer_than_another(weights: Weights, faces: Faces) -> None:
    _needs(weights, "sface")
    network = Recogniser(weights)
    found = {key: network.embed(*face) for key, face in faces.items()}
    people = sorted({person for person, _ in found})
    assert all(abs(np.linalg.norm(vector) - 1) < 1e-5 for vector in found.values())
    for person in people:
        mine = found[person, "studio_portrait"]
        others = [found[other, "amateur_selfie"] for other in people if other != person]
        same = id_sim(found[person, "amateur_selfie"][None], mine)
        assert same > 0.6 > 0.5 > id_sim(np.stack(others), mine)


def test_size_and_tilt_of_the_picture_do_not_matter(weights: Weights, faces: Faces) -> None:
    _needs(weights, "sface")
    network = Recogniser(weights)
    frame, mesh = faces["P001", "studio_portrait"]
    here = network.embed(frame, mesh)
    turn = cv2.getRotationMatrix2D((256, 256), 20, 0.5)
    turned = cv2.warpAffine(frame, turn, (512, 512)).astype(np.uint8)
    moved = mesh.copy()
    moved[:, :2] = mesh[:, :2] @ turn[:, :2].T + turn[:, 2]
    assert network.embed(turned, moved) @ here > 0.9
    wrong = mesh.copy()
    wrong[:, :2] += 200  # beside the face
    assert network.embed(frame, wrong) @ here < 0.5


def test_frames_without_a_face_are_left_out(weights: Weights, faces: Faces) -> None:
    _needs(weights, "sface")
    network = Recogniser(weights)
    frame, mesh = faces["P001", "studio_portrait"]
    lost = np.full_like(mesh, np.nan)
    one = network.embed(frame, mesh)
    many = network.embed_all(np.stack([frame] * 3), np.stack([lost, mesh, mesh]))
    assert np.isnan(many[0]).all() and np.allclose(many[1:], one, atol=1e-5)
    assert id_sim(many, one) == pytest.approx(1, abs=1e-4)
    nothing = network.embed_all(frame[None], lost[None])
    assert nothing.shape == (1, len(one)) and np.isnan(id_sim(nothing, one))
    with pytest.raises(InvalidInput, match="no face"):
        network.embed(frame, np.zeros_like(mesh))
    assert aligned(frame, lost) is None


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("rows", [1, "n"])
def test_an_arcface_of_the_users_gets_the_pixels_it_wants(
    tmp_path: Path, faces: Faces, inside: bool, rows: int | str
) -> None:
    build = GraphBuilder()
    x = "data"
    if inside:
        x = build.add("Sub", x, build.constant(np.array(127.5, np.float32)))
        x = build.add("Mul", x, build.constant(np.array(1 / 127.5, np.float32)))
    x = build.add("AveragePool", x, kernel_shape=[56, 56], strides=[56, 56])
    build.add("Flatten", x, name="embedding")
    model = build.model({"data": (rows, 3, 112, 112)}, {"embedding": (rows, 12)})
    _save(model, tmp_path / "arcface.onnx")
    frame, mesh = faces["P001", "studio_portrait"]
    network = Recogniser(Weights(tmp_path))
    assert network.name == "ArcFace (arcface.onnx)"
    found = network.embed_all(np.stack([frame] * 3), np.stack([mesh] * 3))

    crop = aligned(frame, mesh)
    assert crop is not None
    pooled = (crop / 127.5 - 1).reshape(2, 56, 2, 56, 3).mean(axis=(1, 3)).transpose(2, 0, 1)
    expected = pooled.ravel() / np.linalg.norm(pooled)
    assert found.shape == (3, 12) and np.allclose(found, expected, atol=1e-4)

    (tmp_path / "arcface.json").write_text('{"mean": 0, "scale": 255, "order": "BGR"}')
    assert not np.allclose(Recogniser(Weights(tmp_path)).embed(frame, mesh), expected, atol=1e-2)


def test_a_graph_of_another_kind_is_refused(tmp_path: Path) -> None:
    _save(_first_planes(), tmp_path / "i3d.onnx")
    with pytest.raises(InvalidInput, match="dimensions"):
        VideoFeatures(Weights(tmp_path))


# --- pictures ------------------------------------------------------------------------------------


def test_lpips_grows_with_the_damage(weights: Weights, portraits: U8) -> None:
    _needs(weights, "lpips")
    network = Lpips(weights)
    portraits = np.stack([_square(portrait, 128) for portrait in portraits])
    damaged = [portraits, *(_blurred(portraits, s) for s in (1, 2, 4))]
    blurred = np.stack([network.distance(portraits, other) for other in damaged])
    assert np.allclose(blurred[0], 0, atol=1e-6) and (np.diff(blurred, axis=0) > 0).all()
    noisy = np.stack([network.distance(portraits, _noisy(portraits, s)) for s in (5, 15, 40)])
    assert (np.diff(noisy, axis=0) > 0).all()
    # A pixel's shift is less than another person.
    moved = network.distance(portraits, np.roll(portraits, 1, axis=2))
    other = network.distance(portraits, np.roll(portraits, 1, axis=0))
    assert (moved < other).all()
    back = network.distance(np.roll(portraits, 1, axis=0), portraits)
    assert np.allclose(other, back, atol=1e-5)
    with pytest.raises(ValueError, match="one size"):
        network.distance(portraits, portraits[:2])


def test_lpips_is_what_pytorch_makes_of_it(weights: Weights) -> None:
    """The value is that of the same layers written with torch.nn.functional."""
    _needs(weights, "lpips")
    y, x = np.indices((96, 120))
    picture = np.stack([2 * x, 3 * y, x * y // 16], axis=-1).astype(np.uint8)[None]
    assert Lpips(weights).distance(picture, picture[:, :, ::-1]) == pytest.approx(0.49658, abs=1e-4)


def test_frame_features_tell_people_apart(weights: Weights, portraits: U8) -> None:
    _needs(weights, "alexnet")
    network = FrameFeatures(weights)
    here, near = network.features(portraits), network.features(_noisy(portraits, 3))
    assert here.shape == (4, 256) and here.dtype == np.float32
    gaps = np.linalg.norm(here[:, None] - near[None], axis=2)
    assert (gaps.argmin(axis=1) == range(4)).all()


def test_an_inception_of_the_users_is_taken(tmp_path: Path, portraits: U8) -> None:
    _save(_first_planes(299), tmp_path / "inception.onnx")
    network = FrameFeatures(Weights(tmp_path))
    found = network.features(portraits)
    assert network.name == "InceptionV3 (inception.onnx)" and found.shape == (4, 3)
    assert np.allclose(found, portraits.mean(axis=(1, 2)) / 127.5 - 1, atol=0.01)


def _first_planes(side: int = 8) -> Any:
    """A network that averages each plane."""
    build = GraphBuilder()
    build.add(
        "ReduceMean", "x", build.constant(np.array([2, 3], np.int64)), keepdims=0, name="means"
    )
    return build.model({"x": (1, 3, side, side)}, {"means": (1, 3)})


@pytest.mark.parametrize("side", [256, 128])
def test_brisque_finds_damage(weights: Weights, portraits: U8, side: int) -> None:
    _needs(weights, "brisque_svm")
    network = Brisque(weights)
    for portrait in portraits:
        clean = _square(portrait, side)
        coded = cv2.imdecode(cv2.imencode(".jpg", clean, [cv2.IMWRITE_JPEG_QUALITY, 10])[1], 1)
        damaged = [*_blurred(clean[None], 2), *_noisy(clean[None], 20), coded.astype(np.uint8)]
        assert all(network.score(bad) > network.score(clean) + 5 for bad in damaged)


def test_brisque_of_nothing_is_no_number(weights: Weights) -> None:
    _needs(weights, "brisque_svm")
    assert np.isnan(Brisque(weights).score(np.full((64, 64, 3), 80, np.uint8)))


# --- clips ---------------------------------------------------------------------------------------


def test_i3d_sees_what_moves(weights: Weights, portraits: U8) -> None:
    _needs(weights, "i3d")
    network = VideoFeatures(weights)

    def pan(picture: U8) -> U8:
        return np.stack([picture[k : k + 160, 2 * k : 2 * k + 160] for k in range(9)])

    clip = pan(portraits[0])
    here = network.features(clip)
    assert here.shape == (400,) and np.isfinite(here).all()
    order = np.random.default_rng(0).permutation(9)
    far = {
        name: float(np.linalg.norm(network.features(other) - here))
        for name, other in (
            ("noise", _noisy(clip, 3)), ("shuffled", clip[order]), ("other", pan(portraits[1])),
        )
    }  # fmt: skip
    assert far["noise"] < far["shuffled"] and far["noise"] < far["other"], far
    with pytest.raises(ValueError, match="at least 9"):
        network.features(clip[:8])


def test_i3d_is_what_pytorch_makes_of_it(weights: Weights) -> None:
    """The values are those of the same layers written with torch.nn.functional and explicit
    padding, at a length that is odd at every stage."""
    _needs(weights, "i3d")
    t, y, x = np.indices((11, 224, 224))
    clip = np.stack([7 * t + x, 3 * y + 5 * t, x * y // 64 + 11 * t], axis=-1).astype(np.uint8)
    found = VideoFeatures(weights).features(clip)
    assert found[:4] == pytest.approx([4.36799, 1.29978, 5.53347, 0.94830], abs=1e-3)
    assert np.linalg.norm(found) == pytest.approx(68.4502, abs=1e-2)


# --- lips and sound ------------------------------------------------------------------------------


def test_cepstra_follow_the_sound() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tones = [0.1 * np.sin(2 * np.pi * f * time).astype(np.float32) for f in (300, 3000)]
    low, high = (mfcc(tone) for tone in tones)
    assert low.shape == (99, 13) and low.dtype == np.float32
    assert np.abs(low[5:-5] - high[5:-5])[:, 1:].max(axis=1).min() > 5
    louder = mfcc(2 * tones[0])
    assert np.allclose(louder[:-3, 0] - low[:-3, 0], np.log(4), atol=1e-3)
    assert np.allclose(louder[:-3, 1:], low[:-3, 1:], atol=1e-2)
    assert np.isfinite(mfcc(np.zeros(1000, np.float32))).all()
    assert mfcc(np.zeros(0, np.float32)).shape == (0, 13)


@given(st.integers(1, 3000))
@settings(max_examples=30, deadline=None)
def test_every_sample_is_in_some_window(count: int) -> None:
    rows = len(mfcc(np.ones(count, np.float32)))
    assert (rows - 1) * 160 + 400 >= count and (rows == 1 or (rows - 2) * 160 + 400 < count)


def _ear_and_eye(folder: Path, *, one_file: bool) -> None:
    """A SyncNet that compares how dark the mouth is with how loud the sound is."""
    build = GraphBuilder()

    def numbers(*values: int) -> str:
        return build.constant(np.array(values, np.int64))

    mouth = build.add("Slice", "lips", numbers(110, 90), numbers(140, 134), numbers(3, 4))
    bright = build.add("ReduceMean", mouth, numbers(1, 3, 4), keepdims=0)
    dark = build.add("Sub", build.constant(np.array(255, np.float32)), bright)
    build.add("Div", dark, build.constant(np.array(255, np.float32)), name="seen")
    if not one_file:
        model = build.model({"lips": ("n", 3, 5, 224, 224)}, {"seen": ("n", 5)})
        _save(model, folder / "syncnet_lip.onnx")
        build = GraphBuilder()
    energy = build.add("Slice", "sound", numbers(0), numbers(1), numbers(2))
    root = build.add("Exp", build.add("Mul", energy, build.constant(np.array(0.5, np.float32))))
    frames = build.add("Reshape", root, numbers(-1, 5, 4))
    level = build.add("ReduceMean", frames, numbers(2), keepdims=0)
    build.add("Div", level, build.constant(np.array(FULL, np.float32)), name="heard")
    ends: tuple[dict[str, Any], dict[str, Any]] = (
        {"sound": ("n", 1, 13, 20)}, {"heard": ("n", 5)}
    )  # fmt: skip
    if one_file:
        ends = {"lips": ("n", 3, 5, 224, 224), **ends[0]}, {"seen": ("n", 5), **ends[1]}
    _save(build.model(*ends), folder / ("syncnet.onnx" if one_file else "syncnet_audio.onnx"))


def _talk(late: int, frames: int = 60) -> tuple[U8, F32, F32]:
    """A mouth that opens as far as a tone is loud, ``late`` frames after it."""
    level = np.random.default_rng(3).random(frames + 2 * abs(late)).astype(np.float32)
    shown = level[abs(late) - late :][:frames]
    heard = np.repeat(level[abs(late) :][:frames], SAMPLES_PER_FRAME)
    time = np.arange(len(heard)) / SAMPLE_RATE
    tone = (LOUD * heard * np.sin(2 * np.pi * 1000 * time)).astype(np.float32)
    video = np.full((frames, 256, 256, 3), 200, np.uint8)
    video[:, 140:172, 108:148] = (255 * (1 - shown)).astype(np.uint8)[:, None, None, None]
    mesh = np.zeros((frames, 478, 3), np.float32)
    mesh[:, :, :2] = np.random.default_rng(0).uniform(78, 178, (478, 2))
    mesh[:, :2, :2] = (78, 78), (178, 178)
    return video, mesh, tone


@pytest.mark.parametrize("one_file", [True, False])
def test_a_shifted_sound_is_found(tmp_path: Path, one_file: bool) -> None:
    _ear_and_eye(tmp_path, one_file=one_file)
    network = ls.SyncNet(Weights(tmp_path))
    found = {late: network.measure(*_talk(late)) for late in (-7, 0, 4)}
    assert {late: sync.lag for late, sync in found.items()} == {late: late for late in found}
    video, mesh, tone = _talk(0)
    unrelated = network.measure(video[np.random.default_rng(1).permutation(60)], mesh, tone)
    for sync in found.values():
        assert sync.distance < unrelated.distance - 0.2
        assert sync.confidence > 2 * unrelated.confidence


def test_lip_sync_without_a_face_or_sound_says_so(tmp_path: Path) -> None:
    _ear_and_eye(tmp_path, one_file=True)
    network = ls.SyncNet(Weights(tmp_path))
    video, mesh, tone = _talk(3)
    gone = mesh.copy()
    gone[10:16] = np.nan
    assert network.measure(video, gone, tone).lag == 3
    gone[:] = np.nan
    with pytest.raises(InvalidInput, match="no face"):
        network.measure(video, gone, tone)
    for short in ((video[:30], mesh[:30], tone), (video, mesh, tone[: SAMPLE_RATE // 2])):
        with pytest.raises(InvalidInput, match="35 frames"):
            network.measure(*short)
    (tmp_path / "syncnet.onnx").unlink()
    with pytest.raises(Unavailable, match="syncnet.onnx, or syncnet_lip.onnx and"):
        ls.SyncNet(Weights(tmp_path))


def test_crops_show_the_mouth_and_hold_still(faces: Faces) -> None:
    frame, mesh = faces["P001", "studio_portrait"]
    shake = np.random.default_rng(0).normal(0, 3, (20, 1, 3)).astype(np.float32)
    crops, seen = ls.face_crops(np.stack([frame] * 20), mesh + shake)
    assert crops.shape == (20, 224, 224, 3) and seen.all()
    low, high = mesh[:, :2].min(axis=0), mesh[:, :2].max(axis=0)
    half = (high - low).max() / 2
    left, top = (low + high) / 2 - half * np.array([1 + ls.BESIDE, 1])
    mouth = (mesh[[13, 14], :2].mean(axis=0) - (left, top)) * 224 / (2 * half * (1 + ls.BESIDE))
    assert np.all(np.abs(mouth - 112) < 30), mouth
    moves = np.abs(np.diff(crops.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    shaken, _ = ls.face_crops(frame[None], mesh[None] + shake[:1])
    assert moves.mean() < np.abs(shaken[0].astype(np.int16) - crops[10]).mean()
