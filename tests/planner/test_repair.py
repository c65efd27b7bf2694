"""Repair: whatever comes in, what goes out a face can do, and it is still what was meant."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from core import CHANNEL, FPS, GAZE_DEGREES, ControlTrack, InvalidInput
from planner.behaviour import Behaviour
from planner.categories import LABELS
from planner.library import load_library
from planner.repair import repair
from planner.rules import check

Array: TypeAlias = npt.NDArray[Any]
STATES = ("idle", "listening", "thinking", "speaking")


def performed(seed: int, label: str, frames: int) -> Array:
    performer = Behaviour(seed, label=label, library=load_library())
    return performer.advance(frames).values.copy()


def test_a_sound_track_comes_back_bit_by_bit() -> None:
    for seed, label in enumerate(LABELS):
        whole = performed(seed, label, 300)
        track, found = repair(whole[100:], ControlTrack(whole[:100]))
        assert found == [] and np.array_equal(track.values, whole[100:])


@st.composite
def tracks(draw: st.DrawFn) -> Array:
    """Noise, steps, waves, spikes and damaged real motion."""
    frames = draw(st.integers(1, 130))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    kind = draw(st.sampled_from(["any", "noise", "steps", "waves", "spikes", "still", "damaged"]))
    reach = np.r_[np.ones(14), 30.0, 40.0, 25.0]
    if kind == "any":
        wild = st.floats(width=32, allow_nan=True, allow_infinity=True)
        rows: Array = draw(arrays.arrays(np.float64, (min(frames, 12), 17), elements=wild))
        return rows
    if kind == "noise":
        return np.asarray(rng.normal(0, 10.0 ** rng.uniform(-2, 2), (frames, 17)))
    if kind == "steps":
        return np.asarray(np.repeat(rng.random((frames // 6 + 1, 17)), 6, axis=0)[:frames] * reach)
    if kind == "waves":
        t = np.arange(frames)[:, None]
        waves = np.sin(t * rng.uniform(0, 3, 17) + rng.uniform(0, 6, 17))
        return np.asarray(reach * (0.5 + 0.5 * waves))
    if kind == "spikes":
        return np.asarray(np.where(rng.random((frames, 17)) < 0.06, 1.0, 0.0) * reach * 2)
    if kind == "still":
        return np.asarray(np.tile(rng.random(17) * reach, (frames, 1)))
    rows = performed(int(rng.integers(99)), str(rng.choice(list(LABELS))), frames).astype(float)
    for _ in range(4):
        at, channel = int(rng.integers(frames)), int(rng.integers(17))
        rows[at : at + int(rng.integers(1, 15)), channel] = rng.choice([0, 1, -1, 0.5, np.nan, 50])
    return rows


@given(tracks(), st.none() | tracks(), st.sampled_from(STATES))
@settings(max_examples=150, deadline=None)
def test_nothing_gets_past(values: Array, past: Array | None, state: str) -> None:
    before = None
    if past is not None:
        past = np.nan_to_num(past, posinf=90, neginf=-90).clip(-1e6, 1e6)
        past[:, :14] = past[:, :14].clip(0, 1)
        before = ControlTrack(past.astype(np.float32))
    track, _ = repair(values, before, state=state)
    assert len(track) == len(values)
    assert check(track, before, state=state) == []
    again, found = repair(track, before, state=state)
    assert found == [] and np.array_equal(again.values, track.values)


def test_a_long_stare_gets_its_blink() -> None:
    before = ControlTrack(performed(1, "idle", 1)[:1].repeat(900, axis=0))
    rows = performed(1, "idle", 100)
    rows[:, 8:10] = 0
    track, found = repair(rows, before, state="speaking")
    assert "stare" in {v.rule for v in found}
    assert track.values[:16, 8:10].min(axis=1).max() > 0.9


def test_a_brow_that_leaps_rises_at_once_but_not_faster_than_it_can() -> None:
    rows = performed(2, "idle", 60)
    rows[:, CHANNEL["AU4"]] = np.where(np.arange(60) < 30, 0.0, 1.0)
    mended = repair(rows)[0].values[:, CHANNEL["AU4"]]
    assert mended[29] == 0 and 0.5 < mended[30] < 0.7 and mended[31] > 0.95


def test_a_head_that_leaps_turns_and_arrives() -> None:
    rows = performed(2, "idle", 80)
    yaw = CHANNEL["yaw"]
    rows[:, yaw] = np.where(np.arange(80) < 20, 0.0, 30.0)
    mended = repair(rows)[0].values[:, yaw]
    assert np.abs(mended[:20]).max() < 0.5
    assert 3 < np.argmax(mended > 28) - 20 < 16
    assert abs(mended[-1] - 30) < 0.5 and mended.max() < 31


def test_a_glide_of_the_eyes_becomes_fixations() -> None:
    rows = performed(3, "idle", 100)
    rows[:, 10:14] = 0
    rows[20:60, CHANNEL["gaze_left"]] = np.linspace(0, 0.7, 40)
    rows[60:, CHANNEL["gaze_left"]] = 0.7
    mended = repair(rows)[0].values
    steps = np.abs(np.diff(mended[:, CHANNEL["gaze_left"]])) * GAZE_DEGREES[0]
    assert (steps > 1).sum() < 12
    assert abs(mended[-1, CHANNEL["gaze_left"]] - 0.7) * GAZE_DEGREES[0] < 2


def test_a_twitch_becomes_nothing_and_a_flash_a_blink() -> None:
    rows = performed(4, "idle", 80)
    rows[:, 8:10] = 0
    rows[40, 8:10] = 1.0
    mended = repair(rows)[0].values[:, 8:10]
    assert mended[40].min() > 0.9 and 3 <= (mended.min(axis=1) > 0.3).sum() <= 8
    rows[40, 8] = 0.0
    assert repair(rows)[0].values[:, 8:10].max() < 0.5


def test_a_wink_stays_a_wink_and_shut_eyes_stay_shut() -> None:
    rows = performed(5, "idle", 120)
    rows[:, 8:10] = 0
    rows[20:30, 8] = 1.0
    rows[60:100, 8:10] = 1.0
    mended = repair(rows)[0].values
    assert mended[20:30, 8].min() > 0.9 and mended[15:35, 9].max() < 0.5
    assert mended[62:98, 8:10].min() > 0.9


def test_the_beginning_goes_on_from_what_was_before() -> None:
    before = performed(6, "anger", 90)
    rows = performed(7, "surprise", 60)
    track, _ = repair(rows, ControlTrack(before))
    step = np.abs(track.values[0] - before[-1])
    assert step[:8].max() < 0.63 and step[14:].max() < 8.1


@pytest.mark.parametrize("values", [[[1, 2]], [1.0] * 17, "track", [[object()] * 17]])
def test_what_is_no_track_is_refused(values: object) -> None:
    with pytest.raises(InvalidInput):
        repair(values)  # type: ignore[arg-type]


def test_an_empty_track_stays_empty() -> None:
    track, found = repair(np.zeros((0, 17)))
    assert len(track) == 0 and found == []


def test_ten_seconds_of_nothing_trembles() -> None:
    track, found = repair(np.zeros((10 * FPS, 17)))
    assert {v.rule for v in found} == {"frozen"}
    assert 0 < np.abs(track.values[:, 14:]).max() < 0.5
