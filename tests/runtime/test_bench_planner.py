"""The planner's bench: what is held out, how it is compared, and that the tables come out."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from core import CHANNEL, CHUNK_FRAMES, F32, FPS, ControlTrack
from planner.categories import LABELS
from planner.library import load_library
from planner.recordings import Recording
from planner.sources import Use
from runtime import bench_fidelity as fidelity
from runtime import bench_planner
from runtime.bench_fidelity import F1, MOTION, REAL_MOTION, SHAPE, TEMP, VARIANTS, Take
from runtime.bench_speed import AT_RANDOM, label_change, plan_times, soundness, spread
from runtime.bootstrap import estimate, total


def silent(_: str) -> None:
    pass


def recording(
    name: str, category: str = "anger", use: Use = "evaluation", seconds: float = 6.0, **at: float
) -> Recording:
    """A face that holds ``at``; folder and person are in ``name``: folder/person."""
    controls = ControlTrack.neutral(round(seconds * FPS), **at)
    folder, _, person = name.partition("/")
    source = f"{folder} 0123abcd"
    nothing = np.zeros((2, 15))
    return Recording(
        name, person, category, controls, source, "none", use, frozenset({"brows"}), 30.0,
        np.array([0.0, seconds]), nothing,
    )  # fmt: skip


def take(person: str, category: str = "anger", frames: int = 150, **at: float) -> Take:
    return Take(f"a/{person}", person, category, ControlTrack.neutral(frames, **at).values)


# --- who is held out -----------------------------------------------------------------------


def test_nobody_the_library_knows_is_measured_against() -> None:
    shipped = load_library()
    known = next(p for p in shipped.prototypes if p.kind == "recorded").name.partition("@")[0]
    recordings = [
        recording("a/one"),
        recording("b/two", use="training"),
        recording("c/two"),  # the same person in another collection
        recording("b/three"),  # the same collection: who knows
        recording("d/four", use="limited"),
        recording("e/five", category=""),
        recording("f/six", seconds=1.0),
        replace(recording("g/seven"), name=known),  # in this library, whatever its use
        recording("g/eight"),
    ]
    takes = fidelity.held_out(recordings, shipped)
    assert {t.person for t in takes} == {"one", "four"}


def test_long_takes_and_large_crowds_do_not_decide_alone() -> None:
    crowd = [recording(f"a/p{i}", category="speaking", seconds=40) for i in range(50)]
    takes = fidelity.held_out(crowd, load_library())
    assert len(takes) == fidelity.MOST_PERSONS
    assert {len(t.controls) for t in takes} == {fidelity.MOST_FRAMES}
    assert [t.person for t in takes] == [t.person for t in fidelity.held_out(crowd, load_library())]


def test_pieces_are_chunks_and_a_rest_that_is_worth_it() -> None:
    values = take("p", frames=2 * CHUNK_FRAMES + 50).controls
    assert [len(p) for p in fidelity.pieces(values)] == [CHUNK_FRAMES, CHUNK_FRAMES, 50]
    assert [len(p) for p in fidelity.pieces(values[: CHUNK_FRAMES + 10])] == [CHUNK_FRAMES]


# --- variants ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_plays_the_label_for_as_long_as_asked(name: str) -> None:
    variant = VARIANTS[name]
    played = variant("surprise", 130, 3)
    assert played.shape == (130, 17) and np.isfinite(played).all()
    assert np.array_equal(played, variant("surprise", 130, 3))
    brows = [CHANNEL["AU2_L"], CHANNEL["AU2_R"]]
    assert played[40:, brows].mean() > variant("sadness", 130, 3)[40:, brows].mean() + 0.2


def test_the_ablations_differ_in_what_they_leave_out() -> None:
    plain, textured = fidelity.planner_only("idle", 200, 1), fidelity.composition("idle", 200, 1)
    assert 0 < np.abs(plain - textured).max() < 5
    glide = fidelity.direct("anger", 200, 1)
    assert np.ptp(glide[50:], axis=0).max() == 0  # no time in it
    looped = fidelity.retrieval("laughter", 600, 1)
    lengths = {len(p.controls) for p in load_library().prototypes if p.category == "laughter"}
    assert any(np.array_equal(looped[n:], looped[:-n]) for n in lengths if n < 600)
    other = fidelity.other_label("anger", 100, 5)
    assert not np.array_equal(other, fidelity.full("anger", 100, 5))


def test_every_label_has_a_prototype_for_rule_based_retrieval() -> None:
    assert {p.category for p in load_library().prototypes} >= set(LABELS)


# --- comparing -----------------------------------------------------------------------------


def test_a_planner_that_does_what_people_do_scores_1() -> None:
    takes = [take("p", AU4=0.5, AU5=0.4), take("q", AU4=0.5, AU5=0.4)]

    def same(label: str, frames: int, seed: int) -> F32:
        return ControlTrack.neutral(frames, AU4=0.5, AU5=0.4).values

    found = fidelity.compare(takes, same, 2, silent)
    mean = estimate(found["anger"]).mean
    assert mean[[F1, TEMP, SHAPE]] == pytest.approx(1)
    assert mean[MOTION] == mean[REAL_MOTION] == 0


def test_half_as_much_of_the_same_has_the_same_shape() -> None:
    def half(label: str, frames: int, seed: int) -> F32:
        return ControlTrack.neutral(frames, AU4=0.4, AU7=0.4).values

    found = fidelity.compare([take("p", AU4=0.8, AU7=0.8)], half, 1, silent)
    mean = estimate(found["anger"]).mean
    assert mean[SHAPE] == pytest.approx(1)
    assert mean[TEMP] == pytest.approx(1 - 2 / 3 * 0.4)  # two of three target units are 0.4 off


def test_performances_of_one_take_differ_and_can_be_repeated() -> None:
    seen: list[int] = []

    def spy(label: str, frames: int, seed: int) -> F32:
        seen.append(seed)
        return ControlTrack.neutral(frames).values

    for _ in range(2):
        fidelity.compare([take("p"), take("q")], spy, 3, silent)
    assert len(seen) == 12 and len(set(seen)) == 6 and seen[:6] == seen[6:]


def test_people_are_compared_with_others_of_their_category() -> None:
    takes = [take("p", AU4=0.6), take("q", AU4=0.6), take("r", "fear", AU1_L=0.9)]
    found = fidelity.compare_people(takes, 2)
    assert set(found) == {"anger"} and set(found["anger"]) == {"p", "q"}
    assert estimate(found["anger"]).mean[F1] == 1


def test_what_is_shown_counts_every_person_the_same() -> None:
    takes = [take("p", frames=400, AU4=0.8), take("q", frames=100)]
    shown = fidelity.shown(takes)["anger"]["AU4"]
    assert (shown.fires, shown.median, shown.high) == pytest.approx((0.5, 0.4, 0.4))


# --- how sure ------------------------------------------------------------------------------


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(60):
        people = 0.5 + rng.normal(0, 0.1, 12)
        rows = {f"{i}": x + rng.normal(0, 0.05, (6, 1)) for i, x in enumerate(people)}
        low, high = estimate(rows).interval(0)
        hits += low <= 0.5 <= high
    assert 0.8 < hits / 60 <= 1


def test_differences_over_the_same_people_are_surer_than_each() -> None:
    rng = np.random.default_rng(2)
    rows = {name: rng.normal(0.5, 0.2, (8, 1)) for name in "abcdef"}
    better = {name: v + 0.05 + rng.normal(0, 0.01, v.shape) for name, v in rows.items()}
    a, b = estimate(rows), estimate(better)
    low, high = b.minus(a).interval(0)
    assert 0.02 < low < 0.05 < high < 0.08
    assert high - low < 0.5 * np.diff(a.interval(0))[0]


def test_the_total_counts_every_category_the_same() -> None:
    few, many = {"p": np.full((1, 2), 1.0)}, {name: np.zeros((9, 2)) for name in "qrstu"}
    assert total([estimate(few), estimate(many)]).mean == pytest.approx([0.5, 0.5])


# --- speed ---------------------------------------------------------------------------------


def test_a_spread_is_in_order() -> None:
    s = spread([float(x) for x in range(101)])
    assert (s.median, s.late, s.most) == (50, 95, 100)


def test_planning_is_timed_step_by_step() -> None:
    told: list[str] = []
    spent = plan_times(1, told.append)
    assert len(told) == len(LABELS)
    assert spent["plan"].median > spent["retrieve"].median > 0
    assert spent["plan"].median < 500  # nowhere near real time's end, on any machine


def test_everything_that_plays_passes_the_critic() -> None:
    sound = soundness(0.1, silent)
    assert set(sound) == {*LABELS, AT_RANDOM}
    assert all(s.passed == s.chunks > 0 and s.raw <= s.chunks for s in sound.values())


def test_a_new_label_shows_within_a_window(monkeypatch: pytest.MonkeyPatch) -> None:
    few = {name: LABELS[name] for name in ("idle", "surprise", "anger")}
    monkeypatch.setattr("runtime.bench_speed.LABELS", few)
    change = label_change(silent)
    assert change.pairs == 6 and change.unseen == 0
    assert change.visible.most <= bench_planner.CHANGE_GOAL_MS
    assert change.differs.median <= change.visible.median


# --- the command ---------------------------------------------------------------------------


def test_fidelity_prints_its_tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    number = count()
    people = [
        recording(f"a/p{next(number)}", category, AU4=0.5, AU1_L=0.3)
        for category in ("anger", "sadness")
        for _ in range(2)
    ]
    monkeypatch.setattr(bench_planner, "read_recordings", lambda root, told: people)
    assert bench_planner.main(["fidelity", "--data", str(tmp_path), "--seeds", "1"]) == 0
    out = capsys.readouterr().out
    for name in (*VARIANTS, fidelity.CHANCE, fidelity.HUMAN):
        assert f"| {name} " in out
    rows = [line for line in out.splitlines() if line.startswith("|")]
    assert len(rows) > 30
    assert all(line.endswith("|") for line in rows)


def test_fidelity_without_recordings_says_what_to_do(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert bench_planner.main(["fidelity", "--data", str(tmp_path)]) == 1
    assert "motion" in capsys.readouterr().err
    (tmp_path / "motion").mkdir()
    assert bench_planner.main(["fidelity", "--data", str(tmp_path)]) == 1
    assert "not in the library" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--seeds", "0"], ["--minutes", "-1"], ["--minutes", "nan"]])
def test_absurd_options_are_refused(option: list[str]) -> None:
    with pytest.raises(SystemExit):
        bench_planner.main(["speed", *option])
