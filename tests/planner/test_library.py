"""The prototype library: what ships, how it is looked up, and that its dynamics survive."""

from __future__ import annotations

import io
import json
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core import AU_SLICE, CHANNEL, CHANNELS, F32, GAZE_SLICE, POSE_SLICE, InvalidInput
from planner import blink_shapes as bs
from planner import physiology as ph
from planner.build_library import build, main
from planner.categories import LABELS
from planner.library import (
    POSE_MOST,
    SHIPPED,
    UNIT_REST,
    UNIT_SHARE,
    WEIGHTS,
    Library,
    Prototype,
    distance,
    load_library,
    make_prototype,
    save_library,
    texture,
)
from planner.library_report import AMPLITUDE, edited, energy_shares, report
from planner.motion import F64
from planner.recordings import read_eyes, read_recordings
from planner.retrieval import SEAM_FRAMES, rescale, stitch, trim
from planner.segments import quality, segment, spans
from planner.shared import Shared
from tests.planner.takes import MEDIAPIPE, bump, eye_openness, index, write

LIDS = slice(CHANNEL["AU45_L"], CHANNEL["AU45_R"] + 1)
BROWS = [0, 1, 2, 3, 4]
HEAD = [14, 15, 16]


@pytest.fixture(scope="module")
def library() -> Library:
    return load_library()


@pytest.fixture(scope="module")
def recorded(library: Library) -> list[Prototype]:
    return [p for p in library.prototypes if p.kind == "recorded"]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# --- what ships ------------------------------------------------------------------------------


def test_it_is_small_and_loads_fast() -> None:
    assert SHIPPED.stat().st_size < 1 << 20
    load_library.cache_clear()
    start = time.perf_counter()
    load_library()
    assert time.perf_counter() - start < 0.25
    assert load_library() is load_library()


def test_every_category_is_there(library: Library) -> None:
    count = Counter(p.category for p in library.prototypes)
    assert all(count[label] >= 3 for label in LABELS)
    assert len({p.name for p in library.prototypes}) == len(library.prototypes)


def test_everything_says_where_it_comes_from(library: Library) -> None:
    allowed = {"MIT", "Apache-2.0", "MIT; Pexels licence"}
    for p in library.prototypes:
        assert p.licence in allowed, p.name
        assert len(p.source) > 20, p.name
        assert 0 < p.quality <= 1
        if p.kind == "synthetic":
            assert p.donor == "" or any(p.donor == other.name for other in library.prototypes)
            assert p.donor.partition("@")[0] in p.source
            assert any(year in p.source for year in map(str, range(1960, 2027))), p.name
        else:
            assert p.name.partition("@")[0] in p.source
    assert library.blinks.licence == "MIT" and "IER" in library.blinks.source


def test_nothing_with_limits_is_in_it(library: Library) -> None:
    sources = " ".join(p.source for p in library.prototypes)
    for name in ("NeuroSync", "dreamtalk", "styletalk", "V-Express", "sronelpol", "HelloMeme"):
        assert name not in sources


def test_controls_are_within_bounds_and_nobody_can_change_them(library: Library) -> None:
    for p in library.prototypes:
        v = p.controls
        assert v.dtype == np.float32 and v.shape[1] == len(CHANNELS) and 25 <= len(v) <= 7 * 25
        assert np.isfinite(v).all()
        assert 0 <= v[:, : POSE_SLICE.start].min() and v[:, : POSE_SLICE.start].max() <= 1
        assert (np.abs(v[:, POSE_SLICE]).max(axis=0) <= ph.POSE_LIMITS).all()
        assert np.abs(p.mean - v.mean(axis=0)).max() < 1e-3
        with pytest.raises(ValueError, match="read-only"):
            v[0, 0] = 1
    assert isinstance(library, Shared)  # copies of a performer share it


def test_the_drowsy_ones_are_drowsy(library: Library) -> None:
    """PERCLOS: lids over 80 % shut for more than half a second at a time."""
    longest = 0
    for p in library.prototypes:
        if p.category == "drowsiness":
            shut = p.controls[:, LIDS].min(axis=1) > 0.8
            edges = np.flatnonzero(np.diff(np.r_[0, shut.astype(int), 0]))
            longest = max(longest, int((edges[1::2] - edges[::2]).max(initial=0)))
            assert p.mean[CHANNEL["AU45_L"]] > 0.35
    assert longest > 12


