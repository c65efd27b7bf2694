"""Physiology: the numbers agree with what was measured, and with each other."""

from __future__ import annotations

from planner import physiology as ph
from planner import rules_face, rules_gaze, rules_lids


def test_saccades_are_on_the_main_sequence() -> None:
    # Mean and standard deviation of peak velocity, deg/s: Hopf et al. 2018, PLoS ONE 13(9).
    for degrees, mean, spread in ((5, 213, 29), (15, 352, 50), (30, 455, 67)):
        assert abs(ph.saccade_peak_velocity(degrees) - mean) < 2 * spread
    sizes = [ph.saccade_seconds(d) for d in (0, 1, 10, 40)]
    assert sizes == sorted(sizes) and ph.saccade_seconds(-10) == ph.saccade_seconds(10)


def test_large_gaze_shifts_bring_a_blink() -> None:
    # Evinger et al. 1994, Exp Brain Res 100(2).
    assert ph.gaze_blink_chance(33) == ph.gaze_blink_chance(60) == 0.97
    chances = [ph.gaze_blink_chance(d) for d in range(40)]
    assert chances == sorted(chances) and chances[0] == 0


def test_blink_rates_are_those_of_normal_adults() -> None:
    # 95 % limits at rest and in conversation: Doughty 2001, Optom Vis Sci 78(10).
    rate = ph.BLINKS_PER_MINUTE
    assert 8 <= rate["idle"] <= 21 and 8 <= rate["listening"] <= 21
    assert 10.5 <= rate["speaking"] <= 32.5
    assert rate["thinking"] < rate["listening"]


def test_lids_close_faster_than_they_open() -> None:
    assert ph.CLOSING_SECONDS[3] < ph.OPENING_SECONDS[2]


def test_the_head_takes_its_share_with_its_sign() -> None:
    assert ph.head_share(-40) == -ph.head_share(40) < 0
    assert ph.head_share(ph.EYE_ONLY_DEGREES) < 2
    assert 60 - ph.head_share(60) < ph.OCULAR_LIMITS[0]


def test_the_planner_keeps_clear_of_the_critic() -> None:
    assert ph.HEAD_SPEED_LIMIT < rules_face.HEAD_STEP * 25
    assert ph.saccade_peak_velocity(60) < rules_gaze.EYE_STEP * 25
    assert ph.BLINK_SIDE_SHARE < rules_lids.BLINK_SIDES
    assert ph.DOUBLE_BLINK_SECONDS[0] > rules_lids.BLINK_GAP_FRAMES / 25
    for state, per_minute in ph.BLINKS_PER_MINUTE.items():
        assert 60 / per_minute < ph.BLINK_INTERVAL_LONGEST < rules_lids.STARE_SECONDS[state]
