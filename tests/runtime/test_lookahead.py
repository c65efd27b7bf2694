"""Lookahead: what is planned plays, commands cut in without a jump, late scores wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import (
    AU_SLICE,
    CHUNK_FRAMES,
    F32,
    FPS,
    POSE_SLICE,
    WINDOW_FRAMES,
    ControlTrack,
    InvalidInput,
)
from planner.behaviour import Behaviour
from planner.library import load_library
from planner.plan import Event, Exchange, Score
from planner.rules import check, check_played
from planner.stages import Look, Stage
from runtime.lookahead import CUT_FRAMES, JOIN_FRAMES, Lookahead

STARE_LEFT = Stage(
    (4.0, 4.0), (0.3, 0.3), {"AU4": (0.6, 0.6)}, (), "stares left", look=Look("left", (20, 20)),
    blinks=0.5,
)  # fmt: skip
SCORE = Score((Event(0, CHUNK_FRAMES, "stares left", STARE_LEFT),), "endpoint")


def make(seed: int = 3, label: str = "idle") -> Lookahead:
    performer = Behaviour(seed, label=label, library=load_library())
    return Lookahead(performer, label=label, seed=seed)


def play(ahead: Lookahead, frames: int, at_once: int = 1) -> F32:
    parts = [np.zeros((0, 17), np.float32)]
    parts += [ahead.take(at_once)[0].values for _ in range(frames // at_once)]
    return np.concatenate(parts)


def test_what_plays_is_what_was_performed() -> None:
    ahead = make()
    whole = play(ahead, 3 * CHUNK_FRAMES)
    alone = Behaviour(3, library=load_library()).advance(3 * CHUNK_FRAMES).values
    mended = {v.start for chunk in ahead.plans() for v in chunk.plan.repaired}
    assert mended or np.allclose(whole, alone, atol=1e-5)


def test_frames_do_not_depend_on_how_many_are_taken_at_once() -> None:
    assert np.array_equal(play(make(), 240), play(make(), 240, at_once=WINDOW_FRAMES))


def test_the_next_chunk_is_ready_long_before_it_plays() -> None:
    ahead = make()
    play(ahead, 40)
    plans = ahead.plans()
    assert [chunk.status for chunk in plans] == ["ahead", "playing"]
    assert plans[0].plan.start == plans[1].plan.end
    play(ahead, 2 * CHUNK_FRAMES)
    statuses = [chunk.status for chunk in ahead.plans()]
    assert statuses == ["ahead", "playing", "played", "played"]
    starts = [chunk.plan.start for chunk in ahead.plans()]
    assert starts == sorted(starts, reverse=True)


def test_the_memory_of_plans_is_bounded() -> None:
    ahead = make()
    play(ahead, 12 * CHUNK_FRAMES, at_once=WINDOW_FRAMES)
    assert len(ahead.plans()) <= 8


@pytest.mark.parametrize("frame", [0, 1, 24, 25, 60, 99, 100, 137])
def test_a_label_shows_within_a_window_and_without_a_jump(frame: int) -> None:
    changed, steady = make(), make()
    before, _ = play(changed, frame), play(steady, frame)
    changed.behave(label="surprise")
    after, same = play(changed, 2 * FPS), play(steady, 2 * FPS)
    apart = np.abs(after - same)
    assert apart[:WINDOW_FRAMES, AU_SLICE].max() > 0.1
    assert apart[0, AU_SLICE].max() < 0.12
    whole = np.concatenate([before, after])
    assert not check(ControlTrack(whole))


def test_an_instruction_takes_hold_at_once() -> None:
    ahead = make()
    play(ahead, 130)
    assert ahead.behave(instruction="look far left, then dance") == ["dance"]
    rows = play(ahead, WINDOW_FRAMES)
    assert rows[-1, 10] > 0.4
    assert ahead.playing.instruction == "look far left, then dance"
    assert ahead.playing.start == 130


def test_a_command_that_can_not_be_done_changes_nothing() -> None:
    one, other = make(), make()
    play(one, 30), play(other, 30)
    with pytest.raises(InvalidInput):
        other.behave(label="hangry", instruction="look left")
    with pytest.raises(InvalidInput):
        other.behave(label="anger", instruction="x" * 501)
    with pytest.raises(InvalidInput):
        other.set_state("shouting")  # type: ignore[arg-type]
    assert other.generation == 0
    assert np.array_equal(play(one, 150), play(other, 150))


def test_a_written_score_replaces_the_next_chunk() -> None:
    ahead = make()
    play(ahead, 50)
    ahead.offer(SCORE, ())
    play(ahead, CHUNK_FRAMES - 50)
    rows = play(ahead, CHUNK_FRAMES)
    assert ahead.playing.score.source == "endpoint"
    assert rows[20:80, 4].mean() > 0.4
    sideways = 35 * (rows[20:80, 10] - rows[20:80, 11]) + rows[20:80, 15]
    assert np.median(sideways) == pytest.approx(20, abs=3)
    play(ahead, CHUNK_FRAMES)
    assert ahead.playing.score.source == "embedded"


def test_a_late_score_waits_for_the_chunk_after() -> None:
    ahead = make()
    play(ahead, CHUNK_FRAMES - JOIN_FRAMES + 1)
    ahead.offer(SCORE, ())
    play(ahead, CHUNK_FRAMES)
    assert ahead.playing.score.source == "embedded"
    play(ahead, CHUNK_FRAMES)
    assert ahead.playing.score.source == "endpoint"


def test_a_failed_attempt_is_remembered_and_changes_nothing() -> None:
    one, other = make(), make()
    play(one, 60), play(other, 60)
    failed = (Exchange("planning", "endpoint", {}, {}, error="timed out"),)
    other.offer(None, failed)
    assert np.array_equal(play(one, 60), play(other, 60))
    assert other.playing.exchanges == failed and other.playing.score.source == "embedded"


def test_a_command_makes_an_offered_score_out_of_date() -> None:
    ahead = make()
    play(ahead, 10)
    ahead.offer(SCORE, ())
    ahead.behave(label="laughter")
    for _ in range(3):
        play(ahead, CHUNK_FRAMES)
        assert ahead.playing.score.source == "embedded"


def test_rehearsing_plays_nothing() -> None:
    one, other = make(), make()
    play(one, 30), play(other, 30)
    track, _ = other.rehearsal()(SCORE)
    assert len(track) == CHUNK_FRAMES and track.values[40:80, 4].mean() > 0.4
    assert np.array_equal(play(one, 150), play(other, 150))


def test_withdrawn_announcements_name_something_announced() -> None:
    ahead = make(seed=8)
    standing: set[tuple[str, int]] = set()
    for turn in range(30):
        play(ahead, 17)
        if turn % 3 == 0:
            ahead.behave(label=("fear", "idle", "drowsiness")[turn // 3 % 3])
        for action in ahead.news():
            key = (action.kind, action.start)
            if action.amount:
                standing.add(key)
            else:
                assert key in standing
                standing.remove(key)


Command: TypeAlias = Callable[[Lookahead], object]
Turn: TypeAlias = tuple[Command, int]
COMMANDS: st.SearchStrategy[Command] = st.sampled_from(
    [
        lambda a: a.behave(label="drowsiness"),
        lambda a: a.behave(label="fear"),
        lambda a: a.behave(label="laughter"),
        lambda a: a.behave(label="idle", instruction=""),
        lambda a: a.behave(instruction="shake your head twice quickly"),
        lambda a: a.behave(instruction="turn your head 30 degrees right while looking at me"),
        lambda a: a.behave(instruction="wink, then blink 5 times, then look up"),
        lambda a: a.behave(instruction="close your eyes for 2 seconds, then open them wide"),
        lambda a: a.set_state("thinking"),
        lambda a: a.set_state("speaking"),
        lambda a: a.set_state("idle"),
        lambda a: a.end_phrase(),
        lambda a: a.offer(SCORE, ()),
    ]
)


@given(st.integers(0, 10**6), st.lists(st.tuples(COMMANDS, st.integers(1, 90)), max_size=12))
@settings(max_examples=15, deadline=None)
def test_every_planned_row_passes_the_critic(
    seed: int, commands: list[tuple[Command, int]]
) -> None:
    ahead = make(seed)
    parts = [play(ahead, 10)]
    for command, frames in commands:
        command(ahead)
        parts.append(play(ahead, frames))
    assert check_played(ControlTrack(np.concatenate(parts))) == []


def test_beats_leave_the_gaze_where_it_was() -> None:
    quiet, beaten = make(), make()
    play(quiet, 50), play(beaten, 50)
    beaten.strike(1.0)
    one, other = play(quiet, 20), play(beaten, 20)
    assert np.abs(one - other)[:, POSE_SLICE].max() > 0.3
    space = [
        np.stack([35 * (r[:, 10] - r[:, 11]) + r[:, 15], 30 * r[:, 13] - 25 * r[:, 12] + r[:, 14]])
        for r in (one, other)
    ]
    assert np.abs(space[0] - space[1]).max() < 0.2
    assert np.array_equal(play(quiet, 30), play(beaten, 30))


def test_a_command_performs_little_at_once_and_chunks_grow_from_there() -> None:
    ahead = make()
    play(ahead, 130)
    ahead.behave(label="surprise")
    play(ahead, 3 * CHUNK_FRAMES)
    lengths = [len(chunk.plan) for chunk in reversed(ahead.plans()) if chunk.plan.start >= 130]
    assert lengths[0] == CUT_FRAMES < CHUNK_FRAMES / 4
    assert lengths[2:4] == [CHUNK_FRAMES, CHUNK_FRAMES]
    assert lengths[0] < lengths[1] < CHUNK_FRAMES


@pytest.mark.parametrize("at_once", [1, WINDOW_FRAMES])
def test_after_a_command_chunks_are_performed_before_they_play(at_once: int) -> None:
    ahead = make()
    play(ahead, 40)
    ahead.behave(label="surprise")
    for chunk in range(3):
        left = ahead.playing.end - ahead.frame
        play(ahead, left // at_once * at_once, at_once)
        following = ahead._next
        assert following is not None and following.missing == 0, chunk
        play(ahead, at_once)


def test_a_score_that_just_makes_it_is_performed_in_time() -> None:
    ahead = make()
    play(ahead, CHUNK_FRAMES - JOIN_FRAMES)
    ahead.offer(SCORE, ())
    play(ahead, JOIN_FRAMES)
    assert ahead._next is not None and ahead._next.missing == 0
    play(ahead, 1)
    assert ahead.playing.score.source == "endpoint"


def test_a_score_written_for_a_command_joins_within_three_seconds() -> None:
    ahead = make()
    play(ahead, 60)
    ahead.behave(label="anger")
    play(ahead, FPS)  # which is how long the model thought about it
    ahead.offer(SCORE, ())
    play(ahead, 2 * FPS)
    assert ahead.playing.score.source == "endpoint"