# --- blinks ----------------------------------------------------------------------------------


def test_blinks_close_faster_than_they_open(library: Library) -> None:
    shapes = library.blinks
    assert len(shapes) >= 100
    assert (shapes.curves[:, :, shapes.top] == 1).all()
    for both in shapes.curves:
        for lid in both:
            seconds = bs.timing(lid, shapes.rate)
            assert seconds is not None
            closing, held, opening = seconds
            assert 0.03 <= closing <= 0.13 and opening > closing
            assert closing + held + opening <= bs.LONGEST + 0.02
            assert (np.diff(lid[: shapes.top + 1]) >= 0).all()
            assert (np.diff(lid[shapes.top :]) <= 0).all()
            assert lid[0] < 0.01 and lid[-1] < 0.01
    assert np.abs(shapes.curves[:, 0] - shapes.curves[:, 1]).max() <= bs.UNLIKE + 0.01
    assert shapes.depth.min() >= bs.SHALLOWEST and shapes.depth.max() <= 1
    assert len(set(shapes.person.tolist())) > 8


def test_a_clean_blink_is_found_as_it_went(tmp_path: Path) -> None:
    eye_openness(tmp_path, "lab/p1.csv.gz", blinks=6)
    eyes = read_eyes(tmp_path)
    shapes = bs.blink_shapes(eyes)
    assert len(shapes) == 6
    times = [seconds for c in shapes.curves[:, 0] if (seconds := bs.timing(c, bs.RATE))]
    closing, _, opening = np.median(np.array(times), axis=0)
    assert closing == pytest.approx(0.85 * 0.09, abs=0.015)
    assert opening == pytest.approx(0.85 * 0.22, abs=0.025)
    assert shapes.depth == pytest.approx(0.93, abs=0.04)
    assert shapes.asymmetry == pytest.approx(0.95 / 0.9, abs=0.03)


@pytest.mark.parametrize(
    "closed",
    [
        bump(90, 100.0, 0.4, down=0.3, up=0.32),  # a squint
        bump(90, 100.0, 0.4, down=0.05, up=0.03),  # a slip of the tracker
        np.clip(bump(90, 100.0, 0.3) + bump(90, 100.0, 0.45), 0, 1),  # two in one
        0.1 * bump(90, 100.0, 0.4),  # hardly any
        np.ones(90),
        np.zeros(90),
    ],
)
def test_what_is_no_clean_blink_is_left_out(closed: F64) -> None:
    assert bs.clean_curve(np.stack([closed, closed], axis=1)) is None


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, st.tuples(st.integers(3, 90), st.just(2)), elements=st.floats(0, 1)))
def test_any_episode_is_a_curve_or_nothing(closure: F64) -> None:
    curve = bs.clean_curve(closure)
    if curve is not None:
        assert curve.shape == (2, bs.SAMPLES) and np.isfinite(curve).all()
        assert curve[:, bs.TOP] == pytest.approx(1)


# --- looking up ------------------------------------------------------------------------------


def some_query(seed: int) -> F32:
    q = rng(seed).random(17).astype(np.float32)
    q[POSE_SLICE] = (q[POSE_SLICE] - 0.5) * 40
    return q


@pytest.mark.parametrize("seed", range(5))
def test_nearest_is_equation_3(library: Library, seed: int) -> None:
    q = some_query(seed)
    found = library.nearest(q, count=5)
    reach = np.r_[np.ones(14), np.array(ph.POSE_LIMITS)]
    by_hand = sorted(
        float((WEIGHTS * np.abs(q - p.mean) / reach).sum()) for p in library.prototypes
    )
    assert [d for _, d in found] == pytest.approx(by_hand[:5], abs=1e-4)
    assert all(distance(q, p.mean) == pytest.approx(d, abs=1e-4) for p, d in found)


def test_action_units_weigh_more_than_gaze_and_pose() -> None:
    assert WEIGHTS[AU_SLICE].min() > WEIGHTS[GAZE_SLICE].max()
    assert WEIGHTS[AU_SLICE].min() > WEIGHTS[POSE_SLICE].max()


