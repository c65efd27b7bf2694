"""The label tables: complete, consistent, and true to their prototypes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from core import CHANNEL, FPS, GAZE_DEGREES, MOUTH, InvalidInput
from planner.behaviour import Behaviour
from planner.categories import LABELS, category
from planner.saccade import DIRECTIONS

EMH = {
    "sadness", "fear", "disgust", "contempt", "anger", "surprise", "laughter", "cognitive_effort",
    "low_arousal_negative", "social_engagement", "evasive_response", "drowsiness",
}  # fmt: skip


def test_all_labels_are_there() -> None:
    assert set(LABELS) == EMH | {"idle", "speaking"}
    with pytest.raises(InvalidInput, match="no label 'bored'"):
        category("bored")


@pytest.mark.parametrize("name", LABELS)
def test_tables_are_consistent(name: str) -> None:
    entry = LABELS[name]
    assert entry.title and entry.description.endswith(".")
    reachable, todo = {entry.first}, [entry.first]
    while todo:
        for follower, weight in entry.stages[todo.pop()].then:
            assert weight > 0
            if follower not in reachable:
                reachable.add(follower)
                todo.append(follower)
    assert reachable == set(entry.stages)
    for stage in entry.stages.values():
        assert 0.15 < stage.rise[0] <= stage.rise[1] and 0 < stage.seconds[0] <= stage.seconds[1]
        for key, (low, high) in stage.controls.items():
            assert low <= high
            bare = key.removesuffix("?").partition("_")[0]
            assert key in MOUTH or key in CHANNEL or bare in (
                "AU1", "AU2", "AU45", "yaw", "roll"
            )  # fmt: skip
            if bare in ("pitch", "yaw", "roll"):
                assert -16 <= low and high <= 16
            else:
                assert 0 <= low and high <= 1
        for where in [stage.look.where] if stage.look else []:
            assert where == "viewer" or where.replace("side", "left") in DIRECTIONS
        for where, weight in stage.gaze.where if stage.gaze else ():
            assert where.replace("side", "left") in DIRECTIONS and weight > 0


def means(name: str) -> dict[str, float]:
    """Mean of every channel over a minute and two people."""
    rows = np.concatenate([Behaviour(s, label=name).advance(60 * FPS).values for s in (1, 2)])
    return {channel: float(rows[:, i].mean()) for channel, i in CHANNEL.items()}


@pytest.mark.parametrize(
    ("name", "strong", "weak"),
    [
        ("sadness", {"AU1_L": 0.7, "AU4": 0.1, "AU45_L": 0.1}, {"AU2_L": 0.1, "AU5": 0.05}),
        ("fear", {"AU1_L": 0.7, "AU2_L": 0.15, "AU4": 0.3, "AU5": 0.5}, {"AU6": 0.1}),
        ("disgust", {"AU4": 0.5, "AU6": 0.3, "AU7": 0.5}, {"AU1_L": 0.1, "AU5": 0.05}),
        ("anger", {"AU4": 0.7, "AU7": 0.4, "AU5": 0.3}, {"AU1_L": 0.05, "AU2_L": 0.05}),
        ("surprise", {"AU1_L": 0.55, "AU2_L": 0.55, "AU5": 0.3}, {"AU4": 0.1, "AU7": 0.1}),
        ("laughter", {"AU6": 0.6, "AU7": 0.4}, {"AU4": 0.05, "AU5": 0.05}),
        ("cognitive_effort", {"AU4": 0.4, "AU7": 0.2}, {"AU5": 0.12, "AU6": 0.05}),
        ("social_engagement", {"AU6": 0.35, "AU2_L": 0.2}, {"AU4": 0.05}),
        ("drowsiness", {"AU45_L": 0.35}, {"AU4": 0.05, "AU5": 0.1}),
        ("low_arousal_negative", {"AU45_L": 0.2, "AU4": 0.1}, {"AU1_L": 0.1, "AU5": 0.05}),
        ("contempt", {"AU45_L": 0.1}, {"AU4": 0.2, "AU5": 0.05, "AU6": 0.05}),
        ("evasive_response", {"AU1_L": 0.15}, {"AU5": 0.05, "AU6": 0.05, "AU4": 0.25}),
        ("idle", {}, {"AU1_L": 0.1, "AU4": 0.05, "AU5": 0.05, "AU6": 0.15, "AU7": 0.1}),
    ],
)
def test_prototypes(name: str, strong: dict[str, float], weak: dict[str, float]) -> None:
    """The action units of each state are on, those of its opposites are not."""
    mean = means(name)
    for channel, least in strong.items():
        assert mean[channel] > least, (channel, mean[channel])
    for channel, most in weak.items():
        assert mean[channel] < most, (channel, mean[channel])


def test_no_stage_raises_a_lid_that_it_lowers() -> None:
    for entry in LABELS.values():
        for stage in entry.stages.values():
            lowered = stage.controls.get("AU45", (0.0, 0.0))[1]
            assert not (stage.controls.get("AU5") and lowered), (entry.title, stage.why)


def features(name: str, seed: int) -> npt.NDArray[np.float64]:
    """What eyes and head do in each of some 4 s, whichever side it is on: float64 ``[n, 28]``."""
    v = Behaviour(seed, label=name).advance(16 * FPS).values.astype(float)
    side = GAZE_DEGREES[0] * (v[:, 10] - v[:, 11])
    down = GAZE_DEGREES[2] * v[:, 13] - GAZE_DEGREES[1] * v[:, 12]
    pitch, yaw, roll = v[:, 14:].T
    brows = [np.minimum(v[:, 0], v[:, 1]), np.maximum(v[:, 0], v[:, 1]),
             np.minimum(v[:, 2], v[:, 3]), np.maximum(v[:, 2], v[:, 3])]  # fmt: skip
    lids = [v[:, 4], v[:, 5], v[:, 6], v[:, 7], v[:, 8]]
    turns = [np.abs(side + yaw), down + pitch, pitch, np.abs(yaw), np.abs(roll)]
    rows = np.stack([*brows, *lids, *(0.1 * turn for turn in turns)], -1)
    clips = rows.reshape(4, 4 * FPS, -1)
    return np.concatenate([clips.mean(1), clips.std(1)], -1)


def test_eyes_and_head_alone_tell_the_labels_apart() -> None:
    """A nearest mean over four people knows what four others feel, from 4 s each.

    It sees neither mouth nor speech. Being at ease and speaking differ by little else.
    """
    known = {name: np.concatenate([features(name, s) for s in range(4)]) for name in LABELS}
    spread = np.sqrt(np.mean([clips.var(0) for clips in known.values()], axis=0))
    middles = np.stack([clips.mean(0) for clips in known.values()]) / spread
    for i, name in enumerate(LABELS):
        clips = np.concatenate([features(name, s) for s in range(10, 14)]) / spread
        nearest = np.linalg.norm(clips[:, None] - middles, axis=-1).argmin(-1)
        share = float((nearest == i).mean())
        assert share >= (0.6 if name in ("idle", "speaking") else 0.85), (name, nearest)


def test_contempt_is_one_sided() -> None:
    for seed in range(4):
        values = Behaviour(seed, label="contempt").advance(40 * FPS).values
        brows = sorted(values[:, [CHANNEL["AU2_L"], CHANNEL["AU2_R"]]].mean(0))
        assert brows[1] > 5 * brows[0]


def test_drowsiness_sinks_and_starts_up() -> None:
    values = Behaviour(3, label="drowsiness").advance(60 * FPS).values
    pitch = values[:, CHANNEL["pitch"]]
    assert pitch.max() > 9
    falls, rises = np.diff(pitch).max() * FPS, -np.diff(pitch).min() * FPS
    assert rises > 2 * falls  # sinks slowly, jerks back up
    closed = (values[:, 8] > 0.8).mean()
    assert 0.08 < closed < 0.5  # PERCLOS of the drowsy: Wierwille et al. 1994


def test_the_same_label_never_plays_the_same_way_twice() -> None:
    one, other = (Behaviour(s, label="sadness").advance(20 * FPS).values for s in (1, 2))
    assert np.abs(one[:, 0] - other[:, 0]).max() > 0.1
