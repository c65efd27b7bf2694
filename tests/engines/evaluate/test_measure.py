"""Scales and whole rows of numbers: the truth beats all, each flaw shows where it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest

from core import CHANNEL, CHANNELS, F32, MOUTH_CHANNELS, U8, InvalidInput, Portrait
from engines.evaluate.measure import Seen, measure
from engines.evaluate.metrics.catalogue import METRICS
from engines.evaluate.scales import FLOOR, THRESHOLDS, measurable, normalise, scales_of
from engines.evaluate.track import FaceTrack, Neutral, as_controls
from engines.puppet import Puppet
from engines.rig import Rig, build_rig
from face import gaze_angles

FRAMES = 50
REST = Neutral(np.zeros(10, np.float32), np.zeros(2, np.float32), np.zeros(3, np.float32))
FULL = dict.fromkeys(("AU1", "AU2", "AU4", "AU5", "AU6", "AU7", "AU45"), 1.0)
SHUT = (0.3, 0.9, 1.0, 0.8, 0.4, 0.1)


@pytest.fixture(scope="module")
def rig(portrait: Portrait) -> Rig:
    return build_rig(portrait, 256)


def fright() -> F32:
    """Two seconds of controls: brows rise, eyes widen and blink once, gaze and head wander."""
    t = np.arange(FRAMES) / 25
    c = np.zeros((FRAMES, len(CHANNELS)), np.float32)
    rise = np.clip(np.sin(2.5 * t), 0, 1)
    for name, most in (("AU1_L", 0.9), ("AU1_R", 0.9), ("AU2_L", 0.7), ("AU2_R", 0.7),
                       ("AU4", 0.6), ("AU5", 0.8)):  # fmt: skip
        c[:, CHANNEL[name]] = most * rise
    c[:, CHANNEL["gaze_left"]] = np.clip(0.5 * np.sin(3 * t), 0, 1)
    c[:, CHANNEL["gaze_right"]] = np.clip(-0.5 * np.sin(3 * t), 0, 1)
    c[:, CHANNEL["yaw"]] = 8 * np.sin(2 * t)
    c[:, CHANNEL["pitch"]] = 4 * np.sin(1.5 * t)
    for name in ("AU45_L", "AU45_R"):
        c[30:36, CHANNEL[name]] = SHUT
    return c


def see(rig: Rig, controls: F32, frames: U8 | None = None, like: F32 | None = None) -> Seen:
    """A puppet under controls and a tracker that makes no mistakes."""
    if frames is None:
        puppet = Puppet(rig)
        rest = np.zeros(len(MOUTH_CHANNELS), np.float32)
        frames = np.stack([puppet.render(row, rest) for row in controls])
    c = controls if like is None else like
    track = FaceTrack(
        "exact", np.ones(len(c), bool), rig.face.pose(rig.face.deform(c), c),
        c[:, :10].copy(), np.degrees(gaze_angles(c)).astype(np.float32), c[:, 14:].copy(),
    )  # fmt: skip
    return Seen(frames, track, as_controls(track, REST))


@pytest.fixture(scope="module")
def truth(rig: Rig) -> Seen:
    return see(rig, fright())


def numbers(made: Seen, truth: Seen, category: str = "fear") -> dict[str, float]:
    return measure(made, truth, category=category, scales=FULL)


BEST = {
    "eye_lmd": 0.0, "eye_lmd_aligned": 0.0, "au_f1": 1.0, "au_temp": 1.0, "gaze_error": 0.0,
    "blink_f1": 1.0, "blink_precision": 1.0, "blink_recall": 1.0, "blink_timing": 0.0,
    "pose_error": 0.0, "ssim": 1.0,
}  # fmt: skip


# --- rows ----------------------------------------------------------------------------------


def test_the_truth_is_as_good_as_can_be(truth: Seen) -> None:
    found = numbers(truth, truth)
    assert {k: found[k] for k in BEST} == pytest.approx(BEST, abs=1e-5)
    assert found["psnr"] > 58 and found["psnr_eyes"] > 58
    assert set(found) <= set(METRICS) and np.isfinite(list(found.values())).all()


def frozen(rig: Rig, truth: Seen) -> Seen:
    return see(rig, np.zeros_like(truth.controls))


def late(rig: Rig, truth: Seen) -> Seen:
    return see(rig, np.concatenate((truth.controls[:1].repeat(3, 0), truth.controls[:-3])))


def wrong(rig: Rig, truth: Seen) -> Seen:
    """Frown and squint where brows should rise; the rest is right."""
    c = truth.controls.copy()
    c[:, CHANNEL["AU7"]], c[:, CHANNEL["AU6"]] = c[:, CHANNEL["AU5"]], c[:, CHANNEL["AU1_L"]]
    c[:, [CHANNEL[n] for n in ("AU1_L", "AU1_R", "AU2_L", "AU2_R", "AU5")]] = 0
    return see(rig, c)


def averted(rig: Rig, truth: Seen) -> Seen:
    c = truth.controls.copy()
    left, right = CHANNEL["gaze_left"], CHANNEL["gaze_right"]
    c[:, [left, right]] = c[:, [right, left]]
    return see(rig, c)


def shaking(rig: Rig, truth: Seen) -> Seen:
    c = truth.controls.copy()
    c[1:, 14:] += np.random.default_rng(0).normal(0, 0.5, (FRAMES - 1, 3)).astype(np.float32)
    return see(rig, c)


def grainy(rig: Rig, truth: Seen) -> Seen:
    grain = np.random.default_rng(0).normal(0, 8, truth.frames.shape)
    frames = np.clip(truth.frames + grain, 0, 255).astype(np.uint8)
    return see(rig, truth.controls, frames)


def blurred(rig: Rig, truth: Seen) -> Seen:
    frames = [cv2.GaussianBlur(f, (0, 0), 1.5) for f in truth.frames]
    return see(rig, truth.controls, np.asarray(np.stack(frames), np.uint8))


@pytest.mark.parametrize(
    ("flaw", "worse", "kept"),
    [
        (frozen, "eye_lmd eye_lmd_aligned au_f1 au_temp gaze_error pose_error blink_f1 blink_recall"
                 " ssim psnr psnr_eyes", ""),
        (late, "eye_lmd eye_lmd_aligned gaze_error pose_error blink_timing ssim psnr", "au_f1"),
        (wrong, "eye_lmd eye_lmd_aligned au_f1 au_temp psnr_eyes", "blink_f1 pose_error"),
        (averted, "eye_lmd_aligned gaze_error psnr_eyes", "au_f1 au_temp pose_error blink_f1"),
        (shaking, "flow_jitter point_jitter pose_error eye_lmd ssim", "au_f1 eye_lmd_aligned"),
        (grainy, "ssim psnr psnr_eyes flow_jitter", "eye_lmd au_f1"),
        (blurred, "ssim psnr psnr_eyes", "eye_lmd au_f1"),
    ],
)  # fmt: skip
def test_every_flaw_shows_where_it_is(
    rig: Rig, truth: Seen, flaw: Callable[[Rig, Seen], Seen], worse: str, kept: str
) -> None:
    best, found = numbers(truth, truth), numbers(flaw(rig, truth), truth)
    for key in worse.split():
        sign = 1 if METRICS[key].better == "higher" else -1
        assert sign * (best[key] - found[key]) > 2e-4, (key, best[key], found[key])
    for key in kept.split():
        assert found[key] == pytest.approx(best[key], abs=1e-4), key


def test_late_is_late_by_just_that(rig: Rig, truth: Seen) -> None:
    assert numbers(late(rig, truth), truth)["blink_timing"] == pytest.approx(120)


def test_a_frozen_picture_wins_jitter_alone(rig: Rig, truth: Seen) -> None:
    """Why jitter may not be read without the rest of its row."""
    found = numbers(frozen(rig, truth), truth)
    assert found["flow_jitter"] == found["point_jitter"] == 0
    assert found["blink_recall"] == 0 and "blink_precision" not in found


# --- what can not be measured --------------------------------------------------------------


def test_what_nobody_measured_is_missing(truth: Seen) -> None:
    found = measure(truth, truth, category="nothing we know", scales={"AU4": 0.5})
    assert "au_temp" not in found and found["au_f1"] == 1
    assert not any(key.startswith("blink") for key in found)
    bare = measure(truth, truth, category="fear", scales={})
    assert "au_f1" not in bare and bare["gaze_error"] == 0
    # Fear has no gaze among its targets: without AUs nothing of it is left.
    assert "au_temp" not in bare
    assert measure(truth, truth, category="cognitive_effort", scales={})["au_temp"] == 1


def lose(seen: Seen, frames: slice) -> Seen:
    track = seen.track
    parts = {n: getattr(track, n).copy() for n in ("mesh", "aus", "gaze", "pose", "seen")}
    for name, values in parts.items():
        values[frames] = False if name == "seen" else np.nan
    controls = seen.controls.copy()
    controls[frames] = np.nan
    return Seen(seen.frames, replace(track, **parts), controls)


def test_a_face_that_is_lost_for_a_while_changes_little(rig: Rig, truth: Seen) -> None:
    found = numbers(lose(truth, slice(5, 12)), truth)
    assert found["eye_lmd"] == 0 and found["au_f1"] == 1 and found["blink_f1"] == 1
    gone = numbers(lose(truth, slice(1, 40)), truth)
    assert "eye_lmd" not in gone and "au_f1" not in gone and gone["psnr"] > 58
    nobody = lose(truth, slice(None))
    left = {"face_seen", "ssim", "psnr", "flow_jitter", "flow_motion"}
    assert set(numbers(nobody, nobody)) == left


def cut(seen: Seen, count: int) -> Seen:
    t = seen.track
    track = FaceTrack(
        t.extractor, t.seen[:count], t.mesh[:count], t.aus[:count], t.gaze[:count], t.pose[:count]
    )
    return Seen(seen.frames[:count], track, seen.controls[:count])


def test_a_few_frames_less_are_borne_with(truth: Seen) -> None:
    for made, real in ((cut(truth, 46), truth), (truth, cut(truth, 40))):
        assert numbers(made, real)["eye_lmd"] == 0
    with pytest.raises(InvalidInput, match="39 frames were made of 50"):
        numbers(cut(truth, 39), truth)
    with pytest.raises(InvalidInput, match="frames were made"):
        numbers(cut(truth, 1), cut(truth, 1))


def test_frame_0_does_not_count(truth: Seen) -> None:
    frames = truth.frames.copy()
    frames[0] = 0
    found = numbers(replace(truth, frames=frames), truth)
    assert found["ssim"] == pytest.approx(1) and found["psnr"] > 58


def test_other_sizes_are_refused(truth: Seen) -> None:
    small = np.ascontiguousarray(truth.frames[:, ::2, ::2])
    with pytest.raises(InvalidInput, match="128 × 128"):
        numbers(replace(truth, frames=small), truth)
    with pytest.raises(ValueError, match="length"):
        Seen(truth.frames[:-1], truth.track, truth.controls)


def test_it_is_fast(truth: Seen) -> None:
    """The budget of a frame of 256 pixels is 12 ms; other tests may be running beside."""
    best = min(_seconds(lambda: numbers(truth, truth)) for _ in range(3))
    assert best / FRAMES < 0.012


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


# --- scales --------------------------------------------------------------------------------


def tracked(frames: int = 400, **units: float) -> F32:
    """Controls on a tracker's scale: units that ramp up to a value."""
    out = np.zeros((frames, len(CHANNELS)), np.float32)
    for name, most in units.items():
        out[:, CHANNEL[name]] = np.linspace(0, most, frames)
    return out