def test_a_category_keeps_to_itself_and_falls_back(library: Library) -> None:
    q = some_query(1)
    for label in LABELS:
        assert {p.category for p, _ in library.nearest(q, category=label, count=3)} == {label}
    fallen = library.nearest(q, category="no such thing", count=4)
    assert [p.name for p, _ in fallen] == [p.name for p, _ in library.nearest(q, count=4)]
    assert len(library.nearest(q, count=10_000)) == len(library.prototypes)


def test_a_prototype_is_nearest_to_itself(library: Library) -> None:
    for p in library.prototypes:
        assert library.nearest(p.mean)[0][1] == pytest.approx(0, abs=1e-3)


# --- trim, rescale, stitch -------------------------------------------------------------------


def test_trim_cuts_a_span_and_changes_nothing_in_it(recorded: list[Prototype]) -> None:
    for p in recorded:
        frames = len(p.controls) // 2
        piece = trim(p.controls, frames, rng(1))
        starts = range(len(p.controls) - frames + 1)
        assert any((p.controls[s : s + frames] == piece).all() for s in starts)


def test_trim_takes_the_span_whose_ends_meet() -> None:
    values = np.zeros((200, 17), np.float32)
    values[:, 0] = np.linspace(0, 1, 200) ** 3  # flat first, steep later
    piece = trim(values, 50, rng())
    assert piece[-1, 0] - piece[0, 0] < 0.1


@pytest.mark.parametrize("times", [1.2, 2.0, 3.7])
def test_played_on_it_neither_jumps_nor_stops(recorded: list[Prototype], times: float) -> None:
    for p in recorded:
        frames = int(times * len(p.controls))
        longer = trim(p.controls, frames, rng(3))
        assert len(longer) == frames
        own = np.abs(np.diff(p.controls, axis=0))
        for group in (BROWS, HEAD):
            steps = np.abs(np.diff(longer[:, group], axis=0))
            assert steps.max() <= 1.5 * own[:, group].max() + 1e-3
            if own[:, group].mean() > 1e-4:
                assert 0.4 < steps.mean() / own[:, group].mean() < 2.0


@settings(max_examples=80, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        st.tuples(st.integers(2, 40), st.just(17)),
        elements=st.floats(-30, 30, width=32),
    ),
    st.integers(1, 200),
    st.integers(0, 99),
)
def test_trim_gives_any_length_of_anything(values: F32, frames: int, seed: int) -> None:
    out = trim(values, frames, rng(seed))
    assert out.shape == (frames, 17) and out.dtype == np.float32
    assert np.isfinite(out).all()


def test_rescaling_is_one_gain_and_one_offset(recorded: list[Prototype]) -> None:
    low, high = np.full(17, 0.2, np.float32), np.full(17, 0.5, np.float32)
    for p in recorded:
        out = rescale(p.controls, low, high)
        before, after = np.diff(p.controls, axis=0), np.diff(out, axis=0)
        for j in range(17):
            spread = np.ptp(np.percentile(p.controls[:, j], (5, 95)))
            if spread > 0.02:
                gain = min(0.3 / spread, 2.5)
                assert after[:, j] == pytest.approx(gain * before[:, j], abs=2e-4 * max(gain, 1))
            middle = np.percentile(out[:, j], (5, 95)).mean()
            assert middle == pytest.approx(0.35, abs=1e-3)


def test_noise_is_not_magnified() -> None:
    still = 0.001 * rng().standard_normal((100, 17)).astype(np.float32)
    out = rescale(still, np.zeros(17, np.float32), np.ones(17, np.float32))
    assert np.ptp(out, axis=0).max() < 0.02


