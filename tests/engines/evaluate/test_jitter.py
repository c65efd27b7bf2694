"""Jitter: even motion has little, shaking has much, and a frozen picture is seen to be frozen."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from core import F32, U8, Portrait
from engines.evaluate.metrics.eyes import interocular
from engines.evaluate.metrics.jitter import flow_jitter, point_jitter

F64 = npt.NDArray[np.float64]
FACE = (70, 64, 187, 196)
EVEN = np.stack([1.0 * np.arange(30), 0.5 * np.arange(30)], 1)


@pytest.fixture(scope="module")
def picture(portrait: Portrait) -> U8:
    return np.asarray(cv2.resize(portrait.crop, (256, 256), interpolation=cv2.INTER_AREA), np.uint8)


def moved(picture: U8, path: F64) -> U8:
    """The picture shifted along a path, pixels ``[T, 2]``."""
    size = picture.shape[:2][::-1]
    frames = [
        cv2.warpAffine(
            picture, np.array([[1, 0, x], [0, 1, y]]), size, borderMode=cv2.BORDER_REPLICATE
        )
        for x, y in path
    ]
    return np.asarray(np.stack(frames), np.uint8)


def shaken(path: F64, sigma: float) -> F64:
    return path + np.random.default_rng(0).normal(0, sigma, path.shape)


# --- flow ----------------------------------------------------------------------------------


def test_motion_is_measured_in_thousandths_of_the_side(picture: U8) -> None:
    even = flow_jitter(moved(picture, EVEN), box=FACE)
    assert even.motion == pytest.approx(np.hypot(1, 0.5) / 256 * 1000, rel=0.15)
    small = np.stack([cv2.resize(f, (128, 128), interpolation=cv2.INTER_AREA)
                      for f in moved(picture, EVEN)])  # fmt: skip
    assert flow_jitter(np.asarray(small, np.uint8), box=(35, 32, 94, 98)).motion == pytest.approx(
        even.motion, rel=0.2
    )


def test_shaking_is_worse_than_even_motion(picture: U8) -> None:
    values = [
        flow_jitter(moved(picture, shaken(EVEN, sigma)), box=FACE).jitter
        for sigma in (0, 0.2, 0.5, 1.5)
    ]
    assert values == sorted(values) and values[0] < 0.15 < 0.6 < values[-1]


def test_a_frozen_picture_has_neither_jitter_nor_motion(picture: U8) -> None:
    frozen = flow_jitter(np.repeat(picture[None], 10, axis=0))
    assert (frozen.jitter, frozen.motion) == (0, 0)


def test_a_grainy_still_shakes_less_than_a_shaken_one(picture: U8) -> None:
    """ε keeps what no one sees from looking like jitter."""
    still = np.repeat(picture[None], 20, axis=0)
    grain = np.random.default_rng(0).normal(0, 2, still.shape)
    grainy = flow_jitter(np.clip(still + grain, 0, 255).astype(np.uint8), box=FACE)
    shaking = flow_jitter(moved(picture, shaken(np.zeros((20, 2)), 0.5)), box=FACE)
    assert grainy.jitter < 0.4 * shaking.jitter


def test_it_is_the_same_every_time(picture: U8) -> None:
    frames = moved(picture, shaken(EVEN, 0.5))
    assert flow_jitter(frames) == flow_jitter(frames)


def test_only_the_box_counts(picture: U8) -> None:
    frames = np.repeat(picture[None], 10, axis=0)
    frames[:, :40] = np.random.default_rng(0).integers(0, 255, (10, 40, 256, 3))
    assert flow_jitter(frames).motion > 0
    assert flow_jitter(frames, box=(64, 80, 192, 200)).motion == 0
    assert flow_jitter(frames, box=(64, 80, 70, 84)).motion == 0  # smaller than the flow's patches


def test_too_few_frames_say_nothing(picture: U8) -> None:
    assert np.isnan(flow_jitter(np.stack([picture, picture])).jitter)
    with pytest.raises(ValueError, match="frames"):
        flow_jitter(picture)


# --- points --------------------------------------------------------------------------------


def meshes(portrait: Portrait, path: F64) -> F32:
    shift = np.concatenate([path, np.zeros((len(path), 1))], axis=1)
    return np.asarray(portrait.mesh + shift[:, None], np.float32)


def test_even_motion_has_no_acceleration(portrait: Portrait) -> None:
    assert point_jitter(meshes(portrait, EVEN)) < 1e-5
    thrown = np.stack([np.arange(20) ** 2 / 2, np.zeros(20)], 1)
    expected = 1 / interocular(portrait.mesh[None])
    assert point_jitter(meshes(portrait, thrown)) == pytest.approx(expected, rel=1e-3)


def test_more_shaking_is_more_jitter(portrait: Portrait) -> None:
    values = [point_jitter(meshes(portrait, shaken(EVEN, s))) for s in (0, 0.1, 0.5, 2)]
    assert values == sorted(values)
    # White noise of σ: the second difference has σ√6 in each of two directions.
    expected = 0.5 * np.sqrt(6) * np.sqrt(np.pi / 2) / interocular(portrait.mesh[None])
    assert values[2] == pytest.approx(expected, rel=0.2)


def test_a_lost_face_is_no_jump(portrait: Portrait) -> None:
    mesh = meshes(portrait, EVEN)
    mesh[10:12] = np.nan
    assert point_jitter(mesh) < 1e-5
    mesh[::2] = np.nan
    assert np.isnan(point_jitter(mesh)) and np.isnan(point_jitter(mesh[:2]))
