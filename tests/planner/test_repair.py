"""Repair: whatever comes in, what goes out a face can do, and it is still what was meant."""

from __future__ import annotations

import time
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from core import CHANNEL, CHANNELS, FPS, GAZE_DEGREES, ControlTrack, InvalidInput
from planner.categories import LABELS
from planner.repair import at_rest, repair
from planner.rules import check
from tests.planner.faces import BLINK, Array, alive, looking, performed, put, track

STATES = ("idle", "listening", "thinking", "speaking")
LABEL_LIST: Final = sorted(LABELS)
KINDS = ("any", "noise", "steps", "waves", "spikes", "still", "zigzag", "walk", "damaged")
REACH = np.r_[np.ones(14), 30.0, 40.0, 25.0]


@st.composite
def tracks(draw: st.DrawFn, most: int = 130) -> Array:
    """Noise, steps, waves, spikes and damaged real motion."""
    frames = draw(st.integers(1, most))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(KINDS))
    if kind == "any":
        wild = st.floats(width=32, allow_nan=True, allow_infinity=True)
        rows: Array = draw(arrays.arrays(np.float64, (min(frames, 12), 17), elements=wild))
        return rows
    return made(kind, frames, rng)


def made(kind: str, frames: int, rng: np.random.Generator) -> Array:
    t = np.arange(frames)[:, None]
    if kind == "noise":
        rows = rng.normal(0, 10.0 ** rng.uniform(-2, 2), (frames, 17))
    elif kind == "steps":
        rows = np.repeat(rng.random((frames // 6 + 1, 17)), 6, axis=0)[:frames] * REACH
    elif kind == "waves":
        waves = np.sin(t * rng.uniform(0, 3, 17) + rng.uniform(0, 6, 17))
        rows = REACH * (0.5 + 0.5 * waves)
    elif kind == "spikes":
        rows = np.where(rng.random((frames, 17)) < 0.06, 1.0, 0.0) * REACH * 2
    elif kind == "still":
        rows = np.tile(rng.random(17) * REACH, (frames, 1))
    elif kind == "zigzag":
        rows = REACH * (0.5 + rng.random(17) * np.where(t % 2, 0.5, -0.5))
    elif kind == "walk":
        rows = REACH * np.cumsum(rng.normal(0, 0.1, (frames, 17)), axis=0)
    else:
        rows = performed(int(rng.integers(99)), str(rng.choice(LABEL_LIST)), frames).astype(float)
        for _ in range(4):
            at, channel = int(rng.integers(frames)), int(rng.integers(17))
            until = at + int(rng.integers(1, 15))
            rows[at:until, channel] = rng.choice([0, 1, -1, 0.5, np.nan, 50])
    return np.asarray(rows)


@given(tracks(), st.none() | tracks(300), st.sampled_from(STATES))
@settings(max_examples=200, deadline=None)
def test_nothing_gets_past(values: Array, past: Array | None, state: str) -> None:
    before = None if past is None else track(past)
    out, _ = repair(values, before, state=state)
    assert len(out) == len(values)
    assert check(out, before, state=state) == []
    again, found = repair(out, before, state=state)
    assert found == [] and np.array_equal(again.values, out.values)


@given(st.integers(1, 260), tracks(300), st.sampled_from(STATES), st.booleans())
@settings(max_examples=200, deadline=None)
def test_the_last_resort_passes_after_anything(
    frames: int, past: Array, state: str, stared: bool
) -> None:
    past = np.concatenate([np.zeros((900, 17)), past]) if stared else past
    before = track(past)
    assert check(at_rest(frames, before), before, state=state) == []


def test_the_last_resort_passes_after_nothing() -> None:
    assert check(at_rest(300, None)) == []


@given(st.integers(0, 2**32), st.sampled_from(LABEL_LIST))
@settings(max_examples=25, deadline=None)
def test_what_is_mended_piece_by_piece_is_sound_as_a_whole(seed: int, label: str) -> None:
    rng = np.random.default_rng(seed)
    rows = performed(seed % 100, label, 240).astype(float)
    for _ in range(5):
        at, channel = int(rng.integers(240)), int(rng.integers(17))
        rows[at : at + int(rng.integers(1, 9)), channel] = rng.choice([0, 1, 0.5, 20, -20])
    played = np.zeros((0, 17), np.float32)
    for start in range(0, 240, 80):
        out, _ = repair(rows[start : start + 80], track(played))
        played = np.concatenate([played, out.values])
    assert check(ControlTrack(played)) == []


def test_a_sound_track_comes_back_bit_by_bit() -> None:
    for seed, label in enumerate(LABELS):
        whole = performed(seed, label, 300)
        out, found = repair(whole[100:], ControlTrack(whole[:100]))
        assert found == [] and np.array_equal(out.values, whole[100:])


# --- Only what is wrong, and only as far as it is --------------------------------------------


def changed(rows: Array, out: ControlTrack) -> tuple[set[str], int, int]:
    """Which channels differ, from which frame, up to which."""
    differs = np.abs(out.values - rows) > 1e-6
    frames = np.flatnonzero(differs.any(axis=1))
    names = {CHANNELS[i] for i in np.flatnonzero(differs.any(axis=0))}
    return names, int(frames[0]), int(frames[-1]) + 1


def test_a_brow_that_leaps_rises_at_once_but_not_faster_than_it_can() -> None:
    rows = put(performed(2, "idle", 80), "AU4", 30, [1.0] * 20)
    out, _ = repair(rows)
    assert changed(rows, out) == ({"AU4"}, 30, 51)
    mended = out.values[:, CHANNEL["AU4"]]
    assert 0.5 < mended[30] < 0.7 and mended[31] > 0.95
    assert 0.3 < mended[50] < 0.5


def test_opposed_brows_give_way_both() -> None:
    rows = put(performed(2, "idle", 80), "AU2_L AU2_R AU4", 0, [0.95] * 80)
    mended = repair(rows)[0].values
    assert mended[40, CHANNEL["AU4"]] > 0.6 and mended[40, CHANNEL["AU2_L"]] > 0.6


def test_a_shaking_cheek_stays_as_high_on_the_whole() -> None:
    rows = put(performed(2, "idle", 80), "AU6", 20, 0.6 + 0.2 * np.tile([1, -1], 20))
    mended = repair(rows)[0].values[:, CHANNEL["AU6"]]
    assert abs(mended[30:50].mean() - 0.6) < 0.1 and np.ptp(mended[30:50]) < 0.2


def test_a_head_that_leaps_turns_and_arrives() -> None:
    rows = put(alive(80), "yaw", 20, [30.0] * 60)
    looking(rows, 20, -30.0)
    out, _ = repair(rows)
    mended = out.values[:, CHANNEL["yaw"]]
    assert np.array_equal(mended[:18], rows[:18, CHANNEL["yaw"]])
    assert 3 < np.argmax(mended > 28) - 20 < 16
    assert abs(mended[-1] - 30) < 0.01 and mended.max() < 31


def test_a_head_that_was_away_for_a_frame_was_not_there() -> None:
    rows = put(performed(3, "idle", 80), "roll", 40, [20.0])
    out, _ = repair(rows)
    names, start, end = changed(rows, out)
    assert names == {"roll"} and start >= 37 and end <= 48
    assert np.abs(np.diff(out.values[:, CHANNEL["roll"]])).max() < 1


def test_a_glide_of_the_eyes_becomes_fixations() -> None:
    rows = looking(looking(alive(120), 20, np.linspace(0, 24, 20)), 40, 24.0)
    rows = np.concatenate([rows, looking(alive(60), 0, 24.0)])
    out, _ = repair(rows)
    names, start, _ = changed(rows, out)
    assert names <= {"gaze_left", "gaze_right", "gaze_up", "gaze_down"} and start >= 19
    steps = np.abs(np.diff(out.values[:, CHANNEL["gaze_left"]])) * GAZE_DEGREES[0]
    assert (steps > 1).sum() < 12
    assert np.array_equal(out.values[-60:], rows[-60:])


def test_eyes_that_ride_in_a_turning_head_hold_on_to_what_they_see() -> None:
    rows = put(alive(90), "yaw", 0, 24 * np.clip((np.arange(90) - 20) / 12, 0, 1))
    mended = repair(rows)[0].values
    assert mended[24:30, CHANNEL["gaze_right"]].max() * GAZE_DEGREES[0] > 2
    assert np.abs(mended[-1, 10:14]).max() * GAZE_DEGREES[0] < 1.5


def test_eyes_that_are_far_out_for_too_long_come_back_a_little() -> None:
    rows = looking(alive(300), 30, 34.0)
    mended = repair(rows)[0].values[:, CHANNEL["gaze_left"]] * GAZE_DEGREES[0]
    assert mended[35] > 33 and 20 < mended[200] < 30


def test_a_twitch_becomes_nothing_and_a_flash_a_blink() -> None:
    rows = alive(80)
    put(rows, "AU45_L AU45_R", 40, [1.0])
    out, _ = repair(rows)
    assert changed(rows, out)[0] == {"AU45_L", "AU45_R"}
    mended = out.values[:, 8:10]
    assert mended[40].min() > 0.9 and 3 <= (mended.min(axis=1) > 0.3).sum() <= 8
    rows[40, 8] = 0.0
    assert repair(rows)[0].values[:, 8:10].max() < 0.5


def test_other_blinks_stay_as_they_are() -> None:
    rows = put(alive(150), "AU45_L AU45_R", 20, BLINK)
    put(rows, "AU45_L AU45_R", 60, [0.0, 1.0])
    put(rows, "AU45_L AU45_R", 110, BLINK)
    _, start, end = changed(rows, repair(rows)[0])
    assert 50 < start and end < 75


def test_a_wink_stays_a_wink_and_shut_eyes_stay_shut() -> None:
    rows = alive(120)
    rows[20:30, 8] = 1.0
    rows[60:100, 8:10] = 1.0
    mended = repair(rows)[0].values
    assert mended[22:30, 8].min() > 0.9 and mended[15:35, 9].max() < 0.5
    assert mended[62:98, 8:10].min() > 0.9


def test_a_long_stare_gets_its_blink() -> None:
    before = ControlTrack(alive(900))
    out, found = repair(alive(100), before, state="speaking")
    assert "stare" in {v.rule for v in found}
    assert out.values[:30, 8:10].min(axis=1).max() > 0.9


def test_ten_seconds_of_nothing_tremble_and_the_eyes_hold_still_in_space() -> None:
    out, found = repair(np.zeros((10 * FPS, 17)))
    assert {v.rule for v in found} == {"frozen"}
    assert 0 < np.abs(out.values[:, 14:]).max() < 0.5
    side = (out.values[:, 10] - out.values[:, 11]) * GAZE_DEGREES[0]
    assert np.abs(side + out.values[:, CHANNEL["yaw"]]).max() < 1e-4


def test_the_beginning_goes_on_from_what_was_before() -> None:
    before = performed(6, "anger", 90)
    rows = performed(7, "surprise", 60)
    out, _ = repair(rows, ControlTrack(before))
    step = np.abs(out.values[0] - before[-1])
    assert step[:8].max() < 0.63 and step[14:].max() < 8.1


def test_nan_holds_what_was_before() -> None:
    rows = performed(8, "idle", 60).astype(float)
    rows[20:23, CHANNEL["pitch"]] = np.nan
    out, found = repair(rows)
    assert found[0].rule == "finite" and found[0].channels == ("pitch",)
    assert abs(out.values[21, CHANNEL["pitch"]] - rows[19, CHANNEL["pitch"]]) < 1e-6


@pytest.mark.parametrize("values", [[[1, 2]], [1.0] * 17, "track", [[object()] * 17]])
def test_what_is_no_track_is_refused(values: object) -> None:
    with pytest.raises(InvalidInput):
        repair(values)  # type: ignore[arg-type]


def test_an_empty_track_stays_empty() -> None:
    out, found = repair(np.zeros((0, 17)))
    assert len(out) == 0 and found == []


def test_repair_says_the_same_each_time() -> None:
    rows = made("damaged", 100, np.random.default_rng(5))
    assert np.array_equal(repair(rows)[0].values, repair(rows)[0].values)


def test_a_sound_track_is_back_soon() -> None:
    rows = performed(1, "laughter", 600)
    before = ControlTrack(rows[:500])
    times = []
    for _ in range(20):
        start = time.perf_counter()
        repair(rows[500:], before)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.004  # 0.7 ms measured
