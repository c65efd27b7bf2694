"""Rules: each finds what no face can do, and leaves alone its legitimate neighbour."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest

from core import CHANNEL, FPS, GAZE_DEGREES, ControlTrack
from planner.behaviour import Behaviour
from planner.categories import LABELS
from planner.library import load_library
from planner.manners import MANNERS, State
from planner.rules import (
    BLINK_GAP_FRAMES,
    EYE_STEP,
    FAR_FRAMES,
    FROZEN_FRAMES,
    HEAD_STEP,
    STARE_SECONDS,
    UNIT_STEP,
    check,
    runs,
)

Array: TypeAlias = npt.NDArray[Any]
BLINK = (0.15, 0.7, 1.0, 0.75, 0.4, 0.15)
FRAMES = 60


def alive(frames: int = FRAMES) -> Array:
    """A face at rest that is not frozen."""
    rows = np.zeros((frames, 17), np.float32)
    t = np.arange(frames) / FPS
    rows[:, CHANNEL["yaw"]] = 0.4 * np.sin(2 * np.pi * 0.3 * t)
    rows[:, CHANNEL["pitch"]] = 0.3 * np.sin(2 * np.pi * 0.2 * t + 1)
    return rows


def put(rows: Array, names: str, at: int, values: object) -> Array:
    values = np.atleast_1d(np.asarray(values, np.float32))
    for name in names.split():
        rows[at : at + len(values), CHANNEL[name]] = values
    return rows


def broken(rows: Array, before: Array | None = None, state: str = "idle") -> set[str]:
    past = None if before is None else ControlTrack(before)
    return {v.rule for v in check(ControlTrack(rows), past, state=state)}


def looking(rows: Array, at: int, degrees: float) -> Array:
    rows[at:, CHANNEL["gaze_left"]] = degrees / GAZE_DEGREES[0]
    return rows


LIDS = "AU45_L AU45_R"
SHUT = (0.5, 1.0, *[1.0] * 20, 0.7, 0.4, 0.1)
CASES = {
    "unit-speed": (
        put(alive(), "AU4", 30, [1.0] * 20),
        put(alive(), "AU4", 28, [0.1, 0.45, 0.8, *[1.0] * 20, 0.6, 0.2]),
    ),
    "head-speed": (
        put(alive(), "yaw", 30, np.full(30, HEAD_STEP + 2)),
        put(alive(), "roll", 25, 12 * np.sin(np.linspace(0, 2 * np.pi, 18))),
    ),
    "pose-range": (
        put(alive(), "pitch", 0, np.full(FRAMES, 26.0)),
        put(alive(), "pitch", 0, np.full(FRAMES, 24.0)),
    ),
    "head-acceleration": (
        put(alive(), "roll", 30, 3.9 * np.array([1, -1] * 8)),
        put(alive(), "roll", 30, 4 * np.sin(2 * np.pi * 3 * np.arange(25) / FPS)),
    ),
    "lids": (
        put(put(alive(), "AU5", 0, [0.6] * FRAMES), LIDS, 20, BLINK),
        put(put(alive(), "AU5", 0, [0.1] * FRAMES), LIDS, 20, BLINK),
    ),
    "opposed-units": (
        put(put(alive(), "AU2_L", 0, [0.9] * FRAMES), "AU4", 0, [0.9] * FRAMES),
        put(put(alive(), "AU1_L AU1_R", 0, [0.9] * FRAMES), "AU4", 0, [0.6] * FRAMES),
    ),
    "lid-follows-gaze": (
        put(put(alive(), "AU5", 0, [0.9] * FRAMES), "gaze_down", 0, [0.8] * FRAMES),
        put(put(alive(), "AU5", 0, [0.9] * FRAMES), "gaze_up", 0, [0.8] * FRAMES),
    ),
    "lid-opening-speed": (
        put(alive(), LIDS, 20, [0.3, 0.8, *[1.0] * 15]),
        put(alive(), LIDS, 20, SHUT),
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
        put(put(alive(), LIDS, 20, BLINK), LIDS, 20 + BLINK_GAP_FRAMES - 2, BLINK),
        put(put(alive(), LIDS, 20, BLINK), LIDS, 20 + 9, BLINK),
    ),
    "gaze-both-ways": (
        put(alive(), "gaze_left gaze_right", 10, [0.2] * 5),
        put(put(alive(), "gaze_left", 10, [0.1]), "gaze_right", 11, [0.1] * 20),
    ),
    "saccade-speed": (
        looking(put(alive(), "gaze_right", 0, [0.9] * 30), 30, 5.0),
        looking(put(alive(), "gaze_right", 0, [0.6] * 30), 30, 0.0),
    ),
    "saccade-gap": (
        put(alive(), "gaze_left", 30, [0.5, 0.0, 0.5, 0.0, 0.5, 0.0]),
        put(alive(), "gaze_left", 30, [0.5] * 6),
    ),
    "gaze-glides": (
        put(alive(), "gaze_left", 20, np.linspace(0, 0.6, 20)),
        put(alive(), "gaze_left", 20, np.linspace(0, 0.2, 40)),
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


@pytest.mark.parametrize("rule", [name for name in CASES if name not in ("frozen", "eyes-far-out")])
def test_what_was_before_is_not_judged_again(rule: str) -> None:
    wrong, _ = CASES[rule]
    wrong = wrong[-40:] if rule == "gaze-both-ways" else wrong
    after = alive(20)
    after[:, :14] = wrong[-1, :14]
    after[:, 14:] += wrong[-1, 14:] - after[0, 14:]
    np.clip(after[:, 14:], [-24, -34, -19], [24, 34, 19], out=after[:, 14:])
    found = check(ControlTrack(after[:1]), ControlTrack(wrong))
    assert all(v.end > 0 for v in found)


def test_counter_rotation_is_no_glide() -> None:
    rows = alive(80)
    turn = 25 * np.clip((np.arange(80) - 20) / 25, 0, 1)
    rows[:, CHANNEL["yaw"]] = turn
    rows[:, CHANNEL["gaze_right"]] = turn / GAZE_DEGREES[0]
    assert broken(rows) == set()


def test_a_stare_is_too_long_only_with_its_past() -> None:
    limit = round(STARE_SECONDS["speaking"] * FPS)
    before, track = alive(limit), alive(100)
    assert broken(track, before, "speaking") == {"stare"}
    assert "stare" not in broken(track, before[-400:], "speaking")
    assert "stare" not in broken(put(track, LIDS, 5, BLINK), before, "speaking")


def test_a_blink_across_the_seam_is_one_blink() -> None:
    whole = put(alive(60), LIDS, 27, BLINK)
    for cut in range(26, 35):
        assert broken(whole[cut:], whole[:cut]) == set()


def test_a_leap_at_the_seam_is_found() -> None:
    before = put(alive(20), "AU4", 0, [1.0] * 20)
    assert "unit-speed" in broken(alive(20), before)
    far = put(alive(20), "yaw", 0, [20.0] * 20)
    assert "head-speed" in broken(alive(20), far)
    assert HEAD_STEP < 20 and UNIT_STEP < 1 and EYE_STEP < 40


def test_nothing_has_no_fault() -> None:
    assert check(ControlTrack.neutral(0)) == []
    assert check(ControlTrack.neutral(1)) == []


def test_violations_lie_within_the_track() -> None:
    rng = np.random.default_rng(4)
    for frames in (1, 3, 40, 120):
        rows = rng.random((frames, 17)).astype(np.float32)
        rows[:, 14:] = rng.normal(0, 60, (frames, 3))
        before = ControlTrack(rng.random((90, 17)).astype(np.float32))
        for violation in check(ControlTrack(rows), before):
            assert 0 <= violation.start < violation.end <= frames


@pytest.mark.parametrize("label", LABELS)
def test_what_the_planner_performs_is_possible(label: str) -> None:
    for seed, state in enumerate(MANNERS):
        performer = Behaviour(seed, label=label, library=load_library())
        performer.set_state(state)
        rows = performer.advance(400).values
        assert broken(rows, state=state) == set()


@pytest.mark.parametrize(
    "instruction",
    [
        "wink", "blink twice", "blink 8 times", "close your eyes for 3 seconds", "look far left",
        "shake your head", "nod three times", "roll your eyes", "raise your left eyebrow",
        "open your eyes wide, then squint", "look left, then right, then up",
        "turn your head right 20 degrees",
    ],
)  # fmt: skip
def test_what_is_asked_for_is_possible(instruction: str) -> None:
    state: State = "idle"
    for seed in range(3):
        performer = Behaviour(seed, instruction=instruction, library=load_library())
        assert broken(performer.advance(250).values, state=state) == set()


def test_runs() -> None:
    assert runs(np.array([], bool)) == []
    assert runs(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
