"""Blinks: how often, how long, how asymmetric, and that a frame sees them closed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

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
    heights = np.minimum(track[at, 8], track[at, 9])
    whole = heights[heights > 0.85]
    assert len(whole) > 0.7 * len(heights)
    assert whole.min() >= 0.95


def blink(seed: int = 0) -> Blink:
    return Blinks(np.random.default_rng(seed)).ask(1.0, "test")


@pytest.mark.parametrize("seed", range(5))
def test_closing_is_fast_and_opening_slow(seed: int) -> None:
    """Down in roughly 90 ms, up in two to three times that (VanderWerf et al. 2003)."""
    one = blink(seed)
    t = np.arange(one.start - 0.02, one.end + 0.02, 0.001)
    lid = np.array([max(one.at(float(x))) for x in t])
    top = t[lid > 0.999]
    closing = top[0] - t[lid > 0.01][0]
    opening = t[lid > 0.01][-1] - top[-1]
    assert 0.04 < closing < 0.12
    assert 0.12 < opening < 0.30
    assert opening > 1.5 * closing
    assert one.peak * FPS == pytest.approx(round(one.peak * FPS))


def test_the_lids_differ_a_little() -> None:
    blinks = Blinks(np.random.default_rng(2))
    lids = closures(blinks, 120)
    difference = np.abs(lids[:, 0] - lids[:, 1])
    assert 0.005 < difference.max() < 0.25
    asked = [blinks.ask(200.0 + i, "test") for i in range(50)]
    assert max(b.lag for b in asked) <= ph.BLINK_SIDE_SECONDS
    assert min(b.weaker for b in asked) >= 1 - ph.BLINK_SIDE_SHARE
    weak_left = sum(b.left_weaker for b in asked)
    assert weak_left < 18 or weak_left > 32  # one side is this person's weaker one


def test_blinks_are_announced_before_they_come() -> None:
    behaviour = Behaviour(9)
    told: dict[int, int] = {}
    track = []
    for k in range(60 * FPS):
        track.append(behaviour.advance(1).values[0])
        for action in behaviour.actions():
            if action.kind == "blink":
                told[action.peak] = k
    at = peaks(np.array(track)[:, 8])
    assert len(at) >= 10
    # The weaker lid may be a frame late.
    ahead = [peak - told[p] for peak in at for p in (peak - 1, peak) if p in told]
    assert len(ahead) == len(at)
    assert np.median(ahead) >= FPS


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
