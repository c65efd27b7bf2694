"""Blinks: how often, how long, how asymmetric, and that a frame sees them closed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import FPS, ControlTrack
from planner import physiology as ph
from planner.behaviour import Behaviour
from planner.blinks import Blink, Blinks
from planner.manners import State
from planner.motion import F64

MINUTES = 4


def closures(blinks: Blinks, seconds: float) -> F64:
    return np.array([blinks.step(k / FPS)[:2] for k in range(int(seconds * FPS))])


def peaks(closure: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Frames at which a blink is at its height."""
    up = (closure[1:-1] > 0.4) & (closure[1:-1] >= closure[:-2]) & (closure[1:-1] > closure[2:])
    return np.flatnonzero(up) + 1


def in_state(state: State, seed: int) -> ControlTrack:
    behaviour = Behaviour(seed)
    behaviour.set_state(state)
    return behaviour.advance(MINUTES * 60 * FPS)


@pytest.mark.parametrize(
    ("state", "least", "most"),
    [("idle", 12, 21), ("listening", 10, 20), ("thinking", 5, 14), ("speaking", 18, 30)],
)
def test_rates_are_those_of_people(state: State, least: float, most: float) -> None:
    """Blinks a minute (Bentivoglio et al. 1997, Doughty 2001)."""
    rates = [len(peaks(in_state(state, seed).values[:, 8])) / MINUTES for seed in (1, 2)]
    assert least < float(np.mean(rates)) < most


def test_intervals_are_irregular() -> None:
    gaps = np.diff(peaks(in_state("idle", 5).values[:, 8])) / FPS
    assert 0.35 < gaps.std() / gaps.mean() < 1.0
    assert gaps.max() < ph.BLINK_INTERVAL_LONGEST + 1.0
    assert gaps.mean() > np.median(gaps)  # right-skewed


def test_whole_blinks_reach_closure_on_a_frame_in_both_eyes() -> None:
    """The curve's top never falls between two frames."""
    track = in_state("idle", 3).values
    at = peaks(track[:, 8])
    both = track[:, 8:10].min(axis=1)  # the lids may differ in which frame of a held top is last
    heights = np.max([both[at - 1], both[at], both[at + 1]], axis=0)
    whole = heights[heights > 0.85]
    assert len(whole) > 0.7 * len(heights)
    assert whole.min() >= 0.95


def blink(seed: int = 0, **how: float) -> Blink:
    return Blinks(np.random.default_rng(seed)).ask(1.0, "test", **how)


def lids_of(one: Blink) -> tuple[F64, F64]:
    """Times, one a millisecond, and both closures."""
    t = np.arange(one.start - 0.05, one.end + 0.05, 0.001)
    return t, np.array([one.at(float(x)) for x in t])


@pytest.mark.parametrize("seed", range(40))
def test_closing_is_fast_and_opening_slow(seed: int) -> None:
    """Down in roughly 90 ms, up in two to three times that (VanderWerf et al. 2003)."""
    one = blink(seed)
    t, lids = lids_of(one)
    for side in (0, 1):
        lid = lids[:, side] / lids[:, side].max()
        top = t[lid > 0.98]
        closing = top[0] - t[lid > 0.02][0]
        opening = t[lid > 0.02][-1] - top[-1]
        assert 0.035 < closing < 0.2
        assert 0.08 < opening < 0.5
        assert opening > closing
    assert one.peak * FPS == pytest.approx(round(one.peak * FPS))


def test_the_recorded_curves_close_about_twice_as_fast_as_they_open() -> None:
    ratios = []
    for seed in range(60):
        t, lids = lids_of(blink(seed))
        lid = lids.max(axis=1)
        top = t[lid > 0.95 * lid.max()]
        begun = t[lid > 0.1 * lid.max()]
        ratios.append((begun[-1] - top[-1]) / (top[0] - begun[0]))
    assert 1.6 < float(np.median(ratios)) < 4.0


