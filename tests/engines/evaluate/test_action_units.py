"""AU-F1 and AU-Temp against hand-made cases and what must hold for any trajectories."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from core import CHANNEL, CHANNELS, F32, ControlTrack
from engines.evaluate.metrics.action_units import (
    AUS,
    BAND,
    TARGETS,
    THRESHOLDS,
    UNIT,
    UNITS,
    activations,
    au_f1,
    au_temp,
    dtw,
    intensities,
    shape,
    targets,
)
from planner.categories import LABELS

TAU = np.full(4, 0.2, np.float32)
LEVEL = st.floats(0, 1, width=32)


def tracks(frames: st.SearchStrategy[int], units: int = 4) -> st.SearchStrategy[F32]:
    return frames.flatmap(lambda t: hnp.arrays(np.float32, (t, units), elements=LEVEL))


def pulse(at: int, frames: int = 100, units: int = 4) -> F32:
    """A bump over twelve frames in every unit."""
    out = np.zeros((frames, units), np.float32)
    out[at : at + 12] = np.sin(np.linspace(0, np.pi, 12, dtype=np.float32))[:, None]
    return out


def slow_dtw(a: F32, b: F32, width: int) -> float:
    """The definition, one column, written out."""
    cost = np.full((len(a) + 1, len(b) + 1), np.inf)
    cost[0, 0] = 0
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            if abs(i - j) <= width:
                step = min(cost[i - 1, j], cost[i, j - 1], cost[i - 1, j - 1])
                cost[i, j] = step + abs(float(a[i - 1]) - float(b[j - 1]))
    return float(cost[-1, -1])


# --- AU-F1 ---------------------------------------------------------------------------------


def test_f1_of_a_hand_made_case() -> None:
    planned = np.array([[0.5, 0.5, 0.0, 0.0], [0.1, 0.9, 0.0, 0.1]], np.float32)
    real = np.array([[0.0, 0.3, 0.4, 0.0], [0.1, 0.0, 0.9, 0.2]], np.float32)
    # Fires: 0, 1 planned; 1, 2 real (0.2 is not above 0.2). One of two hits either way.
    assert au_f1(planned, real, TAU) == pytest.approx(0.5)


def test_f1_is_not_the_share_of_agreement() -> None:
    planned, real = np.zeros((5, 4), np.float32), np.zeros((5, 4), np.float32)
    planned[2, 0], real[2, 1:3] = 1, 1
    assert au_f1(planned, real, TAU) == 0
    planned[3, 1:3] = 1  # P = 2/3, R = 1
    assert au_f1(planned, real, TAU) == pytest.approx(0.8)


def test_two_faces_at_rest_agree_and_one_that_moves_does_not() -> None:
    rest = np.zeros((5, 4), np.float32)
    assert au_f1(rest, rest, TAU) == 1
    assert au_f1(rest, pulse(20), TAU) == 0


@given(tracks(st.integers(1, 30)), tracks(st.integers(1, 30)), st.integers(0, 99))
def test_f1_does_not_care_for_the_order_of_frames_or_units(a: F32, b: F32, seed: int) -> None:
    rng = np.random.default_rng(seed)
    value = au_f1(a, b, TAU)
    assert 0 <= value <= 1
    assert value == au_f1(b, a, TAU)
    assert value == au_f1(a[rng.permutation(len(a))], b[rng.permutation(len(b))], TAU)
    order = rng.permutation(4)
    assert value == au_f1(a[:, order], b[:, order], TAU[order])


# --- AU-Temp -------------------------------------------------------------------------------


@settings(max_examples=50)
@given(tracks(st.integers(1, 14), 1), tracks(st.integers(1, 14), 1), st.integers(0, 16))
def test_dtw_is_the_definition(a: F32, b: F32, band: int) -> None:
    width = max(band, abs(len(a) - len(b)))
    wanted = slow_dtw(a[:, 0], b[:, 0], width)
    assert dtw(a, b, band=band)[0] == pytest.approx(wanted, abs=1e-4)


def test_dtw_without_a_band_is_the_sum_of_differences() -> None:
    a, b = pulse(20), pulse(24)
    assert np.allclose(dtw(a, b, band=0), np.abs(a - b).sum(axis=0), rtol=1e-5)


@given(tracks(st.integers(1, 40)), tracks(st.integers(1, 40)))
def test_temp_is_bounded_symmetric_and_1_for_the_same(a: F32, b: F32) -> None:
    every = range(4)
    value = au_temp(a, b, every)
    assert -1e-6 <= value <= 1 + 1e-6
    assert value == pytest.approx(au_temp(b, a, every), abs=1e-5)
    assert au_temp(a, a, every) == 1


@given(tracks(st.just(30)), tracks(st.just(30)), st.permutations(range(4)))
def test_temp_does_not_care_for_the_order_of_units(a: F32, b: F32, order: list[int]) -> None:
    there = [order.index(u) for u in (0, 2)]
    value = au_temp(a, b, (0, 2))
    assert au_temp(a[:, order], b[:, order], there) == pytest.approx(value, abs=1e-6)


def test_a_shift_within_the_band_is_free_and_one_beyond_is_not() -> None:
    near, far = pulse(20 + BAND), pulse(20 + 2 * BAND)
    assert au_temp(pulse(20), near, [0]) == pytest.approx(1)
    assert au_temp(pulse(20), far, [0]) < 0.95


def test_temp_knows_a_face_at_its_utmost_from_one_at_rest() -> None:
    rest, utmost = np.zeros((50, 4), np.float32), np.ones((50, 4), np.float32)
    assert au_temp(rest, utmost, range(4)) == pytest.approx(0)
    half = rest.copy()
    half[:, :2] = 1
    assert au_temp(half, utmost, range(4)) == pytest.approx(0.5)


def test_temp_looks_at_the_target_units_alone() -> None:
    a, b = pulse(20), pulse(20)
    b[:, 3] = 1
    assert au_temp(a, b, [0, 1, 2]) == 1
    assert au_temp(a, b, [3]) < 0.2


def test_different_lengths_can_be_compared() -> None:
    assert au_temp(pulse(20), pulse(20, frames=80), [0]) == pytest.approx(1)


@pytest.mark.parametrize("band", [-1, -100])
def test_a_band_of_less_than_nothing_is_refused(band: int) -> None:
    with pytest.raises(ValueError, match="band"):
        dtw(pulse(1), pulse(1), band=band)


def test_what_can_not_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="expected"):
        au_f1(pulse(1), pulse(1, units=3), TAU)
    with pytest.raises(ValueError, match="nothing"):
        dtw(pulse(1)[:0], pulse(1))
    with pytest.raises(ValueError, match="at least one"):
        au_temp(pulse(1), pulse(1), [])


@given(tracks(st.integers(2, 40)), st.floats(0.25, 1, width=32))
def test_shape_has_no_scale_above_the_threshold(a: F32, gain: float) -> None:
    a[0] = 1  # the peak, which stays above 0.2 when scaled
    assert np.allclose(shape(a * np.float32(gain), TAU), shape(a, TAU), atol=1e-5)


def test_shape_does_not_blow_up_what_is_at_rest() -> None:
    a = np.full((5, 4), 0.02, np.float32)
    assert np.allclose(shape(a, TAU), 0.1)


# --- units ---------------------------------------------------------------------------------


def test_units_come_from_the_channels_of_their_name() -> None:
    values = ControlTrack.neutral(2, AU4=0.4, gaze_right=0.6, gaze_up=0.3, yaw=12).values
    units = intensities(values)
    assert units.shape == (2, len(UNITS)) and units.dtype == np.float32
    shown = {name: round(float(units[0, i]), 3) for name, i in UNIT.items() if units[0, i]}
    assert shown == {"AU4": 0.4, "gaze_aside": 0.6, "gaze_up": 0.3}
    mirrored = ControlTrack.neutral(2, AU4=0.4, gaze_left=0.6, gaze_up=0.3).values
    assert np.array_equal(intensities(mirrored), units)
    with pytest.raises(ValueError, match="expected"):
        intensities(values[:, :5])


def test_every_label_has_target_units_and_every_unit_a_threshold() -> None:
    assert set(TARGETS) == set(LABELS)
    assert all(targets(label) for label in TARGETS)
    assert len(THRESHOLDS) == len(UNITS) and ((THRESHOLDS > 0) & (THRESHOLDS < 1)).all()
    assert [CHANNELS[CHANNEL[name]] for name in AUS] == list(UNITS[: len(AUS)])


def test_a_half_closed_lid_is_no_blink_but_a_half_raised_brow_is_raised() -> None:
    units = intensities(ControlTrack.neutral(3, AU45_L=0.4, AU1_L=0.4).values)
    fires = activations(units, THRESHOLDS)
    assert fires[UNIT["AU1_L"]] and not fires[UNIT["AU45_L"]]