def curve(seed: int, frames: int = 60) -> F32:
    steps = rng(seed).standard_normal((frames + 8, 17)).astype(np.float32)
    smooth = np.stack([np.convolve(s, np.hanning(9) / 4, mode="valid") for s in steps.T], axis=1)
    way: F32 = np.cumsum(smooth, axis=0).astype(np.float32) * np.float32(0.1)
    return way


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_a_seam_is_continuous_in_position_and_velocity(seed: int, count: int) -> None:
    pieces = [curve(seed + i) + rng(seed + i).normal(0, 2) for i in range(count)]
    out = stitch(pieces)
    assert len(out) == 60 * count
    within = max(float(np.abs(np.diff(p, 2, axis=0)).max()) for p in pieces)
    gap = max(float(np.abs(p[0] - q[-1]).max()) for p, q in zip(pieces[1:], pieces, strict=False))
    speed = max(float(np.abs(np.diff(p, axis=0)).max()) for p in pieces)
    for k in range(1, count):
        at = 60 * k
        before, across, after = (out[at + i] - out[at + i - 1] for i in (-1, 0, 1))
        assert np.abs(across - before).max() <= 1e-4  # goes on as fast as it came
        # What is left is the curvature of an offset dying out over the seam: 10 gap / seam^2.
        bend = within + 10 * gap / SEAM_FRAMES**2 + 8 * speed / SEAM_FRAMES
        assert np.abs(after - across).max() <= bend


def test_behind_a_seam_nothing_is_touched() -> None:
    pieces = [curve(1), curve(2) + 3]
    out = stitch(pieces)
    assert (out[:60] == pieces[0]).all()
    assert np.abs(out[60 + SEAM_FRAMES :] - pieces[1][SEAM_FRAMES:]).max() < 1e-5


@pytest.mark.parametrize("group", [BROWS, list(range(14)[LIDS]), HEAD])
def test_velocity_spectra_survive_composition(recorded: list[Prototype], group: list[int]) -> None:
    moving = [p for p in recorded if np.ptp(p.controls[:, group], axis=0).any()]
    before = [(p.controls[:, group].astype(np.float64), 25.0) for p in moving]
    after = [(composed(moving, seed)[:, group], 25.0) for seed in range(4)]
    assert np.abs(energy_shares(before) - energy_shares(after)).max() < 0.12
    fast = [
        float(np.percentile(np.concatenate([np.abs(np.diff(v, axis=0)) for v, _ in part]), 95))
        for part in (before, after)
    ]
    assert 0.75 < fast[1] / fast[0] < 1.33


def composed(prototypes: list[Prototype], seed: int) -> F64:
    """Trimmed, rescaled and stitched, at the amplitude of the prototypes."""
    return stitch(edited(prototypes, seed)).astype(np.float64) / AMPLITUDE


def test_blinks_survive_composition(recorded: list[Prototype]) -> None:
    """The steepest closing and the deepest closure are those of the recordings."""
    moving = [p for p in recorded if p.controls[:, LIDS].max() > 0.8]
    steepest = max(float(np.diff(p.controls[:, LIDS], axis=0).max()) for p in moving)
    out = np.concatenate([composed(moving, seed)[:, LIDS] for seed in range(4)])
    assert np.diff(out, axis=0).max() > 0.85 * steepest


# --- texture ---------------------------------------------------------------------------------

TARGETS: F32 = np.array([0.4, 0.4, 0.1, 0.1, 0.3, 0, 0.2, 0.2] + [0] * 9, np.float32)


@pytest.mark.parametrize("frames", [15, 40, 100, 150, 400])
def test_texture_keeps_its_promises(library: Library, frames: int) -> None:
    for k, p in enumerate(library.prototypes):
        got = texture(p, frames, TARGETS, rng(k))
        assert got.shape == (frames, 17) and got.dtype == np.float32
        assert not got[:, 8 : POSE_SLICE.start].any()
        assert np.abs(got.mean(axis=0)).max() < 1e-3
        assert np.abs(got[[0, -1]]).max() < 1e-3
        assert (np.abs(got[:, :8]) <= 1.3 * (UNIT_SHARE * TARGETS[:8] + UNIT_REST) + 1e-4).all()
        assert (np.abs(got[:, POSE_SLICE]) <= 1.3 * np.array(POSE_MOST)).all()


def test_texture_is_alive_and_differs(library: Library, recorded: list[Prototype]) -> None:
    for label in LABELS:
        p, _ = library.nearest(TARGETS, category=label)[0]
        got = texture(p, 100, TARGETS, rng(1))
        assert np.abs(np.diff(got[:, BROWS], axis=0)).max() > 0.004, p.name
    longest = max(recorded, key=lambda p: len(p.controls))
    one, other = (texture(longest, 50, TARGETS, rng(seed)) for seed in (1, 2))
    assert (one != other).any()
    assert (texture(longest, 50, TARGETS, rng(1)) == one).all()


