"""Saccades, aversions, and the head that helps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from core import FPS
from planner import physiology as ph
from planner.gaze import Gaze
from planner.manners import MANNERS
from planner.motion import F64
from planner.saccade import VIEWER, GazeManner, Saccade

QUIET = GazeManner(math.inf, (1, 1), (0, 0), (("down", 1.0),), restless=0.05)


def gaze(seed: int = 0, manner: GazeManner = QUIET) -> Gaze:
    return Gaze(np.random.default_rng(seed), manner)


@pytest.mark.parametrize("degrees", [0.5, 5.0, 20.0, 40.0])
def test_saccades_follow_the_main_sequence(degrees: float) -> None:
    """Duration 2.2 ms/deg + 21 ms; peak velocity as measured on the curve itself."""
    saccade = Saccade(1.0, (0.0, 0.0), (degrees * 0.6, degrees * 0.8))
    assert saccade.seconds == pytest.approx(0.0022 * degrees + 0.021)
    t = np.linspace(1.0, 1.0 + saccade.seconds, 2001)
    path = np.array([saccade.at(float(x)) for x in t])
    speed = np.hypot(*np.diff(path, axis=0).T) / np.diff(t)
    assert speed.max() == pytest.approx(ph.saccade_peak_velocity(degrees), rel=1e-3)
    # Collewijn et al. 1988 saw 200-500 deg/s for 5-20 deg, saturating near 600.
    assert 20 < speed.max() < 650
    assert np.all(np.diff(path[:, 0]) >= 0)  # no overshoot


def test_saccades_saturate() -> None:
    fast = [ph.saccade_peak_velocity(d) for d in (5, 10, 20, 40)]
    assert fast == sorted(fast)
    assert fast[3] - fast[2] < fast[1] - fast[0]


def test_eyes_hold_their_target_while_the_head_moves() -> None:
    """Vestibulo-ocular reflex: gaze in space does not move with the head."""
    g = gaze()
    g.look((5.0, 2.0), 0.0, hold=True, head=False, why="test")
    for k in range(8):
        g.head_at(k / FPS)
    still = g.eyes_at(0.3, 0.0, 0.0)
    turned = g.eyes_at(0.3, 8.0, -4.0)
    assert turned[0] + 8.0 == pytest.approx(still[0])
    assert turned[1] - 4.0 == pytest.approx(still[1])


def test_eyes_stay_in_their_range() -> None:
    g = gaze()
    assert g.eyes_at(0.0, -90.0, 0.0)[0] == ph.OCULAR_LIMITS[0]
    assert g.eyes_at(0.0, 0.0, 90.0)[1] == -ph.OCULAR_LIMITS[1]
    assert g.eyes_at(0.0, 0.0, -90.0)[1] == ph.OCULAR_LIMITS[2]


def run(g: Gaze, seconds: float) -> tuple[F64, F64]:
    """Head yaw and gaze direction of every frame."""
    head, eyes = [], []
    for k in range(int(seconds * FPS)):
        yaw, pitch = g.head_at(k / FPS)
        head.append(yaw)
        eyes.append(g.eyes_at(k / FPS, yaw, pitch)[0])
    return np.array(head), np.array(eyes)


def test_the_head_stays_out_of_small_shifts_and_joins_large_ones() -> None:
    heads = {}
    for size in (10.0, 30.0):
        g = gaze()
        g.look((size, 0.0), 0.0, hold=True, head=True, why="test")
        heads[size] = run(g, 2.0)[0][-1]
    assert heads[10.0] < 0.15 * 10
    assert 0.35 * 30 < heads[30.0] < 0.7 * 30


def test_the_eyes_lead_and_then_counter_rotate() -> None:
    g = gaze()
    g.look((32.0, 0.0), 0.0, hold=True, head=True, why="test")
    head, eyes = run(g, 1.5)
    there = int(np.argmax(eyes + head > 30))
    assert there <= 4  # gaze arrives within 160 ms
    assert head[there] < 0.3 * head[-1]  # the head has hardly begun
    assert eyes[there] - eyes[-1] > 8  # and the eyes come back as it arrives
    assert abs(eyes[-1] + head[-1] - 32) < 2.5


def test_large_shifts_bring_a_blink_along_and_small_ones_do_not() -> None:
    assert ph.gaze_blink_chance(5) == 0
    assert ph.gaze_blink_chance(40) > 0.9
    assert 0.2 < ph.gaze_blink_chance(20) < 0.8


def test_aversions_come_back() -> None:
    """Idle gaze is mostly on the viewer, leaves now and then, and always returns."""
    g = gaze(3, MANNERS["idle"].gaze)
    away = []
    for k in range(120 * FPS):
        yaw, pitch = g.head_at(k / FPS)
        x, y = g.eyes_at(k / FPS, yaw, pitch)
        away.append(math.hypot(x + yaw, y + pitch) > 4)
    share = float(np.mean(away))
    assert 0.03 < share < 0.3
    runs = np.diff(np.flatnonzero(np.diff(np.array([False, *away, False]).astype(int)))[:])[::2]
    assert runs.max() < 2.5 * FPS


def test_a_look_is_obeyed_at_once_even_in_an_aversion() -> None:
    g = gaze(4, MANNERS["thinking"].gaze)
    g.avert(0.0, 3.0, "test")
    run(g, 0.8)
    g.look((-20.0, 0.0), 0.8, hold=True, head=True, why="test")
    for k in range(20, 24):
        yaw, pitch = g.head_at(k / FPS)
    assert g.eyes_at(23 / FPS, yaw, pitch)[0] + yaw == pytest.approx(-20, abs=2.5)


def test_withdrawn_shifts_are_told() -> None:
    g = gaze(5, MANNERS["thinking"].gaze)
    run(g, 1.0)
    planned = {(a.kind, a.start) for a in g.news() if a.amount > 0 and a.start > 1.0 * FPS}
    g.look(VIEWER, 1.0, hold=True, head=True, why="test")
    withdrawn = {(a.kind, a.start) for a in g.news() if a.amount == 0}
    assert withdrawn and withdrawn <= planned
