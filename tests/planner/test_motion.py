"""Glides, pulses and noise: smooth whatever happens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.motion import Glide, Pulse, Wander, minimum_jerk

STEP = 1e-4


def slope(glide: Glide, t: float, step: float) -> float:
    return float((glide.value(t + step) - glide.value(t))[0] / step)


def test_minimum_jerk_is_a_step() -> None:
    assert [minimum_jerk(s) for s in (-1.0, 0.0, 0.5, 1.0, 2.0)] == [0, 0, 0.5, 1, 1]


def test_a_glide_arrives_and_stays() -> None:
    glide = Glide(2)
    glide.retarget([1], [3.0], 0.5, 0.4)
    assert glide.value(0.5).tolist() == [0, 0]
    assert glide.value(0.7)[1] == pytest.approx(1.5)
    assert glide.value(0.9).tolist() == [0, 3]
    assert glide.value(99.0).tolist() == [0, 3]


@given(
    st.lists(
        st.tuples(st.floats(0.01, 0.6), st.floats(-10, 10), st.floats(0.1, 3.0)),
        min_size=2,
        max_size=6,
    )
)
@settings(max_examples=60, deadline=None)
def test_a_new_target_changes_neither_position_nor_velocity(
    commands: list[tuple[float, float, float]],
) -> None:
    """Value and slope just before and just after agree, in the middle of any motion."""
    glide, t = Glide(1), 0.0
    for wait, target, seconds in commands:
        t += wait
        before = (glide.value(t)[0], -slope(glide, t, -STEP) * -1)
        glide.retarget([0], [target], t, seconds)
        assert glide.value(t)[0] == pytest.approx(before[0], abs=1e-9)
        # 60 * way / seconds^2 bounds the curvature, so the slopes differ by less than this:
        limit = STEP * 40 * 60 / min(s for _, _, s in commands) ** 2
        assert slope(glide, t, STEP) == pytest.approx(before[1], abs=limit)


def test_an_interrupted_motion_does_not_coast() -> None:
    """A slow new motion must not first run on in the old direction."""
    glide = Glide(1)
    glide.retarget([0], [1.0], 0.0, 0.3)
    glide.retarget([0], [0.0], 0.15, 3.0)  # at full speed, halfway
    assert max(float(glide.value(t)[0]) for t in np.arange(0.15, 3.2, 0.01)) < 0.8


def test_a_pulse_rises_holds_and_falls() -> None:
    pulse = Pulse(1.0, 0.2, 0.1, 0.4, ((0, 1.0),))
    assert [pulse.envelope(t) for t in (1.0, 1.2, 1.3, 1.7)] == pytest.approx([0, 1, 1, 0])
    assert (pulse.peak, pulse.end) == pytest.approx((1.2, 1.7))


def test_noise_has_unit_variance_and_no_high_frequencies() -> None:
    wander = Wander(np.random.default_rng(1), (0.1, 1.0), 25)
    x = np.stack([wander.step() for _ in range(20_000)])
    assert x.std(0) == pytest.approx([1, 1], rel=0.15)
    power = np.abs(np.fft.rfft(x[:, 0])) ** 2
    hertz = np.fft.rfftfreq(len(x), 1 / 25)
    assert power[hertz > 1].sum() < 1e-3 * power.sum()