def test_texture_moves_like_the_recording(recorded: list[Prototype]) -> None:
    """Shares of velocity energy above 1 Hz are those of the recording."""
    differences = []
    for k, p in enumerate(recorded):
        if len(p.controls) >= 75 and np.ptp(p.controls[:, 14]) > 1:
            motion = (p.controls, texture(p, len(p.controls), TARGETS, rng(k)))
            pair = [energy_shares([(v[:, [14]].astype(np.float64), 25.0)])[1:] for v in motion]
            differences.append(np.abs(pair[0] / pair[0].sum() - pair[1] / pair[1].sum()).max())
    assert len(differences) > 8
    assert np.median(differences) < 0.1


def test_what_the_stage_does_not_ask_for_hardly_stirs(recorded: list[Prototype]) -> None:
    for p in recorded:
        quiet = texture(p, 100, np.zeros(17, np.float32), rng())
        assert np.abs(quiet[:, :8]).max() <= 1.3 * UNIT_REST + 1e-4


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.integers(0, 300),
    hnp.arrays(np.float32, 17, elements=st.floats(-50, 50, width=32)),
)
def test_texture_bears_any_target(seed: int, frames: int, targets: F32) -> None:
    prototypes = load_library().prototypes
    got = texture(prototypes[seed % len(prototypes)], frames, targets, rng(seed))
    assert got.shape == (frames, 17) and np.isfinite(got).all()
    assert np.abs(got[:, :8]).max(initial=0) <= 1.3 * (UNIT_SHARE + UNIT_REST) + 1e-4


def test_texture_is_quick(library: Library) -> None:
    took = []
    for k, p in enumerate(library.prototypes):
        texture(p, 150, TARGETS, rng(k))
        start = time.perf_counter()
        texture(p, 150, TARGETS, rng(k))
        took.append(time.perf_counter() - start)
    assert float(np.median(took)) < 0.004  # about 0.4 ms on a free core


# --- segments --------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(10, 900))
def test_spans_touch_and_have_sensible_lengths(seed: int, frames: int) -> None:
    found = spans(curve(seed, frames).astype(np.float64))
    if frames < 25:
        assert found == []
        return
    assert found[0][0] == 0 and found[-1][1] == frames
    assert all(a[1] == b[0] for a, b in zip(found, found[1:], strict=False))
    assert all(min(50, frames) <= b - a <= 151 or len(found) == 1 for a, b in found[:-1])
    assert 25 <= found[-1][1] - found[-1][0] <= 151


def test_quality_tells_faces_from_noise_and_from_pictures() -> None:
    face = np.abs(curve(3, 100).astype(np.float64)) * 0.05
    noise = np.clip(0.3 + 0.1 * rng().standard_normal((100, 17)), 0, 1)
    assert quality(face) > 0.6 > 0.5 > quality(noise)
    assert quality(np.zeros((100, 17))) == 0


# --- building --------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three takes of three people on three terms, and an eye tracker's."""
    n, rows = 240, []
    t = np.arange(n) / 30
    uses = [("ann", "training ok"), ("bob", "limited"), ("eve", "evaluation only")]
    for k, (person, use) in enumerate(uses):
        wave = 0.3 + 0.25 * np.sin(2 * np.pi * (0.4 + 0.1 * k) * t)
        columns = {
            "browInnerUp": wave, "browDownLeft": wave[::-1], "eyeSquintLeft": wave,
            "eyeBlinkLeft": 0.6 * bump(n, 30.0, 3.0), "eyeBlinkRight": 0.6 * bump(n, 30.0, 3.0),
            "head_yaw_deg": 6 * np.sin(2 * np.pi * 0.5 * t), "head_pitch_deg": 3 * wave,
        }  # fmt: skip
        write(tmp_path, f"mine/{person}.csv", MEDIAPIPE, columns, frames=n)
        rows.append(
            {
                "file": f"mine/{person}.csv",
                "person": person,
                "category": "surprise",
                "source": "my camera",
                "licence": "CC0",
                "use": use,
            }  # fmt: skip
        )
    eye_openness(tmp_path, "mine/eyes.csv.gz")
    rows.append({"file": "mine/eyes.csv.gz", "person": "ann", "licence": "CC0", "use": "training"})
    index(tmp_path, rows)
    return tmp_path


