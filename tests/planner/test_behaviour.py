"""The whole of it: alive, smooth, within the body's limits, the same for the same seed."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import CHANNEL, F32, FPS, GAZE_DEGREES, InvalidInput
from planner import physiology as ph
from planner.behaviour import Behaviour
from planner.categories import LABELS
from planner.manners import State

STATES: tuple[State, ...] = ("idle", "listening", "thinking", "speaking")
BROWS = slice(0, 5)
CHEEKS = slice(5, 8)
LIDS = slice(8, 10)
POSE = slice(14, 17)

Command = Callable[[Behaviour], object]


def label(name: str) -> Command:
    return lambda b: b.set_label(name)


def state(name: State) -> Command:
    return lambda b: b.set_state(name)


def instruct(text: str) -> Command:
    return lambda b: b.set_instruction(text)


INSTRUCTIONS = (
    "", "look left", "look far up and right", "close your eyes for 1 second, then open them wide",
    "raise your left eyebrow and tilt your head right", "wink, nod", "shake your head",
    "turn your head 30 degrees right while looking at me", "squint for half a second", "relax",
    "lower your head quickly, raise your head quickly", "blink three times", "smile",
)  # fmt: skip
COMMANDS = st.one_of(
    st.sampled_from(sorted(LABELS)).map(label),
    st.sampled_from(STATES).map(state),
    st.sampled_from(INSTRUCTIONS).map(instruct),
    st.just(lambda b: b.end_phrase()),
)


def gaze_in_space(values: F32) -> F32:
    """Degrees to the left and down, eyes and head together: float ``[T, 2]``."""
    side, up, low = GAZE_DEGREES
    x = side * (values[:, 10] - values[:, 11]) + values[:, CHANNEL["yaw"]]
    y = low * values[:, 13] - up * values[:, 12] + values[:, CHANNEL["pitch"]]
    return np.stack([x, y], 1)


def test_the_same_seed_and_commands_give_the_same_motion() -> None:
    def play(seed: int) -> F32:
        behaviour = Behaviour(seed, label="surprise")
        parts = [behaviour.advance(60).values]
        behaviour.set_label("sadness")
        behaviour.set_instruction("look away, then wink")
        parts.append(behaviour.advance(100).values)
        return np.concatenate(parts)

    assert np.array_equal(play(4), play(4))
    assert not np.array_equal(play(4), play(5))
    assert not np.array_equal(play(4), play(-4))


@pytest.mark.parametrize("chunk", [1, 8])
def test_the_size_of_chunks_does_not_matter(chunk: int) -> None:
    whole = Behaviour(6, label="laughter", instruction="look left, nod, then look at me")
    pieces = Behaviour(6, label="laughter", instruction="look left, nod, then look at me")
    for command in (state("speaking"), label("drowsiness"), instruct("raise one eyebrow")):
        a = whole.advance(80)
        mouth_a = whole.last_mouth.values
        b, mouth_b = [], []
        for _ in range(80 // chunk):
            b.append(pieces.advance(chunk).values)
            mouth_b.append(pieces.last_mouth.values)
        assert np.array_equal(a.values, np.concatenate(b))
        assert np.array_equal(mouth_a, np.concatenate(mouth_b))
        command(whole)
        command(pieces)
    assert sorted(map(repr, whole.actions())) == sorted(map(repr, pieces.actions()))


@pytest.mark.parametrize("name", LABELS)
def test_every_label_plays_five_minutes_within_the_bodys_limits(name: str) -> None:
    behaviour = Behaviour(8, label=name)
    track = behaviour.advance(5 * 60 * FPS)  # ControlTrack refuses NaN and out of range
    assert len(behaviour.last_mouth) == len(track)
    assert 0 <= behaviour.last_mouth.values.min() and behaviour.last_mouth.values.max() <= 1
    values = track.values
    assert np.all(np.abs(values[:, POSE]) <= ph.POSE_LIMITS)
    speed = np.abs(np.diff(values[:, POSE], axis=0)) * FPS
    assert speed.max() < ph.HEAD_SPEED_LIMIT
    assert values[:, 10:14].max() < 1.0  # the eyes are never driven to their end stops


@pytest.mark.parametrize("name", ["idle", "speaking", "laughter", "drowsiness", "anger"])
def test_motion_does_not_loop(name: str) -> None:
    """At no lag from 3 to 45 s does the motion of brows, lids and head repeat itself."""
    values = Behaviour(2, label=name).advance(90 * FPS).values
    channels = [0, 2, 4, 8, 14, 15, 16]
    motion = (values[5:] - values[:-5])[:, channels]
    motion = motion[:, motion.std(0) > 0]
    motion = (motion - motion.mean(0)) / motion.std(0)
    n = len(motion)
    for lag in range(3 * FPS, 45 * FPS, 2):
        assert abs(float((motion[lag:] * motion[: n - lag]).mean())) < 0.35


@pytest.mark.parametrize("name", [*LABELS, "listening", "thinking"])
def test_never_frozen(name: str) -> None:
    """Somewhere in every second, head or gaze visibly moves."""
    behaviour = Behaviour(3, label=name if name in LABELS else "idle")
    if name not in LABELS:
        behaviour.set_state(name)  # type: ignore[arg-type]
    values = behaviour.advance(60 * FPS).values
    moving = np.concatenate([values[:, POSE], gaze_in_space(values)], 1)
    for start in range(0, len(moving) - FPS):
        assert np.ptp(moving[start : start + FPS], axis=0).max() > 0.02, start


def test_idle_keeps_eye_contact() -> None:
    """Attentive, not nervous: most frames look at the viewer, aversions are short."""
    for seed in range(4):
        gaze = gaze_in_space(Behaviour(seed).advance(60 * FPS).values)
        contact = np.hypot(*gaze.T) < 3.5
        assert contact.mean() > 0.75
        assert np.abs(gaze).max() < 20


def test_eyes_counter_rotate_against_the_head() -> None:
    """During fixation the gaze in space stays while the head drifts."""
    values = Behaviour(1).advance(120 * FPS).values
    space = np.abs(np.diff(gaze_in_space(values), axis=0)).max(1)
    fixating = space < 0.01
    assert fixating.mean() > 0.6
    yaw = np.diff(values[:, CHANNEL["yaw"]])
    eye = np.diff(35 * (values[:, 10] - values[:, 11]))
    moving = fixating & (np.abs(yaw) > 0.01)
    assert moving.sum() > 100
    assert np.abs(eye[moving] + yaw[moving]).max() < 0.011


def test_thinking_looks_away_more_than_listening() -> None:
    shares = {}
    for name in ("listening", "thinking"):
        behaviour = Behaviour(5)
        behaviour.set_state(name)
        gaze = gaze_in_space(behaviour.advance(60 * FPS).values)
        shares[name] = float((np.hypot(*gaze.T) > 5).mean())
    assert shares["listening"] < 0.25 < 0.45 < shares["thinking"]


def test_unheard_speech_beats_and_listening_nods() -> None:
    kinds: dict[str, list[str]] = {}
    for name in (*STATES, "unheard"):
        behaviour = Behaviour(7, label="speaking" if name == "unheard" else "idle")
        if name in STATES:
            behaviour.set_state(name)
        kinds[name] = []
        for _ in range(60):
            behaviour.advance(FPS)
            kinds[name] += [a.kind for a in behaviour.actions() if a.amount]
    assert kinds["unheard"].count("accent") > 20 and "nod" not in kinds["unheard"]
    assert "accent" not in kinds["speaking"]  # they come with the sound
    assert kinds["listening"].count("nod") >= 5 and "accent" not in kinds["listening"]
    assert "accent" not in kinds["idle"]


# --- Commands --------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 1000),
    before=st.lists(st.tuples(COMMANDS, st.integers(1, 60)), max_size=4),
    command=COMMANDS,
)
@settings(max_examples=25, deadline=None)
def test_a_command_changes_neither_position_nor_velocity(
    seed: int, before: list[tuple[Command, int]], command: Command
) -> None:
    """Two of the same, one gets a command: in brows, cheeks, mouth and head they part slowly.

    With a continuous velocity the difference after one frame is of second order: much smaller
    than what the fastest motion covers in a frame. Lids may blink and eyes may jump at once.
    """
    one, other = Behaviour(seed), Behaviour(seed)
    for earlier, frames in before:
        for behaviour in (one, other):
            earlier(behaviour)
            behaviour.advance(frames)
    command(other)
    a, b = one.advance(2).values, other.advance(2).values
    apart = np.abs(a - b)
    assert apart[0, BROWS].max() < 0.12
    assert apart[0, CHEEKS][1:].max() < 0.12  # AU5, the first of them, gives way to any blink
    assert apart[0, POSE].max() < 1.3
    mouth = np.abs(one.last_mouth.values - other.last_mouth.values)
    assert mouth[0].max() < 0.12
    assert np.all(apart[1, BROWS] < 0.6)


@given(st.integers(0, 1000), st.lists(st.tuples(COMMANDS, st.integers(1, 50)), max_size=8))
@settings(max_examples=25, deadline=None)
def test_rates_stay_physiological_under_any_commands(
    seed: int, commands: list[tuple[Command, int]]
) -> None:
    behaviour = Behaviour(seed)
    parts = [behaviour.advance(10).values]
    for command, frames in commands:
        command(behaviour)
        parts.append(behaviour.advance(frames).values)
    values = np.concatenate(parts)
    steps = np.abs(np.diff(values, axis=0))
    # A minimum-jerk motion peaks at 1.875 of its mean speed; two of them may add up.
    fastest_unit = 2 * 1.875 / (ph.AU_RISE_SECONDS * FPS)
    assert steps[:, BROWS].max(initial=0) < fastest_unit
    assert steps[:, 6:8].max(initial=0) < fastest_unit
    # Gestures on top of a turn may come out a little fast: the critic sees to that.
    assert steps[:, POSE].max(initial=0) < 1.25 * ph.HEAD_SPEED_LIMIT / FPS
    closing = 1.875 / (ph.CLOSING_SECONDS[2] * FPS)
    assert steps[:, LIDS].max(initial=0) < min(closing, 1.0) + 1e-6
    jumps = np.hypot(*np.diff(gaze_in_space(values), axis=0).T)
    for size in jumps[jumps > 2]:  # one frame never covers more than a saccade could
        assert size <= ph.saccade_peak_velocity(70) / FPS


@pytest.mark.parametrize("name", sorted(set(LABELS) - {"idle", "speaking"}))
def test_a_label_shows_within_a_window(name: str) -> None:
    one, other = Behaviour(3), Behaviour(3)
    one.advance(50), other.advance(50)
    other.set_label(name)
    apart = np.abs(one.advance(8).values - other.advance(8).values)
    scale = np.array([0.08] * 14 + [0.5] * 3)
    assert (apart / scale).max() > 1


def test_an_instruction_wins_over_the_label_and_lets_go() -> None:
    behaviour = Behaviour(3, label="anger")
    behaviour.advance(75)
    assert behaviour.set_instruction("raise your left eyebrow, sing") == ["sing"]
    held = behaviour.advance(100).values[30:]
    assert held[:, CHANNEL["AU2_L"]].min() > 0.6
    assert held[:, CHANNEL["AU2_R"]].max() < 0.1
    assert held[:, CHANNEL["AU4"]].min() > 0.3  # the label goes on elsewhere
    behaviour.set_instruction("")
    assert behaviour.advance(60).values[-1, CHANNEL["AU2_L"]] < 0.1


def test_a_held_look_is_kept_until_replaced() -> None:
    behaviour = Behaviour(2)
    behaviour.set_instruction("look 15 degrees left")
    gaze = gaze_in_space(behaviour.advance(20 * FPS).values)[5:]
    assert np.abs(gaze - [15, 0]).max() < 4
    behaviour.set_instruction("look down for 1 second")
    gaze = gaze_in_space(behaviour.advance(4 * FPS).values)
    assert gaze[5:20, 1].min() > 8
    assert np.hypot(*gaze[-20:].T).min() < 4


def test_sequences_play_in_order() -> None:
    behaviour = Behaviour(2)
    behaviour.set_instruction("close your eyes for 2 seconds, then wink right, then look left")
    lids = behaviour.advance(6 * FPS).values
    left, right = lids[:, 8], lids[:, 9]
    assert left[15:45].min() > 0.95 and right[15:45].min() > 0.95
    wink = slice(2 * FPS, 3 * FPS)
    assert right[wink].max() > 0.95
    assert gaze_in_space(lids)[-10:, 0].min() > 10


def test_commands_that_make_no_sense_change_nothing() -> None:
    one, other = Behaviour(3), Behaviour(3)
    one.advance(20), other.advance(20)
    with pytest.raises(InvalidInput, match="Known labels: idle"):
        other.set_label("hangry")
    with pytest.raises(InvalidInput, match="shouting"):
        other.set_state("shouting")  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="characters"):
        other.set_instruction("x" * 501)
    with pytest.raises(InvalidInput):
        other.advance(-1)
    assert np.array_equal(one.advance(50).values, other.advance(50).values)
    with pytest.raises(InvalidInput):
        Behaviour(1, label="")


# --- Actions ---------------------------------------------------------------------------------


def test_actions_tell_the_future() -> None:
    """Glances are announced ahead, and the eyes are there at the peak."""
    behaviour = Behaviour(11)
    glances: dict[int, tuple[int, float]] = {}
    rows = []
    for k in range(90 * FPS):
        rows.append(behaviour.advance(1).values[0])
        for action in behaviour.actions():
            assert action.start <= action.peak <= action.end
            assert action.why and action.kind
            if action.kind == "glance" and action.amount:
                glances[action.peak] = (k, action.amount)
    gaze = np.hypot(*gaze_in_space(np.array(rows)).T)
    seen = [p for p in glances if p + 1 < len(rows)]
    assert len(seen) >= 5
    assert np.median([p - glances[p][0] for p in seen]) > FPS
    for peak in seen:
        assert gaze[peak + 1] > 0.6 * glances[peak][1]


def test_an_unread_feed_of_actions_is_bounded() -> None:
    behaviour = Behaviour(1, label="evasive_response")
    behaviour.advance(10 * 60 * FPS)
    assert len(behaviour.actions()) <= 256
    assert behaviour.actions() == []


def test_advance_is_cheap() -> None:
    """Far below a frame's 40 ms; the bound is loose because the machine is shared."""
    behaviour = Behaviour(1, label="cognitive_effort")
    begun = time.perf_counter()
    for _ in range(500):
        behaviour.advance(1)
    assert (time.perf_counter() - begun) / 500 < 0.002