def test_full_is_what_people_reach() -> None:
    scales = scales_of([tracked(AU4=0.2), tracked(AU4=0.4)])
    pooled = np.concatenate([np.linspace(0, 0.2, 400), np.linspace(0, 0.4, 400)])
    assert scales == {"AU4": pytest.approx(np.percentile(pooled, 95), abs=1e-3)}
    assert list(scales_of([tracked(AU1_L=0.4, AU1_R=0.4, AU45_L=0.7)])) == ["AU1", "AU45"]


def test_both_sides_share_one_scale() -> None:
    """A crooked brow stays crooked."""
    rows = tracked(AU1_L=0.5, AU1_R=0.25)
    shares = normalise(rows, scales_of([rows]))
    at = 200
    assert shares[at, CHANNEL["AU1_L"]] == pytest.approx(2 * shares[at, CHANNEL["AU1_R"]], rel=1e-3)


def test_rare_blinks_are_still_full() -> None:
    rows = tracked(1000)
    for at in range(0, 1000, 100):
        rows[at : at + 6, [CHANNEL["AU45_L"], CHANNEL["AU45_R"]]] = 0.6 * np.array([SHUT]).T
    assert scales_of([rows])["AU45"] > 0.5


def test_noise_is_not_blown_up() -> None:
    rows = tracked(AU4=0.3)
    rows[:, CHANNEL["AU5"]] = np.random.default_rng(0).uniform(0, 0.6 * FLOOR, len(rows))
    scales = scales_of([rows])
    assert scales["AU5"] == FLOOR
    assert normalise(rows, scales)[:, CHANNEL["AU5"]].max() > THRESHOLDS[CHANNEL["AU5"]]
    rows[:, CHANNEL["AU5"]] *= 0.6
    assert normalise(rows, scales)[:, CHANNEL["AU5"]].max() < THRESHOLDS[CHANNEL["AU5"]]


def test_units_without_a_scale_are_not_numbers() -> None:
    rows = tracked(AU4=0.3, AU6=0.001, gaze_up=0.7)
    rows[:, CHANNEL["yaw"]] = 30
    rows[7] = np.nan
    scales = scales_of([rows])
    shares = normalise(rows, scales)
    assert measurable(scales) == [CHANNEL["AU4"]]
    assert np.isnan(shares[:, CHANNEL["AU6"]]).all()
    assert np.isnan(shares[7]).all()
    known = np.delete(shares, 7, axis=0)
    assert known[:, CHANNEL["AU4"]].max() == 1
    assert (known[:, CHANNEL["yaw"]] == 30).all()
    assert known[:, CHANNEL["gaze_up"]].max() == pytest.approx(0.7)
    assert scales_of([]) == {} and measurable({}) == []