def names(library: Library) -> set[str]:
    return {p.name.partition("@")[0] for p in library.prototypes if p.kind == "recorded"}


def test_terms_and_persons_decide_what_is_taken(data: Path) -> None:
    recordings, eyes = read_recordings(data), read_eyes(data)
    assert names(build(recordings, eyes)) == {"mine/ann"}
    everything = build(recordings, eyes, uses=("training", "limited"), without=())
    assert names(everything) == {"mine/ann", "mine/bob"}
    with pytest.raises(InvalidInput, match="eye openness"):
        build(recordings, eyes, without=("ann",))


def test_what_no_recording_shows_is_synthetic_and_says_so(data: Path) -> None:
    library = build(read_recordings(data), read_eyes(data))
    kinds = {p.category: p.kind for p in library.prototypes}
    assert kinds["drowsiness"] == kinds["sadness"] == "synthetic"
    lent = [p for p in library.prototypes if p.donor]
    assert lent and all(p.donor.startswith("mine/ann@") for p in lent)


def test_the_command_builds_the_same_bytes_twice(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "one.npz", tmp_path / "sub" / "two.npz"]
    for file in files:
        assert main(["build", "--data", str(data), "--out", str(file)]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert "prototypes" in capsys.readouterr().out
    built, loaded = build(read_recordings(data), read_eyes(data)), load_library(files[0])
    assert [p.name for p in built.prototypes] == [p.name for p in loaded.prototypes]
    for p, q in zip(built.prototypes, loaded.prototypes, strict=True):
        assert np.abs(p.controls - q.controls).max() < 0.02  # float16: degrees to a hundredth
        assert (p.source, p.licence, p.kind, p.donor) == (q.source, q.licence, q.kind, q.donor)
    assert np.abs(built.blinks.curves - loaded.blinks.curves).max() <= 0.5 / 255 + 1e-6


def test_limited_material_comes_with_a_warning(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "own.npz")
    assert main(["build", "--data", str(data), "--out", out, "--include-limited"]) == 0
    assert "keep it to yourself" in capsys.readouterr().out
    assert names(load_library(Path(out))) == {"mine/ann", "mine/bob"}


def test_the_report_has_every_line(data: Path) -> None:
    library, out = build(read_recordings(data), read_eyes(data)), io.StringIO()
    report(library, data, out)
    text = out.getvalue()
    for line in ("brows", "lids", "head", "trimmed, rescaled, stitched", "as recorded", "played"):
        assert line in text


def test_no_data_is_a_clear_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--data", str(tmp_path), "--out", str(tmp_path / "x.npz")]) == 1
    assert "no folder" in capsys.readouterr().err
    assert not (tmp_path / "x.npz").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"hello", None])
def test_a_file_that_is_no_library_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "library.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match="no prototype library"):
        load_library(path)


@pytest.mark.parametrize("facts", [b"{}", b'{"format": 99}', b"[1]", b"\xff"])
def test_a_library_of_another_layout_is_refused(tmp_path: Path, facts: bytes) -> None:
    path = tmp_path / "library.npz"
    np.savez(path, facts=np.frombuffer(facts, np.uint8))
    with pytest.raises(InvalidInput, match="no prototype library"):
        load_library(path)


def test_facts_in_the_file_are_plain_json() -> None:
    with np.load(SHIPPED, allow_pickle=False) as file:
        facts = json.loads(file["facts"].tobytes())
    assert {"name", "category", "source", "licence", "kind"} <= set(facts["prototypes"][0])


def test_an_unwritable_place_is_said(library: Library, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="can not be written"):
        save_library(library, tmp_path / "no" / "such" / "folder.npz")


def test_a_recording_gives_named_prototypes(data: Path) -> None:
    recording = next(r for r in read_recordings(data) if r.person == "ann")
    found = segment(recording)
    assert found and all(p.name.startswith("mine/ann@") for p in found)
    assert all(p.source == "my camera: mine/ann" and p.licence == "CC0" for p in found)


def test_a_prototype_of_one_frame_has_no_texture() -> None:
    frame = make_prototype("a", "", np.zeros((1, 17), np.float32), "s", "l", "recorded", 1.0)
    assert not texture(frame, 100, TARGETS, rng()).any()
