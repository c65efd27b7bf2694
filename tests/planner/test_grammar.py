"""What instructions come to: a table of sentences, and anything else survived."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core import CHANNELS, MOUTH_CHANNELS, POSE_SLICE, InvalidInput
from planner import physiology as ph
from planner.cues import Cue
from planner.grammar import MAX_CHARACTERS, parse
from planner.moves import RULES
from planner.words import ENGLISH


def only(text: str) -> Cue:
    parsed = parse(text)
    assert not parsed.unknown, parsed.unknown
    assert len(parsed.cues) == 1, parsed.cues
    return parsed.cues[0]


@pytest.mark.parametrize(
    ("text", "x", "y"),
    [
        ("look left", 1, 0),
        ("look right", -1, 0),
        ("look up", 0, -1),
        ("look down", 0, 1),
        ("look up and left", 1, -1),
        ("look down right", -1, 1),
        ("eyes left", 1, 0),
        ("lower your eyes", 0, 1),
        ("Please glance to your right.", -1, 0),
        ("look at me", 0, 0),
        ("keep eye contact", 0, 0),
        ("look straight ahead", 0, 0),
    ],
)
def test_gaze_goes_to_the_persons_own_side(text: str, x: int, y: int) -> None:
    gaze = only(text).gaze
    assert gaze is not None
    assert [(v > 0) - (v < 0) for v in gaze] == [x, y]


def test_amounts_of_gaze() -> None:
    sizes = []
    for how in ("slightly ", "a little ", "", "far "):
        gaze = only(f"look {how}left").gaze
        assert gaze is not None
        sizes.append(gaze[0])
    assert sizes == sorted(sizes) and sizes[0] < sizes[2] < sizes[3]
    assert only("look 12 degrees to the left").gaze == (12, 0)
    assert only("look 50% left").gaze == (0.5 * sizes[2], 0)
    assert only("look up 10°").gaze == (0, -10)


@pytest.mark.parametrize(
    ("text", "raised", "still"),
    [
        ("raise your left eyebrow", {"AU1_L", "AU2_L"}, {"AU1_R", "AU2_R"}),
        ("Raise the RIGHT brow", {"AU1_R", "AU2_R"}, {"AU1_L", "AU2_L"}),
        ("left eyebrow up", {"AU1_L", "AU2_L"}, {"AU1_R", "AU2_R"}),
        ("raise both eyebrows", {"AU1_L", "AU1_R", "AU2_L", "AU2_R"}, set()),
        ("frown", {"AU4"}, set()),
        ("close your left eye", {"AU45_L"}, set()),
        ("close your eyes", {"AU45_L", "AU45_R"}, set()),
        ("keep your eyes closed", {"AU45_L", "AU45_R"}, set()),
        ("open your eyes wide", {"AU5"}, {"AU45_L", "AU45_R"}),
        ("squint", {"AU7"}, {"AU5"}),
        ("smile", {"smile", "AU6"}, set()),
    ],
)
def test_units_of_the_face(text: str, raised: set[str], still: set[str]) -> None:
    controls = only(text).controls
    assert all(controls[name] > 0.3 for name in raised)
    assert all(controls[name] == 0 for name in still)


@pytest.mark.parametrize(
    ("text", "axis", "degrees"),
    [
        ("turn your head left", "yaw", 16),
        ("turn your head to the right 20 degrees", "yaw", -20),
        ("tilt your head left", "roll", 9),
        ("tilt your head to the right", "roll", -9),
        ("lower your head", "pitch", 11),
        ("raise your head", "pitch", -11),
        ("chin up", "pitch", -11),
        ("head down", "pitch", 11),
        ("tilt your head back", "pitch", -11),
        ("turn your head 900 degrees left", "yaw", 31),
    ],
)
def test_head_axes_and_signs(text: str, axis: str, degrees: float) -> None:
    assert only(text).controls == {axis: pytest.approx(degrees)}


def test_gestures() -> None:
    assert (only("blink twice").gesture, only("blink twice").times) == ("blink", 2)
    assert only("blink three times").times == 3
    assert only("nod 4 times").times == 4
    assert (only("wink").gesture, only("wink right").side) == ("wink", "R")
    assert only("wink with your left eye").side == "L"
    assert only("shake your head").gesture == "shake"
    assert only("blink 5000 times").times <= 8


def starts(text: str) -> list[tuple[str, float]]:
    parsed = parse(text)
    assert not parsed.unknown, parsed.unknown
    return [(cue.words, round(cue.at, 2)) for cue in parsed.cues]


def test_order() -> None:
    """ "then" and commas follow each other, "and" and "while" go together."""
    (_, a), (_, b) = starts("look left, then blink")
    assert a == 0 and b > 0.5
    assert [at for _, at in starts("nod and blink twice")] == [0, 0]
    assert [at for _, at in starts("while looking at me, turn your head left")] == [0, 0]
    assert [at for _, at in starts("smile while looking down")] == [0, 0]
    assert [at for _, at in starts("look left, then right, then at me")] == [0, 1.1, 2.2]
    # The same eyes can not do both at once:
    assert [at for _, at in starts("look left and right")] == [0, 1.1]
    assert [at for _, at in starts("look left and look right")] == [0, 1.1]


def test_time() -> None:
    assert only("look left for 2 seconds").hold == 2
    assert only("close your eyes for 1500 ms").hold == 1.5
    assert only("look left").hold is None
    assert only("after 1 second, look down").at == 1
    assert only("wait 2 seconds then wink").at == 2
    assert only("look up in 3 seconds").at == 3
    cues = parse("look right for 2 seconds, then close your eyes for half a second, nod").cues
    assert [cue.at for cue in cues] == pytest.approx([0, 2, 2.5])
    assert only("slowly lower your head").rise > 1.8 * only("lower your head").rise


def test_the_example_of_the_paper() -> None:
    look, lower = parse("look slightly to the left, then lower the head smoothly").cues
    assert look.gaze is not None and 4 < look.gaze[0] < 12
    assert lower.at >= 0.7 and lower.controls["pitch"] > 5
    assert lower.gaze is not None and lower.gaze[0] == look.gaze[0]  # still to the left
    assert lower.rise > look.rise


def test_eyes_go_along_with_the_head_unless_told_otherwise() -> None:
    assert only("turn your head left").gaze == (16, 0)
    turn, look = parse("turn your head left while looking at me").cues
    assert turn.gaze is None and look.gaze == (0, 0)


def test_the_head_comes_back_when_the_eyes_go_too_far() -> None:
    _, look = parse("turn your head left, then look at me").cues
    assert set(look.free) == {"yaw"}
    _, look = parse("lower your head, then look at me").cues
    assert not look.free  # a look from under the brows
    _, look = parse("turn your head left while looking at me").cues
    assert not look.free


def test_letting_go() -> None:
    assert set(only("stop smiling").free) == {"smile", "AU6"}
    assert "gaze" in only("relax").free
    assert set(only("open your eyes").free) >= {"AU45_L", "AU45_R"}
    close, widen = parse("close your eyes for 2 seconds, then open them wide").cues
    assert close.ending == widen.at == 2 and widen.controls["AU5"] > 0.8


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("make me a sandwich", ("make me a sandwich",)),
        ("look at the purple elephant", ("look at the purple elephant",)),
        ("don't blink", ("don't blink",)),
        ("nod, then juggle, then wink", ("juggle",)),
        ("look left at the Eiffel tower", ("Eiffel tower",)),
        ("schau nach links", ("schau nach links",)),
        ("", ()),
        ("  \t\n ", ()),
        ("... !", ()),
    ],
)
def test_what_is_not_understood_is_returned(text: str, unknown: tuple[str, ...]) -> None:
    assert parse(text).unknown == unknown


def test_too_long_a_text_is_refused() -> None:
    parse("x" * MAX_CHARACTERS)
    with pytest.raises(InvalidInput, match="501 characters"):
        parse("x" * (MAX_CHARACTERS + 1))


WORDS = st.lists(
    st.one_of(
        st.sampled_from(sorted(ENGLISH.lexicon)),
        st.integers(0, 10**12).map(str),
        st.sampled_from(["☃", "0.5", "\x00", "٣", "'", "°", "left,", "twice."]),
    ),
    max_size=30,
).map(lambda words: " ".join(words)[:MAX_CHARACTERS])


@given(st.one_of(WORDS, st.text(max_size=MAX_CHARACTERS)), st.integers(0, 2**31))
@example("blink " * 80, 0)
@example("then and while , " * 29, 0)
@example("9" * 500, 0)
@settings(max_examples=300, deadline=None)
def test_any_text_gives_playable_cues_soon(text: str, seed: int) -> None:
    begun = time.perf_counter()
    parsed = parse(text, seed=seed)
    assert time.perf_counter() - begun < 0.5
    assert parse(text, seed=seed) == parsed
    limits = dict(zip(CHANNELS[POSE_SLICE], ph.POSE_LIMITS, strict=True))
    for cue in parsed.cues:
        assert 0 <= cue.at <= 600 and cue.rise > 0 and 1 <= cue.times <= 8
        assert cue.hold is None or 0 <= cue.hold <= 600
        for name, value in cue.controls.items():
            assert name in CHANNELS or name in MOUTH_CHANNELS
            assert abs(value) <= limits.get(name, 1.0)
        if cue.gaze is not None:
            assert abs(cue.gaze[0]) < 70 and abs(cue.gaze[1]) < 45
    assert all(part in text for part in parsed.unknown)


def test_every_verb_of_the_language_has_a_rule() -> None:
    used = {pair.strip().partition(" ")[0] for said, _ in RULES for pair in said.split("/")}
    assert set(ENGLISH.verbs.values()) == used | {"wait"}
    parts = {pair.strip().partition(" ")[2] for said, _ in RULES for pair in said.split("/")}
    assert parts - {"", "*"} == set(ENGLISH.parts.values())