@pytest.mark.parametrize("closure", [1.0, 0.7, 0.55])
@pytest.mark.parametrize("slowness", [0.8, 1.0, 1.5, 2.5])
def test_a_frame_shows_exactly_what_was_asked(closure: float, slowness: float) -> None:
    for seed in range(10):
        one = blink(seed, closure=closure, slowness=slowness)
        shown = np.array([one.at(k / FPS) for k in range(0, 6 * FPS)])
        assert one.start >= 1.0 - 1e-9
        assert shown.max() == pytest.approx(closure, abs=1e-6)
        assert shown.max(axis=0).min() >= closure * (1 - ph.BLINK_SIDE_SHARE) - 1e-6
        assert shown[int(one.peak * FPS + 0.5)].max() == pytest.approx(closure, abs=1e-6)
        assert not shown[: int(one.start * FPS)].any()
        assert not shown[int(np.ceil(one.end * FPS)) :].max() > 1e-12


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 4.0), st.floats(0.05, 1.0), st.floats(-10, 10))
def test_closure_is_bounded_and_continuous(
    seed: int, slowness: float, closure: float, offset: float
) -> None:
    one = blink(seed, slowness=slowness, closure=closure)
    here = one.at(one.peak + offset)
    assert 0 <= min(here) and max(here) <= closure + 1e-9
    _, lids = lids_of(one)
    assert np.abs(np.diff(lids, axis=0)).max() < 0.06 * closure / min(slowness, 1.0)  # in a ms


def test_slow_blinks_linger_shut() -> None:
    def shut(slowness: float) -> float:
        t, lids = lids_of(blink(3, slowness=slowness))
        return float((lids.max(axis=1) > 0.8).sum()) * 0.001

    assert shut(2.5) > 0.3 > 2 * shut(1.0)


def test_blinks_differ_from_each_other() -> None:
    shapes = {blink(seed).curves.tobytes() for seed in range(60)}
    assert len(shapes) > 25


def test_a_copy_goes_on_alike_and_shares_the_curves() -> None:
    blinks = Blinks(np.random.default_rng(4))
    closures(blinks, 20)
    one = blinks.ask(21.0, "test")
    twin = blinks.fork()
    assert any(blink is one for blink in twin._now)
    later = [b.step(20 + k / FPS) for b in (blinks, twin) for k in range(30 * FPS)]
    assert later[: 30 * FPS] == later[30 * FPS :]


def test_the_lids_differ_a_little() -> None:
    blinks = Blinks(np.random.default_rng(2))
    lids = closures(blinks, 120)
    difference = np.abs(lids[:, 0] - lids[:, 1])
    assert 0.005 < difference.max() < 0.42
    asked = [blinks.ask(200.0 + i, "test") for i in range(50)]
    assert min(b.weaker for b in asked) >= 1 - ph.BLINK_SIDE_SHARE
    weak_left = sum(b.left_weaker for b in asked)
    assert weak_left < 18 or weak_left > 32  # one side is this person's weaker one


def test_blinks_are_announced_before_they_come() -> None:
    blinks = Blinks(np.random.default_rng(9))
    told: dict[int, int] = {}
    lids = []
    for k in range(60 * FPS):
        lids.append(blinks.step(k / FPS)[0])
        for action in blinks.news():
            told[action.peak] = k
    at = peaks(np.array(lids))
    assert len(at) >= 10
    # Of a held top, the last frame is found.
    ahead = [max(peak - told[p] for p in (peak - 2, peak - 1, peak) if p in told) for peak in at]
    assert np.median(ahead) >= FPS
    assert min(ahead) > 0


def test_no_blink_of_its_own_spoils_a_wink() -> None:
    for seed in range(12):
        behaviour = Behaviour(seed)
        behaviour.advance(seed * 7)
        behaviour.set_instruction("wink left")
        lids = behaviour.advance(18).values[:, 8:10]
        assert lids[3:10, 0].max() > 0.95 and lids[6:10, 1].max() < 0.3


def test_a_raised_lid_gives_way_to_a_blink() -> None:
    track = Behaviour(1, label="fear").advance(60 * FPS).values
    assert (track[:, 5] * np.maximum(track[:, 8], track[:, 9])).max() < 0.3
