"""Rules: each finds what no face can do, and leaves alone its legitimate neighbour."""

from __future__ import annotations

import time

import numpy as np
import pytest

from core import CHANNEL, FPS, GAZE_DEGREES, ControlTrack
from planner.behaviour import Behaviour
from planner.categories import LABELS
from planner.evidence import runs, shaking
from planner.library import load_library
from planner.manners import MANNERS
from planner.rules import check
from planner.rules_face import HEAD_STEP, UNIT_STEP
from planner.rules_gaze import EYE_STEP, FAR_FRAMES, FROZEN_FRAMES
from planner.rules_lids import BLINK_GAP_FRAMES, STARE_SECONDS
from tests.planner.faces import BLINK, FRAMES, LIDS, Array, alive, looking, performed, put, wave


def broken(rows: Array, before: Array | None = None, state: str = "idle") -> set[str]:
    past = None if before is None else ControlTrack(before)
    return {v.rule for v in check(ControlTrack(rows), past, state=state)}


SHUT = (0.5, 1.0, *[1.0] * 20, 0.7, 0.4, 0.1)
TURN = 24 * np.clip((np.arange(80) - 20) / 12, 0, 1)
ZIGZAG = np.tile([1.0, -1.0], 10)
CASES = {
    "unit-speed": (
        put(alive(), "AU4", 30, [1.0] * 20),
        put(alive(), "AU4", 28, [0.1, 0.45, 0.8, *[1.0] * 20, 0.6, 0.2]),
    ),
    "unit-twitch": (
        put(alive(), "AU1_L AU1_R", 30, [0.5]),
        put(alive(), "AU1_L AU1_R", 30, [0.25, 0.5, 0.5, 0.25]),
    ),
    "unit-shake": (
        put(alive(), "AU6", 20, 0.5 + 0.15 * ZIGZAG),
        put(alive(), "AU6", 0, 0.5 + wave(4.7, 0.3, FRAMES)),
    ),
    "head-speed": (
        put(alive(), "yaw", 30, np.full(30, HEAD_STEP + 2)),
        put(alive(), "roll", 25, 12 * np.sin(np.linspace(0, 2 * np.pi, 18))),
    ),
    "head-acceleration": (
        put(alive(), "roll", 30, 5.0 * ZIGZAG),
        put(alive(), "roll", 30, wave(3, 7, 25)),
    ),
    "head-shake": (
        put(alive(), "pitch", 30, 0.6 * ZIGZAG),
        put(put(alive(), "pitch", 0, wave(4.7, 2, FRAMES)), "yaw", 0, 0.2 * np.tile(ZIGZAG, 3)),
    ),
    "pose-range": (
        put(alive(), "pitch", 0, np.full(FRAMES, 26.0)),
        put(alive(), "pitch", 0, np.full(FRAMES, 24.0)),
    ),
    "lids": (
        put(put(alive(), "AU5", 0, [0.6] * FRAMES), LIDS, 20, BLINK),
        put(put(alive(), "AU5", 0, [0.1] * FRAMES), LIDS, 20, BLINK),
    ),
    "opposed-units": (
        put(put(alive(), "AU2_L", 0, [0.9] * FRAMES), "AU4", 0, [0.9] * FRAMES),
        put(put(alive(), "AU1_L AU1_R", 0, [0.9] * FRAMES), "AU4", 0, [0.9] * FRAMES),
    ),
    "lid-follows-gaze": (
        put(put(alive(), "AU5", 0, [0.9] * FRAMES), "gaze_down", 0, [0.8] * FRAMES),
        put(put(alive(), "AU5", 0, [0.9] * FRAMES), "gaze_up", 0, [0.8] * FRAMES),
    ),
    "lid-opening-speed": (
        put(alive(), LIDS, 20, [0.3, 0.8, *[1.0] * 15]),
        put(alive(), LIDS, 20, SHUT),
    ),
    "lid-shake": (
        put(alive(), LIDS, 20, 0.2 + 0.15 * ZIGZAG),
        put(alive(), LIDS, 10, np.tile([*BLINK, 0.05, 0.0], 6)),
    ),
    "blink-duration": (put(alive(), LIDS, 20, [0.7]), put(alive(), LIDS, 20, BLINK)),
    "blink-opens-slower": (
        put(alive(), LIDS, 20, [0.2, 0.4, 0.6, 0.8, 1.0, 0.25, 0.0]),
        put(alive(), LIDS, 20, [0.6, 1.0, 0.7, 0.45, 0.25, 0.1]),
    ),
    "blink-sides": (
        put(put(alive(), "AU45_L", 20, BLINK), "AU45_R", 20, 0.55 * np.array(BLINK)),
        put(put(alive(), "AU45_L", 20, BLINK), "AU45_R", 20, 0.9 * np.array(BLINK)),
    ),
    "wink-duration": (
        put(alive(), "AU45_L", 20, [0.2, 0.9, 0.6, 0.3]),
        put(alive(), "AU45_L", 20, [0.2, 0.7, 1, 1, 1, 1, 0.7, 0.4, 0.1]),
    ),
    "blink-gap": (
        put(put(alive(), LIDS, 20, BLINK[:4]), LIDS, 24, [0.1, 1.0, 0.8, 0.5, 0.2]),
        put(put(alive(), LIDS, 20, BLINK), LIDS, 20 + 9, BLINK),
    ),
    "gaze-both-ways": (
        put(alive(), "gaze_left gaze_right", 10, [0.2] * 5),
        put(put(alive(), "gaze_left", 10, [0.1]), "gaze_right", 11, [0.1] * 20),
    ),
    "saccade-speed": (
        looking(looking(alive(), 0, -31.5), 30, 5.0),
        looking(looking(alive(), 0, -21.0), 30, 0.0),
    ),
    "saccade-gap": (
        put(alive(), "gaze_left", 30, [0.5, 0.0, 0.5, 0.0, 0.5, 0.0]),
        put(alive(), "gaze_left", 30, [0.5] * 6),
    ),
    "saccade-rate": (
        looking(alive(), 20, 3 * (np.arange(30) // 2 % 2)),
        looking(alive(), 20, 10 * (np.arange(30) // 5 % 2)),
    ),
    "gaze-glides": (
        looking(alive(), 20, np.linspace(0, 20, 20)),
        looking(alive(), 20, np.linspace(0, 7, 40)),
    ),
    "eye-shake": (looking(alive(), 20, 0.7 * ZIGZAG), looking(alive(), 0, wave(4, 0.8, FRAMES))),
    "eyes-ride": (
        put(alive(80), "yaw", 0, TURN),
        looking(put(alive(80), "yaw", 0, TURN), 0, -TURN),
    ),
    "eyes-far-out": (
        looking(alive(FAR_FRAMES + 80), 30, 33.0),
        looking(alive(FAR_FRAMES + 80), 30, 27.0),
    ),
    "frozen": (
        np.zeros((FROZEN_FRAMES + 20, 17), np.float32),
        np.zeros((FROZEN_FRAMES - 5, 17), np.float32),
    ),
}


@pytest.mark.parametrize("rule", CASES)
def test_a_rule_finds_the_impossible_and_nothing_else(rule: str) -> None:
    wrong, right = CASES[rule]
    assert rule in broken(wrong)
    assert broken(right) == set()


@pytest.mark.parametrize("rule", CASES)
def test_what_was_before_is_not_judged_again(rule: str) -> None:
    wrong, _ = CASES[rule]
    last = wrong[-1:]
    after = np.repeat(last, 20, axis=0)
    after[:, 14:] = np.clip(last[:, 14:], [-25, -35, -20], [25, 35, 20])
    after[:, CHANNEL["AU5"]] *= after[:, 8:10].max() < 0.1
    still_wrong = {"frozen", "eyes-far-out", "gaze-both-ways", "lid-follows-gaze", "opposed-units"}
    assert broken(after, wrong) <= still_wrong & {rule}


@pytest.mark.parametrize("hertz", [2, 3, 4])
def test_nods_are_legitimate(hertz: float) -> None:
    beats = wave(hertz / 2, 14, FRAMES) ** 2 / 14  # one way only, as nods are
    rows = put(alive(), "pitch", 0, beats)
    put(rows, "gaze_up", 0, beats / GAZE_DEGREES[1])
    assert broken(rows) == set()


def test_frozen_is_what_hardly_moves_too() -> None:
    crawling = np.zeros((100, 17), np.float32)
    crawling[:, CHANNEL["roll"]] = 2e-4 * np.arange(100)
    assert broken(crawling) == {"frozen"}
    asleep = put(crawling.copy(), LIDS, 0, [1.0] * 100)
    assert broken(asleep) == set()


def test_a_stare_is_too_long_only_with_its_past() -> None:
    limit = round(STARE_SECONDS["speaking"] * FPS)
    before, track = alive(limit), alive(100)
    assert broken(track, before, "speaking") == {"stare"}
    assert broken(track, before, "thinking") == set()
    assert "stare" not in broken(track, before[-400:], "speaking")
    assert "stare" not in broken(put(track, LIDS, 5, BLINK), before, "speaking")


def test_eyes_shut_for_long_are_no_blink() -> None:
    rows = put(alive(200), LIDS, 20, [0.3, *[0.9] * 120, 0.6, 0.2])
    assert broken(rows) == set()


@pytest.mark.parametrize("rule", ["blink-duration", "wink-duration"])
def test_the_seam_does_not_hide_half_a_blink(rule: str) -> None:
    wrong, right = CASES[rule]
    for cut in (21, 22, 23):
        assert broken(right[cut:], right[:cut]) == set()
    assert rule in broken(wrong[21:], wrong[:21])


def test_a_leap_at_the_seam_is_found() -> None:
    before = put(alive(20), "AU4", 0, [1.0] * 20)
    assert "unit-speed" in broken(alive(20), before)
    far = put(alive(20), "yaw", 0, [20.0] * 20)
    assert "head-speed" in broken(alive(20), far)
    assert HEAD_STEP < 20 and UNIT_STEP < 1 and EYE_STEP < 40 and BLINK_GAP_FRAMES > 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 1.5])
def test_values_that_no_channel_has_are_found(value: float) -> None:
    track = ControlTrack(alive())
    track.values[7, 2] = value
    found = check(track)
    assert [(v.rule, v.channels, v.start, v.end) for v in found] == [("range", ("AU2_L",), 7, 8)]


def test_nothing_has_no_fault() -> None:
    assert check(ControlTrack.neutral(0)) == []
    assert check(ControlTrack.neutral(1)) == []
    assert check(ControlTrack.neutral(1), ControlTrack.neutral(0)) == []


def test_violations_lie_within_the_track() -> None:
    rng = np.random.default_rng(4)
    for frames in (1, 3, 40, 120):
        rows = rng.random((frames, 17)).astype(np.float32)
        rows[:, 14:] = rng.normal(0, 60, (frames, 3))
        before = ControlTrack(rng.random((90, 17)).astype(np.float32))
        for violation in check(ControlTrack(rows), before):
            assert 0 <= violation.start < violation.end <= frames
            assert violation.value != violation.limit


@pytest.mark.parametrize("label", LABELS)
def test_what_the_planner_performs_is_possible(label: str) -> None:
    for seed, state in enumerate(MANNERS):
        performer = Behaviour(seed, label=label, library=load_library())
        performer.set_state(state)
        rows = performer.advance(300).values
        assert broken(rows, state=state) == set()


@pytest.mark.parametrize(
    "instruction",
    [
        "wink", "blink twice", "blink 8 times", "close your eyes for 3 seconds", "look far left",
        "shake your head", "nod three times", "roll your eyes", "raise your left eyebrow",
        "open your eyes wide, then squint", "look left, then right, then up",
        "turn your head right 20 degrees quickly",
    ],
)  # fmt: skip
def test_what_is_asked_for_is_possible(instruction: str) -> None:
    for seed in range(2):
        assert broken(performed(seed, "idle", 200, instruction)) == set()


def test_a_check_is_quick() -> None:
    rows = performed(1, "laughter", 600)
    track, before = ControlTrack(rows[500:]), ControlTrack(rows[:500])
    times = []
    for _ in range(20):
        start = time.perf_counter()
        check(track, before)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.003  # 0.6 ms measured


def test_shaking_counts_turns_and_not_noise() -> None:
    beat = np.tile([0.0, 1.0], 10)[:, None]
    assert shaking(beat, 0.5, 0) == [(0, 2, 20, 18)]
    assert shaking(beat, 1.5, 0) == []
    hidden = np.repeat(beat, 2, axis=0)
    hidden[1::2] += 0.01  # small steps between the large ones
    assert shaking(hidden[:60], 0.5, 0) == []  # half as fast: 6.25 Hz
    assert shaking(beat, 0.5, 20) == []


def test_runs() -> None:
    assert runs(np.array([], bool)) == []
    assert runs(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
